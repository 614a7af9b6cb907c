// As much of a Marathon as a deploy needs: each app that is posted is there, nothing is deploying.
// On a thread of its own.
#pragma once
#include <stdbool.h>

struct marathon_stub;
struct marathon_stub *marathon_stub_start(void);
void marathon_stub_stop(struct marathon_stub *m);
int marathon_stub_port(const struct marathon_stub *m);
char *marathon_stub_app(const struct marathon_stub *m); // id of the first posted, or NULL; freed
bool marathon_stub_was_told_to_delete(const struct marathon_stub *m);

// A real ZooKeeper (Debian's jars) on a free port of loopback, and waiting for what becomes true.
#pragma once
#include "base/loop.h"

struct server;
struct server *server_create(void); // started and answering; fails the test otherwise
void server_free(struct server *s);
int server_port(const struct server *s);
void server_kill(struct server *s);
void server_start(struct server *s); // with the same port and data; answering when it returns
void server_stop(struct server *s);  // SIGSTOP
void server_continue(struct server *s);
void server_show_log(const struct server *s);

// Runs the loop until `done` says so; false when that took longer than 30 s.
bool wait_until(struct loop *loop, bool (*done)(void *arg), void *arg);
void run_for(struct loop *loop, int64_t ms); // only where time itself is what is waited for

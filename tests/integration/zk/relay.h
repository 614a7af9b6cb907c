// A wire between a client and a server that can be cut, held, or made to lose the answers. A thread
// of its own, so that it goes on when the test's loop stands still.
#pragma once
#include <stdbool.h>

struct relay;
enum relay_mode {
    RELAY_PASS,
    RELAY_HOLD,   // nothing moves in either direction; nobody is told
    RELAY_DEAF,   // requests arrive, answers are thrown away
    RELAY_REFUSE, // new connections are closed at once
};

struct relay *relay_create(int server_port); // both on 127.0.0.1
void relay_free(struct relay *r);
int relay_port(const struct relay *r);
void relay_set(struct relay *r, enum relay_mode mode);
void relay_cut(struct relay *r);     // closes what is open, when it returns
int relay_requests(struct relay *r); // packets that clients sent so far, pings too
int relay_pings(struct relay *r);

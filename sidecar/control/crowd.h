// Who is connected, by address, and who leaves when there is no room. Room goes to whoever holds
// least: a newcomer takes the place of the address with most connections, of which the longest idle
// one leaves; one that a request is being served on only where its address holds more than a share.
// The last places are for addresses that a leader has asked from. Nobody is refused while there is
// room. What is kept of bodies, and of streams until it is taken, is counted here too, and shared
// by a rule of its own (crowd_keep). Pure; a member lies in the server's connection, hosts are
// ours. Loop thread.
#pragma once
#include "base/list.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct crowd_host;

struct crowd_member {
    struct link link; // crowd->members, the longest idle first
    struct crowd_host *host;
    bool busy;    // a complete request is being served
    bool leaving; // told to go, and no longer counted
};

struct crowd {
    struct link members, hosts;
    size_t n; // of members who are not leaving
    size_t limit, reserved, share;
    size_t peers;           // hosts that are
    size_t bytes;           // that may be kept
    size_t kept, by_others; // that are, by all; by hosts that are no peers
};

// reserved: how many of the places are for peers alone. bytes: what may be kept.
void crowd_init(struct crowd *crowd, size_t limit, size_t reserved, size_t bytes);
void crowd_done(struct crowd *crowd); // every member has left
// False: there is no room for a newcomer from there. Else *ret_leaves, unless NULL, leaves for it:
// it counts as gone from now on, and its connection is the caller's to close.
bool crowd_admits(struct crowd *crowd, const struct sockaddr *from,
                  struct crowd_member **ret_leaves);
void crowd_join(struct crowd *crowd, struct crowd_member *member, const struct sockaddr *from);
void crowd_leave(struct crowd *crowd, struct crowd_member *member);
void crowd_busy(struct crowd *crowd, struct crowd_member *member, bool busy);
// So much more of a body or a stream. False: there is no room for it, and nothing is counted. What
// is kept is given back before the member leaves.
bool crowd_keep(struct crowd *crowd, struct crowd_member *member, size_t len);
void crowd_give_back(struct crowd *crowd, struct crowd_member *member, size_t len);
void crowd_trust(struct crowd *crowd, struct crowd_member *member); // its address is a peer's

#include "sidecar/control/crowd.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

enum {
    SHARES = 8,  // one of so many may be busy where places are wanted
    PEERS = 512, // remembered without a connection
    LEFT = 3,    // so much of what a host keeps must be free for others
};

struct crowd_host {
    struct link link; // crowd->hosts; peers that were heard last are at the end
    struct in6_addr at;
    size_t n, held; // members who are not leaving, all members
    size_t kept;    // of their bodies and streams
    bool peer;
};

void crowd_init(struct crowd *crowd, size_t limit, size_t reserved, size_t bytes) {
    *crowd = (struct crowd){
        .limit = limit, .reserved = reserved, .share = limit / SHARES, .bytes = bytes};
    list_init(&crowd->members);
    list_init(&crowd->hosts);
}

// ---- hosts ----

// IPv4 as IPv6 spells it, so that one host is one however it came in.
static struct in6_addr address_of(const struct sockaddr *from) {
    struct in6_addr at = {0};
    union {
        const struct sockaddr *any;
        const struct sockaddr_in *v4;
        const struct sockaddr_in6 *v6;
    } as = {.any = from};
    if (from->sa_family == AF_INET6)
        return as.v6->sin6_addr;
    if (from->sa_family == AF_INET) {
        at.s6_addr[10] = at.s6_addr[11] = 0xff;
        memcpy(&at.s6_addr[12], &as.v4->sin_addr, sizeof(as.v4->sin_addr));
    }
    return at;
}

static struct crowd_host *host_of(struct crowd *crowd, const struct sockaddr *from) {
    struct in6_addr at = address_of(from);
    struct crowd_host *it;
    list_each(it, &crowd->hosts, struct crowd_host, link) {
        if (memcmp(&it->at, &at, sizeof(at)) == 0)
            return it;
    }
    return NULL;
}

static void host_drop(struct crowd *crowd, struct crowd_host *host) {
    CHECK(!host->kept);
    crowd->peers -= host->peer;
    list_remove(&host->link);
    free(host);
}

static void forget_a_peer(struct crowd *crowd) {
    struct crowd_host *it;
    list_each(it, &crowd->hosts, struct crowd_host, link) {
        if (it->peer && !it->held) {
            host_drop(crowd, it);
            return;
        }
    }
}

void crowd_done(struct crowd *crowd) {
    CHECK(list_empty(&crowd->members));
    struct crowd_host *it;
    list_each(it, &crowd->hosts, struct crowd_host, link) {
        host_drop(crowd, it);
    }
}

void crowd_trust(struct crowd *crowd, struct crowd_member *member) {
    struct crowd_host *host = member->host;
    crowd->peers += !host->peer;
    crowd->by_others -= host->peer ? 0 : host->kept;
    host->peer = true;
    list_remove(&host->link);
    list_append(&crowd->hosts, &host->link);
    if (crowd->peers > PEERS)
        forget_a_peer(crowd);
}

// ---- members ----

static void uncount(struct crowd *crowd, struct crowd_member *member) {
    if (member->leaving)
        return;
    member->leaving = true;
    crowd->n--;
    member->host->n--;
}

void crowd_join(struct crowd *crowd, struct crowd_member *member, const struct sockaddr *from) {
    struct crowd_host *host = host_of(crowd, from);
    if (!host) {
        host = xnew(struct crowd_host);
        host->at = address_of(from);
        list_append(&crowd->hosts, &host->link);
    }
    *member = (struct crowd_member){.host = host};
    host->n++;
    host->held++;
    crowd->n++;
    list_append(&crowd->members, &member->link);
}

void crowd_leave(struct crowd *crowd, struct crowd_member *member) {
    struct crowd_host *host = member->host;
    uncount(crowd, member);
    list_remove(&member->link);
    if (--host->held == 0 && !host->peer)
        host_drop(crowd, host);
}

void crowd_busy(struct crowd *crowd, struct crowd_member *member, bool busy) {
    member->busy = busy;
    list_remove(&member->link);
    list_append(&crowd->members, &member->link);
}

// ---- room ----

// Whose place a newcomer of `host` (NULL: a host with none yet) takes: never that of one who holds
// no more than it will.
static struct crowd_member *victim(const struct crowd *crowd, const struct crowd_host *host) {
    struct crowd_member *best = NULL, *it;
    size_t own = host ? host->n : 0;
    list_each(it, &crowd->members, struct crowd_member, link) {
        bool gives = (host && it->host == host) || it->host->n > own + 1;
        if (it->leaving || !gives || (it->busy && it->host->n <= crowd->share))
            continue;
        if (!best || (best->busy && !it->busy) ||
            (best->busy == it->busy && it->host->n > best->host->n))
            best = it;
    }
    return best;
}

bool crowd_admits(struct crowd *crowd, const struct sockaddr *from,
                  struct crowd_member **ret_leaves) {
    const struct crowd_host *host = host_of(crowd, from);
    size_t room = crowd->limit - (host && host->peer ? 0 : crowd->reserved);
    *ret_leaves = NULL;
    if (crowd->n < room)
        return true;
    *ret_leaves = victim(crowd, host);
    if (*ret_leaves)
        uncount(crowd, *ret_leaves);
    return *ret_leaves != NULL;
}

// ---- bodies ----

// A peer keeps no more than it leaves free, so that one that is none in truth leaves room for those
// that are. All others together have half, and none of them keeps more than a third of what is then
// left of it: the first of them an eighth of everything. So whoever comes next, with nothing kept
// yet, finds a quarter of what those before it have left, and a leader that is not known to be one
// brings its first body in, of 64 KiB at most, past a dozen hosts that keep all they can.
static bool has_room(const struct crowd *crowd, const struct crowd_host *host, size_t len) {
    size_t half = crowd->bytes / 2, free = crowd->bytes - crowd->kept;
    if (len > free)
        return false;
    if (host->peer)
        return host->kept + len <= free - len;
    return len <= half - crowd->by_others &&
           LEFT * (host->kept + len) <= half - crowd->by_others - len;
}

bool crowd_keep(struct crowd *crowd, struct crowd_member *member, size_t len) {
    struct crowd_host *host = member->host;
    if (!has_room(crowd, host, len))
        return false;
    crowd->kept += len;
    crowd->by_others += host->peer ? 0 : len;
    host->kept += len;
    return true;
}

void crowd_give_back(struct crowd *crowd, struct crowd_member *member, size_t len) {
    struct crowd_host *host = member->host;
    CHECK(len <= host->kept);
    crowd->kept -= len;
    crowd->by_others -= host->peer ? 0 : len;
    host->kept -= len;
}

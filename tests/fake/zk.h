// ZooKeeper in memory: sidecar/zk/zk.h over a shared tree, on whatever loop the test runs (virtual
// or real). Several sessions live in one process, so that several coordinators and leaders can
// meet. It keeps what the real one promises: one order of all writes (zxids), requests of a session
// in the order they were sent, a watch told before a later answer, ephemerals that end with their
// session, sequence numbers that never come again, a session clock that starts anew with the
// server. And it breaks what the real one breaks: connections before or after a request took
// effect, sessions, servers. All of it at a moment the test chooses.
#pragma once
#include "sidecar/zk/zk.h"

struct fake_zk;

// The server that every zk_open finds from now on. Free it when all of its clients were closed and
// the loop ran once more (fake_zk_quiet).
struct fake_zk *fake_zk_create(struct loop *loop);
void fake_zk_free(struct fake_zk *server);
bool fake_zk_quiet(const struct fake_zk *server);                 // no client handle is left
void fake_zk_latency(struct fake_zk *server, int64_t one_way_ms); // 1 at first

// ---- faults of one client ----
struct zk *fake_zk_owner(struct fake_zk *server,
                         const char *ephemeral);   // who made it; NULL: nobody
struct zk *fake_zk_newest(struct fake_zk *server); // opened last
// The connection breaks now and comes back after ms (-1: by fake_zk_mend). Answers under way are
// lost: their outcome is unknown to the client.
void fake_zk_cut(struct zk *zk, int64_t ms);
void fake_zk_mend(struct zk *zk);
// The connection breaks at the nth request from now (1: the next), before it reached the server or
// after it took effect, and comes back 20 ms later.
enum fake_zk_loss { FAKE_ZK_BEFORE, FAKE_ZK_AFTER };
void fake_zk_lose(struct zk *zk, enum fake_zk_loss when, int nth);
// The network swallows everything: the client notices at 2/3 of the session, the server at its end.
void fake_zk_stall(struct zk *zk);
// The process stands still: nothing is noticed, not even time, until it is woken.
void fake_zk_freeze(struct zk *zk);
void fake_zk_thaw(struct zk *zk);
// The process is killed: its session ends when the server says so, and zk_close is never heard.
void fake_zk_crash(struct zk *zk);
void fake_zk_expire(struct zk *zk); // the server ends the session now

// ---- faults of the server ----
void fake_zk_down(struct fake_zk *server);
void fake_zk_up(struct fake_zk *server); // with its tree; all session clocks start anew
void fake_zk_foreign(struct fake_zk *server, const char *path); // borrowed: its ACL is another's
// Borrowed: no transaction may write it, and nobody makes a node below it. "": none may write
// anything, and is not told what it was refused for. NULL: all as before.
void fake_zk_bar(struct fake_zk *server, const char *path);
// Borrowed: nobody may read, list or check it and what is below it, nor is told when it changes.
// NULL: all as before.
void fake_zk_hide(struct fake_zk *server, const char *path);
void fake_zk_crowded(struct fake_zk *server, size_t n); // more names than that are too many
void fake_zk_wipe(
    struct fake_zk *server); // another, empty server takes its place: zxids start anew

// ---- what another client would see and do, at once ----
int64_t fake_zk_stranger(struct fake_zk *server); // a session of nobody's
void fake_zk_stranger_gone(struct fake_zk *server, int64_t session);
// Creates (with parents) or sets. session 0: persistent. flags as in zk_create; returns the path as
// created, borrowed until the node goes.
const char *fake_zk_put(struct fake_zk *server, int64_t session, const char *path, const char *data,
                        int flags);
bool fake_zk_remove(struct fake_zk *server, const char *path);            // false: it was not there
const char *fake_zk_data(const struct fake_zk *server, const char *path); // NULL: no such node
bool fake_zk_stat(const struct fake_zk *server, const char *path, struct zk_stat *ret);
char **fake_zk_children(const struct fake_zk *server, const char *path); // sorted; text_list_free
int fake_zk_requests(const struct fake_zk *server); // that reached the server so far, pings not
int fake_zk_writes(const struct fake_zk *server);   // transactions that changed something
int fake_zk_follows(const struct fake_zk *server);  // standing watches of all clients
// Told of each change when it is done: path, its author's session (0: the test), the zxid, and
// whether the node is there now.
void fake_zk_on_change(struct fake_zk *server,
                       void (*fn)(const char *path, int64_t session, int64_t zxid, bool there,
                                  void *arg),
                       void *arg);

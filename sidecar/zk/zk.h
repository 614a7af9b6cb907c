// One ZooKeeper session, on the loop. client.c is the only file that knows the C client; its
// threads post to an inbox and nothing else. A struct zk is one session: once LOST it is useless
// and its owner closes it and opens another. tests/fake/zk.c implements the same in memory over a
// virtual clock.
//
// Completions come exactly once, never inside the call that started them, and not after zk_close or
// zk_forget. Errors: ERR_ABSENT no node; ERR_EXISTS node exists; ERR_REFUSED bad version, not
// empty, a multi rolled back, NoAuth; ERR_LIMIT payload over ZK_MAX_DATA, transaction over
// ZK_MAX_PACKET (refused here: the server would drop the connection), an answer of more than
// ZK_MAX_READ bytes or ZK_MAX_NAMES names (dropped here, with its stat); ERR_RETRY connection loss:
// the outcome is UNKNOWN; ERR_DETACHED no session any more: not done, or unknown. err.code is
// ZooKeeper's rc.
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ZK_MAX_DATA = 838860, // of a node: 1 MiB less 20 % (reliability: Z8)
    // Of all nodes of one transaction, which travels as one packet: the server takes 1 MiB less one
    // byte (jute.maxbuffer), paths and all. What is left over is for ours.
    ZK_MAX_PACKET = 1000000,
    // Of an answer: more than a server keeps, unless it is told to. What is larger is not copied.
    ZK_MAX_READ = 1 << 20,
    ZK_MAX_NAMES = 100000,
    ZK_MAX_NAMES_BYTES = 16 << 20,
    ZK_NO_AUTH = -102, // err.code where an access list refuses us
};

struct zk;
struct zk_op;     // one call in flight
struct zk_follow; // a standing watch

struct zk_stat {
    int64_t czxid, mzxid, ephemeral_owner;
    int32_t version, children;
};

enum zk_state {
    ZK_CONNECTING, // never connected so far
    ZK_CONNECTED,
    ZK_SUSPENDED, // connection lost, the session may live: decide nothing new
    ZK_LOST, // expired, refused, or by our own clock gone: last answer was sent longer than the
             // timeout ago
};
const char *zk_state_name(enum zk_state state);

struct zk_config {
    const char *kept;    // not NULL: no servers at all, a cluster of one whose nodes are kept in
                         // this directory; the session then never ends by itself
    const char *servers; // "host:port,host:port", names resolved on another thread, or with chroot
                         // "/x" at the end
    int session_ms;
    const char *auth;      // "user:password" for digest, or NULL; never logged
    bool open;             // beside auth: what we create is for everybody all the same
    int64_t lost_after_ms; // 0: session_ms
    const char *known;     // zk_addresses of an earlier session, or NULL: they stand in for names
                           // that do not resolve within 2 s
};

// on_state is called for each change, never inside zk_open. session: the id once CONNECTED.
int zk_open(struct loop *loop, const struct zk_config *config,
            void (*on_state)(enum zk_state state, void *arg), void *arg, struct zk **ret,
            struct err *err) must_check;
// Ends the session in good order on another thread (its ephemerals go at once); `done`, if not
// NULL, is called on the loop after.
void zk_close(struct zk *zk, void (*done)(void *arg), void *arg);
// Asked of the clock as well: a process that was stopped reads the truth before any event of the
// past minutes has reached it.
enum zk_state zk_state(const struct zk *zk);
const char *zk_addresses(const struct zk *zk); // literal, as resolved; "" before
int64_t zk_session(const struct zk *zk);       // 0 before the first connection
int zk_session_timeout(const struct zk *zk);   // as the server granted it
// Milliseconds since the request of the last answered exchange was SENT: the base of every "may my
// session be gone". The server heard from us then or later, so below the session's time it cannot
// have expired us; from 2/3 of it on the state is SUSPENDED whatever the library believes (the
// lease of reliability 3). The C client does not report its pings; an own question after 0.3 of
// the session without another call takes their place, packet for packet: it then never pings.
int64_t zk_silence(const struct zk *zk);

typedef void zk_done_fn(const struct err *err, void *arg);
// path: as created. stat is NULL: create is sent as kazoo sends it (opcode 1), which every server
// knows and which answers none; zk_get has it.
typedef void zk_path_fn(const char *path, const struct zk_stat *stat, const struct err *err,
                        void *arg);
typedef void zk_data_fn(const char *data, size_t len, const struct zk_stat *stat,
                        const struct err *err, void *arg);
typedef void zk_names_fn(char *const *names, size_t n, const struct err *err,
                         void *arg); // unsorted, borrowed

enum { ZK_EPHEMERAL = 1, ZK_SEQUENCE = 2 };
enum { ZK_ANY_VERSION = -1 };

struct zk_op *zk_create(struct zk *zk, const char *path, const void *data, size_t len, int flags,
                        zk_path_fn *fn, void *arg);
// Every missing parent too, persistent and empty; the node itself too. EXISTS is success.
struct zk_op *zk_ensure(struct zk *zk, const char *path, zk_done_fn *fn, void *arg);
struct zk_op *zk_get(struct zk *zk, const char *path, zk_data_fn *fn, void *arg);
struct zk_op *zk_set(struct zk *zk, const char *path, const void *data, size_t len, int version,
                     zk_done_fn *fn, void *arg);
struct zk_op *zk_delete(struct zk *zk, const char *path, int version, zk_done_fn *fn, void *arg);
struct zk_op *zk_names(struct zk *zk, const char *path, zk_names_fn *fn, void *arg);
struct zk_op *zk_sync(struct zk *zk, const char *path, zk_done_fn *fn, void *arg);
// With auth, unless `open`, each node that we create is ours alone: guarded. zk_guard asks whether
// one that is there is so too; ERR_REFUSED with ZK_NO_AUTH: it is not, and who may do what with it,
// or we may not even ask. Only where nodes are guarded.
bool zk_is_guarded(const struct zk *zk);
struct zk_op *zk_guard(struct zk *zk, const char *path, zk_done_fn *fn, void *arg);
void zk_forget(struct zk_op **slot); // no callback after it; what was sent may still happen

// A transaction: all or nothing. Built, then handed over (freed by zk_commit or zk_multi_free).
struct zk_multi;
struct zk_multi *zk_multi(void);
void zk_multi_check(struct zk_multi *m, const char *path, int version); // ZK_ANY_VERSION: it exists
void zk_multi_create(struct zk_multi *m, const char *path, const void *data, size_t len, int flags);
void zk_multi_set(struct zk_multi *m, const char *path, const void *data, size_t len, int version);
void zk_multi_delete(struct zk_multi *m, const char *path, int version);
void zk_multi_free(struct zk_multi *m);
// failed: index of the operation that was refused, -1 unknown.
typedef void zk_multi_fn(int failed, const struct err *err, void *arg);
struct zk_op *zk_commit(struct zk *zk, struct zk_multi *m, zk_multi_fn *fn, void *arg);

// Standing watches: fn is called with the present content first and again after each change, for as
// long as the session lives, re-armed by zk itself also over reconnects; several quick changes may
// be seen as one. A missing node is ERR_ABSENT (and its creation is a change); ERR_REFUSED is told
// once, and asked about again after the time of a session. Nothing while SUSPENDED or LOST.
struct zk_follow *zk_follow_data(struct zk *zk, const char *path, zk_data_fn *fn, void *arg);
struct zk_follow *zk_follow_names(struct zk *zk, const char *path, zk_names_fn *fn, void *arg);
// Of a node whose name never comes again, as one of a sequence: ERR_ABSENT is the last that is
// told, nothing waits for its creation, and once unfollowed it leaves nothing behind.
struct zk_follow *zk_follow_life(struct zk *zk, const char *path, zk_data_fn *fn, void *arg);
void zk_unfollow(struct zk_follow **slot);

// ---- paths (path.c, pure) ----
// Root of a cluster: "/ochopod/clusters/<namespace>.<cluster>".
char *zk_cluster_path(const char *namespace_, const char *cluster); // caller frees
// "zk://[user:pass@]h1:p1,h2/chroot" or "h1:p1" -> servers (chroot kept at its end, port 2181 where
// missing), auth or NULL. Credentials end at the LAST '@', the path starts at the first '/'. A path
// of exactly "/" is none.
int zk_parse_url(const char *url, char **ret_servers, char **ret_auth, struct err *err) must_check;

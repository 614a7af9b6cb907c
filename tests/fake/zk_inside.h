// What the parts of the fake share: zk.c (the clients), zk_fault.c, zk_server.c.
#pragma once
#include "tests/fake/zk.h"
#include "tests/fake/zk_tree.h"

enum { RECONNECT_MS = 20 };

struct session {
    struct link link;
    struct fake_zk *server;
    int64_t id;
    int timeout;
    struct loop_timer *expiry;
};

struct fake_zk {
    struct loop *loop;
    struct tree tree;
    struct link sessions, clients;
    int64_t next_session, latency;
    bool down;
    const char *foreign; // a node with another's access list
    const char *barred;  // no transaction may write it, nobody makes one below it
    const char *hidden;  // nobody may read it
    size_t max_names;
    int requests, writes;
    void (*on_change)(const char *path, int64_t session, int64_t zxid, bool there, void *arg);
    void *on_change_arg;
};

enum op_kind { CREATE, ENSURE, GET, SET, DELETE, NAMES, SYNC, GUARD, MULTI, READ, NOTIFY, STATE };

// A request under way to the server, then its answer under way back. NOTIFY and STATE only come
// back.
struct zk_op {
    struct link link;
    struct zk *zk;
    enum op_kind kind;
    int64_t due;
    char *path, *data;
    size_t len;
    int flags, version;
    struct zk_multi *multi;
    struct zk_follow *follow;
    enum zk_state state;
    zk_done_fn *done_fn;
    zk_path_fn *path_fn;
    zk_data_fn *data_fn;
    zk_names_fn *names_fn;
    zk_multi_fn *multi_fn;
    void *arg;
    bool forgotten;
    // the answer
    struct err err;
    struct zk_stat stat;
    char **names;
    int failed;
};

struct zk_follow {
    struct link link;
    struct zk *zk;
    char *path;
    zk_data_fn *data_fn;
    zk_names_fn *names_fn;
    void *arg;
    bool reading; // a READ is under way
    bool armed;
    bool life;    // of a node that never comes again
    bool blind;   // refused, or gone for good: no watch was left
    bool refused; // and that was told
    int64_t seen; // signature of what was last read
};

struct zk {
    struct link link;
    struct fake_zk *server;
    struct loop *loop;
    struct session *session; // the server's side; NULL: none, or ended
    int64_t id, lost_after;
    int timeout;
    bool guarded;
    enum zk_state state;
    bool connected, stalled, frozen, crashed, closed, held; // held: cut until mended
    int64_t since;                                          // while connected: when that began
    int64_t contact; // while not: when the last answered request was sent
    struct link outbound, inbound, follows;
    struct loop_timer *clock, *sending, *reconnect, *lost, *notice; // sending: of the server's loop
    struct loop_timer *reread; // of what was refused to a follow
    void (*on_state)(enum zk_state state, void *arg);
    void *arg;
    int lose_in;
    enum fake_zk_loss lose_when;
};

extern struct fake_zk *fake_zk_the_server;

typedef int fake_zk_change_fn(struct fake_zk *s, int64_t session, void *arg);
// All or nothing, under one zxid; tells watches and the test. ZooKeeper's code.
int fake_zk_transact(struct fake_zk *s, int64_t session, fake_zk_change_fn *change, void *arg);
struct session *fake_zk_session_create(struct fake_zk *s, int timeout);
void fake_zk_session_end(void *session);
void fake_zk_session_unheard(struct session *it); // its clock starts; takes NULL
void fake_zk_fire(struct zk *zk);                 // the watches of one client
void fake_zk_reconnect(struct zk *zk);
void fake_zk_tell(struct zk *zk, enum zk_state state, int64_t delay); // on its way to the client
void fake_zk_fail_all(struct zk *zk, struct link *from, int rc);
void fake_zk_try_connect(void *zk);
void fake_zk_on_lost(void *zk);
void fake_zk_arm(struct zk *zk); // for what is due next
void fake_zk_arm_sending(struct zk *zk);

// What the files of the client share: client.c (the session), client_op.c (calls), client_follow.c
// (standing watches). The library's threads see a struct zk only through its inbox and the op,
// event or follow that was handed to the library; these live until zookeeper_close has returned,
// because a completion may come until then, or never.
#pragma once
#include "base/inbox.h"
#include "base/list.h"
#include "sidecar/zk/client_library.h"
#include "sidecar/zk/multi.h"
#include "sidecar/zk/resolve.h"
#include "sidecar/zk/zk.h"

enum message_kind { MESSAGE_STATE, MESSAGE_ANSWER, MESSAGE_CHANGED };

struct message {
    struct inbox_message inbox; // first: what is posted is freed or kept by what it is
    enum message_kind kind;
};

struct zk {
    struct loop *loop;
    struct inbox *inbox;
    const struct zk_library *library;
    char *kept; // the state directory of a cluster of one, else NULL
    char *servers, *chroot, *auth, *known, *addresses;
    char *own; // our identity, of which all our nodes are; NULL: they are open to everybody
    struct resolve *resolve;
    zhandle_t *zh;   // NULL until zookeeper_init has returned
    zhandle_t *made; // by it, the worker's
    bool starting;   // zookeeper_init is under way on a worker
    enum zk_state state;
    bool connected; // as the library says; state is ours
    bool expired;   // the server or the library gave the session up
    int64_t session, lost_after;
    int64_t granted, patience; // when the session was, and for how long its first answer may fail
    int timeout;
    int64_t answered; // when the request of the last answered exchange was sent
    int64_t sent;     // when the last request was
    bool asking;      // our own question is under way
    struct loop_timer *clock, *retry;
    struct loop_timer *reread; // of what was refused to a follow
    struct link ops, follows;
    bool closed;
    int64_t closed_at;
    bool overdue;        // its closing was, when somebody looked last
    struct link closing; // once closed
    void (*on_state)(enum zk_state state, void *arg);
    void *arg;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

enum op_kind {
    OP_CREATE,
    OP_ENSURE,
    OP_GET,
    OP_SET,
    OP_DELETE,
    OP_NAMES,
    OP_SYNC,
    OP_MULTI,
    OP_GUARD,  // who may do what with a node; data: what is wrong with that
    OP_ASK,    // our own question
    OP_STEP,   // a parent made for an ensure; nobody waits for it
    OP_FOLLOW, // the read of a follow
    OP_AWAIT,  // its watch on a node that is not there
};

struct zk_op {
    struct message message;
    struct link link; // in zk->ops until it is freed
    struct zk *zk;
    enum op_kind kind;
    int64_t sent;
    char *path;   // as the server knows it
    bool parents; // of an ensure: they were made
    struct zk_follow *follow;
    struct zk_multi *multi; // serialised at once, yet the library writes into results
    zoo_op_result_t *results;
    zk_done_fn *done_fn; // all NULL once forgotten
    zk_path_fn *path_fn;
    zk_data_fn *data_fn;
    zk_names_fn *names_fn;
    zk_multi_fn *multi_fn;
    void *arg;
    // The answer, written by the library's thread before it posts.
    int rc;
    bool too_large; // to be sent
    bool excess;    // more than is read of an answer: only the stat was kept
    char *data;
    size_t len;
    char **names;
    struct zk_stat stat;
};

// ---- client_op.c ----
struct zk_op *zk_op_create(struct zk *zk, enum op_kind kind, const char *path); // as a user says it
void zk_op_sent(struct zk_op *op, int rc);         // rc of the call that handed it to the library
bool zk_op_sendable(struct zk_op *op, size_t len); // false: it is answered all the same
void zk_op_post(struct zk_op *op, int rc);         // on any thread
void zk_op_deliver(struct zk_op *op);              // then frees it
void zk_op_free(struct zk_op *op);
const struct zk_stat *zk_op_stat(const struct zk_op *op, const struct err *err);
void zk_op_error(const struct zk_op *op, struct err *err);
bool zk_op_was_answered(const struct zk_op *op); // by the server, whatever it said
void zk_op_fail_all(struct zk *zk); // the session is gone: whoever waits is told, then forgotten
void zk_ask(struct zk *zk);         // our own question
void zk_op_on_data(int rc, const char *value, int len, const struct Stat *stat, const void *data);
void zk_op_on_names(int rc, const struct String_vector *names, const void *data);
void zk_op_on_stat(int rc, const struct Stat *stat, const void *data);
// ---- client_acl.c ----
char *zk_acl_own(const char *auth); // caller frees
// NULL: own may do everything, and nobody else anything; else who may, for people. Caller frees.
char *zk_acl_complaint(const struct ACL_vector *acl, const char *own);
// ---- client_follow.c ----
void zk_follow_answer(struct zk_op *op);
void zk_follow_changed(struct message *message); // frees it
void zk_follow_resume(struct zk *zk);            // connected: reads what has to be read
void zk_follow_free_all(struct zk *zk);

#include "sidecar/leader/ledger.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/cluster/digest.h"
#include "sidecar/cluster/reference.h"
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

enum { TREE, LEADER, HASH, SNAPSHOT, MEMBERS, PROPOSAL, LOCK, NODES };
enum {
    ATTEMPTS = 4,
    MAX_NODE = 1 << 20,
    MAX_PLAIN = 64,
    MAX_DEAD = 4096,
    FIXED = 4096, // what of a completed round does not grow with its pods
};
#define MAX_COUNT ((int64_t)1 << 53)

static const char *const names[] = {
    [TREE] = "tree",         [LEADER] = "leader",   [HASH] = "hash",
    [SNAPSHOT] = "snapshot", [MEMBERS] = "members", [PROPOSAL] = "proposal",
};

struct node {
    struct ledger_inner *inner;
    struct zk_op *op;
    char *path;
    bool exists, ephemeral;
    int64_t mzxid;
    char *read;  // content as of the last look
    char *write; // content to be written; NULL: nothing
};

struct ledger_inner {
    struct ledger *ledger;
    struct zk *zk;
    int64_t epoch;
    int64_t seen; // the epoch in /leader
    struct node nodes[NODES];
    int reading; // gets in flight
    struct err read_err;
    void (*then)(struct ledger_inner *in, const struct err *err);  // after this look
    void (*again)(struct ledger_inner *in, const struct err *err); // after one for a wrong guess
    struct zk_op *commit;
    int attempts;
    struct { // takes effect when the write did
        char *hash;
        int64_t generation, round;
        bool open;
        json_t *dead, *members;
    } next;
    ledger_fn *fn;
    void *arg;
};

// ---- the call in flight ----

static void next_clear(struct ledger_inner *in) {
    free(in->next.hash);
    json_decref(in->next.dead);
    json_decref(in->next.members);
    memset(&in->next, 0, sizeof in->next);
}

static void idle(struct ledger_inner *in) {
    for (int i = 0; i < NODES; i++) {
        zk_forget(&in->nodes[i].op);
        free(take_ptr(in->nodes[i].write));
    }
    zk_forget(&in->commit);
    in->reading = in->attempts = 0;
    in->fn = NULL;
    next_clear(in);
}

static void finish(struct ledger_inner *in, const struct err *err) {
    ledger_fn *fn = in->fn;
    void *arg = in->arg;
    struct err copy = *err;
    idle(in);
    fn(&copy, arg);
}

// ---- reading ----

static void on_read(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct node *n = arg;
    struct ledger_inner *in = n->inner;
    n->op = NULL;
    free(take_ptr(n->read));
    // What is too large to be read is junk like any other, and is written over.
    n->exists = stat != NULL;
    n->ephemeral = stat && stat->ephemeral_owner != 0;
    n->mzxid = stat ? stat->mzxid : 0;
    if (stat)
        n->read = xstrndup(len ? data : "", len);
    else if (err->kind != ERR_ABSENT && in->read_err.kind == ERR_NONE)
        in->read_err = *err;
    if (--in->reading > 0)
        return;
    if (in->read_err.kind == ERR_NONE && !in->nodes[LOCK].exists)
        err_set(&in->read_err, ERR_FENCED, "our lock node is gone");
    struct err result = in->read_err;
    in->then(in, &result);
}

static void look(struct ledger_inner *in,
                 void (*then)(struct ledger_inner *in, const struct err *err)) {
    in->then = then;
    in->read_err = (struct err)ERR_INIT;
    in->reading = NODES;
    for (int i = 0; i < NODES; i++)
        in->nodes[i].op = zk_get(in->zk, in->nodes[i].path, on_read, &in->nodes[i]);
}

// ---- writing ----

static void on_commit(int failed, const struct err *err, void *arg);

static void put(struct zk_multi *m, const struct node *n) {
    size_t len = strlen(n->write);
    if (n->ephemeral)
        zk_multi_delete(m, n->path, ZK_ANY_VERSION);
    if (n->exists && !n->ephemeral)
        zk_multi_set(m, n->path, n->write, len, ZK_ANY_VERSION);
    else
        zk_multi_create(m, n->path, n->write, len, 0);
}

static void send_writes(struct ledger_inner *in) {
    struct zk_multi *m = zk_multi();
    zk_multi_check(m, in->nodes[LOCK].path, ZK_ANY_VERSION);
    for (int i = 0; i < LOCK; i++)
        if (in->nodes[i].write)
            put(m, &in->nodes[i]);
    in->commit = zk_commit(in->zk, m, on_commit, in);
}

static void looked_again(struct ledger_inner *in, const struct err *err) {
    if (err->kind != ERR_NONE)
        finish(in, err);
    else
        send_writes(in);
}

static void take_effect(struct ledger_inner *in) {
    struct ledger *l = in->ledger;
    for (int i = 0; i < LOCK; i++) {
        if (!in->nodes[i].write)
            continue;
        in->nodes[i].exists = true;
        in->nodes[i].ephemeral = false;
    }
    if (in->next.hash) {
        free(l->hash);
        l->hash = take_ptr(in->next.hash);
        l->generation = in->next.generation;
    }
    l->round = in->next.round;
    l->open = in->next.open;
    if (in->next.dead) {
        json_decref(l->dead);
        l->dead = take_ptr(in->next.dead);
    }
    if (in->next.members) {
        json_decref(l->members);
        l->members = take_ptr(in->next.members);
    }
}

static int operations_on(const struct node *n) {
    return !n->write ? 0 : n->ephemeral ? 2 : 1;
}

// The node that the operation was about, as send_writes and put lined them up.
static const char *path_of(const struct ledger_inner *in, int failed) {
    if (failed < 0)
        return "the cluster's nodes";
    if (failed == 0)
        return in->nodes[LOCK].path;
    int i = 0;
    for (int at = 1; i < PROPOSAL; i++) { // the last one, where it is none before
        at += operations_on(&in->nodes[i]);
        if (failed < at)
            break;
    }
    return in->nodes[i].path;
}

static void on_commit(int failed, const struct err *err, void *arg) {
    struct ledger_inner *in = arg;
    in->commit = NULL;
    struct err result = *err;
    if (err->kind == ERR_NONE) {
        take_effect(in);
    } else if (err->code == ZK_NO_AUTH) {
        err_code(
            &result, ERR_REFUSED, ZK_NO_AUTH,
            "an access list of ZooKeeper refuses us %s: give the user of `zk` all rights to it",
            path_of(in, failed));
    } else if (failed == 0) {
        result = (struct err)ERR_INIT;
        err_set(&result, ERR_FENCED, "our lock node is gone");
    } else if (err->kind == ERR_REFUSED && in->attempts++ < ATTEMPTS) { // a wrong guess
        log_debug("leader ledger=again failed=%d reason=\"%s\"", failed, err->text);
        look(in, in->again);
        return;
    }
    finish(in, &result);
}

// What is in force now, unless the caller changes some of it.
static void begin(struct ledger *l, ledger_fn *fn, void *arg) {
    struct ledger_inner *in = l->inner;
    CHECK(!in->fn);
    in->fn = fn;
    in->arg = arg;
    in->again = looked_again;
    in->next.round = l->round;
    in->next.open = l->open;
}

static void write_leader(struct ledger_inner *in) {
    const struct ledger *l = in->ledger;
    bool completes = in->next.hash != NULL;
    json_t *dead = in->next.dead ? in->next.dead : l->dead;
    auto_json json_t *record = json_pack(
        "{s:I, s:I, s:I, s:s, s:s, s:b, s:O}", "epoch", (json_int_t)in->epoch, "round",
        (json_int_t)in->next.round, "generation",
        (json_int_t)(completes ? in->next.generation : l->generation), "hash",
        completes ? in->next.hash : l->hash, "tree", l->tree, "open", in->next.open, "dead", dead);
    CHECK(record);
    free(in->nodes[LEADER].write); // a look that was repeated
    in->nodes[LEADER].write = json_write(record);
}

// ---- load ----

static json_t *object_of(const char *text, const char *what) {
    json_t *value = NULL;
    if (text && *text) {
        struct err err = ERR_INIT;
        value = json_read(text, strlen(text), MAX_NODE, what, &err);
        if (!value)
            log_warn("leader node=%s reason=\"%s\" taken=empty", what, err.text);
    }
    if (!json_is_object(value)) {
        json_decref(value);
        value = json_object();
    }
    return value;
}

static json_t *member_object(const json_t *obj, const char *key) {
    json_t *value = json_object_get(obj, key);
    return json_is_object(value) ? json_incref(value) : json_object();
}

// Counted up from here on: what a hand wrote must not overflow.
static int64_t number(const json_t *obj, const char *key) {
    json_int_t n = json_integer_value(json_object_get(obj, key));
    return n < 0 || n > MAX_COUNT ? 0 : n;
}

// The letters of uuids and hashes, ours or an original's: the rest would break headers and JSON.
static bool is_plain(const char *s) {
    size_t len = strspn(s, "0123456789abcdefABCDEF-:");
    return len > 0 && len <= MAX_PLAIN && s[len] == '\0';
}

// {pod id: birth}; what a hand wrote there must not make the record too large to be written.
static json_t *dead_of(const json_t *record) {
    json_t *dead = json_object();
    const char *id;
    json_t *birth;
    json_object_foreach(json_object_get(record, "dead"), id, birth) {
        if (json_is_integer(birth) && strlen(id) <= MAX_PLAIN && json_object_size(dead) < MAX_DEAD)
            CHECK(json_object_set(dead, id, birth) == 0);
    }
    return dead;
}

// A leader's lock node is older than all it writes. An epoch from the future is junk, and taken
// for one it would depose every leader there will ever be.
static int64_t epoch_of(const struct ledger_inner *in, const json_t *record) {
    int64_t epoch = number(record, "epoch");
    if (epoch < in->nodes[LEADER].mzxid)
        return epoch;
    if (epoch)
        log_warn("leader node=/leader epoch=%" PRId64 " taken=0 reason=\"newer than the node\"",
                 epoch);
    return 0;
}

static void replace(json_t **where, json_t *with) {
    json_decref(*where);
    *where = with;
}

static void make_tree(struct ledger_inner *in) {
    unsigned char b[16];
    CHECK(getrandom(b, sizeof b, 0) == (ssize_t)sizeof b);
    in->nodes[TREE].write = xasprintf(
        "%02x%02x%02x%02x-%02x%02x-4%01x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
        b[3], b[4], b[5], b[6] & 15, b[7], (b[8] & 0x3f) | 0x80, b[9], b[10], b[11], b[12], b[13],
        b[14], b[15]);
}

static void take_tree(struct ledger_inner *in) {
    struct node *n = &in->nodes[TREE];
    free(take_ptr(n->write));
    if (!n->read || !is_plain(n->read))
        make_tree(in);
    free(in->ledger->tree);
    in->ledger->tree = xstrdup(n->write ? n->write : n->read);
}

// Answers whether /leader is ours already.
static bool take_leader(struct ledger_inner *in) {
    struct ledger *l = in->ledger;
    auto_json json_t *record = object_of(in->nodes[LEADER].read, "/leader");
    auto_json json_t *proposal = object_of(in->nodes[PROPOSAL].read, "/proposal");
    in->seen = epoch_of(in, record);
    bool ours = in->seen == in->epoch;
    int64_t proposed = number(proposal, "epoch") == in->epoch ? number(proposal, "round") : 0;
    int64_t round = ours ? number(record, "round") : 0;
    l->generation = number(record, "generation");
    if (proposed > round)
        round = proposed;
    // Pods have heard of what we used ourselves, whatever has become of the nodes since.
    if (round > l->round)
        l->round = round;
    // An original leader writes /hash alone: then the two differ, and a round is due.
    const char *hash = in->nodes[HASH].read ? in->nodes[HASH].read : "";
    if (*hash && !is_plain(hash))
        hash = "-"; // somebody's, never equal to ours
    l->open = json_is_true(json_object_get(record, "open")) ||
              (*hash && strcmp(hash, json_text(record, "hash")) != 0);
    free(l->hash);
    l->hash = xstrdup(hash);
    replace(&l->dead, dead_of(record));
    replace(&l->proposed, member_object(proposal, "dependencies"));
    replace(&l->members, object_of(in->nodes[MEMBERS].read, "/members"));
    return ours;
}

static void become(struct ledger_inner *in, const struct err *err) {
    if (err->kind != ERR_NONE) {
        finish(in, err);
        return;
    }
    take_tree(in);
    bool ours = take_leader(in);
    if (in->seen > in->epoch) {
        struct err fenced = ERR_INIT;
        err_set(&fenced, ERR_FENCED, "a newer leader has been here (epoch %" PRId64 ")", in->seen);
        finish(in, &fenced);
        return;
    }
    if (ours && !in->nodes[TREE].write) {
        finish(in, &(struct err)ERR_INIT);
        return;
    }
    in->next.round = in->ledger->round;
    in->next.open = in->ledger->open;
    write_leader(in);
    send_writes(in);
}

void ledger_load(struct ledger *l, ledger_fn *fn, void *arg) {
    begin(l, fn, arg);
    // Never by a guess: a tree that appears meanwhile is not overwritten.
    l->inner->again = become;
    look(l->inner, become);
}

// ---- the round's writes ----

void ledger_propose(struct ledger *l, const struct cluster *c, const char *hash, int64_t round,
                    ledger_fn *fn, void *arg) {
    begin(l, fn, arg);
    struct ledger_inner *in = l->inner;
    char *text = reference_proposal(c, hash, in->epoch, round);
    l->proposal_len = strlen(text);
    if (l->proposal_len <= ZK_MAX_DATA) {
        digest_hex(text, l->proposal_len, l->digest);
    } else {
        // Nobody can be referred to it. Who leads next still wants to know the round's number.
        free(text);
        text = reference_proposal(NULL, hash, in->epoch, round);
        *l->digest = '\0';
    }
    in->nodes[PROPOSAL].write = text;
    in->next.round = round;
    write_leader(in); // who comes back from now on hears of no older round
    send_writes(in);
}

void ledger_mark(struct ledger *l, const json_t *members, ledger_fn *fn, void *arg) {
    begin(l, fn, arg);
    struct ledger_inner *in = l->inner;
    in->next.open = true;
    in->next.members = json_deep_copy(members);
    in->nodes[MEMBERS].write = json_write(members);
    write_leader(in);
    send_writes(in);
}

static size_t size_of(const json_t *value) {
    return json_dumpb(value, NULL, 0, JSON_COMPACT);
}

int ledger_fits(const struct cluster *c, struct err *err) {
    size_t n = json_object_size(c->pods), snapshot = size_of(c->pods);
    if (snapshot > ZK_MAX_DATA)
        return err_set(
            err, ERR_LIMIT,
            "the snapshot of %zu pods would be %zu bytes, the limit is %d: nothing was done", n,
            snapshot, (int)ZK_MAX_DATA);
    // Whoever turns out to be dead leaves the snapshot, which is more than his line in /leader.
    size_t all = snapshot + size_of(c->members) + FIXED;
    if (all <= ZK_MAX_PACKET)
        return 0;
    return err_set(err, ERR_LIMIT,
                   "snapshot and members of %zu pods would be %zu bytes, the limit is %d: nothing "
                   "was done",
                   n, all, (int)ZK_MAX_PACKET);
}

void ledger_commit(struct ledger *l, const struct cluster *c, const char *hash, int64_t round,
                   json_t *dead, ledger_fn *fn, void *arg) {
    begin(l, fn, arg);
    struct ledger_inner *in = l->inner;
    in->next.hash = xstrdup(hash);
    in->next.generation = l->generation + 1;
    in->next.round = round;
    in->next.open = false;
    in->next.dead = json_deep_copy(dead);
    in->next.members = json_deep_copy(c->members);
    in->nodes[SNAPSHOT].write = json_write(c->pods);
    in->nodes[HASH].write = xstrdup(hash);
    in->nodes[MEMBERS].write = json_write(c->members);
    write_leader(in);
    send_writes(in);
}

void ledger_bury(const struct ledger *l, struct cluster *c, const json_t *births) {
    const char *id;
    json_t *czxid;
    json_object_foreach(l->dead, id, czxid) {
        if (json_equal(czxid, json_object_get(births, id)))
            json_object_del(c->pods, id);
    }
}

bool ledger_matches(const struct ledger *l, const char *hash) {
    return !l->open && strcmp(hash, l->hash) == 0;
}

// ---- life ----

struct ledger *ledger_create(struct zk *zk, const char *root, const char *lock_path,
                             int64_t epoch) {
    struct ledger *l = xnew(struct ledger);
    struct ledger_inner *in = xnew(struct ledger_inner);
    *l = (struct ledger){
        .tree = xstrdup(""),
        .hash = xstrdup(""),
        .dead = json_object(),
        .members = json_object(),
        .proposed = json_object(),
        .inner = in,
    };
    *in = (struct ledger_inner){.ledger = l, .zk = zk, .epoch = epoch};
    for (int i = 0; i < NODES; i++) {
        in->nodes[i].inner = in;
        in->nodes[i].path = i == LOCK ? xstrdup(lock_path) : xasprintf("%s/%s", root, names[i]);
    }
    return l;
}

void ledger_cancel(struct ledger *l) {
    idle(l->inner);
}

void ledger_free(struct ledger *l) {
    if (!l)
        return;
    idle(l->inner);
    for (int i = 0; i < NODES; i++) {
        free(l->inner->nodes[i].path);
        free(l->inner->nodes[i].read);
    }
    free(l->inner);
    free(l->tree);
    free(l->hash);
    json_decref(l->dead);
    json_decref(l->members);
    json_decref(l->proposed);
    free(l);
}

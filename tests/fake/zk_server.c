#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "tests/fake/zk_inside.h"
#include <string.h>

struct fake_zk *fake_zk_the_server;

static void fire_all(struct fake_zk *s) {
    struct zk *zk;
    list_each(zk, &s->clients, struct zk, link) {
        if (zk->connected && !zk->stalled && !zk->crashed)
            fake_zk_fire(zk);
    }
}

// ---- transactions ----

// Tells the test what became of each node that the transaction touched: first what is gone.
static void report(struct fake_zk *s, int64_t session) {
    if (!s->on_change)
        return;
    struct before *b;
    list_each(b, &s->tree.touched, struct before, link) {
        if (b->node && !tree_find(&s->tree, b->path))
            s->on_change(b->path, session, s->tree.zxid, false, s->on_change_arg);
    }
    list_each(b, &s->tree.touched, struct before, link) {
        const struct node *n = tree_find(&s->tree, b->path);
        if (n && n->stat.mzxid == s->tree.zxid)
            s->on_change(b->path, session, s->tree.zxid, true, s->on_change_arg);
    }
}

// All or nothing, under one zxid.
int fake_zk_transact(struct fake_zk *s, int64_t session, fake_zk_change_fn *change, void *arg) {
    s->tree.zxid++;
    int rc = change(s, session, arg);
    if (rc) {
        tree_undo(&s->tree);
        return rc;
    }
    s->writes++;
    report(s, session);
    tree_keep(&s->tree);
    fire_all(s);
    return 0;
}

static int drop_ephemerals(struct fake_zk *s, int64_t session, void *arg) {
    (void)arg;
    struct node *n;
    list_each(n, &s->tree.nodes, struct node, link) {
        if (session && n->stat.ephemeral_owner == session)
            tree_delete(&s->tree, n->path, ZK_ANY_VERSION);
    }
    return 0;
}

// ---- sessions ----

static struct zk *client_of(struct fake_zk *s, int64_t session) {
    struct zk *zk;
    list_each(zk, &s->clients, struct zk, link) {
        if (zk->session && zk->session->id == session)
            return zk;
    }
    return NULL;
}

struct session *fake_zk_session_create(struct fake_zk *s, int timeout) {
    struct session *it = xnew(struct session);
    it->server = s;
    it->id = s->next_session++;
    it->timeout = timeout;
    list_append(&s->sessions, &it->link);
    return it;
}

void fake_zk_session_end(void *arg) {
    struct session *it = arg;
    struct fake_zk *s = it->server;
    struct zk *zk = client_of(s, it->id);
    int64_t id = it->id;
    loop_timer_stop(&it->expiry);
    list_remove(&it->link);
    free(it);
    if (zk)
        zk->session = NULL;
    fake_zk_transact(s, id, drop_ephemerals, NULL);
    if (zk && zk->connected && !zk->stalled && !zk->closed)
        fake_zk_cut(zk, RECONNECT_MS);
}

void fake_zk_session_unheard(struct session *it) {
    if (it && !it->server->down && !it->expiry)
        loop_timer_start(it->server->loop, &it->expiry, it->timeout, fake_zk_session_end, it);
}

void fake_zk_down(struct fake_zk *server) {
    server->down = true;
    struct session *it;
    list_each(it, &server->sessions, struct session, link) {
        loop_timer_stop(&it->expiry);
    }
    struct zk *zk;
    list_each(zk, &server->clients, struct zk, link) {
        if (zk->connected && !zk->closed && !zk->crashed)
            fake_zk_cut(zk, RECONNECT_MS);
    }
}

void fake_zk_up(struct fake_zk *server) {
    server->down = false;
    struct session *it;
    list_each(it, &server->sessions, struct session, link) {
        fake_zk_session_unheard(it);
    }
    struct zk *zk;
    list_each(zk, &server->clients, struct zk, link) {
        if (!zk->connected && zk->state != ZK_LOST && !zk->closed)
            fake_zk_reconnect(zk);
    }
}

void fake_zk_wipe(struct fake_zk *server) {
    fake_zk_down(server);
    tree_done(&server->tree);
    tree_init(&server->tree);
    server->tree.zxid = 0;
    while (!list_empty(&server->sessions)) {
        struct session *it = list_first(&server->sessions, struct session, link);
        struct zk *zk = client_of(server, it->id);
        if (zk)
            zk->session = NULL;
        loop_timer_stop(&it->expiry);
        list_remove(&it->link);
        free(it);
    }
    fake_zk_up(server);
}

// ---- the test's own hands ----

struct fake_zk *fake_zk_create(struct loop *loop) {
    struct fake_zk *s = xnew(struct fake_zk);
    s->loop = loop;
    s->latency = 1;
    s->next_session = 0x100000001;
    s->max_names = ZK_MAX_NAMES;
    list_init(&s->sessions);
    list_init(&s->clients);
    tree_init(&s->tree);
    fake_zk_the_server = s;
    return s;
}

bool fake_zk_quiet(const struct fake_zk *server) {
    return list_empty(&server->clients);
}

void fake_zk_free(struct fake_zk *server) {
    CHECK(list_empty(&server->clients));
    tree_done(&server->tree);
    while (!list_empty(&server->sessions)) {
        struct session *it = list_first(&server->sessions, struct session, link);
        loop_timer_stop(&it->expiry);
        list_remove(&it->link);
        free(it);
    }
    if (fake_zk_the_server == server)
        fake_zk_the_server = NULL;
    free(server);
}

void fake_zk_latency(struct fake_zk *server, int64_t one_way_ms) {
    server->latency = one_way_ms;
}

struct zk *fake_zk_owner(struct fake_zk *server, const char *ephemeral) {
    const struct node *n = tree_find(&server->tree, ephemeral);
    return n ? client_of(server, n->stat.ephemeral_owner) : NULL;
}

struct zk *fake_zk_newest(struct fake_zk *server) {
    return list_empty(&server->clients) ? NULL : list_entry(server->clients.prev, struct zk, link);
}

int64_t fake_zk_stranger(struct fake_zk *server) {
    return fake_zk_session_create(server, 1 << 30)->id;
}

void fake_zk_stranger_gone(struct fake_zk *server, int64_t session) {
    struct session *it;
    list_each(it, &server->sessions, struct session, link) {
        if (it->id == session)
            fake_zk_session_end(it);
    }
}

struct put {
    const char *path, *data;
    int flags;
    char *created;
};

static int do_put(struct fake_zk *s, int64_t session, void *arg) {
    struct put *p = arg;
    auto_free char *above = tree_parent(p->path);
    int flags = p->flags | (session ? ZK_EPHEMERAL : 0);
    if (!(flags & ZK_SEQUENCE) && tree_find(&s->tree, p->path)) {
        p->created = xstrdup(p->path);
        return tree_set(&s->tree, p->path, p->data, strlen(p->data), ZK_ANY_VERSION);
    }
    tree_ensure(&s->tree, above);
    return tree_create(&s->tree, p->path, p->data, strlen(p->data), flags, session, &p->created);
}

const char *fake_zk_put(struct fake_zk *server, int64_t session, const char *path, const char *data,
                        int flags) {
    struct put p = {path, data, flags, NULL};
    CHECK(fake_zk_transact(server, session, do_put, &p) == 0);
    const struct node *n = tree_find(&server->tree, p.created);
    free(p.created);
    return n->path;
}

static int do_remove(struct fake_zk *s, int64_t session, void *arg) {
    (void)session;
    return tree_delete(&s->tree, arg, ZK_ANY_VERSION);
}

bool fake_zk_remove(struct fake_zk *server, const char *path) {
    auto_free char *copy = xstrdup(path);
    return fake_zk_transact(server, 0, do_remove, copy) == 0;
}

const char *fake_zk_data(const struct fake_zk *server, const char *path) {
    const struct node *n = tree_find(&server->tree, path);
    return n ? n->data : NULL;
}

bool fake_zk_stat(const struct fake_zk *server, const char *path, struct zk_stat *ret) {
    const struct node *n = tree_find(&server->tree, path);
    if (n)
        *ret = n->stat;
    return n != NULL;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **fake_zk_children(const struct fake_zk *server, const char *path) {
    char **names = tree_names(&server->tree, path);
    qsort(names, text_list_len(names), sizeof *names, by_name);
    return names;
}

int fake_zk_requests(const struct fake_zk *server) {
    return server->requests;
}

int fake_zk_writes(const struct fake_zk *server) {
    return server->writes;
}

int fake_zk_follows(const struct fake_zk *server) {
    int n = 0;
    struct zk *zk;
    list_each(zk, &server->clients, struct zk, link) {
        for (struct link *f = zk->follows.next; f != &zk->follows; f = f->next)
            n++;
    }
    return n;
}

void fake_zk_on_change(struct fake_zk *server,
                       void (*fn)(const char *path, int64_t session, int64_t zxid, bool there,
                                  void *arg),
                       void *arg) {
    server->on_change = fn;
    server->on_change_arg = arg;
}

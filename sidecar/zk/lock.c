#include "sidecar/zk/lock.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/cluster/digest.h"
#include <ctype.h>
#include <string.h>

#define MARK "__lock__"

enum { PAUSE_MS = 250, ALARM_MS = 10000, DIGITS = 10, HEX = 32 };

struct lock {
    struct loop *loop;
    struct zk *zk;
    char *folder, *prefix; // prefix: "<hex>__lock__"
    char *path;            // our node; NULL: none, or not known
    const char *name;      // the end of it
    char *before;          // whom we wait for
    int64_t czxid;         // 0 until our own node was read and is our session's
    bool lowest, held, over;
    bool doubt;   // whether our last create made a node
    bool swept;   // the last look found ghosts of ours and deleted them
    bool leaving; // by lock_release
    bool alarmed; // refused, and that was said
    struct zk_op *op;
    struct zk_follow *own, *predecessor;
    struct loop_timer *pause;
    const struct lock_events *events;
    void *arg;
    void (*done)(void *arg);
    void *done_arg;
};

static void make(struct lock *l);
static void look(struct lock *l);

// ---- names ----

// The number a contender stands in the queue with; -1: not one.
static int64_t number_of(const char *name) {
    const char *mark = NULL;
    for (const char *m = strstr(name, MARK); m; m = strstr(m + 1, MARK))
        mark = m;
    const char *digits = mark ? mark + strlen(MARK) : "";
    int64_t n;
    if (strlen(digits) != DIGITS || text_int(digits, 0, 9999999999, &n, NULL))
        return -1;
    return n;
}

// A node of ours, of this session or another.
static bool is_ours(const struct lock *l, const char *name) {
    return text_starts(name, l->prefix) && number_of(name) >= 0;
}

static char *path_of(const struct lock *l, const char *name) {
    return xasprintf("%s/%s", l->folder, name);
}

static void set_path(struct lock *l, char *path) {
    free(l->path);
    l->path = path;
    l->name = path ? strrchr(path, '/') + 1 : NULL;
    l->czxid = 0;
    l->lowest = false;
    zk_unfollow(&l->own);
}

// ---- the end ----

static void gone(struct lock *l) {
    l->over = true;
    zk_unfollow(&l->own);
    zk_unfollow(&l->predecessor);
    log_debug("lock %s state=gone", l->path);
    l->events->on_gone(l->arg);
}

static void left(struct lock *l) {
    void (*done)(void *arg) = l->done;
    void *arg = l->done_arg;
    lock_free(l);
    if (done)
        done(arg);
}

// ---- again ----

static void on_pause(void *arg) {
    struct lock *l = arg;
    enum zk_state state = zk_state(l->zk);
    if (state == ZK_CONNECTED)
        look(l);
    else if (state != ZK_LOST)
        loop_timer_start(l->loop, &l->pause, PAUSE_MS, on_pause, l);
    else if (l->leaving)
        left(l); // else our owner is told by the session itself
}

static void look_later(struct lock *l) {
    loop_timer_start(l->loop, &l->pause, PAUSE_MS, on_pause, l);
}

// Once, until something else comes between.
static void say_refused(struct lock *l, const struct err *err) {
    if (!l->alarmed)
        log_err("lock %s: cannot stand for leader: %s, tried again every few seconds", l->folder,
                err->text);
    l->alarmed = true;
}

// An access list that refuses us, or a folder that is overfull, does not change by being asked: no
// hurry.
static void look_after(struct lock *l, const struct err *err) {
    if (err->kind == ERR_REFUSED || err->kind == ERR_LIMIT) {
        say_refused(l, err);
        loop_timer_start(l->loop, &l->pause, ALARM_MS, on_pause, l);
        return;
    }
    l->alarmed = false;
    look_later(l);
}

// ---- where we stand ----

static void hold_if_proven(struct lock *l) {
    if (l->held || !l->lowest || !l->czxid)
        return;
    l->held = true;
    log_debug("lock %s state=held epoch=%lld", l->path, (long long)l->czxid);
    l->events->on_held(l->path, l->czxid, l->arg);
}

static void on_own(const char *data, size_t len, const struct zk_stat *stat, const struct err *err,
                   void *arg) {
    struct lock *l = arg;
    (void)data;
    (void)len;
    if (err->kind == ERR_ABSENT) {
        gone(l);
    } else if (!stat) {
        say_refused(l, err);
    } else if (stat->ephemeral_owner != zk_session(l->zk)) {
        set_path(l, NULL); // found by its name after a doubt, yet a ghost's
        look(l);
    } else {
        l->czxid = stat->czxid;
        hold_if_proven(l);
    }
}

static void on_predecessor(const char *data, size_t len, const struct zk_stat *stat,
                           const struct err *err, void *arg) {
    struct lock *l = arg;
    (void)data;
    (void)len;
    if (err->kind == ERR_ABSENT) {
        zk_unfollow(&l->predecessor);
        look(l);
    } else if (!stat) {
        say_refused(l, err);
    }
}

static void wait_for(struct lock *l, const char *name) {
    if (l->predecessor && text_same(l->before, name))
        return;
    auto_free char *path = path_of(l, name);
    zk_unfollow(&l->predecessor);
    free(l->before);
    l->before = xstrdup(name);
    log_debug("lock %s state=waiting for=%s", l->path, name);
    l->predecessor = zk_follow_life(l->zk, path, on_predecessor, l);
}

// The nearest one before us; NULL: none.
static const char *nearest_before(const struct lock *l, char *const *names, size_t n) {
    int64_t mine = number_of(l->name), best = -1;
    const char *name = NULL;
    for (size_t i = 0; i < n; i++) {
        int64_t it = number_of(names[i]);
        if (it < 0 || it >= mine || it <= best)
            continue;
        best = it;
        name = names[i];
    }
    return name;
}

static void take_place(struct lock *l, char *const *names, size_t n) {
    if (!l->own)
        l->own = zk_follow_life(l->zk, l->path, on_own, l);
    const char *before = nearest_before(l, names, n);
    if (before) {
        wait_for(l, before);
        return;
    }
    zk_unfollow(&l->predecessor);
    l->lowest = true;
    hold_if_proven(l);
}

// ---- what is there ----

// Nodes with our hex that we do not stand on: of an earlier session, or of a create whose answer
// was lost. All of them when we leave. false: there were none.
static bool delete_ghosts(struct lock *l, char *const *names, size_t n) {
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (!is_ours(l, names[i]) || (!l->leaving && text_same(names[i], l->name)))
            continue;
        auto_free char *path = path_of(l, names[i]);
        zk_delete(l->zk, path, ZK_ANY_VERSION, NULL, NULL); // the list is read again after it
        any = true;
    }
    return any;
}

// The last one made: the others can only be older.
static const char *newest_of_ours(const struct lock *l, char *const *names, size_t n) {
    const char *newest = NULL;
    for (size_t i = 0; i < n; i++) {
        if (is_ours(l, names[i]) && (!newest || number_of(names[i]) > number_of(newest)))
            newest = names[i];
    }
    return newest;
}

static bool contains(char *const *names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static void judge(struct lock *l, char *const *names, size_t n) {
    if (l->path && !l->leaving && !contains(names, n, l->name)) {
        gone(l);
        return;
    }
    if (delete_ghosts(l, names, n)) {
        if (l->swept)
            look_later(l); // they do not go: no hurry
        else
            look(l);
        l->swept = true;
        return;
    }
    l->swept = false;
    if (l->leaving)
        left(l);
    else if (l->path)
        take_place(l, names, n);
    else
        make(l);
}

static void on_names(char *const *names, size_t n, const struct err *err, void *arg) {
    struct lock *l = arg;
    l->op = NULL;
    if (err->kind == ERR_ABSENT) {
        judge(l, NULL, 0);
        return;
    }
    if (err->kind != ERR_NONE) {
        if (l->leaving && err->kind == ERR_REFUSED)
            left(l); // ours goes with the session
        else
            look_after(l, err);
        return;
    }
    // After a lost answer the newest of ours may be it; on_own finds out whose it is.
    const char *mine = l->path || l->leaving || !l->doubt ? NULL : newest_of_ours(l, names, n);
    if (mine)
        set_path(l, path_of(l, mine));
    l->doubt = false;
    judge(l, names, n);
}

static void look(struct lock *l) {
    if (!l->op)
        l->op = zk_names(l->zk, l->folder, on_names, l);
}

// ---- our node ----

static void on_folder(const struct err *err, void *arg) {
    struct lock *l = arg;
    l->op = NULL;
    if (err->kind == ERR_NONE)
        make(l);
    else
        look_after(l, err);
}

static void on_made(const char *path, const struct zk_stat *stat, const struct err *err,
                    void *arg) {
    struct lock *l = arg;
    (void)stat;
    l->op = NULL;
    if (err->kind == ERR_ABSENT && !l->leaving) {
        l->op = zk_ensure(l->zk, l->folder, on_folder, l);
        return;
    }
    l->doubt = err->kind == ERR_RETRY;
    if (err->kind != ERR_NONE) {
        look_after(l, err);
        return;
    }
    l->alarmed = false;
    set_path(l, xstrdup(path));
    look(l);
}

static void make(struct lock *l) {
    auto_free char *path = path_of(l, l->prefix);
    l->op = zk_create(l->zk, path, "", 0, ZK_EPHEMERAL | ZK_SEQUENCE, on_made, l);
}

// What is no uuid is known by its digest.
static char *prefix_of(const char *pod_id) {
    char hex[65];
    size_t n = 0;
    for (const char *p = pod_id; *p && n <= HEX; p++) {
        if (isxdigit((unsigned char)*p))
            hex[n++] = (char)tolower((unsigned char)*p);
    }
    if (n != HEX || strlen(pod_id) != HEX + strlen("----"))
        digest_hex(pod_id, strlen(pod_id), hex);
    return xasprintf("%.*s" MARK, HEX, hex);
}

struct lock *lock_create(struct loop *loop, struct zk *zk, const char *folder, const char *pod_id,
                         const struct lock_events *events, void *arg) {
    struct lock *l = xnew(struct lock);
    l->loop = loop;
    l->zk = zk;
    l->folder = xstrdup(folder);
    l->prefix = prefix_of(pod_id);
    l->events = events;
    l->arg = arg;
    make(l);
    return l;
}

const char *lock_path(const struct lock *lock) {
    return lock->over ? NULL : lock->path;
}

void lock_release(struct lock *l, void (*done)(void *arg), void *arg) {
    l->leaving = true;
    l->done = done;
    l->done_arg = arg;
    zk_unfollow(&l->own);
    zk_unfollow(&l->predecessor);
    loop_timer_stop(&l->pause);
    look(l); // or what is under way ends there
}

void lock_free(struct lock *l) {
    if (!l)
        return;
    zk_forget(&l->op);
    zk_unfollow(&l->own);
    zk_unfollow(&l->predecessor);
    loop_timer_stop(&l->pause);
    free(l->folder);
    free(l->prefix);
    free(l->path);
    free(l->before);
    free(l);
}

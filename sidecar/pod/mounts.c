#include "sidecar/pod/mounts.h"
#include "base/check.h"
#include "base/own.h"
#include "sidecar/pod/below.h"
#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

enum { WALK_MAX = 50000 }; // entries looked at for a socket below one mount

static bool same_path(const char *a, const char *b) {
    return below_path(a, b) && below_path(b, a);
}

static bool is_listed(const struct spec *spec, const char *path) {
    for (char **it = spec->workload.volumes; it && *it; it++)
        if (same_path(*it, path))
            return true;
    return false;
}

static bool holds_target(const struct spec *spec, const char *dir) {
    for (size_t i = 0; i < spec->files_len; i++)
        if (below_path(spec->files[i].target, dir))
            return true;
    return false;
}

// ---- the engine's socket ----

// nftw takes no argument. Loop thread only.
static struct {
    dev_t dev;
    ino_t ino;
    int seen;
    bool found;
} sought;

static int visit(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)path;
    (void)at;
    if (type != FTW_NS && st->st_dev == sought.dev && st->st_ino == sought.ino)
        sought.found = true;
    return sought.found || ++sought.seen > WALK_MAX;
}

// false with errno 0: surely not in there.
static bool contains(const char *dir, const struct stat *socket, bool *ret_unsure) {
    sought.dev = socket->st_dev;
    sought.ino = socket->st_ino;
    sought.seen = 0;
    sought.found = false;
    int rc = nftw(dir, visit, 16, FTW_PHYS);
    *ret_unsure = rc && !sought.found;
    return sought.found;
}

static bool is_secret(const char *path) {
    return below_path(path, "/run/secrets") || below_path(path, "/var/run/secrets");
}

// A file that has one name is where that one is. Only of one with more, or where the kernel does
// not say what is mounted where, must be looked at all that is there.
static bool shows_socket(const char *dir, const char *path, const struct stat *socket,
                         bool *ret_unsure) {
    switch (below_find(dir, path)) {
    case BELOW_YES:
        return true;
    case BELOW_NO:
        return false;
    case BELOW_RENAMED:
        return socket->st_nlink > 1 && contains(dir, socket, ret_unsure);
    case BELOW_UNKNOWN:
        break;
    }
    return contains(dir, socket, ret_unsure);
}

// What a volume of the engine's own store holds was put there by containers; a bind, or a volume
// that is a bind in disguise, shows the host.
static void check_socket(const struct docker_mount *m, const char *path, struct text *report) {
    struct stat st, socket;
    bool unsure = false;
    if (!path || stat(path, &socket) || stat(m->destination, &st))
        return;
    if (shows_socket(m->destination, path, &socket, &unsure))
        text_addf(report,
                  "workload.volumes: %s is or contains the engine's socket: whoever holds it is "
                  "root on the host; leave it out\n",
                  m->destination);
    else if (unsure && strcmp(m->type, "bind") == 0)
        text_addf(report,
                  "workload.volumes: %s is too large to be sure that the engine's socket is not "
                  "in it under another name; list a smaller folder\n",
                  m->destination);
}

// ---- the choice ----

static void check_nested(const struct docker_mount *m, const struct docker_container *self,
                         struct text *report) {
    for (size_t i = 0; i < self->mounts_len; i++) {
        const char *other = self->mounts[i].destination;
        if (&self->mounts[i] != m && below_path(other, m->destination))
            text_addf(report,
                      "%s is mounted inside the shared volume %s: the engine then no longer "
                      "copies what the image ships there; mount it elsewhere\n",
                      other, m->destination);
    }
}

static bool wanted(const struct spec *spec, const struct docker_mount *m) {
    if (strcmp(m->type, "volume") == 0 && *m->name)
        return is_listed(spec, m->destination) || holds_target(spec, m->destination);
    return strcmp(m->type, "bind") == 0 && is_listed(spec, m->destination);
}

static json_t *api_mount(const struct docker_mount *m) {
    bool volume = strcmp(m->type, "volume") == 0;
    json_t *j = json_pack("{s:s, s:s, s:s, s:b}", "Type", m->type, "Source",
                          volume ? m->name : m->source, "Target", m->destination, "ReadOnly",
                          !m->rw);
    CHECK(j);
    return j;
}

static void share(struct mounts *mounts, const struct docker_mount *m) {
    size_t n = text_list_len(mounts->roots);
    mounts->roots = xrealloc(mounts->roots, (n + 2) * sizeof *mounts->roots);
    mounts->roots[n] = xstrdup(m->destination);
    mounts->roots[n + 1] = NULL;
    CHECK(json_array_append_new(mounts->api, api_mount(m)) == 0);
}

static void check_listed(const struct spec *spec, const struct docker_container *self,
                         struct text *report) {
    for (char **it = spec->workload.volumes; it && *it; it++) {
        bool found = false;
        for (size_t i = 0; self && i < self->mounts_len; i++)
            found |= same_path(self->mounts[i].destination, *it);
        if (!found)
            text_addf(report,
                      "workload.volumes: nothing is mounted at %s in the sidecar's container; "
                      "add a volume there or leave it out\n",
                      *it);
    }
}

static int by_place(const void *a, const void *b) {
    const struct docker_mount *const *x = a, *const *y = b;
    return strcmp((*x)->destination, (*y)->destination);
}

// The engine keeps them in a map and names them in another order each time; what is made of them is
// compared.
static const struct docker_mount **in_order(const struct docker_container *self) {
    size_t n = self ? self->mounts_len : 0;
    const struct docker_mount **list = xcalloc(n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = &self->mounts[i];
    qsort(list, n, sizeof *list, by_place);
    return list;
}

static void mounts_release(struct mounts **m) {
    mounts_free(*m);
}

int mounts_choose(const struct spec *spec, const struct docker_container *self, const char *socket,
                  struct text *report, struct mounts **ret, struct err *err) {
    __attribute__((cleanup(mounts_release))) struct mounts *mounts = xnew(struct mounts);
    auto_text struct text own = {0};
    mounts->api = json_array();
    mounts->roots = xcalloc(1, sizeof *mounts->roots);
    check_listed(spec, self, &own);
    auto_free const struct docker_mount **all = in_order(self);
    for (size_t i = 0; all[i]; i++) {
        const struct docker_mount *m = all[i];
        if (!wanted(spec, m))
            continue;
        if (is_secret(m->destination)) {
            text_addf(&own, "workload.volumes: %s holds secrets, which are never passed on\n",
                      m->destination);
            continue;
        }
        check_socket(m, socket, &own);
        check_nested(m, self, &own);
        share(mounts, m);
    }
    if (own.len) {
        text_add(report, own.s);
        return err_set(err, ERR_USER, "%.*s", (int)strcspn(own.s, "\n"), own.s);
    }
    *ret = take_ptr(mounts);
    return 0;
}

void mounts_free(struct mounts *mounts) {
    if (!mounts)
        return;
    text_list_free(mounts->roots);
    json_decref(mounts->api);
    free(mounts);
}

bool mounts_cover(const struct mounts *mounts, const char *path) {
    for (char **it = mounts->roots; *it; it++)
        if (below_path(path, *it))
            return true;
    return false;
}

// Which container are we? No single sign is reliable: the host name may be set or another's
// (network container:X), cgroup v2 hides the id, mountinfo shows X's files with network
// container:X. So the signs give candidates, and a file with a random name in our own root file
// system, asked for through the engine's archive call, is the proof. Where the root is read-only
// and no such file can be made, the id that mountinfo names is believed if that container runs and
// has a network of its own.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/table.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { ID_LEN = 64, CANDIDATES_MAX = 64 };

struct binding_self {
    struct docker *docker;
    const struct binding_wish *wish;
    binding_self_fn *fn;
    void *arg;
    struct docker_call *call;
    char *candidates[CANDIDATES_MAX];
    size_t len, at;
    bool believed_first; // candidates[0] comes from mountinfo
    bool listed, listed_task;
    char nonce[64]; // path, "" when the root is read-only
    struct docker_container *found;
};

static void try_next(struct binding_self *s);

static size_t hex_run(const char *s) {
    size_t n = 0;
    while (isdigit((unsigned char)s[n]) || (s[n] >= 'a' && s[n] <= 'f'))
        n++;
    return n;
}

// The engine mounts a host name, a hosts file and a resolv.conf of each container's own from a
// folder that carries an id (Docker: containers/<id>/, podman: overlay-containers/<id>/userdata).
// On the host, too, mounts carry ids, but not at these places.
static const char *id_of_mount(const char *line) {
    static const char *const places[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"};
    const char *field = line;
    for (int i = 0; field && i < 3; i++) // mount id, parent, device
        field = (field = strchr(field, ' ')) ? field + 1 : NULL;
    const char *place = field ? strchr(field, ' ') : NULL;
    if (!place)
        return NULL;
    bool ours = false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        ours |= text_starts(place + 1, places[i]) && place[1 + strlen(places[i])] == ' ';
    const char *id = strstr(field, "containers/");
    if (!ours || !id || id > place || hex_run(id + strlen("containers/")) != ID_LEN)
        return NULL;
    return id + strlen("containers/");
}

// /.dockerenv says little: whole machines are made from such images.
bool binding_in_container(void) {
    auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
    auto_free char *line = NULL;
    size_t room = 0;
    while (f && getline(&line, &room, f) > 0)
        if (id_of_mount(line))
            return true;
    return false;
}

static void add_candidate(struct binding_self *s, const char *id, size_t len) {
    if (s->len == CANDIDATES_MAX)
        return;
    for (size_t i = 0; i < s->len; i++)
        if (strncmp(s->candidates[i], id, len) == 0)
            return;
    s->candidates[s->len++] = xstrndup(id, len);
}

static void add_from_mounts(struct binding_self *s) {
    auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
    auto_free char *line = NULL;
    size_t room = 0;
    while (f && getline(&line, &room, f) > 0) {
        const char *id = id_of_mount(line);
        if (id)
            add_candidate(s, id, ID_LEN);
    }
    s->believed_first = s->len == 1;
}

static void add_from_cgroup(struct binding_self *s) {
    auto_file FILE *f = fopen("/proc/self/cgroup", "re");
    auto_free char *line = NULL;
    size_t room = 0;
    while (f && getline(&line, &room, f) > 0)
        for (const char *p = line; *p; p++)
            if ((p == line || !isxdigit((unsigned char)p[-1])) && hex_run(p) == ID_LEN)
                add_candidate(s, p, ID_LEN);
}

static void collect(struct binding_self *s) {
    add_from_mounts(s);
    add_from_cgroup(s);
    const char *mesos = binding_env(s->wish, "MESOS_CONTAINER_NAME");
    if (mesos && *mesos)
        add_candidate(s, mesos, strlen(mesos));
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    if (*host)
        add_candidate(s, host, strlen(host));
}

static void make_nonce(struct binding_self *s) {
    unsigned char bytes[12];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return;
    int at = snprintf(s->nonce, sizeof s->nonce, "/.ochopod-self-");
    for (size_t i = 0; i < sizeof bytes; i++)
        at += snprintf(s->nonce + at, sizeof s->nonce - (size_t)at, "%02x", bytes[i]);
    int fd = open(s->nonce, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        s->nonce[0] = 0;
    else
        close(fd);
}

static void self_free(struct binding_self *s) {
    docker_cancel(&s->call);
    if (*s->nonce)
        unlink(s->nonce);
    for (size_t i = 0; i < s->len; i++)
        free(s->candidates[i]);
    docker_container_free(s->found);
    free(s);
}

static void answer(struct binding_self *s, const struct err *err) {
    binding_self_fn *fn = s->fn;
    void *arg = s->arg;
    struct docker_container *found = err->kind == ERR_NONE ? take_ptr(s->found) : NULL;
    self_free(s);
    fn(found, err, arg);
}

static void is_self(struct binding_self *s) {
    struct err none = ERR_INIT;
    answer(s, &none);
}

static void proven(bool exists, const struct err *err, void *arg) {
    struct binding_self *s = arg;
    s->call = NULL;
    if (err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT) {
        answer(s, err);
        return;
    }
    if (err->kind == ERR_NONE && exists) {
        is_self(s);
        return;
    }
    try_next(s);
}

static bool believable(const struct binding_self *s) {
    return s->believed_first && s->at == 1 && !text_starts(s->found->network_mode, "container:");
}

static void inspected(struct docker_container *c, const struct err *err, void *arg) {
    struct binding_self *s = arg;
    s->call = NULL;
    if (err->kind == ERR_RETRY || err->kind == ERR_TIMEOUT) {
        answer(s, err);
        return;
    }
    docker_container_free(s->found);
    s->found = c;
    if (!c || !c->running)
        try_next(s);
    else if (*s->nonce)
        s->call = docker_path_stat(s->docker, c->id, s->nonce, proven, s);
    else if (believable(s))
        is_self(s);
    else
        try_next(s);
}

static void listed(const json_t *containers, const struct err *err, void *arg) {
    struct binding_self *s = arg;
    s->call = NULL;
    if (err->kind != ERR_NONE) {
        answer(s, err);
        return;
    }
    size_t i;
    json_t *c;
    json_array_foreach(containers, i, c) {
        const char *id = json_text(c, "Id");
        if (hex_run(id) == ID_LEN)
            add_candidate(s, id, ID_LEN);
    }
    try_next(s);
}

// Marathon 1.5 and later label the container with the task.
static bool ask_by_task(struct binding_self *s) {
    const char *task = binding_env(s->wish, "MESOS_TASK_ID");
    if (s->listed_task || !task || !*task)
        return false;
    s->listed_task = true;
    auto_free char *label = xasprintf("MESOS_TASK_ID=%s", task);
    auto_json json_t *filters = json_pack("{s[s]}", "label", label);
    if (filters) // no UTF-8: no label of anybody's
        s->call = docker_list(s->docker, false, filters, listed, s);
    return filters != NULL;
}

static void try_next(struct binding_self *s) {
    if (s->at < s->len) {
        s->call = docker_inspect(s->docker, s->candidates[s->at++], inspected, s);
        return;
    }
    if (ask_by_task(s))
        return;
    if (!s->listed && *s->nonce) { // no sign was right: ask every running container
        s->listed = true;
        s->call = docker_list(s->docker, false, NULL, listed, s);
        return;
    }
    struct err err = ERR_INIT;
    err_set(&err, ERR_ABSENT, "none of the engine's containers is ours");
    answer(s, &err);
}

struct binding_self *binding_self_find(struct docker *docker, const struct binding_wish *wish,
                                       binding_self_fn *fn, void *arg) {
    struct binding_self *s = xnew(struct binding_self);
    s->docker = docker;
    s->fn = fn;
    s->arg = arg;
    s->wish = wish;
    collect(s);
    make_nonce(s);
    if (!s->len && !ask_by_task(s)) {
        s->listed = true;
        s->call = docker_list(docker, false, NULL, listed, s);
    } else if (s->len) {
        try_next(s);
    }
    return s;
}

void binding_self_cancel(struct binding_self **slot) {
    if (*slot)
        self_free(take_ptr(*slot));
}

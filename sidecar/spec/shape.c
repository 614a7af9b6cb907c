#include "sidecar/spec/shape.h"
#include "base/check.h"
#include "base/own.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TEMPLATE_MAX = 1024 * 1024, FILES_MAX = 100, TOOLS_MAX = 100, VALUE_MAX = 128 * 1024 };

static void *place(const struct key *key, void *base) {
    return (char *)base + key->place;
}

// A string that may be long or empty, as it is written; NULL: complained.
static const char *string_of(struct reader *r, const struct entry *at) {
    if (node_scalar(at->value))
        return at->value->text;
    reader_complain(r, at, "must be a string, not %s", node_kind_name(at->value));
    return NULL;
}

static bool is_map(struct reader *r, const struct entry *at) {
    if (at->value->kind == NODE_MAP)
        return true;
    reader_complain(r, at, "must be a map of keys, not %s", node_kind_name(at->value));
    return false;
}

// ---- actions ----

static void read_action(struct reader *r, const struct entry *at, struct spec_action *action,
                        enum action_kind kind) {
    if (action->kind != ACTION_NONE) {
        reader_complain(r, at, "run and exec exclude each other; keep one");
        return;
    }
    action->argv = read_argv(r, at);
    action->kind = kind;
}

void shape_run(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    read_action(r, at, place(key, base), ACTION_RUN);
}

void shape_exec(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    read_action(r, at, place(key, base), ACTION_EXEC);
}

void shape_probe_run(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    read_action(r, at, place(key, base), ACTION_RUN);
}

void shape_action(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    read_defaults(&action_map, place(key, base));
    read_map(r, &action_map, at, place(key, base));
}

static void need_action(struct reader *r, const struct entry *at, const struct spec_action *it) {
    if (it->kind == ACTION_NONE)
        reader_complain(r, at, "runs nothing; say run: [...] or exec: [...]");
}

void shape_after_action(struct reader *r, const struct entry *at, void *base) {
    need_action(r, at, base);
}

void shape_after_sanity(struct reader *r, const struct entry *at, void *base) {
    struct spec *spec = base;
    need_action(r, at, &spec->hooks[HOOK_SANITY_CHECK]);
}

void shape_tools(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec *spec = base;
    if (!is_map(r, at))
        return;
    if (at->value->len > TOOLS_MAX) {
        reader_complain(r, at, "more than %d tools", TOOLS_MAX);
        return;
    }
    spec->tools = xcalloc(at->value->len, sizeof *spec->tools);
    for (size_t i = 0; i < at->value->len; i++) {
        const struct entry *entry = &at->value->entries[i];
        struct spec_tool *tool = &spec->tools[spec->tools_len++];
        tool->name = xstrdup(entry->key);
        size_t before = reader_enter(r, entry->key, 0);
        const char *wrong = wrong_word(entry->key);
        if (wrong)
            reader_complain(r, entry, "\"%.80s\" %s", entry->key, wrong);
        read_defaults(&action_map, &tool->action);
        read_map(r, &action_map, entry, &tool->action);
        reader_leave(r, before);
    }
}

// ---- ready and check ----

static struct spec_check *new_kind(struct reader *r, const struct key *key, const struct entry *at,
                                   void *base, enum check_kind kind) {
    struct spec_check *check = place(key, base);
    if (check->kind != CHECK_NONE) {
        reader_complain(r, at, "tcp, http, exec and docker exclude each other; keep one");
        return NULL;
    }
    check->kind = kind;
    return check;
}

static bool read_port(struct reader *r, const struct entry *at, const char *text, int *ret) {
    struct err err = ERR_INIT;
    int64_t port;
    if (text_int(text, 1, 65535, &port, &err)) {
        reader_complain(r, at, "%s; say a port of the workload", err.text);
        return false;
    }
    *ret = (int)port;
    return true;
}

void shape_tcp(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    struct spec_check *check = new_kind(r, key, at, base, CHECK_TCP);
    const char *text = check ? string_of(r, at) : NULL;
    if (text)
        read_port(r, at, text, &check->port);
}

void shape_http(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    struct spec_check *check = new_kind(r, key, at, base, CHECK_HTTP);
    const char *text = check ? string_of(r, at) : NULL;
    if (!text)
        return;
    if (*text != ':' || strpbrk(text, " \t\r\n")) {
        reader_complain(r, at, "\"%.80s\" is not a port and a path like \":8081/healthz\"", text);
        return;
    }
    size_t n = strcspn(text + 1, "/?");
    auto_free char *port = xstrndup(text + 1, n);
    const char *path = text + 1 + n;
    if (!read_port(r, at, port, &check->port))
        return;
    free(check->path);
    check->path = *path == '/' ? xstrdup(path) : xasprintf("/%s", path);
}

void shape_check_exec(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    struct spec_check *check = new_kind(r, key, at, base, CHECK_EXEC);
    if (check)
        check->argv = read_argv(r, at);
}

void shape_docker(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    if (!new_kind(r, key, at, base, CHECK_DOCKER))
        return;
    if (at->value->kind != NODE_FLAG || strcasecmp(at->value->text, "true"))
        reader_complain(r, at, "must be true; leave it out when the image has no HEALTHCHECK");
}

static void after_check(struct reader *r, const struct entry *at, const struct spec_check *check) {
    if (check->kind == CHECK_NONE)
        reader_complain(r, at, "tests nothing; say one of tcp, http, exec, docker");
    for (int i = 0; i < 2 && check->kind != CHECK_TCP && check->kind != CHECK_NONE; i++) {
        static const char *const names[] = {"send", "expect"};
        const struct entry *entry = node_get(at->value, names[i]);
        if (entry)
            reader_complain(r, entry, "%s is for tcp alone", names[i]);
    }
}

void shape_after_ready(struct reader *r, const struct entry *at, void *base) {
    struct spec *spec = base;
    after_check(r, at, &spec->workload.ready);
    if (spec->workload.ready.every > spec->workload.ready.timeout)
        reader_complain(r, at, "is tried less often (every) than its whole budget (timeout)");
}

void shape_after_check(struct reader *r, const struct entry *at, void *base) {
    struct spec *spec = base;
    after_check(r, at, &spec->workload.check);
}

// ---- workload ----

void shape_after_container(struct reader *r, const struct entry *at, void *base) {
    const struct spec *spec = base;
    const char *said[] = {spec->workload.container.service, spec->workload.container.label,
                          spec->workload.container.name, spec->workload.container.id};
    int n = 0;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        n += said[i] != NULL;
    if (n > 1 || (!n && !at->value->len))
        reader_complain(r, at, "%s; say one of service, label, name, id",
                        n ? "names the container in more than one way" : "names no container");
}

void shape_after_stop(struct reader *r, const struct entry *at, void *base) {
    (void)r;
    struct spec *spec = base;
    char *signal = spec->workload.stop.signal;
    if (text_starts(signal, "SIG"))
        memmove(signal, signal + 3, strlen(signal + 3) + 1);
    spec->workload.stop.grace_given = node_get(at->value, "grace") != NULL;
}

static void add_variable(struct reader *r, json_t *env, const struct entry *at, const char *name,
                         const char *value) {
    const char *wrong = wrong_variable(name);
    if (wrong)
        reader_complain(r, at, "\"%.80s\" %s", name, wrong);
    else if (strlen(value) > VALUE_MAX)
        reader_complain(r, at, "%.80s is larger than %d KiB", name, VALUE_MAX / 1024);
    else if (json_object_get(env, name))
        reader_complain(r, at, "%.80s stands here twice", name);
    else
        CHECK(!json_object_set_new(env, name, json_string(value)));
}

static void read_variable(struct reader *r, json_t *env, const struct entry *at) {
    if (!node_scalar(at->value)) {
        reader_complain(r, at, "must be a string, not %s; an empty one is \"\"",
                        node_kind_name(at->value));
        return;
    }
    if (at->key) {
        add_variable(r, env, at, at->key, at->value->text);
        return;
    }
    // Not quoted: by a slip it is a secret that stands here, or before an `=` of its own.
    const char *text = at->value->text, *equals = strchr(text, '=');
    auto_free char *name = xstrndup(text, strcspn(text, "="));
    if (!equals || wrong_variable(name))
        reader_complain(r, at, "is not NAME=value");
    else
        add_variable(r, env, at, name, equals + 1);
}

void shape_environment(struct reader *r, const struct key *key, const struct entry *at,
                       void *base) {
    const struct node *node = at->value;
    json_t *env = *(json_t **)place(key, base);
    if (node->kind != NODE_MAP && node->kind != NODE_LIST) {
        reader_complain(r, at, "must be a map of names or a list of NAME=value, not %s",
                        node_kind_name(node));
        return;
    }
    for (size_t i = 0; i < node->len; i++) {
        const struct entry *entry = &node->entries[i];
        size_t before = reader_enter(r, entry->key, i);
        read_variable(r, env, entry);
        reader_leave(r, before);
    }
}

static bool limit_of(struct reader *r, const struct entry *at, json_int_t *ret) {
    struct err err = ERR_INIT;
    int64_t n;
    if (!at || at->value->kind != NODE_INT ||
        text_int(at->value->text, -1, INT64_C(1) << 40, &n, &err)) {
        if (at)
            reader_complain(r, at, "must be a number, -1 for no limit");
        return false;
    }
    *ret = n;
    return true;
}

static void read_ulimit(struct reader *r, json_t *list, const struct entry *at) {
    json_int_t soft = 0, hard = 0;
    bool ok;
    if (at->value->kind == NODE_MAP) {
        const struct entry *s = node_get(at->value, "soft"), *h = node_get(at->value, "hard");
        ok = limit_of(r, s, &soft);
        ok = limit_of(r, h, &hard) && ok;
        if (!s || !h || at->value->len != 2)
            reader_complain(r, at, "must be a number or {soft: n, hard: n}");
    } else {
        ok = limit_of(r, at, &soft);
        hard = soft;
    }
    if (ok && hard != -1 && (soft > hard || soft == -1))
        reader_complain(r, at, "soft is above hard");
    if (ok)
        json_array_append_new(list,
                              json_pack("{sssIsI}", "Name", at->key, "Soft", soft, "Hard", hard));
}

void shape_ulimits(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    static const char known[] = " as core cpu data fsize locks memlock msgqueue nice nofile nproc "
                                "rss rtprio rttime sigpending stack ";
    if (!is_map(r, at))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < at->value->len; i++) {
        const struct entry *entry = &at->value->entries[i];
        size_t before = reader_enter(r, entry->key, 0);
        auto_free char *word = xasprintf(" %s ", entry->key);
        if (strstr(known, word) && !strchr(entry->key, ' '))
            read_ulimit(r, list, entry);
        else
            reader_complain(r, entry, "no such limit; known:%s", known);
        reader_leave(r, before);
    }
    *(json_t **)place(key, base) = list;
}

static void on_change_map(struct reader *r, const struct entry *at, struct spec *spec) {
    static const struct key keys[] = {
        {"signal", KEY_STRING, .place = offsetof(struct spec, workload.on_change.signal),
         .wrong = wrong_signal},
        {"exec", KEY_ARGV, .place = offsetof(struct spec, workload.on_change.argv)},
        {"timeout", KEY_DURATION, .place = offsetof(struct spec, workload.on_change.timeout),
         .min = 1, .max = 86400000},
        {.name = NULL},
    };
    static const struct key_map map = {"on_change", keys, NULL};
    read_map(r, &map, at, spec);
    bool signal = node_get(at->value, "signal"), exec = node_get(at->value, "exec");
    if (signal == exec)
        reader_complain(r, at, "must be restart, none, {signal: HUP} or {exec: [...]}");
    else if (signal && node_get(at->value, "timeout"))
        reader_complain(r, at, "timeout is for exec alone");
    char *name = spec->workload.on_change.signal;
    if (name && text_starts(name, "SIG"))
        memmove(name, name + 3, strlen(name + 3) + 1);
    spec->workload.on_change.kind = signal ? CHANGE_SIGNAL : CHANGE_EXEC;
}

void shape_on_change(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec *spec = base;
    const struct node *node = at->value;
    if (node->kind == NODE_MAP)
        on_change_map(r, at, spec);
    else if (node_scalar(node) && !strcmp(node->text, "restart"))
        spec->workload.on_change.kind = CHANGE_RESTART;
    else if (node_scalar(node) && !strcmp(node->text, "none"))
        spec->workload.on_change.kind = CHANGE_NONE;
    else
        reader_complain(r, at, "must be restart, none, {signal: HUP} or {exec: [...]}");
}

// ---- needs ----

void shape_needs(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec *spec = base;
    if (!is_map(r, at))
        return;
    spec->needs = xcalloc(at->value->len, sizeof *spec->needs);
    for (size_t i = 0; i < at->value->len; i++) {
        const struct entry *entry = &at->value->entries[i];
        struct err err = ERR_INIT;
        int64_t n = 0;
        size_t before = reader_enter(r, entry->key, 0);
        if (entry->value->kind != NODE_INT)
            reader_complain(r, entry, "must be a whole number of pods, not %s",
                            node_kind_name(entry->value));
        else if (text_int(entry->value->text, 1, 10000, &n, &err))
            reader_complain(r, entry, "%s", err.text);
        reader_leave(r, before);
        spec->needs[spec->needs_len++] = (struct spec_need){.what = xstrdup(entry->key), .n = n};
    }
}

// ---- sequential ----

void shape_sequential(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec *spec = base;
    const struct node *node = at->value;
    spec->together = node->kind == NODE_STRING && !strcmp(node->text, "updates");
    spec->sequential = spec->together ||
                       (node->kind == NODE_FLAG && !strcasecmp(node->text, "true"));
    if (!spec->together && node->kind != NODE_FLAG)
        reader_complain(r, at, "must be true, false or updates, not %s%s%.80s%s",
                        node_kind_name(node), node_scalar(node) ? " \"" : "",
                        node_scalar(node) ? node->text : "", node_scalar(node) ? "\"" : "");
}

// ---- files ----

static char *read_template(struct reader *r, const struct entry *at, const char *path) {
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        reader_complain(r, at, "cannot read \"%.200s\": %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        reader_complain(r, at, "\"%.200s\" is no file", path);
        return NULL;
    }
    auto_free char *text = xcalloc(1, TEMPLATE_MAX + 2);
    size_t len = 0;
    ssize_t n = 0;
    while (len <= TEMPLATE_MAX && (n = read(fd, text + len, TEMPLATE_MAX + 1 - len)) > 0)
        len += (size_t)n;
    if (n < 0)
        reader_complain(r, at, "cannot read \"%.200s\": %s", path, strerror(errno));
    else if (len > TEMPLATE_MAX)
        reader_complain(r, at, "\"%.200s\" is larger than %d KiB", path, TEMPLATE_MAX / 1024);
    else if (memchr(text, '\0', len) || !text_is_utf8(text, len))
        reader_complain(r, at, "\"%.200s\" is not UTF-8 text", path);
    else
        return xrealloc(take_ptr(text), len + 1);
    return NULL;
}

static bool take_content(struct reader *r, const struct entry *at, struct spec_file *file) {
    if (file->source) {
        reader_complain(r, at, "template and content exclude each other; keep one");
        return false;
    }
    return true;
}

void shape_template(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec_file *file = base;
    const char *name = string_of(r, at);
    if (!name || !take_content(r, at, file))
        return;
    file->source = xstrdup(name);
    auto_free char *path = *name == '/' ? xstrdup(name)
                                        : xasprintf("%s/%s", r->folder ? r->folder : ".", name);
    if (*name)
        file->content = read_template(r, at, path);
    else
        reader_complain(r, at, "names no file");
}

void shape_content(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec_file *file = base;
    // An empty file is a file.
    const char *text = at->value->kind == NODE_NULL ? "" : string_of(r, at);
    if (!text || !take_content(r, at, file))
        return;
    file->source = xasprintf("%s %s", r->name, text_str(&r->path));
    file->content = xstrdup(text);
}

void shape_mode(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec_file *file = base;
    const char *text = node_scalar(at->value) ? at->value->text : "";
    const char *digits = text_starts(text, "0o") ? text + 2 : text;
    size_t n = strlen(digits);
    if (n < 3 || n > 5 || strspn(digits, "01234567") != n) {
        reader_complain(r, at, "\"%.80s\" is not a mode in octal digits like \"0644\"", text);
        return;
    }
    unsigned long mode = strtoul(digits, NULL, 8);
    if (mode > 0777)
        reader_complain(r, at,
                        "\"%.80s\" is setuid, setgid or sticky, which is never set; say "
                        "\"0%03lo\"",
                        text, mode & 0777);
    else
        file->mode = (unsigned)mode;
}

void shape_owner(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec_file *file = base;
    const char *text = node_scalar(at->value) ? at->value->text : "";
    const char *colon = strchr(text, ':');
    int64_t uid = 0, gid = 0;
    auto_free char *first = xstrndup(text, colon ? (size_t)(colon - text) : 0);
    if (!colon || text_int(first, 0, INT32_MAX - 1, &uid, NULL) ||
        text_int(colon + 1, 0, INT32_MAX - 1, &gid, NULL)) {
        reader_complain(r, at,
                        "\"%.80s\" is not uid:gid in numbers, like \"1000:1000\"; names are "
                        "the image's and not known here",
                        text);
        return;
    }
    file->uid = (int)uid;
    file->gid = (int)gid;
}

void shape_after_file(struct reader *r, const struct entry *at, void *base) {
    struct spec_file *file = base;
    if (!node_get(at->value, "template") && !node_get(at->value, "content"))
        reader_complain(r, at, "has no text; say template: file or content: |");
    const char *slash = file->target ? strrchr(file->target, '/') : NULL;
    if (slash && text_starts(slash + 1, ".ochopod-"))
        reader_complain(r, at, "target: names that begin with .ochopod- are the sidecar's own");
    if (slash && strlen(slash + 1) > 200)
        reader_complain(r, at, "target: the name of the file is too long");
}

void shape_files(struct reader *r, const struct key *key, const struct entry *at, void *base) {
    (void)key;
    struct spec *spec = base;
    const struct node *node = at->value;
    if (node->kind != NODE_LIST) {
        reader_complain(r, at, "must be a list of files, not %s", node_kind_name(node));
        return;
    }
    if (node->len > FILES_MAX) {
        reader_complain(r, at, "more than %d files", FILES_MAX);
        return;
    }
    spec->files = xcalloc(node->len, sizeof *spec->files);
    for (size_t i = 0; i < node->len; i++) {
        struct spec_file *file = &spec->files[spec->files_len++];
        file->mode = 0644;
        size_t before = reader_enter(r, NULL, i);
        read_map(r, &file_map, &node->entries[i], file);
        reader_leave(r, before);
    }
}

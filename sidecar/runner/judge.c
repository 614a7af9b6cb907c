// Whether a command is one that we run. The worker speaks with the network, so its word is no
// reason: what we know ourselves is the spec, from before the worker knew anybody.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/runner/serve.h"
#include "sidecar/uploads.h"
#include <string.h>

enum { QUOTED = 60 };

struct command { // of the spec
    const struct spec_action *action;
    const char *name;             // its OCHOPOD_HOOK
    const struct spec_file *file; // that it validates, or NULL
    bool tool; // words of the caller follow, and it is run in the folder of what was uploaded
};

// Values stay out of it: they may be secrets.
static int refuse(struct err *err, const char *what, const char *name, size_t len) {
    auto_text struct text quoted = {0};
    auto_free char *copy = xstrndup(name, len);
    text_quote(&quoted, copy, QUOTED);
    return err_set(err, ERR_REFUSED, "%s %s", what, text_str(&quoted));
}

// ---- what it is called with ----

// "<folder of the target>/.ochopod-...": as render/files.c calls what it has staged.
static bool is_beside(const char *target, const char *path) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t folder = (size_t)(strrchr(target, '/') + 1 - target);
    if (strncmp(path, target, folder) != 0 || !text_starts(path + folder, RUNNER_STAGED))
        return false;
    const char *rest = path + folder + strlen(RUNNER_STAGED);
    return *rest && !rest[strspn(rest, plain)];
}

static bool is_file(const struct command *c, const char *path) {
    return c->file && (strcmp(path, "/dev/stdin") == 0 || is_beside(c->file->target, path));
}

static bool is_word(const struct command *c, const char *wanted, const char *said) {
    return c->file && strcmp(wanted, "{}") == 0 ? is_file(c, said) : strcmp(wanted, said) == 0;
}

static bool is_called_so(const struct command *c, const char *const *argv) {
    char *const *wanted = c->action->argv;
    for (; *wanted; wanted++, argv++)
        if (!*argv || !is_word(c, *wanted, *argv))
            return false;
    return c->tool || !*argv;
}

// ---- what it finds around it ----

static bool is_text(const struct command *c, const char *value) {
    (void)c;
    (void)value;
    return true;
}

static bool is_number(const struct command *c, const char *value) {
    int64_t n;
    (void)c;
    return text_int(value, INT64_MIN, INT64_MAX, &n, NULL) == 0;
}

static bool is_name(const struct command *c, const char *value) {
    return strcmp(value, c->name) == 0;
}

static bool is_target(const struct command *c, const char *value) {
    return c->file && strcmp(value, c->file->target) == 0;
}

// What the pod says of itself (pod/action.c, pod/validate.c).
static const struct told {
    const char *name;
    bool (*good)(const struct command *c, const char *value);
} told[] = {
    {"OCHOPOD_NAMESPACE", is_text}, {"OCHOPOD_CLUSTER", is_text},   {"OCHOPOD_POD", is_text},
    {"OCHOPOD_IP", is_text},        {"OCHOPOD_SEQ", is_number},     {"OCHOPOD_INDEX", is_number},
    {"OCHOPOD_SIZE", is_number},    {"OCHOPOD_ORDINAL", is_number}, {"OCHOPOD_HOOK", is_name},
    {"OCHOPOD_FILE", is_file},      {"OCHOPOD_TARGET", is_target},
};

static const struct told *find_told(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (strlen(told[i].name) == len && strncmp(told[i].name, name, len) == 0)
            return &told[i];
    return NULL;
}

static bool is_given(const struct spec *spec, const struct command *c, const char *pair) {
    const char *equals = strchr(pair, '=');
    size_t len = equals ? (size_t)(equals - pair) : 0;
    if (!len)
        return false;
    const struct told *t = find_told(pair, len);
    if (t && t->good(c, equals + 1))
        return true;
    const json_t *own = json_object_getn(spec->environment_, pair, len);
    return own && strcmp(json_string_value(own), equals + 1) == 0;
}

static bool holds(const char *const *env, const char *name, const char *value) {
    size_t len = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=' &&
            strcmp(*env + len + 1, value) == 0)
            return true;
    return false;
}

// All that we were given, and beside it what the pod says: no more, and no less either.
static int judge_env(const struct spec *spec, const struct command *c, const char *const *env,
                     struct err *err) {
    for (const char *const *it = env; *it; it++)
        if (!is_given(spec, c, *it))
            return refuse(err, "is not given such a variable", *it, strcspn(*it, "="));
    const char *name;
    json_t *value;
    json_object_foreach(spec->environment_, name, value) {
        if (!find_told(name, strlen(name)) && !holds(env, name, json_string_value(value)))
            return refuse(err, "is to be given the variable", name, strlen(name));
    }
    return 0;
}

static int judge_cwd(const struct spec *spec, bool uploads, const char *cwd, struct err *err) {
    if (!cwd || (uploads && uploads_is_folder(spec->state_dir, cwd)))
        return 0;
    return refuse(err, "is not run in", cwd, strlen(cwd));
}

// ---- what the spec names ----

// Whether it is this one; then err says what else is wrong, if anything is.
static bool is_this(const struct spec *spec, const struct command *c,
                    const struct runner_hook *hook, struct err *err) {
    *err = (struct err)ERR_INIT;
    if (c->action->kind != ACTION_RUN || !is_called_so(c, hook->argv))
        return false;
    if (judge_cwd(spec, c->tool, hook->cwd, err) == 0)
        (void)judge_env(spec, c, hook->env, err);
    return true;
}

struct search {
    const struct spec *spec;
    const struct runner_hook *hook;
    struct err why; // of the last that is called so
    bool found, good;
};

static void look_at(struct search *s, const struct command *c) {
    struct err why;
    if (s->good || !is_this(s->spec, c, s->hook, &why))
        return;
    s->found = true;
    s->good = why.kind == ERR_NONE;
    s->why = why;
}

// Two of them may be called the same: one that fits is enough.
static void look_through(struct search *s) {
    const struct spec *spec = s->spec;
    for (size_t i = 0; i < HOOK_COUNT; i++)
        look_at(s, &(struct command){.action = &spec->hooks[i], .name = spec_hook_names[i]});
    look_at(s, &(struct command){.action = &spec->probe.action, .name = "probe"});
    for (size_t i = 0; i < spec->files_len; i++)
        look_at(s, &(struct command){.action = &spec->files[i].validate,
                                     .name = "validate",
                                     .file = &spec->files[i]});
    for (size_t i = 0; i < spec->tools_len; i++)
        look_at(s, &(struct command){.action = &spec->tools[i].action,
                                     .name = spec->tools[i].name,
                                     .tool = true});
}

static int judge_action(const struct spec *spec, const struct runner_hook *hook, struct err *err) {
    struct search s = {.spec = spec, .hook = hook};
    look_through(&s);
    if (s.good)
        return 0;
    return s.found ? err_copy(err, &s.why) : err_set(err, ERR_REFUSED, "is not what the spec runs");
}

// ---- the portal's program ----

static bool is_exactly(char *const *list, const char *pair) {
    for (; *list; list++)
        if (strcmp(*list, pair) == 0)
            return true;
    return false;
}

static bool is_open(const struct runner_program *p, const char *pair) {
    for (size_t i = 0; i < RUNNER_OPEN && p->open[i].begin; i++) {
        if (!text_starts(pair, p->open[i].begin))
            continue;
        if (!p->open[i].number || is_number(NULL, pair + strlen(p->open[i].begin)))
            return true;
    }
    return false;
}

static bool is_in(const char *const *env, const char *pair) {
    return is_exactly((char *const *)env, pair);
}

static int judge_program(const struct spec *spec, const struct runner_program *p,
                         const struct runner_hook *hook, struct err *err) {
    if (strcmp(hook->argv[0], p->path) != 0)
        return err_set(err, ERR_REFUSED, "is not what the portal runs");
    for (const char *const *it = hook->env; *it; it++)
        if (!is_exactly(p->env, *it) && !is_open(p, *it))
            return refuse(err, "is not given such a variable", *it, strcspn(*it, "="));
    for (char *const *it = p->env; *it; it++)
        if (!is_in(hook->env, *it))
            return refuse(err, "is to be given the variable", *it, strcspn(*it, "="));
    return hook->cwd ? judge_cwd(spec, true, hook->cwd, err)
                     : err_set(err, ERR_REFUSED, "is run in no folder of its own");
}

int judge_hook(const struct runner_setup *setup, const struct runner_hook *hook, struct err *err) {
    struct err why = ERR_INIT;
    if (!setup->spec)
        return 0;
    int rc = setup->program ? judge_program(setup->spec, setup->program, hook, &why)
                            : judge_action(setup->spec, hook, &why);
    if (rc == 0)
        return 0;
    auto_text struct text quoted = {0};
    text_quote(&quoted, hook->argv[0], QUOTED);
    return err_set(err, why.kind, "refuses to run %s: it %s", text_str(&quoted), why.text);
}

// What the worker may ask: a table of the operations, each with what the container must be to us.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/broker/broker_inside.h"
#include <stdarg.h>
#include <string.h>

enum { EXECS_MAX = 1024, EXEC_MAX = 2 << 20, NONCE_LEN = 24 };

#define NONCE "/.ochopod-self-" // bindings/self.c

#define MAY(owned) (1U << (owned))
enum {
    MAY_RUN = MAY(OWNED_WORKLOAD) | MAY(OWNED_HOLDER) | MAY(OWNED_ONESHOT) | MAY(OWNED_ADOPTED),
    MAY_END = MAY_RUN | MAY(OWNED_ORPHAN),
    MAY_REMOVE = MAY(OWNED_WORKLOAD) | MAY(OWNED_HOLDER) | MAY(OWNED_ONESHOT) | MAY(OWNED_ORPHAN),
    MAY_ENTER = MAY(OWNED_WORKLOAD) | MAY(OWNED_ADOPTED),
    MAY_FILL = MAY_ENTER | MAY(OWNED_ONESHOT),
};

static const unsigned may[DOOR_OPS] = {
    [DOOR_START] = MAY_RUN,         [DOOR_STOP] = MAY_END,      [DOOR_KILL] = MAY_RUN,
    [DOOR_WAIT] = MAY_END,          [DOOR_RENAME] = MAY_REMOVE, [DOOR_REMOVE] = MAY_REMOVE,
    [DOOR_EXEC_CREATE] = MAY_ENTER, [DOOR_LOGS] = MAY_FILL,     [DOOR_ARCHIVE] = MAY_FILL,
};

// ---- ends ----

static void judging_free(struct judging *j) {
    list_remove(&j->link);
    docker_cancel(&j->look);
    docker_container_free(j->found);
    json_decref(j->body);
    free(j);
}

void judge_forget(struct judging *j) {
    judging_free(j);
}

void judge_allow(struct judging *j, const char *json) {
    struct served_call *call = j->call;
    served_allow(call, json);
    judging_free(j);
}

void judge_refuse(struct judging *j, const char *fmt, ...) {
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    log_warn("broker refuses %s: %s", door_op_name(j->request.op), why);
    auto_free char *said = xasprintf("refused by the sidecar's broker: %s", why);
    struct served_call *call = j->call;
    judging_free(j);
    served_refuse(call, said);
}

void judge_fail(struct judging *j, const struct err *err) {
    struct served_call *call = j->call;
    struct err copy = *err;
    judging_free(j);
    served_fail(call, &copy);
}

// ---- by operation ----

static void of_a_container(struct judging *j, enum owned it) {
    if (may[j->request.op] & MAY(it))
        judge_allow(j, NULL);
    else
        judge_refuse(j, "container %.12s is none that may be treated so", j->request.id);
}

static void judge_rename(struct judging *j, enum owned it) {
    if (!create_may_be_called(j->broker, j->request.text) || !j->request.text)
        judge_refuse(j, "no name of ours");
    else
        of_a_container(j, it);
}

static void judge_events(struct judging *j) {
    const struct broker *b = j->broker;
    struct err err = ERR_INIT;
    const char *json = j->request.json ? j->request.json : "";
    auto_json json_t *filters = json_read(json, strlen(json), 64 * 1024, "filters", &err);
    const json_t *labels = json_object_get(filters, "label");
    auto_free char *own = xasprintf(LABEL_POD "=%s", b->config.pod_id);
    bool good = json_array_size(labels) == 1 &&
                text_same(json_string_value(json_array_get(labels, 0)), own);
    if (good || !b->spec->workload.image)
        judge_allow(j, NULL);
    else
        judge_refuse(j, "events of other pods");
}

static void judge_stat(struct judging *j) {
    const char *path = j->request.text ? j->request.text : "";
    const char *rest = text_starts(path, NONCE) ? path + strlen(NONCE) : "";
    if (owned_is_full_id(j->request.id) && strlen(rest) == NONCE_LEN &&
        strspn(rest, "0123456789abcdef") == NONCE_LEN)
        judge_allow(j, NULL);
    else
        judge_refuse(j, "not a look for ourselves");
}

static void judge_image(struct judging *j) {
    const char *own = j->broker->spec->workload.image, *id = j->request.id;
    bool pull = j->request.op == DOOR_PULL;
    if (own && id && (pull ? served_is_pull_of(&j->request, own) : strcmp(own, id) == 0))
        judge_allow(j, NULL);
    else
        judge_refuse(j, "not the image of the spec");
}

// An id that would change the path never gets as far as a look.
static bool is_word(const char *s) {
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = s ? strspn(s, chars) : 0;
    return len && len <= 256 && !s[len] && *s != '.' && *s != '-';
}

static void judge_volume(struct judging *j) {
    struct broker *b = j->broker;
    auto_free char *own = xasprintf("ochopod-%s-", b->config.pod_id);
    const char *name = j->request.id ? j->request.id : "";
    if (is_word(name) && (text_starts(name, own) || json_object_get(b->volumes, name)))
        judge_allow(j, NULL);
    else
        judge_refuse(j, "no volume of ours");
}

static void judge_exec(struct judging *j) {
    if (j->request.id && json_object_get(j->broker->execs, j->request.id))
        judge_allow(j, NULL);
    else
        judge_refuse(j, "no exec of ours");
}

// ---- execs: what the spec names, as whoever the container runs as ----

static bool begins_with(const json_t *cmd, char *const *argv) {
    size_t n = text_list_len(argv);
    for (size_t i = 0; i < n; i++)
        if (!text_same(json_string_value(json_array_get(cmd, i)), argv[i]))
            return false;
    return n > 0;
}

static bool is_same(const json_t *cmd, char *const *argv) {
    return begins_with(cmd, argv) && json_array_size(cmd) == text_list_len(argv);
}

static bool is_action(const json_t *cmd, const struct spec_action *action) {
    return action->kind == ACTION_EXEC && is_same(cmd, action->argv);
}

// Words of whoever calls it follow.
static bool is_tool(const json_t *cmd, const struct spec_action *action) {
    return action->kind == ACTION_EXEC && begins_with(cmd, action->argv);
}

static bool is_check(const json_t *cmd, const struct spec_check *check) {
    return check->kind == CHECK_EXEC && is_same(cmd, check->argv);
}

static bool is_in_spec(const struct spec *spec, const json_t *cmd) {
    const struct spec_workload *w = &spec->workload;
    bool good = is_action(cmd, &spec->probe.action) || is_check(cmd, &w->ready) ||
                is_check(cmd, &w->check) ||
                (w->on_change.kind == CHANGE_EXEC && is_same(cmd, w->on_change.argv));
    for (size_t i = 0; i < HOOK_COUNT; i++)
        good |= is_action(cmd, &spec->hooks[i]);
    for (size_t i = 0; i < spec->tools_len; i++)
        good |= is_tool(cmd, &spec->tools[i].action);
    return good;
}

static bool is_plain_exec(const json_t *body) {
    static const char *const known[] = {"AttachStdin", "AttachStdout", "AttachStderr",
                                        "Tty",         "Cmd",          "Env"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= strcmp(known[i], key) == 0;
        if (!found)
            return false;
    }
    return json_is_object(body);
}

// What the pod says of itself (pod/action.c). Any other might have the program load something else.
static bool is_told(const char *pair) {
    static const char *const names[] = {"NAMESPACE", "CLUSTER", "POD",  "HOOK", "SEQ",
                                        "INDEX",     "ORDINAL", "SIZE", "IP",   "EXEC"};
    static const char prefix[] = "OCHOPOD_";
    if (!pair || !text_starts(pair, prefix))
        return false;
    const char *name = pair + strlen(prefix);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0 && name[strlen(names[i])] == '=')
            return true;
    return false;
}

static bool is_all_told(const json_t *env) {
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)env, i, pair) {
        if (!is_told(json_string_value(pair)))
            return false;
    }
    return !env || json_is_array(env);
}

static void judge_entering(struct judging *j) {
    struct err err = ERR_INIT;
    const char *json = j->request.json ? j->request.json : "";
    auto_json json_t *body = json_read(json, strlen(json), EXEC_MAX, "exec", &err);
    if (!is_plain_exec(body))
        judge_refuse(j, "more than a command and its environment");
    else if (!is_in_spec(j->broker->spec, json_object_get(body, "Cmd")))
        judge_refuse(j, "no command of the spec's");
    else if (!is_all_told(json_object_get(body, "Env")))
        judge_refuse(j, "another environment than a hook's");
    else
        owned_find(j, j->request.id, of_a_container);
}

static void judge_filling(struct judging *j) {
    if (fill_is_the_specs(j->broker->spec, &j->request))
        owned_find(j, j->request.id, of_a_container);
    else
        judge_refuse(j, "more than the spec's files at their places");
}

static void judge_known(struct judging *j) {
    switch (j->request.op) {
    case DOOR_INSPECT:
        if (is_word(j->request.id))
            judge_allow(j, NULL); // cut to size when it is none of ours: judge_answered
        else
            judge_refuse(j, "no id");
        return;
    case DOOR_CREATE:
        create_judge(j);
        return;
    case DOOR_EXEC_START:
    case DOOR_EXEC_INSPECT:
        judge_exec(j);
        return;
    case DOOR_IMAGE:
    case DOOR_PULL:
        judge_image(j);
        return;
    case DOOR_VOLUME_REMOVE:
        judge_volume(j);
        return;
    case DOOR_STAT:
        judge_stat(j);
        return;
    default:
        if (!owned_is_full_id(j->request.id))
            judge_refuse(j, "not a full id");
        else if (j->request.op == DOOR_EXEC_CREATE)
            judge_entering(j);
        else if (j->request.op == DOOR_ARCHIVE)
            judge_filling(j);
        else
            owned_find(j, j->request.id,
                       j->request.op == DOOR_RENAME ? judge_rename : of_a_container);
    }
}

// What tells whether the engine is there must not wait for it.
static bool needs_self(enum door_op op) {
    return op != DOOR_PING && op != DOOR_EVENTS && op != DOOR_LIST && op != DOOR_STAT;
}

void judge_begin(struct broker *b, struct served_call *call, const struct door_request *request) {
    struct judging *j = xnew(struct judging);
    j->broker = b;
    j->call = call;
    j->request = *request;
    list_init(&j->link);
    *served_slot(call) = j;
    if (needs_self(request->op) && !b->knows_self)
        list_append(&b->waiting, &j->link);
    else if (request->op == DOOR_PING || request->op == DOOR_LIST)
        judge_allow(j, NULL);
    else if (request->op == DOOR_EVENTS)
        judge_events(j);
    else
        judge_known(j);
}

void judge_go_on(struct broker *b) {
    while (!list_empty(&b->waiting)) {
        struct judging *j = list_first(&b->waiting, struct judging, link);
        list_remove(&j->link);
        judge_known(j);
    }
}

// ---- answers ----

static void keep(json_t *into, const json_t *from, const char *const *keys) {
    for (; *keys; keys++)
        if (json_object_get(from, *keys))
            json_object_set(into, *keys, json_object_get(from, *keys));
}

// Of a container that is none of ours the worker learns what tells whose it is and whether it runs:
// not its environment, its command or where its files lie.
static void cut_to_size(struct broker *b, struct text *body) {
    static const char *const top[] = {"Id", "Name", "Image", "State", "Created", NULL};
    static const char *const config[] = {"Image", "Labels", NULL};
    static const char *const host[] = {"NetworkMode", "PidMode", "RestartPolicy", NULL};
    struct err err = ERR_INIT;
    auto_json json_t *all = json_read_quoting(text_str(body), body->len, 8 << 20, "inspect", &err);
    struct docker_container *c = NULL;
    if (all && docker_container_read(all, &c, &err) == 0 && owned_judge(b, c) != OWNED_NOT) {
        docker_container_free(c);
        return;
    }
    docker_container_free(c);
    auto_json json_t *some = json_object();
    json_t *some_config = json_object(), *some_host = json_object();
    keep(some, all, top);
    keep(some_config, json_object_get(all, "Config"), config);
    keep(some_host, json_object_get(all, "HostConfig"), host);
    json_object_set_new(some, "Config", some_config);
    json_object_set_new(some, "HostConfig", some_host);
    auto_free char *text = json_write(some);
    text_clear(body);
    text_add(body, text);
}

// Where there are too many the oldest goes, which is the likeliest to be over: an object's keys are
// in the order in which they came.
static void note_exec(struct broker *b, const struct text *body) {
    auto_json json_t *j = json_loadb(text_str(body), body->len, 0, NULL);
    const char *id = json_text(j, "Id");
    if (!*id || json_object_get(b->execs, id))
        return;
    if (json_object_size(b->execs) >= EXECS_MAX)
        json_object_del(b->execs, json_object_iter_key(json_object_iter(b->execs)));
    json_object_set_new(b->execs, id, json_true());
}

static void forget_exec(struct broker *b, const struct door_request *request,
                        const struct text *body) {
    auto_json json_t *j = json_loadb(text_str(body), body->len, 0, NULL);
    if (json_is_false(json_object_get(j, "Running")) &&
        json_is_integer(json_object_get(j, "ExitCode")))
        json_object_del(b->execs, request->id);
}

void judge_answered(struct broker *b, const struct door_request *request, int status,
                    struct text *body) {
    if (request->op == DOOR_INSPECT && status == 200)
        cut_to_size(b, body);
    else if (request->op == DOOR_EXEC_CREATE && status == 201)
        note_exec(b, body);
    else if (request->op == DOOR_EXEC_INSPECT && status == 200)
        forget_exec(b, request, body);
    else if (request->op == DOOR_REMOVE && status < 300)
        json_object_del(b->known, request->id);
}

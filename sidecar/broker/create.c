// A create is never passed on: the container is built here, from the spec and from our own look at
// the engine, and what the worker asked for must come out the same. So there is no list of what is
// forbidden that could miss something: privileges, host namespaces, devices, capabilities and binds
// are those that the spec gives, or there is no container.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/broker/broker_inside.h"
#include <string.h>

enum { BODY_MAX = 8 << 20, NAME_MAX_LEN = 128, SHORT = 8 };

// ---- the same or not ----

static bool differs_in(const json_t *wanted, const json_t *asked, struct text *ret);

static bool note(struct text *ret, const char *key, const json_t *wanted, const json_t *asked) {
    size_t len = ret->len;
    text_addf(ret, "%s%.80s", len ? "." : "", key);
    if (!wanted || !asked || differs_in(wanted, asked, ret))
        return true;
    ret->len = len;
    if (ret->s)
        ret->s[len] = '\0';
    return false;
}

// True when they differ; ret then names where.
static bool differs_in(const json_t *wanted, const json_t *asked, struct text *ret) {
    if (!json_is_object(wanted) || !json_is_object(asked))
        return !json_equal(wanted, asked);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)asked, key, value) {
        if (note(ret, key, json_object_get(wanted, key), value))
            return true;
    }
    json_object_foreach((json_t *)wanted, key, value) {
        if (note(ret, key, value, json_object_get(asked, key)))
            return true;
    }
    return false;
}

void create_difference(const json_t *wanted, const json_t *asked, struct text *ret) {
    text_clear(ret);
    if (differs_in(wanted, asked, ret) && !ret->len)
        text_add(ret, "body");
}

static void compare(struct judging *j, json_t *wanted, const struct err *err) {
    auto_json json_t *built = wanted;
    auto_text struct text where = {0};
    if (!built) {
        judge_refuse(j, "%s", err->text);
        return;
    }
    create_difference(built, j->body, &where);
    if (where.len) {
        judge_refuse(j, "%s is not what the spec asks for", text_str(&where));
        return;
    }
    auto_free char *json = json_write(built);
    judge_allow(j, json);
}

// ---- names ----

// "<our container>-workload", "ochopod-<cluster>-<pod id>", each maybe with what a successor or a
// holder has behind it.
bool create_may_be_called(const struct broker *b, const char *name) {
    if (!name)
        return true;
    size_t len = strlen(name);
    if (len > NAME_MAX_LEN * 2)
        return false;
    if (text_ends(name, "-next"))
        len -= strlen("-next");
    else if (text_ends(name, "-holder"))
        len -= strlen("-holder");
    auto_free char *stem = xstrndup(name, len);
    auto_free char *pod = xasprintf("-%.*s", SHORT, b->config.pod_id);
    if (text_starts(stem, "ochopod-") && text_ends(stem, pod))
        return true;
    auto_free char *own = b->facts.self ? xasprintf("%s-workload", b->facts.self->name) : NULL;
    return own && strcmp(stem, own) == 0;
}

// ---- kinds ----

static const char *label(const struct judging *j, const char *key) {
    return json_text(json_object_get(j->body, "Labels"), key);
}

// The cluster's name may come from the binding and is no more than a label.
static struct place *place_of(const struct judging *j) {
    const struct broker *b = j->broker;
    return place_make(b->spec, &b->facts, b->config.pod_id, label(j, LABEL_CLUSTER));
}

static bool may_hold(const struct broker *b) {
    return b->facts.self || b->spec->holder_image;
}

static void create_holder(struct judging *j) {
    static const struct err none = ERR_INIT;
    const struct broker *b = j->broker;
    if (!may_hold(b)) {
        judge_refuse(j, "there is no image of ours to make a holder of");
        return;
    }
    struct place *place = place_of(j);
    json_t *wanted = workload_holder(b->spec, place, b->config.tether);
    place_free(place);
    compare(j, wanted, &none);
}

static char **strings_of(const json_t *array, const char *first) {
    size_t n = 0, i;
    json_t *value;
    char **list = xcalloc(json_array_size(array) + 2, sizeof *list);
    if (first)
        list[n++] = xstrdup(first);
    json_array_foreach(array, i, value) {
        list[n++] = xstrdup(json_is_string(value) ? json_string_value(value) : "");
    }
    return list;
}

static void list_release(char ***list) {
    text_list_free(*list);
}
#define auto_list __attribute__((cleanup(list_release)))

// The validator of one of the spec's files, word by word; "{}" stands for the file.
static bool is_validator(const struct spec_file *file, char *const *argv) {
    char *const *own = file->validate.argv;
    if (file->validate.kind != ACTION_EXEC || text_list_len(own) != text_list_len(argv))
        return false;
    for (size_t i = 0; own[i]; i++)
        if (strcmp(strcmp(own[i], "{}") == 0 ? file->target : own[i], argv[i]) != 0)
            return false;
    return true;
}

// As pod/validate.c gives it: the file, and nothing that would have the program load another.
static bool is_about(const struct spec_file *file, char *const *env) {
    auto_free char *said = xasprintf("OCHOPOD_FILE=%s", file->target);
    return env[0] && strcmp(env[0], said) == 0 && !env[1];
}

static bool is_a_validator(const struct spec *spec, char *const *argv, char *const *env) {
    for (size_t i = 0; i < spec->files_len; i++)
        if (is_validator(&spec->files[i], argv) && is_about(&spec->files[i], env))
            return true;
    return false;
}

static void create_oneshot(struct judging *j) {
    static const struct err none = ERR_INIT;
    const struct broker *b = j->broker;
    const json_t *entry = json_object_get(j->body, "Entrypoint");
    const char *program = json_string_value(entry ? json_array_get(entry, 0) : NULL);
    if (!program)
        program = json_text(j->body, "Entrypoint");
    auto_list char **argv = strings_of(json_object_get(j->body, "Cmd"), program);
    auto_list char **env = strings_of(json_object_get(j->body, "Env"), NULL);
    const char *image = b->spec->workload.image ? b->spec->workload.image : b->adopted_image;
    if (!image || !is_a_validator(b->spec, argv, env)) {
        judge_refuse(j, "no validator of the spec's");
        return;
    }
    struct place *place = place_of(j);
    json_t *wanted = workload_oneshot(b->spec, place, image, argv, (const char *const *)env);
    place_free(place);
    compare(j, wanted, &none);
}

// ---- the workload ----

// What was rendered, as it was before it became part of a body.
static json_t *plan_of(const json_t *body) {
    json_t *plan = json_object(), *environment = json_object();
    size_t i;
    json_t *pair;
    json_array_foreach(json_object_get(body, "Env"), i, pair) {
        const char *text = json_string_value(pair) ? json_string_value(pair) : "";
        const char *equals = strchr(text, '=');
        auto_free char *key = xstrndup(text, equals ? (size_t)(equals - text) : strlen(text));
        json_object_set_new(environment, key, json_string(equals ? equals + 1 : ""));
    }
    json_object_set_new(plan, "environment", environment);
    if (json_object_get(body, "Cmd"))
        json_object_set(plan, "command", json_object_get(body, "Cmd"));
    if (json_object_get(body, "Entrypoint"))
        json_object_set(plan, "entrypoint", json_object_get(body, "Entrypoint"));
    return plan;
}

static const char *holder_of(const struct judging *j) {
    const char *pid = json_text(json_object_get(j->body, "HostConfig"), "PidMode");
    return text_starts(pid, "container:") ? pid + strlen("container:") : NULL;
}

static void image_seen(struct docker_image *image, const struct err *err, void *arg) {
    struct judging *j = arg;
    const struct broker *b = j->broker;
    struct err why = ERR_INIT;
    j->look = NULL;
    if (err->kind != ERR_NONE) {
        judge_fail(j, err);
        return;
    }
    struct place *place = place_of(j);
    auto_json json_t *plan = plan_of(j->body);
    const struct workload_want want = {
        .spec = b->spec,
        .place = place,
        .mounts = b->mounts,
        .image = image,
        .plan = plan,
        .holder = holder_of(j),
    };
    json_t *wanted = workload_body(&want, &why);
    docker_image_free(image);
    place_free(place);
    compare(j, wanted, &why);
}

static void see_image(struct judging *j) {
    const struct broker *b = j->broker;
    j->look = docker_image_inspect(b->docker, b->spec->workload.image, image_seen, j);
}

static void holder_seen(struct judging *j, enum owned it) {
    if (it == OWNED_HOLDER)
        see_image(j);
    else
        judge_refuse(j, "HostConfig.PidMode names no holder of ours");
}

static void create_workload(struct judging *j) {
    const struct broker *b = j->broker;
    const char *holder = holder_of(j);
    bool coupled = b->spec->workload.lifetime == LIFETIME_COUPLED;
    if (!b->spec->workload.image || !b->mounts)
        judge_refuse(j, "the spec makes no container");
    else if (!holder && coupled && may_hold(b))
        judge_refuse(j, "HostConfig.PidMode: a coupled workload lives in a holder's");
    else if (!holder)
        see_image(j);
    else if (!owned_is_full_id(holder))
        judge_refuse(j, "HostConfig.PidMode names no full id");
    else
        owned_find(j, holder, holder_seen);
}

void create_judge(struct judging *j) {
    struct err err = ERR_INIT;
    const char *json = j->request.json ? j->request.json : "";
    j->body = json_read(json, strlen(json), BODY_MAX, "create", &err);
    const char *role = label(j, LABEL_ROLE);
    if (!j->body)
        judge_refuse(j, "%s", err.text);
    else if (!create_may_be_called(j->broker, j->request.text))
        judge_refuse(j, "no name of ours");
    else if (strcmp(role, "holder") == 0)
        create_holder(j);
    else if (strcmp(role, "oneshot") == 0)
        create_oneshot(j);
    else if (strcmp(role, "workload") == 0)
        create_workload(j);
    else
        judge_refuse(j, "Labels: no role of ours");
}

#include "docker-api/pull.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "docker-api/decode.h"
#include <string.h>

enum { LAYERS_MAX = 1024 };

void pull_init(struct pull *p) {
    *p = (struct pull){.layers = json_object()};
}

void pull_done(struct pull *p) {
    json_decref(p->layers);
    p->layers = NULL;
}

bool pull_is_absence(const char *message) {
    static const char *const absent[] = {"not found", "manifest unknown", "does not exist",
                                         "no matching manifest"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (strstr(message, absent[i]))
            return true;
    return false;
}

static bool is_there(const char *status) {
    static const char *const words[] = {"Verifying Checksum", "Download complete", "Extracting",
                                        "Pull complete", "Already exists"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(status, words[i]) == 0)
            return true;
    return false;
}

// A layer that is complete counts as what it was announced with; of one that was there already
// nobody says how large it is.
static void note(struct pull *p, const char *id, const char *status, int64_t current,
                 int64_t total) {
    json_t *layer = json_object_get(p->layers, id);
    if (!layer) {
        if (json_object_size(p->layers) >= LAYERS_MAX)
            return;
        layer = json_pack("[i, i, b]", 0, 0, 0);
        CHECK(layer && json_object_set_new(p->layers, id, layer) == 0); // else it is gone
    }
    if (strcmp(status, "Downloading") == 0 && total > 0) {
        json_array_set_new(layer, 0, json_integer(current < total ? current : total));
        json_array_set_new(layer, 1, json_integer(total));
    } else if (strcmp(status, "Download complete") == 0 || strcmp(status, "Pull complete") == 0) {
        json_array_set(layer, 0, json_array_get(layer, 1));
    }
    json_array_set_new(layer, 2, json_boolean(is_there(status)));
}

bool pull_is_unpacking(const struct pull *p) {
    const char *id;
    json_t *layer;
    json_object_foreach(p->layers, id, layer) {
        if (!json_is_true(json_array_get(layer, 2)))
            return false;
    }
    return json_object_size(p->layers) > 0;
}

static int percent(const struct pull *p) {
    double current = 0, total = 0;
    const char *id;
    json_t *layer;
    json_object_foreach(p->layers, id, layer) {
        current += (double)json_integer_value(json_array_get(layer, 0));
        total += (double)json_integer_value(json_array_get(layer, 1));
    }
    return total > 0 ? (int)(100 * current / total) : 0;
}

// The engine said what it should not.
static int unreadable(struct err *err) {
    if (err)
        err->kind = ERR_RETRY;
    return -1;
}

int pull_feed(struct pull *p, const char *line, size_t len, struct err *err) {
    auto_json json_t *j = json_read_quoting(line, len, DECODE_MAX_EVENT, "progress of the pull",
                                            err);
    if (!j)
        return unreadable(err);
    const char *message = json_text(json_object_get(j, "errorDetail"), "message");
    if (!*message)
        message = json_text(j, "error");
    if (*message)
        return err_set(err, pull_is_absence(message) ? ERR_ABSENT : ERR_RETRY, "%s", message);
    const json_t *detail = json_object_get(j, "progressDetail");
    int64_t current = 0, total = 0;
    if (json_int(detail, "current", &current, err) < 0 ||
        json_int(detail, "total", &total, err) < 0)
        return unreadable(err);
    const char *id = json_text(j, "id"), *status = json_text(j, "status");
    bool of_layer = *id && !text_starts(status, "Pulling from "); // there the id is the tag
    if (of_layer && current >= 0 && total >= 0)
        note(p, id, status, current, total);
    int now = percent(p);
    p->percent = now > p->percent ? now : p->percent;
    return 0;
}

static bool is_image(const char *name) {
    static const char chars[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@";
    size_t len = strlen(name);
    return len && len < 512 && strspn(name, chars) == len && !strchr("./:@-", name[0]) &&
           !strchr("./:@", name[len - 1]) && !strstr(name, "//") && !strstr(name, "..");
}

int pull_split(const char *name, char **ret_image, char **ret_tag, struct err *err) {
    if (!is_image(name)) {
        auto_text struct text quoted = {0};
        text_quote(&quoted, name, 100);
        return err_set(err, ERR_USER,
                       "%s cannot be an image: expected name, name:tag or "
                       "name@sha256:digest",
                       text_str(&quoted));
    }
    const char *at = strchr(name, '@'), *slash = strrchr(name, '/');
    const char *colon = strchr(slash ? slash : name, ':');
    size_t head = at ? (size_t)(at - name) : strlen(name);
    if (colon && (!at || colon < at))
        head = (size_t)(colon - name);
    *ret_image = xstrndup(name, head);
    *ret_tag = xstrdup(at ? at + 1 : colon ? colon + 1 : "latest");
    return 0;
}

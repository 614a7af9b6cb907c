#include "sidecar/render/judge.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/render/beneath.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { QUOTED = 80 };

static int refuse(struct err *err, const char *name, const char *why) {
    auto_text struct text quoted = {0};
    text_quote(&quoted, name, QUOTED);
    return err_set(err, ERR_REFUSED, "%s %s", text_str(&quoted), why);
}

// ---- where ----

// A volume is something mounted; all else is our own file system. What our image has as a link was
// mounted where that leads to; who opens it later follows none. Before Linux 5.8 the kernel does
// not tell.
static bool is_mounted(const char *path) {
    struct statx it = {0};
    if (statx(AT_FDCWD, path, 0, STATX_TYPE, &it))
        return errno == ENOENT; // then nothing is written there either
    return !(it.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) ||
           it.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static bool is_root(const char *path) {
    return *path == '/' && path[strspn(path, "/")] && is_mounted(path);
}

// Those below which a file of the spec is looked for. What is shared for other reasons may be as it
// likes.
static int judge_roots(const struct spec *spec, const json_t *argument, struct err *err) {
    const json_t *roots = json_object_get(argument, "roots");
    for (size_t i = 0; i < spec->files_len; i++) {
        const char *root = beneath_root(roots, spec->files[i].target);
        if (root && !is_root(root))
            return refuse(err, root, "is no volume");
    }
    return 0;
}

static int judge_state(const struct spec *spec, const json_t *argument, struct err *err) {
    const char *dir = json_text(argument, "state_dir");
    return strcmp(dir, spec->state_dir) == 0 ? 0 : refuse(err, dir, "is not the state directory");
}

// ---- which ----

static const struct spec_file *find(const struct spec *spec, const json_t *file) {
    const char *target = json_text(file, "target");
    for (size_t i = 0; i < spec->files_len; i++)
        if (strcmp(spec->files[i].target, target) == 0)
            return &spec->files[i];
    return NULL;
}

static int judge_targets(const struct spec *spec, const json_t *list, struct err *err) {
    size_t i;
    json_t *it;
    json_array_foreach((json_t *)list, i, it) {
        if (!find(spec, it))
            return refuse(err, json_text(it, "target"), "is no file of the spec");
    }
    return 0;
}

static bool says(const json_t *file, const char *key, json_int_t wanted) {
    const json_t *value = json_object_get(file, key);
    return json_is_integer(value) && json_integer_value(value) == wanted;
}

static int judge_owners(const struct spec *spec, const json_t *files, struct err *err) {
    size_t i;
    json_t *it;
    json_array_foreach((json_t *)files, i, it) {
        const struct spec_file *file = find(spec, it);
        if (!says(it, "mode", (int)file->mode) || !says(it, "uid", file->uid) ||
            !says(it, "gid", file->gid))
            return refuse(err, file->target, "has another owner or mode in the spec");
    }
    return 0;
}

// ---- what is asked ----

int judge_stage(const struct spec *spec, const json_t *argument, struct err *err) {
    const json_t *files = json_object_get(argument, "files");
    return judge_targets(spec, files, err) || judge_owners(spec, files, err) ||
                   judge_roots(spec, argument, err)
               ? -1
               : 0;
}

int judge_pairs(const struct spec *spec, const json_t *argument, struct err *err) {
    const json_t *staged = json_object_get(argument, "staged");
    const json_t *pairs = json_is_object(staged) ? json_object_get(staged, "staged") : staged;
    return judge_targets(spec, pairs, err) || judge_roots(spec, argument, err) ? -1 : 0;
}

int judge_swap(const struct spec *spec, const json_t *argument, struct err *err) {
    return judge_pairs(spec, argument, err) || judge_state(spec, argument, err) ? -1 : 0;
}

// Its pairs are in the journal, which the worker cannot write.
int judge_recover(const struct spec *spec, const json_t *argument, struct err *err) {
    return judge_targets(spec, json_object_get(argument, "files"), err) ||
                   judge_roots(spec, argument, err) || judge_state(spec, argument, err)
               ? -1
               : 0;
}

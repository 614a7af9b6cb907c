#include "sidecar/pod/below.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool below_path(const char *path, const char *dir) {
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n == 1)
        return true;
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

// ---- what is mounted ----

// A line of mountinfo. Which file system it is says the device of its superblock: that of a file
// is another one on btrfs and overlayfs.
struct mount {
    int id;
    char device[32];
    char *root, *point; // what of the file system, and where we see it
};

struct table {
    struct mount *list;
    size_t n;
};

static void table_done(struct table *t) {
    for (size_t i = 0; i < t->n; i++) {
        free(t->list[i].root);
        free(t->list[i].point);
    }
    free(t->list);
}

// "\040" is a space; so are tab, newline and backslash written.
static char *unescaped(const char *word) {
    char *text = xstrdup(word), *to = text;
    for (const char *c = text; *c; to++)
        if (*c == '\\' && strspn(c + 1, "01234567") >= 3) {
            *to = (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0'));
            c += 4;
        } else {
            *to = *c++;
        }
    *to = '\0';
    return text;
}

// An engine that was started anew has another socket of the same name; ours is still mounted.
static char *root_of(const char *word) {
    char *root = unescaped(word);
    if (text_ends(root, "//deleted"))
        root[strlen(root) - strlen("//deleted")] = '\0';
    return root;
}

static void take_line(struct table *t, char *line) {
    char *rest, *words[5] = {strtok_r(line, " ", &rest)};
    for (size_t i = 1; i < 5 && words[i - 1]; i++)
        words[i] = strtok_r(NULL, " ", &rest);
    if (!words[4])
        return;
    t->list = xrealloc(t->list, (t->n + 1) * sizeof *t->list);
    struct mount *m = &t->list[t->n++];
    m->id = (int)strtol(words[0], NULL, 10);
    snprintf(m->device, sizeof m->device, "%s", words[2]);
    m->root = root_of(words[3]);
    m->point = unescaped(words[4]);
}

static void read_table(struct table *t) {
    auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
    auto_free char *line = NULL;
    size_t room = 0;
    while (f && getline(&line, &room, f) > 0)
        take_line(t, line);
}

// statx says it too, since Linux 5.8.
static int mount_id(const char *path) {
    char name[64], line[128];
    int id = -1;
    auto_fd int fd = open(path, O_PATH | O_CLOEXEC);
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    auto_file FILE *f = fd < 0 ? NULL : fopen(name, "re");
    while (f && fgets(line, sizeof line, f))
        if (text_starts(line, "mnt_id:"))
            id = (int)strtol(line + strlen("mnt_id:"), NULL, 10);
    return id;
}

static const struct mount *mount_of(const struct table *t, const char *path) {
    int id = mount_id(path);
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].id == id)
            return &t->list[i];
    return NULL;
}

// ---- where a file is ----

// Its path in the file system itself.
static char *inner_path(const struct mount *m, const char *path) {
    const char *rest = path;
    if (strcmp(m->point, "/") != 0 && below_path(path, m->point))
        rest = path + strlen(m->point);
    return strcmp(m->root, "/") == 0 && *rest ? xstrdup(rest) : xasprintf("%s%s", m->root, rest);
}

enum below below_find(const char *dir, const char *file) {
    __attribute__((cleanup(table_done))) struct table table = {0};
    auto_free char *at = realpath(dir, NULL), *sought = realpath(file, NULL);
    read_table(&table);
    const struct mount *outer = at ? mount_of(&table, at) : NULL;
    const struct mount *home = sought ? mount_of(&table, sought) : NULL;
    if (!outer || !home)
        return BELOW_UNKNOWN;
    auto_free char *inner = inner_path(home, sought), *top = inner_path(outer, at);
    bool shown = strcmp(outer->device, home->device) == 0;
    bool found = shown && below_path(inner, top);
    for (size_t i = 0; i < table.n; i++) {
        const struct mount *m = &table.list[i];
        if (!below_path(m->point, at) || strcmp(m->device, home->device) != 0)
            continue;
        shown = true;
        found |= below_path(inner, m->root);
    }
    return found ? BELOW_YES : shown ? BELOW_RENAMED : BELOW_NO;
}

// Names that come from outside and become files: of uploads, of targets below a volume (with
// symlinks that lead out of it), of what goes into a container as tar. What lies beside them stays
// as it was. The first byte chooses.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "docker-api/archive.h"
#include "sidecar/render/beneath.h"
#include "sidecar/uploads.h"
#include "tests/unit/folder.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAMES = 4, BLOCK = 512, PATH_MAX_LEN = 4096 };

// Made once, in the directory that we run in: place/{uploads,outside,volume}, and in the volume
// what a workload may have put there.
static const char *const folders[] = {"place",        "place/uploads",  "place/outside",
                                      "place/volume", "place/volume/a", "place/volume/a/b"};
static char *volume;
static json_t *roots;

static void make_place(void) {
    if (volume)
        return;
    log_set_level(LOG_LEVEL_ERR);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        (void)mkdir(folders[i], 0755);
    FILE *f = fopen("place/outside/canary", "w");
    CHECK(f && fputs("alive", f) >= 0 && fclose(f) == 0);
    static const struct {
        const char *to, *at;
    } links[] = {{"../outside", "place/volume/out"},
                 {"/", "place/volume/root"},
                 {"/proc/self/root", "place/volume/magic"},
                 {"../../outside/canary", "place/volume/a/canary"},
                 {"a", "place/volume/inside"},
                 {"loop", "place/volume/loop"}};
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        (void)unlink(links[i].at);
        CHECK(symlink(links[i].to, links[i].at) == 0);
    }
    auto_free char *here = getcwd(NULL, 0);
    volume = xasprintf("%s/place/volume", here);
    roots = json_pack("[s]", volume);
}

static void canary_lives(void) {
    struct stat st;
    CHECK(folder_entries("place/outside") == 1 && folder_entries("place") == 3);
    CHECK(stat("place/outside/canary", &st) == 0 && st.st_size == 5);
}

static void try_uploads(char *const *names, size_t n) {
    struct upload uploads[NAMES];
    struct err err = ERR_INIT;
    for (size_t i = 0; i < n; i++)
        uploads[i] = (struct upload){names[i], names[i], strlen(names[i])};
    char *folder = uploads_write("place/uploads", uploads, n, &err);
    CHECK(folder || err.kind == ERR_USER);
    if (folder)
        CHECK(folder_entries(folder) == n && folder_entries("place/uploads") == 1);
    uploads_remove(folder);
    CHECK(folder_entries("place/uploads") == 0);
}

// Where what was opened really lies.
static void check_inside(int fd) {
    char link[64], path[PATH_MAX_LEN];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    CHECK(n > 0);
    path[n] = '\0';
    CHECK(text_starts(path, volume) && (path[strlen(volume)] == '/' || !path[strlen(volume)]));
}

static void try_beneath(const char *name) {
    auto_free char *path = xasprintf("%s/%s", volume, name);
    const char *root = beneath_root(roots, path);
    struct err err = ERR_INIT;
    struct beneath at = {.dir = -1};
    struct stat st;
    if (!root)
        return;
    if (beneath_open(root, path, false, &at, &err)) {
        CHECK(err.kind != ERR_NONE && *err.text);
        return;
    }
    check_inside(at.dir);
    (void)!beneath_look(&at, path, &st, &err);
    auto_fd int fd = beneath_file(&at, at.name, O_RDONLY, 0);
    if (fd >= 0)
        check_inside(fd);
    beneath_close(&at);
}

// No name in the tar is absolute or has a ".." in it, and each is the one that was given.
static void try_archive(char *const *names, size_t n) {
    struct docker_file files[NAMES];
    auto_text struct text tar = {0};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < n; i++)
        files[i] = (struct docker_file){.path = names[i], .data = "x", .len = 1, .mode = 0644};
    if (archive_pack(files, n, 1, &tar, &err)) {
        CHECK(err.kind == ERR_USER && *err.text);
        return;
    }
    CHECK(tar.len % BLOCK == 0 && tar.len >= 2 * n * BLOCK);
    CHECK(docker_archive_is_of(tar.s, tar.len, files, n));
    for (size_t i = 0; i < n; i++) {
        const char *head = tar.s + 2 * i * BLOCK, *prefix = head + 345;
        auto_free char *name = xasprintf("%.155s%s%.100s", prefix, *prefix ? "/" : "", head);
        auto_free char *closed = xasprintf("/%s/", name);
        CHECK(strcmp(name, names[i]) == 0 && *name != '/');
        CHECK(!strstr(closed, "/../") && !strstr(closed, "/./") && !strstr(closed, "//"));
        CHECK(head[156] == '0'); // a plain file
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    make_place();
    char *names[NAMES];
    const char *at = (const char *)data + 1;
    size_t left = size - 1, n = 0;
    while (left && n < NAMES) {
        const char *end = memchr(at, '\n', left);
        size_t len = end ? (size_t)(end - at) : left;
        names[n++] = xstrndup(at, len);
        at += len + (end != NULL);
        left -= len + (end != NULL);
    }
    switch (data[0] % 3) {
    case 0:
        try_uploads(names, n);
        break;
    case 1:
        try_beneath(names[0]);
        break;
    default:
        try_archive(names, n);
    }
    canary_lives();
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    return 0;
}

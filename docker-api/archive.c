// A tar of regular files (ustar, numbers that do not fit as GNU writes them), the look whether a
// tar is such a one, and the look whether a path is there.
#include "base/check.h"
#include "base/own.h"
#include "docker-api/archive.h"
#include "docker-api/client.h"
#include "docker-api/decode.h"
#include <string.h>

enum {
    ARCHIVE_MS = 60000,
    BLOCK = 512,
    END = 2 * BLOCK, // zeros behind the last file
};

// ---- tar ----

struct tar_head {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct tar_head) == BLOCK, "a tar header is one block");

// Octal with a NUL; what is too large as 0x80 and big endian.
static void put_number(char *field, size_t size, uint64_t value) {
    if (value >> (3 * (size - 1)) == 0) {
        char digits[24];
        snprintf(digits, sizeof digits, "%0*llo", (int)size - 1, (unsigned long long)value);
        memcpy(field, digits, size);
        return;
    }
    for (size_t i = size; i-- > 1; value >>= 8)
        field[i] = (char)(value & 0xff);
    field[0] = (char)0x80;
}

static bool is_inside(const char *path) {
    if (!*path || *path == '/' || path[strlen(path) - 1] == '/')
        return false;
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && part[0] == '.') ||
            (len == 2 && part[0] == '.' && part[1] == '.'))
            return false;
    }
    return true;
}

// A long path is cut at a slash: at most 155 bytes before it, 100 behind.
static int put_path(struct tar_head *head, const char *path, struct err *err) {
    size_t len = strlen(path);
    if (len <= sizeof head->name) {
        memcpy(head->name, path, len);
        return 0;
    }
    const char *slash = strchr(path + len - sizeof head->name - 1, '/');
    if (!slash || slash == path || (size_t)(slash - path) > sizeof head->prefix)
        return err_set(err, ERR_USER, "path of a file is too long for the archive call: %s", path);
    memcpy(head->prefix, path, (size_t)(slash - path));
    memcpy(head->name, slash + 1, strlen(slash + 1));
    return 0;
}

static void seal(struct tar_head *head) {
    unsigned sum = 0;
    memset(head->checksum, ' ', sizeof head->checksum);
    for (size_t i = 0; i < sizeof *head; i++)
        sum += ((const unsigned char *)head)[i];
    snprintf(head->checksum, sizeof head->checksum, "%06o", sum);
}

static int make_head(const struct docker_file *file, uint64_t len, uint64_t mtime_s,
                     struct tar_head *ret, struct err *err) {
    *ret = (struct tar_head){.type = '0', .magic = "ustar", .version = {'0', '0'}};
    if (!is_inside(file->path))
        return err_set(err, ERR_USER, "path of a file must stay below its directory: %s",
                       file->path);
    if (put_path(ret, file->path, err) < 0)
        return -1;
    put_number(ret->mode, sizeof ret->mode, file->mode & 07777);
    put_number(ret->uid, sizeof ret->uid, file->uid);
    put_number(ret->gid, sizeof ret->gid, file->gid);
    put_number(ret->size, sizeof ret->size, len);
    put_number(ret->mtime, sizeof ret->mtime, mtime_s);
    seal(ret);
    return 0;
}

static size_t padding(size_t len) {
    return (BLOCK - len % BLOCK) % BLOCK;
}

static int add_file(struct text *tar, const struct docker_file *file, int64_t mtime_s,
                    struct err *err) {
    static const char zeros[BLOCK];
    struct tar_head head;
    if (make_head(file, file->len, (uint64_t)mtime_s, &head, err) < 0)
        return -1;
    text_addn(tar, &head, sizeof head);
    text_addn(tar, file->data, file->len);
    text_addn(tar, zeros, padding(file->len));
    return 0;
}

int archive_pack(const struct docker_file *files, size_t n, int64_t mtime_s, struct text *ret,
                 struct err *err) {
    static const char zeros[END];
    auto_text struct text tar = {0};
    for (size_t i = 0; i < n; i++)
        if (add_file(&tar, &files[i], mtime_s, err) < 0)
            return -1;
    text_addn(&tar, zeros, sizeof zeros);
    *ret = tar;
    tar = (struct text){0};
    return 0;
}

// ---- the other way: is it one of ours? ----

// Two readers may understand a header differently. So none is understood here but its size and
// time: with these it is made anew, and must come out the same to the byte.

static bool read_octal(const char *field, size_t size, uint64_t *ret) {
    *ret = 0;
    for (size_t i = 0; i + 1 < size; i++) {
        if (field[i] < '0' || field[i] > '7')
            return false;
        *ret = *ret << 3 | (uint64_t)(field[i] - '0');
    }
    return !field[size - 1];
}

static bool is_head(const struct tar_head *head, const struct docker_file *files, size_t n,
                    uint64_t *ret_len) {
    uint64_t mtime_s;
    if (!read_octal(head->size, sizeof head->size, ret_len) ||
        !read_octal(head->mtime, sizeof head->mtime, &mtime_s))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct err err = ERR_INIT;
        struct tar_head own;
        if (make_head(&files[i], *ret_len, mtime_s, &own, &err) == 0 &&
            memcmp(&own, head, sizeof own) == 0)
            return true;
    }
    return false;
}

static bool is_zero(const char *s, size_t len) {
    static const char zeros[END];
    return len <= sizeof zeros && memcmp(s, zeros, len) == 0;
}

// Steps over one file and what fills its last block.
static bool skip_file(const char **at, size_t *left, const struct docker_file *files, size_t n) {
    struct tar_head head;
    uint64_t len;
    if (*left < sizeof head)
        return false;
    memcpy(&head, *at, sizeof head);
    if (!is_head(&head, files, n, &len) || len > *left - sizeof head)
        return false;
    size_t whole = sizeof head + len, rest = padding(len);
    if (rest > *left - whole || !is_zero(*at + whole, rest))
        return false;
    *at += whole + rest;
    *left -= whole + rest;
    return true;
}

bool docker_archive_is_of(const void *tar, size_t len, const struct docker_file *files, size_t n) {
    const char *at = tar;
    for (size_t i = 0; i < n && len > END; i++)
        if (!skip_file(&at, &len, files, n))
            return false;
    return len == END && is_zero(at, len);
}

// ---- calls ----

struct docker_call *docker_archive_put(struct docker *d, const char *id, const char *dir,
                                       const struct docker_file *files, size_t n,
                                       docker_done_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, call_done_reply, arg, "archive to %.12s:%s", id, dir);
    auto_text struct text tar = {0};
    struct err err = ERR_INIT;
    call->fn.done = fn;
    if (!is_name(id))
        err_set(&err, ERR_USER, "not an id or a name of a container");
    if (err.kind != ERR_NONE ||
        archive_pack(files, n, (int64_t)loop_wall(d->loop), &tar, &err) < 0) {
        call_fail(call, &err);
        return call;
    }
    call_send(call, &(struct call_request){.asked = {.op = DOOR_ARCHIVE,
                                                     .id = id,
                                                     .text = dir,
                                                     .body = tar.s,
                                                     .body_len = tar.len,
                                                     .timeout_ms = ARCHIVE_MS}});
    return call;
}

static void stat_reply(struct docker_call *call, const struct http_reply *reply,
                       const struct err *err) {
    docker_stat_fn *fn = call->fn.stat;
    void *arg = call->arg;
    struct err copy = *err;
    bool exists = copy.kind == ERR_NONE && reply->status == 200;
    call_free(call);
    fn(exists, &copy, arg);
}

struct docker_call *docker_path_stat(struct docker *d, const char *id, const char *path,
                                     docker_stat_fn *fn, void *arg) {
    struct docker_call *call = call_create(d, stat_reply, arg, "stat %.12s:%s", id, path);
    struct err err = ERR_INIT;
    call->fn.stat = fn;
    call->absent_ok = true;
    if (is_name(id)) {
        call_send(
            call,
            &(struct call_request){
                .asked = {.op = DOOR_STAT, .id = id, .text = path, .timeout_ms = ARCHIVE_MS}});
    } else {
        err_set(&err, ERR_USER, "not an id or a name of a container");
        call_fail(call, &err);
    }
    return call;
}

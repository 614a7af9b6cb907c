// Which archives the broker passes on: those that the pod makes of the spec's files, byte for byte.
#include "base/check.h"
#include "base/own.h"
#include "docker-api/archive.h"
#include "sidecar/broker/broker_inside.h"
#include "sidecar/pod/pod_inside.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK = 512, FILES = 4, SIZE_AT = 124, SUM_AT = 148, TYPE_AT = 156 };

#define LONG                                                                                       \
    "/srv/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"           \
    "0123456789/0123456789"

static const char yaml[] =
    "cluster: rig\nzk: none\nworkload: {image: a}\nfiles:\n"
    "  - {target: /conf/a, content: a, validate: {exec: [check, \"{}\"]}}\n"
    "  - {target: /conf/run, content: b, mode: \"0755\", owner: \"1000:7\"}\n"
    "  - {target: " LONG "/c, content: c, mode: \"0600\", owner: \"2147483646:2097152\"}\n"
    "  - {target: /d, content: d}\n";

static struct spec *spec;

static int setup(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    auto_text struct text report = {0};
    char *env[] = {NULL};
    if (spec_parse(yaml, strlen(yaml), "pod.yaml", "/", NULL, env, &spec, &report, &err))
        fail_msg("%s", text_str(&report));
    assert_int_equal(spec->files_len, FILES);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    spec_free(spec);
    return 0;
}

// ---- what the pod makes ----

// As the runner answers; the contents of no length, one block, more and less than one.
static json_t *rendered(void) {
    static const int lens[FILES] = {0, BLOCK, BLOCK + 1, 7};
    static const char text[BLOCK + 2] = {[0 ... BLOCK] = 'x'};
    json_t *list = json_array();
    for (size_t i = 0; i < FILES; i++) {
        const struct spec_file *f = &spec->files[i];
        json_array_append_new(list, json_pack("{s:s, s:s%, s:i, s:i, s:i}", "target", f->target,
                                              "content", text, (size_t)lens[i], "mode",
                                              (int)f->mode, "uid", f->uid, "gid", f->gid));
    }
    return list;
}

static struct text packed(const struct docker_file *files, size_t n) {
    struct text tar = {0};
    struct err err = ERR_INIT;
    if (archive_pack(files, n, 1700000000, &tar, &err))
        fail_msg("%s", err.text);
    return tar;
}

static bool may(const char *dir, const struct text *tar) {
    // In memory of its own, so that a look behind its end is seen.
    auto_free char *copy = tar->len ? xcalloc(tar->len, 1) : NULL;
    if (copy)
        memcpy(copy, tar->s, tar->len);
    const struct door_request request = {
        .op = DOOR_ARCHIVE, .text = dir, .body = copy, .body_len = tar->len};
    return fill_is_the_specs(spec, &request);
}

// A validator gets all of them, a workload those below no shared volume: any, in any order.
static void what_the_pod_makes_of_them_passes(void **state) {
    (void)state;
    auto_json json_t *all = rendered();
    for (unsigned set = 1; set < 1U << FILES; set++) {
        auto_json json_t *some = json_array(), *back = json_array();
        for (size_t i = 0; i < FILES; i++)
            if (set & 1U << i) {
                json_array_append(some, json_array_get(all, i));
                json_array_insert(back, 0, json_array_get(all, i));
            }
        size_t n = json_array_size(some);
        auto_free struct docker_file *files = outside_files(some), *other = outside_files(back);
        auto_text struct text tar = packed(files, n), turned = packed(other, n);
        assert_true(may("/", &tar));
        assert_true(may("/", &turned));
    }
}

// ---- what it does not ----

static void another_directory_is_refused(void **state) {
    (void)state;
    static const char *const dirs[] = {"", "//", "/.", "/conf", "/etc", "/conf/..", "."};
    auto_json json_t *all = rendered();
    auto_free struct docker_file *files = outside_files(all);
    auto_text struct text tar = packed(files, FILES);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        assert_false(may(dirs[i], &tar));
    assert_false(may(NULL, &tar));
}

static void another_file_is_refused(void **state) {
    (void)state;
    static const struct docker_file strange[] = {
        {.path = "etc/passwd", .data = "", .mode = 0644},
        {.path = "bin/check", .data = "", .mode = 0644},
        {.path = "conf/a/b", .data = "", .mode = 0644},
        {.path = "conf", .data = "", .mode = 0644},
        {.path = "conf/A", .data = "", .mode = 0644},
        {.path = "conf/a", .data = "", .mode = 04644},
        {.path = "conf/a", .data = "", .mode = 02644},
        {.path = "conf/a", .data = "", .mode = 01644},
        {.path = "conf/a", .data = "", .mode = 0755},
        {.path = "conf/a", .data = "", .mode = 0644, .uid = 1},
        {.path = "conf/a", .data = "", .mode = 0644, .gid = 1},
        {.path = "conf/run", .data = "", .mode = 04755, .uid = 1000, .gid = 7},
        {.path = "conf/run", .data = "", .mode = 0755}, // of root
    };
    const struct docker_file good = {.path = "conf/a", .data = "", .mode = 0644};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        const struct docker_file behind[] = {good, strange[i]};
        auto_text struct text alone = packed(&strange[i], 1), second = packed(behind, 2);
        assert_false(may("/", &alone));
        assert_false(may("/", &second));
    }
}

static void more_than_there_are_is_refused(void **state) {
    (void)state;
    struct docker_file files[FILES + 1];
    for (size_t i = 0; i < FILES + 1; i++)
        files[i] = (struct docker_file){.path = "conf/a", .data = "", .mode = 0644};
    auto_text struct text tar = packed(files, FILES + 1);
    assert_false(may("/", &tar));
}

// ---- headers that are written by hand ----

static struct text one(const char *data, size_t len) {
    const struct docker_file file = {.path = "conf/a", .data = data, .len = len, .mode = 0644};
    return packed(&file, 1);
}

static void seal(struct text *tar) {
    unsigned sum = 0;
    memset(tar->s + SUM_AT, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += ((const unsigned char *)tar->s)[i];
    snprintf(tar->s + SUM_AT, 8, "%06o", sum);
}

// With a checksum that is right.
static void refuse_with(size_t at, const void *bytes, size_t len) {
    auto_text struct text tar = one("abc", 3);
    memcpy(tar.s + at, bytes, len);
    seal(&tar);
    if (may("/", &tar))
        fail_msg("byte %zu", at);
}

static void other_types_are_refused(void **state) {
    (void)state;
    static const char types[] = "\0001234567gxLKSVNADMX";
    for (size_t i = 0; i + 1 < sizeof types; i++)
        refuse_with(TYPE_AT, &types[i], 1);
}

static void each_byte_of_a_header_counts(void **state) {
    (void)state;
    for (size_t at = 0; at < BLOCK; at++) {
        auto_text struct text tar = one("abc", 3);
        tar.s[at] ^= 1;
        if (at < SIZE_AT || at >= SUM_AT + 8) // size and time may be others, where the sum says so
            seal(&tar);
        if (may("/", &tar))
            fail_msg("byte %zu", at);
    }
}

static void ways_out_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"../conf/a", "/conf/a",     "conf/../a", "./conf/a",
                                        "conf//a",   "conf/a/../a", "conf/a/",   "conf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[100] = "";
        snprintf(name, sizeof name, "%s", names[i]);
        refuse_with(0, name, sizeof name);
    }
}

static void sizes_that_are_not_are_refused(void **state) {
    (void)state;
    static const char *const sizes[] = {"77777777777", "00000001001", "          3", "0000000003 ",
                                        "3",           "-0000000001", "00000000008", "",
                                        "0x000000003"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char size[12] = "";
        snprintf(size, sizeof size, "%s", sizes[i]);
        refuse_with(SIZE_AT, size, sizeof size);
    }
    refuse_with(SIZE_AT, "\x80\0\0\0\0\0\0\0\0\0\0\3", 12);
    refuse_with(SIZE_AT, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    refuse_with(SIZE_AT, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\0", 12);
    refuse_with(SIZE_AT, "000000000030", 12);
}

// ---- the ends ----

static void what_is_cut_short_is_refused(void **state) {
    (void)state;
    auto_json json_t *all = rendered();
    auto_free struct docker_file *files = outside_files(all);
    auto_text struct text tar = packed(files, FILES);
    for (size_t len = 0; len < tar.len; len++) {
        const struct text cut = {.s = tar.s, .len = len};
        if (may("/", &cut))
            fail_msg("%zu of %zu bytes", len, tar.len);
    }
}

static void nothing_stands_behind_the_end(void **state) {
    (void)state;
    static const char zeros[BLOCK];
    auto_text struct text good = one("abc", 3), again = {0}, padded = {0}, early = {0};
    text_addn(&again, good.s, good.len); // which some readers take for its end
    text_addn(&again, good.s, good.len);
    assert_false(may("/", &again));
    text_addn(&padded, good.s, good.len);
    text_addn(&padded, zeros, sizeof zeros);
    assert_false(may("/", &padded));
    text_addn(&early, zeros, sizeof zeros);
    text_addn(&early, good.s, good.len);
    assert_false(may("/", &early));
    for (size_t at = BLOCK + 3; at < good.len; at++) { // what fills the block is zeros too
        good.s[at] = 'x';
        assert_false(may("/", &good));
        good.s[at] = 0;
    }
    assert_true(may("/", &good));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_pod_makes_of_them_passes),
        cmocka_unit_test(another_directory_is_refused),
        cmocka_unit_test(another_file_is_refused),
        cmocka_unit_test(more_than_there_are_is_refused),
        cmocka_unit_test(other_types_are_refused),
        cmocka_unit_test(each_byte_of_a_header_counts),
        cmocka_unit_test(ways_out_are_refused),
        cmocka_unit_test(sizes_that_are_not_are_refused),
        cmocka_unit_test(what_is_cut_short_is_refused),
        cmocka_unit_test(nothing_stands_behind_the_end),
    };
    return cmocka_run_group_tests_name("broker fill", tests, setup, teardown);
}

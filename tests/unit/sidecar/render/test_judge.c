// Which files the worker may have written: what an honest one asks for, and what somebody would in
// its place. Run as root: a volume is mounted in a mount namespace of our own.
#include "sidecar/render/judge.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/render/render.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <cmocka.h>

static char place[64]; // volume/ in it is one, plain/ is not
static char *target;
static struct spec *spec;

static struct spec *spec_of(void) {
    auto_free char *yaml = xasprintf(
        "cluster: db\nstate_dir: /state\nworkload: {image: a}\nfiles:\n"
        "- {target: %s, content: x, mode: \"0640\", owner: \"12:34\"}\n"
        "- {target: /etc/inside.cfg, content: x}\n- {target: %s/link/b, content: x}\n",
        target, place);
    char *const env[] = {NULL};
    struct text report = {0};
    struct spec *s = NULL;
    if (spec_parse(yaml, strlen(yaml), "pod.yaml", NULL, NULL, env, &s, &report, NULL))
        fail_msg("%s", text_str(&report));
    text_done(&report);
    return s;
}

static int prepare(void **state) {
    (void)state;
    strcpy(place, "/tmp/ocho-judge-XXXXXX");
    if (!mkdtemp(place) || unshare(CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return -1;
    auto_free char *volume = xasprintf("%s/volume", place), *plain = xasprintf("%s/plain", place);
    auto_free char *link = xasprintf("%s/link", place);
    if (mkdir(volume, 0755) || mkdir(plain, 0755) || symlink(volume, link) ||
        mount("none", volume, "tmpfs", 0, NULL))
        return -1;
    target = xasprintf("%s/etc/app.cfg", volume);
    spec = spec_of();
    return 0;
}

static int finish(void **state) {
    (void)state;
    auto_free char *volume = xasprintf("%s/volume", place);
    auto_free char *line = xasprintf("rm -r %s", place);
    spec_free(spec);
    free(target);
    return umount(volume) || system(line); // NOLINT
}

// ---- asking ----

static struct err asked(const char *function, json_t *argument) {
    struct err err = ERR_INIT;
    auto_json json_t *it = argument;
    assert_non_null(it);
    const struct runner_function *f = render_functions;
    while (strcmp(f->name, function) != 0)
        f++;
    int rc = f->judge(spec, it, &err);
    assert_int_equal(rc, err.kind == ERR_NONE ? 0 : -1);
    return err;
}

static void may(const char *function, json_t *argument) {
    struct err err = asked(function, argument);
    if (err.kind != ERR_NONE)
        fail_msg("%s", err.text);
}

static void may_not(const char *function, json_t *argument, const char *why) {
    struct err err = asked(function, argument);
    assert_int_equal(err.kind, ERR_REFUSED);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static json_t *file(const char *path, int mode, int uid, int gid) {
    return json_pack("{sssssisisi}", "target", path, "content", "x", "mode", mode, "uid", uid,
                     "gid", gid);
}

static json_t *own_file(void) {
    return file(target, 0640, 12, 34);
}

// Below `name` of our place; "/" is what it is.
static json_t *roots(const char *name) {
    json_t *list = json_array();
    auto_free char *path = *name == '/' ? xstrdup(name) : xasprintf("%s/%s", place, name);
    json_array_append_new(list, json_string(path));
    return list;
}

static json_t *stage(json_t *of, json_t *below) {
    return json_pack("{s[o]soss}", "files", of, "roots", below, "pod", "p");
}

static json_t *swap(const char *path, const char *state, const char *root) {
    return json_pack("{s[{ssss}]ssso}", "staged", "target", path, "staged", "x", "state_dir", state,
                     "roots", roots(root));
}

// ---- claims ----

static void files_of_the_spec_are_written(void **state) {
    (void)state;
    may("stage", stage(own_file(), roots("volume")));
    may("stage", stage(file("/etc/inside.cfg", 0644, 0, 0), roots("volume"))); // for the archive
    may("stage", stage(own_file(), json_null()));                              // nothing shared
    may("swap", swap(target, "/state", "volume"));
    may("ready", swap(target, "", "volume"));
    may("discard", swap(target, "", "volume"));
    may("discard", json_pack("{s{s[{ss}]}so}", "staged", "staged", "target", target, "roots",
                             roots("volume")));
    may("recover", json_pack("{s[{ss}]ssso}", "files", "target", target, "state_dir", "/state",
                             "roots", roots("volume")));
}

static void no_others_are(void **state) {
    (void)state;
    static const char *const crooked[] = {"/usr/bin/ocho",    "/state/pod.json",
                                          "etc/inside.cfg",   "/etc/../etc/inside.cfg",
                                          "//etc/inside.cfg", ""};
    for (size_t i = 0; i < sizeof crooked / sizeof *crooked; i++) {
        may_not("stage", stage(file(crooked[i], 0644, 0, 0), roots("volume")),
                "is no file of the spec");
        may_not("ready", swap(crooked[i], "", "volume"), "is no file of the spec");
        may_not("swap", swap(crooked[i], "/state", "volume"), "is no file of the spec");
        may_not("discard", swap(crooked[i], "", "volume"), "is no file of the spec");
        may_not("recover",
                json_pack("{s[{ss}]ssso}", "files", "target", crooked[i], "state_dir", "/state",
                          "roots", roots("volume")),
                "is no file of the spec");
    }
    may_not("discard",
            json_pack("{s{s[{ss}]}so}", "staged", "staged", "target", "/usr/bin/ocho", "roots",
                      roots("volume")),
            "is no file of the spec");
}

static void owner_and_mode_are_the_specs(void **state) {
    (void)state;
    may_not("stage", stage(file(target, 0666, 12, 34), roots("volume")), "another owner or mode");
    may_not("stage", stage(file(target, 0640, 0, 34), roots("volume")), "another owner or mode");
    may_not("stage", stage(file(target, 0640, 12, 0), roots("volume")), "another owner or mode");
    may_not("stage", stage(json_pack("{ssss}", "target", target, "content", "x"), roots("volume")),
            "another owner or mode");
}

static void only_what_is_mounted_is_a_volume(void **state) {
    (void)state;
    static const char *const crooked[] = {"/", "//", "", "/etc", "/etc/"};
    for (size_t i = 0; i < sizeof crooked / sizeof *crooked; i++) {
        may_not("stage", stage(own_file(), roots(crooked[i])), "is no volume");
        may_not("swap", swap(target, "/state", crooked[i]), "is no volume");
        may_not("recover",
                json_pack("{s[{ss}]ssso}", "files", "target", target, "state_dir", "/state",
                          "roots", roots(crooked[i])),
                "is no volume");
    }
    // Nothing of the spec is below it, so nothing is opened there: shared for other reasons.
    static const char *const others[] = {"plain", "volume/..", "/usr/bin", "/etc/localtime"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        may("stage", stage(own_file(), roots(others[i])));
    // Our image has a link there, and the engine mounted where it leads to.
    may("stage", stage(own_file(), roots("link")));
}

static void the_journal_lies_in_the_state_directory(void **state) {
    (void)state;
    may_not("swap", swap(target, "/etc", "volume"), "is not the state directory");
    may_not("swap", swap(target, "/state/..", "volume"), "is not the state directory");
    may_not("recover", json_pack("{sssn}", "state_dir", "/etc", "roots"),
            "is not the state directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_the_spec_are_written),
        cmocka_unit_test(no_others_are),
        cmocka_unit_test(owner_and_mode_are_the_specs),
        cmocka_unit_test(only_what_is_mounted_is_a_volume),
        cmocka_unit_test(the_journal_lies_in_the_state_directory),
    };
    return cmocka_run_group_tests(tests, prepare, finish);
}

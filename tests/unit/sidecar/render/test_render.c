#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/render/render.h"
#include "tests/unit/folder.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

// The whole way through a real runner: what the worker asks, a child does.

enum { GENEROUS_MS = 60000 };
#define POD "11111111-2222-4333-8444-555555555555"

struct world {
    struct runner *runner;
    struct loop *loop;
    struct runner_job *job;
    struct loop_timer *deadline;
    json_t *answer;
    struct err err;
    char folder[64]; // roots[0] is its volume/
    char *volume, *state;
    char *roots[2];
};

static int setup(void **state) {
    struct world *w = xnew(struct world);
    strcpy(w->folder, "/tmp/ocho-render-XXXXXX");
    static const char *const writes[] = {"/tmp", NULL};
    static const struct runner_setup how = {.name = "render-test",
                                            .functions = render_functions,
                                            .sandbox = SANDBOX_RUNNER,
                                            .writes = writes};
    if (!mkdtemp(w->folder) || runner_start(&how, &w->runner, NULL))
        return -1;
    w->loop = loop_create();
    runner_attach(w->runner, w->loop);
    w->volume = xasprintf("%s/volume", w->folder);
    w->state = xasprintf("%s/state", w->folder);
    w->roots[0] = w->volume;
    *state = w;
    return mkdir(w->volume, 0755) || mkdir(w->state, 0755);
}

static int teardown(void **state) {
    struct world *w = *state;
    runner_stop(w->runner);
    loop_free(w->loop);
    json_decref(w->answer);
    char *cmd = xasprintf("rm -rf %s", w->folder);
    int rc = system(cmd); // NOLINT
    free(cmd);
    free(w->volume);
    free(w->state);
    free(w);
    return rc;
}

static void on_answer(json_t *answer, const struct err *err, void *arg) {
    struct world *w = arg;
    w->job = NULL;
    json_decref(w->answer);
    w->answer = json_incref(answer);
    w->err = *err;
    loop_quit(w->loop);
}

static void too_late(void *arg) {
    (void)arg;
    fail_msg("no answer within %d ms", GENEROUS_MS);
}

static void wait_for(struct world *w, struct runner_job *job) {
    w->job = job;
    w->err = (struct err)ERR_INIT;
    loop_timer_start(w->loop, &w->deadline, GENEROUS_MS, too_late, w);
    loop_run(w->loop);
    loop_timer_stop(&w->deadline);
}

static void wait_done(struct world *w, struct runner_job *job) {
    wait_for(w, job);
    if (w->err.kind != ERR_NONE)
        fail_msg("%s", w->err.text);
    assert_non_null(w->answer);
}

static struct spec *spec_of(const char *text) {
    struct spec *spec = NULL;
    struct text report = {0};
    static const char *const env[] = {"HOME=/root", "pod={\"tick\": 500}", NULL};
    if (spec_parse(text, strlen(text), "pod.yaml", NULL, NULL, (char *const *)env, &spec, &report,
                   NULL))
        fail_msg("%s", text_str(&report));
    text_done(&report);
    return spec;
}

static json_t *view(void) {
    static const char text[] = "{\"pods\": [{\"ip\": \"10.0.0.1\", \"ports\": {}}], \"self\": "
                               "{\"ip\": \"10.0.0.1\", \"ports\": {\"80\": 31080}}, \"ordinal\": "
                               "1, \"size\": 1, \"dependencies\": {}}";
    return json_read(text, sizeof text - 1, sizeof text, "view", NULL);
}

static const char spec_text[] = "workload:\n"
                                "  image: a\n"
                                "  environment: {ID: \"{{ ordinal }}\", PLAIN: x}\n"
                                "  command: [serve, \"--port={{ port(80) }}\"]\n"
                                "files:\n"
                                "- {target: %s/etc/app.cfg, mode: \"0600\", content: \"tick={{ "
                                "settings.tick }}\\n\"}\n"
                                "- {target: %s/id, content: \"{{ ordinal }}\"}\n"
                                "- {target: /elsewhere/x, content: y}\n";

static struct spec *example(const struct world *w) {
    char *text = xasprintf(spec_text, w->volume, w->volume); // NOLINT
    struct spec *spec = spec_of(text);
    free(text);
    free(spec->state_dir);
    spec->state_dir = xstrdup(w->state);
    return spec;
}

static char *content(const char *folder, const char *name) {
    char path[256], buf[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, buf, sizeof buf);
    close(fd);
    assert_true(n >= 0);
    return xstrndup(buf, (size_t)n);
}

static void holds(const struct world *w, const char *name, const char *wanted) {
    char *got = content(w->volume, name);
    if (wanted)
        assert_string_equal(got, wanted);
    else
        assert_null(got);
    free(got);
}

static void render_gives_files_environment_and_command(void **state) {
    struct world *w = *state;
    struct spec *spec = example(w);
    json_t *v = view();
    wait_done(w, render_start(w->runner, spec, v, on_answer, w));
    const json_t *file = json_array_get(json_object_get(w->answer, "files"), 0);
    assert_string_equal(json_text(file, "content"), "tick=500\n");
    assert_int_equal(json_integer_value(json_object_get(file, "mode")), 0600);
    assert_int_equal(strlen(json_text(file, "sha256")), 64);
    const json_t *env = json_object_get(w->answer, "environment");
    assert_string_equal(json_text(env, "ID"), "1");
    assert_string_equal(json_text(env, "PLAIN"), "x");
    const json_t *command = json_object_get(w->answer, "command");
    assert_string_equal(json_string_value(json_array_get(command, 1)), "--port=31080");
    assert_true(json_is_null(json_object_get(w->answer, "entrypoint")));

    struct err err = ERR_INIT;
    json_t *now = render_now(spec, v, &err);
    assert_true(json_equal(now, w->answer));
    json_decref(now);
    json_decref(v);
    spec_free(spec);
}

static void files_are_staged_then_swapped(void **state) {
    struct world *w = *state;
    struct spec *spec = example(w);
    json_t *v = view();
    wait_done(w, render_start(w->runner, spec, v, on_answer, w));
    json_t *rendering = json_incref(w->answer);
    wait_done(w, render_stage(w->runner, rendering, w->roots, POD, on_answer, w));
    json_t *staged = json_incref(w->answer);
    assert_int_equal(json_array_size(json_object_get(staged, "staged")), 2);
    assert_int_equal(json_array_size(json_object_get(staged, "changed")), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(staged, "outside"), 0)),
                        "/elsewhere/x");
    holds(w, "etc/app.cfg", NULL);
    const json_t *pairs = json_object_get(staged, "staged");
    wait_done(w, render_ready(w->runner, pairs, w->roots, on_answer, w));
    assert_int_equal(json_integer_value(json_object_get(w->answer, "ready")), 2);
    holds(w, "etc/app.cfg", NULL);

    wait_done(w, render_swap(w->runner, pairs, w->roots, w->state, on_answer, w));
    assert_int_equal(json_integer_value(json_object_get(w->answer, "swapped")), 2);
    holds(w, "etc/app.cfg", "tick=500\n");
    holds(w, "id", "1");
    assert_int_equal(folder_entries(w->volume), 2);
    assert_int_equal(folder_entries(w->state), 0);

    wait_done(w, render_stage(w->runner, rendering, w->roots, POD, on_answer, w));
    assert_int_equal(json_array_size(json_object_get(w->answer, "changed")), 0);
    json_t *again = json_incref(w->answer);
    wait_done(w, render_discard(w->runner, again, w->roots, on_answer, w));
    assert_int_equal(folder_entries(w->volume), 2);

    // Staged again, and then whoever would have renamed or removed it is no more.
    wait_done(w, render_stage(w->runner, rendering, w->roots, POD, on_answer, w));
    auto_free char *etc = xasprintf("%s/etc", w->volume);
    assert_int_equal(folder_entries(w->volume), 3);
    assert_int_equal(folder_entries(etc), 2);
    wait_done(w, render_recover(w->runner, spec, w->roots, POD, on_answer, w));
    assert_int_equal(folder_entries(w->volume), 2);
    assert_int_equal(folder_entries(etc), 1);
    holds(w, "etc/app.cfg", "tick=500\n");
    json_decref(again);
    json_decref(rendering);
    json_decref(staged);
    json_decref(v);
    spec_free(spec);
}

static void refused(struct world *w, const char *text, enum err_kind kind, const char *message) {
    char *yaml = xasprintf("workload: {image: a}\nfiles:\n- target: /c\n  content: |\n    %s\n",
                           text);
    struct spec *spec = spec_of(yaml);
    json_t *v = view();
    wait_for(w, render_start(w->runner, spec, v, on_answer, w));
    assert_int_equal(w->err.kind, kind);
    if (message)
        assert_string_equal(w->err.text, message);
    free(yaml);
    json_decref(v);
    spec_free(spec);
}

static void what_cannot_be_rendered_names_its_line(void **state) {
    struct world *w = *state;
    refused(w, "{{ pods[1].prots }}", ERR_REFUSED,
            "pod.yaml files[0].content:1: pods[1].prots: no such name");
    refused(w, "{% fail('only one') %}", ERR_REFUSED, "pod.yaml files[0].content:1: only one");
    refused(w, "{{ ('x'):char(0) }}{{ string.char(0) }}", ERR_REFUSED, NULL);
    refused(w, "{{ string.char(0) }}", ERR_REFUSED,
            "pod.yaml files[0].content: the result is not UTF-8 text");
    refused(w, "{{ string.char(255) }}", ERR_REFUSED,
            "pod.yaml files[0].content: the result is not UTF-8 text");
}

// Lua's hooks do not interrupt its string library.
static void a_pattern_bomb_is_killed(void **state) {
    struct world *w = *state;
    refused(w, "{{ ('a'):rep(40):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b') }}", ERR_TIMEOUT,
            NULL);
    refused(w, "{% while true do end %}", ERR_REFUSED,
            "pod.yaml files[0].content:1: runs too long");
}

static void check_tells_every_mistake(void **state) {
    (void)state;
    struct spec *spec = spec_of("workload:\n  image: a\n  environment: {A: \"{{ 1 + }}\"}\n"
                                "  command: [\"{{\"]\n"
                                "files: [{target: /a, content: \"x\\n{% if %}\"}]\n");
    struct text report = {0};
    struct err err = ERR_INIT;
    assert_int_equal(render_check(spec, &report, &err), -1);
    assert_string_equal(text_str(&report),
                        "pod.yaml files[0].content:2: unexpected symbol near <eof>\n"
                        "pod.yaml workload.environment.A:1: unexpected symbol near <eof>\n"
                        "pod.yaml workload.command[0]:1: {{ is never closed\n");
    assert_int_equal(err.kind, ERR_USER);
    text_done(&report);
    spec_free(spec);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(render_gives_files_environment_and_command, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(files_are_staged_then_swapped, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_rendered_names_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pattern_bomb_is_killed, setup, teardown),
        cmocka_unit_test(check_tells_every_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

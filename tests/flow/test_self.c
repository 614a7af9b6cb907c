// Which container are we? Over the fake engine, which is told where the proof lies.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/table.h"
#include "tests/fake/docker.h"
#include "tests/fake/loop.h"
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop *loop;
static struct fake_engine *engine;
static struct docker *docker;
static struct docker_container *found;
static enum err_kind kind;
static bool answered;

static void on_found(struct docker_container *self, const struct err *err, void *arg) {
    (void)arg;
    found = self;
    kind = err->kind;
    answered = true;
}

static void run(const char *name, const char *task) {
    auto_json json_t *body = json_pack("{sss{ss}s{}}", "Image", "app:1", "HostConfig",
                                       "NetworkMode", "bridge", "Labels");
    if (task)
        json_object_set_new(json_object_get(body, "Labels"), "MESOS_TASK_ID", json_string(task));
    struct engine_reply created = engine_container_create(fake_engine_memory(engine), name, body);
    assert_int_equal(created.status, 201);
    json_decref(created.body);
    json_decref(engine_container_start(fake_engine_memory(engine), name).body);
}

static int begin(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    loop = loop_create();
    engine = fake_engine_create(loop, NULL);
    assert_int_equal(docker_open(loop, NULL, NULL, NULL, NULL, NULL, &docker, &err), 0);
    fake_engine_record_reads(engine, true);
    answered = false;
    found = NULL;
    return 0;
}

static int end(void **state) {
    (void)state;
    docker_container_free(found);
    docker_close(docker);
    fake_engine_free(engine);
    loop_free(loop);
    return 0;
}

// Which container was asked for the proof first; the proof lies in `truth` alone. The file is made
// in our own root: where that cannot be written nobody is believed, and NULL is answered.
static char *find(char *const *env, const char *truth) {
    struct binding_wish wish = {.env = env, .port = 8080};
    assert_non_null(binding_self_find(docker, &wish, on_found, NULL));
    glob_t made = {0};
    glob("/.ochopod-self-*", 0, NULL, &made);
    for (size_t i = 0; truth && i < made.gl_pathc; i++)
        fake_engine_touch(engine, truth, made.gl_pathv[i]);
    globfree(&made);
    fake_loop_advance(loop, 1000);
    assert_true(answered);
    if (access("/", W_OK)) {
        assert_int_equal(kind, ERR_ABSENT);
        return NULL;
    }
    const char *calls = fake_engine_calls(engine), *stat = strstr(calls, "stat ");
    if (!stat)
        fail_msg("nothing is proven:\n%s", calls);
    stat += strlen("stat ");
    return xstrndup(stat, strcspn(stat, " "));
}

static void mesos_names_our_container(void **state) {
    (void)state;
    run("pod-x", NULL);
    run("mesos-4b2a", NULL);
    run("pod-w", NULL);
    char mesos[] = "MESOS_CONTAINER_NAME=mesos-4b2a", *env[] = {mesos, NULL};
    auto_free char *first = find(env, "mesos-4b2a");
    if (!first)
        return;
    assert_string_equal(first, "mesos-4b2a");
    assert_string_equal(found->name, "mesos-4b2a");
}

static void the_label_of_the_task_names_it(void **state) {
    (void)state;
    run("pod-x", "other.1");
    run("pod-y", NULL);
    run("pod-z", "db.1");
    char task[] = "MESOS_TASK_ID=db.1", *env[] = {task, NULL};
    auto_free char *first = find(env, "pod-z");
    if (!first)
        return;
    assert_string_equal(first, "pod-z");
    assert_string_equal(found->name, "pod-z");
}

// Both were copied from another container's environment.
static void a_name_that_lies_is_not_believed(void **state) {
    (void)state;
    run("mesos-4b2a", "db.1");
    run("pod-y", NULL);
    char mesos[] = "MESOS_CONTAINER_NAME=mesos-4b2a", task[] = "MESOS_TASK_ID=db.1",
         *env[] = {mesos, task, NULL};
    auto_free char *first = find(env, "pod-y");
    if (!first)
        return;
    assert_string_equal(first, "mesos-4b2a");
    assert_string_equal(found->name, "pod-y");
}

static void nobody_is_us(void **state) {
    (void)state;
    run("pod-x", NULL);
    char *env[] = {NULL};
    auto_free char *first = find(env, NULL);
    if (!first)
        return;
    assert_string_equal(first, "pod-x");
    assert_int_equal(kind, ERR_ABSENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(mesos_names_our_container),
        TEST(the_label_of_the_task_names_it),
        TEST(a_name_that_lies_is_not_believed),
        TEST(nobody_is_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// How long a pull is waited for: over a door that says what each test says, and a virtual clock.
#include "base/check.h"
#include "docker-api/client.h"
#include "tests/fake/loop.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { MINUTE_MS = 60000 };

static struct {
    struct door_call call;
    struct door_events events;
    void *arg;
    bool open;
} asked;

static struct door_call *start(struct door *door, const struct door_request *request,
                               const struct door_events *events, void *arg) {
    assert_int_equal(request->op, DOOR_PULL);
    asked.call.door = door;
    asked.events = *events;
    asked.arg = arg;
    asked.open = true;
    return &asked.call;
}

static void cancel(struct door_call *call) {
    assert_ptr_equal(call, &asked.call);
    asked.open = false;
}

static void says(const char *id, const char *status) {
    auto_text struct text line = {0};
    text_addf(&line, "{\"status\":\"%s\",\"progressDetail\":{},\"id\":\"%s\"}\r\n", status, id);
    assert_int_equal(asked.events.on_data(line.s, line.len, asked.arg), 0);
}

static void on_done(const struct err *err, void *arg) {
    err_copy(arg, err);
}

struct bench {
    struct door door;
    struct docker docker;
    struct err end; // ERR_NONE: it goes on
};

static void begin(struct bench *b) {
    *b = (struct bench){.door = {.start = start, .cancel = cancel}};
    b->docker = (struct docker){
        .loop = loop_create(), .door = &b->door, .contact = CONTACT_UP, .version = "1.41"};
    list_init(&b->docker.calls);
    docker_pull(&b->docker, "app:1", NULL, on_done, &b->end);
    assert_true(asked.open);
    asked.events.on_head(&(struct door_head){.status = 200}, asked.arg);
}

// It ends within so many minutes from now, and not much before.
static void ends_after(struct bench *b, int minutes) {
    fake_loop_advance(b->docker.loop, (int64_t)minutes * MINUTE_MS - 1000);
    assert_true(asked.open && b->end.kind == ERR_NONE);
    fake_loop_advance(b->docker.loop, 2000);
    assert_false(asked.open);
    assert_int_equal(b->end.kind, ERR_TIMEOUT);
    loop_free(b->docker.loop);
}

static void who_says_nothing_is_left_after_two_minutes(void **state) {
    (void)state;
    struct bench b;
    begin(&b);
    ends_after(&b, 2);
    begin(&b);
    says("1", "Pulling from library/app");
    says("a", "Download complete");
    says("b", "Downloading");
    fake_loop_advance(b.docker.loop, MINUTE_MS);
    says("b", "Downloading");
    ends_after(&b, 2);
}

static void a_large_layer_has_half_an_hour_to_be_unpacked(void **state) {
    (void)state;
    struct bench b;
    begin(&b);
    says("a", "Already exists");
    says("b", "Downloading");
    says("b", "Download complete");
    ends_after(&b, 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_says_nothing_is_left_after_two_minutes),
        cmocka_unit_test(a_large_layer_has_half_an_hour_to_be_unpacked),
    };
    return cmocka_run_group_tests_name("docker-api image", tests, NULL, NULL);
}

// What is asked over the line: it comes out as it went in, and nothing else comes out at all.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "docker-api/line.h"
#include <string.h>

static const struct door_request full = {.op = DOOR_EVENTS,
                                         .version = "1.41",
                                         .id = "0123456789ab",
                                         .text = "/conf",
                                         .number = -7,
                                         .since_ns = INT64_C(1700000000123456789),
                                         .follow = true,
                                         .json = "{\"a\": 1}",
                                         .timeout_ms = 60000,
                                         .max_reply = 8 << 20,
                                         .pieces = true};

static int unpack(const struct text *message, size_t len, struct door_request *ret) {
    struct wire w = {.at = message->s, .end = message->s + len};
    int rc = door_unpack(&w, ret);
    return rc || w.at != w.end ? -1 : 0;
}

static int same(const struct door_request *r) {
    auto_text struct text message = {0};
    struct door_request got;
    door_pack(&message, r);
    return unpack(&message, message.len, &got);
}

static void it_comes_out_as_it_went_in(void **state) {
    (void)state;
    auto_text struct text message = {0};
    struct door_request got;
    door_pack(&message, &full);
    assert_int_equal(unpack(&message, message.len, &got), 0);
    assert_int_equal(got.op, DOOR_EVENTS);
    assert_string_equal(got.version, "1.41");
    assert_string_equal(got.id, full.id);
    assert_string_equal(got.text, "/conf");
    assert_int_equal(got.number, -7);
    assert_int_equal(got.since_ns, full.since_ns);
    assert_true(got.follow && got.pieces);
    assert_string_equal(got.json, full.json);
    assert_int_equal(got.timeout_ms, 60000);
    assert_int_equal(got.max_reply, 8 << 20);
    text_clear(&message);
    const struct door_request archive = {
        .op = DOOR_ARCHIVE, .version = "1.41", .body = "tar\0tar", .body_len = 7};
    door_pack(&message, &archive);
    assert_int_equal(unpack(&message, message.len, &got), 0);
    assert_int_equal(got.body_len, 7);
    assert_memory_equal(got.body, "tar\0tar", 7);
}

// Whoever judges a create looks at its JSON; a start has none to look at, and a reply in pieces is
// cut by nobody.
static void what_nobody_judges_is_none_of_ours(void **state) {
    (void)state;
    static const struct door_request more[] = {
        {.op = DOOR_CREATE, .json = "{}", .body = "{}", .body_len = 2},
        {.op = DOOR_EXEC_CREATE, .json = "{}", .body = "{}", .body_len = 2},
        {.op = DOOR_START, .json = "{\"Privileged\":true}"},
        {.op = DOOR_START, .body = "{}", .body_len = 2},
        {.op = DOOR_KILL, .json = "{}"},
        {.op = DOOR_ARCHIVE, .json = "{}", .body = "tar", .body_len = 3},
        {.op = DOOR_EXEC_START, .json = "{}", .body = "", .body_len = 0},
        {.op = DOOR_INSPECT, .pieces = true},
        {.op = DOOR_EXEC_INSPECT, .pieces = true},
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        struct door_request r = more[i];
        r.version = "1.41";
        assert_int_equal(same(&r), -1);
    }
}

static void nothing_and_an_empty_body_are_two_things(void **state) {
    (void)state;
    auto_text struct text message = {0};
    struct door_request got;
    door_pack(&message, &(struct door_request){.op = DOOR_PING});
    assert_int_equal(unpack(&message, message.len, &got), 0);
    assert_null(got.body);
    assert_null(got.id);
    text_clear(&message);
    door_pack(&message,
              &(struct door_request){.op = DOOR_EXEC_START, .version = "1.41", .body = ""});
    assert_int_equal(unpack(&message, message.len, &got), 0);
    assert_non_null(got.body);
    assert_int_equal(got.body_len, 0);
}

static void what_is_cut_anywhere_is_none_of_ours(void **state) {
    (void)state;
    auto_text struct text message = {0};
    struct door_request got;
    door_pack(&message, &full);
    for (size_t len = 0; len < message.len; len++)
        assert_int_equal(unpack(&message, len, &got), -1);
}

static void what_no_list_knows_is_none_of_ours(void **state) {
    (void)state;
    struct door_request r = full;
    static const int64_t ops[] = {0, -1, DOOR_OPS, 1000, INT64_C(1) << 40};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        auto_text struct text message = {0};
        struct door_request got;
        door_pack(&message, &full);
        memcpy(message.s, &ops[i], sizeof ops[i]);
        assert_int_equal(unpack(&message, message.len, &got), -1);
    }
    static const char *const versions[] = {"",      "1",      "1.",      ".41",   "1.41/..", "1.4x",
                                           "1.41 ", "1.4111", "../1.41", "v1.41", "100.41",  "1.22",
                                           "1.40",  "1.041",  "1.52",    "2.41"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        r.version = versions[i];
        assert_int_equal(same(&r), -1);
    }
    r = full;
    r.version = NULL;
    assert_int_equal(same(&r), -1);
    r = full;
    r.timeout_ms = -1;
    assert_int_equal(same(&r), -1);
    r = full;
    r.max_reply = (size_t)1 << 40;
    assert_int_equal(same(&r), -1);
}

static void a_line_is_cut_into_messages(void **state) {
    (void)state;
    auto_text struct text line = {0}, part = {0};
    struct wire w;
    line_ask(&line, 1, &full);
    size_t first = line.len;
    line_cancel(&line, 1);
    for (size_t len = 0; len < first; len++) {
        size_t at = 0;
        text_clear(&part);
        text_addn(&part, line.s, len);
        assert_int_equal(line_next(&part, &at, &w), 0);
    }
    size_t at = 0;
    assert_int_equal(line_next(&line, &at, &w), 1);
    assert_int_equal(wire_int(&w), LINE_ASK);
    assert_int_equal(line_next(&line, &at, &w), 1);
    assert_int_equal(wire_int(&w), LINE_CANCEL);
    assert_int_equal(wire_int(&w), 1);
    assert_int_equal(line_next(&line, &at, &w), 0);
}

static void a_length_that_cannot_be_is_said_at_once(void **state) {
    (void)state;
    static const int64_t lengths[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)WIRE_MAX + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        auto_text struct text line = {0};
        struct wire w;
        size_t at = 0;
        text_addn(&line, &lengths[i], sizeof lengths[i]);
        assert_int_equal(line_next(&line, &at, &w), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_out_as_it_went_in),
        cmocka_unit_test(what_nobody_judges_is_none_of_ours),
        cmocka_unit_test(nothing_and_an_empty_body_are_two_things),
        cmocka_unit_test(what_is_cut_anywhere_is_none_of_ours),
        cmocka_unit_test(what_no_list_knows_is_none_of_ours),
        cmocka_unit_test(a_line_is_cut_into_messages),
        cmocka_unit_test(a_length_that_cannot_be_is_said_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

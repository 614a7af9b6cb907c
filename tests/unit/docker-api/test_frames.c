#include "docker-api/frames.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

// Everything a reader said, as text, so that two ways to feed it can be compared.
struct said {
    struct text text;
    int stop_after; // callbacks; 0: never
};

static bool go_on(struct said *said) {
    return said->stop_after == 0 || --said->stop_after > 0;
}

// ---- frames ----

static bool said_frame(int stream, const char *data, size_t len, bool last, void *arg) {
    struct said *said = arg;
    if (len)
        text_addf(&said->text, "%.*s", (int)len, data);
    if (last)
        text_addf(&said->text, "<%d>", stream);
    return go_on(said);
}

#define FRAMES                                                                                     \
    "\x01\0\0\0\0\0\0\x05hello"                                                                    \
    "\x02\0\0\0\0\0\0\x03"                                                                         \
    "oh\n"                                                                                         \
    "\x01\0\0\0\0\0\0\0"                                                                           \
    "\x03\0\0\0\0\0\0\x02no"
static const char frames[] = FRAMES;
enum { FRAMES_LEN = sizeof frames - 1 };

static void frames_come_out_whole_however_they_are_fed(void **state) {
    (void)state;
    for (size_t step = 1; step <= FRAMES_LEN; step++) {
        struct frames f = {0};
        struct said said = {0};
        struct err err = ERR_INIT;
        for (size_t at = 0; at < FRAMES_LEN; at += step) {
            size_t n = FRAMES_LEN - at < step ? FRAMES_LEN - at : step;
            assert_int_equal(frames_feed(&f, frames + at, n, said_frame, &said, &err), 0);
        }
        assert_string_equal(text_str(&said.text), "hello<1>oh\n<2><1>no<3>");
        text_done(&said.text);
    }
}

static void what_is_not_frames_is_an_error_at_once(void **state) {
    (void)state;
    static const char *const streams[] = {"plain text, no frames", "\x04\0\0\0\0\0\0\x01x",
                                          "\x01\0\x01\0\0\0\0\x01x"};
    for (size_t i = 0; i < 3; i++) {
        struct frames f = {0};
        struct said said = {0};
        struct err err = ERR_INIT;
        assert_int_equal(frames_feed(&f, streams[i], 9, said_frame, &said, &err), -1);
        assert_int_equal(err.kind, ERR_RETRY);
        assert_string_equal(text_str(&said.text), "");
    }
}

static void a_frame_reader_stops_when_told(void **state) {
    (void)state;
    struct frames f = {0};
    struct said said = {.stop_after = 1};
    struct err err = ERR_INIT;
    assert_int_equal(frames_feed(&f, frames, FRAMES_LEN, said_frame, &said, &err), 0);
    assert_string_equal(text_str(&said.text), "hello<1>");
    text_done(&said.text);
}

static void a_frame_of_four_gigabytes_costs_no_memory(void **state) {
    (void)state;
    struct frames f = {0};
    struct said said = {0};
    struct err err = ERR_INIT;
    assert_int_equal(frames_feed(&f,
                                 "\x01\0\0\0\xff\xff\xff\xff"
                                 "abc",
                                 11, said_frame, &said, &err),
                     0);
    assert_string_equal(text_str(&said.text), "abc");
    assert_true(f.left == 0xffffffff - 3);
    text_done(&said.text);
}

// ---- JSON lines ----

static bool said_line(const char *line, size_t len, void *arg) {
    struct said *said = arg;
    text_addf(&said->text, "[%.*s]", (int)len, line);
    return go_on(said);
}

static void json_lines_come_out_whole_however_they_are_fed(void **state) {
    (void)state;
    static const char stream[] = "{\"a\":1}\n\r\n{\"b\":2}\r\n\x1e{\"c\":3}\n{\"d\":";
    size_t len = sizeof stream - 1;
    for (size_t step = 1; step <= len; step++) {
        struct jsonl j = {0};
        struct said said = {0};
        struct err err = ERR_INIT;
        for (size_t at = 0; at < len; at += step)
            assert_int_equal(jsonl_feed(&j, stream + at, len - at < step ? len - at : step, 64,
                                        said_line, &said, &err),
                             0);
        assert_string_equal(text_str(&said.text), "[{\"a\":1}][{\"b\":2}\r][{\"c\":3}]");
        text_done(&said.text);
        jsonl_done(&j);
    }
}

static void a_json_line_over_the_cap_is_an_error(void **state) {
    (void)state;
    struct jsonl j = {0};
    struct said said = {0};
    struct err err = ERR_INIT;
    assert_int_equal(jsonl_feed(&j, "12345678", 8, 8, said_line, &said, &err), 0);
    assert_int_equal(jsonl_feed(&j, "9", 1, 8, said_line, &said, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    jsonl_done(&j);
    text_done(&said.text);
}

static void a_json_reader_stops_when_told(void **state) {
    (void)state;
    struct jsonl j = {0};
    struct said said = {.stop_after = 2};
    struct err err = ERR_INIT;
    assert_int_equal(jsonl_feed(&j, "1\n2\n3\n", 6, 8, said_line, &said, &err), 0);
    assert_string_equal(text_str(&said.text), "[1][2]");
    jsonl_done(&j);
    text_done(&said.text);
}

// ---- log lines ----

static bool said_log(const char *line, size_t len, int64_t time_ns, void *arg) {
    struct said *said = arg;
    if (len > 100)
        text_addf(&said->text, "[%zu bytes@%lld]", len, (long long)time_ns);
    else
        text_addf(&said->text, "[%.*s@%lld]", (int)len, line, (long long)time_ns);
    return go_on(said);
}

#define T1 "1970-01-01T00:00:01.000000005Z "
#define T2 "1970-01-01T00:00:02.500000000Z "

static void feed_log(struct lines *l, const char *s, size_t len, size_t step, struct said *said) {
    for (size_t at = 0; at < len; at += step)
        assert_true(lines_feed(l, s + at, len - at < step ? len - at : step, said_log, said));
}

static void log_lines_come_out_whole_however_they_are_fed(void **state) {
    (void)state;
    static const char stream[] = T1 "one\n" T2 "two\r\n" T2 "\nno stamp\n" T1 "rest";
    for (size_t step = 1; step <= sizeof stream; step++) {
        struct lines l = {0};
        struct said said = {0};
        feed_log(&l, stream, sizeof stream - 1, step, &said);
        assert_true(lines_flush(&l, said_log, &said));
        assert_string_equal(text_str(&said.text), "[one@1000000005][two@2500000000][@2500000000]"
                                                  "[no stamp@2500000000][rest@1000000005]");
        text_done(&said.text);
        lines_done(&l);
    }
}

static void a_long_line_is_cut_into_pieces(void **state) {
    (void)state;
    static const size_t steps[] = {1, 7, 4096, 1 << 20};
    for (size_t i = 0; i < 4; i++) {
        struct text stream = {0};
        struct lines l = {0};
        struct said said = {0};
        text_add(&stream, T1);
        for (int n = 0; n < LINES_MAX + 200; n++)
            text_addc(&stream, 'x');
        text_add(&stream, "\n" T2 "next\n");
        feed_log(&l, stream.s, stream.len, steps[i], &said);
        assert_string_equal(text_str(&said.text),
                            "[16384 bytes@1000000005][200 bytes@1000000005][next@2500000000]");
        text_done(&stream);
        text_done(&said.text);
        lines_done(&l);
    }
}

static void a_line_of_exactly_the_cap_is_one_line(void **state) {
    (void)state;
    static const size_t steps[] = {1, 4096, 1 << 20};
    for (size_t i = 0; i < 3; i++) {
        struct text stream = {0};
        struct lines l = {0};
        struct said said = {0};
        text_add(&stream, T1);
        for (int n = 0; n < LINES_MAX; n++)
            text_addc(&stream, 'x');
        text_add(&stream, "\n" T2 "next\n");
        feed_log(&l, stream.s, stream.len, steps[i], &said);
        assert_string_equal(text_str(&said.text), "[16384 bytes@1000000005][next@2500000000]");
        text_done(&stream);
        text_done(&said.text);
        lines_done(&l);
    }
}

// With a terminal the pieces of a long line come one behind the other, each with its stamp.
static void the_stamp_of_a_following_piece_is_taken_off(void **state) {
    (void)state;
    struct text stream = {0};
    struct lines l = {0};
    struct said said = {0};
    text_add(&stream, T1);
    for (int n = 0; n < LINES_MAX; n++)
        text_addc(&stream, 'x');
    text_add(&stream, T2 "tail\n");
    feed_log(&l, stream.s, stream.len, 512, &said);
    assert_string_equal(text_str(&said.text), "[16384 bytes@1000000005][tail@2500000000]");
    text_done(&stream);
    text_done(&said.text);
    lines_done(&l);
}

static void a_log_reader_stops_when_told(void **state) {
    (void)state;
    struct lines l = {0};
    struct said said = {.stop_after = 1};
    assert_false(lines_feed(&l, "a\nb\n", 4, said_log, &said));
    assert_string_equal(text_str(&said.text), "[a@0]");
    text_done(&said.text);
    lines_done(&l);
}

static void stamps_are_read_or_left_alone(void **state) {
    (void)state;
    static const struct {
        const char *s;
        size_t len;
        int64_t ns;
    } cases[] = {
        {"1970-01-01T00:00:00.000000001Z x", 31, 1},
        {"1970-01-01T00:00:10Z x", 21, 10000000000},
        {"1970-01-01T01:00:00.25+01:00 x", 29, 250000000},
        {"2026-11-23T10:00:00.123456789Z x", 31, 1795428000123456789},
        {"1970-01-01T00:00:00.000000001Zx", 0, 0},
        {"1970-01-01 00:00:00.000000001Z x", 0, 0},
        {"1970-13-01T00:00:00.000000001Z x", 0, 0},
        {"", 0, 0},
        {"1970-01-01T00:00:00", 0, 0},
        {"1970-01-01T00:00:00.1+0", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = 0;
        assert_int_equal(lines_stamp(cases[i].s, strlen(cases[i].s), &ns), cases[i].len);
        assert_int_equal(ns, cases[i].ns);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_whole_however_they_are_fed),
        cmocka_unit_test(what_is_not_frames_is_an_error_at_once),
        cmocka_unit_test(a_frame_reader_stops_when_told),
        cmocka_unit_test(a_frame_of_four_gigabytes_costs_no_memory),
        cmocka_unit_test(json_lines_come_out_whole_however_they_are_fed),
        cmocka_unit_test(a_json_line_over_the_cap_is_an_error),
        cmocka_unit_test(a_json_reader_stops_when_told),
        cmocka_unit_test(log_lines_come_out_whole_however_they_are_fed),
        cmocka_unit_test(a_long_line_is_cut_into_pieces),
        cmocka_unit_test(a_line_of_exactly_the_cap_is_one_line),
        cmocka_unit_test(the_stamp_of_a_following_piece_is_taken_off),
        cmocka_unit_test(a_log_reader_stops_when_told),
        cmocka_unit_test(stamps_are_read_or_left_alone),
    };
    return cmocka_run_group_tests_name("docker-api frames", tests, NULL, NULL);
}

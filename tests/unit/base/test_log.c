#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static int real_stderr;
static int heard; // read end of what the log writes to stderr

static int set_up(void **state) {
    (void)state;
    int fds[2];
    if (pipe2(fds, O_NONBLOCK) != 0)
        return -1;
    heard = fds[0];
    real_stderr = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    log_set_level(LOG_LEVEL_INFO);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(heard);
    log_listen(NULL, NULL);
    return 0;
}

static void hear(struct text *t) {
    char buf[4096];
    text_clear(t);
    for (ssize_t n; (n = read(heard, buf, sizeof(buf))) > 0;)
        text_addn(t, buf, (size_t)n);
}

static void add_line(const char *line, size_t len, void *arg) {
    struct text *t = arg;
    text_addn(t, line, len);
    text_addc(t, '\n');
}

static void ring(struct text *t) {
    text_clear(t);
    log_each(add_line, t);
}

static void a_line_has_time_level_and_object(void **state) {
    (void)state;
    auto_text struct text t = {0};
    regex_t shape;
    log_info("pod %s state=running", "marathon.zk#3");
    hear(&t);
    assert_int_equal(
        regcomp(&shape,
                "^20[0-9][0-9]-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
                "info pod marathon\\.zk#3 state=running\n$",
                REG_EXTENDED | REG_NOSUB),
        0);
    assert_int_equal(regexec(&shape, text_str(&t), 0, NULL, 0), 0);
    regfree(&shape);
    auto_text struct text kept = {0};
    ring(&kept);
    assert_true(text_ends(text_str(&kept), text_str(&t)));
}

static void the_level_decides(void **state) {
    (void)state;
    auto_text struct text t = {0};
    log_debug("hidden");
    assert_false(log_is(LOG_LEVEL_DEBUG));
    log_set_level(LOG_LEVEL_DEBUG);
    assert_true(log_is(LOG_LEVEL_DEBUG));
    log_debug("shown");
    log_set_level(LOG_LEVEL_ERR);
    log_warn("hidden");
    log_err("failed");
    hear(&t);
    assert_null(strstr(t.s, "hidden"));
    assert_non_null(strstr(t.s, " debug shown\n"));
    assert_non_null(strstr(t.s, " err failed\n"));
}

static void one_call_is_one_line(void **state) {
    (void)state;
    auto_text struct text t = {0};
    log_info("a\nerr forged\n");
    hear(&t);
    assert_ptr_equal(strchr(t.s, '\n'), t.s + t.len - 1);
}

static void a_workloads_line_passes_as_it_is(void **state) {
    (void)state;
    auto_text struct text t = {0};
    log_keep("hello\tworld\n", 12);
    log_keep("", 0);
    log_keep("no newline", 10);
    hear(&t);
    assert_string_equal(t.s, "hello\tworld\n\nno newline\n");
    ring(&t);
    assert_true(text_ends(t.s, "\nhello\tworld\n\nno newline\n"));
}

static void a_secret_never_appears(void **state) {
    (void)state;
    auto_text struct text t = {0}, quoted = {0};
    log_secret("");
    log_secret(NULL);
    log_secret("s3cret");
    log_secret("s3cret-and-longer");
    log_secret("with\"quote\n");
    text_quote(&quoted, "with\"quote\n", 100);
    log_info("a=s3cret b=s3cret-and-longer c=xs3crets3cret d=%s e=%s s3cre", quoted.s,
             "with\"quote\n");
    log_keep("token s3cret", 12);
    hear(&t);
    assert_non_null(strstr(t.s, "a=*** b=*** c=x****** d=\"***\" e=*** s3cre\n"));
    assert_non_null(strstr(t.s, "token ***\n"));
    ring(&t);
    assert_null(strstr(t.s, "s3cret"));
}

static void the_ring_holds_the_last_32_KiB_of_whole_lines(void **state) {
    (void)state;
    auto_text struct text t = {0}, dropped = {0};
    char line[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(line, sizeof(line), "line %05d xxxxxxxxxxxxxxxxxxxxxxx", i);
        log_keep(line, strlen(line));
        hear(&dropped);
    }
    ring(&t);
    assert_true(t.len <= 32768);
    assert_true(t.len > (size_t)32 * 1024 - 64);
    assert_true(text_starts(t.s, "line 0"));
    assert_true(text_ends(t.s, "\nline 04999 xxxxxxxxxxxxxxxxxxxxxxx\n"));
}

static void an_endless_line_does_not_push_out_the_others(void **state) {
    (void)state;
    auto_text struct text t = {0}, endless = {0};
    log_keep("before", 6);
    for (int i = 0; i < 20000; i++)
        text_addc(&endless, 'e');
    log_keep(endless.s, endless.len);
    ring(&t);
    assert_non_null(strstr(t.s, "before\n"));
    assert_true(text_ends(t.s, "eee...\n"));
    hear(&t);
    assert_int_equal(t.len, 7 + 20001);
}

static void a_full_stderr_never_blocks_and_is_told_of(void **state) {
    (void)state;
    auto_text struct text t = {0};
    char line[1000];
    memset(line, 'f', sizeof(line));
    fcntl(STDERR_FILENO, F_SETFL, 0); // a blocking one, as a real one is
    for (int i = 0; i < 200; i++)
        log_keep(line, sizeof(line));
    hear(&t);
    log_info("back");
    hear(&t);
    assert_non_null(strstr(t.s, "warn log dropped=1"));
    assert_true(text_ends(t.s, " info back\n"));
    log_info("once");
    hear(&t);
    assert_null(strstr(t.s, "dropped"));
}

static void a_listener_hears_what_enters_the_ring(void **state) {
    (void)state;
    auto_text struct text t = {0};
    log_listen(add_line, &t);
    log_keep("one\n", 4);
    log_warn("two");
    log_listen(NULL, NULL);
    log_warn("three");
    assert_true(text_starts(t.s, "one\n20"));
    assert_true(text_ends(t.s, " warn two\n"));
}

static void *chatter(void *arg) {
    for (int i = 0; i < 500; i++)
        log_info("thread %d says %d", *(int *)arg, i);
    return NULL;
}

static void threads_do_not_mix_their_lines(void **state) {
    (void)state;
    auto_text struct text t = {0};
    pthread_t threads[4];
    int names[4] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, chatter, &names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ring(&t);
    char **lines = text_split(t.s, "\n");
    assert_true(text_list_len(lines) > 100);
    for (char **it = lines; *it; it++)
        assert_true(strstr(*it, "Z info thread ") == *it + 23);
    text_list_free(lines);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void what_is_served_is_hidden_as_well(void **state) {
    (void)state;
    char body[] =
        "{\"a\":\"t0p-s3cret-token\",\"b\":\"xt0p-s3cret-tokenx\",\"c\":\"t0p-s3cret-toke\"}";
    log_secret("t0p-s3cret-token");
    log_secret("c"); // too short: found by chance
    log_hide(body);
    assert_string_equal(body, "{\"a\":\"***\",\"b\":\"x***x\",\"c\":\"t0p-s3cret-toke\"}");
    char nothing[] = "";
    log_hide(nothing);
    assert_string_equal(nothing, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(a_line_has_time_level_and_object),
        test(the_level_decides),
        test(one_call_is_one_line),
        test(a_workloads_line_passes_as_it_is),
        test(a_secret_never_appears),
        test(the_ring_holds_the_last_32_KiB_of_whole_lines),
        test(an_endless_line_does_not_push_out_the_others),
        test(a_full_stderr_never_blocks_and_is_told_of),
        test(a_listener_hears_what_enters_the_ring),
        test(threads_do_not_mix_their_lines),
        cmocka_unit_test(what_is_served_is_hidden_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

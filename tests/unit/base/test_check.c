#include "base/check.h"
#include "base/list.h"
#include "base/own.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <cmocka.h>

// Runs fn in a child whose stderr comes back in said; answers how the child ended.
static int in_child(void (*fn)(void), char *said, size_t room) {
    int err[2], status;
    assert_int_equal(pipe(err), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        dup2(err[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(err[1]);
    size_t len = 0;
    for (ssize_t n; len < room - 1 && (n = read(err[0], said + len, room - 1 - len)) > 0;)
        len += (size_t)n;
    said[len] = '\0';
    close(err[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void fail_a_check(void) {
    int apples = 1;
    CHECK(apples == 2);
}

static void pass_a_check(void) {
    CHECK(1 + 1 == 2);
}

static void ask_for_too_much(void) {
    free(xrealloc(NULL, SIZE_MAX / 2));
}

static void a_failed_check_says_where_and_aborts(void **state) {
    (void)state;
    char said[4096];
    int status = in_child(fail_a_check, said, sizeof(said));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "test_check.c:"));
    assert_non_null(strstr(said, "check failed: apples == 2"));
    assert_int_equal(in_child(pass_a_check, said, sizeof(said)), 0);
    assert_string_equal(said, "");
}

static void no_memory_never_comes_back(void **state) {
    (void)state;
    char said[4096];
    int status = in_child(ask_for_too_much, said, sizeof(said));
    if (strstr(said, "AddressSanitizer: requested allocation size")) {
        assert_int_not_equal(status, 0); // its allocator never comes back either
        return;
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "out of memory: "));
}

static void allocation_of_nothing_is_something(void **state) {
    (void)state;
    auto_free char *none = xcalloc(0, 0);
    auto_free char *grown = xrealloc(NULL, 0);
    auto_free char *part = xstrndup("abc", 2);
    auto_free char *made = xasprintf("%d-%s", 4, "x");
    assert_non_null(none);
    assert_non_null(grown);
    assert_string_equal(part, "ab");
    assert_string_equal(made, "4-x");
}

static void a_scope_releases_what_it_still_owns(void **state) {
    (void)state;
    int fds[2], kept;
    char *p;
    assert_int_equal(pipe(fds), 0);
    {
        auto_fd int closed = fds[0];
        auto_fd int moved = fds[1];
        auto_free char *s = xstrdup("moved");
        kept = take_fd(moved);
        p = take_ptr(s);
        assert_int_equal(moved, -1);
        assert_null(s);
        assert_true(closed >= 0);
    }
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_true(fcntl(kept, F_GETFD) >= 0);
    assert_string_equal(p, "moved");
    close(kept);
    free(p);
}

struct item {
    int n;
    struct link link;
};

static void a_list_keeps_order_and_lets_go_while_walked(void **state) {
    (void)state;
    struct link head;
    struct item items[5], *it;
    int sum = 0;
    list_init(&head);
    assert_true(list_empty(&head));
    for (int i = 0; i < 5; i++) {
        items[i].n = i;
        list_append(&head, &items[i].link);
    }
    assert_ptr_equal(list_first(&head, struct item, link), &items[0]);
    list_each(it, &head, struct item, link) {
        sum = sum * 10 + it->n;
        if (it->n % 2)
            list_remove(&it->link);
    }
    assert_int_equal(sum, 1234);
    list_insert_before(&items[2].link, &items[3].link);
    list_remove(&items[1].link); // in no list: harmless
    sum = 0;
    list_each(it, &head, struct item, link) sum = sum * 10 + it->n;
    assert_int_equal(sum, 324);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_check_says_where_and_aborts),
        cmocka_unit_test(no_memory_never_comes_back),
        cmocka_unit_test(allocation_of_nothing_is_something),
        cmocka_unit_test(a_scope_releases_what_it_still_owns),
        cmocka_unit_test(a_list_keeps_order_and_lets_go_while_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

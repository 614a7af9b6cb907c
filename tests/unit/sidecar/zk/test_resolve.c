// Names that are answered, are not, or never are: the system's resolver is one of this program.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/text.h"
#include "sidecar/zk/resolve.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static atomic_bool hangs; // the server of names
static atomic_int asked;

// Instead of the C library's.
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret) {
    (void)service;
    (void)hints;
    asked++;
    while (hangs)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    if (strcmp(host, "nobody") == 0)
        return EAI_NONAME;
    struct sockaddr_in *at = xnew(struct sockaddr_in);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};
    *ret = xnew(struct addrinfo);
    **ret = (struct addrinfo){
        .ai_family = AF_INET, .ai_addr = (struct sockaddr *)at, .ai_addrlen = sizeof *at};
    return 0;
}

void freeaddrinfo(struct addrinfo *found) {
    free(found->ai_addr);
    free(found);
}

static struct loop *loop;
static struct {
    int n;
    char addresses[128];
    bool all;
} told;
static int ticks;
static struct loop_timer *ticking;

static void tick(void *arg) {
    ticks++;
    loop_timer_start(loop, &ticking, 20, tick, arg);
}

static void on_addresses(const char *addresses, bool all, void *arg) {
    (void)arg;
    told.n++;
    told.all = all;
    snprintf(told.addresses, sizeof told.addresses, "%s", addresses);
    loop_quit(loop);
}

static void names_are_looked_up_and_the_rest_left_out(void **state) {
    (void)state;
    told.n = 0;
    struct resolve *r = resolve_create(loop, "zk1:2181,nobody:2181,10.0.0.9:2182", on_addresses,
                                       NULL);
    loop_run(loop);
    assert_string_equal(told.addresses, "10.0.0.1:2181,10.0.0.9:2182");
    assert_false(told.all);
    resolve_free(r);
}

static void a_resolver_that_never_answers_costs_two_seconds_and_no_turn_of_the_loop(void **state) {
    (void)state;
    hangs = true;
    told.n = ticks = 0;
    int64_t began = loop_now(loop);
    struct resolve *r = resolve_create(loop, "zk1:2181,zk2:2181,10.0.0.9:2182", on_addresses, NULL);
    loop_timer_start(loop, &ticking, 0, tick, NULL);
    loop_run(loop);
    loop_timer_stop(&ticking);
    assert_int_equal(told.n, 1);
    assert_string_equal(told.addresses, "10.0.0.9:2182");
    assert_false(told.all);
    assert_true(loop_now(loop) - began >= 2000);
    assert_true(ticks > 2); // it turned meanwhile
    int before = asked;
    resolve_again(r); // not asked twice while the first question hangs
    loop_run(loop);
    assert_int_equal(asked, before);
    hangs = false;
    resolve_again(r);
    loop_run(loop);
    assert_true(told.all);
    resolve_free(r);
}

static void the_last_good_answer_is_kept(void **state) {
    (void)state;
    struct resolve *r = resolve_create(loop, "zk1:2181", on_addresses, NULL);
    loop_run(loop);
    assert_true(told.all);
    hangs = true;
    resolve_again(r);
    loop_run(loop);
    assert_string_equal(told.addresses, "10.0.0.1:2181");
    hangs = false;
    resolve_free(r);
}

int main(void) {
    loop = loop_create();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_looked_up_and_the_rest_left_out),
        cmocka_unit_test(a_resolver_that_never_answers_costs_two_seconds_and_no_turn_of_the_loop),
        cmocka_unit_test(the_last_good_answer_is_kept),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}

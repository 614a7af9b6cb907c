// Who gets a place when all are taken.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/check.h"
#include "sidecar/control/crowd.h"
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LIMIT = 64, RESERVED = 8, MEMBERS = 256, KIB = 1024, MIB = 1024 * KIB, BYTES = 32 * MIB };

static struct crowd crowd;
static struct crowd_member members[MEMBERS];
static size_t used, kept[MEMBERS]; // kept: of members[]

static struct sockaddr_in v4(const char *text) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &at.sin_addr), 1);
    return at;
}

// Comes in from there; NULL: refused.
static struct crowd_member *come(const char *text) {
    struct sockaddr_in at = v4(text);
    struct crowd_member *leaves;
    if (!crowd_admits(&crowd, (struct sockaddr *)&at, &leaves))
        return NULL;
    if (leaves)
        crowd_leave(&crowd, leaves);
    assert_true(used < MEMBERS);
    struct crowd_member *m = &members[used++];
    crowd_join(&crowd, m, (struct sockaddr *)&at);
    assert_true(crowd.n <= LIMIT);
    return m;
}

static bool is_in(const struct crowd_member *member) {
    const struct crowd_member *it;
    list_each(it, &crowd.members, const struct crowd_member, link) {
        if (it == member)
            return true;
    }
    return false;
}

static bool keep(struct crowd_member *member, size_t len) {
    bool room = crowd_keep(&crowd, member, len);
    kept[member - members] += room ? len : 0;
    return room;
}

static void give_back(struct crowd_member *member, size_t len) {
    crowd_give_back(&crowd, member, len);
    kept[member - members] -= len;
}

// As a body comes, piece by piece, until there is no room.
static size_t fill(struct crowd_member *member) {
    size_t len = 0;
    while (keep(member, 4 * KIB))
        len += 4 * KIB;
    return len;
}

static int setup(void **state) {
    (void)state;
    used = 0;
    memset(kept, 0, sizeof kept);
    crowd_init(&crowd, LIMIT, RESERVED, BYTES);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    struct crowd_member *it;
    list_each(it, &crowd.members, struct crowd_member, link) {
        give_back(it, kept[it - members]);
        crowd_leave(&crowd, it);
    }
    assert_int_equal(crowd.n, 0);
    assert_int_equal(crowd.kept, 0);
    assert_int_equal(crowd.by_others, 0);
    crowd_done(&crowd);
    return 0;
}

static void one_address_may_hold_what_nobody_else_wants(void **state) {
    (void)state;
    for (int i = 0; i < LIMIT - RESERVED; i++)
        assert_non_null(come("10.0.0.1"));
    assert_int_equal(crowd.n, LIMIT - RESERVED);
    struct crowd_member *oldest = &members[0];
    assert_non_null(come("10.0.0.1")); // its own oldest one leaves for it
    assert_false(is_in(oldest));
    assert_int_equal(crowd.n, LIMIT - RESERVED);
}

static void a_newcomer_takes_the_place_of_who_holds_most(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_non_null(come("10.0.0.2"));
    for (int i = 10; i < LIMIT - RESERVED; i++)
        assert_non_null(come("10.0.0.1"));
    struct crowd_member *loser = &members[10];
    for (int i = 0; i < 10; i++) {
        assert_non_null(come("10.0.0.3"));
        assert_false(is_in(loser++));
    }
    for (int i = 0; i < 10; i++)
        assert_true(is_in(&members[i]));
}

static void who_holds_as_much_gives_its_own(void **state) {
    (void)state;
    for (int i = 0; i < (LIMIT - RESERVED) / 2; i++) {
        assert_non_null(come("10.0.0.1"));
        assert_non_null(come("10.0.0.2"));
    }
    assert_non_null(come("10.0.0.2"));
    assert_true(is_in(&members[0]));
    assert_false(is_in(&members[1]));
}

static void a_request_being_served_stays(void **state) {
    (void)state;
    struct crowd_member *served = come("10.0.0.1");
    crowd_busy(&crowd, served, true);
    for (int i = 1; i < LIMIT - RESERVED; i++)
        assert_non_null(come("10.0.0.1"));
    for (int i = 0; i < 100; i++)
        assert_non_null(come("10.0.0.1"));
    assert_true(is_in(served));
}

static void beyond_a_share_even_those_go(void **state) {
    (void)state;
    for (int i = 0; i < LIMIT - RESERVED; i++)
        crowd_busy(&crowd, come("10.0.0.1"), true);
    assert_non_null(come("10.0.0.2"));
    assert_false(is_in(&members[0]));
}

static void within_its_share_nobody_is_ended(void **state) {
    (void)state;
    for (int i = 0; i < LIMIT - RESERVED; i++) {
        char at[32];
        snprintf(at, sizeof(at), "10.0.1.%d", i % 16);
        crowd_busy(&crowd, come(at), true);
    }
    assert_null(come("10.0.0.2"));
    assert_int_equal(crowd.n, LIMIT - RESERVED);
}

static void the_last_places_are_for_peers(void **state) {
    (void)state;
    struct crowd_member *leader = come("10.0.0.9");
    crowd_trust(&crowd, leader);
    crowd_leave(&crowd, leader);
    for (int i = 0; i < LIMIT - RESERVED; i++) {
        char at[32];
        snprintf(at, sizeof(at), "10.0.1.%d", i % 16);
        crowd_busy(&crowd, come(at), true);
    }
    assert_null(come("10.0.0.2"));
    for (int i = 0; i < RESERVED; i++)
        assert_non_null(come("10.0.0.9"));
    assert_int_equal(crowd.n, LIMIT);
}

static void the_two_spellings_of_an_address_are_one_host(void **state) {
    (void)state;
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.0.1", &mapped.sin6_addr), 1);
    struct crowd_member *first = come("10.0.0.1"), *second = &members[used++];
    crowd_join(&crowd, second, (struct sockaddr *)&mapped);
    assert_ptr_equal(first->host, second->host);
}

static void one_who_was_told_to_go_is_told_once(void **state) {
    (void)state;
    struct sockaddr_in at = v4("10.0.0.2");
    struct crowd_member *first, *second;
    for (int i = 0; i < LIMIT - RESERVED; i++)
        assert_non_null(come("10.0.0.1"));
    assert_true(crowd_admits(&crowd, (struct sockaddr *)&at, &first));
    crowd_join(&crowd, &members[used++], (struct sockaddr *)&at);
    assert_true(crowd_admits(&crowd, (struct sockaddr *)&at, &second));
    crowd_join(&crowd, &members[used++], (struct sockaddr *)&at);
    assert_ptr_not_equal(first, second);
    assert_int_equal(crowd.n, LIMIT - RESERVED);
}

static void peers_are_forgotten_in_the_end(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000000 + i)};
        struct crowd_member m;
        crowd_join(&crowd, &m, (struct sockaddr *)&at);
        crowd_trust(&crowd, &m);
        crowd_leave(&crowd, &m);
        assert_true(crowd.peers <= 513);
    }
}

// ---- bodies ----

static void a_stranger_keeps_an_eighth(void **state) {
    (void)state;
    struct crowd_member *first = come("10.0.0.1"), *second = come("10.0.0.1");
    assert_int_equal(fill(first), BYTES / 8);
    assert_int_equal(fill(second), 0); // they are one host's
    give_back(first, MIB);
    assert_int_equal(fill(second), MIB);
}

static void strangers_leave_half_to_peers(void **state) {
    (void)state;
    struct crowd_member *leader = come("10.0.0.9");
    crowd_trust(&crowd, leader);
    for (int i = 0; i < LIMIT - RESERVED - 1; i++) {
        char at[32];
        snprintf(at, sizeof(at), "10.0.1.%d", i);
        fill(come(at));
    }
    assert_in_range(crowd.kept, BYTES / 2 - MIB, BYTES / 2);
    assert_true(keep(leader, MIB));
    assert_in_range(fill(leader), BYTES / 4 - 4 * KIB - MIB, BYTES / 4 + MIB);
}

// Not even a host that is taken for a leader's: the true ones, and who comes for the first time,
// find room beside it.
static void no_peer_keeps_all(void **state) {
    (void)state;
    size_t free = BYTES;
    struct crowd_member *peers[4];
    for (int i = 0; i < 4; i++) {
        char at[32];
        snprintf(at, sizeof(at), "10.0.0.%d", i);
        peers[i] = come(at);
        crowd_trust(&crowd, peers[i]);
        assert_int_equal(fill(peers[i]), free / 2);
        assert_int_equal(fill(peers[i]), 0);
        free /= 2;
    }
    assert_true(keep(come("10.0.0.9"), 64 * KIB));
    give_back(peers[0], BYTES / 2);
    assert_in_range(fill(peers[0]), BYTES / 4, BYTES / 2);
}

static void a_leader_that_is_not_known_yet_finds_room(void **state) {
    (void)state;
    for (int hosts = 1; hosts <= 12; hosts++) {
        char at[32];
        snprintf(at, sizeof(at), "10.0.1.%d", hosts);
        fill(come(at));
        struct crowd_member *leader = come("10.0.0.9");
        if (hosts <= 4)
            assert_true(keep(leader, MIB));
        else
            assert_true(keep(leader, 64 * KIB)); // a leader's body: sidecar/leader/rollout.c
        give_back(leader, kept[leader - members]);
        crowd_leave(&crowd, leader);
    }
}

static void what_is_given_back_can_be_kept_again(void **state) {
    (void)state;
    struct crowd_member *first = come("10.0.0.1"), *second = come("10.0.0.2");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fill(first), BYTES / 8);
        assert_true(keep(second, MIB));
        give_back(second, MIB);
        give_back(first, BYTES / 8);
    }
}

static void what_a_peer_kept_before_counts_no_more_against_others(void **state) {
    (void)state;
    struct crowd_member *leader = come("10.0.0.9"), *other = come("10.0.0.1");
    assert_int_equal(fill(leader), BYTES / 8);
    crowd_trust(&crowd, leader);
    assert_int_equal(fill(other), BYTES / 8);
    assert_true(keep(leader, MIB));
    give_back(leader, BYTES / 8 + MIB);
    assert_int_equal(crowd.by_others, BYTES / 8);
}

static void a_length_beyond_everything_is_refused(void **state) {
    (void)state;
    struct crowd_member *stranger = come("10.0.0.1"), *leader = come("10.0.0.9");
    crowd_trust(&crowd, leader);
    assert_false(keep(stranger, SIZE_MAX));
    assert_false(keep(leader, SIZE_MAX));
    assert_false(keep(leader, BYTES));
    assert_true(keep(leader, BYTES / 2));
    assert_false(keep(leader, 1));
    assert_false(keep(stranger, BYTES / 2));
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(one_address_may_hold_what_nobody_else_wants),
        test(a_newcomer_takes_the_place_of_who_holds_most),
        test(who_holds_as_much_gives_its_own),
        test(a_request_being_served_stays),
        test(beyond_a_share_even_those_go),
        test(within_its_share_nobody_is_ended),
        test(the_last_places_are_for_peers),
        test(the_two_spellings_of_an_address_are_one_host),
        test(one_who_was_told_to_go_is_told_once),
        test(peers_are_forgotten_in_the_end),
        test(a_stranger_keeps_an_eighth),
        test(strangers_leave_half_to_peers),
        test(no_peer_keeps_all),
        test(a_leader_that_is_not_known_yet_finds_room),
        test(what_is_given_back_can_be_kept_again),
        test(what_a_peer_kept_before_counts_no_more_against_others),
        test(a_length_beyond_everything_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What a change of the leader does not change, and what it must not hurry.
#include "tests/flow/leader_stage.h"

static void lead_as(struct seat *seat, const char *pod_id) {
    struct stage *s = seat->stage;
    struct leader_config config = {.spec = &s->spec,
                                   .root = ROOT,
                                   .namespace_ = "ns",
                                   .pod_id = pod_id,
                                   .lock_path = seat->lock,
                                   .epoch = seat->epoch,
                                   .on_deposed = seat_deposed,
                                   .arg = seat};
    seat->leader = leader_create(s->loop, seat->http, seat->zk, &config);
}

static void the_hash_is_the_same_whoever_leads(void **state) {
    (void)state;
    struct stage *s = stage_create();
    for (const char *id = "abcd"; *id; id++)
        fake_pods_add(s->pods, (char[]){*id, 0});
    s->pods->all[3]->dead = true; // what is left out is left out by everybody
    struct seat *seat = seat_open(s);
    lead_as(seat, "a");
    RUN_UNTIL(s, is_whole(s, seat), 2000);
    auto_free char *hash = xstrdup(node(s, "hash"));
    auto_free char *snapshot = xstrdup(node(s, "snapshot"));
    run(s, 100);
    for (const char *id = "bca"; *id; id++) {
        char name[] = {*id, 0};
        seat_close(seat);
        fake_pods_reset(s->pods);
        seat = seat_open(s);
        lead_as(seat, name);
        RUN_UNTIL(s, settled(seat), 500);
        run(s, 30000);
        assert_string_equal(node(s, "hash"), hash);
        assert_string_equal(node(s, "snapshot"), snapshot);
        assert_int_equal(generation(s), 1);
        for (int i = 0; i < 3; i++)
            assert_int_equal(s->pods->all[i]->done[FAKE_ON], 0);
    }
    stage_free(s);
}

// ---- in order, and the leader goes ----

enum { ON_MS = 400, PODS = 4 };

struct roll {
    struct stage *s;
    int64_t busy_until[PODS]; // an on is carried out
    int overlaps, restarts;
};

// As pods do: an on takes its time, and a check is answered when the on that runs has ended.
static void in_its_time(struct fake_pod *pod, enum fake_task task, void *arg) {
    struct roll *roll = arg;
    int64_t now = loop_now(roll->s->loop), *mine = &roll->busy_until[pod->seq];
    int64_t left = *mine > now ? *mine - now : 0;
    if (task == FAKE_CHECK)
        pod->delay[FAKE_CHECK] = left + 1;
    if (task != FAKE_ON)
        return;
    for (int i = 0; i < PODS; i++)
        roll->overlaps += i != pod->seq && roll->busy_until[i] > now;
    *mine = now + ON_MS;
    roll->restarts++;
}

// Whenever the leader goes, never two pods are taken down at once by two leaders' hands.
static void two_leaders_of_a_roll_never_take_two_pods_at_once(void **state) {
    (void)state;
    for (int t = 0; t < PODS * (ON_MS + 10); t += 7) {
        struct stage *s = stage_create();
        struct roll roll = {.s = s};
        s->spec.sequential = true;
        for (const char *id = "abcd"; *id; id++) {
            struct fake_pod *pod = fake_pods_add(s->pods, (char[]){*id, 0});
            pod->delay[FAKE_ON] = ON_MS;
            pod->before = in_its_time;
            pod->arg = &roll;
        }
        struct seat *first = stage_lead(s);
        struct seat *second = seat_open(s);
        run(s, t);
        fake_zk_expire(first->zk);
        RUN_UNTIL(s, !first->leader, 100);
        seat_lead(second);
        RUN_UNTIL(s, is_whole(s, second), 5000);
        assert_int_equal(roll.overlaps, 0);
        assert_in_range(roll.restarts, PODS, 2 * PODS);
        stage_free(s);
    }
}

// ---- a large cluster whose pods come and go ----

static void a_pod_that_comes_and_goes_among_eighty_costs_a_look_at_it(void **state) {
    (void)state;
    struct stage *s = stage_create();
    for (int i = 0; i < FAKE_PODS_MOST; i++) {
        char id[8];
        snprintf(id, sizeof id, "p%d", i);
        fake_pods_add(s->pods, id);
    }
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 2000);
    run(s, 1000);
    int before = fake_zk_requests(s->zk), idle;
    run(s, 60000);
    idle = fake_zk_requests(s->zk) - before;
    assert_in_range(idle, 0, 60); // pings: nothing is polled
    fake_pods_reset(s->pods);
    before = fake_zk_requests(s->zk);
    enum { TIMES = 20 };
    for (int i = 0; i < TIMES; i++) {
        fake_pod_register(s->pods->all[i]);
        run(s, 1000);
    }
    // Each time: the list, the record that is new, and the watch of the list again.
    assert_in_range(fake_zk_requests(s->zk) - before, TIMES, TIMES * 6 + 40);
    assert_int_equal(fake_pods_asked(s->pods), 0); // and nobody is bothered: it is the same pod
    assert_int_equal(generation(s), 1);
    stage_free(s);
}

// ---- the wall clock ----

static char *story(bool jumps) {
    static const double years[] = {3e9, 1e9, 2.5e9, 0, 1.7e9};
    struct stage *s = stage_create();
    struct text t = {0};
    s->spec.damper = 3000;
    for (const char *id = "abc"; *id; id++)
        fake_pods_add(s->pods, (char[]){*id, 0})->delay[FAKE_ON] = 700;
    struct seat *seat = stage_lead(s);
    int64_t began = loop_now(s->loop);
    for (int i = 0; i < 60; i++) {
        if (jumps)
            fake_loop_set_wall(s->loop, years[i % 5]);
        if (i == 10)
            s->pods->all[1]->deaf = true; // retried
        if (i == 10)
            fake_pods_add(s->pods, "d");
        if (i == 12)
            s->pods->all[1]->deaf = false;
        run(s, 500);
        text_addf(&t, "%lld %s gen %lld\n%s", (long long)(loop_now(s->loop) - began),
                  leader_state(seat->leader), (long long)generation(s), text_str(&s->pods->story));
        text_clear(&s->pods->story);
    }
    RUN_UNTIL(s, is_whole(s, seat) && generation(s) == 2, 5000);
    stage_free(s);
    return text_take(&t);
}

static void the_wall_clock_decides_no_round(void **state) {
    (void)state;
    auto_free char *quiet = story(false);
    auto_free char *wild = story(true);
    assert_string_equal(quiet, wild);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_the_same_whoever_leads),
        cmocka_unit_test(two_leaders_of_a_roll_never_take_two_pods_at_once),
        cmocka_unit_test(a_pod_that_comes_and_goes_among_eighty_costs_a_look_at_it),
        cmocka_unit_test(the_wall_clock_decides_no_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// When a round begins and when it does not: damper, dependencies, nodes that cannot be used.
#include "tests/flow/leader_stage.h"

#define DEP "/ochopod/clusters/ns.kafka"

static char *pod_json(int port) {
    return xasprintf("{\"ip\":\"10.0.0.9\",\"port\":\"8080\",\"ports\":{\"8080\":%d},\"seq\":0}",
                     port);
}

// A cluster that we depend on has completed a round with these pods, and they are alive.
static int64_t dependency(struct stage *s, const char *root, const char *ids) {
    int64_t session = fake_zk_stranger(s->zk);
    auto_text struct text snapshot = {0};
    text_add(&snapshot, "{");
    for (const char *id = ids; *id; id++) {
        auto_free char *path = xasprintf("%s/pods/%c.", root, *id);
        auto_free char *json = pod_json(7000 + *id);
        fake_zk_put(s->zk, session, path, json, ZK_EPHEMERAL | ZK_SEQUENCE);
        text_addf(&snapshot, "%s\"%c\":%s", id == ids ? "" : ",", *id, json);
    }
    text_add(&snapshot, "}");
    auto_free char *path = xasprintf("%s/snapshot", root);
    fake_zk_put(s->zk, 0, path, text_str(&snapshot), 0);
    return session;
}

static void depend_on(struct stage *s, const char *entries) {
    s->spec.depends_on = text_split(entries, " ");
}

// The pods of a dependency, as the first pod was told, e.g. "ab".
static void assert_told(const struct stage *s, const char *name, const char *ids) {
    auto_json json_t *body = json_loads(s->pods->all[0]->body, 0, NULL);
    const json_t *pods = json_object_get(json_object_get(body, "dependencies"), name);
    assert_non_null(pods);
    assert_int_equal(json_object_size(pods), strlen(ids));
    for (const char *id = ids; *id; id++)
        assert_non_null(json_object_get(pods, (char[]){*id, 0}));
}

// ---- damper ----

static void changes_within_the_damper_are_one_round(void **state) {
    (void)state;
    struct stage *s = stage_create();
    s->spec.damper = 5000;
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    run(s, 4000);
    assert_string_equal(leader_state(seat->leader), "leader (configuration pending)");
    fake_pods_add(s->pods, "b");
    run(s, 4000);
    fake_pods_add(s->pods, "c");
    run(s, 4900);
    assert_int_equal(fake_pods_asked(s->pods), 0);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    assert_int_equal(generation(s), 1);
    stage_free(s);
}

static void the_damper_gives_way_at_ten_times(void **state) {
    (void)state;
    struct stage *s = stage_create();
    s->spec.damper = 1000;
    fake_pods_add(s->pods, "a");
    stage_lead(s);
    int64_t began = loop_now(s->loop);
    for (int i = 0; i < 24 && fake_pods_asked(s->pods) == 0; i++) {
        char id[8];
        snprintf(id, sizeof id, "p%d", i);
        fake_pods_add(s->pods, id);
        run(s, 500);
    }
    assert_true(fake_pods_asked(s->pods) > 0);
    assert_in_range(loop_now(s->loop) - began, 9500, 11000);
    stage_free(s);
}

static void falling_back_to_the_old_content_cancels(void **state) {
    (void)state;
    struct stage *s = stage_create();
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    seat_close(seat);
    s->spec.damper = 5000;
    seat = stage_lead(s);
    RUN_UNTIL(s, settled(seat), 300);
    fake_pods_reset(s->pods);
    struct fake_pod *b = fake_pods_add(s->pods, "b");
    run(s, 3000);
    assert_string_equal(leader_state(seat->leader), "leader (configuration pending)");
    fake_pod_leave(b);
    RUN_UNTIL(s, settled(seat), 50);
    run(s, 60 * 1000);
    assert_int_equal(fake_pods_asked(s->pods), 0);
    assert_int_equal(generation(s), 1);
    stage_free(s);
}

static void a_refused_newcomer_that_leaves_needs_no_round(void **state) {
    (void)state;
    struct stage *s = stage_create();
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    struct fake_pod *b = fake_pods_add(s->pods, "b");
    b->refuses[FAKE_CHECK] = "no";
    RUN_UNTIL(s, status_has(seat, "refused"), 300);
    fake_pod_leave(b);
    RUN_UNTIL(s, settled(seat), 100);
    assert_false(status_has(seat, "refused"));
    assert_int_equal(generation(s), 1);
    stage_free(s);
}

static void after_a_round_that_touched_somebody_the_old_content_is_a_round(void **state) {
    (void)state;
    struct stage *s = stage_create();
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    struct fake_pod *b = fake_pods_add(s->pods, "b");
    b->refuses[FAKE_ON] = "no";
    RUN_UNTIL(s, status_has(seat, "refused on"), 300);
    fake_pod_leave(b);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    assert_int_equal(generation(s), 2);
    stage_free(s);
}

static void a_session_blip_of_a_pod_is_no_round(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct fake_pod *a = fake_pods_add(s->pods, "a");
    fake_pods_add(s->pods, "b");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    run(s, 50);
    fake_pods_reset(s->pods);
    fake_pod_register(a); // another node, the same pod
    run(s, 60 * 1000);
    assert_int_equal(fake_pods_asked(s->pods), 0);
    assert_int_equal(generation(s), 1);
    stage_free(s);
}

// Its node is another one, maybe not read yet when the damper of another change ends.
static void registers_before_the_round(int64_t at, int64_t damper) {
    struct stage *s = stage_create();
    struct fake_pod *a = fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    seat_close(seat);
    s->spec.damper = damper;
    seat = stage_lead(s);
    RUN_UNTIL(s, settled(seat), 300);
    fake_pods_reset(s->pods);
    fake_pods_add(s->pods, "b");
    run(s, at);
    fake_zk_latency(s->zk, 100);
    fake_pod_register(a);
    RUN_UNTIL(s, fake_pods_asked(s->pods) > 0, 2 * damper);
    fake_zk_latency(s->zk, 1);
    RUN_UNTIL(s, is_whole(s, seat), damper);
    run(s, 10 * damper);
    assert_int_equal(a->done[FAKE_ON], 1);
    assert_int_equal(generation(s), 2);
    stage_free(s);
}

static void a_round_does_not_begin_while_a_record_is_read(void **state) {
    (void)state;
    enum { DAMPER = 5000 };
    for (int64_t before = 0; before <= 700; before += 20)
        registers_before_the_round(DAMPER - before, DAMPER);
}

// Its container was started again: for the leader nothing else about it differs.
static void a_pod_that_asks_for_a_round_gets_one_and_only_one(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct fake_pod *a = fake_pods_add(s->pods, "a");
    fake_pods_add(s->pods, "b");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    run(s, 50);
    fake_pods_reset(s->pods);
    fake_pod_renew(a);
    RUN_UNTIL(s, generation(s) == 2, 300);
    assert_int_equal(a->asked[FAKE_ON], 1);
    fake_pod_register(a); // a worker's restart changes nothing
    run(s, 60 * 1000);
    assert_int_equal(generation(s), 2);
    stage_free(s);
}

static void a_change_in_check_starts_over_with_it(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct fake_pod *a = fake_pods_add(s->pods, "a");
    a->fault[FAKE_CHECK] = FAKE_HTTP_SILENT; // would take 75 s
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, a->asked[FAKE_CHECK] == 1, 200);
    fake_pods_add(s->pods, "b");
    RUN_UNTIL(s, is_whole(s, seat), 300);
    assert_int_equal(generation(s), 1);
    stage_free(s);
}

static void a_change_in_on_is_another_round(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct fake_pod *a = fake_pods_add(s->pods, "a");
    a->delay[FAKE_ON] = 2000;
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, a->asked[FAKE_ON] == 1, 200);
    fake_pods_add(s->pods, "b");
    run(s, 1000);
    assert_int_equal(s->pods->all[1]->asked[FAKE_CHECK], 0);
    RUN_UNTIL(s, generation(s) == 1, 1500);
    RUN_UNTIL(s, is_whole(s, seat) && generation(s) == 2, 2500);
    stage_free(s);
}

static void one_that_flaps_does_not_hold_up_the_others(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct fake_pod *a = fake_pods_add(s->pods, "a");
    a->delay[FAKE_CHECK] = 100; // longer than the other needs to come or go
    struct seat *seat = stage_lead(s);
    struct fake_pod *b = fake_pods_add(s->pods, "b");
    for (int i = 0; i < 40 && generation(s) == 0; i++) {
        run(s, 50);
        if (b->session)
            fake_pod_leave(b);
        else
            b->deaf = false, fake_pod_register(b);
    }
    if (!b->session)
        b->deaf = false, fake_pod_register(b);
    assert_true(a->done[FAKE_ON] > 0);
    RUN_UNTIL(s, is_whole(s, seat), 3000);
    stage_free(s);
}

// ---- nodes ----

static void what_cannot_be_used_is_skipped_and_named(void **state) {
    (void)state;
    static const struct {
        const char *name, *data, *says;
    } bad[] = {
        {"junk.0000000007", "{not json", "junk"},
        {"noip.0000000008", "{\"port\":\"8080\",\"ports\":{\"8080\":1}}", "no ip"},
        {"host.0000000009", "{\"ip\":\"zk1.example\",\"ports\":{\"8080\":1}}", "ip is not"},
        {"unmapped.0000000010", "{\"ip\":\"10.0.0.3\",\"ports\":{}}", "control port"},
        {"metadata.0000000011", "{\"ip\":\"169.254.169.254\",\"ports\":{\"8080\":80}}",
         "ip is not"},
        {"nodigits", "{}", "nodigits"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct stage *s = stage_create();
        auto_free char *path = xasprintf(ROOT "/pods/%s", bad[i].name);
        fake_zk_put(s->zk, 0, path, bad[i].data, 0);
        fake_pods_add(s->pods, "a");
        struct seat *seat = stage_lead(s);
        RUN_UNTIL(s, is_whole(s, seat), 300);
        assert_true(status_has(seat, "skipped"));
        assert_true(status_has(seat, bad[i].says));
        assert_true(status_has(seat, "* configuration in"));
        fake_zk_remove(s->zk, path);
        run(s, 100);
        assert_false(status_has(seat, "skipped"));
        assert_int_equal(generation(s), 1);
        stage_free(s);
    }
}

// An access list that refuses us says nothing when it is mended, so it is asked about again.
static void a_record_that_could_not_be_read_is_read_when_it_can(void **state) {
    (void)state;
    for (int large = 0; large < 2; large++) {
        struct stage *s = stage_create();
        fake_pods_add(s->pods, "a");
        struct fake_pod *b = fake_pods_add(s->pods, "b");
        b->bulk = large ? ZK_MAX_READ : 0;
        fake_pod_renew(b);
        if (!large)
            fake_zk_hide(s->zk, b->node);
        struct seat *seat = stage_lead(s);
        RUN_UNTIL(s, settled(seat) && in_snapshot(s, "a"), 300);
        assert_true(status_has(seat, "skipped"));
        run(s, 60 * 1000);
        assert_false(in_snapshot(s, "b"));
        fake_zk_hide(s->zk, NULL);
        b->bulk = 0;
        if (large)
            fake_pod_renew(b);
        RUN_UNTIL(s, is_whole(s, seat), SESSION_MS + 300);
        assert_false(status_has(seat, "skipped"));
        assert_int_equal(generation(s), 2);
        stage_free(s);
    }
}

static void nobody_who_can_be_used_is_no_empty_snapshot(void **state) {
    (void)state;
    struct stage *s = stage_create();
    fake_zk_put(s->zk, 0, ROOT "/snapshot", "{\"x\":{}}", 0);
    fake_zk_put(s->zk, 0, ROOT "/pods/junk.0000000001", "?", 0);
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, status_has(seat, "no pod of this cluster can be used"), 300);
    run(s, 100 * 1000);
    assert_string_equal(node(s, "snapshot"), "{\"x\":{}}");
    stage_free(s);
}

// What it registers is for others: a port that is not mapped, and one where nobody listens.
static void a_pod_alone_is_asked_where_it_listens(void **state) {
    (void)state;
    static const char *const ports[] = {"{}", "{\"8080\":31000}"};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        struct stage *s = stage_create();
        struct fake_pod *a = fake_pods_add(s->pods, "a");
        auto_free char *data = xasprintf(
            "{\"ip\":\"10.0.0.1\",\"ports\":%s,\"seq\":0,\"sidecar\":\"0.1\"}", ports[i]);
        fake_zk_put(s->zk, a->session, a->node, data, ZK_EPHEMERAL);
        s->own_url = "http://127.0.0.1:9000";
        struct seat *seat = stage_lead(s);
        RUN_UNTIL(s, is_whole(s, seat), 300);
        assert_int_equal(a->done[FAKE_ON], 1);
        stage_free(s);
    }
}

static void an_original_pod_is_taken_when_its_node_is_filled(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct fake_pod *a = fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    struct fake_pod *b = fake_pods_add(s->pods, "b");
    b->original = true;
    auto_free char *data = xstrdup(fake_zk_data(s->zk, b->node));
    fake_pod_leave(b);
    b->deaf = false;
    run(s, 1000);
    b->session = fake_zk_stranger(s->zk);
    const char *path = fake_zk_put(s->zk, b->session, ROOT "/pods/b.", "",
                                   ZK_EPHEMERAL | ZK_SEQUENCE);
    auto_free char *copy = xstrdup(path);
    run(s, 300);
    assert_false(in_snapshot(s, "b"));
    int asked = a->asked[FAKE_CHECK];
    fake_zk_put(s->zk, b->session, copy, data, 0);
    RUN_UNTIL(s, is_whole(s, seat) && in_snapshot(s, "b"), 300);
    assert_int_equal(a->asked[FAKE_CHECK], asked + 1);
    assert_int_equal(seat->deposed, 0);
    stage_free(s);
}

static void of_two_nodes_the_newest_is_the_pod(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct fake_pod *a = fake_pods_add(s->pods, "a");
    auto_free char *ghost = pod_json(9999);
    // The ghost's name sorts after the living one's, its czxid is older.
    fake_pod_leave(a);
    fake_zk_put(s->zk, 0, ROOT "/pods/a.0000000900", ghost, 0);
    a->deaf = false;
    fake_pod_register(a);
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    assert_null(strstr(a->body, "9999"));
    fake_zk_remove(s->zk, ROOT "/pods/a.0000000900");
    run(s, 1000);
    assert_int_equal(generation(s), 1);
    stage_free(s);
}

static void a_read_that_broke_off_is_read_again(void **state) {
    (void)state;
    for (int nth = 1; nth <= 14; nth++) {
        struct stage *s = stage_create();
        for (const char *id = "abc"; *id; id++)
            fake_pods_add(s->pods, (char[]){*id, 0});
        struct seat *seat = stage_lead(s);
        fake_zk_lose(seat->zk, nth % 2 ? FAKE_ZK_BEFORE : FAKE_ZK_AFTER, nth);
        RUN_UNTIL(s, is_whole(s, seat), 5000);
        assert_int_equal(seat->deposed, 0);
        stage_free(s);
    }
}

// ---- dependencies ----

static void a_dependency_is_its_snapshot_less_the_dead(void **state) {
    (void)state;
    struct stage *s = stage_create();
    depend_on(s, "kafka");
    int64_t session = dependency(s, DEP, "xyz");
    fake_zk_put(s->zk, 0, DEP "/snapshot",
                "{\"x\":{\"ip\":\"10.0.0.9\",\"ports\":{},\"seq\":0},"
                "\"gone\":{\"ip\":\"10.0.0.8\",\"ports\":{},\"seq\":1},\"y\":\"no pod\"}",
                0);
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    assert_told(s, "kafka", "x");
    fake_zk_stranger_gone(s->zk, session);
    stage_free(s);
}

static void a_missing_dependency_is_followed_not_polled(void **state) {
    (void)state;
    struct stage *s = stage_create();
    depend_on(s, "kafka");
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    assert_told(s, "kafka", "");
    int requests = fake_zk_requests(s->zk);
    run(s, 600 * 1000);
    assert_int_equal(fake_zk_requests(s->zk), requests);
    dependency(s, DEP, "xy");
    RUN_UNTIL(s, is_whole(s, seat) && generation(s) == 2, 300);
    assert_told(s, "kafka", "xy");
    stage_free(s);
}

static void a_dependency_that_vanishes_keeps_its_last_content(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct stage *s = stage_create();
        depend_on(s, "kafka");
        int64_t session = dependency(s, DEP, "xy");
        fake_pods_add(s->pods, "a");
        struct seat *seat = stage_lead(s);
        RUN_UNTIL(s, is_whole(s, seat), 300);
        run(s, 50);
        fake_pods_reset(s->pods);
        if (how == 0)
            fake_zk_remove(s->zk, DEP "/snapshot"); // an original leader went
        else if (how == 1)
            fake_zk_put(s->zk, 0, DEP "/snapshot", "{}", 0);
        else
            fake_zk_stranger_gone(s->zk, session); // all of its pods
        RUN_UNTIL(s, status_has(seat, "kafka is gone, its last 2 pods are kept"), 300);
        run(s, 60 * 1000);
        assert_int_equal(fake_pods_asked(s->pods), 0);
        // Also by the next leader, who never saw it; and a change of our own does not lose it.
        seat_close(seat);
        seat = stage_lead(s);
        fake_pods_add(s->pods, "b");
        RUN_UNTIL(s, is_whole(s, seat) && generation(s) == 2, 500);
        assert_told(s, "kafka", "xy");
        assert_true(status_has(seat, "kafka is gone"));
        // Back again, as it was or otherwise.
        dependency(s, DEP, "z");
        RUN_UNTIL(s, is_whole(s, seat) && generation(s) == 3, 500);
        assert_told(s, "kafka", "z");
        assert_false(status_has(seat, "gone"));
        stage_free(s);
    }
}

// "ab": these pods of the dependency are gone, one after the other, `ms` apart.
static void go(struct stage *s, const char *root, const char *ids, int64_t ms) {
    auto_free char *pods = xasprintf("%s/pods", root);
    for (const char *id = ids; *id; id++) {
        char **names = fake_zk_children(s->zk, pods);
        for (char **name = names; *name; name++) {
            auto_free char *path = xasprintf("%s/%s", pods, *name);
            if (**name == *id)
                assert_true(fake_zk_remove(s->zk, path));
        }
        text_list_free(names);
        run(s, ms);
    }
}

static void a_dependency_that_goes_pod_by_pod_is_held_whole(void **state) {
    (void)state;
    struct stage *s = stage_create();
    depend_on(s, "kafka");
    dependency(s, DEP, "wxyz");
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    seat_close(seat);
    s->spec.damper = 5000;
    seat = stage_lead(s);
    RUN_UNTIL(s, settled(seat), 300);
    // For longer than the damper there are three of them: that is a round.
    go(s, DEP, "w", 4900);
    assert_int_equal(generation(s), 1);
    RUN_UNTIL(s, is_whole(s, seat) && generation(s) == 2, 300);
    assert_told(s, "kafka", "xyz");
    run(s, 50);
    fake_pods_reset(s->pods);
    go(s, DEP, "xyz", 1000);
    assert_true(status_has(seat, "kafka is gone, its last 3 pods are kept"));
    RUN_UNTIL(s, settled(seat), 50);
    run(s, 60 * 1000);
    assert_int_equal(fake_pods_asked(s->pods), 0);
    assert_int_equal(generation(s), 2);
    // A change of our own does not lose it, nor does the next leader.
    fake_pods_add(s->pods, "b");
    RUN_UNTIL(s, is_whole(s, seat) && generation(s) == 3, 5500);
    assert_told(s, "kafka", "xyz");
    seat_close(seat);
    fake_pods_reset(s->pods);
    seat = stage_lead(s);
    RUN_UNTIL(s, settled(seat), 300);
    run(s, 60 * 1000);
    assert_int_equal(fake_pods_asked(s->pods), 0);
    stage_free(s);
}

// A round of it was begun and given up, or there was none: what is in force is held.
static void what_no_pod_was_given_of_a_dependency_is_not_held(void **state) {
    (void)state;
    static const struct {
        const char *first, *then; // of the dependency
        int64_t damper, slow;     // the round has not begun, or is being checked
        const char *refuses;      // or refused, and tried again
        const char *says;
    } cases[] = {
        {"", "x", 5000, 0, NULL, ""},
        {"", "x", 0, 5000, NULL, ""},
        {"", "x", 0, 0, "no", ""},
        {"x", "y", 5000, 0, NULL, "its last 1 pods are kept"},
        {"x", "y", 0, 5000, NULL, "its last 1 pods are kept"},
        {"x", "y", 0, 0, "no", "its last 1 pods are kept"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stage *s = stage_create();
        depend_on(s, "kafka");
        dependency(s, DEP, cases[i].first);
        struct fake_pod *a = fake_pods_add(s->pods, "a");
        struct seat *seat = stage_lead(s);
        RUN_UNTIL(s, is_whole(s, seat), 300);
        seat_close(seat);
        s->spec.damper = cases[i].damper;
        seat = stage_lead(s);
        RUN_UNTIL(s, settled(seat), 300);
        fake_pods_reset(s->pods);
        a->delay[FAKE_CHECK] = cases[i].slow;
        a->refuses[FAKE_CHECK] = cases[i].refuses;
        auto_free char *both = xasprintf("%s%s", cases[i].first, cases[i].then);
        dependency(s, DEP, both);
        run(s, 4000);
        assert_int_equal(a->asked[FAKE_CHECK] > 0, cases[i].damper == 0);
        go(s, DEP, both, 0);
        RUN_UNTIL(s, settled(seat), 50);
        assert_true(status_has(seat, cases[i].says));
        run(s, 60 * 1000);
        assert_int_equal(a->asked[FAKE_ON], 0);
        assert_int_equal(generation(s), 1);
        stage_free(s);
    }
}

static void wildcards_follow_clusters_that_come_and_go(void **state) {
    (void)state;
    struct stage *s = stage_create();
    depend_on(s, "web-* /*.db *");
    dependency(s, "/ochopod/clusters/ns.web-1", "a");
    dependency(s, "/ochopod/clusters/other.web-2", "b");
    dependency(s, "/ochopod/clusters/other.db", "d");
    fake_pods_add(s->pods, "me");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    assert_told(s, "web-*", "a");
    assert_told(s, "/*.db", "d");
    assert_told(s, "*", "a"); // within the namespace, and never ourselves
    dependency(s, "/ochopod/clusters/ns.web-3", "c");
    dependency(s, "/ochopod/clusters/ns.db", "e");
    RUN_UNTIL(s, is_whole(s, seat) && generation(s) >= 2, 300);
    run(s, 300);
    assert_told(s, "web-*", "ac");
    assert_told(s, "/*.db", "de");
    assert_told(s, "*", "ace");
    stage_free(s);
}

static void an_absolute_name_is_another_namespace(void **state) {
    (void)state;
    struct stage *s = stage_create();
    depend_on(s, "/shared.db");
    dependency(s, "/ochopod/clusters/shared.db", "d");
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    assert_told(s, "/shared.db", "d");
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_within_the_damper_are_one_round),
        cmocka_unit_test(the_damper_gives_way_at_ten_times),
        cmocka_unit_test(falling_back_to_the_old_content_cancels),
        cmocka_unit_test(a_refused_newcomer_that_leaves_needs_no_round),
        cmocka_unit_test(after_a_round_that_touched_somebody_the_old_content_is_a_round),
        cmocka_unit_test(a_session_blip_of_a_pod_is_no_round),
        cmocka_unit_test(a_round_does_not_begin_while_a_record_is_read),
        cmocka_unit_test(a_pod_that_asks_for_a_round_gets_one_and_only_one),
        cmocka_unit_test(a_change_in_check_starts_over_with_it),
        cmocka_unit_test(a_change_in_on_is_another_round),
        cmocka_unit_test(one_that_flaps_does_not_hold_up_the_others),
        cmocka_unit_test(what_cannot_be_used_is_skipped_and_named),
        cmocka_unit_test(a_record_that_could_not_be_read_is_read_when_it_can),
        cmocka_unit_test(nobody_who_can_be_used_is_no_empty_snapshot),
        cmocka_unit_test(a_pod_alone_is_asked_where_it_listens),
        cmocka_unit_test(an_original_pod_is_taken_when_its_node_is_filled),
        cmocka_unit_test(of_two_nodes_the_newest_is_the_pod),
        cmocka_unit_test(a_read_that_broke_off_is_read_again),
        cmocka_unit_test(a_dependency_is_its_snapshot_less_the_dead),
        cmocka_unit_test(a_missing_dependency_is_followed_not_polled),
        cmocka_unit_test(a_dependency_that_vanishes_keeps_its_last_content),
        cmocka_unit_test(a_dependency_that_goes_pod_by_pod_is_held_whole),
        cmocka_unit_test(what_no_pod_was_given_of_a_dependency_is_not_held),
        cmocka_unit_test(wildcards_follow_clusters_that_come_and_go),
        cmocka_unit_test(an_absolute_name_is_another_namespace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

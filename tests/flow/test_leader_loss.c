// Sessions, connections, processes and answers that are lost, at every moment of a round.
#include "tests/flow/leader_stage.h"

enum { PODS = 3, ROUND_MS = 90 };

static struct stage *stage_of_three(bool full_shutdown) {
    struct stage *s = stage_create();
    s->spec.full_shutdown = full_shutdown;
    for (const char *id = "abc"; *id; id++) {
        struct fake_pod *pod = fake_pods_add(s->pods, (char[]){*id, 0});
        // Every phase takes a while, so that each is met by one of the moments below.
        for (int t = 0; t < FAKE_TASKS; t++)
            pod->delay[t] = 10;
    }
    return s;
}

// All of them ran before, so that a full shutdown has something to stop.
static void have_run(struct stage *s) {
    for (int i = 0; i < s->pods->n; i++)
        s->pods->all[i]->started = s->pods->all[i]->running = true;
}

static void assert_consistent(struct stage *s) {
    // Whatever happened: what can be read is of one round.
    auto_json json_t *record = json_loads(node(s, "leader"), 0, NULL);
    if (*node(s, "hash") && record)
        assert_string_equal(json_string_value(json_object_get(record, "hash")), node(s, "hash"));
}

// What the writers did: nobody may write whose lock node is not the lowest that lives.
struct witness {
    struct stage *stage;
    int bad;
};

static void on_write(const char *path, int64_t session, int64_t zxid, bool there, void *arg) {
    struct witness *w = arg;
    (void)zxid;
    const char *name = strrchr(path, '/') + 1;
    bool leaders = strncmp(path, ROOT "/", strlen(ROOT) + 1) == 0 && there && session &&
                   (strcmp(name, "leader") == 0 || strcmp(name, "hash") == 0 ||
                    strcmp(name, "snapshot") == 0 || strcmp(name, "members") == 0 ||
                    strcmp(name, "proposal") == 0 || strcmp(name, "tree") == 0);
    if (!leaders)
        return;
    char **locks = fake_zk_children(w->stage->zk, ROOT "/coordinator");
    struct zk_stat stat = {0};
    auto_free char *lowest = xasprintf(ROOT "/coordinator/%s", locks && *locks ? *locks : "none");
    if (!fake_zk_stat(w->stage->zk, lowest, &stat) || stat.ephemeral_owner != session)
        w->bad++;
    text_list_free(locks);
}

// ---- sessions ----

// The leader's session ends after t ms; the next in line leads when its lock node is gone.
static void the_session_may_end_at_any_moment(void **state) {
    (void)state;
    for (int full = 0; full < 2; full++) {
        for (int t = 0; t < ROUND_MS; t++) {
            struct stage *s = stage_of_three(full);
            struct witness witness = {s, 0};
            if (full)
                have_run(s);
            fake_zk_on_change(s->zk, on_write, &witness);
            struct seat *first = stage_lead(s);
            struct seat *second = seat_open(s);
            run(s, t);
            fake_zk_expire(first->zk);
            RUN_UNTIL(s, !first->leader, 100);
            int sent = fake_http_sent(first->http);
            seat_lead(second);
            RUN_UNTIL(s, is_whole(s, second), 5000);
            assert_int_equal(fake_http_sent(first->http), sent); // not a word after the end
            assert_consistent(s);
            assert_int_equal(witness.bad, 0);
            assert_in_range(generation(s), 1, 2);
            for (int i = 0; i < PODS; i++)
                assert_true(s->pods->all[i]->joined && member_is(s, s->pods->all[i]->id, "joined"));
            stage_free(s);
        }
    }
}

// The leader's process dies after t ms, as by kill -9: its requests stay unanswered for, its
// session ends when the server says so.
static void the_process_may_end_at_any_moment(void **state) {
    (void)state;
    for (int t = 0; t < ROUND_MS; t++) {
        struct stage *s = stage_of_three(t % 2);
        have_run(s);
        struct seat *first = stage_lead(s);
        struct seat *second = seat_open(s);
        run(s, t);
        fake_zk_crash(first->zk);
        leader_free(take_ptr(first->leader));
        struct zk_stat stat;
        RUN_UNTIL(s, !fake_zk_stat(s->zk, first->lock, &stat), SESSION_MS + 100);
        seat_lead(second);
        RUN_UNTIL(s, is_whole(s, second), 5000);
        assert_consistent(s);
        stage_free(s);
    }
}

static void the_connection_may_blink_at_any_moment(void **state) {
    (void)state;
    for (int t = 0; t < ROUND_MS; t++) {
        struct stage *s = stage_of_three(t % 2);
        struct witness witness = {s, 0};
        fake_zk_on_change(s->zk, on_write, &witness);
        have_run(s);
        struct seat *seat = stage_lead(s);
        run(s, t);
        fake_zk_cut(seat->zk, 200);
        RUN_UNTIL(s, seat->state == ZK_SUSPENDED, 50);
        int sent = fake_http_sent(seat->http);
        run(s, 190);
        assert_int_equal(fake_http_sent(seat->http), sent); // suspended: nothing new
        RUN_UNTIL(s, is_whole(s, seat), 5000);
        assert_int_equal(seat->deposed, 0);
        assert_int_equal(witness.bad, 0);
        assert_in_range(generation(s), 1, 2);
        stage_free(s);
    }
}

// Each request to ZooKeeper in turn is lost, before or after it took effect.
static void every_write_may_be_lost_or_only_its_answer(void **state) {
    (void)state;
    for (int nth = 1; nth < 24; nth++) {
        for (int when = FAKE_ZK_BEFORE; when <= FAKE_ZK_AFTER; when++) {
            struct stage *s = stage_of_three(false);
            struct seat *seat = stage_lead(s);
            fake_zk_lose(seat->zk, when, nth);
            RUN_UNTIL(s, is_whole(s, seat), 5000);
            run(s, 1000);
            assert_true(is_whole(s, seat));
            assert_int_equal(seat->deposed, 0);
            assert_in_range(generation(s), 1, 2);
            for (int i = 0; i < PODS; i++)
                assert_int_equal(s->pods->all[i]->fenced, 0);
            stage_free(s);
        }
    }
}

// ---- a leader that was frozen ----

// The leader stands still from t ms on, longer than its session; when it wakes, another leads.
static void a_frozen_leader_wakes_and_does_nothing(void **state) {
    (void)state;
    for (int t = 0; t < ROUND_MS; t++) {
        struct stage *s = stage_of_three(t % 2);
        struct witness witness = {s, 0};
        have_run(s);
        struct seat *first = stage_lead(s);
        run(s, t);
        int sent = fake_http_sent(first->http);
        fake_zk_on_change(s->zk, on_write, &witness);
        fake_zk_freeze(first->zk);
        fake_loop_freeze(s->loop, 3 * SESSION_MS);
        fake_zk_expire(first->zk); // the server's clock went on
        fake_zk_thaw(first->zk);
        fake_pods_reset(s->pods);
        run(s, 1000);
        assert_null(first->leader);
        assert_int_equal(fake_http_sent(first->http), sent);
        assert_int_equal(witness.bad, 0);
        struct seat *second = stage_lead(s);
        RUN_UNTIL(s, is_whole(s, second), 5000);
        stage_free(s);
    }
}

// A clock that jumped, and a session that lived on: it waits, looks anew, and completes.
static void a_short_stop_past_the_lease_is_made_up_for(void **state) {
    (void)state;
    for (int t = 0; t < ROUND_MS; t += 3) {
        struct stage *s = stage_of_three(t % 2);
        have_run(s);
        struct seat *seat = stage_lead(s);
        run(s, t);
        int sent = fake_http_sent(seat->http);
        bool was_settled = settled(seat);
        bool asks = fake_http_flying(seat->http) > 0; // then no write is under way
        int writes = fake_zk_writes(s->zk);
        fake_zk_freeze(seat->zk);
        fake_loop_freeze(s->loop, SESSION_MS * 3 / 4);
        fake_zk_thaw(seat->zk);
        fake_loop_run_until_idle(s->loop);
        if (!was_settled)
            assert_int_equal(fake_http_sent(seat->http), sent);
        run(s, 2); // until the connection has proved itself
        if (asks)
            assert_int_equal(fake_zk_writes(s->zk), writes);
        RUN_UNTIL(s, is_whole(s, seat), 5000);
        assert_int_equal(seat->deposed, 0);
        stage_free(s);
    }
}

// ---- two leaders ----

static void a_pod_that_follows_a_newer_leader_deposes(void **state) {
    (void)state;
    for (enum fake_task task = FAKE_CHECK; task <= FAKE_OK; task++) {
        if (task == FAKE_OFF)
            continue;
        struct stage *s = stage_of_three(false);
        struct seat *seat = stage_lead(s);
        struct fake_pod *b = s->pods->all[1];
        if (task == FAKE_CHECK)
            b->max_epoch = seat->epoch + 1000;
        RUN_UNTIL(s, task == FAKE_CHECK || b->done[task == FAKE_OK ? FAKE_ON : FAKE_CHECK], 300);
        b->max_epoch = seat->epoch + 1000;
        RUN_UNTIL(s, seat->deposed == 1, 300);
        assert_int_equal(seat->why.kind, ERR_FENCED);
        assert_non_null(strstr(seat->why.text, "zk #1 follows a newer leader"));
        assert_int_equal(b->done[task], 0);
        stage_free(s);
    }
}

static void whose_lock_node_is_gone_is_deposed_by_its_next_write(void **state) {
    (void)state;
    for (int t = 0; t < ROUND_MS; t++) {
        struct stage *s = stage_of_three(t % 2);
        have_run(s);
        struct seat *seat = stage_lead(s);
        run(s, t);
        if (settled(seat)) {
            stage_free(s);
            continue;
        }
        auto_free char *hash = xstrdup(node(s, "hash"));
        auto_free char *record = xstrdup(node(s, "leader"));
        fake_zk_remove(s->zk, seat->lock); // by hand: the session lives on
        bool too_late = false;             // the last write was under way
        for (int i = 0; i < 500 && !seat->deposed && !too_late; i++) {
            run(s, 1);
            too_late = settled(seat);
        }
        if (too_late) {
            stage_free(s);
            continue;
        }
        assert_int_equal(seat->deposed, 1);
        assert_int_equal(seat->why.kind, ERR_FENCED);
        assert_string_equal(node(s, "hash"), hash);
        assert_string_equal(node(s, "leader"), record);
        run(s, 1000);
        assert_int_equal(seat->deposed, 1);
        stage_free(s);
    }
}

// Two at once: the old one's lock node is gone and it does not know yet; both see a new pod.
static void of_two_leaders_the_pods_obey_the_newer(void **state) {
    (void)state;
    for (int t = 0; t < ROUND_MS; t++) {
        struct stage *s = stage_of_three(t % 2);
        struct witness witness = {s, 0};
        have_run(s);
        struct seat *old = stage_lead(s);
        struct seat *new = seat_open(s);
        run(s, t);
        fake_zk_remove(s->zk, old->lock);
        fake_zk_on_change(s->zk, on_write, &witness);
        fake_pods_add(s->pods, "d");
        seat_lead(new);
        RUN_UNTIL(s, is_whole(s, new) && old->deposed == 1, 3000);
        for (int i = 0; i < s->pods->n; i++)
            assert_int_equal(s->pods->all[i]->max_epoch, new->epoch);
        assert_int_equal(leader_number(s, "epoch"), new->epoch);
        assert_int_equal(witness.bad, 0);
        assert_int_equal(new->deposed, 0);
        stage_free(s);
    }
}

// ---- the next leader ----

static void a_change_of_leader_is_no_round(void **state) {
    (void)state;
    struct stage *s = stage_of_three(false);
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 500);
    run(s, 100);
    auto_free char *tree = xstrdup(node(s, "tree"));
    fake_pods_reset(s->pods);
    for (int i = 0; i < 3; i++) {
        seat_close(seat);
        seat = stage_lead(s);
        RUN_UNTIL(s, settled(seat), 200);
        run(s, 30 * 1000);
        assert_int_equal(fake_pods_asked(s->pods), 0);
        assert_int_equal(generation(s), 1);
        assert_int_equal(leader_number(s, "epoch"), seat->epoch);
        assert_string_equal(node(s, "tree"), tree);
    }
    stage_free(s);
}

static void generation_goes_on_from_leader_to_leader(void **state) {
    (void)state;
    struct stage *s = stage_of_three(false);
    for (int i = 1; i <= 3; i++) {
        struct seat *seat = stage_lead(s);
        char id[8];
        snprintf(id, sizeof id, "new%d", i);
        fake_pods_add(s->pods, id);
        RUN_UNTIL(s, is_whole(s, seat) && generation(s) == i, 1000);
        assert_int_equal(leader_number(s, "round"), 1); // of this epoch
        seat_close(seat);
    }
    stage_free(s);
}

static void an_unfinished_round_is_finished_at_once(void **state) {
    (void)state;
    struct stage *s = stage_of_three(true);
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 500);
    s->spec.damper = 30000;
    seat_close(seat);
    seat = stage_lead(s);
    fake_pods_add(s->pods, "d");
    RUN_UNTIL(s, s->pods->all[0]->done[FAKE_OFF], 40 * 1000);
    seat_close(seat);                // everybody is off
    fake_pod_leave(s->pods->all[3]); // and it is as before, by the hash
    seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 500); // no damper while workloads are down
    assert_int_equal(generation(s), 2);
    stage_free(s);
}

static void what_an_original_leader_wrote_is_another_round(void **state) {
    (void)state;
    struct stage *s = stage_of_three(false);
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 500);
    seat_close(seat);
    fake_zk_put(s->zk, 0, ROOT "/hash", "30:e7:f2:1c", 0);
    seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 500);
    assert_int_equal(generation(s), 2);
    stage_free(s);
}

static void a_tree_that_appears_meanwhile_is_kept(void **state) {
    (void)state;
    for (int t = 0; t < 12; t++) {
        struct stage *s = stage_of_three(false);
        struct seat *seat = stage_lead(s);
        run(s, t);
        bool free_ = !*node(s, "tree");
        if (free_)
            fake_zk_put(s->zk, 0, ROOT "/tree", "11111111-1111-4111-8111-111111111111", 0);
        auto_free char *tree = xstrdup(node(s, "tree"));
        RUN_UNTIL(s, is_whole(s, seat), 500);
        assert_string_equal(node(s, "tree"), tree);
        assert_int_equal(strncmp(s->pods->all[0]->epoch, tree, strlen(tree)), 0);
        stage_free(s);
    }
}

static void who_finds_a_newer_leaders_record_steps_down(void **state) {
    (void)state;
    struct stage *s = stage_of_three(false);
    struct seat *seat = seat_open(s);
    fake_zk_put(s->zk, 0, ROOT "/newer-lock", "", 0);
    auto_free char *record = xasprintf("{\"epoch\":%lld,\"generation\":7}",
                                       (long long)seat->epoch + 1);
    fake_zk_put(s->zk, 0, ROOT "/leader", record, 0);
    seat_lead(seat);
    RUN_UNTIL(s, seat->deposed == 1, 100);
    assert_int_equal(seat->why.kind, ERR_FENCED);
    assert_int_equal(leader_number(s, "epoch"), seat->epoch + 1);
    assert_int_equal(fake_pods_asked(s->pods), 0);
    stage_free(s);
}

static void garbage_in_our_own_nodes_is_survived(void **state) {
    (void)state;
    static const char *const names[] = {"leader",   "members", "proposal",
                                        "snapshot", "tree",    "hash"};
    static const char *const junk[] = {
        "",
        "{",
        "[1]",
        "\"x\"",
        "\xff\xfe",
        "x\r\nX-Injected: y",
        "{\"epoch\":\"x\",\"dead\":7,\"hash\":[],\"dependencies\":{\"kafka\":{\"x\":5}}}",
        "{\"generation\":9223372036854775807,\"round\":-1,\"a\":{\"ordinal\":-1,\"joined\":true}}",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (size_t j = 0; j < sizeof junk / sizeof *junk; j++) {
            struct stage *s = stage_of_three(false);
            s->spec.depends_on = text_split("kafka", " ");
            auto_free char *path = xasprintf(ROOT "/%s", names[i]);
            fake_zk_put(s->zk, 0, path, junk[j], 0);
            struct seat *seat = stage_lead(s);
            RUN_UNTIL(s, is_whole(s, seat), 1000);
            assert_int_equal(generation(s), 1);
            assert_int_equal(strlen(node(s, "tree")), 36);
            stage_free(s);
        }
    }
}

// ---- pods that die ----

static void leave(struct fake_pod *pod, enum fake_task task, void *arg) {
    if (task == *(enum fake_task *)arg) {
        pod->before = NULL;
        fake_pod_leave(pod);
    }
}

// Pod b is gone, node and all, the moment it is asked for this; and the same with its node staying
// until its session ends.
static void a_pod_may_die_between_two_phases(void **state) {
    (void)state;
    for (enum fake_task task = FAKE_CHECK; task <= FAKE_OK; task++) {
        struct stage *s = stage_of_three(true);
        have_run(s);
        s->pods->all[1]->before = leave;
        s->pods->all[1]->arg = &task;
        struct seat *seat = stage_lead(s);
        RUN_UNTIL(s, is_whole(s, seat) && !in_snapshot(s, "b"), 3000);
        assert_int_equal(seat->deposed, 0);
        stage_free(s);
    }
}

static void die(struct fake_pod *pod, enum fake_task task, void *arg) {
    if (task == *(enum fake_task *)arg)
        pod->dead = true;
}

static void a_pod_that_says_it_is_dead_is_left_out_at_once(void **state) {
    (void)state;
    for (enum fake_task task = FAKE_CHECK; task <= FAKE_ON; task++) {
        struct stage *s = stage_of_three(true);
        have_run(s);
        s->pods->all[1]->before = die;
        s->pods->all[1]->arg = &task;
        struct seat *seat = stage_lead(s);
        RUN_UNTIL(s, is_whole(s, seat), 400); // no back-off: the others are off
        stage_free(s);
    }
}

// It hangs in on, then its session ends: nobody waits for its answer any longer.
static void a_pod_that_left_is_not_waited_for(void **state) {
    (void)state;
    struct stage *s = stage_of_three(false);
    struct fake_pod *b = s->pods->all[1];
    b->fault[FAKE_ON] = FAKE_HTTP_SILENT;
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, b->asked[FAKE_ON], 300);
    run(s, 1000);
    fake_pod_leave(b);
    RUN_UNTIL(s, is_whole(s, seat), 500);
    stage_free(s);
}

// In order: c leaves while b takes its time, and would be asked after it.
static void a_pod_that_left_before_its_turn_is_not_asked(void **state) {
    (void)state;
    struct stage *s = stage_of_three(false);
    s->spec.sequential = true;
    struct fake_pod *b = s->pods->all[1], *c = s->pods->all[2];
    b->delay[FAKE_ON] = 5000;
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, b->asked[FAKE_ON], 300);
    fake_zk_stranger_gone(s->zk, c->session); // its host is gone: nobody refuses
    c->session = 0;
    RUN_UNTIL(s, is_whole(s, seat), 12000);
    assert_int_equal(c->asked[FAKE_ON], 0);
    stage_free(s);
}

static void a_hanging_ok_delays_nobody(void **state) {
    (void)state;
    struct stage *s = stage_of_three(false);
    s->pods->all[1]->fault[FAKE_OK] = FAKE_HTTP_SILENT;
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 300);
    fake_pods_add(s->pods, "d");
    RUN_UNTIL(s, is_whole(s, seat) && generation(s) == 2, 300);
    stage_free(s);
}

// More pods than are told at once: the last would hear of the old round when the next one has
// begun.
static void an_ok_that_the_next_round_overtakes_deposes_nobody(void **state) {
    (void)state;
    struct stage *s = stage_create();
    for (int i = 0; i < 70; i++) {
        char id[8];
        snprintf(id, sizeof id, "p%d", i);
        fake_pods_add(s->pods, id)->delay[FAKE_OK] = 200;
    }
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, generation(s) == 1, 500);
    fake_pods_add(s->pods, "last")->delay[FAKE_ON] = 500;
    RUN_UNTIL(s, seat->deposed || generation(s) == 2, 1000);
    run(s, 1000);
    assert_int_equal(seat->deposed, 0);
    assert_true(is_whole(s, seat));
    for (int i = 0; i < s->pods->n; i++) {
        assert_int_equal(s->pods->all[i]->fenced, 0);
        assert_true(s->pods->all[i]->did[FAKE_OK]);
    }
    stage_free(s);
}

// ---- speed ----

// By virtual time, that is: by round trips. 1 ms each way and no time to think.
static void a_round_of_fifty_takes_few_round_trips(void **state) {
    (void)state;
    struct stage *s = stage_create();
    for (int i = 0; i < 49; i++) {
        char id[8];
        snprintf(id, sizeof id, "p%d", i);
        fake_pods_add(s->pods, id);
    }
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 500);
    run(s, 100);
    int writes = fake_zk_writes(s->zk);
    int64_t before = loop_now(s->loop);
    fake_pods_add(s->pods, "last");
    writes++;
    RUN_UNTIL(s, generation(s) == 2, 100);
    // watch, list, record, settle, proposal, check, members, on, commit
    assert_in_range(loop_now(s->loop) - before, 1, 30);
    assert_in_range(fake_zk_writes(s->zk) - writes, 3, 4);
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_session_may_end_at_any_moment),
        cmocka_unit_test(the_process_may_end_at_any_moment),
        cmocka_unit_test(the_connection_may_blink_at_any_moment),
        cmocka_unit_test(every_write_may_be_lost_or_only_its_answer),
        cmocka_unit_test(a_frozen_leader_wakes_and_does_nothing),
        cmocka_unit_test(a_short_stop_past_the_lease_is_made_up_for),
        cmocka_unit_test(a_pod_that_follows_a_newer_leader_deposes),
        cmocka_unit_test(whose_lock_node_is_gone_is_deposed_by_its_next_write),
        cmocka_unit_test(of_two_leaders_the_pods_obey_the_newer),
        cmocka_unit_test(a_change_of_leader_is_no_round),
        cmocka_unit_test(generation_goes_on_from_leader_to_leader),
        cmocka_unit_test(an_unfinished_round_is_finished_at_once),
        cmocka_unit_test(what_an_original_leader_wrote_is_another_round),
        cmocka_unit_test(a_tree_that_appears_meanwhile_is_kept),
        cmocka_unit_test(who_finds_a_newer_leaders_record_steps_down),
        cmocka_unit_test(garbage_in_our_own_nodes_is_survived),
        cmocka_unit_test(a_pod_may_die_between_two_phases),
        cmocka_unit_test(a_pod_that_says_it_is_dead_is_left_out_at_once),
        cmocka_unit_test(a_pod_that_left_is_not_waited_for),
        cmocka_unit_test(a_pod_that_left_before_its_turn_is_not_asked),
        cmocka_unit_test(a_hanging_ok_delays_nobody),
        cmocka_unit_test(an_ok_that_the_next_round_overtakes_deposes_nobody),
        cmocka_unit_test(a_round_of_fifty_takes_few_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

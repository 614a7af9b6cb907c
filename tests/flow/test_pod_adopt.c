// A workload that somebody else made: found, refused, taken, lost, replaced. It is never created,
// never removed.
#include "tests/flow/pod_stage.h"

#define COMPOSE "com.docker.compose."

static const char adopting_yaml[] = "cluster: zk\n"
                                    "zk: 127.0.0.1:1\n"
                                    "state_dir: %s/state\n"
                                    "workload:\n"
                                    "  container: {%s}\n"
                                    "%s"
                                    "files:\n"
                                    "  - target: %s/conf/app.conf\n"
                                    "    content: \"peers {{ size }}\\n\"\n"
                                    "  - target: /etc/app.conf\n"
                                    "    content: \"size {{ size }}\\n\"\n";

static struct stage *adopting(const char *named, const char *more) {
    struct stage *s = stage_begin();
    s->yaml = xasprintf(adopting_yaml, s->dir, named, more, s->dir);
    return stage_raise(s);
}

static void names(struct stage *s, const char *named) {
    auto_free char *yaml = xasprintf(adopting_yaml, s->dir, named, "", s->dir);
    stage_respec(s, yaml);
}

static struct engine_container *of(struct stage *s, const char *name) {
    return engine_find(fake_engine_memory(s->engine), name);
}

// With conf-volume where the sidecar has it.
static struct engine_container *made_as(struct stage *s, const char *name, const char *network,
                                        const char *policy, json_t *labels) {
    struct engine *engine = fake_engine_memory(s->engine);
    auto_free char *conf = xasprintf("%s/conf", s->dir);
    auto_json json_t *body = json_pack("{s:s, s:o, s:{s:s, s:{s:s}, s:[{s:s,s:s,s:s}]}}", "Image",
                                       "app:1", "Labels", labels, "HostConfig", "NetworkMode",
                                       network, "RestartPolicy", "Name", policy, "Mounts", "Type",
                                       "volume", "Source", "conf-volume", "Target", conf);
    struct engine_reply reply = engine_container_create(engine, name, body);
    assert_int_equal(reply.status, 201);
    json_decref(reply.body);
    return of(s, name);
}

static struct engine_container *made(struct stage *s, const char *name) {
    return made_as(s, name, "container:side", "no", json_object());
}

static void starts(struct stage *s, const char *name) {
    struct engine_reply reply = engine_container_start(fake_engine_memory(s->engine), name);
    assert_int_equal(reply.status, 204);
    fake_loop_advance(s->loop, 1000);
}

static void removes(struct stage *s, const char *name) {
    json_decref(engine_container_remove(fake_engine_memory(s->engine), name, true, false).body);
}

static void expect_refused(struct stage *s, const char *why) {
    struct said *check = stage_check(s);
    expect_kind(check, ERR_REFUSED);
    if (!strstr(check->err.text, why))
        fail_msg("expected \"%s\", got \"%s\"", why, check->err.text);
}

static void expect_nothing_made(struct stage *s) {
    assert_int_equal(fake_engine_count(s->engine, "create "), 0);
    assert_int_equal(fake_engine_count(s->engine, "remove "), 0);
    assert_int_equal(fake_engine_count(s->engine, "rename "), 0);
    assert_int_equal(fake_engine_count(s->engine, "update "), 0);
}

static struct stage *running(const char *more) {
    struct stage *s = adopting("name: app", more);
    made(s, "app");
    stage_configure(s);
    expect_process(s, "running");
    return s;
}

// ---- which one ----

static void it_is_found_by_name_by_id_and_by_label(void **unused) {
    (void)unused;
    static const char *const by[] = {"name: app", "label: tier", "label: tier=web", "id: %s"};
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        struct stage *s = adopting("name: nothing-yet", "");
        made(s, "other");
        const struct engine_container *c = made_as(s, "app", "container:side", "no",
                                                   json_pack("{s:s}", "tier", "web"));
        auto_free char *named = i < 3 ? xstrdup(by[i]) : xasprintf("id: %s", c->id);
        names(s, named);
        stage_configure(s);
        expect_process(s, "running");
        assert_string_equal(s->state->container, c->id);
        assert_int_equal(c->starts, 1);
        assert_int_equal(of(s, "other")->starts, 0);
        expect_file(s, "conf/app.conf", "peers 1\n");
        assert_string_equal(fake_engine_file(s->engine, "app", "/etc/app.conf"), "size 1\n");
        expect_nothing_made(s);
        stage_free(s);
    }
}

// The sidecar's own labels say which project and which number.
static void of_a_compose_service_it_is_the_one_of_the_same_number(void **unused) {
    (void)unused;
    static const struct {
        const char *name, *project, *number, *service, *oneoff;
    } all[] = {{"other-project", "q", "2", "app", "False"},
               {"other-number", "p", "1", "app", "False"},
               {"other-service", "p", "2", "db", "False"},
               {"by-run", "p", "2", "app", "True"},
               {"app", "p", "2", "app", "False"}};
    struct stage *s = adopting("service: app", "");
    expect_refused(s, "the container to adopt is not there yet");
    json_t *own = json_object_get(of(s, "side")->config, "Labels");
    json_object_set_new(own, COMPOSE "project", json_string("p"));
    json_object_set_new(own, COMPOSE "container-number", json_string("2"));
    stage_worker_gone(s);
    docker_container_free(s->facts.self);
    s->facts.self = fake_engine_look(s->engine, "side");
    stage_worker(s);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        expect_refused(s, "(0 found)");
        made_as(s, all[i].name, "container:side", "no",
                json_pack("{s:s, s:s, s:s, s:s}", COMPOSE "project", all[i].project,
                          COMPOSE "container-number", all[i].number, COMPOSE "service",
                          all[i].service, COMPOSE "oneoff", all[i].oneoff));
    }
    stage_configure(s);
    expect_process(s, "running");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(of(s, all[i].name)->starts, strcmp(all[i].name, "app") == 0);
    stage_free(s);
}

static void there_must_be_one_and_no_more(void **unused) {
    (void)unused;
    struct stage *s = adopting("label: tier", "");
    made_as(s, "one", "container:side", "no", json_pack("{s:s}", "tier", "web"));
    made_as(s, "two", "container:side", "no", json_pack("{s:s}", "tier", "db"));
    expect_refused(s, "2 containers are what the spec names; it must be one");
    assert_int_equal(of(s, "one")->starts + of(s, "two")->starts, 0);
    assert_string_equal(fake_engine_calls(s->engine), "");
    removes(s, "two");
    stage_configure(s);
    assert_int_equal(of(s, "one")->starts, 1);
    stage_free(s);
}

static void one_that_docker_restarts_is_refused(void **unused) {
    (void)unused;
    struct stage *s = adopting("name: app", "");
    made_as(s, "app", "container:side", "unless-stopped", json_object());
    expect_refused(s, "container app has restart policy unless-stopped");
    assert_string_equal(fake_engine_calls(s->engine), "");
    removes(s, "app");
    made_as(s, "app", "container:side", "", json_object());
    stage_configure(s);
    expect_process(s, "running");
    stage_free(s);
}

// A label that many have, or a slip: it would stop itself, or a pod that somebody else leads.
static void neither_itself_nor_a_pods_container_is_taken(void **unused) {
    (void)unused;
    struct stage *s = adopting("name: side", "");
    expect_refused(s, "container side is this sidecar's own: name the application's");
    names(s, "name: app");
    made_as(s, "app", "container:side", "no", json_pack("{s:s}", "io.ochopod.pod", "p-1"));
    expect_refused(s, "container app was made by a sidecar, for pod p-1");
    assert_string_equal(fake_engine_calls(s->engine), "");
    stage_free(s);
}

// Compose writes container:<name or id> as it was at the time.
static void one_outside_our_network_is_refused_unless_its_address_is_told(void **unused) {
    (void)unused;
    struct stage *s = adopting("name: app", "");
    struct engine_container *c = made_as(s, "app", "bridge", "no", json_object());
    expect_refused(s, "container app is not in the sidecar's network");
    json_object_set_new(c->host_config, "NetworkMode", json_string("host"));
    expect_refused(s, "container app is not in the sidecar's network");
    json_object_set_new(c->host_config, "NetworkMode", json_string("container:another"));
    expect_refused(s, "container app is not in the sidecar's network");
    json_object_set_new(c->host_config, "NetworkMode", json_string("container:side"));
    expect_done(stage_check(s));
    auto_free char *by_id = xasprintf("container:%.12s", of(s, "side")->id);
    json_object_set_new(c->host_config, "NetworkMode", json_string(by_id));
    stage_configure(s);
    expect_process(s, "running");
    stage_free(s);

    s = adopting("name: app", "  address: 198.18.7.7\n");
    made_as(s, "app", "bridge", "no", json_object());
    stage_configure(s);
    expect_process(s, "running");
    stage_free(s);
}

static void an_engine_that_does_not_answer_is_no_missing_container(void **unused) {
    (void)unused;
    for (int by_label = 0; by_label < 2; by_label++) {
        struct stage *s = adopting(by_label ? "label: tier" : "name: app", "");
        made_as(s, "app", "container:side", "no", json_pack("{s:s}", "tier", "web"));
        fake_engine_fail(s->engine, by_label ? "list" : "inspect app", 1, FAKE_CUT, "reset");
        expect_kind(stage_check(s), ERR_RETRY);
        stage_configure(s);
        expect_process(s, "running");
        stage_free(s);
    }
}

// ---- when it comes ----

// As where something starts it long after the sidecar: what it reads at its start is not there yet.
static void one_that_came_later_and_runs_is_started_again_with_its_configuration(void **unused) {
    (void)unused;
    struct stage *s = adopting("name: app", "");
    expect_refused(s, "the container to adopt is not there yet");
    made(s, "app");
    starts(s, "app");
    stage_configure(s);
    expect_process(s, "running");
    assert_true(pod_ready(s->pod));
    assert_int_equal(of(s, "app")->starts, 2);
    stage_configure(s); // once
    assert_int_equal(of(s, "app")->starts, 2);
    expect_nothing_made(s);
    stage_free(s);
}

static void one_that_ran_before_us_runs_on_until_it_is_configured(void **unused) {
    (void)unused;
    struct stage *s = adopting("name: app", "");
    made(s, "app");
    starts(s, "app");
    stage_worker_gone(s);
    stage_worker(s);
    expect_process(s, "running");
    assert_false(pod_ready(s->pod));
    expect_done(stage_check(s));
    assert_int_equal(of(s, "app")->starts, 1);
    assert_true(of(s, "app")->status == ENGINE_RUNNING);
    expect_done(stage_on(s));
    assert_int_equal(of(s, "app")->starts, 2);
    assert_true(pod_ready(s->pod));
    stage_free(s);
}

static void with_hold_it_stands_still_until_it_is_configured(void **unused) {
    (void)unused;
    for (int later = 0; later < 2; later++) {
        struct stage *s = adopting("name: app", "  hold: true\n");
        if (later)
            expect_refused(s, "the container to adopt is not there yet");
        made(s, "app");
        starts(s, "app");
        if (!later) {
            stage_worker_gone(s);
            stage_worker(s);
        } else {
            expect_done(stage_check(s));
        }
        fake_loop_advance(s->loop, 2000);
        assert_true(of(s, "app")->status == ENGINE_EXITED);
        expect_process(s, "stopped");
        starts(s, "app"); // by whoever insists
        assert_true(of(s, "app")->status == ENGINE_EXITED);
        stage_configure(s);
        assert_true(of(s, "app")->status == ENGINE_RUNNING);
        assert_int_equal(of(s, "app")->starts, 3);
        stage_free(s);
    }
}

// ---- its life ----

static void a_crash_is_answered_by_the_start_call_and_exit_0_is_done(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_loop_advance(s->loop, 10000);
    fake_engine_exit(s->engine, "app", 3);
    fake_loop_advance(s->loop, 2000);
    expect_process(s, "running");
    assert_int_equal(of(s, "app")->starts, 2);
    fake_engine_exit(s->engine, "app", 0);
    fake_loop_advance(s->loop, 2000);
    expect_process(s, "dead");
    assert_int_equal(of(s, "app")->starts, 2);
    expect_nothing_made(s);
    stage_free(s);
}

static void off_stops_it_by_the_specs_signal_and_on_starts_it(void **unused) {
    (void)unused;
    struct stage *s = running("  stop: {signal: INT, grace: 7s}\n");
    expect_done(stage_operator(s, POD_OFF));
    assert_int_equal(fake_engine_count(s->engine, "stop app INT 7"), 1);
    assert_true(of(s, "app")->status == ENGINE_EXITED);
    expect_done(stage_operator(s, POD_ON));
    assert_true(of(s, "app")->status == ENGINE_RUNNING);
    stage_free(s);
}

static void done_leaving(const struct err *why, void *arg) {
    *(bool *)arg = why->kind == ERR_NONE;
}

static void it_is_left_running_when_the_sidecar_ends(void **unused) {
    (void)unused;
    struct stage *s = running("");
    bool left = false;
    pod_leave(s->pod, 8000, done_leaving, &left);
    fake_loop_advance(s->loop, 1000);
    assert_true(left);
    assert_true(of(s, "app")->status == ENGINE_RUNNING);
    assert_int_equal(fake_engine_count(s->engine, "stop "), 0);
    expect_nothing_made(s);
    stage_free(s);
}

static void a_restarted_worker_leaves_it_alone(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    stage_worker(s);
    fake_loop_advance(s->loop, 1000);
    assert_true(pod_ready(s->pod));
    stage_configure(s);
    assert_int_equal(of(s, "app")->starts, 1);
    assert_int_equal(s->state->renewals, 0);
    stage_free(s);
}

// In a container of the adopted one's image; what a crash leaves of it goes.
static void its_validator_has_its_image_and_does_not_stay(void **unused) {
    (void)unused;
    struct stage *s = adopting("name: app", "");
    struct engine *engine = fake_engine_memory(s->engine);
    made(s, "app");
    stage_file_key(s, "validate: {exec: [check-it], timeout: 50s}");
    auto_free char *image = xstrdup(of(s, "app")->image_id);
    for (int i = 0; i < 2; i++) {
        s->round++;
        struct said *check = stage_ask(s, POD_CHECK, 60000);
        fake_loop_advance(s->loop, 1000);
        assert_false(check->came);
        const struct engine_container *c = list_entry(engine_containers(engine)->prev,
                                                      struct engine_container, link);
        assert_string_equal(json_text(c->config, "Image"), image);
        assert_true(c->status == ENGINE_RUNNING);
        auto_free char *id = xstrdup(c->id);
        if (i == 0) {
            stage_worker_gone(s);
            assert_non_null(engine_find(engine, id));
            stage_worker(s);
        } else {
            fake_engine_exit(s->engine, id, 0);
            fake_loop_advance(s->loop, 1000);
            expect_done(check);
        }
        assert_null(engine_find(engine, id));
    }
    expect_done(stage_on(s));
    assert_int_equal(of(s, "app")->starts, 1);
    assert_non_null(of(s, "side"));
    stage_free(s);
}

// ---- removed, and another one in its place ----

static struct stage *removed_while_it_runs(const char *more) {
    struct stage *s = running(more);
    fake_loop_advance(s->loop, 20000);
    removes(s, "app");
    fake_loop_advance(s->loop, 3000);
    expect_process(s, "stopped");
    assert_false(pod_ready(s->pod));
    assert_string_equal(s->state->container, "");
    assert_non_null(strstr(stage_status(s), "the container to adopt is not there yet"));
    expect_refused(s, "the container to adopt is not there yet");
    return s;
}

static void its_successor_that_stands_still_is_started_with_all_of_its_files(void **unused) {
    (void)unused;
    struct stage *s = removed_while_it_runs("");
    const struct engine_container *c = made(s, "app");
    fake_loop_advance(s->loop, 40000);
    expect_process(s, "running");
    assert_true(pod_ready(s->pod));
    assert_string_equal(s->state->container, c->id);
    assert_string_equal(fake_engine_file(s->engine, "app", "/etc/app.conf"), "size 1\n");
    assert_int_equal(c->starts, 1);
    expect_nothing_made(s);
    stage_free(s);
}

// Nothing but a round may say what it reads: it was started without.
static void its_successor_that_runs_already_is_not_ready_before_a_round(void **unused) {
    (void)unused;
    struct stage *s = removed_while_it_runs("");
    const struct engine_container *c = made(s, "app");
    starts(s, "app");
    fake_loop_advance(s->loop, 40000);
    assert_int_equal(c->starts, 1);
    expect_process(s, "running");
    assert_false(pod_ready(s->pod));
    assert_int_equal(s->state->renewals, 1); // what tells the cluster
    stage_configure(s);
    assert_int_equal(c->starts, 2);
    assert_true(pod_ready(s->pod));
    assert_string_equal(fake_engine_file(s->engine, "app", "/etc/app.conf"), "size 1\n");
    stage_free(s);
}

// A new worker does not know the files that lie below no shared volume.
static void its_successor_is_not_started_by_a_new_worker_before_a_round(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    stage_worker(s);
    removes(s, "app");
    fake_loop_advance(s->loop, 3000);
    const struct engine_container *c = made(s, "app");
    fake_loop_advance(s->loop, 120000);
    assert_int_equal(c->starts, 0);
    expect_process(s, "stopped");
    assert_int_equal(s->state->renewals, 1);
    stage_configure(s);
    assert_int_equal(c->starts, 1);
    assert_string_equal(fake_engine_file(s->engine, "app", "/etc/app.conf"), "size 1\n");
    assert_true(pod_ready(s->pod));
    stage_free(s);
}

static void nor_is_one_that_runs_already_ready_for_a_new_worker(void **unused) {
    (void)unused;
    for (int hold = 0; hold < 2; hold++) {
        struct stage *s = running(hold ? "  hold: true\n" : "");
        stage_worker_gone(s);
        stage_worker(s);
        removes(s, "app");
        const struct engine_container *c = made(s, "app");
        starts(s, "app");
        fake_loop_advance(s->loop, 120000);
        expect_process(s, hold ? "stopped" : "running");
        assert_false(pod_ready(s->pod));
        assert_int_equal(s->state->renewals, 1);
        stage_configure(s);
        assert_int_equal(c->starts, 2);
        assert_string_equal(fake_engine_file(s->engine, "app", "/etc/app.conf"), "size 1\n");
        assert_true(pod_ready(s->pod));
        stage_free(s);
    }
}

// The same where nobody was told of the end, nor of the start.
static void one_that_took_its_place_while_the_engine_was_away_neither(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_engine_down(s->engine, "restarting");
    removes(s, "app");
    const struct engine_container *c = made(s, "app");
    starts(s, "app");
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 2000);
    expect_process(s, "running");
    assert_false(pod_ready(s->pod));
    assert_int_equal(s->state->renewals, 1);
    stage_configure(s);
    assert_int_equal(c->starts, 2);
    assert_true(pod_ready(s->pod));
    stage_free(s);
}

static void a_successor_that_runs_already_is_held_too(void **unused) {
    (void)unused;
    struct stage *s = removed_while_it_runs("  hold: true\n");
    const struct engine_container *c = made(s, "app");
    starts(s, "app");
    fake_loop_advance(s->loop, 120000);
    expect_process(s, "stopped");
    assert_true(c->status == ENGINE_EXITED);
    assert_int_equal(s->state->renewals, 1);
    stage_configure(s);
    assert_int_equal(c->starts, 2);
    assert_true(pod_ready(s->pod));
    stage_free(s);
}

// A check finds it while a look is under way, which is of the one before.
static void one_that_a_check_finds_first_is_looked_at_all_the_same(void **unused) {
    (void)unused;
    struct stage *s = running("");
    fake_runner_slow(s->runner, "render", 2000);
    s->round++;
    struct said *check = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 500);
    fake_engine_down(s->engine, "restarted");
    removes(s, "app");
    made(s, "app");
    json_decref(engine_container_start(fake_engine_memory(s->engine), "app").body);
    fake_loop_advance(s->loop, 1300);
    fake_engine_fail(s->engine, "inspect app", 1, 500, "not now");
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 10000);
    expect_done(check);
    fake_runner_slow(s->runner, NULL, 0);
    stage_configure(s);
    assert_true(pod_ready(s->pod));
    stage_free(s);
}

// As soon as it is known where its files are, and before others are staged: not in the middle of a
// round.
static void a_swap_that_was_cut_short_is_completed_at_the_first_look(void **unused) {
    (void)unused;
    struct stage *s = running("");
    stage_worker_gone(s);
    stage_worker(s);
    assert_non_null(strstr(fake_runner_calls(s->runner), "recover"));
    fake_runner_forget_calls(s->runner);
    fake_engine_down(s->engine, "restarted");
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 10000);
    stage_configure(s);
    assert_null(strstr(fake_runner_calls(s->runner), "recover"));
    stage_free(s);
}

static void of_one_that_came_late_it_is_completed_before_others_are_staged(void **unused) {
    (void)unused;
    struct stage *s = adopting("name: app", "");
    assert_null(strstr(fake_runner_calls(s->runner), "recover"));
    made(s, "app");
    expect_done(stage_check(s));
    const char *recover = strstr(fake_runner_calls(s->runner), "recover");
    assert_non_null(recover);
    assert_non_null(strstr(recover, "stage"));
    fake_runner_forget_calls(s->runner);
    fake_engine_down(s->engine, "restarted");
    fake_engine_up(s->engine);
    fake_loop_advance(s->loop, 10000);
    assert_null(strstr(fake_runner_calls(s->runner), "recover"));
    expect_done(stage_on(s));
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_found_by_name_by_id_and_by_label),
        cmocka_unit_test(of_a_compose_service_it_is_the_one_of_the_same_number),
        cmocka_unit_test(there_must_be_one_and_no_more),
        cmocka_unit_test(one_that_docker_restarts_is_refused),
        cmocka_unit_test(neither_itself_nor_a_pods_container_is_taken),
        cmocka_unit_test(one_outside_our_network_is_refused_unless_its_address_is_told),
        cmocka_unit_test(an_engine_that_does_not_answer_is_no_missing_container),
        cmocka_unit_test(one_that_came_later_and_runs_is_started_again_with_its_configuration),
        cmocka_unit_test(one_that_ran_before_us_runs_on_until_it_is_configured),
        cmocka_unit_test(with_hold_it_stands_still_until_it_is_configured),
        cmocka_unit_test(a_crash_is_answered_by_the_start_call_and_exit_0_is_done),
        cmocka_unit_test(off_stops_it_by_the_specs_signal_and_on_starts_it),
        cmocka_unit_test(it_is_left_running_when_the_sidecar_ends),
        cmocka_unit_test(a_restarted_worker_leaves_it_alone),
        cmocka_unit_test(its_validator_has_its_image_and_does_not_stay),
        cmocka_unit_test(its_successor_that_stands_still_is_started_with_all_of_its_files),
        cmocka_unit_test(its_successor_that_runs_already_is_not_ready_before_a_round),
        cmocka_unit_test(nor_is_one_that_runs_already_ready_for_a_new_worker),
        cmocka_unit_test(one_that_took_its_place_while_the_engine_was_away_neither),
        cmocka_unit_test(a_successor_that_runs_already_is_held_too),
        cmocka_unit_test(one_that_a_check_finds_first_is_looked_at_all_the_same),
        cmocka_unit_test(a_swap_that_was_cut_short_is_completed_at_the_first_look),
        cmocka_unit_test(of_one_that_came_late_it_is_completed_before_others_are_staged),
        cmocka_unit_test(its_successor_is_not_started_by_a_new_worker_before_a_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// A pod on a stage: the real station, the real renderer and real files in a folder of the test,
// over a fake engine, a fake runner and a virtual clock. The test plays the leader and the
// operator.
#pragma once
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/pod/pod.h"
#include "tests/fake/docker.h"
#include "tests/fake/loop.h"
#include "tests/fake/runner.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#define TREE  "11111111-2222-4333-8444-555555555555"
#define OTHER "99999999-2222-4333-8444-555555555555"

struct said { // the answer to one request
    bool came;
    struct err err;
    json_t *answer;
    struct pod_ask *ask;
};

struct stage {
    char dir[64]; // conf/ and data/ are the shared volumes
    char *yaml;
    struct loop *loop;
    struct fake_engine *engine;
    struct docker *docker;
    struct runner *runner;
    struct spec *spec;
    struct state *state;
    struct binding_facts facts;
    struct pod *pod;
    struct said said[32];
    size_t saids;
    const char *zk_tree;        // what ZooKeeper says
    int64_t zk_epoch, zk_round; // of who leads
    int64_t zk_written;         // by which transaction it says so
    int asked_who_leads;
    bool zk_original, zk_away;
    const char *zk_leader;              // what a hand wrote into /leader
    bool zk_nobody;                     // has led yet: there is no /leader
    bool session_over;                  // and nobody has told the pod
    const char *zk_proposal, *zk_stale; // /proposal; what a server that lags behind has of it
    int readings;                       // of it
    int64_t slow_zk;                    // ms that it takes
    const char *refers;                 // what leaders send instead of the body
    int64_t epoch, round;
    char *others; // more of the body: ',"uuid":{...}'
    int dead_told, changes;
    char *members;
};

// ---- callbacks ----

static inline void stage_up(const char *api, const char *version, void *arg) {
    struct stage *s = arg;
    (void)api;
    (void)version;
    if (s->pod)
        pod_engine(s->pod, true);
}

static inline void stage_down(const struct err *why, void *arg) {
    struct stage *s = arg;
    (void)why;
    if (s->pod)
        pod_engine(s->pod, false);
}

static inline void stage_event(const char *id, const char *name, const json_t *attributes,
                               int64_t time_ns, void *arg) {
    struct stage *s = arg;
    (void)time_ns;
    if (s->pod)
        pod_event(s->pod, id, name, attributes);
}

static inline void stage_dead(bool dead, void *arg) {
    struct stage *s = arg;
    s->dead_told += dead ? 1 : -1;
}

static inline void stage_changed(void *arg) {
    struct stage *s = arg;
    s->changes++;
}

struct stage_witness {
    struct stage *stage;
    pod_witness_fn *fn;
    void *arg;
};

static inline void stage_witnessed(void *arg) {
    struct stage_witness *w = arg;
    struct err err = ERR_INIT;
    if (w->stage->zk_away)
        err_set(&err, ERR_RETRY, "no connection");
    w->fn(w->stage->zk_tree, w->stage->zk_original, &err, w->arg);
    free(w);
}

static inline void stage_witness_ask(pod_witness_fn *fn, void *fn_arg, void *arg) {
    struct stage *s = arg;
    struct stage_witness *w = xnew(struct stage_witness);
    *w = (struct stage_witness){s, fn, fn_arg};
    loop_timer_start(s->loop, NULL, 0, stage_witnessed, w);
}

struct stage_reading {
    struct stage *stage;
    bool fresh;
    pod_proposal_fn *fn;
    void *arg;
};

// /leader
static inline void stage_leader_read(void *arg) {
    struct stage_reading *r = arg;
    struct stage *s = r->stage;
    struct err err = ERR_INIT;
    auto_free char *text = s->zk_leader
                               ? xstrdup(s->zk_leader)
                               : xasprintf("{\"tree\":\"%s\",\"epoch\":%lld,\"round\":%lld}",
                                           s->zk_tree, (long long)s->zk_epoch,
                                           (long long)s->zk_round);
    if (s->zk_away)
        err_set(&err, ERR_RETRY, "no connection");
    else if (s->zk_nobody)
        err_set(&err, ERR_ABSENT, "no node");
    s->asked_who_leads++;
    r->fn(err.kind ? NULL : text, err.kind ? 0 : strlen(text), s->zk_written, &err, r->arg);
    free(r);
}

static inline void stage_read_leader(pod_proposal_fn *fn, void *fn_arg, void *arg) {
    struct stage *s = arg;
    struct stage_reading *r = xnew(struct stage_reading);
    *r = (struct stage_reading){s, true, fn, fn_arg};
    loop_timer_start(s->loop, NULL, 0, stage_leader_read, r);
}

static inline void stage_proposal_read(void *arg) {
    struct stage_reading *r = arg;
    struct stage *s = r->stage;
    struct err err = ERR_INIT;
    const char *data = r->fresh || !s->zk_stale ? s->zk_proposal : s->zk_stale;
    if (s->zk_away)
        err_set(&err, ERR_RETRY, "no connection");
    else if (!data)
        err_set(&err, ERR_ABSENT, "no node");
    s->readings++;
    r->fn(data, data ? strlen(data) : 0, s->zk_written, &err, r->arg);
    free(r);
}

static inline void stage_read_proposal(bool fresh, pod_proposal_fn *fn, void *fn_arg, void *arg) {
    struct stage *s = arg;
    struct stage_reading *r = xnew(struct stage_reading);
    *r = (struct stage_reading){s, fresh, fn, fn_arg};
    loop_timer_start(s->loop, NULL, s->slow_zk, stage_proposal_read, r);
}

static inline bool stage_is_attached(void *arg) {
    const struct stage *s = arg;
    return !s->session_over;
}

// ---- setting up ----

static const char stage_yaml[] = "cluster: zk\n"
                                 "zk: 127.0.0.1:1\n"
                                 "state_dir: %s/state\n"
                                 "workload:\n"
                                 "  image: app:1\n"
                                 "  environment: {SIZE: \"{{ size }}\"}\n"
                                 "  volumes: [%s/data]\n"
                                 "%s"
                                 "files:\n"
                                 "  - target: %s/conf/app.conf\n"
                                 "    content: \"peers {{ size }}\\n\"\n";

static inline void stage_spec(struct stage *s, const char *yaml) {
    struct err err = ERR_INIT;
    struct text report = {0};
    struct spec_flags flags = {.port = -1};
    char *const env[] = {NULL};
    spec_free(s->spec);
    s->spec = NULL;
    if (spec_parse(yaml, strlen(yaml), "pod.yaml", s->dir, &flags, env, &s->spec, &report, &err))
        fail_msg("%s", text_str(&report));
    text_done(&report);
}

static inline void stage_worker_begins(struct stage *s) {
    struct err err = ERR_INIT;
    if (state_open(s->spec->state_dir, !s->spec->start, &s->state, &err))
        fail_msg("%s", err.text);
    const struct runner_setup runner = {
        .name = "flow", .functions = render_functions, .spec = s->spec};
    assert_int_equal(runner_start(&runner, &s->runner, &err), 0);
    runner_attach(s->runner, s->loop);
    static const struct docker_events_listener listener = {stage_up, stage_down, stage_event};
    assert_int_equal(docker_open(s->loop, NULL, NULL, &listener, NULL, s, &s->docker, &err), 0);
    fake_loop_run_until_idle(s->loop);
    struct pod_config config = {
        .spec = s->spec,
        .state = s->state,
        .docker = s->docker,
        .runner = s->runner,
        .facts = &s->facts,
        .full_name = "marathon.zk",
        .tether = "ochopod-test",
        .witness = stage_witness_ask,
        .read_proposal = stage_read_proposal,
        .read_leader = stage_read_leader,
        .is_attached = stage_is_attached,
        .on_dead = stage_dead,
        .on_change = stage_changed,
        .arg = s,
    };
    s->pod = pod_create(s->loop, &config);
    pod_attached(s->pod, true);
    pod_engine(s->pod, docker_is_up(s->docker));
    fake_loop_run_until_idle(s->loop);
}

// A run that a former worker knew is looked at twice.
static inline void stage_worker(struct stage *s) {
    stage_worker_begins(s);
    if (*s->state->started_at && *s->state->container)
        fake_loop_advance(s->loop, 250);
}

// As a crash: nothing is taken down.
static inline void stage_worker_gone(struct stage *s) {
    pod_free(s->pod);
    s->pod = NULL;
    docker_close(s->docker);
    s->docker = NULL;
    runner_stop(s->runner);
    s->runner = NULL;
    state_close(s->state);
    s->state = NULL;
}

static inline void stage_self(struct stage *s, const char *name) {
    struct engine *engine = fake_engine_memory(s->engine);
    auto_free char *conf = xasprintf("%s/conf", s->dir);
    auto_free char *data = xasprintf("%s/data", s->dir);
    auto_json json_t *body = json_pack("{s:s, s:{s:[{s:s,s:s,s:s},{s:s,s:s,s:s}]}}", "Image",
                                       "sidecar:1", "HostConfig", "Mounts", "Type", "volume",
                                       "Source", "conf-volume", "Target", conf, "Type", "volume",
                                       "Source", "data-volume", "Target", data);
    json_decref(engine_container_create(engine, name, body).body);
    json_decref(engine_container_start(engine, name).body);
    fake_loop_run_until_idle(s->loop);
    docker_container_free(s->facts.self);
    s->facts.self = fake_engine_look(s->engine, name);
    assert_non_null(s->facts.self);
}

// In its place: only what the yaml says is missing.
static inline struct stage *stage_begin(void) {
    struct stage *s = test_calloc(1, sizeof *s);
    strcpy(s->dir, "/tmp/ocho-pod-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    auto_free char *conf = xasprintf("%s/conf", s->dir);
    auto_free char *data = xasprintf("%s/data", s->dir);
    assert_int_equal(mkdir(conf, 0755) | mkdir(data, 0755), 0);
    return s;
}

static inline struct stage *stage_raise(struct stage *s) {
    stage_spec(s, s->yaml);
    s->loop = loop_create();
    s->engine = fake_engine_create(s->loop, NULL);
    fake_engine_image(s->engine, "sidecar:1", NULL);
    s->zk_tree = TREE;
    s->epoch = 100;
    s->others = xstrdup("");
    stage_self(s, "side");
    stage_worker(s);
    fake_engine_forget_calls(s->engine);
    return s;
}

static inline struct stage *stage_create(const char *more) {
    struct stage *s = stage_begin();
    s->yaml = xasprintf(stage_yaml, s->dir, s->dir, more, s->dir);
    return stage_raise(s);
}

// As after a change of the spec: another worker, the same container, the same state.
static inline void stage_respec(struct stage *s, const char *yaml) {
    stage_worker_gone(s);
    stage_spec(s, yaml);
    stage_worker(s);
    fake_engine_forget_calls(s->engine);
}

// The present spec and one more key of its last file.
static inline void stage_file_key(struct stage *s, const char *key) {
    auto_free char *yaml = xasprintf("%s    %s\n", s->yaml, key);
    stage_respec(s, yaml);
}

static inline int stage_rm(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void stage_free(struct stage *s) {
    stage_worker_gone(s);
    for (size_t i = 0; i < s->saids; i++)
        json_decref(s->said[i].answer);
    fake_engine_free(s->engine);
    loop_free(s->loop);
    spec_free(s->spec);
    docker_container_free(s->facts.self);
    nftw(s->dir, stage_rm, 16, FTW_DEPTH | FTW_PHYS);
    free(s->yaml);
    free(s->others);
    test_free(s);
}

// ---- asking ----

static inline void stage_replied(const json_t *answer, const struct err *err, void *arg) {
    struct said *said = arg;
    assert_false(said->came);
    said->came = true;
    said->err = *err;
    said->answer = answer ? json_incref((json_t *)answer) : NULL;
    said->ask = NULL;
}

static inline char *stage_body(const struct stage *s) {
    return xasprintf("{\"pods\":{\"%s\":{\"ip\":\"10.0.0.1\",\"ports\":{\"8080\":8080},"
                     "\"port\":\"8080\",\"seq\":1}%s},\"dependencies\":{},\"key\":\"%s\"}",
                     s->state->pod_id, s->others, s->state->pod_id);
}

static inline struct said *stage_send(struct stage *s, const struct pod_request *request) {
    CHECK(s->saids < sizeof s->said / sizeof *s->said);
    struct said *said = &s->said[s->saids++];
    said->ask = pod_request(s->pod, request, stage_replied, said);
    return said;
}

// A leader's request of the present epoch and round; not waited for.
static inline struct said *stage_ask(struct stage *s, enum pod_task task, int64_t budget) {
    auto_free char *body = s->refers ? xstrdup(s->refers) : stage_body(s);
    struct pod_request request = {
        .task = task,
        .scope = POD_LEADER,
        .target = s->state->pod_id,
        .tree = TREE,
        .epoch = s->epoch,
        .round = s->round,
        .budget_ms = budget,
        .body = body,
        .body_len = strlen(body),
    };
    return stage_send(s, &request);
}

static inline struct said *stage_operator(struct stage *s, enum pod_task task) {
    struct pod_request request = {.task = task, .scope = POD_OPERATOR, .budget_ms = 60000};
    struct said *said = stage_send(s, &request);
    fake_loop_advance(s->loop, 5000);
    return said;
}

static inline const char *stage_said(const struct said *said) {
    if (!said->came)
        return "nothing yet";
    return said->err.kind == ERR_NONE ? "done" : said->err.text;
}

#define expect_done(said_) assert_string_equal(stage_said(said_), "done")
#define expect_kind(said_, kind_)                                                                  \
    do {                                                                                           \
        struct said *it_ = (said_);                                                                \
        if (!it_->came || it_->err.kind != (kind_))                                                \
            fail_msg("expected %s, got %s", err_kind_name(kind_), stage_said(it_));                \
    } while (0)

// A leader's round as far as this pod sees it.
static inline struct said *stage_check(struct stage *s) {
    s->round++;
    struct said *said = stage_ask(s, POD_CHECK, 60000);
    fake_loop_advance(s->loop, 100);
    return said;
}

static inline struct said *stage_on(struct stage *s) {
    struct said *said = stage_ask(s, POD_ON, 60000);
    fake_loop_advance(s->loop, 1000);
    return said;
}

static inline void stage_configure(struct stage *s) {
    expect_done(stage_check(s));
    expect_done(stage_on(s));
}

static inline void stage_grow(struct stage *s) {
    static const char more[] = ",\"" OTHER "\":{\"ip\":\"10.0.0.2\",\"ports\":{\"8080\":8080},"
                               "\"port\":\"8080\",\"seq\":2}";
    free(s->others);
    s->others = xstrdup(more);
}

static inline void stage_shrink(struct stage *s) {
    free(s->others);
    s->others = xstrdup("");
}

// ---- looking ----

#define WORKLOAD "side-workload"

static inline bool stage_runs(struct stage *s) {
    struct docker_container *c = fake_engine_look(s->engine, WORKLOAD);
    bool runs = c && c->running;
    docker_container_free(c);
    return runs;
}

static inline int stage_starts(struct stage *s) {
    const struct engine_container *c = engine_find(fake_engine_memory(s->engine), WORKLOAD);
    return c ? c->starts : -1;
}

static inline char *stage_file(struct stage *s, const char *name) {
    auto_free char *path = xasprintf("%s/%s", s->dir, name);
    auto_file FILE *f = fopen(path, "re");
    char *data = xcalloc(1, 4096);
    if (f && fread(data, 1, 4095, f) == 0)
        *data = '\0';
    return data;
}

#define expect_file(s, name, text)                                                                 \
    do {                                                                                           \
        auto_free char *have_ = stage_file(s, name);                                               \
        assert_string_equal(have_, text);                                                          \
    } while (0)

#define expect_process(s, text) assert_string_equal(pod_process((s)->pod), text)

static inline const char *stage_status(struct stage *s) {
    static char line[512];
    auto_json json_t *info = pod_info(s->pod);
    snprintf(line, sizeof line, "%s", json_text(info, "status"));
    return line;
}

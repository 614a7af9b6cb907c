// What hands other than ours write into the tree: the leader goes on leading, good pods get their
// rounds, what cannot be used is named, and not more often than somebody would read.
#include "tests/flow/leader_stage.h"

// A sanitizer is sixty times slower and looks at the same code: it has a fifth of the nodes.
#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
enum { JUNK = SANITIZED ? 2000 : 10000 };
enum { GOOD = 3, BATCH = 250 };

static uint64_t seed;

static unsigned below(unsigned n) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

static const char *const values[] = {"null",
                                     "true",
                                     "0",
                                     "-1",
                                     "1e400",
                                     "1e308",
                                     "9223372036854775807",
                                     "9223372036854775808",
                                     "0.5",
                                     "99999999999999999999999",
                                     "\"\"",
                                     "\"x\"",
                                     "\"\\u0000\"",
                                     "\"\\ud800\"",
                                     "[]",
                                     "{}",
                                     "[1]",
                                     "{\"a\":1}",
                                     "\"127.0.0.1\"",
                                     "\"169.254.169.254\"",
                                     "\"0.0.0.0\"",
                                     "\"fe80::1\"",
                                     "\"224.0.0.1\"",
                                     "\"::ffff:169.254.169.254\"",
                                     "\"10.0.0.1; rm -rf /\"",
                                     "\"10.0.0.1\\r\\nX: y\"",
                                     "\"../../etc\"",
                                     "\"%s%n\"",
                                     "{\"8080\":-1}",
                                     "{\"8080\":99999999999}",
                                     "{\"8080\":\"8080\"}",
                                     "{\"8080\":1.5}",
                                     "{\"8080\":0}",
                                     "{\"8080\":{}}",
                                     "\"\xff\xfe\"",
                                     "\xff"};
static const char *const keys[] = {"ip",        "port",     "ports",    "seq",    "cluster",
                                   "namespace", "node",     "task",     "public", "application",
                                   "sidecar",   "proposal", "renewals", "zk"};
static const char *const ledger_keys[] = {"epoch", "round", "generation", "hash",         "tree",
                                          "open",  "dead",  "pods",       "dependencies", "members",
                                          "a",     "b",     "ordinal",    "joined"};
static const char *const garbage[] = {"",         "{",
                                      "}",        "[]",
                                      "null",     "\"\"",
                                      "{}{}",     "{\"ip\":\"1.2.3.4\"}x",
                                      "\xff\xfe", "{\"a\":1,\"a\":2}",
                                      "\x01\x02", "{\"ip\"",
                                      "NaN",      "{\"\":{}}",
                                      "-"};
#define ONE_OF(list) (list)[below(sizeof(list) / sizeof *(list))]

static char *nested(unsigned depth) {
    struct text t = {0};
    for (unsigned i = 0; i < depth; i++)
        text_add(&t, i % 2 ? "{\"a\":" : "[");
    return text_take(&t);
}

static char *large(void) {
    char *s = xcalloc(1 << 20, 1);
    memset(s, below(2) ? '[' : 'x', (1 << 20) - 100);
    return s;
}

static char *object_of(bool ledger) {
    struct text t = {0};
    for (unsigned i = 0, most = below(9); i <= most; i++)
        text_addf(&t, "%s\"%s\":%s", i ? "," : "{", ledger ? ONE_OF(ledger_keys) : ONE_OF(keys),
                  ONE_OF(values));
    text_addc(&t, '}');
    return text_take(&t);
}

static char *junk(bool ledger) {
    switch (below(100)) {
    case 0:
        return large();
    case 1:
        return nested(10 + below(100000));
    default:
        return below(3) ? object_of(ledger) : xstrdup(ONE_OF(garbage));
    }
}

// A good record with one member spoilt.
static char *spoilt(void) {
    return xasprintf(
        "{\"ip\":\"10.0.0.3\",\"port\":\"8080\",\"ports\":{\"8080\":9700},\"x\":1,\"%s\":%s}",
        ONE_OF(keys), ONE_OF(values));
}

// A record that can be used, at an address where nobody is, rightly ends rounds: not what this is
// about.
static bool is_usable(const char *data) {
    struct record *r = NULL;
    bool usable = record_parse("x.0000000001", data, strlen(data), &r, NULL) == 0 &&
                  r->control_port;
    record_free(r);
    return usable;
}

static bool put_pod(struct stage *s, int64_t session, unsigned i) {
    static const char *const names[] = {"a.",  "b.",    "c.", "evil.", "..",      "x y.",
                                        "%n.", "\xff.", "-.", "q",     "__lock__"};
    auto_free char *path = below(4) ? xasprintf(ROOT "/pods/junk%u.", i)
                                    : xasprintf(ROOT "/pods/%s", ONE_OF(names));
    auto_free char *data = below(2) ? junk(false) : spoilt();
    if (is_usable(data))
        return false;
    fake_zk_put(s->zk, session, path, data, ZK_EPHEMERAL | ZK_SEQUENCE);
    return true;
}

static void put_ledger(struct stage *s) {
    static const char *const nodes[] = {"snapshot", "hash",     "leader",
                                        "members",  "proposal", "tree"};
    auto_free char *path = xasprintf(ROOT "/%s", ONE_OF(nodes));
    auto_free char *data = junk(true);
    fake_zk_put(s->zk, 0, path, data, 0);
}

static void put_dependency(struct stage *s, int64_t session, unsigned i) {
    auto_free char *data = junk(false);
    auto_free char *pod = xasprintf("/ochopod/clusters/ns.db/pods/j%u.%010u", i, i);
    auto_free char *snapshot = below(2) ? xstrdup(data)
                                        : xasprintf("{\"j%u\":%s,\"k\":{}}", i, ONE_OF(values));
    fake_zk_put(s->zk, session, pod, data, ZK_EPHEMERAL);
    fake_zk_put(s->zk, 0, "/ochopod/clusters/ns.db/snapshot", snapshot, 0);
}

static bool all_ran(const struct stage *s, int times) {
    for (int i = 0; i < GOOD; i++)
        if (s->pods->all[i]->done[FAKE_ON] < times)
            return false;
    return true;
}

// All that is written down is read again, as after a broken connection, and a good pod asks for a
// round.
static void still_leads(struct stage *s, struct seat *seat) {
    run(s, 5);
    leader_suspend(seat->leader, true);
    leader_suspend(seat->leader, false);
    int before = s->pods->all[0]->done[FAKE_ON];
    fake_pod_renew(s->pods->all[below(GOOD)]);
    RUN_UNTIL(s, all_ran(s, before + 1) && settled(seat), 200 * 1000);
    assert_int_equal(seat->deposed, 0);
}

static void ten_thousand_nodes_of_junk_depose_nobody(void **state) {
    (void)state;
    static const char *const ids[GOOD] = {"a", "b", "c"};
    seed = 0x9e3779b97f4a7c15u;
    struct stage *s = stage_create();
    s->spec.depends_on = text_split("db", ",");
    for (int i = 0; i < GOOD; i++)
        fake_pods_add(s->pods, ids[i]);
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 1000);
    int64_t session = fake_zk_stranger(s->zk);
    for (unsigned i = 0, written = 0; written < JUNK || i % BATCH; i++) {
        written += i % 2 == 0 || put_pod(s, session, i);
        if (i % 4 == 2)
            put_ledger(s);
        else if (i % 4 == 0)
            put_dependency(s, session, i);
        if (i % BATCH != BATCH - 1)
            continue;
        still_leads(s, seat);
        assert_true(status_has(seat, "skipped") && status_has(seat, " more"));
        fake_zk_stranger_gone(s->zk, session);
        session = fake_zk_stranger(s->zk);
    }
    assert_true(strlen(leader_status(seat->leader)) < 2048);
    stage_free(s);
}

// Its node says that it is on this machine: the services of the machine are not for others to ask.
static void a_pod_on_loopback_is_asked_from_loopback_alone(void **state) {
    (void)state;
    static const char *const ips[] = {"127.0.0.1", "127.1.2.3", "::1"};
    struct stage *s = stage_create();
    fake_pods_add(s->pods, "a");
    struct fake_pod *canary = fake_pods_add(s->pods, "canary");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 1000);
    for (size_t i = 0; i < sizeof ips / sizeof *ips; i++) {
        fake_pods_reset(s->pods);
        auto_free char *data = xasprintf("{\"ip\":\"%s\",\"port\":\"8080\",\"ports\":{\"8080\":%d},"
                                         "\"seq\":1,\"renewals\":%zu}",
                                         ips[i], canary->port, i + 1);
        fake_zk_put(s->zk, canary->session, canary->node, data, ZK_EPHEMERAL);
        RUN_UNTIL(s, status_has(seat, "pod canary: its address is loopback and ours is not"),
                  10000);
        fake_pod_renew(s->pods->all[0]);
        RUN_UNTIL(s, s->pods->all[0]->done[FAKE_ON] && settled(seat), 200 * 1000);
        assert_int_equal(canary->asked[FAKE_CHECK], 0);
        assert_int_equal(seat->deposed, 0);
    }
    stage_free(s);
}

// Its lock node would have to be newer than what it wrote.
static void an_epoch_from_the_future_deposes_nobody(void **state) {
    (void)state;
    struct stage *s = stage_create();
    fake_zk_put(s->zk, 0, ROOT "/leader", "{\"epoch\":9007199254740991,\"round\":9007199254740991}",
                0);
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 500);
    assert_int_equal(seat->deposed, 0);
    assert_int_equal(leader_number(s, "epoch"), seat->epoch);
    stage_free(s);
}

static void the_dead_that_a_hand_wrote_do_not_fill_the_node(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct text t = {0};
    text_add(&t, "{\"epoch\":1,\"dead\":{\"a\":\"b\"");
    for (int i = 0; i < 65000; i++)
        text_addf(&t, ",\"%d\":%d", i, i);
    text_add(&t, "}}");
    assert_in_range(t.len, ZK_MAX_DATA + 1, (1 << 20) - 100);
    fake_zk_put(s->zk, 0, ROOT "/leader", t.s, 0);
    text_done(&t);
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat), 500);
    assert_true(strlen(node(s, "leader")) < 1000);
    stage_free(s);
}

struct naming {
    int named;
    bool more;
};

static void on_line(const char *line, size_t len, void *arg) {
    struct naming *n = arg;
    auto_free char *text = xstrndup(line, len);
    n->named += strstr(text, "node=flood") != NULL;
    n->more |= strstr(text, "skipped=more") != NULL;
}

static void junk_does_not_flood_the_log(void **state) {
    (void)state;
    struct stage *s = stage_create();
    struct naming n = {0};
    int64_t session = fake_zk_stranger(s->zk);
    for (int i = 0; i < 1000; i++) {
        auto_free char *path = xasprintf(ROOT "/pods/flood%d.", i);
        fake_zk_put(s->zk, session, path, "junk", ZK_EPHEMERAL | ZK_SEQUENCE);
    }
    fake_pods_add(s->pods, "a");
    log_set_level(LOG_LEVEL_WARN);
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, is_whole(s, seat) && status_has(seat, "and 997 more"), 500);
    log_each(on_line, &n);
    assert_in_range(n.named, 1, 20);
    assert_true(n.more);
    stage_free(s);
}

// ---- an access list that changes under a leader's hands ----

// Each of the nodes that a leader writes, refused in the middle of its work: it is said which one,
// by the status and at most once a minute by the log, the leader stays one, and nobody is touched
// before what is written first stands written. Afterwards the round is completed.
static void a_node_that_may_not_be_written_is_named_and_no_storm(void **state) {
    static const struct {
        const char *path;
        bool touches; // refused only when the round is written down
    } barred[] = {{ROOT "/leader", false},
                  {ROOT "/proposal", false},
                  {ROOT "/members", false},
                  {ROOT "/snapshot", true},
                  {ROOT "/hash", true}};
    (void)state;
    for (size_t i = 0; i < sizeof barred / sizeof *barred; i++) {
        struct stage *s = stage_create();
        fake_pods_add(s->pods, "a");
        struct fake_pod *b = fake_pods_add(s->pods, "b");
        struct seat *seat = stage_lead(s);
        RUN_UNTIL(s, settled(seat) && generation(s) == 1, 300);
        int touched = b->asked[FAKE_ON] + b->asked[FAKE_OFF], asked = fake_pods_asked(s->pods);
        fake_zk_bar(s->zk, barred[i].path);
        fake_pod_leave(s->pods->all[0]);
        RUN_UNTIL(s, strstr(leader_status(seat->leader), barred[i].path), 5000);
        assert_non_null(strstr(leader_status(seat->leader), "access list"));
        run(s, 3600 * 1000);
        assert_int_equal(seat->deposed, 0);
        assert_non_null(strstr(leader_status(seat->leader), barred[i].path));
        assert_int_equal(generation(s), 1);
        assert_int_equal(b->asked[FAKE_ON] + b->asked[FAKE_OFF] > touched, barred[i].touches);
        assert_in_range(fake_pods_asked(s->pods) - asked, 0, 2 * 90); // one to two a try
        fake_zk_bar(s->zk, NULL);
        RUN_UNTIL(s, settled(seat) && generation(s) == 2, 120 * 1000);
        assert_null(strstr(leader_status(seat->leader), "access list"));
        stage_free(s);
    }
}

static int64_t put_ballast(struct stage *s, const char *ballast, int many) {
    int64_t session = fake_zk_stranger(s->zk);
    for (int i = 0; i < many; i++) {
        auto_free char *path = xasprintf(ROOT "/pods/%036d.%010d", i, 1000 + i);
        auto_free char *data = xasprintf(
            "{\"ip\":\"10.1.0.1\",\"port\":\"8080\",\"ports\":{\"8080\":9},\"x\":%s}", ballast);
        fake_zk_put(s->zk, session, path, data, ZK_EPHEMERAL);
    }
    return session;
}

// Each of them could be a pod's: 64 KiB at most, as many as somebody likes to write.
static void records_without_end_are_not_all_kept(void **state) {
    (void)state;
    enum { MANY = 600, SIZE = 60 * 1024 };
    struct stage *s = stage_create();
    auto_free char *ballast = xcalloc(1, SIZE + 3);
    memset(ballast, 'x', SIZE + 2);
    ballast[0] = ballast[SIZE + 1] = '"';
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, settled(seat) && generation(s) == 1, 300);
    int64_t session = put_ballast(s, ballast, MANY);
    RUN_UNTIL(s, strstr(leader_status(seat->leader), "more than 32 MiB"), 5000);
    assert_int_equal(seat->deposed, 0);
    fake_zk_stranger_gone(s->zk, session);
    run(s, 200 * 1000);
    assert_true(settled(seat));
    assert_null(strstr(leader_status(seat->leader), "more than"));
    stage_free(s);
}

// Three bytes of text are an object of 224 on the heap: 40 such records are 190 MB.
static void records_that_are_small_as_text_alone_are_not_all_kept(void **state) {
    (void)state;
    enum { MANY = 40, OBJECTS = 20000 };
    struct stage *s = stage_create();
    auto_text struct text ballast = {0};
    for (int i = 0; i < OBJECTS; i++)
        text_add(&ballast, i ? ",{}" : "[{}");
    text_add(&ballast, "]");
    fake_pods_add(s->pods, "a");
    struct seat *seat = stage_lead(s);
    RUN_UNTIL(s, settled(seat) && generation(s) == 1, 300);
    size_t before = heap_used();
    int64_t session = put_ballast(s, ballast.s, MANY);
    run(s, 500);
    assert_in_range(heap_used() - before, 0, 96 << 20);
    RUN_UNTIL(s, status_has(seat, "more than 32 MiB"), 5000);
    assert_int_equal(seat->deposed, 0);
    fake_zk_stranger_gone(s->zk, session);
    run(s, 200 * 1000);
    assert_true(settled(seat));
    assert_false(status_has(seat, "more than"));
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_may_not_be_written_is_named_and_no_storm),
        cmocka_unit_test(records_without_end_are_not_all_kept),
        cmocka_unit_test(records_that_are_small_as_text_alone_are_not_all_kept),
        cmocka_unit_test(ten_thousand_nodes_of_junk_depose_nobody),
        cmocka_unit_test(a_pod_on_loopback_is_asked_from_loopback_alone),
        cmocka_unit_test(an_epoch_from_the_future_deposes_nobody),
        cmocka_unit_test(the_dead_that_a_hand_wrote_do_not_fill_the_node),
        cmocka_unit_test(junk_does_not_flood_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

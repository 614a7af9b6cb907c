#include "sidecar/control/gate.h"
#include "tests/unit/sidecar/control/token_file.h"
#include <math.h>
#include <time.h>

// Every way to the control port, signed by every role and by nobody, right and wrong in every way:
// what is let in, what is not and with which status, and that nothing of what is not reaches the
// pod.

static int setup_gate(void **state) {
    int rc = setup_token(state);
    it.cluster = json_pack("{s:s, s:{}, s:{}}", "tree", "t", "pods", "snapshot");
    return rc;
}

// ---- a request ----

enum { NOBODY = AUTH_ROLES };

struct sent { // what goes over the wire
    const char *method, *target, *body, *pod, *epoch, *round, *budget, *shell, *type;
    char time[32], nonce[64], signature[AUTH_SIGNATURE_LEN + 8];
    const char *twice; // a header that stands there once more
};

static int nonces;

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void set_time(struct sent *s, double at) {
    snprintf(s->time, sizeof s->time, "%.3f", at);
}

static void sign_as(struct sent *s, const char *token, const char *cluster, int role) {
    struct auth_key key;
    char hash[AUTH_HASH_LEN + 1], phase[32];
    size_t len;
    const char *word = auth_phase_of(s->target, &len);
    snprintf(phase, sizeof phase, "%.*s", (int)len, word);
    auth_hash_of(s->body ? s->body : "", s->body ? strlen(s->body) : 0, hash);
    auth_derive(token, (enum auth_role)role, cluster, &key);
    auth_sign(&key,
              &(struct auth_text){s->method, s->target, hash, s->pod, s->epoch, s->round, phase,
                                  s->time, s->nonce, s->budget, s->shell, s->type},
              s->signature);
}

static void fresh(struct sent *s) {
    set_time(s, now_s() + 0.001);
    snprintf(s->nonce, sizeof s->nonce, "0123456789abcdef%08d", nonces++);
}

static void add_header(struct text *t, const char *name, const char *value, const char *twice) {
    for (int i = 0; value && *value && i < (text_same(name, twice) ? 2 : 1); i++)
        text_addf(t, "\r\n%s: %s", name, value);
}

static struct reply send_it(const struct sent *s) {
    auto_text struct text t = {0};
    text_addf(&t, "%s %s", s->method, s->target);
    add_header(&t, "X-Ochopod-Target", s->pod, s->twice);
    add_header(&t, "X-Ochopod-Epoch", s->epoch, s->twice);
    add_header(&t, "X-Ochopod-Round", s->round, s->twice);
    add_header(&t, "X-Ochopod-Time", s->time, s->twice);
    add_header(&t, "X-Ochopod-Nonce", s->nonce, s->twice);
    add_header(&t, "X-Ochopod-Budget-Ms", s->budget, s->twice);
    add_header(&t, "X-Shell", s->shell, s->twice);
    add_header(&t, "Content-Type", s->type, s->twice);
    add_header(&t, "X-Signature", s->signature, s->twice);
    if (strcmp(s->method, "GET") == 0)
        return ask(t.s);
    return ask_body(t.s, s->body ? s->body : "", s->body ? strlen(s->body) : 0);
}

static bool answer_is_signed(const struct sent *s, const struct reply *r, int role) {
    struct auth_key key;
    char hash[AUTH_HASH_LEN + 1], said[AUTH_SIGNATURE_LEN + 1] = "";
    const char *header = strstr(r->head, "\r\nX-Signature: ");
    if (!header || role == NOBODY)
        return false;
    snprintf(said, sizeof said, "%s", header + 15);
    auth_hash_of(r->body, strlen(r->body), hash);
    auth_derive(TOKEN, (enum auth_role)role, CLUSTER, &key);
    return auth_reply_matches(&key, &(struct auth_reply_text){r->status, hash, POD, s->nonce},
                              said);
}

// ---- the matrix ----

enum may { MAY_READ = 1, MAY_STEER = 2, MAY_LEAD = 4, MAY_ALL = 8 };

struct way {
    const char *method, *target, *body, *epoch, *shell;
    unsigned may;
    bool pod; // the pod is asked
};

#define LEADER "{\"pods\":{}}", "tree-1/4294967298", NULL, MAY_LEAD, true
static const struct way ways[] = {
    {"GET", "/info", NULL, NULL, NULL, MAY_READ | MAY_STEER, false},
    {"POST", "/info", "", NULL, NULL, MAY_READ | MAY_STEER, false},
    {"GET", "/log?format=text", NULL, NULL, NULL, MAY_READ | MAY_STEER, false},
    {"POST", "/log", "ignored", NULL, NULL, MAY_READ | MAY_STEER, false},
    {"GET", "/cluster", NULL, NULL, NULL, MAY_READ | MAY_STEER, false},
    {"GET", "/wait?for=running&timeout=1", NULL, NULL, NULL, MAY_READ | MAY_STEER, false},
    {"GET", "/metrics", NULL, NULL, NULL, MAY_READ | MAY_STEER, false},
    {"POST", "/reset", "", NULL, NULL, MAY_STEER, false},
    {"POST", "/exec", "", NULL, "backup --all", MAY_STEER, true},
    {"POST", "/control/check", "", NULL, NULL, MAY_STEER, true},
    {"POST", "/control/on/30", "", NULL, NULL, MAY_STEER, true},
    {"POST", "/control/off", "", NULL, NULL, MAY_STEER, true},
    {"POST", "/control/ok", "", NULL, NULL, MAY_STEER, true},
    {"POST", "/control/kill/5", "", NULL, NULL, MAY_STEER, true},
    {"POST", "/control/signal", "{\"a\": 1}", NULL, NULL, MAY_STEER, true},
    {"POST", "/control/check/60", LEADER},
    {"POST", "/control/off/60", LEADER},
    {"POST", "/control/on/60", LEADER},
    {"POST", "/control/ok/60", LEADER},
    {"POST", "/control/on", "{\"pods\":{}}", NULL, NULL, 0, true}, // an original leader's
    {"GET", "/livez", NULL, NULL, NULL, MAY_ALL, false},
    {"GET", "/readyz", NULL, NULL, NULL, MAY_ALL, false},
    {"GET", "/nonce", NULL, NULL, NULL, MAY_ALL, false},
};

static bool allowed(const struct way *way, int role) {
    static const unsigned bits[] = {
        [AUTH_READ] = MAY_READ, [AUTH_OPERATOR] = MAY_STEER, [AUTH_PEER] = MAY_LEAD};
    return way->may == MAY_ALL || (role != NOBODY && (way->may & bits[role]));
}

static struct sent good(const struct way *way, int role) {
    struct sent s = {.method = way->method,
                     .target = way->target,
                     .body = way->body,
                     .pod = POD,
                     .epoch = way->epoch,
                     .round = way->epoch ? "7" : NULL,
                     .budget = "30000",
                     .shell = way->shell,
                     .type = way->body && *way->body ? "application/json" : NULL};
    fresh(&s);
    if (role != NOBODY)
        sign_as(&s, TOKEN, CLUSTER, role);
    return s;
}

// Each spoils a good request, and answers the status that it must get; 0: it cannot be spoilt so.
static int unsigned_(struct sent *s, int role) {
    (void)role;
    *s->signature = '\0';
    return 401;
}
static int other_token(struct sent *s, int role) {
    sign_as(s, OTHER, CLUSTER, role);
    return 401;
}
static int other_cluster(struct sent *s, int role) {
    sign_as(s, TOKEN, "marathon.kafka", role);
    return 401;
}
static int truncated(struct sent *s, int role) {
    (void)role;
    s->signature[AUTH_SIGNATURE_LEN - 1] = '\0';
    return 401;
}
static int longer(struct sent *s, int role) {
    (void)role;
    strcat(s->signature, "0");
    return 401;
}
static int one_bit(struct sent *s, int role) {
    (void)role;
    s->signature[40] = (char)(s->signature[40] == '0' ? '1' : '0');
    return 401;
}
static int upper_case(struct sent *s, int role) {
    (void)role;
    memcpy(s->signature, "V2=", 3);
    return 401;
}
static int old_kind(struct sent *s, int role) {
    (void)role;
    strcpy(s->signature, "sha1=0123456789012345678901234567890123456789");
    return 401;
}
static int body_changed(struct sent *s, int role) {
    (void)role;
    if (!s->body)
        return 0;
    s->body = *s->body ? "{\"pods\":[]}" : "x";
    return 401;
}
static int body_gone(struct sent *s, int role) {
    (void)role;
    if (!s->body || !*s->body)
        return 0;
    s->body = "";
    return 401;
}
static int query_changed(struct sent *s, int role) {
    (void)role;
    static char target[64];
    snprintf(target, sizeof target, "%s%cx=1", s->target, strchr(s->target, '?') ? '&' : '?');
    s->target = target;
    return 401;
}
static int pod_changed(struct sent *s, int role) {
    (void)role;
    s->pod = "uuid-two";
    return 401;
}
static int pod_left_out(struct sent *s, int role) {
    (void)role;
    s->pod = NULL;
    return 401;
}
static int other_pod(struct sent *s, int role) {
    s->pod = "uuid-two";
    sign_as(s, TOKEN, CLUSTER, role);
    return 421;
}
static int stale(struct sent *s, int role) {
    set_time(s, now_s() - 301);
    sign_as(s, TOKEN, CLUSTER, role);
    return role == AUTH_PEER ? 200 : 401;
}
static int early(struct sent *s, int role) {
    set_time(s, now_s() + 310);
    sign_as(s, TOKEN, CLUSTER, role);
    return role == AUTH_PEER ? 200 : 401;
}
static int timeless(struct sent *s, int role) {
    *s->time = '\0';
    sign_as(s, TOKEN, CLUSTER, role);
    return role == AUTH_PEER ? 200 : 401;
}
static int time_changed(struct sent *s, int role) {
    (void)role;
    set_time(s, now_s() - 1);
    return 401;
}
static int nonce_changed(struct sent *s, int role) {
    (void)role;
    s->nonce[3] = 'x';
    return 401;
}
static int nonce_short(struct sent *s, int role) {
    s->nonce[15] = '\0';
    sign_as(s, TOKEN, CLUSTER, role);
    return 401;
}
static int nonce_gone(struct sent *s, int role) {
    *s->nonce = '\0';
    sign_as(s, TOKEN, CLUSTER, role);
    return 401;
}
static int budget_changed(struct sent *s, int role) {
    (void)role;
    s->budget = "86400000";
    return 401;
}
static int epoch_changed(struct sent *s, int role) {
    (void)role;
    if (!s->epoch)
        return 0;
    s->epoch = "tree-1/4294967299";
    return 401;
}
static int round_changed(struct sent *s, int role) {
    (void)role;
    if (!s->round)
        return 0;
    s->round = "8";
    return 401;
}
static int shell_changed(struct sent *s, int role) {
    (void)role;
    s->shell = "backup --none";
    return 401;
}
static int type_changed(struct sent *s, int role) {
    (void)role;
    s->type = "multipart/form-data; boundary=x";
    return 401;
}
static int twice_signature(struct sent *s, int role) {
    (void)role;
    s->twice = "X-Signature";
    return 400;
}
static int twice_pod(struct sent *s, int role) {
    (void)role;
    s->twice = "X-Ochopod-Target";
    return 400;
}
static int twice_nonce(struct sent *s, int role) {
    (void)role;
    s->twice = "X-Ochopod-Nonce";
    return 400;
}
static int twice_epoch(struct sent *s, int role) {
    (void)role;
    s->twice = "X-Ochopod-Epoch";
    return s->epoch ? 400 : 0;
}

static const struct spoil {
    const char *name;
    int (*spoil)(struct sent *s, int role);
} spoils[] = {
    {"unsigned", unsigned_},
    {"another token", other_token},
    {"another cluster", other_cluster},
    {"truncated", truncated},
    {"longer", longer},
    {"one digit", one_bit},
    {"V2=", upper_case},
    {"sha1=", old_kind},
    {"body changed", body_changed},
    {"body gone", body_gone},
    {"query changed", query_changed},
    {"target changed", pod_changed},
    {"target left out", pod_left_out},
    {"another pod's", other_pod},
    {"stale", stale},
    {"from the future", early},
    {"without time", timeless},
    {"time changed", time_changed},
    {"nonce changed", nonce_changed},
    {"nonce short", nonce_short},
    {"nonce gone", nonce_gone},
    {"budget changed", budget_changed},
    {"epoch changed", epoch_changed},
    {"round changed", round_changed},
    {"shell changed", shell_changed},
    {"type changed", type_changed},
    {"signature twice", twice_signature},
    {"target twice", twice_pod},
    {"nonce twice", twice_nonce},
    {"epoch twice", twice_epoch},
};

static const char *role_name(int role) {
    return role == NOBODY ? "nobody" : auth_role_names[role];
}

static size_t cases;

// What was let in reached the pod where the pod is asked; what was not did not.
static void must(const struct way *way, int role, const char *how, const struct sent *s,
                 int status) {
    size_t seen = fake_pod_seen(it.pod);
    int resets = it.resets;
    struct reply r = send_it(s);
    bool in = fake_pod_seen(it.pod) > seen || it.resets > resets;
    bool asked = way->pod || strcmp(way->target, "/reset") == 0;
    cases++;
    if (r.status != status)
        fail_msg("%s %s by %s, %s: %d, not %d: %s", way->method, way->target, role_name(role), how,
                 r.status, status, r.body);
    if (in != (asked && status == 200))
        fail_msg("%s %s by %s, %s: %d, and the pod %s", way->method, way->target, role_name(role),
                 how, status, in ? "was asked" : "was not asked");
    bool believed = way->may != MAY_ALL && (status == 200 || status == 403 || status == 421);
    if (believed != answer_is_signed(s, &r, role) && status != 401)
        fail_msg("%s %s by %s, %s: an answer that is %ssigned", way->method, way->target,
                 role_name(role), how, believed ? "not " : "");
    if (status == 401 && !strstr(r.head, "WWW-Authenticate: Ochopod-v2 cluster=\"" CLUSTER "\""))
        fail_msg("%s %s by %s, %s: 401 does not say how", way->method, way->target, role_name(role),
                 how);
}

// A spoilt request whose role may not do this anyway is a refusal of either kind.
static int expected(const struct way *way, int role, int spoilt, const char *how) {
    if (way->may == MAY_ALL)
        return 200;
    bool before = spoilt == 400 ||
                  (spoilt == 401 && strcmp(how, "stale") != 0 &&
                   strcmp(how, "from the future") != 0 && strcmp(how, "without time") != 0);
    return before || allowed(way, role) ? spoilt : 403;
}

static void try_all(const struct way *way, int role) {
    struct sent s = good(way, role);
    int status = way->may == MAY_ALL || allowed(way, role) ? 200 : role == NOBODY ? 401 : 403;
    must(way, role, "as it is", &s, status);
    if (role != NOBODY && status == 200)
        must(way, role, "once more", &s, way->may == MAY_ALL || role == AUTH_PEER ? 200 : 401);
    for (size_t i = 0; role != NOBODY && i < sizeof spoils / sizeof *spoils; i++) {
        s = good(way, role);
        status = spoils[i].spoil(&s, role);
        if (status)
            must(way, role, spoils[i].name, &s, expected(way, role, status, spoils[i].name));
    }
}

static void nothing_gets_in_that_is_not_right(void **state) {
    (void)state;
    cases = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int role = 0; role <= NOBODY; role++)
            try_all(&ways[i], role);
    print_message("%zu cases\n", cases);
    assert_true(cases >= 1000);
}

// What is signed for one path is no key to another.
static void a_signature_is_good_for_one_path(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (size_t j = 0; j < sizeof ways / sizeof *ways; j++) {
            if (ways[j].may == MAY_ALL || i == j || strcmp(ways[i].target, ways[j].target) == 0)
                continue;
            struct sent s = good(&ways[i], AUTH_OPERATOR), other = good(&ways[j], AUTH_OPERATOR);
            memcpy(other.nonce, s.nonce, sizeof s.nonce);
            memcpy(other.time, s.time, sizeof s.time);
            memcpy(other.signature, s.signature, sizeof s.signature);
            must(&ways[j], AUTH_OPERATOR, ways[i].target, &other, 401);
        }
}

static void an_unsigned_body_is_not_read(void **state) {
    (void)state;
    struct client c;
    connect_client(&c);
    send_text(&c, "POST /control/on HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n");
    struct reply r = take_reply(&c);
    assert_int_equal(r.status, 401);
    drop_client(&c);
}

// ---- a nonce of the pod's ----

static struct sent with_own_nonce(void) {
    struct reply r = ask("GET /nonce");
    assert_int_equal(r.status, 200);
    auto_json json_t *j = json_loads(r.body, 0, NULL);
    struct sent s = good(&ways[11], AUTH_OPERATOR);
    *s.time = '\0';
    snprintf(s.nonce, sizeof s.nonce, "%s", json_text(j, "nonce"));
    sign_as(&s, TOKEN, CLUSTER, AUTH_OPERATOR);
    return s;
}

static void who_has_no_clock_gets_a_nonce(void **state) {
    (void)state;
    struct sent s = with_own_nonce(), other = with_own_nonce();
    assert_string_not_equal(s.nonce, other.nonce);
    must(&ways[11], AUTH_OPERATOR, "a nonce of its own", &s, 200);
    must(&ways[11], AUTH_OPERATOR, "used before", &s, 401);
    must(&ways[11], AUTH_OPERATOR, "another", &other, 200);
    s = with_own_nonce();
    s.nonce[19] = (char)(s.nonce[19] == '0' ? '1' : '0');
    sign_as(&s, TOKEN, CLUSTER, AUTH_OPERATOR);
    must(&ways[11], AUTH_OPERATOR, "made up", &s, 401);
    strcpy(s.nonce, "own.0123456789abcdef");
    sign_as(&s, TOKEN, CLUSTER, AUTH_OPERATOR);
    must(&ways[11], AUTH_OPERATOR, "half of one", &s, 401);
}

// Anybody may ask for them: those of the next hours must not be used up by that.
static void however_many_are_asked_for_none_is_of_the_future(void **state) {
    (void)state;
    struct gate *gate = gate_create(it.loop, it.auth, false);
    auto_free char *last = NULL;
    for (int i = 0; i < 10000; i++) {
        char *next = gate_nonce(gate);
        if (last)
            assert_string_not_equal(next, last);
        free(last);
        last = next;
    }
    char digits[17];
    snprintf(digits, sizeof digits, "%s", last + strlen("own."));
    assert_true((int64_t)strtoull(digits, NULL, 16) <= loop_now(it.loop));
    gate_free(gate);
}

static void what_was_signed_before_we_began_is_not_taken(void **state) {
    (void)state;
    struct sent s = good(&ways[11], AUTH_OPERATOR);
    set_time(&s, now_s() - 200); // within the window, and this worker is younger
    sign_as(&s, TOKEN, CLUSTER, AUTH_OPERATOR);
    must(&ways[11], AUTH_OPERATOR, "before us", &s, 401);
}

static void times_are_numbers(void **state) {
    (void)state;
    static const char *const bad[] = {
        "x",           "-1",  "1e9", "1700000000.", "1700000000.1234", ".5", "17000000000000",
        "1700000000 ", "0x10"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sent s = good(&ways[11], AUTH_OPERATOR);
        strcpy(s.time, bad[i]);
        sign_as(&s, TOKEN, CLUSTER, AUTH_OPERATOR);
        must(&ways[11], AUTH_OPERATOR, bad[i], &s, 401);
    }
    struct sent s = good(&ways[11], AUTH_OPERATOR);
    snprintf(s.time, sizeof s.time, "%.0f", ceil(now_s()) + 1);
    sign_as(&s, TOKEN, CLUSTER, AUTH_OPERATOR);
    must(&ways[11], AUTH_OPERATOR, "whole seconds", &s, 200);
}

// ---- another token ----

static bool is_heard(const char *token) {
    struct sent s = good(&ways[0], AUTH_READ);
    sign_as(&s, token, CLUSTER, AUTH_READ);
    return send_it(&s).status == 200;
}

static void a_token_is_changed_without_a_gap(void **state) {
    (void)state;
    assert_true(is_heard(TOKEN) && !is_heard(OTHER));
    write_token(TOKEN "\n" OTHER "\n");
    pump(is_heard(OTHER));
    assert_true(is_heard(TOKEN));
    write_token(OTHER "\n" TOKEN "\n");
    struct auth_key wanted;
    auth_derive(OTHER, AUTH_PEER, CLUSTER, &wanted);
    pump(memcmp(auth_key(it.auth, AUTH_PEER), &wanted, sizeof wanted) == 0);
    assert_true(is_heard(TOKEN) && is_heard(OTHER));
    write_token(OTHER "\n");
    pump(!is_heard(TOKEN));
    assert_true(is_heard(OTHER));
}

static void a_bad_token_file_leaves_the_keys(void **state) {
    (void)state;
    static const char *const bad[] = {"", "short\n", "\n\n", "0123456789abcdef\x01\n",
                                      TOKEN "\n" OTHER "\n" TOKEN "x\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct auth *auth = NULL;
        struct err err = ERR_INIT;
        write_token(bad[i]);
        assert_int_equal(auth_open(it.loop, &(struct auth_files){.token = token_file}, CLUSTER, POD,
                                   &auth, &err),
                         -1);
        assert_int_equal(err.kind, ERR_USER);
        assert_non_null(strstr(err.text, token_file));
        assert_null(strstr(err.text, "horse"));
    }
    int64_t until = loop_now(it.loop) + 2500; // it was looked at
    pump(loop_now(it.loop) > until);
    assert_true(is_heard(TOKEN));
}

int main(void) {
#define GATE_TEST(f) cmocka_unit_test_setup_teardown(f, setup_gate, teardown)
    const struct CMUnitTest tests[] = {
        GATE_TEST(nothing_gets_in_that_is_not_right),
        GATE_TEST(a_signature_is_good_for_one_path),
        GATE_TEST(an_unsigned_body_is_not_read),
        GATE_TEST(who_has_no_clock_gets_a_nonce),
        GATE_TEST(however_many_are_asked_for_none_is_of_the_future),
        GATE_TEST(what_was_signed_before_we_began_is_not_taken),
        GATE_TEST(times_are_numbers),
        GATE_TEST(a_token_is_changed_without_a_gap),
        GATE_TEST(a_bad_token_file_leaves_the_keys),
    };
    return cmocka_run_group_tests(tests, prepare_token, finish_token);
}

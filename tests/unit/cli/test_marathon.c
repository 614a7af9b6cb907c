// Marathon's client against servers that answer rightly and wrongly.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/marathon.h"
#include "tests/unit/cli/scripted.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct loop *loop;
static struct http *http;

static int begin(void **state) {
    (void)state;
    static const char *const names[] = {
        "MARATHON_MASTER",     "MARATHON_USER", "MARATHON_PASSWORD",     "MARATHON_TOKEN",
        "MARATHON_TOKEN_FILE", "MARATHON_CA",   "MARATHON_PASSWORD_FILE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    loop = loop_create();
    http = http_create(loop, 8, 0);
    return 0;
}

static int end(void **state) {
    (void)state;
    http_free(http);
    loop_free(loop);
    return 0;
}

static struct marathon *marathon_at(const char *masters) {
    struct marathon_where where;
    struct err err = ERR_INIT;
    setenv("MARATHON_MASTER", masters, 1);
    if (marathon_where_read(&where, &err))
        fail_msg("%s", err.text);
    return marathon_open(loop, http, &where);
}

static struct marathon *marathon_of(const struct scripted *s) {
    auto_free char *master = xasprintf("127.0.0.1:%d", s->port);
    return marathon_at(master);
}

static void is_about(const struct err *err, enum err_kind kind, const char *part) {
    if (err->kind != kind || !strstr(err->text, part))
        fail_msg("%s: \"%s\", want %s \"%s\"", err_kind_name(err->kind), err->text,
                 err_kind_name(kind), part);
    assert_null(strchr(err->text, '\n'));
}

// ---- where ----

static void an_address_is_what_it_says(void **state) {
    (void)state;
    static const struct {
        const char *said, *base;
    } table[] = {
        {"m1", "http://m1:8080"},
        {"m1:80", "http://m1:80"},
        {"[::1]", "http://[::1]:8080"},
        {"[::1]:80", "http://[::1]:80"},
        {"http://m1", "http://m1"},
        {"https://m1/service/marathon/", "https://m1/service/marathon"},
        {"https://m1/service/marathon/v2", "https://m1/service/marathon"},
        {"https://me:se@cret@m1:8443", "https://m1:8443"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct marathon_where where;
        struct err err = ERR_INIT;
        if (marathon_where_parse(table[i].said, &where, &err))
            fail_msg("%s: %s", table[i].said, err.text);
        assert_int_equal(where.n, 1);
        assert_string_equal(where.list[0].base, table[i].base);
        marathon_where_done(&where);
    }
}

static void a_wrong_address_is_told(void **state) {
    (void)state;
    static const struct {
        const char *said, *why;
    } table[] = {
        {"", "MARATHON_MASTER is not set"},
        {" , ", "MARATHON_MASTER is not set"},
        {"ftp://m1", "neither http nor https"},
        {"zk://m1:2181/marathon", "neither http nor https"},
        {"m1:0", "has a port that is none"},
        {"m1:eighty", "has a port that is none"},
        {"m1:", "has a port that is none"},
        {":80", "names no host"},
        {"http://", "names no host"},
        {"[::1", "names no host"},
        {"m1?x=1", "a character that no address has"},
        {"m1,m2#a", "a character that no address has"},
        {"user@m1", "a user without a password"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct marathon_where where;
        struct err err = ERR_INIT;
        assert_int_equal(marathon_where_parse(table[i].said, &where, &err), -1);
        is_about(&err, ERR_USER, table[i].why);
    }
}

static void a_password_is_not_told_with_it(void **state) {
    (void)state;
    static const char *const table[] = {
        "http://user:not/told@m1:8080",
        "user:p,not-told,@m1",
        "user:not-told://x@m1",
        "user:not told@m1",
        "not-told:@m1:x",
        "a:not-told\x01@m1",
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct marathon_where where;
        struct err err = ERR_INIT;
        assert_int_equal(marathon_where_parse(table[i], &where, &err), -1);
        is_about(&err, ERR_USER, "MARATHON_MASTER");
        if (strstr(err.text, "not") || strstr(err.text, "told"))
            fail_msg("%s: %s", table[i], err.text);
    }
}

static void a_location_is_seen_from_where_it_came(void **state) {
    (void)state;
    static const struct {
        const char *location, *url;
    } table[] = {
        {"http://b/c", "http://b/c"}, {"//b:1/c", "https://b:1/c"}, {"/c", "https://a:1/c"},
        {"c", "https://a:1/x/c"},     {"ftp://b/c", NULL},          {"javascript:x", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        auto_free char *url = marathon_resolve("https://a:1/x/y?z=/w", table[i].location);
        assert_true(text_same(url, table[i].url));
    }
    auto_free char *bare = marathon_resolve("http://a", "c");
    assert_string_equal(bare, "http://a/c");
}

// ---- credentials ----

static void fine(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)s;
    (void)n;
    (void)r;
    scripted_answer(fd, 200, "{\"apps\":[]}");
}

static void get_fine(struct marathon *m) {
    struct err err = ERR_INIT;
    json_t *j = marathon_get(m, "/v2/apps", &err);
    if (!j)
        fail_msg("%s", err.text);
    json_decref(j);
    marathon_close(m);
}

static void credentials_go_along(void **state) {
    (void)state;
    struct scripted *s = scripted_start(fine, NULL);
    auto_free char *own = xasprintf("http://me:p%%40ss:x@127.0.0.1:%d", s->port);
    get_fine(marathon_at(own));
    assert_non_null(strstr(s->heads[0], "\r\nAuthorization: Basic bWU6cEBzczp4\r\n"));
    setenv("MARATHON_USER", "me", 1);
    setenv("MARATHON_PASSWORD", "pass", 1);
    get_fine(marathon_of(s));
    assert_non_null(strstr(s->heads[1], "\r\nAuthorization: Basic bWU6cGFzcw==\r\n"));
    unsetenv("MARATHON_USER");
    unsetenv("MARATHON_PASSWORD");
    char path[] = "/tmp/test_marathon.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "to.ken\n", 7), 7);
    close(fd);
    setenv("MARATHON_TOKEN_FILE", path, 1);
    get_fine(marathon_of(s));
    unlink(path);
    assert_non_null(strstr(s->heads[2], "\r\nAuthorization: token=to.ken\r\n"));
    assert_non_null(strstr(s->heads[2], "\r\nAccept: application/json, text/html;q=0.1\r\n"));
    scripted_stop(s);
}

static void wrong_credentials_are_told(void **state) {
    (void)state;
    struct marathon_where where;
    struct err err = ERR_INIT;
    setenv("MARATHON_MASTER", "m1", 1);
    setenv("MARATHON_USER", "me", 1);
    assert_int_equal(marathon_where_read(&where, &err), -1);
    is_about(&err, ERR_USER, "belong together");
    setenv("MARATHON_PASSWORD", "a\nb", 1);
    assert_int_equal(marathon_where_read(&where, &err), -1);
    is_about(&err, ERR_USER, "MARATHON_PASSWORD must be one line");
    setenv("MARATHON_PASSWORD", "a", 1);
    setenv("MARATHON_TOKEN", "a", 1);
    assert_int_equal(marathon_where_read(&where, &err), -1);
    is_about(&err, ERR_USER, "exclude each other");
    unsetenv("MARATHON_TOKEN");
    setenv("MARATHON_TOKEN_FILE", "/nonexistent", 1);
    assert_int_equal(marathon_where_read(&where, &err), -1);
    is_about(&err, ERR_USER, "MARATHON_TOKEN_FILE: cannot read /nonexistent");
}

// ---- masters that are away, redirects ----

static void another_is_asked_when_one_is_away(void **state) {
    (void)state;
    struct scripted *s = scripted_start(fine, NULL);
    auto_free char *masters = xasprintf("127.0.0.1:1,localhost.invalid:80,127.0.0.1:%d", s->port);
    struct marathon *m = marathon_at(masters);
    struct err err = ERR_INIT;
    auto_json json_t *said = marathon_change(m, "POST", "/v2/apps", NULL, NULL, &err);
    if (!said)
        fail_msg("%s", err.text);
    assert_int_equal(s->n, 1);
    get_fine(m); // and stays with it
    assert_int_equal(s->n, 2);
    scripted_stop(s);
}

static void all_away_is_one_line(void **state) {
    (void)state;
    struct marathon *m = marathon_at("127.0.0.1:1,127.0.0.1:2");
    struct err err = ERR_INIT;
    assert_null(marathon_get(m, "/v2/apps", &err));
    is_about(&err, ERR_RETRY, "none of 2 Marathons answers; the last: GET http://127.0.0.1:2/v2");
    marathon_close(m);
}

static void to_itself(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)r;
    auto_free char *url = xasprintf("http://127.0.0.1:%d/%s", s->port, n % 2 ? "v2/apps" : "other");
    scripted_redirect(fd, url);
}

static void for_ever(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)s;
    (void)r;
    auto_free char *url = xasprintf("/%d", n);
    scripted_redirect(fd, url);
}

static void to_nowhere(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)s;
    (void)n;
    (void)r;
    server_say(fd, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
}

static void redirects_end(void **state) {
    (void)state;
    static const struct {
        scripted_fn *fn;
        const char *why;
        int requests;
    } table[] = {{to_itself, "redirects in a circle", 2},
                 {for_ever, "redirects more than 5 times", 6},
                 {to_nowhere, "redirects to nowhere", 1}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct scripted *s = scripted_start(table[i].fn, NULL);
        struct marathon *m = marathon_of(s);
        struct err err = ERR_INIT;
        assert_null(marathon_get(m, "/v2/apps", &err));
        is_about(&err, ERR_RETRY, table[i].why);
        assert_int_equal(s->n, table[i].requests);
        marathon_close(m);
        scripted_stop(s);
    }
}

static void to_other(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)n;
    (void)r;
    auto_free char *url = xasprintf("http://127.0.0.1:%d/v2/apps", *(int *)s->arg);
    scripted_redirect(fd, url);
}

static void a_redirect_keeps_the_request_and_leaves_credentials(void **state) {
    (void)state;
    struct scripted *there = scripted_start(fine, NULL);
    struct scripted *here = scripted_start(to_other, &there->port);
    setenv("MARATHON_TOKEN", "secret", 1);
    struct marathon *m = marathon_of(here);
    struct err err = ERR_INIT;
    auto_json json_t *body = json_pack("{s:i}", "a", 1);
    auto_json json_t *said = marathon_change(m, "POST", "/v2/apps", body, NULL, &err);
    assert_non_null(said);
    assert_non_null(strstr(here->heads[0], "token=secret"));
    assert_null(strstr(there->heads[0], "secret"));
    assert_string_equal(there->lines[0], "POST /v2/apps HTTP/1.1");
    assert_string_equal(there->bodies[0], "{\"a\":1}");
    marathon_close(m);
    auto_free char *both = xasprintf("127.0.0.1:%d,127.0.0.1:%d", here->port, there->port);
    get_fine(marathon_at(both)); // one that was named gets them
    assert_non_null(strstr(there->heads[1], "token=secret"));
    scripted_stop(here);
    scripted_stop(there);
}

// ---- answers that are none ----

struct said {
    int status;
    const char *body;
};

static void say(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)n;
    (void)r;
    const struct said *said = s->arg;
    scripted_answer(fd, said->status, said->body);
}

static void fails(int status, const char *body, enum err_kind kind, const char *why,
                  const char *details) {
    struct said said = {status, body};
    struct scripted *s = scripted_start(say, &said);
    struct marathon *m = marathon_of(s);
    struct err err = ERR_INIT;
    assert_null(marathon_change(m, "PUT", "/v2/apps/x", NULL, NULL, &err));
    is_about(&err, kind, why);
    assert_string_equal(marathon_details(m), details);
    marathon_close(m);
    scripted_stop(s);
}

static void each_refusal_is_one_clear_line(void **state) {
    (void)state;
    fails(200, "<html>Hello</html>", ERR_RETRY, "answered 200 with HTML instead of JSON", "");
    fails(200, "pong", ERR_RETRY, "something else instead of JSON", "");
    fails(401, "", ERR_USER, "wants credentials (401): set MARATHON_USER", "");
    fails(401, "<html>", ERR_USER, "wants credentials", "");
    fails(403, "{\"message\":\"Max number (1) of running deployments is achieved\"}", ERR_REFUSED,
          "Max number (1)", "");
    fails(404, "{\"message\":\"App '/x' does not exist\"}", ERR_ABSENT, "does not exist", "");
    fails(404, "{\"message\":\"URI not found: v2/apps\"}", ERR_RETRY, "URI not found", "");
    fails(404, "<html>", ERR_RETRY, "answered 404 with HTML: no Marathon answers there", "");
    fails(409, "{\"message\":\"An app with id [/x] already exists.\"}", ERR_EXISTS,
          "already exists", "");
    fails(
        422,
        "{\"message\":\"Object is not valid\",\"details\":["
        "{\"path\":\"/upgradeStrategy/minimumHealthCapacity\",\"errors\":[\"is greater than 1\"]},"
        "{\"path\":\"/id\",\"errors\":[\"a\",\"b\"]},{\"path\":7},\"bare\",3]}",
        ERR_USER, "answered 422: Object is not valid",
        "  /upgradeStrategy/minimumHealthCapacity: is greater than 1\n  /id: a\n  /id: b\n"
        "  bare\n");
    fails(400, "{\"message\":\"Invalid JSON\",\"details\":\"Unexpected end-of-input\"}", ERR_USER,
          "answered 400: Invalid JSON", "  Unexpected end-of-input\n");
    fails(500, "{\"message\":\"URI not found\"}", ERR_RETRY, "answered 500: URI not found", "");
    fails(500, "{\"message\":\"a\\nb\"}", ERR_REFUSED, "answered 500: a b", "");
    fails(500, "{\"oops\":1}", ERR_REFUSED, "answered 500: no reason", "");
    fails(502, "", ERR_RETRY, "answered 502 with nothing", "");
    fails(503, "{\"message\":\"timed out\"}", ERR_RETRY, "timed out", "");
}

// Whoever believes them takes a deployment that goes on for one that is over.
static void what_is_no_list_of_deployments_is_not_believed(void **state) {
    (void)state;
    static const char *const bodies[] = {"", "{}", "{\"deployments\":[]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct said said = {200, bodies[i]};
        struct scripted *s = scripted_start(say, &said);
        struct marathon *m = marathon_of(s);
        struct err err = ERR_INIT;
        bool waited;
        const char *why = *bodies[i] ? "answered no list of deployments" : "with nothing instead";
        assert_int_equal(marathon_deploying(m, "d-1", &err), -1);
        is_about(&err, ERR_RETRY, why);
        err = (struct err)ERR_INIT;
        assert_int_equal(marathon_unlocked(m, "x", &waited, &err), -1);
        is_about(&err, ERR_RETRY, why);
        marathon_close(m);
        scripted_stop(s);
    }
}

static void an_empty_body_answers_a_change(void **state) {
    (void)state;
    struct said said = {200, ""};
    struct scripted *s = scripted_start(say, &said);
    struct marathon *m = marathon_of(s);
    struct err err = ERR_INIT;
    auto_json json_t *body = marathon_change(m, "DELETE", "/v2/apps/x", NULL, NULL, &err);
    assert_true(json_is_object(body));
    marathon_close(m);
    scripted_stop(s);
}

static void html(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)s;
    (void)n;
    (void)r;
    static char piece[65536];
    memset(piece, 'x', sizeof(piece));
    server_say(fd, "HTTP/1.1 200 OK\r\n\r\n\"");
    while (server_send(fd, piece, sizeof(piece)))
        ;
}

static void an_endless_answer_is_one_line(void **state) {
    (void)state;
    struct scripted *s = scripted_start(html, NULL);
    struct marathon *m = marathon_of(s);
    struct err err = ERR_INIT;
    assert_null(marathon_get(m, "/v2/apps/x", &err));
    is_about(&err, ERR_RETRY, "reply over 16777216 bytes");
    marathon_close(m);
    scripted_stop(s);
}

static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            "Content-Length: 30\r\n\r\n{\"app\":{\"id\":\"/x\",\"tasks\":[]}}";

static void cut_here(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)r;
    (void)s;
    server_send(fd, whole, (size_t)n);
}

// However little or much of an answer comes, it is one line or the answer, and nothing is believed
// that is not whole.
static void an_answer_cut_at_any_byte_is_told(void **state) {
    (void)state;
    struct scripted *s = scripted_start(cut_here, NULL);
    struct marathon *m = marathon_of(s);
    for (size_t i = 0; i < sizeof(whole) - 1; i++) {
        struct err err = ERR_INIT;
        json_t *app = marathon_app(m, "/x", &err);
        if (app)
            fail_msg("cut at %zu of %zu and believed", i, sizeof(whole) - 1);
        is_about(&err, ERR_RETRY, "Marathon");
    }
    struct err err = ERR_INIT;
    auto_json json_t *app = marathon_app(m, "/x", &err);
    if (!app)
        fail_msg("%s", err.text);
    assert_string_equal(json_text(app, "id"), "/x");
    marathon_close(m);
    scripted_stop(s);
}

static void cut(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)s;
    (void)n;
    (void)r;
    server_say(fd, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{");
}

static void a_change_is_never_asked_twice(void **state) {
    (void)state;
    struct scripted *a = scripted_start(cut, NULL), *b = scripted_start(fine, NULL);
    auto_free char *both = xasprintf("127.0.0.1:%d,127.0.0.1:%d", a->port, b->port);
    struct marathon *m = marathon_at(both);
    struct err err = ERR_INIT;
    assert_null(marathon_change(m, "POST", "/v2/apps", NULL, NULL, &err));
    is_about(&err, ERR_RETRY, "Marathon may or may not have done it");
    assert_int_equal(b->n, 0);
    json_t *j = marathon_get(m, "/v2/apps", &err); // a question may
    assert_non_null(j);
    json_decref(j);
    assert_int_equal(b->n, 1);
    marathon_close(m);
    scripted_stop(a);
    scripted_stop(b);
}

// ---- locked ----

#define LOCKED                                                                                     \
    "{\"message\":\"App is locked by one or more deployments. Override with the option "           \
    "'?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'.\","                         \
    "\"deployments\":[{\"id\":\"d-1\"}]}"

// Locked until the deployment was asked for twice.
static void locked(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)n;
    int *asked = s->arg;
    if (strstr(r->line, "/v2/deployments"))
        scripted_answer(fd, 200, (*asked)++ < 2 ? "[{\"id\":\"d-1\"},{\"id\":\"d-0\"}]" : "[]");
    else if (*asked < 2 && !strstr(r->line, "force=true"))
        scripted_answer(fd, 409, LOCKED);
    else
        scripted_answer(fd, 200, "{\"version\":\"v\",\"deploymentId\":\"d-2\"}");
}

static void on_line(const char *line, void *arg) {
    int *told = arg;
    if (line)
        assert_non_null(strstr(line, "locked by deployment d-1, waiting for it"));
    *told += line ? 1 : 10;
}

static void a_locked_app_is_waited_for(void **state) {
    (void)state;
    int asked = 0, told = 0;
    struct scripted *s = scripted_start(locked, &asked);
    struct marathon *m = marathon_of(s);
    struct err err = ERR_INIT;
    auto_free char *deployment = NULL;
    marathon_tell(m, on_line, &told);
    auto_json json_t *said = marathon_change(m, "PUT", "/v2/apps/x?a=b", NULL, &deployment, &err);
    if (!said)
        fail_msg("%s", err.text);
    assert_string_equal(deployment, "d-2");
    assert_int_equal(told, 11); // and that it is over
    assert_int_equal(asked, 3);
    asked = 0;
    marathon_force(m, true);
    auto_json json_t *forced = marathon_change(m, "PUT", "/v2/apps/x?a=b", NULL, NULL, &err);
    assert_non_null(forced);
    assert_int_equal(asked, 0);
    assert_string_equal(s->lines[s->n - 1], "PUT /v2/apps/x?a=b&force=true HTTP/1.1");
    marathon_close(m);
    scripted_stop(s);
}

static void locked_for_ever(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)s;
    (void)n;
    bool lists = strstr(r->line, "/v2/deployments");
    scripted_answer(fd, lists ? 200 : 409, lists ? "[{\"id\":\"d-1\"}]" : LOCKED);
}

static void a_lock_that_stays_ends_at_the_deadline(void **state) {
    (void)state;
    struct scripted *s = scripted_start(locked_for_ever, NULL);
    struct marathon *m = marathon_of(s);
    struct err err = ERR_INIT;
    marathon_until(m, loop_now(loop) + 1000);
    assert_null(marathon_change(m, "PUT", "/v2/apps/x", NULL, NULL, &err));
    assert_null(strstr(err.text, "--force"));
    err = (struct err)ERR_INIT;
    marathon_force(m, false);
    marathon_until(m, loop_now(loop) + 3000);
    assert_null(marathon_change(m, "PUT", "/v2/apps/x", NULL, NULL, &err));
    is_about(&err, ERR_TIMEOUT, "locked by deployment d-1, which does not end; --force overrides");
    marathon_close(m);
    scripted_stop(s);
}

// Each second answer of its deployments is none, until the lock is gone.
static void locked_and_away(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)n;
    int *asked = s->arg;
    if (!strstr(r->line, "/v2/deployments"))
        scripted_answer(fd, *asked < 4 ? 409 : 200, *asked < 4 ? LOCKED : "{}");
    else if (++*asked % 2)
        scripted_answer(fd, 502, "");
    else
        scripted_answer(fd, 200,
                        *asked < 4 ? "[{\"id\":\"d-1\",\"affectedApps\":[\"/x\"]}]" : "[]");
}

static void whoever_waits_for_a_lock_waits_for_a_leader(void **state) {
    (void)state;
    int asked = 0;
    bool waited = false;
    struct scripted *s = scripted_start(locked_and_away, &asked);
    struct marathon *m = marathon_of(s);
    struct err err = ERR_INIT;
    marathon_until(m, loop_now(loop) + 30000);
    auto_json json_t *said = marathon_change(m, "PUT", "/v2/apps/x", NULL, NULL, &err);
    if (!said)
        fail_msg("%s", err.text);
    asked = 0;
    if (marathon_unlocked(m, "x", &waited, &err))
        fail_msg("%s", err.text);
    assert_true(waited);
    assert_int_equal(asked, 6);
    marathon_close(m);
    scripted_stop(s);
}

#define TORN      "Failed to successfully establish a connection to the leader."
#define REFUSED   "Connection to leader refused."
#define NO_LEADER "Could not determine the current leader"
#define LOOP      "Detected proxying loop."

struct shy {
    const char *method;
    int times, status;
    const char *body; // HTML only for who wants that as well, as Jetty has it
};

static void is_shy(struct scripted *s, int n, const struct server_request *r, int fd) {
    const struct shy *shy = s->arg;
    bool heard = *shy->body != '<' || strstr(r->head, "text/html");
    bool now = n < shy->times;
    scripted_answer(fd, now ? shy->status : 200, !now ? "{}" : heard ? shy->body : "");
}

// Who has killed pods asks again for what was not taken, or does no harm when it is repeated.
static void who_insists_asks_again_for_what_was_not_taken(void **state) {
    (void)state;
    static const struct {
        struct shy shy;
        int asked;
    } table[] = {{{"PUT", 2, 502, ""}, 3},
                 {{"PUT", 2, 503, "<html>no leader"}, 3},
                 {{"PUT", 2, 503, "{\"message\":\"timed out\"}"}, 1},
                 {{"PUT", 2, 504, ""}, 1},
                 {{"PUT", 2, 422, "{\"message\":\"no\"}"}, 1},
                 {{"PUT", 2, 502, "<html>" TORN}, 3},
                 {{"DELETE", 2, 502, ""}, 3},
                 {{"POST", 2, 502, ""}, 1},
                 {{"POST", 2, 502, "<html>Bad Gateway"}, 1},
                 {{"POST", 2, 502, "<html>" TORN}, 1},
                 {{"POST", 2, 502, "<html>" REFUSED}, 3},
                 {{"POST", 2, 502, "<html>" NO_LEADER}, 3},
                 {{"POST", 2, 502, "<html>" LOOP}, 3},
                 {{"POST", 2, 502, "{\"message\":\"" REFUSED "\"}"}, 3},
                 {{"POST", 2, 503, "<html>" NO_LEADER}, 3}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct shy shy = table[i].shy;
        struct scripted *s = scripted_start(is_shy, &shy);
        struct marathon *m = marathon_of(s);
        struct err err = ERR_INIT;
        marathon_until(m, loop_now(loop) + 30000);
        marathon_insist(m);
        json_t *said = marathon_change(m, shy.method, "/v2/apps/x", NULL, NULL, &err);
        if ((said != NULL) != (table[i].asked > 1) || s->n != table[i].asked)
            fail_msg("%s %d %s: asked %d times, want %d: %s", shy.method, shy.status, shy.body,
                     s->n, table[i].asked, err.text);
        json_decref(said);
        marathon_close(m);
        scripted_stop(s);
    }
}

// The first may have handed it to the leader that the second would ask.
static void a_post_that_may_be_taken_is_not_asked_of_another(void **state) {
    (void)state;
    static const struct {
        const char *method, *body;
        int others;
    } table[] = {
        {"POST", "<html>" TORN, 0}, {"POST", "<html>" REFUSED, 1}, {"PUT", "<html>" TORN, 1}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct shy shy = {table[i].method, 1, 502, table[i].body};
        struct scripted *a = scripted_start(is_shy, &shy), *b = scripted_start(fine, NULL);
        auto_free char *both = xasprintf("127.0.0.1:%d,127.0.0.1:%d", a->port, b->port);
        struct marathon *m = marathon_at(both);
        struct err err = ERR_INIT;
        json_t *said = marathon_change(m, shy.method, "/v2/apps", NULL, NULL, &err);
        if (b->n != table[i].others)
            fail_msg("%s %s: asked of %d others", shy.method, shy.body, b->n);
        if (!said)
            is_about(&err, ERR_RETRY, "answered 502");
        json_decref(said);
        marathon_close(m);
        scripted_stop(a);
        scripted_stop(b);
    }
}

static void hang(struct scripted *s, int n, const struct server_request *r, int fd) {
    (void)s;
    (void)n;
    (void)r;
    char c;
    while (recv(fd, &c, 1, 0) > 0) // until the client gives up
        ;
}

static void one_that_hangs_ends_at_the_deadline(void **state) {
    (void)state;
    struct scripted *s = scripted_start(hang, NULL);
    struct marathon *m = marathon_of(s);
    struct err err = ERR_INIT;
    marathon_until(m, loop_now(loop) + 200);
    assert_null(marathon_get(m, "/v2/apps", &err));
    is_about(&err, ERR_TIMEOUT, "no complete reply within");
    marathon_close(m);
    scripted_stop(s);
}

static struct marathon *marathon_of_both(const struct scripted *a, const struct scripted *b) {
    auto_free char *both = xasprintf("127.0.0.1:%d,127.0.0.1:%d", a->port, b->port);
    return marathon_at(both);
}

static void another_is_asked_when_one_hangs(void **state) {
    (void)state;
    struct scripted *a = scripted_start(hang, NULL), *b = scripted_start(fine, NULL);
    struct marathon *m = marathon_of_both(a, b);
    struct err err = ERR_INIT;
    marathon_until(m, loop_now(loop) + 6000);
    auto_json json_t *said = marathon_get(m, "/v2/apps", &err);
    if (!said)
        fail_msg("%s", err.text);
    assert_int_equal(a->n, 1);
    marathon_until(m, -1);
    get_fine(m); // and it has done with the first
    assert_int_equal(a->n, 1);
    assert_int_equal(b->n, 2);
    scripted_stop(a);
    scripted_stop(b);
}

static void a_change_that_hangs_is_not_asked_of_another(void **state) {
    (void)state;
    struct scripted *a = scripted_start(hang, NULL), *b = scripted_start(fine, NULL);
    struct marathon *m = marathon_of_both(a, b);
    struct err err = ERR_INIT;
    marathon_until(m, loop_now(loop) + 1000);
    assert_null(marathon_change(m, "PUT", "/v2/apps/x", NULL, NULL, &err));
    is_about(&err, ERR_TIMEOUT, "Marathon may or may not have done it");
    assert_int_equal(a->n, 1);
    assert_int_equal(b->n, 0);
    marathon_until(m, -1);
    get_fine(m);
    assert_int_equal(a->n, 1);
    scripted_stop(a);
    scripted_stop(b);
}

static void a_failure_is_one_line(void **state) {
    (void)state;
    auto_json json_t *app = json_pack("{s:{s:s, s:s, s:s}}", "lastTaskFailure", "state",
                                      "TASK_FAILED", "message", "exit\n1", "host", "h1");
    auto_free char *why = marathon_failure(app);
    assert_string_equal(why, "last task: TASK_FAILED on h1: exit 1");
    auto_json json_t *none = json_object();
    assert_null(marathon_failure(none));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
// The one that was started in between may be the next to end.
static void what_ran_twice_runs(void **state) {
    (void)state;
    auto_json json_t *before = json_loads("{\"tasks\":[{\"id\":\"a\",\"state\":\"TASK_RUNNING\"},"
                                          "{\"id\":\"b\",\"state\":\"TASK_STAGING\"},"
                                          "{\"id\":\"c\",\"state\":\"TASK_RUNNING\"}]}",
                                          0, NULL);
    auto_json json_t *now = json_loads("{\"tasks\":[{\"id\":\"a\",\"state\":\"TASK_RUNNING\"},"
                                       "{\"id\":\"b\",\"state\":\"TASK_RUNNING\"},"
                                       "{\"id\":\"d\",\"state\":\"TASK_RUNNING\"}]}",
                                       0, NULL);
    assert_int_equal(marathon_steady(before, before), 2);
    assert_int_equal(marathon_steady(before, now), 1);
    assert_int_equal(marathon_steady(NULL, now), 0);
    assert_int_equal(marathon_steady(before, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_address_is_what_it_says),
        TEST(a_wrong_address_is_told),
        TEST(a_password_is_not_told_with_it),
        TEST(a_location_is_seen_from_where_it_came),
        TEST(credentials_go_along),
        TEST(wrong_credentials_are_told),
        TEST(another_is_asked_when_one_is_away),
        TEST(all_away_is_one_line),
        TEST(redirects_end),
        TEST(a_redirect_keeps_the_request_and_leaves_credentials),
        TEST(each_refusal_is_one_clear_line),
        TEST(what_is_no_list_of_deployments_is_not_believed),
        TEST(an_empty_body_answers_a_change),
        TEST(an_endless_answer_is_one_line),
        TEST(an_answer_cut_at_any_byte_is_told),
        TEST(a_change_is_never_asked_twice),
        TEST(a_locked_app_is_waited_for),
        TEST(a_lock_that_stays_ends_at_the_deadline),
        TEST(whoever_waits_for_a_lock_waits_for_a_leader),
        TEST(who_insists_asks_again_for_what_was_not_taken),
        TEST(a_post_that_may_be_taken_is_not_asked_of_another),
        TEST(one_that_hangs_ends_at_the_deadline),
        TEST(another_is_asked_when_one_hangs),
        TEST(a_change_that_hangs_is_not_asked_of_another),
        TEST(a_failure_is_one_line),
        TEST(what_ran_twice_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

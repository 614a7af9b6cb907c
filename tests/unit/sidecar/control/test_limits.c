// How long a connection may take for what: nothing, a body, a reply. Each of these takes its full
// time, so all are waited for side by side, each beside one that does what is asked of it for as
// long as that. Of time only the lower bound is looked at: a busy machine closes later.
#include "tests/unit/sidecar/control/harness.h"

enum {
    IDLE_MS = 15000, // of server_inside.h: what docs/SECURITY.md promises
    TAKE_MS = 30000, // a body, a reply
    ALL_MS = 120000, // never later than this, on no machine
    PIECE = 20 * 1024,
    STEADY = 16,    // pieces, one a second: more than what is idle has
    ENDLESS = 1900, // KiB of a body that does not end in time: 95 s
    REPLY = 1 << 20,
    LINES = 25, // of the log, together less than one may be behind
    BITE = 2048,
    STAY = 3, // of the connections
};

struct guest {
    struct client c;
    int64_t closed; // when the server did; 0: it has not
};

static struct {
    int64_t start, acted; // when all began, and when those who act once a second last did
    struct guest silent, idle, typing, endless;
    struct client steady, untaken, slow, late, unread;
    struct client asking, sparse, taking; // they stay
    char *piece;
    int pieces;
    bool steady_done, late_done;
    int connections; // as the port says
} they;

static int64_t passed(void) {
    return loop_now(it.loop) - they.start;
}

static void look(struct guest *g) {
    receive(&g->c);
    if (g->c.eof && !g->closed)
        g->closed = loop_now(it.loop);
}

static void greet(struct client *c) {
    connect_client(c);
    send_text(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(take_reply(c).status, 200);
}

static void begin_body(struct client *c, int kib) {
    connect_client(c);
    auto_free char *head = xasprintf("POST /control/on HTTP/1.1\r\nHost: x\r\n"
                                     "Content-Length: %d\r\n\r\n",
                                     kib * 1024);
    send_text(c, head);
}

// A reply that is larger than what the kernel keeps on its way.
static void begin_reply(struct client *c, unsigned host, const json_t *answer) {
    connect_small(c, host);
    send_text(c, "POST /control/check HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    pump(fake_pod_asks(it.pod) == 1);
    fake_pod_answer(it.pod, answer, NULL);
}

static char *filler(size_t n) {
    char *s = xcalloc(n + 1, 1);
    memset(s, 'b', n);
    return s;
}

static void begin_all(void) {
    memset(&they, 0, sizeof(they));
    they.piece = filler(PIECE);
    auto_free char *much = filler(REPLY);
    auto_json json_t *answer = json_pack("{s:s}", "much", much);
    they.start = they.acted = loop_now(it.loop);
    connect_client(&they.silent.c);
    greet(&they.idle.c);
    greet(&they.typing.c);
    greet(&they.asking);
    begin_body(&they.endless.c, ENDLESS);
    begin_body(&they.steady, STEADY * PIECE / 1024);
    begin_reply(&they.untaken, 2, answer);
    begin_reply(&they.slow, 2, answer);
    begin_reply(&they.late, 3, answer);
    begin_small(&they.unread, 4, "/log?follow&format=text");
    begin_small(&they.taking, 5, "/log?follow&format=text");
    begin_small(&they.sparse, 6, "/log?follow&format=text");
    for (int i = 0; i < 20; i++)
        breathe();
    for (int i = 0; i < LINES; i++) {
        say_much();
        breathe();
    }
    log_keep("the last of many", 16);
}

static int told_connections(const char *metrics) {
    static const char name[] = "\nochopod_http_connections ";
    const char *at = strstr(metrics, name);
    assert_non_null(at);
    return atoi(at + sizeof(name) - 1);
}

static void bite(struct client *c) {
    char buf[BITE];
    ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
    assert_true(n >= 0 || errno == EAGAIN);
    c->eof |= n == 0;
    if (n > 0)
        text_addn(&c->got, buf, (size_t)n);
}

// What those who do something do once a second.
static void act(void) {
    send_text(&they.asking, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    struct reply r = take_reply(&they.asking);
    assert_int_equal(r.status, 200);
    they.connections = told_connections(r.body);
    bite(&they.slow);
    bite(&they.taking);
    assert_false(they.taking.eof);
    if (!they.typing.closed)
        send_text(&they.typing.c, "G");
    they.acted = loop_now(it.loop);
}

// As fast as bodies must come, and a little faster.
static void send_pieces(void) {
    for (; passed() >= they.pieces * 1000; they.pieces++) {
        if (they.pieces < STEADY)
            send_bytes(&they.steady, they.piece, PIECE);
        if (!they.endless.closed && they.pieces < ENDLESS * 1024 / PIECE)
            send_bytes(&they.endless.c, they.piece, PIECE);
    }
    if (they.steady_done || !fake_pod_asks(it.pod))
        return;
    fake_pod_answer(it.pod, NULL, NULL);
    assert_int_equal(take_reply(&they.steady).status, 200);
    drop_client(&they.steady);
    they.steady_done = true;
}

// It let its reply lie for longer than a head may take, and is given all of it.
static void take_late(void) {
    pump((receive(&they.late), reply_len(&they.late) || they.late.eof));
    assert_true(reply_len(&they.late) > REPLY);
    drop_client(&they.late);
    they.late_done = true;
}

static void turn(void) {
    breathe();
    look(&they.silent);
    look(&they.idle);
    look(&they.typing);
    look(&they.endless);
    receive(&they.sparse);
    if (loop_now(it.loop) - they.acted >= 1000)
        act();
    send_pieces();
    if (they.silent.closed && !they.late_done)
        take_late();
    // Who does not read sees no end: the port has counted them till then.
    if (they.connections && passed() < TAKE_MS)
        assert_true(they.connections >= STAY + 4);
    if (passed() > ALL_MS)
        fail_msg("never: %d connections; idle %d, typing %d, endless %d", they.connections,
                 they.idle.closed != 0, they.typing.closed != 0, they.endless.closed != 0);
}

static bool is_over(void) {
    return they.idle.closed && they.typing.closed && they.endless.closed && they.steady_done &&
           they.connections == STAY;
}

static void closed_after(const struct guest *g, int ms) {
    assert_true(g->closed - they.start >= ms);
    assert_int_equal(g->c.got.len, 0); // without a word
}

// Of a reply what was on its way is all that there is.
static void is_cut(struct client *c, const char *last) {
    pump((receive(c), c->eof));
    assert_true(text_starts(c->got.s, "HTTP/1.1 200 "));
    assert_null(strstr(c->got.s, last));
    assert_true(c->got.len < REPLY);
    drop_client(c);
}

static void is_told(struct client *c, const char *line) {
    pump((receive(c), c->eof || strstr(text_str(&c->got), line)));
    assert_false(c->eof);
    drop_client(c);
}

static void whoever_takes_too_long_is_closed_and_nobody_else(void **state) {
    (void)state;
    begin_all();
    while (!is_over())
        turn();
    closed_after(&they.idle, IDLE_MS);
    closed_after(&they.typing, IDLE_MS);
    closed_after(&they.endless, TAKE_MS);
    assert_int_equal(fake_pod_seen(it.pod), 4); // steady and replies, no body that was cut off
    is_cut(&they.untaken, "}");
    is_cut(&they.slow, "}"); // however much of it was taken
    is_cut(&they.unread, "the last of many");
    // It has always had something to take, or there was no limit for it.
    assert_null(strstr(text_str(&they.taking.got), "the last of many"));
    is_told(&they.taking, "the last of many");
    log_keep("one more", 8);
    is_told(&they.sparse, "one more");
    drop_client(&they.asking);
    drop_client(&they.silent.c);
    drop_client(&they.idle.c);
    drop_client(&they.typing.c);
    drop_client(&they.endless.c);
    free(they.piece);
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(whoever_takes_too_long_is_closed_and_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

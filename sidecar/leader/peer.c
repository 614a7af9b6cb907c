#include "sidecar/leader/peer.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { MAX_REPLY = 64 * 1024, MAX_REASON = 240, RETRY_MS = 50 };

struct peer {
    const struct peer_from *from;
    struct http_call *call;
    struct loop_timer *timer;
    char *label, *task, *body;
    char *id, *url, *target, *epoch, *round, *budget;
    int64_t until; // so long it is waited for, asked once or twice
    bool again;    // the answer was lost once
    bool signs;    // it says that it signs its answers
    char *cluster; // what its certificate is of
    struct auth_call call_signed;
    peer_fn *fn;
    void *arg;
};

char *peer_label(const struct record *r) {
    return xasprintf("%s #%" PRId64, *r->cluster ? r->cluster : r->id, r->seq);
}

static void peer_free(struct peer *p) {
    http_cancel(&p->call);
    loop_timer_stop(&p->timer);
    free(p->label);
    free(p->task);
    free(p->body);
    free(p->id);
    free(p->cluster);
    free(p->url);
    free(p->target);
    free(p->epoch);
    free(p->round);
    free(p->budget);
    free(p);
}

void peer_cancel(struct peer **slot) {
    if (*slot)
        peer_free(take_ptr(*slot));
}

static void finish(struct peer *p, const json_t *answer, const struct err *err) {
    peer_fn *fn = p->fn;
    void *arg = p->arg;
    peer_free(p);
    fn(answer, err, arg);
}

// Words of a stranger: control characters would break a status line, and a page would hide it.
static void reason_of(const json_t *answer, struct text *t) {
    const char *said = json_text(answer, "error");
    for (size_t i = 0; said[i] && i < MAX_REASON; i++) {
        char c = said[i];
        if (iscntrl((unsigned char)c))
            c = ' ';
        text_addc(t, c);
    }
}

// A stranger at its address could say these, and we would believe that it has done, is dead or
// follows another. Whatever else is said ends the round anyway.
static bool is_proven(const struct peer *p, const struct http_reply *reply) {
    bool matters = reply->status == 200 || reply->status == 410 || reply->status == 412;
    return !matters || !auth_signs(p->from->auth) || !p->signs ||
           auth_call_proves(&p->call_signed, p->id, reply->status, reply->body, reply->len,
                            http_header(reply, "X-Signature"));
}

static void judge(const struct peer *p, int status, const json_t *answer, struct err *err) {
    auto_text struct text reason = {0};
    reason_of(answer, &reason);
    switch (status) {
    case 200:
        return;
    case 410:
        err_code(err, ERR_GONE, status, "%s is dead", p->label);
        return;
    case 412:
        err_code(err, ERR_FENCED, status, "%s follows a newer leader", p->label);
        return;
    default:
        if (reason.len)
            err_code(err, ERR_REFUSED, status, "%s refused %s: %s", p->label, p->task, reason.s);
        else
            err_code(err, ERR_REFUSED, status, "%s answered %d to %s", p->label, status, p->task);
    }
}

static void send_now(void *arg);

// The pod answers when its budget is over; a quarter more for the way there and back.
static int64_t patience(const struct peer_from *from) {
    return from->grace + from->grace / 4;
}

static void on_reply(const struct http_reply *reply, const struct err *err, void *arg) {
    struct peer *p = arg;
    p->call = NULL;
    if (err->kind == ERR_RETRY && !p->again) {
        p->again = true;
        log_debug("peer %s task=%s again reason=\"%s\"", p->label, p->task, err->text);
        loop_timer_start(p->from->loop, &p->timer, RETRY_MS, send_now, p);
        return;
    }
    auto_json json_t *answer = NULL;
    struct err ret = ERR_INIT;
    if (err->kind == ERR_TIMEOUT) {
        auto_text struct text waited = {0};
        text_add_duration(&waited, patience(p->from));
        err_set(&ret, ERR_TIMEOUT, "%s did not answer %s within %s", p->label, p->task,
                text_str(&waited));
    } else if (err->kind != ERR_NONE) {
        err_set(&ret, ERR_REFUSED, "%s cannot be reached for %s: %s", p->label, p->task, err->text);
    } else if (!is_proven(p, reply)) {
        err_set(&ret, ERR_REFUSED,
                "%s: the answer to %s is not signed by it: another answers there, "
                "or its token is another",
                p->label, p->task);
    } else {
        if (reply->len)
            answer = json_read(reply->body, reply->len, MAX_REPLY, p->label, NULL);
        if (!json_is_object(answer)) {
            json_decref(answer);
            answer = json_object();
        }
        judge(p, reply->status, answer, &ret);
    }
    log_debug("peer %s task=%s status=%d", p->label, p->task, reply ? reply->status : 0);
    finish(p, answer, &ret);
}

static void send_now(void *arg) {
    struct peer *p = arg;
    const struct peer_from *from = p->from;
    int64_t left = p->until - loop_now(from->loop);
    if (!from->may(from->arg)) {
        struct err err = ERR_INIT;
        err_set(&err, ERR_DETACHED, "waiting for ZooKeeper before %s of %s", p->task, p->label);
        finish(p, NULL, &err);
        return;
    }
    const char *headers[] = {
        "Content-Type: application/json", p->epoch, p->round, p->budget, p->target, NULL};
    auth_call_sign(&p->call_signed, auth_key(from->auth, AUTH_PEER), false, "POST", p->url, headers,
                   p->body, strlen(p->body));
    struct http_request request = {
        .method = "POST",
        .url = p->url,
        .headers = p->call_signed.headers,
        .trust = auth_trust(from->auth),
        .tls_name = p->cluster,
        .body = p->body,
        .body_len = strlen(p->body),
        .timeout_ms = left > 0 ? left : 1,
        .max_reply = MAX_REPLY,
    };
    p->call = http_start(from->http, &request, on_reply, p);
}

static char *url_of(const struct peer_from *from, const struct record *to, const char *task) {
    auto_free char *base = from->own_url ? xstrdup(from->own_url) : record_url(to);
    return xasprintf("%s/control/%s/%" PRId64, base, task, (from->grace + 999) / 1000);
}

struct peer *peer_ask(const struct peer_from *from, const struct record *to, const char *task,
                      int64_t round, char *body, peer_fn *fn, void *arg) {
    struct peer *p = xnew(struct peer);
    *p = (struct peer){
        .from = from,
        .label = peer_label(to),
        .task = xstrdup(task),
        .body = body,
        .id = xstrdup(to->id),
        .signs = to->signs,
        .cluster = xasprintf("%s.%s", to->namespace_, to->cluster),
        .url = url_of(from, to, task),
        .target = xasprintf("X-Ochopod-Target: %s", to->id),
        .epoch = xasprintf("X-Ochopod-Epoch: %s/%" PRId64, from->tree, from->epoch),
        .round = xasprintf("X-Ochopod-Round: %" PRId64, round),
        .until = loop_now(from->loop) + patience(from),
        .budget = xasprintf("X-Ochopod-Budget-Ms: %" PRId64, from->grace),
        .fn = fn,
        .arg = arg,
    };
    // The first send is refused, or fails, like any other: never inside this call.
    if (from->may(from->arg))
        send_now(p);
    else
        loop_timer_start(from->loop, &p->timer, 0, send_now, p);
    return p;
}

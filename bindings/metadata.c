#include "bindings/metadata.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_MS = 1000, MAX_REPLY = 4096, MAX_WORD = 255 };

#define ENDPOINT "http://169.254.169.254"

// What is asked for, in this order.
static const struct item {
    const char *path;
    size_t place; // of a char * in struct metadata
    bool required;
} items[] = {
    {"local-ipv4", offsetof(struct metadata, ip), true},
    {"instance-id", offsetof(struct metadata, instance), true},
    {"public-ipv4", offsetof(struct metadata, public_), false},
    {"placement/availability-zone", offsetof(struct metadata, zone), false},
};
enum { ITEMS = sizeof items / sizeof *items };

struct metadata_ask {
    struct http *http;
    char *endpoint;
    metadata_fn *fn;
    void *arg;
    struct http_call *call;
    char *token; // "X-aws-ec2-metadata-token: ...", NULL: v1
    size_t at;
    struct metadata *found;
};

void metadata_free(struct metadata *m) {
    if (!m)
        return;
    for (size_t i = 0; i < ITEMS; i++)
        free(*(char **)((char *)m + items[i].place));
    free(m);
}

static void ask_free(struct metadata_ask *a) {
    http_cancel(&a->call);
    metadata_free(a->found);
    free(a->endpoint);
    free(a->token);
    free(a);
}

void metadata_cancel(struct metadata_ask **slot) {
    if (*slot)
        ask_free(take_ptr(*slot));
}

static void answer(struct metadata_ask *a, const struct err *err) {
    metadata_fn *fn = a->fn;
    void *arg = a->arg;
    struct metadata *found = err->kind == ERR_NONE ? take_ptr(a->found) : NULL;
    ask_free(a);
    fn(found, err, arg);
}

static void fail(struct metadata_ask *a, enum err_kind kind, const char *what, int status) {
    struct err err = ERR_INIT;
    err_set(&err, kind, "metadata service %s: %s (status %d)", a->endpoint, what, status);
    answer(a, &err);
}

// Nobody there, cut off, late: it may come. A page of megabytes is another service's.
static void fail_call(struct metadata_ask *a, const struct err *why) {
    struct err err = *why;
    if (err.kind == ERR_LIMIT)
        err.kind = ERR_ABSENT;
    err_wrap(&err, "metadata service");
    answer(a, &err);
}

// A word as the service gives it: printable, no blanks; it becomes part of our record.
static char *word_of(const struct http_reply *reply) {
    size_t len = reply->len;
    while (len && isspace((unsigned char)reply->body[len - 1]))
        len--;
    bool good = len > 0 && len <= MAX_WORD;
    for (size_t i = 0; good && i < len; i++)
        good = reply->body[i] > ' ' && reply->body[i] < 0x7f;
    return good ? xstrndup(reply->body, len) : NULL;
}

static void ask_next(struct metadata_ask *a);

static void keep(struct metadata_ask *a, const struct http_reply *reply) {
    const struct item *item = &items[a->at];
    auto_free char *word = reply->status == 200 ? word_of(reply) : NULL;
    struct in_addr v4;
    bool address = text_ends(item->path, "-ipv4");
    if (word && address && inet_pton(AF_INET, word, &v4) != 1) {
        free(word);
        word = NULL;
    }
    if (!word && item->required) {
        fail(a, ERR_ABSENT, item->path, reply->status);
        return;
    }
    *(char **)((char *)a->found + item->place) = word ? take_ptr(word) : xstrdup("");
    a->at++;
    ask_next(a);
}

static void on_item(const struct http_reply *reply, const struct err *err, void *arg) {
    struct metadata_ask *a = arg;
    a->call = NULL;
    if (err->kind != ERR_NONE)
        fail_call(a, err);
    else if (reply->status == 401)
        fail(a, ERR_USER, "wants a token (IMDSv2) and gave none that is good: is the hop limit 1?",
             401);
    else if (reply->status == 403)
        fail(a, ERR_USER, "is switched off or not allowed here", 403);
    else if (reply->status >= 500)
        fail(a, ERR_RETRY, "is not well", reply->status);
    else
        keep(a, reply);
}

static void ask_next(struct metadata_ask *a) {
    if (a->at == ITEMS) {
        struct err none = ERR_INIT;
        answer(a, &none);
        return;
    }
    auto_free char *url = xasprintf("%s/latest/meta-data/%s", a->endpoint, items[a->at].path);
    const char *headers[] = {a->token, NULL};
    struct http_request request = {.url = url,
                                   .headers = a->token ? headers : NULL,
                                   .connect_ms = LIMIT_MS,
                                   .timeout_ms = LIMIT_MS,
                                   .max_reply = MAX_REPLY};
    a->call = http_start(a->http, &request, on_item, a);
}

// v1 where the token's answer does not come (hop limit) or nobody knows what a token is.
static void on_token(const struct http_reply *reply, const struct err *err, void *arg) {
    struct metadata_ask *a = arg;
    a->call = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_TIMEOUT) {
        fail_call(a, err);
        return;
    }
    int status = err->kind == ERR_NONE ? reply->status : 0;
    if (status == 401 || status == 403) {
        fail(a, ERR_USER, "refuses a token", status);
        return;
    }
    if (status >= 500 && status != 501) {
        fail(a, ERR_RETRY, "is not well", status);
        return;
    }
    auto_free char *token = status == 200 ? word_of(reply) : NULL;
    if (token)
        a->token = xasprintf("X-aws-ec2-metadata-token: %s", token);
    ask_next(a);
}

struct metadata_ask *metadata_ask(struct http *http, const char *endpoint, metadata_fn *fn,
                                  void *arg) {
    struct metadata_ask *a = xnew(struct metadata_ask);
    *a = (struct metadata_ask){.http = http, .fn = fn, .arg = arg};
    a->found = xnew(struct metadata);
    a->endpoint = xstrdup(endpoint && *endpoint ? endpoint : ENDPOINT);
    for (size_t n = strlen(a->endpoint); n && a->endpoint[n - 1] == '/'; n--)
        a->endpoint[n - 1] = '\0';
    auto_free char *url = xasprintf("%s/latest/api/token", a->endpoint);
    static const char *const headers[] = {"X-aws-ec2-metadata-token-ttl-seconds: 60", NULL};
    struct http_request request = {.method = "PUT",
                                   .url = url,
                                   .headers = headers,
                                   .connect_ms = LIMIT_MS,
                                   .timeout_ms = LIMIT_MS,
                                   .max_reply = MAX_REPLY};
    a->call = http_start(a->http, &request, on_token, a);
    return a;
}

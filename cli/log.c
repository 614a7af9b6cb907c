#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/pods.h"
#include "cli/send.h"
#include <stdio.h>
#include <string.h>

enum { SHORT = 16 };

// ---- what is there ----

// As Ochothon's: without -l the end of it.
static void shorten(const struct cli_options *options, json_t *lines) {
    while (!options->whole && json_array_size(lines) > SHORT)
        CHECK(json_array_remove(lines, 0) == 0);
}

static void print_lines(const struct pod_seen *pod, bool named) {
    json_t *lines = json_object_get(pod->json, "log"), *line;
    size_t i;
    json_array_foreach(lines, i, line) {
        const char *s = json_string_value(line);
        if (!s)
            continue;
        if (named)
            printf("%s | ", pod->label);
        printf("%s%s", s, text_ends(s, "\n") ? "" : "\n");
    }
}

static int show(const struct cli_options *options, struct pods *pods) {
    auto_json json_t *rows = json_object();
    struct pods_request request = {.path = "/log", .key = "log", .timeout_ms = options->timeout_ms};
    pods_send(pods, &request);
    for (size_t i = 0; i < pods->n; i++) {
        json_t *lines = json_object_get(pods->list[i].json, "log");
        shorten(options, lines);
        if (lines)
            CHECK(json_object_set(rows, pods->list[i].label, lines) == 0);
        if (!options->json)
            print_lines(&pods->list[i], pods->n > 1);
    }
    if (options->json)
        cli_print(rows, true);
    return pods_report(pods, "answered");
}

// ---- and what comes ----

struct tail {
    struct loop *loop;
    struct pod_seen *pod;
    const char *name; // in front of each line, or ""
    struct text line;
    size_t *open;
    bool must_sign, strange; // strange: what answers is not the pod
    struct auth_call call;
};

static void on_head(const struct http_reply *head, void *arg) {
    struct tail *tail = arg;
    tail->strange = tail->must_sign && head->status == 200 &&
                    !auth_call_proves_stream(&tail->call, tail->pod->id,
                                             http_header(head, "X-Signature"));
}

static int on_data(const void *data, size_t len, void *arg) {
    struct tail *tail = arg;
    if (tail->strange)
        return -1;
    for (const char *s = data, *end = s + len; s < end;) {
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        size_t n = newline ? (size_t)(newline - s) : (size_t)(end - s);
        text_addn(&tail->line, s, n);
        s += n + (newline != NULL);
        if (!newline)
            break;
        printf("%s%s%s\n", tail->name, *tail->name ? " | " : "", text_str(&tail->line));
        text_clear(&tail->line);
    }
    return fflush(stdout) ? -1 : 0;
}

static void on_end(const struct http_reply *reply, const struct err *err, void *arg) {
    struct tail *tail = arg;
    auto_free char *why = tail->strange          ? xstrdup("/log is not signed by it")
                          : err->kind            ? xstrdup(err->text)
                          : reply->status == 200 ? xstrdup("the log ended")
                                                 : xasprintf("/log answered %d", reply->status);
    pods_fail(tail->pod, why);
    fprintf(stderr, "ocho: %s: %s\n", tail->pod->label, why);
    if (--*tail->open == 0)
        loop_quit(tail->loop);
}

static void begin(struct tail *tail, const struct pods *pods) {
    auto_free char *base = pods_url(pods, tail->pod);
    if (!base) {
        fprintf(stderr, "ocho: %s: its control port is not published\n", tail->pod->label);
        return;
    }
    auto_free char *url = xasprintf("%s/log?follow&format=text", base);
    auto_free char *target = xasprintf("X-Ochopod-Target: %s", tail->pod->id);
    const char *headers[] = {signer_signs(source_signer(pods->source)) ? target : NULL, NULL};
    tail->must_sign = pods_must_sign(pods, tail->pod);
    pods_sign(pods, tail->pod, &tail->call, "GET", url, headers, NULL, 0);
    struct http_request request = {.url = url,
                                   .headers = tail->call.headers,
                                   .trust = signer_trust(source_signer(pods->source)),
                                   .tls_name = tail->pod->cluster,
                                   .connect_ms = 5000,
                                   .fresh = true,
                                   .on_head = on_head,
                                   .on_data = on_data};
    send_request(source_http(pods->source), &request, on_end, tail);
    ++*tail->open;
}

// Until the last stream has ended: each ends with its pod, so this is never a success.
static int follow(struct pods *pods) {
    struct source *source = pods->source;
    struct tail *tails = xcalloc(pods->n, sizeof(struct tail));
    size_t open = 0;
    for (size_t i = 0; i < pods->n; i++) {
        struct pod_seen *pod = &pods->list[i];
        tails[i] = (struct tail){.loop = source_loop(source),
                                 .pod = pod,
                                 .name = pods->n > 1 ? pod->label : "",
                                 .open = &open};
        begin(&tails[i], pods);
    }
    while (open) // others may end the loop as well
        loop_run(source_loop(source));
    for (size_t i = 0; i < pods->n; i++)
        text_done(&tails[i].line);
    free(tails);
    return EXIT_SOME;
}

static int run(const struct cli_options *options) {
    struct pods pods;
    int status = pods_begin(options, options->args, &pods);
    if (status)
        return status;
    status = options->follow ? follow(&pods) : show(options, &pods);
    pods_end(&pods);
    return status;
}

const struct verb log_verb = {
    .name = "log",
    .args = "[PATTERN...]",
    .summary = "the last lines of each pod, the sidecar's and the workload's",
    .details = "Sixteen of them; -l: all that the pod keeps, 32 KiB. With more than one pod each "
               "line begins\nwith the pod's name.\n"
               "JSON: {\"namespace.cluster #seq\": [lines]}\n",
    .options = "jiltzufd",
    .args_max = CLI_MANY,
    .run = run};

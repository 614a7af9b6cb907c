#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/pods.h"
#include <stdio.h>
#include <string.h>

// ---- what is there ----

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

static int show(const struct cli_options *options, struct source *source, struct pods *pods) {
    auto_json json_t *rows = json_object();
    pods_ask(pods, source, "/log", "log", options->timeout_ms);
    for (size_t i = 0; i < pods->n; i++) {
        json_t *lines = json_object_get(pods->list[i].json, "log");
        if (lines)
            CHECK(json_object_set(rows, pods->list[i].label, lines) == 0);
        if (!options->json)
            print_lines(&pods->list[i], pods->n > 1);
    }
    if (options->json)
        cli_print(rows, true);
    return pods_report(pods);
}

// ---- and what comes ----

struct tail {
    struct loop *loop;
    struct pod_seen *pod;
    const char *name; // in front of each line, or ""
    struct text line;
    size_t *open;
};

static int on_data(const void *data, size_t len, void *arg) {
    struct tail *tail = arg;
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
    auto_free char *why = err->kind              ? xstrdup(err->text)
                          : reply->status == 200 ? xstrdup("the log ended")
                                                 : xasprintf("/log answered %d", reply->status);
    CHECK(json_object_set_new(tail->pod->json, "error", json_string(why)) == 0);
    fprintf(stderr, "ocho: %s: %s\n", tail->pod->label, why);
    if (--*tail->open == 0)
        loop_quit(tail->loop);
}

static void begin(struct tail *tail, struct source *source) {
    auto_free char *base = pods_url(tail->pod);
    if (!base) {
        fprintf(stderr, "ocho: %s: its control port is not published\n", tail->pod->label);
        return;
    }
    auto_free char *url = xasprintf("%s/log?follow&format=text", base);
    struct http_request request = {
        .url = url, .connect_ms = 5000, .fresh = true, .on_data = on_data};
    http_start(source_http(source), &request, on_end, tail);
    ++*tail->open;
}

// Until the last stream has ended: each ends with its pod, so this is never a success.
static int follow(struct source *source, struct pods *pods) {
    struct tail *tails = xcalloc(pods->n, sizeof(struct tail));
    size_t open = 0;
    for (size_t i = 0; i < pods->n; i++) {
        struct pod_seen *pod = &pods->list[i];
        tails[i] = (struct tail){.loop = source_loop(source),
                                 .pod = pod,
                                 .name = pods->n > 1 ? pod->label : "",
                                 .open = &open};
        begin(&tails[i], source);
    }
    if (open)
        loop_run(source_loop(source));
    for (size_t i = 0; i < pods->n; i++)
        text_done(&tails[i].line);
    free(tails);
    return EXIT_SOME;
}

int log_run(const struct cli_options *options) {
    struct source *source;
    json_t *clusters;
    struct pods pods;
    int status = pods_begin(options, &source, &clusters, &pods);
    if (status)
        return status;
    status = options->follow ? follow(source, &pods) : show(options, source, &pods);
    pods_end(source, clusters, &pods);
    return status;
}

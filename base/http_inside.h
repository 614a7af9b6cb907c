// What http.c (calls and their order), http_call.c (one call and libcurl) and http_duplex.c share.
// Nobody else's.
#pragma once
#include "base/http.h"
#include "base/list.h"
#include "base/text.h"
#include <curl/curl.h>

struct http_member { // an open duplex, closed by http_free
    struct link link;
    void (*close)(struct http_member *it);
};

struct http_call {
    struct link link;
    struct http *http;
    CURL *easy; // while in active, and until the callback has run
    struct curl_slist *headers;
    char *method, *url, *unix_socket, *ca_file, *tls_name;
    struct tls_trust *trust;
    void *body;
    size_t body_len;
    int64_t connect_ms, timeout_ms;
    size_t max_reply;
    bool fresh, tls, running, dead, head_told, delivering;
    struct loop_timer *deadline;
    int (*on_data)(const void *data, size_t len, void *arg);
    void (*on_head)(const struct http_reply *head, void *arg);
    http_fn *fn;
    void *arg;
    int status;
    size_t head_len;
    struct text reply;
    struct err err;
    char why[CURL_ERROR_SIZE];
};

// All that libcurl must know of it, before it begins.
CURLcode http_set_up(struct http_call *call);

struct loop *http_loop(const struct http *http);
void http_join(struct http *http, struct http_member *it);

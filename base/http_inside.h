// What http.c shows to http_duplex.c and to nobody else.
#pragma once
#include "base/http.h"
#include "base/list.h"

struct http_member { // an open duplex, closed by http_free
    struct link link;
    void (*close)(struct http_member *it);
};

struct loop *http_loop(const struct http *http);
void http_join(struct http *http, struct http_member *it);

// Where every request of ocho's leaves it. With -d each is a line on stderr once it is over, a
// stream when it begins: method, URL without a user, status, time. Headers and bodies, which hold
// credentials, are in none.
#pragma once
#include "base/http.h"

// As http_start.
struct http_call *send_request(struct http *http, const struct http_request *request, http_fn *fn,
                               void *arg);

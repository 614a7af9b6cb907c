// The metadata service of an EC2 instance: the machine's addresses, its id and its zone. A token
// first (IMDSv2), without one where there is none to be had (v1); each request has a second. The
// service hangs where the token's answer may not travel as far as a container (hop limit 1). Knows
// nothing of bindings. Loop thread. Sources: AWS, "Use IMDSv2", "Instance metadata categories".
#pragma once
#include "base/http.h"

struct metadata {
    char *ip;       // local-ipv4, a literal
    char *public_;  // public-ipv4, "" when there is none
    char *instance; // instance-id
    char *zone;     // placement/availability-zone, "" when not said
};
void metadata_free(struct metadata *m); // takes NULL

struct metadata_ask;
// m: the receiver frees; NULL when err->kind is not ERR_NONE. ERR_ABSENT: what answers is
// not that service. ERR_USER: it refuses (401: v2 is required and the token was not good; 403:
// off). ERR_RETRY, ERR_TIMEOUT: not reached, cut off, late.
typedef void metadata_fn(struct metadata *m, const struct err *err, void *arg);
// endpoint: "http://169.254.169.254" when NULL. fn is never called inside the call.
struct metadata_ask *metadata_ask(struct http *http, const char *endpoint, metadata_fn *fn,
                                  void *arg);
void metadata_cancel(struct metadata_ask **slot); // no callback after it; no-op on NULL

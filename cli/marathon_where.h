// Where Marathon is and who we are to it: MARATHON_MASTER and the credentials beside it, pure text.
// Credentials never stay in an address, so that no message can show them.
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

struct marathon_master {
    char *base; // "http://host:port/service/marathon": no user, no '/' at its end
    char *auth; // "Authorization: Basic ...", from its own user:password@, or NULL
};

struct marathon_where {
    struct marathon_master *list;
    size_t n;
    char *auth;    // the header for those without one of their own, or NULL
    char *ca_file; // MARATHON_CA, or NULL
};

// MARATHON_MASTER is "host:port,host:port", each maybe with http://, https://, user:password@ and a
// path; what has no scheme is http and, without a port, 8080. The credentials of all are
// MARATHON_TOKEN(_FILE), else MARATHON_USER with MARATHON_PASSWORD(_FILE). ERR_USER says which
// variable is wrong. Fills ret on success only.
int marathon_where_read(struct marathon_where *ret, struct err *err) must_check;
int marathon_where_parse(const char *masters, struct marathon_where *ret,
                         struct err *err) must_check;
void marathon_where_done(struct marathon_where *where);

// Where a Location points to, seen from the address that gave it; NULL: not http. Caller frees.
char *marathon_resolve(const char *from, const char *location);
// "http://host:port" of an address; caller frees.
char *marathon_origin(const char *url);

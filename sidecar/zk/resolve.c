#include "sidecar/zk/resolve.h"
#include "base/check.h"
#include "base/names.h"
#include "base/own.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <string.h>

enum { DEADLINE_MS = 2000, MAX_IN_FLIGHT = 3 };

// Of its own: it outlives everything else when the resolver hangs.
struct lookup {
    struct name *owner;
    char *host;
    char **found;
};

struct name {
    struct resolve *resolve;
    char *host, *port;
    bool literal, wanted, answered;
    char *addresses; // "a:port,b:port"; NULL: none so far
    struct loop_work *work;
};

struct resolve {
    struct loop *loop;
    struct name *names;
    size_t n;
    struct loop_timer *deadline;
    void (*fn)(const char *addresses, bool all, void *arg);
    void *arg;
};

static void ask(struct resolve *r);

static void report(void *arg) {
    struct resolve *r = arg;
    auto_text struct text all = {0};
    bool complete = true;
    loop_timer_stop(&r->deadline);
    for (size_t i = 0; i < r->n; i++) {
        r->names[i].wanted = false;
        complete = complete && r->names[i].addresses;
        if (r->names[i].addresses)
            text_addf(&all, "%s%s", all.len ? "," : "", r->names[i].addresses);
    }
    r->fn(text_str(&all), complete, r->arg);
}

static void free_lookup(void *arg) {
    struct lookup *l = arg;
    text_list_free(l->found);
    free(l->host);
    free(l);
}

static void look_up(void *arg) { // on a worker
    struct lookup *l = arg;
    l->found = names_find(l->host);
}

static void keep(struct name *name, char *const *found) {
    auto_text struct text list = {0};
    for (; found && *found; found++)
        text_addf(&list, "%s%s:%s", list.len ? "," : "", *found, name->port);
    if (!list.len)
        return;
    free(name->addresses);
    name->addresses = text_take(&list);
}

static void on_found(void *arg) {
    struct lookup *l = arg;
    struct name *name = l->owner;
    struct resolve *r = name->resolve;
    name->work = NULL;
    name->answered = true;
    keep(name, l->found);
    free_lookup(l);
    if (r->deadline)
        ask(r);
}

// Starts what may be started; reports when nothing is left to wait for.
static void ask(struct resolve *r) {
    size_t waiting = 0, in_flight = 0;
    for (size_t i = 0; i < r->n; i++)
        in_flight += r->names[i].work != NULL;
    for (size_t i = 0; i < r->n; i++) {
        struct name *name = &r->names[i];
        waiting += name->wanted && !name->answered;
        if (!name->wanted || name->answered || name->work || in_flight == MAX_IN_FLIGHT)
            continue;
        struct lookup *l = xnew(struct lookup);
        l->owner = name;
        l->host = xstrdup(name->host);
        name->work = loop_work_start(r->loop, look_up, on_found, free_lookup, l);
        in_flight++;
    }
    if (!waiting)
        loop_timer_start(r->loop, &r->deadline, 0, report, r);
}

void resolve_again(struct resolve *r) {
    for (size_t i = 0; i < r->n; i++) {
        r->names[i].wanted = !r->names[i].literal;
        r->names[i].answered = false;
    }
    loop_timer_start(r->loop, &r->deadline, DEADLINE_MS, report, r);
    ask(r);
}

static bool is_literal(const char *host) {
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static void name_init(struct name *name, struct resolve *r, const char *server) {
    const char *colon = strrchr(server, ':');
    name->resolve = r;
    name->host = colon ? xstrndup(server, (size_t)(colon - server)) : xstrdup(server);
    name->port = xstrdup(colon ? colon + 1 : "2181");
    name->literal = is_literal(name->host);
    if (name->literal)
        name->addresses = xasprintf("%s:%s", name->host, name->port);
}

struct resolve *resolve_create(struct loop *loop, const char *servers,
                               void (*fn)(const char *addresses, bool all, void *arg), void *arg) {
    struct resolve *r = xnew(struct resolve);
    char **list = text_split(servers, ",");
    r->loop = loop;
    r->fn = fn;
    r->arg = arg;
    r->n = text_list_len(list);
    r->names = xcalloc(r->n + 1, sizeof *r->names);
    for (size_t i = 0; i < r->n; i++)
        name_init(&r->names[i], r, list[i]);
    text_list_free(list);
    resolve_again(r);
    return r;
}

void resolve_free(struct resolve *r) {
    if (!r)
        return;
    loop_timer_stop(&r->deadline);
    for (size_t i = 0; i < r->n; i++) {
        loop_work_forget(&r->names[i].work);
        free(r->names[i].host);
        free(r->names[i].port);
        free(r->names[i].addresses);
    }
    free(r->names);
    free(r);
}

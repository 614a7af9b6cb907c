#include "bindings/bindings.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/table.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <stdlib.h>

// In the order in which they are asked; the last says yes to everything.
static const struct binding *const table[] = {&binding_compose, &binding_local};
enum { TABLE_LEN = sizeof table / sizeof *table };

struct binding_search {
    struct loop *loop;
    struct binding_wish wish;
    binding_fn *fn;
    void *arg;
    struct loop_timer *soon;
    struct binding_self *self;
    struct docker_container *container;
    // $HOST may be a name: resolved on another thread.
    struct binding_facts *facts;
    struct loop_work *work;
    struct resolve *resolve;
};

struct resolve {
    char *name;
    char ip[INET6_ADDRSTRLEN];
    struct binding_search *search;
};

void binding_facts_free(struct binding_facts *f) {
    if (!f)
        return;
    char *strings[] = {f->fwk,  f->cluster, f->namespace_, f->application, f->task,
                       f->node, f->ip,      f->public_,    f->zk};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    json_decref(f->ports);
    docker_container_free(f->self);
    free(f);
}

bool bindings_known(const char *name) {
    for (size_t i = 0; i < TABLE_LEN; i++)
        if (text_same(table[i]->name, name))
            return true;
    return false;
}

const char *bindings_names(void) {
    static char names[128];
    if (!*names)
        for (size_t i = 0; i < TABLE_LEN; i++) {
            size_t at = strlen(names);
            snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", table[i]->name);
        }
    return names;
}

static void search_free(struct binding_search *s) {
    loop_timer_stop(&s->soon);
    binding_self_cancel(&s->self);
    if (s->resolve)
        s->resolve->search = NULL;
    loop_work_forget(&s->work);
    docker_container_free(s->container);
    binding_facts_free(s->facts);
    free(s);
}

static void answer(struct binding_search *s, const struct err *err) {
    binding_fn *fn = s->fn;
    void *arg = s->arg;
    struct binding_facts *facts = err->kind == ERR_NONE ? take_ptr(s->facts) : NULL;
    search_free(s);
    fn(facts, err, arg);
}

// The address that peers on our network see: the first that is up and not loopback, IPv4 before
// IPv6.
static void own_address(char *ret, size_t size) {
    snprintf(ret, size, "127.0.0.1");
    struct ifaddrs *all;
    if (getifaddrs(&all))
        return;
    bool found = false;
    for (struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) ||
            !(i->ifa_flags & IFF_UP))
            continue;
        found = inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, ret,
                          (socklen_t)size) != NULL;
    }
    freeifaddrs(all);
}

static void resolve_work(void *arg) {
    struct resolve *r = arg;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(r->name, NULL, &hints, &found))
        return;
    inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, r->ip, sizeof r->ip);
    freeaddrinfo(found);
}

static void resolve_free(void *arg) {
    struct resolve *r = arg;
    free(r->name);
    free(r);
}

static void resolved(void *arg) {
    struct resolve *r = arg;
    struct binding_search *s = r->search;
    s->work = NULL;
    s->resolve = NULL;
    struct err err = ERR_INIT;
    if (*r->ip) {
        free(s->facts->ip);
        s->facts->ip = xstrdup(r->ip);
    } else {
        err_set(&err, ERR_RETRY,
                "HOST=%s has no address: set HOST to one, or make the name resolvable here",
                r->name);
    }
    resolve_free(r);
    answer(s, &err);
}

static bool is_literal(const char *ip) {
    unsigned char bytes[16];
    return inet_pton(AF_INET, ip, bytes) == 1 || inet_pton(AF_INET6, ip, bytes) == 1;
}

static void fill_missing(struct binding_facts *f) {
    char **strings[] = {&f->fwk,  &f->cluster, &f->namespace_, &f->application, &f->task,
                        &f->node, &f->ip,      &f->public_,    &f->zk};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (!*strings[i])
            *strings[i] = xstrdup("");
}

static const struct binding *choose(const struct binding_scene *scene, const char **ret_why,
                                    struct err *err) {
    const char *name = scene->wish->name;
    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (name && !text_same(name, table[i]->name))
            continue;
        if (name)
            *ret_why = "named";
        if (name || table[i]->probe(scene, ret_why))
            return table[i];
    }
    err_set(err, ERR_USER, "no binding is called \"%s\": use one of %s", name, bindings_names());
    return NULL;
}

static void decide(struct binding_search *s) {
    char ip[INET6_ADDRSTRLEN];
    own_address(ip, sizeof ip);
    if (s->container && *s->container->ip)
        snprintf(ip, sizeof ip, "%s", s->container->ip);
    struct binding_scene scene = {.wish = &s->wish, .self = s->container, .self_ip = ip};
    struct err err = ERR_INIT;
    const char *why = "";
    const struct binding *b = choose(&scene, &why, &err);
    s->facts = xnew(struct binding_facts);
    s->facts->ports = json_object();
    if (!b || b->facts(&scene, s->facts, &err)) {
        answer(s, &err);
        return;
    }
    s->facts->binding = b->name;
    s->facts->self = take_ptr(s->container);
    fill_missing(s->facts);
    log_info("binding name=%s because=\"%s\" ip=%s node=%s", b->name, why, s->facts->ip,
             s->facts->node);
    if (is_literal(s->facts->ip)) {
        answer(s, &err);
        return;
    }
    s->resolve = xnew(struct resolve);
    s->resolve->name = xstrdup(s->facts->ip);
    s->resolve->search = s;
    s->work = loop_work_start(s->loop, resolve_work, resolved, resolve_free, s->resolve);
}

static void self_found(struct docker_container *self, const struct err *err, void *arg) {
    struct binding_search *s = arg;
    s->self = NULL;
    if (err->kind != ERR_NONE && err->kind != ERR_ABSENT) {
        struct err copy = *err;
        err_wrap(&copy, "find our own container");
        answer(s, &copy);
        return;
    }
    if (err->kind == ERR_ABSENT)
        log_warn("binding: we seem to run in a container, but this engine does not know it: "
                 "treated as outside");
    s->container = self;
    decide(s);
}

static void begin(void *arg) {
    struct binding_search *s = arg;
    decide(s);
}

static void away(void *arg) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_RETRY, "find our own container: the Docker engine is not reachable");
    answer(arg, &err);
}

struct binding_search *bindings_find(struct loop *loop, struct docker *docker,
                                     const struct binding_wish *wish, binding_fn *fn, void *arg) {
    struct binding_search *s = xnew(struct binding_search);
    s->loop = loop;
    s->wish = *wish;
    s->fn = fn;
    s->arg = arg;
    if (!binding_in_container())
        loop_timer_start(loop, &s->soon, 0, begin, s);
    else if (!docker || !docker_is_up(docker))
        loop_timer_start(loop, &s->soon, 0, away, s);
    else
        s->self = binding_self_find(docker, self_found, s);
    return s;
}

void bindings_cancel(struct binding_search **slot) {
    if (*slot)
        search_free(take_ptr(*slot));
}

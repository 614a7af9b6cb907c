#include "bindings/bindings.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "bindings/agent.h"
#include "bindings/table.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <stdlib.h>

// In the order in which they are asked; the last says yes to everything.
static const struct binding *const table[] = {
    &binding_compose, &binding_swarm,   &binding_marathon_pod, &binding_marathon,
    &binding_ec2,     &binding_generic, &binding_local,
};
enum { TABLE_LEN = sizeof table / sizeof *table };

struct binding_search {
    struct loop *loop;
    struct http *http;
    struct binding_wish wish;
    binding_fn *fn;
    void *arg;
    struct loop_timer *soon;
    struct binding_self *self;
    struct docker_container *container;
    bool contained;
    char ip[INET6_ADDRSTRLEN]; // our own
    size_t at;                 // of the table: which is asked next
    const struct binding *binding;
    const char *why;
    struct metadata_ask *ask;
    struct metadata *cloud;
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
    char *strings[] = {f->fwk, f->cluster, f->namespace_, f->application, f->task, f->node,
                       f->ip,  f->public_, f->zk,         f->zone,        f->slot};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    json_decref(f->ports);
    json_decref(f->local);
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
    metadata_cancel(&s->ask);
    metadata_free(s->cloud);
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

static const void *address_of(const struct ifaddrs *i, int family) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != family || (i->ifa_flags & IFF_LOOPBACK) ||
        !(i->ifa_flags & IFF_UP))
        return NULL;
    if (family == AF_INET)
        return &((struct sockaddr_in *)i->ifa_addr)->sin_addr;
    const struct in6_addr *six = &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr;
    return IN6_IS_ADDR_LINKLOCAL(six) ? NULL : six; // every machine has one, of this link alone
}

void binding_first_address(const struct ifaddrs *all, char *ret, size_t size) {
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
            const void *address = address_of(i, families[f]);
            if (address && inet_ntop(families[f], address, ret, (socklen_t)size))
                return;
        }
    snprintf(ret, size, "127.0.0.1");
}

static void own_address(char *ret, size_t size) {
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all))
        all = NULL;
    binding_first_address(all, ret, size);
    if (all)
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
    char **strings[] = {&f->fwk, &f->cluster, &f->namespace_, &f->application, &f->task, &f->node,
                        &f->ip,  &f->public_, &f->zk,         &f->zone,        &f->slot};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (!*strings[i])
            *strings[i] = xstrdup("");
}

static struct binding_scene scene_of(const struct binding_search *s) {
    return (struct binding_scene){.wish = &s->wish,
                                  .self = s->container,
                                  .self_ip = s->ip,
                                  .contained = s->contained,
                                  .cloud = s->cloud};
}

// The next one from s->at that was named or says yes.
static const struct binding *choose(struct binding_search *s, struct err *err) {
    struct binding_scene scene = scene_of(s);
    const char *name = s->wish.name;
    while (s->at < TABLE_LEN) {
        const struct binding *b = table[s->at++];
        if (name && !text_same(name, b->name))
            continue;
        if (name)
            s->why = "named";
        if (name || b->probe(&scene, &s->why))
            return b;
    }
    err_set(err, ERR_USER, "no binding is called \"%s\": use one of %s", name ? name : "",
            bindings_names());
    return NULL;
}

static void resolve_host(struct binding_search *s) {
    s->resolve = xnew(struct resolve);
    s->resolve->name = xstrdup(s->facts->ip);
    s->resolve->search = s;
    s->work = loop_work_start(s->loop, resolve_work, resolved, resolve_free, s->resolve);
}

static void conclude(struct binding_search *s) {
    struct binding_scene scene = scene_of(s);
    struct err err = ERR_INIT;
    s->facts = xnew(struct binding_facts);
    s->facts->ports = json_object();
    s->facts->local = json_object();
    if (s->binding->facts(&scene, s->facts, &err)) {
        answer(s, &err);
        return;
    }
    s->facts->binding = s->binding->name;
    s->facts->self = take_ptr(s->container);
    s->facts->zone = s->cloud ? xstrdup(s->cloud->zone) : NULL;
    fill_missing(s->facts);
    log_info("binding name=%s because=\"%s\" ip=%s node=%s", s->binding->name, s->why, s->facts->ip,
             s->facts->node);
    if (is_literal(s->facts->ip))
        answer(s, &err);
    else
        resolve_host(s);
}

static void decide(struct binding_search *s);

static void on_metadata(struct metadata *m, const struct err *err, void *arg) {
    struct binding_search *s = arg;
    s->ask = NULL;
    s->cloud = m;
    if (m || s->binding->metadata == METADATA_HELPS) {
        if (!m)
            log_info("binding name=%s without EC2: %s", s->binding->name, err->text);
        conclude(s);
    } else if (!s->wish.name) {
        log_info("binding is not %s: %s", s->binding->name, err->text);
        decide(s);
    } else {
        struct err copy = *err;
        err_wrap(&copy, "binding %s", s->binding->name);
        answer(s, &copy);
    }
}

static bool wants_metadata(const struct binding_search *s) {
    const char *off = binding_env(&s->wish, "AWS_EC2_METADATA_DISABLED");
    if (s->binding->metadata == METADATA_NEEDED)
        return true;
    return s->binding->metadata == METADATA_HELPS && !s->wish.local && agent_on_ec2(&s->wish) &&
           !text_same(off, "true");
}

static void decide(struct binding_search *s) {
    struct err err = ERR_INIT;
    s->binding = choose(s, &err);
    if (!s->binding)
        answer(s, &err);
    else if (wants_metadata(s))
        s->ask = metadata_ask(s->http, binding_env(&s->wish, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
                              on_metadata, s);
    else
        conclude(s);
}

static void look_around(struct binding_search *s) {
    own_address(s->ip, sizeof s->ip);
    if (s->container && *s->container->ip)
        snprintf(s->ip, sizeof s->ip, "%s", s->container->ip);
    decide(s);
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
    look_around(s);
}

static void begin(void *arg) {
    look_around(arg);
}

static void away(void *arg) {
    struct err err = ERR_INIT;
    err_set(&err, ERR_RETRY, "find our own container: the Docker engine is not reachable");
    answer(arg, &err);
}

struct binding_search *bindings_find(struct loop *loop, struct http *http, struct docker *docker,
                                     const struct binding_wish *wish, binding_fn *fn, void *arg) {
    struct binding_search *s = xnew(struct binding_search);
    s->loop = loop;
    s->http = http;
    s->contained = binding_in_container();
    s->wish = *wish;
    s->fn = fn;
    s->arg = arg;
    if (!s->contained)
        loop_timer_start(loop, &s->soon, 0, begin, s);
    else if (!docker || !docker_is_up(docker))
        loop_timer_start(loop, &s->soon, 0, away, s);
    else
        s->self = binding_self_find(docker, &s->wish, self_found, s);
    return s;
}

void bindings_cancel(struct binding_search **slot) {
    if (*slot)
        search_free(take_ptr(*slot));
}

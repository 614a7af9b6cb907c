#include "sidecar/cluster/record.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <string.h>

enum { MAX_BYTES = 64 * 1024, MAX_ID = 64, SUFFIX = 10 };

// The id becomes a part of paths, headers and file names.
static bool id_valid(const char *id, size_t len) {
    if (len == 0 || len > MAX_ID)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = id[i];
        bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    c == '-' || c == '_';
        if (!good)
            return false;
    }
    return true;
}

static int bad(const char *id, struct err *err, const char *what) {
    auto_text struct text quoted = {0};
    text_quote(&quoted, id, MAX_ID);
    return err_set(err, ERR_USER, "pod %s: %s", text_str(&quoted), what);
}

static int split_name(const char *name, char **ret_id, int64_t *ret_seq, struct err *err) {
    const char *dot = strrchr(name, '.');
    if (!dot || strlen(dot + 1) != SUFFIX || !id_valid(name, (size_t)(dot - name)))
        return bad(name, err, "the node is not named <id>.<10 digits>");
    if (text_int(dot + 1, 0, 9999999999, ret_seq, NULL))
        return bad(name, err, "the node is not named <id>.<10 digits>");
    *ret_id = xstrndup(name, (size_t)(dot - name));
    return 0;
}

// Where clouds keep what a machine is trusted with, besides 169.254.0.0/16.
static const char *const metadata[] = {"100.100.100.200", "168.63.129.16", "192.0.0.192",
                                       "fd00:ec2::254"};

static bool is_metadata(const char *ip) {
    struct in6_addr a, b;
    struct in_addr a4, b4;
    for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++) {
        if (inet_pton(AF_INET, ip, &a4) == 1 && inet_pton(AF_INET, metadata[i], &b4) == 1 &&
            a4.s_addr == b4.s_addr)
            return true;
        if (inet_pton(AF_INET6, ip, &a) == 1 && inet_pton(AF_INET6, metadata[i], &b) == 1 &&
            memcmp(&a, &b, sizeof a) == 0)
            return true;
    }
    return false;
}

// What holds an IPv4 address inside is a way around the rules for those: mapped, compatible, 6to4,
// NAT64, Teredo.
static bool holds_v4(const struct in6_addr *a) {
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};
    bool compatible = IN6_IS_ADDR_V4COMPAT(a) && !IN6_IS_ADDR_LOOPBACK(a);
    bool six_to_four = a->s6_addr[0] == 0x20 && a->s6_addr[1] == 0x02;
    bool teredo = memcmp(a->s6_addr, "\x20\x01\0\0", 4) == 0;
    return IN6_IS_ADDR_V4MAPPED(a) || compatible || six_to_four || teredo ||
           memcmp(a->s6_addr, nat64, sizeof nat64) == 0;
}

// An address that a peer wrote is one that we will connect to: nothing that reaches everybody, the
// link's own services (169.254.169.254 answers with the machine's secrets) or nobody. Loopback is
// for record_is_within_reach.
static bool ip_valid(const char *ip) {
    struct in_addr v4;
    struct in6_addr v6;
    if (is_metadata(ip))
        return false;
    if (inet_pton(AF_INET, ip, &v4) == 1) {
        uint32_t a = ntohl(v4.s_addr);
        return a >> 24 != 0 && a >> 28 < 14 && a >> 16 != 0xa9fe;
    }
    if (inet_pton(AF_INET6, ip, &v6) != 1)
        return false;
    return !IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_MULTICAST(&v6) &&
           !IN6_IS_ADDR_LINKLOCAL(&v6) && !holds_v4(&v6);
}

static bool is_loopback(const char *ip) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, ip, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, ip, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool record_is_within_reach(const struct record *r, const char *own_ip) {
    return !is_loopback(r->ip) || is_loopback(own_ip);
}

static int port_number(const json_t *value) {
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : 0;
    return n >= 1 && n <= 65535 ? (int)n : 0;
}

static int take_ports(struct record *r, struct err *err) {
    json_t *ports = json_object_get(r->json, "ports");
    if (!ports)
        return 0;
    if (!json_is_object(ports))
        return bad(r->id, err, "ports is no object");
    const char *label;
    json_t *value;
    json_object_foreach(ports, label, value) {
        if (!port_number(value))
            return bad(r->id, err, "ports holds something that is no port number");
    }
    r->control_port = port_number(json_object_get(ports, r->port));
    return 0;
}

// A member that is there must be text: what follows it (templates, the hash) reads it as such.
static int take_strings(struct record *r, struct err *err) {
    const struct {
        const char *key, **where;
    } members[] = {
        {"ip", &r->ip},           {"public", &r->public_},
        {"node", &r->node},       {"task", &r->task},
        {"port", &r->port},       {"application", &r->application},
        {"cluster", &r->cluster}, {"namespace", &r->namespace_},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        *members[i].where = "";
        if (json_str(r->json, members[i].key, members[i].where, err)) {
            err_wrap(err, "pod %s", r->id);
            return -1;
        }
    }
    if (!*r->port)
        r->port = "8080";
    return 0;
}

static int take_members(struct record *r, struct err *err) {
    if (take_strings(r, err) || take_ports(r, err))
        return -1;
    if (!*r->ip)
        return bad(r->id, err, "no ip");
    if (!ip_valid(r->ip))
        return bad(r->id, err, "ip is not the literal address of a host");
    const json_t *seq = json_object_get(r->json, "seq");
    if (!json_is_integer(seq) || json_integer_value(seq) < 0)
        return bad(r->id, err, "seq is missing or no number");
    r->seq = json_integer_value(seq);
    r->ours = json_is_string(json_object_get(r->json, "sidecar"));
    r->reads_proposal = r->ours && json_is_true(json_object_get(r->json, "proposal"));
    r->signs = r->ours && json_is_true(json_object_get(r->json, "signed"));
    r->tls = r->ours && json_is_true(json_object_get(r->json, "tls"));
    return 0;
}

static void record_release(struct record **r) {
    record_free(*r);
}

// Takes over id and json.
static int finish(char *id, json_t *json, struct record **ret, struct err *err) {
    __attribute__((cleanup(record_release))) struct record *r = xnew(struct record);
    r->id = id;
    r->json = json;
    if (take_members(r, err))
        return -1;
    *ret = take_ptr(r);
    return 0;
}

int record_parse(const char *name, const char *data, size_t len, struct record **ret,
                 struct err *err) {
    auto_free char *id = NULL;
    int64_t suffix = 0;
    if (split_name(name, &id, &suffix, err))
        return -1;
    if (len == 0)
        return bad(id, err, "the node is empty");
    auto_json json_t *json = json_read(data, len, MAX_BYTES, id, err);
    if (!json)
        return err_wrap(err, "pod");
    if (!json_is_object(json))
        return bad(id, err, "the node holds no JSON object");
    if (!json_object_get(json, "seq"))
        CHECK(json_object_set_new(json, "seq", json_integer(suffix)) == 0);
    return finish(take_ptr(id), take_ptr(json), ret, err);
}

int record_from_json(const char *id, const json_t *json, struct record **ret, struct err *err) {
    if (!id_valid(id, strlen(id)))
        return bad(id, err, "not the id of a pod");
    if (!json_is_object(json))
        return bad(id, err, "no JSON object");
    return finish(xstrdup(id), json_incref((json_t *)json), ret, err);
}

void record_free(struct record *r) {
    if (!r)
        return;
    json_decref(r->json);
    free(r->id);
    free(r);
}

static void put(json_t *obj, const char *key, json_t *value) {
    CHECK(value && json_object_set_new(obj, key, value) == 0);
}

// Text that is not UTF-8 cannot stand in JSON; it is registered as empty rather than not at all.
static void put_text(json_t *obj, const char *key, const char *s) {
    json_t *value = json_string(s ? s : "");
    put(obj, key, value ? value : json_string(""));
}

static void put_flag(json_t *obj, const char *key, bool flag) {
    put(obj, key, json_string(flag ? "true" : "false"));
}

// Records are read by everybody: whatever may be a password stays out.
static const char *without_credentials(const char *zk) {
    const char *at = zk ? strrchr(zk, '@') : NULL;
    return at ? at + 1 : zk;
}

json_t *record_make(const struct record_facts *facts, int64_t seq) {
    json_t *r = json_object();
    CHECK(r);
    put_text(r, "application", facts->application);
    put_text(r, "cluster", facts->cluster);
    put_flag(r, "debug", facts->debug);
    put_flag(r, "local", facts->local);
    put_text(r, "namespace", facts->namespace_);
    put_text(r, "port", facts->port);
    put_flag(r, "start", facts->start);
    put_text(r, "task", facts->task);
    put_text(r, "zk", without_credentials(facts->zk));
    put_text(r, "fwk", facts->fwk);
    put_text(r, "ip", facts->ip);
    put_text(r, "node", facts->node);
    put(r, "ports", facts->ports ? json_deep_copy(facts->ports) : json_object());
    put_text(r, "public", facts->public_);
    if (seq >= 0)
        put(r, "seq", json_integer(seq));
    if (facts->zone && *facts->zone)
        put_text(r, "zone", facts->zone);
    if (facts->slot && *facts->slot)
        put_text(r, "slot", facts->slot);
    if (facts->renewals)
        put(r, "renewals", json_integer(facts->renewals));
    put_text(r, "sidecar", OCHOPOD_VERSION);
    put(r, "proposal", json_true());
    if (facts->signs)
        put(r, "signed", json_true());
    if (facts->tls)
        put(r, "tls", json_true());
    return r;
}

char *record_url(const struct record *r) {
    bool v6 = strchr(r->ip, ':') != NULL;
    return xasprintf("http%s://%s%s%s:%d", r->tls ? "s" : "", v6 ? "[" : "", r->ip, v6 ? "]" : "",
                     r->control_port);
}

void record_address(const struct record *r, int port, char *ret, size_t size) {
    char label[16];
    snprintf(label, sizeof label, "%d", port);
    int published = port_number(json_object_get(json_object_get(r->json, "ports"), label));
    bool v6 = strchr(r->ip, ':') != NULL;
    snprintf(ret, size, "%s%s%s:%d", v6 ? "[" : "", r->ip, v6 ? "]" : "",
             published ? published : port);
}

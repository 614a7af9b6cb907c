// What anybody may write into ZooKeeper or post to our control port: znodes of pods, bodies of
// control requests, and what the two are made into. The first byte says which.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/cluster/cluster.h"
#include <stdint.h>
#include <string.h>

#define NAME "2f1b6c1e-8b1c-4a9e-9d0f-0a1b2c3d4e5f.0000000007"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What was read can be written and read again as the same.
static void try_record(const char *name, const char *data, size_t len) {
    struct record *r = NULL, *again = NULL;
    struct err err = ERR_INIT;
    if (record_parse(name, data, len, &r, &err)) {
        CHECK(err.kind != ERR_NONE && err.text[0] && !r);
        return;
    }
    char address[80];
    record_address(r, 2181, address, sizeof address);
    CHECK(strlen(address) > 0 && strlen(r->ip) < 64 && r->seq >= 0);
    CHECK(record_from_json(r->id, r->json, &again, &err) == 0);
    CHECK(again->seq == r->seq && strcmp(again->ip, r->ip) == 0);
    CHECK(again->control_port == r->control_port);
    record_free(again);
    record_free(r);
}

// The name is part of the input: up to the first line's end.
static void try_node(const char *data, size_t len) {
    const char *end = memchr(data, '\n', len);
    if (!end)
        return;
    auto_free char *name = xstrndup(data, (size_t)(end - data));
    try_record(name, end + 1, len - (size_t)(end + 1 - data));
}

static void check_members(const struct cluster *c) {
    CHECK(json_object_size(c->members) >= json_object_size(c->pods));
}

static void try_body(const char *data, size_t len) {
    struct cluster *c = NULL, *again = NULL;
    auto_free char *key = NULL, *hash = NULL, *key2 = NULL, *hash2 = NULL;
    struct err err = ERR_INIT;
    if (cluster_from_body(data, len, &c, &key, &hash, &err)) {
        CHECK(err.kind != ERR_NONE && err.text[0] && !c && !key && !hash);
        return;
    }
    check_members(c);
    auto_json json_t *view = cluster_view(c, key, &err);
    CHECK(view && json_array_size(json_object_get(view, "pods")) == json_object_size(c->pods));
    auto_free char *body = cluster_body(c, key, hash);
    CHECK(cluster_from_body(body, strlen(body), &again, &key2, &hash2, &err) == 0);
    CHECK(strcmp(key, key2) == 0 && strcmp(hash, hash2) == 0);
    char a[65], b[65];
    cluster_hash(c, a);
    cluster_hash(again, b);
    CHECK(strcmp(a, b) == 0);
    cluster_assign(c, len % 2);
    CHECK(!cluster_assign(c, len % 2));
    check_members(c);
    cluster_free(again);
    cluster_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    const char *rest = (const char *)data + 1;
    switch (data[0] % 3) {
    case 0:
        try_record(NAME, rest, size - 1);
        break;
    case 1:
        try_node(rest, size - 1);
        break;
    default:
        try_body(rest, size - 1);
    }
    return 0;
}

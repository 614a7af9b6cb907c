// What a transaction is made of: private to the folder and to its fake. Built by multi.c, carried
// out by client.c (or tests/fake/zk.c), which takes it over.
#pragma once
#include "sidecar/zk/zk.h"

enum zk_multi_kind { ZK_MULTI_CHECK, ZK_MULTI_CREATE, ZK_MULTI_SET, ZK_MULTI_DELETE };

struct zk_multi_op {
    enum zk_multi_kind kind;
    char *path, *data;
    size_t len;
    int version, flags;
};

struct zk_multi {
    struct zk_multi_op *ops;
    size_t n;
    size_t bytes;   // of all payloads: they travel in one packet
    size_t largest; // of one
};

// One pod as ZooKeeper knows it: the JSON that original Ochopod pods and tools read and write
// (facts: ochopod-wire 4.1), and ours, which carry "sidecar": "<version>" besides, and "proposal":
// true: this pod reads /proposal where a body refers to it (reference.h). An original pod cannot
// carry that by chance: all it takes over from its environment is text. In the same way "signed":
// its control port wants signatures and signs its answers, and "tls": it speaks TLS. Pure; no
// clock, no I/O. A record that cannot be used is an error that names what is wrong; the caller
// skips that pod and goes on.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>
#include <stdint.h>

// What all records that somebody keeps may take of the heap (json_weight): one of ours takes 4.5
// KB, and a snapshot holds 1,310.
enum { RECORDS_MOST = 32 << 20 };

struct record {
    char *id;     // uuid: the znode's name before the dot
    json_t *json; // the whole object, owned; includes seq
    int64_t seq;
    const char *ip, *public_, *node, *task, *application, *namespace_,
        *cluster;     // borrowed from json; "" when missing
    const char *port; // the pod's own control port label, "8080"
    int control_port; // what ports maps it to: where peers reach it; 0 when not mapped
    bool ours;
    bool reads_proposal;
    bool signs;             // its answers are signed
    bool tls;               // its control port speaks TLS
    int64_t czxid, session; // of the znode, 0 when unknown
};

// name: "<uuid>.<10 digits>" as in /pods; data: its bytes. A payload without seq (our first create)
// takes it from the suffix. Refuses: not JSON, no ip, ip that is no literal, ports that are no
// numbers, > 64 KiB.
int record_parse(const char *name, const char *data, size_t len, struct record **ret,
                 struct err *err) must_check;
// Whether a pod that registered `own_ip` may be sent there: to loopback only from loopback, where
// all pods share one network. Else it would be this machine's own services that are asked.
bool record_is_within_reach(const struct record *r, const char *own_ip);
// From a snapshot or a control body: id and object.
int record_from_json(const char *id, const json_t *json, struct record **ret,
                     struct err *err) must_check;
void record_free(struct record *r); // takes NULL

struct record_facts { // what a pod says of itself; NULL: "". zone, slot: left out when not known
    const char *application, *cluster, *namespace_, *task, *zk, *fwk, *ip, *node, *public_, *port,
        *zone, *slot;
    bool debug, start, local, signs, tls;
    const json_t *ports; // object label -> int
    int64_t renewals;    // how often this pod has asked for a round although nothing else of its
                         // record had changed: one with it, or without it; 0 is left out
};
// The payload, keys in the original's order, our marks last; seq < 0 leaves it out. New reference.
json_t *record_make(const struct record_facts *facts, int64_t seq);

// "http://ip:port" of its control port, https where it says so; port 0 where that is not published.
// Caller frees.
char *record_url(const struct record *r);
// ip:port of label `port` (e.g. 2181): the published one if mapped, else the port itself.
void record_address(const struct record *r, int port, char *ret, size_t size);

// What the files of the broker share. One thread, one loop, its own process.
#pragma once
#include "base/list.h"
#include "base/loop.h"
#include "bindings/bindings.h"
#include "docker-api/served.h"
#include "sidecar/broker/broker.h"
#include "sidecar/pod/place.h"
#include "sidecar/pod/workload.h"

enum owned { // what a container is to us
    OWNED_NOT,
    OWNED_SELF,     // the one we run in: only looked at
    OWNED_WORKLOAD, // ours, by label
    OWNED_HOLDER,
    OWNED_ONESHOT,
    OWNED_ADOPTED, // named by the spec: never renamed nor removed
    OWNED_ORPHAN,  // of an owner that is gone: stopped and removed, nothing else
};

struct broker {
    struct broker_config config;
    const struct spec *spec;
    struct loop *loop;
    struct http *http;
    struct docker *docker; // for our own looks
    int orders;            // which exec the holder shall end
    int64_t shut_since;    // the socket has let nobody in since then; 0: it does
    struct served *served;
    struct binding_wish wish;
    struct binding_self *search;
    struct loop_timer *search_again;
    bool knows_self; // found, or surely in no container
    struct binding_facts facts;
    struct place *place;   // its full_name is not known here: see create.c
    struct mounts *mounts; // NULL: they cannot be, and nothing is created
    struct link waiting;   // struct judging, until we know who we are
    json_t *known;         // full id -> enum owned: labels never change
    json_t *volumes;       // names of what orphans left
    json_t *execs;         // ids that we have seen made
    char *adopted_image;
};

struct judging { // one request between question and verdict
    struct link link;
    struct broker *broker;
    struct served_call *call;
    struct door_request request;
    struct docker_call *look;
    struct docker_container *found; // while its owner is asked for
    void (*then)(struct judging *j, enum owned owned);
    json_t *body; // of a create
};

// ---- verdicts (judge.c) ----

void judge_begin(struct broker *b, struct served_call *call, const struct door_request *request);
void judge_forget(struct judging *j);
void judge_go_on(struct broker *b); // we know who we are
void judge_allow(struct judging *j, const char *json);
void judge_refuse(struct judging *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void judge_fail(struct judging *j, const struct err *err);
void judge_answered(struct broker *b, const struct door_request *request, int status,
                    struct text *body);

// ---- what is ours (owned.c) ----

// then: once, maybe inside the call.
void owned_find(struct judging *j, const char *id, void (*then)(struct judging *j, enum owned it));
// Of an inspected one; OWNED_ORPHAN is not among the answers: that takes a look at its owner.
enum owned owned_judge(struct broker *b, const struct docker_container *c);
void owned_note(struct broker *b, const char *id, enum owned it);
bool owned_is_full_id(const char *id);

// ---- creates (create.c) ----

void create_judge(struct judging *j);
// A name of a container of ours; NULL is one.
bool create_may_be_called(const struct broker *b, const char *name);
// Where two JSON values differ first, as "HostConfig.Privileged"; "" when they are the same.
void create_difference(const json_t *wanted, const json_t *asked, struct text *ret);

// ---- archives (fill.c) ----

// Some of the spec's files, put where they belong, and nothing else.
bool fill_is_the_specs(const struct spec *spec, const struct door_request *request);

// The other end of docker_open_through: takes typed requests from a line, has each judged, carries
// out what is allowed over the engine's socket, and answers. Knows no policy. Whoever speaks on the
// line is not trusted: a message that is none of ours, or a second request with the number of one
// that is open, breaks the line, and on_broken is the end of it. One more than may be open at once
// fails alone, unjudged. Answers are written blocking: who asks and does not read holds up only
// itself. Loop thread.
#pragma once
#include "docker-api/docker.h"
#include "docker-api/door.h"

struct served;
struct served_call;

struct served_rules {
    // Must end, now or later, in one of served_allow and served_refuse. request: valid until then.
    void (*judge)(struct served_call *call, const struct door_request *request, void *arg);
    // The asker has left, or the line is closed: no verdict any more. Only between judge and
    // verdict.
    void (*forget)(struct served_call *call, void *arg);
    // A reply that is kept whole (no pieces), before it is passed on; may change the body.
    void (*answered)(struct served_call *call, const struct door_request *request, int status,
                     struct text *body, void *arg);
    // A call that brought no answer, before that is passed on. May be NULL.
    void (*failed)(const struct err *why, void *arg);
    void (*on_broken)(const struct err *why, void *arg); // also the end of the line: ERR_GONE
};

// fd: the line's end, taken over. http must outlive it.
int served_open(struct loop *loop, struct http *http, int fd, const char *host,
                const struct served_rules *rules, void *arg, struct served **ret,
                struct err *err) must_check;
void served_close(struct served *served); // takes NULL

void served_allow(struct served_call *call, const char *json); // json: instead of what came; NULL
void served_refuse(struct served_call *call, const char *why); // as the engine would, with 403
void served_fail(struct served_call *call, const struct err *err); // as if the engine were away
// Of what inspect says, in one piece. The caller frees.
int docker_container_read(const json_t *inspected, struct docker_container **ret,
                          struct err *err) must_check;
// Of a pull, which names image and tag apart: both are those of this image, as our client splits
// it.
bool served_is_pull_of(const struct door_request *request, const char *image);
void **served_slot(struct served_call *call); // the judge's own, NULL at first

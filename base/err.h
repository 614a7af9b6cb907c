// A failure is a value: a kind (how the caller should react) and a sentence (what a person reads).
// The struct lies on the caller's stack and is the last parameter; a function that can fail answers
// 0 or -1 and fills it only when it fails. err may be NULL where nobody wants to know. Nothing here
// allocates, logs or exits. Whoever fills an error does not log it.
#pragma once

enum err_kind {
    ERR_NONE = 0,
    ERR_USER,      // what a person gave us is wrong: spec, option, template       exit 2, HTTP 400
    ERR_REFUSED,   // understood, but not now or not so: vetoed, failed            HTTP 406
    ERR_RETRY,     // out of reach or busy: the same call may succeed later       HTTP 503
    ERR_TIMEOUT,   // its time is over                                            HTTP 408
    ERR_GONE,      // it does not exist any more                                  HTTP 410
    ERR_ABSENT,    // there is no such thing                                      HTTP 404
    ERR_EXISTS,    // it is there already                                         HTTP 409
    ERR_FENCED,    // a newer epoch has spoken                                    HTTP 412
    ERR_DETACHED,  // we have lost ZooKeeper ourselves                            HTTP 409
    ERR_STRANGER,  // meant for another pod                                       HTTP 421
    ERR_LIMIT,     // larger or longer than we accept                             HTTP 413
    ERR_CANCELLED, // the owner let go of it
    ERR_BUG,       // cannot be; said instead of aborting where a peer could cause it  HTTP 500
};

struct err {
    enum err_kind kind;
    int code; // errno, HTTP status of an engine, ZooKeeper's rc: what the layer below said, or 0
    char text[480];
};

#define ERR_INIT                                                                                   \
    { .kind = ERR_NONE }
#define must_check __attribute__((warn_unused_result))

// All answer -1, so that a function can end with `return err_set(err, ...)`.
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_code(struct err *err, enum err_kind kind, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Appends ": <strerror(errno_)>"; code is errno_.
int err_errno(struct err *err, enum err_kind kind, int errno_, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Puts "<context>: " in front of the sentence; kind and code stay.
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_copy(struct err *err, const struct err *from);

const char *err_kind_name(enum err_kind kind); // "refused", for logs

// HTTP without pods: connections, limits, deadlines, requests that wait. server.c and
// server_request.c alone know microhttpd, in external epoll mode, so that everything happens on the
// loop thread. A request is handed over once its body is complete; whoever got it answers it inside
// the call or any time later, exactly once, or is told that the client has left (request_on_gone)
// and then forgets it. A request that is not answered inside the call is suspended: no thread, no
// timeout of the connection's, one watch on its socket. Bodies are never decoded here, paths and
// queries never unescaped: nothing we serve needs an escape, so one is simply another name.
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include <stddef.h>

struct server;
struct request;
struct server_answer; // a reply kept for many requests

enum request_method { METHOD_GET = 1, METHOD_POST = 2, METHOD_OTHER = 4 };

struct server_events {
    // The header is complete: how many bytes the body may have. May answer at once (the body is
    // then read and dropped); on_request does not come then.
    size_t (*on_head)(struct request *request, void *arg);
    void (*on_request)(struct request *request, void *arg);
    // A piece of a body that is kept, as it comes; NULL where nobody looks.
    void (*on_body)(struct request *request, const void *data, size_t len, void *arg);
    // What is about to be answered; may add headers to it. body is NULL of a stream. NULL: nobody.
    void (*on_answer)(struct request *request, int status, const void *body, size_t len, void *arg);
};

// listen: a literal address, port 0: any. tls: TLS 1.3, with what base/tls shows. Every limit is
// control.h's.
int server_open(struct loop *loop, const char *listen, int port, bool tls,
                const struct server_events *events, void *arg, struct server **ret,
                struct err *err) must_check;
int server_bound_port(const struct server *server); // the one it got
// Requests that wait are gone for their owners and answered 503; what can be sent at once is.
// Takes NULL.
void server_close(struct server *server);
// How many answers had this status, since the start; 100 to 599.
uint64_t server_answered(const struct server *server, int status);
size_t server_connections(const struct server *server);

// Whoever asked is one whose address keeps places when they become scarce: a leader that was heard,
// and not one who says the same after it.
void request_from_peer(struct request *request);
enum request_method request_method(const struct request *request);
const char *request_method_name(const struct request *request);
const char *request_path(const struct request *request);   // raw, without the query
const char *request_target(const struct request *request); // raw, with it
int request_header_count(struct request *request, const char *name);
const char *request_header(struct request *request, const char *name); // NULL when missing
const char *request_query(struct request *request, const char *name);  // NULL missing, "" bare
const char *request_body(const struct request *request, size_t *ret_len);

// What somebody knows of a request, released with it. Once.
void request_attach(struct request *request, void *data, void (*release)(void *data));
void *request_attached(const struct request *request); // NULL: nothing
// Of the answer to come; name is static, value is taken. At most REQUEST_EXTRAS.
enum { REQUEST_EXTRAS = 4 };
void request_add_header(struct request *request, const char *name, char *value);

// The client left, or the server closes: forget the request, do not answer it. One listener.
void request_on_gone(struct request *request, void (*fn)(void *arg), void *arg);
// body is taken (malloc). type: of the content, static. allow: the Allow header of a 405, or NULL.
void request_answer(struct request *request, int status, const char *type, char *body, size_t len);
void request_refuse(struct request *request, int status, const char *allow, char *json);

struct server_answer *server_keep(int status, const char *type, char *body, size_t len);
void server_drop(struct server_answer **slot); // those who are being sent it still get it whole
void request_answer_kept(struct request *request, struct server_answer *answer);

// A reply without an end in sight: 200, chunked. Its client leaving is told as above.
void request_stream(struct request *request, const char *type);
// More of it, or what it begins with. False: nothing is added, as its host has not taken so much
// that there is no room (crowd_keep, together with bodies).
bool request_stream_add(struct request *request, const void *data, size_t len) must_check;
size_t request_stream_pending(const struct request *request); // bytes the client has yet to take
// Either is the last touch.
void request_stream_end(struct request *request);
void request_stream_break(struct request *request); // what is pending is dropped, and the client

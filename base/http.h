// HTTP client calls on the loop, over TCP or a unix socket: only http*.c know libcurl. A
// call in flight is a handle that its owner may cancel; its callback comes exactly once unless
// cancelled, never inside http_start, and the handle is gone when it runs. No redirects, no
// proxies, no cookies, no "Expect:", no signals; TLS only where a request asks for it. Addresses
// are literals or resolved by libcurl's own threads; callers give literals.
#pragma once
#include "base/err.h"
#include "base/loop.h"
#include "base/tls.h"
#include <stddef.h>

struct http; // a client: connection pool and limits
struct http_call;
struct http_reply;

struct http_request {
    const char *method;         // "GET" when NULL
    const char *url;            // http://host:port/path; with unix_socket the host is only a name
    const char *unix_socket;    // path, or NULL for TCP
    const char *const *headers; // NULL-ended "Name: value", or NULL
    const void *body;           // copied; NULL: none. A POST without body sends Content-Length: 0
    size_t body_len;
    int64_t connect_ms; // 1000 when 0; with `trust` four seconds more
    int64_t timeout_ms; // whole call; 0: none (a stream)
    size_t max_reply;   // bytes kept of the body; 1 MiB when 0. More is ERR_LIMIT and ends the call
    bool fresh;         // own connection, closed afterwards
    bool tls;           // https:// is welcome as well; the server's certificate is always verified
    const char *ca_file; // tls: whom to trust (PEM) instead of the system's; NULL
    // Instead of ca_file: TLS 1.3 alone, and the certificate must be signed by one of these and be
    // of tls_name or of the URL's host ("" alone: of anybody). Both are held, copied.
    struct tls_trust *trust;
    const char *tls_name;
    // When set, the body is handed over piece by piece instead of being kept (max_reply does not
    // apply); anything but 0 ends the call with ERR_CANCELLED. on_head comes once with the status
    // before the first piece.
    int (*on_data)(const void *data, size_t len, void *arg);
    void (*on_head)(const struct http_reply *head, void *arg);
};

struct http_reply {
    struct http_call *call; // for http_header only
    int status;             // 0 when none was received
    const char *body;       // NUL-terminated; borrowed until the callback returns; "" when streamed
    size_t len;
    bool sent; // some of the request has left us: it may have been carried out, whatever came back
};

// err.kind is ERR_NONE when a complete reply arrived, whatever its status. Else ERR_RETRY (could
// not connect, within connect_ms or at all; cut off; not HTTP; code is the errno or 0), ERR_TIMEOUT
// (timeout_ms, counted from http_start, waiting for max_total included), ERR_LIMIT (max_reply, or
// 64 KiB of header), ERR_CANCELLED (on_data said so), ERR_USER (not an http:// address).
typedef void http_fn(const struct http_reply *reply, const struct err *err, void *arg);

// max_total bounds the connections in use at once, streams included (further calls wait); max_idle
// those kept for re-use.
struct http *http_create(struct loop *loop, int max_total, int max_idle);
// Cancels what is in flight, without callbacks; from within a callback too.
void http_free(struct http *http);
struct http_call *http_start(struct http *http, const struct http_request *request, http_fn *fn,
                             void *arg);
void http_cancel(struct http_call **slot); // no callback after it; no-op on NULL
// Value of a header, valid inside the callback or on_head only; NULL when missing.
const char *http_header(const struct http_reply *reply, const char *name);

// A raw two-way connection after an HTTP upgrade: what the engine calls hijacking (exec with
// stdin). `head` is the complete request as bytes. Status and headers are consumed; what follows
// comes piece by piece through on_data with on_end at the end (err.kind ERR_NONE on a clean EOF).
// send queues and never blocks; half_close sends FIN after what is queued.
struct http_duplex;
struct http_duplex_events {
    void (*on_head)(int status, void *arg);
    void (*on_data)(const void *data, size_t len, void *arg);
    void (*on_end)(const struct err *err, void *arg); // the handle is gone when it runs
};
struct http_duplex *http_duplex_open(struct http *http, const char *unix_socket,
                                     const char *host_url, const char *head, size_t head_len,
                                     const struct http_duplex_events *events, void *arg);
void http_duplex_send(struct http_duplex *d, const void *data, size_t len);
void http_duplex_half_close(struct http_duplex *d);
void http_duplex_close(struct http_duplex **slot); // no callback after it

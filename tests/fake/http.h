// base/http.h without a network: what a client asks is handed to the test's server function after
// the latency, and the answer it fills in comes back, late, broken off or never, as the test wants.
// Every client of the process asks the same server. Streams and duplex connections are not played:
// who opens one fails a CHECK.
#pragma once
#include "base/http.h"
#include <stdbool.h>

enum fake_http_fault {
    FAKE_HTTP_FINE,
    FAKE_HTTP_REFUSED, // nobody listens
    FAKE_HTTP_RESET,   // the request was served, its answer is lost
    FAKE_HTTP_SILENT,  // no answer for ever
};

struct fake_http_request { // borrowed
    const char *method;
    char *host, *path; // host without brackets
    int port;
    const char *body;
    size_t len;
    const struct http_call *call;
};
// Value of a header of the request, "" when missing.
const char *fake_http_value(const struct fake_http_request *request, const char *name);

struct fake_http_answer {
    int status; // 200 at first
    char *body; // freed by the fake; NULL: "{}"
    int64_t delay_ms;
    enum fake_http_fault fault;
};
typedef void fake_http_fn(const struct fake_http_request *request, struct fake_http_answer *answer,
                          void *arg);

void fake_http_serve(fake_http_fn *fn, void *arg); // NULL: everybody refuses
void fake_http_latency(int64_t one_way_ms);        // 1 at first
int fake_http_sent(const struct http *http);       // requests that were started
int fake_http_flying(const struct http *http);     // neither answered nor cancelled
int fake_http_peak(const struct http *http);       // the most of them at once

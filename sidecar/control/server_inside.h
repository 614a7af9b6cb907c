// What the two files of the server share: server.c (connections, deadlines, the daemon on the loop)
// and server_request.c (one request, from its first line to its answer). Nobody else's.
#pragma once
#include "base/list.h"
#include "base/text.h"
#include "sidecar/control/crowd.h"
#include "sidecar/control/server.h"
#include <microhttpd.h>

enum {
    SERVER_HEADER_MS = 5000, // from the connection, or a request's first line, to its empty line
    SERVER_BODY_MS = 30000,  // from there to the end of the body; the same for a reply to be taken
    SERVER_BODY_RATE = 16,   // bytes a millisecond (KiB a second) that a body must come at,
                             // after the first SERVER_HEADER_MS
    SERVER_IDLE_MS = 15000,  // from a reply to the end of the next header
    SERVER_STATUS_MIN = 100,
    SERVER_STATUS_MAX = 600,
};
static const int64_t SERVER_NEVER = INT64_MAX;

struct connection {
    struct crowd_member member; // first
    int fd;                     // microhttpd's
    int64_t deadline;
};

struct server {
    struct loop *loop;
    struct server_events events;
    void *arg;
    struct MHD_Daemon *mhd;
    int port;
    struct loop_fd *watch; // of microhttpd's epoll
    struct loop_timer *again, *sweep;
    struct loop_turn *turn;
    struct crowd crowd;  // members are struct connection
    struct link waiting; // struct request, suspended
    bool closing;
    bool resumed; // microhttpd has to look at it, and no descriptor says so
    uint64_t answered[SERVER_STATUS_MAX - SERVER_STATUS_MIN];
};

enum phase {
    HEAD,      // its request line is here
    READING,   // its body
    HANDED,    // inside on_head or on_request
    SUSPENDED, // until somebody answers, or a stream has more
    ANSWERED,  // the reply is known
    LOST,      // the client has left
};

struct request {
    struct link link; // server->waiting while SUSPENDED
    struct server *server;
    struct connection *connection;
    struct MHD_Connection *mhd;
    const char *path, *method;
    char *target; // of the request line, as it came
    void *attached;
    void (*release)(void *attached);
    struct {
        const char *name;
        char *value;
    } extra[REQUEST_EXTRAS]; // headers of the answer
    size_t extras;
    struct text body;
    size_t body_max, line_len, received; // received: of the body, kept or not
    int64_t body_began;
    bool odd_target; // bytes in the request line that no target has
    enum phase phase;
    struct loop_fd *watch; // tells when the client leaves while SUSPENDED
    void (*gone)(void *arg);
    void *gone_arg;
    struct MHD_Response *response; // ours to release
    int status;
    struct {
        bool on, ended;
        struct text text;
        size_t taken;
    } stream;
};

// Called by microhttpd.
void *server_on_line(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result server_on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *len, void **con_cls);
void server_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                         enum MHD_RequestTerminationCode why);
void server_dismiss(struct request *request); // one that waits, when the server closes

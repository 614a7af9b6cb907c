// What the files of this folder share: the struct, its routes and how they answer. Each route file
// owns what waits for it and lets go of it when the request is gone; server_close tells that to
// every request that waits, so control_close has nothing else to find.
#pragma once
#include "base/http.h"
#include "base/inbox.h"
#include "base/list.h"
#include "sidecar/control/control.h"
#include "sidecar/control/gate.h"
#include "sidecar/control/server.h"

struct fan; // a look at the whole cluster, cluster_route.c

struct control {
    struct loop *loop;
    struct http *http;
    const struct spec *spec;
    struct pod *pod;
    struct control_hooks hooks;
    void *arg;
    struct server *server;
    struct gate *gate;          // NULL: everybody is let in
    struct server_answer *info; // the prepared answer of /info; NULL: to be made
    int64_t info_made;
    struct fan *fan; // of all requests for /cluster that wait; NULL: none
    struct {
        struct link list;        // struct wait
        struct loop_timer *look; // soon, or by the clock
        bool reading;            // of the snapshot
    } waits;
    struct {
        struct link list; // struct follower
        struct inbox *inbox;
        uint64_t posted; // lines; under the log's lock
    } follows;
    struct link reads; // struct cluster_read in flight
};

// ---- routes.c ----
struct route {
    const char *path;
    enum gate_access access;
    bool portal;      // only where there is one
    bool gated;       // only where there is a gate
    bool rest;        // path ends in '/', what follows is the handler's
    unsigned methods; // enum request_method
    size_t max_body;
    void (*serve)(struct control *c, struct request *request);
};
enum { BODY_SMALL = 64 * 1024, BODY_LARGE = 2 * 1024 * 1024 };
// The route of a request; NULL after it was answered 404 or 405.
const struct route *routes_find(const struct control *c, struct request *request);

void info_route(struct control *c, struct request *request);
void log_route(struct control *c, struct request *request);
void reset_route(struct control *c, struct request *request);
void task_route(struct control *c, struct request *request);
void exec_route(struct control *c, struct request *request);
void shell_route(struct control *c, struct request *request);
void cluster_route(struct control *c, struct request *request);
void wait_route(struct control *c, struct request *request);
void livez_route(struct control *c, struct request *request);
void readyz_route(struct control *c, struct request *request);
void metrics_route(struct control *c, struct request *request);
void nonce_route(struct control *c, struct request *request);

// ---- task_route.c ----
// A request that waits for the pod: answered by task_reply, by its own clock when the budget is
// over (408), or forgotten when the client leaves. ask is to be set by who began it.
struct task {
    struct request *request;
    struct pod_ask *ask;
    struct loop_timer *budget;
    bool first; // a leader's, and nobody has sent it before; believed once the pod has obeyed
};
struct task *task_begin(struct control *c, struct request *request, int64_t budget_ms);
pod_reply_fn task_reply;
// X-Ochopod-Budget-Ms; missing leaves *ret_ms.
int task_read_budget(struct request *request, int64_t *ret_ms, struct err *err) must_check;

// ---- log_route.c ----
void log_close(struct control *c);

// ---- info.c ----
json_t *info_object(struct control *c); // Ochopod's keys first; new reference

// ---- cluster_route.c ----
// ZooKeeper's part of the cluster. fn comes once, later, unless the control port is closed before.
typedef void cluster_read_fn(struct control *c, const json_t *answer, const struct err *err);
void cluster_read(struct control *c, cluster_read_fn *fn);
void cluster_close(struct control *c);

// ---- wait.c ----
void wait_changed(struct control *c); // look again, soon

// ---- reply.c ----
int reply_status(enum err_kind kind);
void reply_json(struct request *request, int status, const json_t *j); // NULL: {}
struct server_answer *reply_keep(const json_t *j);                     // a 200 for many
void reply_error(struct request *request, const struct err *err);
void reply_complaint(struct request *request, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// A whole number of a header or of the query; missing leaves *ret. ERR_USER names it.
int reply_number(const char *name, const char *value, int64_t min, int64_t max, int64_t *ret,
                 struct err *err) must_check;

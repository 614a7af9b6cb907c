// The control port: HTTP on the loop. server.c and server_request.c alone know microhttpd
// (external epoll, suspended requests, no threads); routes.c is the table {method, path, handler};
// reply.c turns an err into a status and {"error": "..."}; gate.c
// lets in what is signed where there is a token. A request that waits
// (control, wait, cluster, exec, shell, log?follow) is suspended and costs no thread; a client that
// leaves is noticed. Limits: request line 2 KiB, 64 headers, 8 KiB in all, body 2 MiB for /control,
// /exec and /shell, 64 KiB else (413), header within 5 s, body at 16 KiB/s and within 30 s, idle 15
// s, 1,024 connections. No chunked bodies (411). Unknown route 404, wrong method 405, never a
// crash. Knows the pod; never the coordinator: what only that knows comes through callbacks that
// app hands in.
#pragma once
#include "base/loop.h"
#include "sidecar/auth/auth.h"
#include "sidecar/pod/pod.h"
#include "sidecar/portal/portal.h"
#include "sidecar/spec/spec.h"

typedef void control_json_fn(const json_t *answer, const struct err *err, void *arg);
struct control_hooks {
    json_t *(*info)(void *arg); // the whole /info object; new reference
    void (*reset)(void *arg);
    void (*cluster)(control_json_fn *fn, void *fn_arg,
                    void *arg);       // GET /cluster: ZooKeeper's part (coordinator_read)
    int64_t (*generation)(void *arg); // of the cluster, -1 unknown
    bool (*alive)(void *arg);         // /livez
    struct portal *portal;            // /shell; NULL: there is no such route
    struct auth *auth;                // who may, and TLS; NULL: whoever reaches the port
};

struct control;
// Binds `port` (the spec's, or what was allotted for it) and listens; ERR_USER: port in use,
// address not ours (says which and what to do).
int control_open(struct loop *loop, struct http *http, const struct spec *spec, int port,
                 struct pod *pod, const struct control_hooks *hooks, void *arg,
                 struct control **ret, struct err *err) must_check;
int control_port(const struct control *control); // the one it listens on, also when it asked for 0
void control_changed(struct control *control);   // something /info shows has changed: the cached
                                                 // answer is dropped, /wait looks again
void control_close(struct control *control);     // open requests are answered 503; takes NULL

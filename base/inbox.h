// Messages from another thread to the loop: the only mutex in the tree beside the log's. Any thread
// posts; the loop detaches the whole list under the lock, unlocks, then hands over the messages in
// order. A posted message belongs to the inbox until it is handed over, then to the receiver. The
// receiver may free the inbox.
#pragma once
#include "base/list.h"
#include "base/loop.h"

struct inbox;
struct inbox_message {
    struct link link; // first member of what is posted
};

typedef void inbox_fn(struct inbox_message *message, void *arg);

struct inbox *inbox_create(struct loop *loop, inbox_fn *receive, void *arg);
void inbox_post(struct inbox *inbox, struct inbox_message *message); // any thread
// Hands over nothing any more; messages are kept for inbox_free. For owners that wait for a thread
// to end after the loop may have stopped.
void inbox_stop(struct inbox *inbox);
// Messages not yet handed over go to `drop`. No thread may post any more.
void inbox_free(struct inbox *inbox, inbox_fn *drop);

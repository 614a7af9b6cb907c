#include "base/inbox.h"
#include "base/check.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct inbox {
    pthread_mutex_t lock;
    struct link posted; // under the lock
    struct link taken;  // the loop's
    int wake;           // eventfd; readable when something was posted
    struct loop_fd *watch;
    inbox_fn *receive;
    void *arg;
    bool *freed; // of the dispatch in progress
};

static void take_posted(struct inbox *inbox) {
    uint64_t n;
    CHECK(read(inbox->wake, &n, sizeof(n)) == sizeof(n) || errno == EAGAIN);
    pthread_mutex_lock(&inbox->lock);
    while (!list_empty(&inbox->posted)) {
        struct link *it = inbox->posted.next;
        list_remove(it);
        list_append(&inbox->taken, it);
    }
    pthread_mutex_unlock(&inbox->lock);
}

static void on_wake(int events, void *arg) {
    (void)events;
    struct inbox *inbox = arg;
    bool freed = false;
    inbox->freed = &freed;
    take_posted(inbox);
    while (!freed && !list_empty(&inbox->taken)) {
        struct inbox_message *message = list_first(&inbox->taken, struct inbox_message, link);
        list_remove(&message->link);
        inbox->receive(message, inbox->arg);
    }
    if (!freed)
        inbox->freed = NULL;
}

struct inbox *inbox_create(struct loop *loop, inbox_fn *receive, void *arg) {
    struct inbox *inbox = xnew(struct inbox);
    pthread_mutex_init(&inbox->lock, NULL);
    list_init(&inbox->posted);
    list_init(&inbox->taken);
    inbox->receive = receive;
    inbox->arg = arg;
    inbox->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(inbox->wake >= 0);
    inbox->watch = loop_fd_start(loop, inbox->wake, LOOP_READ, on_wake, inbox);
    return inbox;
}

void inbox_post(struct inbox *inbox, struct inbox_message *message) {
    uint64_t one = 1;
    pthread_mutex_lock(&inbox->lock);
    bool first = list_empty(&inbox->posted);
    list_append(&inbox->posted, &message->link);
    // Under the lock, so that inbox_free after the last message never closes it under our feet.
    if (first)
        CHECK(write(inbox->wake, &one, sizeof(one)) == sizeof(one));
    pthread_mutex_unlock(&inbox->lock);
}

void inbox_stop(struct inbox *inbox) {
    if (inbox->freed)
        *inbox->freed = true; // the dispatch in progress ends here
    inbox->freed = NULL;
    loop_fd_stop(&inbox->watch);
}

static void drop_all(struct link *list, inbox_fn *drop, void *arg) {
    while (!list_empty(list)) {
        struct inbox_message *message = list_first(list, struct inbox_message, link);
        list_remove(&message->link);
        drop(message, arg);
    }
}

void inbox_free(struct inbox *inbox, inbox_fn *drop) {
    if (!inbox)
        return;
    inbox_stop(inbox);
    take_posted(inbox);
    drop_all(&inbox->taken, drop, inbox->arg);
    close(inbox->wake);
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

// The status line of a cluster, which only its leader has: what the last round or the probe said,
// or, while there is one, the trouble; then what the watch skips or holds on to. Words of strangers
// lose their control characters and are cut.
#pragma once
#include "base/text.h"
#include "sidecar/leader/leader.h"
#include "sidecar/leader/watch.h"

struct status_ticket;
struct status {
    const struct watch *watch;
    char *line, *trouble; // "" none
    struct text text;
    struct status_ticket *ticket; // the probe at work
};

void status_init(struct status *s, const struct watch *watch);
void status_done(struct status *s);
void status_line(struct status *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void status_trouble(struct status *s, const char *reason); // NULL: none any more
void status_refresh(struct status *s);                     // the watch's notes may have changed
// Asks the probe unless it is at work; its answer becomes the line.
void status_probe(struct status *s, const struct leader_config *config, const json_t *view);

#include "sidecar/leader/status.h"
#include "base/check.h"
#include "base/own.h"
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum { MAX_LINE = 240 };

// The probe answers when it likes; the leader may be gone by then.
struct status_ticket {
    struct status *status;
};

void status_init(struct status *s, const struct watch *watch) {
    *s = (struct status){.watch = watch, .line = xstrdup(""), .trouble = xstrdup("")};
}

void status_done(struct status *s) {
    if (s->ticket)
        s->ticket->status = NULL;
    text_done(&s->text);
    free(s->line);
    free(s->trouble);
}

// The line travels in JSON: bytes that are no UTF-8, or were cut in the middle, would lose it
// whole.
void status_refresh(struct status *s) {
    auto_text struct text notes = {0};
    const char *line = *s->trouble ? s->trouble : s->line;
    watch_notes(s->watch, &notes);
    const char *rest = text_str(&notes);
    text_clear(&s->text);
    text_add_utf8(&s->text, line, strlen(line));
    rest += *line || !*rest ? 0 : strlen("; ");
    text_add_utf8(&s->text, rest, strlen(rest));
}

static char *clean(const char *said) {
    char *line = xstrndup(said, MAX_LINE);
    for (char *at = line; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = at[1] ? ' ' : '\0';
    return line;
}

static void put(struct status *s, char **where, char *line) {
    free(*where);
    *where = line;
    status_refresh(s);
}

void status_line(struct status *s, const char *fmt, ...) {
    char *line = NULL;
    va_list args;
    va_start(args, fmt);
    CHECK(vasprintf(&line, fmt, args) >= 0);
    va_end(args);
    put(s, &s->line, line);
}

void status_trouble(struct status *s, const char *reason) {
    put(s, &s->trouble, reason ? xasprintf("* %s", reason) : xstrdup(""));
}

static void on_probed(const char *line, const struct err *err, void *arg) {
    struct status_ticket *ticket = arg;
    struct status *s = ticket->status;
    free(ticket);
    if (!s)
        return;
    s->ticket = NULL;
    if (err->kind != ERR_NONE)
        status_line(s, "* probe: %s", err->text);
    else
        put(s, &s->line, clean(line ? line : ""));
}

void status_probe(struct status *s, const struct leader_config *config, const json_t *view) {
    if (s->ticket)
        return;
    s->ticket = xnew(struct status_ticket);
    s->ticket->status = s;
    config->probe(view, on_probed, s->ticket, config->arg);
}

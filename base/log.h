// One line a fact, the object first: `pod marathon.zk#3 state=running from=configuring event=up`.
// err: a person must act. warn: we go on, and the line says how. info: transitions and decisions.
// debug: traffic. Lines go to stderr and into a ring of the last 32 KiB, which /log serves together
// with the workload's own lines (log_keep). The level and the ring are the only globals of the
// program. Thread-safe (ZooKeeper's library logs from its threads). Values from outside go through
// text_quote.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
bool log_is(enum log_level level);
void log_secret(const char *secret); // never appears in a line from now on: replaced by ***; copied

// The same for what is served: in place, those of eight bytes and more (a shorter one is found by
// chance).
void log_hide(char *s);

// What only its name says is a secret may be a word of ours ("postgres"), or our address: it is
// hidden in what hooks and the like say, by log_hide_said, and nowhere else. Copied.
void log_secret_said(const char *secret);
void log_hide_said(char *s);

void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// A line of the workload: into the ring, and passed through to our stderr as it is (the framework
// collects it).
void log_keep(const char *line, size_t len);

// Calls fn for each line of the ring, oldest first; a line has no newline. fn must not log.
void log_each(void (*fn)(const char *line, size_t len, void *arg), void *arg);
// Called on whatever thread logs, for each line that enters the ring (`/log?follow`); one listener
// or NULL.
void log_listen(void (*fn)(const char *line, size_t len, void *arg), void *arg);

// No new privileges, no capabilities, and for each of our processes a list of the system calls it
// may make: the only file that knows libseccomp. A process gets its filters when it has what it
// needs; a later one takes away from an earlier one. Threads that exist get it too (TSYNC).
// Source of the lists: sandbox_lists.c.
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

// A sanitizer's shadow memory is terabytes: no limit of ours holds it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SHADOWED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SHADOWED 1
#endif
#endif
#ifndef SANDBOX_SHADOWED
#define SANDBOX_SHADOWED 0
#endif

enum sandbox {
    SANDBOX_WORKER_START, // sees where it is: opens files, asks the kernel for its addresses
    SANDBOX_WORKER,       // all stations stand: TCP and what it holds already
    SANDBOX_BROKER_START, // looks for its own container
    SANDBOX_BROKER,       // unix sockets, nothing else
    SANDBOX_BROKER_TCP,   // DOCKER_HOST is tcp://: names and TCP as well
    SANDBOX_NAMES,        // looks names up: reads files, asks name servers
    SANDBOX_RUNNER,       // no sockets; what a hook executes has this too
    SANDBOX_JOB,          // renders, writes files: no sockets, executes nothing
    SANDBOX_PORTAL,       // a runner whose children are `ocho`: sockets but unix ones
    SANDBOX_SETTLED,      // refuses a change of user: on top of a list that had allowed it
    SANDBOX_COUNT
};

// ---- the user (sandbox_user.c) ----

// Whom worker, broker and names become, and their group where no other is meant. Debian and systemd
// leave it to nobody: on `nobody` (65534) a host's other processes run, which could signal ours.
enum { SANDBOX_USER = 65525 };

struct sandbox_user {
    bool leaves; // else it stays as it is
    gid_t group;
    char why[200]; // it stays
};

// Whether user and group can be changed here at all. This, and the next three, try it in a child.
// Before threads and filters.
void sandbox_user_choose(struct sandbox_user *ret);
// Not if it could then no longer read one of these files (NULL-ended) that can be read now.
void sandbox_user_reads(struct sandbox_user *user, const char *const *paths);
// The same of sandbox_resolver.
void sandbox_user_resolves(struct sandbox_user *user);
// With the group of that socket; not if that is no way to it.
void sandbox_user_connects(struct sandbox_user *user, const char *socket);
// The rule of it: whether the group of a socket may read and write, and which it is.
bool sandbox_user_group(const struct stat *socket, gid_t *ret_group) must_check;
// Of all threads; no supplementary groups. Nothing where it stays. What a parent's death sends
// holds on, and so does that it is not dumpable.
int sandbox_become(const struct sandbox_user *user, struct err *err) must_check;

// ---- what it may ----

int sandbox_drop(struct err *err)
    must_check; // no_new_privs, capabilities empty, bounding set too, not dumpable
// The same, but for what sandbox_become needs later, which empties the rest.
int sandbox_drop_until(const struct sandbox_user *user, struct err *err) must_check;

// What this process, and what it forks, may have of writable memory that is no file's: stacks of
// its threads, heap, libraries' data. More is refused, so that it ends by itself (base/check.h)
// before it takes the memory of the workload. A worker that looked at 1,290 pods had a third of it.
enum { SANDBOX_MEMORY = 256 << 20 };
int sandbox_memory(struct err *err) must_check;

// OCHOPOD_SECCOMP=log for development only logs.
int sandbox_filter(enum sandbox which, struct err *err) must_check;
// How many system calls its list names, with or without conditions; 0: it names what is refused.
size_t sandbox_size(enum sandbox which);

// Landlock, where the kernel has it (5.13 and later): from now on this thread, and what it forks,
// opens files for reading only below `read`, for writing only below `write` (NULL-ended lists of
// folders, or files; those that are not there are passed over; NULL: nowhere). 1: it is in force;
// 0: this kernel has none, which is logged by nobody.
int sandbox_files(const char *const *read, const char *const *write, struct err *err) must_check;
extern const char *const sandbox_resolver[]; // the files that say who is asked for addresses

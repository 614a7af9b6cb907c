// Files that came by HTTP, for a command that is run: in a folder of their own below the state
// directory, under names of ours. Short and rare, so written on the loop thread. The folder is the
// command's working directory and goes when it has ended, with all that the command left there but
// what is mounted; what takes longer than the loop can wait goes when the sidecar starts again.
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"
#include <stdbool.h>
#include <stddef.h>

struct upload {
    const char *name; // as the client said; only its last component, cleaned, is used
    const void *data;
    size_t len;
};

// The new folder with these files in it; NULL: err, and nothing is left. ERR_USER: a name is none,
// or is there twice. End it with uploads_remove.
char *uploads_write(const char *below, const struct upload *uploads, size_t n,
                    struct err *err) must_check;
void uploads_remove(char *folder); // and frees it; takes NULL
// Whether it is called as uploads_write calls its folders.
bool uploads_is_folder(const char *below, const char *path);
// What a clerk does (clerk.h) for a process that has no files: the two above ask it. arg: below.
#define UPLOADS_WRITE  "uploads write"
#define UPLOADS_REMOVE "uploads remove"
void uploads_write_duty(struct wire *request, struct text *answer, const void *arg);
void uploads_remove_duty(struct wire *request, struct text *answer, const void *arg);
// Folders that a crash has left; at start, when nothing runs.
void uploads_sweep(const char *below);

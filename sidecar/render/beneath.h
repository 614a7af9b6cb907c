// A path below a root, opened so that it cannot lead out of it: not by "..", not through a symlink
// (also one that is swapped in meanwhile), not into another mount. The only file that calls
// openat2.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>
#include <sys/stat.h>

// The longest of roots (a JSON array of absolute paths) that holds path; NULL: none.
const char *beneath_root(const json_t *roots, const char *path);

struct beneath {
    int dir;          // the directory that holds the name, open for reading; -1 when not open
    const char *name; // last part of the path; borrowed from it
};
// ERR_ABSENT: the directory is not there (create: it and what leads to it is made, 0755).
// ERR_REFUSED: the path leads out, or no directory can be made. path must lie below root.
int beneath_open(const char *root, const char *path, bool create, struct beneath *ret,
                 struct err *err) must_check;
void beneath_close(struct beneath *b);
#define auto_beneath __attribute__((cleanup(beneath_close)))

// -1 with errno. Never follows a link, never blocks on a fifo.
int beneath_file(const struct beneath *b, const char *name, int flags, mode_t mode);
// What stands under the name: ERR_ABSENT when nothing, ERR_REFUSED when it is no plain file, has
// other names (hard links) or is a mount point.
int beneath_look(const struct beneath *b, const char *path, struct stat *ret,
                 struct err *err) must_check;

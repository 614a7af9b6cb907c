// What a folder holds, for tests that leave nothing behind or look whether somebody else did.
#pragma once
#include "base/check.h"
#include <dirent.h>
#include <stddef.h>

// Without "." and "..".
static size_t folder_entries(const char *path) {
    DIR *dir = opendir(path);
    CHECK(dir);
    size_t n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

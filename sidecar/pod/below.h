// Whether a file can be reached below a folder, told from where the kernel says that both are
// mounted: nothing is walked, however much the folder holds. Reads /proc, changes nothing.
#pragma once
#include <stdbool.h>

enum below {
    BELOW_NO,      // nor can any other name of it: its file system is not there
    BELOW_RENAMED, // not under the name we know; another one of the same file may be there
    BELOW_YES,
    BELOW_UNKNOWN, // the kernel did not say
};

enum below below_find(const char *dir, const char *file);
bool below_path(const char *path, const char *dir); // by name alone: at or below it

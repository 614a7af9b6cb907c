// A report in the XML that CI servers read (JUnit's, as Jenkins, GitLab and pytest write it): one
// suite, a case for each thing that was to be so. Memory until junit_write, which puts a whole file
// in place or none.
#pragma once
#include "base/err.h"
#include <stdint.h>

struct junit;
struct junit *junit_create(const char *suite);
void junit_free(struct junit *junit); // takes NULL
// failure: one line, NULL when it is so.
void junit_case(struct junit *junit, const char *classname, const char *name, int64_t ms,
                const char *failure);
// Can a file be put there? Asked before the work, not after it.
int junit_check(const char *path, struct err *err) must_check;
int junit_write(const struct junit *junit, const char *path, int64_t ms,
                struct err *err) must_check;

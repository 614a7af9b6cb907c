// The line of progress that a verb rewrites while it waits: on a terminal, and nowhere else.
#pragma once
#include <stdbool.h>

struct progress {
    bool terminal, said;
    char *line; // owned
};

void progress_open(struct progress *p);
void progress_tell(struct progress *p, const char *line);
void progress_end(struct progress *p); // before anything else is written, and at the end
// As marathon_tell calls it, with the progress; NULL: what was waited for is over.
void progress_of_marathon(const char *line, void *p);

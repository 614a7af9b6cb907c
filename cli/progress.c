#include "cli/progress.h"
#include "base/check.h"
#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void progress_open(struct progress *p) {
    *p = (struct progress){.terminal = isatty(STDERR_FILENO)};
}

void progress_tell(struct progress *p, const char *line) {
    if (!p->terminal || text_same(p->line, line))
        return;
    free(p->line);
    p->line = xstrdup(line);
    fprintf(stderr, "\r\033[K%.150s", line);
    p->said = true;
}

void progress_end(struct progress *p) {
    if (p->said)
        fprintf(stderr, "\r\033[K");
    p->said = false;
    free(p->line);
    p->line = NULL;
}

void progress_of_marathon(const char *line, void *p) {
    if (line)
        progress_tell(p, line);
    else
        progress_end(p);
}

// The process that looks names up: that it still does, and what is left in its memory.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/names.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/app.h"
#include "sidecar/sandbox.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Made where they are used: written down here they would stand in every process's memory.
enum { SHIFT = 1 };
static char variable[] = "PDIPQPE`[L>{l;00vtfs;dbobsz.fowAi"; // OCHOPOD_ZK=zk://user:canary-env@h
static char url[] = "{l;00vtfs;dbobsz.bshwAi";                // zk://user:canary-argv@h
static const char wanted[] = "dbobsz.";                       // canary-

static void shift(char *s, int by) {
    for (; *s; s++)
        *s = (char)(*s + by);
}

static pid_t only_child(void) {
    char name[64];
    pid_t pid = 0;
    snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
    auto_file FILE *f = fopen(name, "re");
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    return pid;
}

static FILE *open_of(pid_t pid, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/%s", (int)pid, what);
    FILE *f = fopen(name, "re");
    assert_non_null(f);
    return f;
}

// How often it stands in what may be written of a process's memory.
static int count(pid_t pid, const char *what) {
    auto_file FILE *maps = open_of(pid, "maps"), *mem = open_of(pid, "mem");
    char line[512], *page = xcalloc(1, 4096);
    int n = 0;
    for (uintptr_t from, to; fgets(line, sizeof line, maps);)
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " rw", &from, &to) == 2 && strstr(line, " rw"))
            for (; from < to; from += 4096)
                if (pread(fileno(mem), page, 4096, (off_t)from) == 4096)
                    n += memmem(page, 4096, what, strlen(what)) != NULL;
    free(page);
    return n;
}

static void it_answers_and_has_forgotten(void **state) {
    const struct spec_flags flags = {.zk = url};
    struct err err = ERR_INIT;
    char needle[sizeof wanted];
    int fd;
    (void)state;
    shift(variable, -SHIFT);
    shift(url, -SHIFT);
    assert_int_equal(putenv(variable), 0);
    assert_int_equal(app_start_names(&flags, &fd, &err), 0);
    names_use(fd);
    char **found = names_find("localhost");
    assert_non_null(found);
    text_list_free(found);
    if (SANDBOX_SHADOWED)
        return; // terabytes to be looked at
    memcpy(needle, wanted, sizeof wanted);
    shift(needle, -SHIFT);
    assert_true(count(getpid(), needle) > 0);
    assert_int_equal(count(only_child(), needle), 0);
    assert_int_equal(*url, 'z'); // it is the child's alone
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_answers_and_has_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

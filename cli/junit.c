#include "cli/junit.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct junit {
    char *suite;
    struct text cases;
    size_t n, failures;
};

struct junit *junit_create(const char *suite) {
    struct junit *junit = xnew(struct junit);
    junit->suite = xstrdup(suite);
    return junit;
}

void junit_free(struct junit *junit) {
    if (!junit)
        return;
    free(junit->suite);
    text_done(&junit->cases);
    free(junit);
}

// What XML cannot say at all (control characters) and bytes beyond ASCII become '?': a pod's name
// or an error must not break the whole report.
static void add_escaped(struct text *t, const char *value) {
    for (const char *s = value; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '<' || c == '>' || c == '&' || c == '"')
            text_addf(t, "&#%d;", c);
        else
            text_addc(t, (char)(c < ' ' || c > '~' ? '?' : c));
    }
}

static void add_attribute(struct text *t, const char *name, const char *value) {
    text_addf(t, " %s=\"", name);
    add_escaped(t, value);
    text_addc(t, '"');
}

static void add_seconds(struct text *t, int64_t ms) {
    text_addf(t, " time=\"%" PRId64 ".%03d\"", ms / 1000, (int)(ms % 1000));
}

void junit_case(struct junit *junit, const char *classname, const char *name, int64_t ms,
                const char *failure) {
    struct text *t = &junit->cases;
    text_add(t, "    <testcase");
    add_attribute(t, "classname", classname);
    add_attribute(t, "name", name);
    add_seconds(t, ms);
    junit->n++;
    if (!failure) {
        text_add(t, "/>\n");
        return;
    }
    junit->failures++;
    text_add(t, ">\n      <failure");
    add_attribute(t, "message", failure);
    text_addc(t, '>');
    add_escaped(t, failure);
    text_add(t, "</failure>\n    </testcase>\n");
}

static char *compose(const struct junit *junit, int64_t ms) {
    struct text t = {0};
    char stamp[32];
    struct tm tm;
    time_t now = time(NULL);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    text_add(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite");
    add_attribute(&t, "name", junit->suite);
    text_addf(&t, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\"", junit->n,
              junit->failures);
    add_seconds(&t, ms);
    add_attribute(&t, "timestamp", stamp);
    text_addf(&t, ">\n%s  </testsuite>\n</testsuites>\n", text_str(&junit->cases));
    return text_take(&t);
}

// ---- the file ----

// The temporary stands beside it: a rename does not cross file systems.
static int open_beside(const char *path, char **ret_temporary, struct err *err) {
    auto_free char *temporary = xasprintf("%s.XXXXXX", path);
    struct stat st;
    bool other = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    int fd = other ? -1 : mkostemp(temporary, O_CLOEXEC);
    if (other)
        err_set(err, ERR_USER, "%s: not a file", path);
    else if (fd < 0)
        err_errno(err, ERR_USER, errno, "%s", path);
    else
        *ret_temporary = take_ptr(temporary);
    return fd < 0 ? -1 : fd;
}

int junit_check(const char *path, struct err *err) {
    auto_free char *temporary = NULL;
    auto_fd int fd = open_beside(path, &temporary, err);
    if (fd < 0)
        return -1;
    unlink(temporary);
    return 0;
}

static bool write_all(int fd, const char *s) {
    for (size_t len = strlen(s); len;) {
        ssize_t n = write(fd, s, len);
        if (n < 0 && errno != EINTR)
            return false;
        s += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

int junit_write(const struct junit *junit, const char *path, int64_t ms, struct err *err) {
    auto_free char *xml = compose(junit, ms), *temporary = NULL;
    auto_fd int fd = open_beside(path, &temporary, err);
    if (fd < 0)
        return -1;
    if (write_all(fd, xml) && fchmod(fd, 0644) == 0 && fsync(fd) == 0 &&
        rename(temporary, path) == 0)
        return 0;
    err_errno(err, ERR_USER, errno, "%s", path);
    unlink(temporary);
    return -1;
}

#include "sidecar/render/journal.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/state/state.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { JOURNAL_MAX = 1024 * 1024 };

static int open_dir(const char *state_dir, struct err *err) {
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir >= 0 ? dir : err_errno(err, ERR_REFUSED, errno, "the state directory %s", state_dir);
}

static int put(int dir, const char *s, size_t len) {
    auto_fd int fd = openat(dir, STATE_JOURNAL ".new",
                            O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    while (len) {
        ssize_t n = write(fd, s, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        s += n;
        len -= (size_t)n;
    }
    return fsync(fd) || renameat(dir, STATE_JOURNAL ".new", dir, STATE_JOURNAL) || fsync(dir) ? -1
                                                                                              : 0;
}

int journal_write(const char *state_dir, const json_t *pairs, struct err *err) {
    auto_fd int dir = open_dir(state_dir, err);
    if (dir < 0)
        return -1;
    auto_free char *text = json_write(pairs);
    if (put(dir, text, strlen(text)))
        return err_errno(err, ERR_REFUSED, errno, "the journal in %s", state_dir);
    return 0;
}

json_t *journal_read(const char *state_dir, struct err *err) {
    auto_fd int dir = open_dir(state_dir, err);
    if (dir < 0)
        return NULL;
    auto_fd int fd = openat(dir, STATE_JOURNAL, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return json_array();
    auto_text struct text text = {0};
    char buf[4096];
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && text.len <= JOURNAL_MAX && (n = read(fd, buf, sizeof buf)) > 0)
        text_addn(&text, buf, (size_t)n);
    if (n < 0) {
        err_errno(err, ERR_REFUSED, errno, "the journal in %s", state_dir);
        return NULL;
    }
    json_t *pairs = json_read(text_str(&text), text.len, JOURNAL_MAX, STATE_JOURNAL, NULL);
    if (json_is_array(pairs))
        return pairs;
    json_decref(pairs);
    (void)renameat(dir, STATE_JOURNAL, dir, STATE_JOURNAL ".broken");
    return json_array();
}

void journal_remove(const char *state_dir) {
    auto_fd int dir = open_dir(state_dir, NULL);
    if (dir >= 0 && !unlinkat(dir, STATE_JOURNAL, 0))
        (void)fsync(dir);
}

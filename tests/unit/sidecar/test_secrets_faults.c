// Each system call of reading a secret fails in turn: it is read whole, or the file is named and
// nothing is kept.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/secrets.h"
#include "tests/unit/faulty.h"
#include "tests/unit/folder.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const int errors[] = {EIO, EMFILE, EACCES, ENOENT, ESTALE};

static size_t descriptors(void) {
    return folder_entries("/proc/self/fd");
}

// One read with the n-th call failing; false: there is no n-th.
static bool read_with(const char *path, int error, int n) {
    struct secret secret = {0};
    struct err err = ERR_INIT;
    fault_arm(n, error);
    int rc = secrets_read(path, &secret, &err);
    fault_disarm();
    if (fault.call && (!rc || secret.data || err.kind != ERR_USER || !strstr(err.text, path) ||
                       !strstr(err.text, strerror(error))))
        fail_msg("%s as call %d: %d, kind %d: %s", fault.call, n, rc, err.kind, err.text);
    if (!fault.call)
        assert_true(rc == 0 && secret.len == 5 && strcmp(secret.data, "hush\n") == 0);
    secrets_wipe(&secret);
    return fault.call;
}

static void a_read_that_fails_names_the_file_and_keeps_nothing(void **unused) {
    (void)unused;
    char path[] = "/tmp/ocho-secret-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "hush\n", 5) == 5);
    close(fd);
    size_t before = descriptors();
    for
        EACH_ERROR(e) {
            int n = 1;
            while (read_with(path, errors[e], n))
                n++;
            assert_true(n > 4); // open, fstat, read, and read to its end
        }
    assert_int_equal(descriptors(), before);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_that_fails_names_the_file_and_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

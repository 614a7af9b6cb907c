#include "sidecar/secrets.h"
#include "base/check.h"
#include "base/own.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char dir[] = "/tmp/ochopod-secrets-XXXXXX";

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state) {
    (void)state;
    return rmdir(dir);
}

static char *write_file(const char *text, size_t len, mode_t mode) {
    char *path = xasprintf("%s/secret", dir);
    auto_file FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void refused(const char *path, const char *wanted) {
    struct secret secret = {0};
    struct err err = ERR_INIT;
    assert_int_equal(secrets_read(path, &secret, &err), -1);
    assert_null(secret.data);
    assert_int_equal(err.kind, ERR_USER);
    if (!strstr(err.text, wanted) || !strstr(err.text, dir))
        fail_msg("%s", err.text);
}

static void a_file_is_read_whole(void **state) {
    (void)state;
    auto_free char *path = write_file("hush\n", 5, 0400);
    struct secret secret = {0};
    struct err err = ERR_INIT;
    if (secrets_read(path, &secret, &err))
        fail_msg("%s", err.text);
    assert_int_equal(secret.len, 5);
    assert_string_equal(secret.data, "hush\n");
    secrets_wipe(&secret);
    assert_null(secret.data);
    secrets_wipe(&secret);
    unlink(path);
}

static void what_is_no_secret_is_refused(void **state) {
    (void)state;
    auto_free char *path = xasprintf("%s/secret", dir);
    refused(path, "No such file");
    refused(dir, "is not a file");
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(path, "is not a file");
    unlink(path);
    free(write_file("", 0, 0400));
    refused(path, "is empty");
    free(write_file("hush", 4, 0620));
    refused(path, "can be written by others");
    free(write_file("hush", 4, 0602));
    refused(path, "can be written by others");
    auto_free char *large = xcalloc(1, SECRETS_MAX + 1);
    free(write_file(large, SECRETS_MAX + 1, 0400));
    refused(path, "is larger than 64 KiB");
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole),
        cmocka_unit_test(what_is_no_secret_is_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}

// Each system call of saving and opening the state fails in turn: what was promised before holds,
// the new is there or it was said that it is not, and nothing is torn.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/state/state.h"
#include "tests/unit/faulty.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const int errors[] = {ENOSPC, EIO, EROFS, EMFILE, EACCES};

static char dir[64];

static int make(void **unused) {
    (void)unused;
    strcpy(dir, "/tmp/ocho-state-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop(void **unused) {
    (void)unused;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    return rmdir(dir);
}

static struct state *opened(void) {
    struct state *state = NULL;
    struct err err = ERR_INIT;
    if (state_open(dir, false, &state, &err))
        fail_msg("%s", err.text);
    return state;
}

static void saved(struct state *state) {
    struct err err = ERR_INIT;
    if (state_save(state, &err))
        fail_msg("%s", err.text);
}

static char *failing(size_t e) {
    return xasprintf("%s (%s) as call %d", fault.call ? fault.call : "nothing", strerror(errors[e]),
                     fault.at);
}

// One save with the n-th call failing; false: there is no n-th.
static bool save_with(size_t e, int n) {
    struct err err = ERR_INIT;
    struct state *state = opened();
    int64_t before = state->epoch;
    state->epoch++;
    state->off = !state->off;
    fault_arm(n, errors[e]);
    int rc = state_save(state, &err);
    fault_disarm();
    auto_free char *what = failing(e);
    if (rc && (err.kind != ERR_REFUSED || !strstr(err.text, dir)))
        fail_msg("%s: kind %d: %s", what, err.kind, err.text);
    if (fault.call && !rc)
        fail_msg("%s: and it is said to be saved", what);
    state_close(state);
    state = opened();
    if (state->epoch != before && state->epoch != before + 1)
        fail_msg("%s: epoch %lld is %lld", what, (long long)before, (long long)state->epoch);
    if (!rc && state->epoch != before + 1)
        fail_msg("%s: what was saved is not there", what);
    if (state->off != (state->epoch & 1))
        fail_msg("%s: half of it", what);
    state_close(state);
    return fault.call;
}

static void a_save_that_fails_is_no_save_and_tears_nothing(void **unused) {
    (void)unused;
    struct state *state = opened();
    state->epoch = 10;
    saved(state);
    state_close(state);
    for
        EACH_ERROR(e) {
            int n = 1;
            while (save_with(e, n))
                n++;
            assert_true(n > 5); // open, write, fsync, rename, open, fsync at least
        }
}

static bool open_with(size_t e, int n, const char *id, int64_t epoch) {
    struct state *state = NULL;
    struct err err = ERR_INIT;
    fault_arm(n, errors[e]);
    int rc = state_open(dir, false, &state, &err);
    fault_disarm();
    auto_free char *what = failing(e);
    if (rc && (err.kind != ERR_USER || !strstr(err.text, dir)))
        fail_msg("%s: kind %d: %s", what, err.kind, err.text);
    if (!rc && (strcmp(state->pod_id, id) != 0 || state->epoch != epoch))
        fail_msg("%s: opened as another, epoch %lld", what, (long long)state->epoch);
    if (!rc)
        state_close(state);
    state = opened();
    if (strcmp(state->pod_id, id) != 0 || state->epoch != epoch)
        fail_msg("%s: later it is another, epoch %lld", what, (long long)state->epoch);
    state_close(state);
    return fault.call;
}

static void an_open_that_fails_forgets_nothing(void **unused) {
    (void)unused;
    struct state *state = opened();
    state->epoch = 77;
    saved(state);
    auto_free char *id = xstrdup(state->pod_id);
    state_close(state);
    for
        EACH_ERROR(e) {
            int n = 1;
            while (open_with(e, n, id, 77))
                n++;
            assert_true(n > 4);
        }
}

static void a_first_open_that_fails_can_be_repeated(void **unused) {
    (void)unused;
    for
        EACH_ERROR(e) {
            bool more = true;
            for (int n = 1; more; n++) {
                struct state *state = NULL;
                struct err err = ERR_INIT;
                fault_arm(n, errors[e]);
                int rc = state_open(dir, false, &state, &err);
                fault_disarm();
                more = fault.call;
                if (rc && (err.kind == ERR_NONE || !*err.text))
                    fail_msg("call %d: nothing is said", n);
                state_close(rc ? NULL : state);
                state = opened();
                assert_int_equal(strlen(state->pod_id), 36);
                state_close(state);
                drop(NULL);
                assert_int_equal(mkdir(dir, 0700), 0);
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_save_that_fails_is_no_save_and_tears_nothing, make, drop),
        cmocka_unit_test_setup_teardown(an_open_that_fails_forgets_nothing, make, drop),
        cmocka_unit_test_setup_teardown(a_first_open_that_fails_can_be_repeated, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

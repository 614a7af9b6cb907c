#include "base/check.h"
#include "base/own.h"
#include "sidecar/render/files.h"
#include "tests/unit/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

// A volume whose other side is hostile, a canary beside it, a state directory. Run as root: the
// tests mount what they need in a mount namespace of their own.

struct world {
    char folder[64];
    char *volume, *outside, *state;
};

static char *in(const char *folder, const char *name) {
    return xasprintf("%s/%s", folder, name);
}

static void put(const char *folder, const char *name, const char *text) {
    auto_free char *path = in(folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

// NULL when there is none.
static char *get(const char *folder, const char *name) {
    auto_free char *path = in(folder, name);
    auto_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *text = xcalloc(1, 1 << 20);
    assert_true(read(fd, text, (1 << 20) - 1) >= 0);
    return text;
}

static void holds(const char *folder, const char *name, const char *wanted) {
    auto_free char *got = get(folder, name);
    if (wanted)
        assert_string_equal(got, wanted);
    else
        assert_null(got);
}

static int group_setup(void **state) {
    (void)state;
    return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int setup(void **state) {
    struct world *w = xnew(struct world);
    strcpy(w->folder, "/tmp/ocho-files-XXXXXX");
    if (!mkdtemp(w->folder))
        return -1;
    w->volume = in(w->folder, "volume");
    w->outside = in(w->folder, "outside");
    w->state = in(w->folder, "state");
    *state = w;
    if (mkdir(w->volume, 0755) || mkdir(w->outside, 0755) || mkdir(w->state, 0755))
        return -1;
    put(w->outside, "canary", "alive");
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    // The test cannot have passed with the canary touched or accompanied.
    holds(w->outside, "canary", "alive");
    assert_int_equal(folder_entries(w->outside), 1);
    umount2(w->volume, MNT_DETACH);
    auto_free char *cmd = xasprintf("rm -rf %s", w->folder);
    int rc = system(cmd); // NOLINT
    free(w->volume);
    free(w->outside);
    free(w->state);
    free(w);
    return rc;
}

// ---- asking ----

#define POD  "11111111-2222-4333-8444-555555555555"
#define MINE ".ochopod-11111111_2222_4333_8444_555555555555-"

static json_t *argument(const struct world *w) {
    return json_pack("{s[s]ssss}", "roots", w->volume, "state_dir", w->state, "pod", POD);
}

static void add_file(const struct world *w, json_t *files, const char *name, const char *content,
                     int mode) {
    auto_free char *target = in(w->volume, name);
    json_array_append_new(files, json_pack("{sssssisisi}", "target", target, "content", content,
                                           "mode", mode, "uid", 12, "gid", 34));
}

static json_t *stage_of(const struct world *w, const char *pod, json_t *files, struct err *err) {
    auto_json json_t *arg = argument(w);
    json_object_set_new(arg, "files", files);
    json_object_set_new(arg, "pod", json_string(pod));
    return files_stage(arg, err);
}

static json_t *stage_all(const struct world *w, json_t *files, struct err *err) {
    return stage_of(w, POD, files, err);
}

static json_t *stage(const struct world *w, const char *name, const char *content,
                     struct err *err) {
    json_t *files = json_array();
    add_file(w, files, name, content, 0640);
    return stage_all(w, files, err);
}

static json_t *swap(const struct world *w, const json_t *staged, struct err *err) {
    auto_json json_t *arg = argument(w);
    json_object_set(arg, "staged", json_object_get(staged, "staged"));
    return files_swap(arg, err);
}

static json_t *look_ready(const struct world *w, const json_t *staged, struct err *err) {
    auto_json json_t *arg = argument(w);
    json_object_set(arg, "staged", json_object_get(staged, "staged"));
    return files_ready(arg, err);
}

static json_t *recover(const struct world *w) {
    auto_json json_t *arg = argument(w);
    struct err err = ERR_INIT;
    json_t *answer = files_recover(arg, &err);
    if (!answer)
        fail_msg("%s", err.text);
    return answer;
}

static void must_put(const struct world *w, const char *name, const char *content) {
    struct err err = ERR_INIT;
    auto_json json_t *staged = stage(w, name, content, &err);
    auto_json json_t *swapped = staged ? swap(w, staged, &err) : NULL;
    if (!swapped)
        fail_msg("%s", err.text);
}

// The message names the target and says why.
static void stage_refuses(const struct world *w, const char *name, const char *why) {
    struct err err = ERR_INIT;
    auto_json json_t *staged = stage(w, name, "new", &err);
    assert_null(staged);
    assert_int_equal(err.kind, ERR_REFUSED);
    auto_free char *target = in(w->volume, name);
    if (strncmp(err.text, target, strlen(target)) != 0 || !strstr(err.text, why))
        fail_msg("not %s because %s: %s", target, why, err.text);
}

// ---- what is promised ----

static void owner_mode_and_folders_are_as_asked(void **state) {
    struct world *w = *state;
    umask(077);
    struct err err = ERR_INIT;
    json_t *files = json_array();
    add_file(w, files, "a/b/c.cfg", "x", 04755);
    auto_json json_t *staged = stage_all(w, files, &err);
    auto_json json_t *swapped = swap(w, staged, &err);
    umask(022);
    assert_non_null(swapped);
    struct stat st;
    auto_free char *path = in(w->volume, "a/b/c.cfg"), *folder = in(w->volume, "a/b");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755); // never setuid
    assert_int_equal(st.st_uid, 12);
    assert_int_equal(st.st_gid, 34);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(folder_entries(folder), 1);
}

static void content_decides_what_has_changed(void **state) {
    struct world *w = *state;
    struct err err = ERR_INIT;
    must_put(w, "f", "same");
    auto_free char *path = in(w->volume, "f");
    assert_int_equal(chown(path, 1000, 1000), 0); // as an image's entrypoint does
    assert_int_equal(chmod(path, 0600), 0);
    auto_json json_t *same = stage(w, "f", "same", &err);
    assert_int_equal(json_array_size(json_object_get(same, "changed")), 0);
    auto_json json_t *longer = stage(w, "f", "same and more", &err);
    assert_int_equal(json_array_size(json_object_get(longer, "changed")), 1);
    auto_json json_t *other = stage(w, "f", "SAME", &err);
    assert_int_equal(json_array_size(json_object_get(other, "changed")), 1);
    // Each staging removes what was staged before.
    assert_int_equal(folder_entries(w->volume), 2);
    holds(w->volume, "f", "same");
}

static void what_a_crash_left_is_swept(void **state) {
    struct world *w = *state;
    put(w->volume, MINE "0-aaaa", "old");
    must_put(w, "f", "x");
    assert_int_equal(folder_entries(w->volume), 1);
}

static json_t *stage_as(const struct world *w, const char *pod) {
    struct err err = ERR_INIT;
    json_t *files = json_array();
    add_file(w, files, "f", pod, 0644);
    json_t *staged = stage_of(w, pod, files, &err);
    if (!staged)
        fail_msg("%s", err.text);
    return staged;
}

// Whatever a pod is called, its name stays one name, and is not the beginning of another's.
static void what_other_pods_staged_is_left_to_them(void **state) {
    struct world *w = *state;
    static const char *const pods[] = {POD,      "11111111", "11111111-2222-4333-8444-555555555556",
                                       "7/../x", "7",        ""};
    enum { PODS = sizeof pods / sizeof *pods };
    json_t *staged[PODS];
    for (size_t i = 0; i < PODS; i++)
        staged[i] = stage_as(w, pods[i]);
    assert_int_equal(folder_entries(w->volume), PODS);
    for (size_t i = 0; i < PODS; i++) { // a check that is made again sweeps its own
        json_decref(staged[i]);
        staged[i] = stage_as(w, pods[i]);
    }
    assert_int_equal(folder_entries(w->volume), PODS);
    const char *own = json_text(json_array_get(json_object_get(staged[0], "staged"), 0), "staged");
    assert_non_null(strstr(own, "/volume/" MINE "0-"));
    for (size_t i = 0; i < PODS; i++) {
        struct err err = ERR_INIT;
        auto_json json_t *swapped = swap(w, staged[i], &err);
        if (!swapped)
            fail_msg("%s: %s", pods[i], err.text);
        holds(w->volume, "f", pods[i]);
        json_decref(staged[i]);
    }
    assert_int_equal(folder_entries(w->volume), 1);
}

static void make_old(const char *folder, const char *name, time_t seconds) {
    auto_free char *path = in(folder, name);
    struct timespec when = {.tv_sec = time(NULL) - seconds};
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){when, when}, 0), 0);
}

// Of pods that are no more, and of a version whose names said no pod.
static void what_nobody_comes_back_for_is_swept_after_a_day(void **state) {
    struct world *w = *state;
    enum { HOUR = 3600 };
    put(w->volume, ".ochopod-3-0-aaaa", "old");
    put(w->volume, ".ochopod-99999999_2222_4333_8444_555555555555-0-aaaa", "old");
    put(w->volume, "mine", "the user's own");
    make_old(w->volume, "mine", 48 * HOUR);
    make_old(w->volume, ".ochopod-3-0-aaaa", 22 * HOUR);
    must_put(w, "f", "x");
    assert_int_equal(folder_entries(w->volume), 4);
    make_old(w->volume, ".ochopod-3-0-aaaa", 26 * HOUR);
    must_put(w, "f", "y");
    holds(w->volume, ".ochopod-3-0-aaaa", NULL);
    assert_int_equal(folder_entries(w->volume), 3);
    make_old(w->volume, ".ochopod-99999999_2222_4333_8444_555555555555-0-aaaa", 26 * HOUR);
    must_put(w, "f", "z");
    assert_int_equal(folder_entries(w->volume), 2);
}

static void links_are_not_followed(void **state) {
    struct world *w = *state;
    auto_free char *link = in(w->volume, "link"), *canary = in(w->outside, "canary");
    assert_int_equal(symlink(w->outside, link), 0);
    stage_refuses(w, "link/canary", "symlink");
    stage_refuses(w, "link/new", "symlink");
    stage_refuses(w, "link/deep/new", "symlink");
    stage_refuses(w, "link", "symlink");
    auto_free char *absolute = in(w->volume, "canary");
    assert_int_equal(symlink(canary, absolute), 0);
    stage_refuses(w, "canary", "symlink");
    auto_free char *dangling = in(w->volume, "dangling");
    assert_int_equal(symlink("/nonexistent/x", dangling), 0);
    stage_refuses(w, "dangling", "symlink");
    auto_free char *magic = in(w->volume, "magic");
    assert_int_equal(symlink("/proc/self/root", magic), 0);
    stage_refuses(w, "magic/etc/x", "symlink");
    stage_refuses(w, "../outside/canary", "out of its volume");
    stage_refuses(w, "a/../../outside/canary", "out of its volume");
}

static void only_plain_files_are_replaced(void **state) {
    struct world *w = *state;
    auto_free char *fifo = in(w->volume, "fifo"), *dir = in(w->volume, "dir");
    auto_free char *hard = in(w->volume, "hard"), *device = in(w->volume, "device");
    auto_free char *other = in(w->volume, "other");
    put(w->volume, "other", "two names");
    assert_int_equal(mkfifo(fifo, 0644), 0);
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(link(other, hard), 0);
    assert_int_equal(mknod(device, S_IFCHR | 0644, makedev(1, 3)), 0);
    stage_refuses(w, "fifo", "no plain file");
    stage_refuses(w, "dir", "no plain file");
    stage_refuses(w, "device", "no plain file");
    stage_refuses(w, "hard", "hard links");
    stage_refuses(w, "other/below", "Not a directory");
    holds(w->volume, "other", "two names");
}

static void mounts_within_a_volume_are_refused(void **state) {
    struct world *w = *state;
    auto_free char *file = in(w->volume, "file"), *canary = in(w->outside, "canary");
    auto_free char *dir = in(w->volume, "dir");
    put(w->volume, "file", "x");
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(mount(canary, file, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(w->outside, dir, NULL, MS_BIND, NULL), 0);
    stage_refuses(w, "file", "mounted");
    stage_refuses(w, "dir/new", "another mount");
    assert_int_equal(umount2(file, MNT_DETACH), 0);
    assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

static void a_full_volume_is_found_before_anything_is_touched(void **state) {
    struct world *w = *state;
    assert_int_equal(mount("tmpfs", w->volume, "tmpfs", 0, "size=64k"), 0);
    must_put(w, "f", "old");
    auto_free char *big = xcalloc(1, 100001);
    memset(big, 'x', 100000);
    struct err err = ERR_INIT;
    json_t *files = json_array();
    add_file(w, files, "f", "new", 0644);
    add_file(w, files, "g", big, 0644);
    auto_json json_t *staged = stage_all(w, files, &err);
    assert_null(staged);
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_non_null(strstr(err.text, "/g: its volume is full"));
    holds(w->volume, "f", "old");
    assert_int_equal(folder_entries(w->volume), 1);
}

static void a_read_only_volume_is_found_before_anything_is_touched(void **state) {
    struct world *w = *state;
    assert_int_equal(mount("tmpfs", w->volume, "tmpfs", 0, "size=64k"), 0);
    must_put(w, "f", "old");
    assert_int_equal(mount(NULL, w->volume, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    stage_refuses(w, "f", "read-only");
    stage_refuses(w, "new/f", "Read-only");
    holds(w->volume, "f", "old");
}

static void swap_touches_nothing_when_something_is_gone(void **state) {
    struct world *w = *state;
    struct err err = ERR_INIT;
    json_t *files = json_array();
    add_file(w, files, "f", "1", 0644);
    add_file(w, files, "d/g", "2", 0644);
    auto_json json_t *staged = stage_all(w, files, &err);
    const json_t *second = json_array_get(json_object_get(staged, "staged"), 1);
    auto_json json_t *ready = look_ready(w, staged, &err);
    assert_int_equal(json_integer_value(json_object_get(ready, "ready")), 2);
    assert_int_equal(unlink(json_text(second, "staged")), 0);
    assert_null(look_ready(w, staged, &err));
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_non_null(strstr(err.text, "/d/g: what was staged is gone; it must be checked again"));
    assert_int_equal(folder_entries(w->volume), 2);
    assert_null(swap(w, staged, &err));
    assert_int_equal(err.kind, ERR_REFUSED);
    holds(w->volume, "f", NULL);
    assert_int_equal(folder_entries(w->state), 0);
}

static void swap_sees_what_was_put_in_its_way(void **state) {
    struct world *w = *state;
    struct err err = ERR_INIT;
    auto_json json_t *staged = stage(w, "d/f", "1", &err);
    auto_free char *dir = in(w->volume, "d"), *away = in(w->volume, "e");
    assert_int_equal(rename(dir, away), 0);
    assert_int_equal(symlink(w->outside, dir), 0);
    assert_null(look_ready(w, staged, &err));
    assert_non_null(strstr(err.text, "symlink"));
    assert_null(swap(w, staged, &err));
    assert_non_null(strstr(err.text, "symlink"));
    assert_int_equal(unlink(dir), 0);
    assert_int_equal(rename(away, dir), 0);
    auto_free char *target = in(w->volume, "d/f");
    assert_int_equal(mkdir(target, 0755), 0);
    assert_null(swap(w, staged, &err));
    assert_non_null(strstr(err.text, "no plain file"));
    // What was staged is a link now.
    assert_int_equal(rmdir(target), 0);
    const char *name = json_text(json_array_get(json_object_get(staged, "staged"), 0), "staged");
    assert_int_equal(unlink(name), 0);
    assert_int_equal(symlink("/etc/shadow", name), 0);
    assert_null(swap(w, staged, &err));
    holds(w->volume, "d/f", NULL);
}

static void only_what_was_staged_is_swapped(void **state) {
    struct world *w = *state;
    struct err err = ERR_INIT;
    put(w->volume, "secret", "s");
    auto_free char *target = in(w->volume, "f"), *secret = in(w->volume, "secret");
    auto_free char *elsewhere = in(w->volume, "d/.ochopod-1");
    const char *wrong[] = {secret, elsewhere, "", ".ochopod-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        auto_json json_t *forged = json_pack("{s[{ssss}]}", "staged", "target", target, "staged",
                                             wrong[i]);
        assert_null(swap(w, forged, &err));
        assert_int_equal(err.kind, ERR_BUG);
    }
    holds(w->volume, "secret", "s");
}

// ---- crashes ----

static void a_crash_between_two_renames_is_rolled_forward(void **state) {
    struct world *w = *state;
    struct err err = ERR_INIT;
    must_put(w, "f", "old");
    must_put(w, "g", "old");
    json_t *files = json_array();
    add_file(w, files, "f", "new", 0644);
    add_file(w, files, "g", "new", 0644);
    auto_json json_t *staged = stage_all(w, files, &err);
    // As it lies there when the first was renamed and the second was not.
    const json_t *pairs = json_object_get(staged, "staged");
    auto_free char *journal = json_write(pairs), *f = in(w->volume, "f");
    put(w->state, "swap.json", journal);
    assert_int_equal(rename(json_text(json_array_get(pairs, 0), "staged"), f), 0);
    auto_json json_t *answer = recover(w);
    assert_int_equal(json_integer_value(json_object_get(answer, "recovered")), 1);
    holds(w->volume, "f", "new");
    holds(w->volume, "g", "new");
    assert_int_equal(folder_entries(w->state), 0);
    auto_json json_t *again = recover(w);
    assert_int_equal(json_integer_value(json_object_get(again, "recovered")), 0);
}

static void a_broken_journal_is_moved_aside(void **state) {
    struct world *w = *state;
    put(w->state, "swap.json", "[{\"targ");
    json_decref(recover(w));
    holds(w->state, "swap.json.broken", "[{\"targ");
    holds(w->state, "swap.json", NULL);
}

enum { SET = 12, KILLS = 60, KILLS_MOST = 3000, TORN = 5 };

static void put_set(const struct world *w, const char *content, bool die_in_swap, unsigned us) {
    struct err err = ERR_INIT;
    json_t *files = json_array();
    for (int i = 0; i < SET; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d/f", i);
        add_file(w, files, name, content, 0644);
    }
    auto_json json_t *staged = stage_all(w, files, &err);
    assert_non_null(staged);
    pid_t pid = fork();
    if (pid == 0) {
        auto_json json_t *swapped = swap(w, staged, &err);
        _exit(swapped ? 0 : 1);
    }
    if (die_in_swap) {
        usleep(us);
        kill(pid, SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

// Delays from nothing to the length of a swap, whatever that is here: drawn again, each time up to
// a longer one, until some have fallen between two renames.
static unsigned delay_us(int i) {
    return (unsigned)(i % KILLS * 37 * (1 + i / KILLS));
}

static bool is_of_two_rounds(const struct world *w) {
    auto_free char *first = get(w->volume, "d0/f"), *last = get(w->volume, "d11/f");
    return strcmp(first, last) != 0;
}

static void killed_at_any_moment_the_set_is_of_one_round(void **state) {
    struct world *w = *state;
    put_set(w, "0", false, 0);
    char before[16] = "0";
    int torn = 0, begun = 0, kills = 0;
    while (kills < KILLS || (torn < TORN && kills < KILLS_MOST)) {
        char content[16];
        snprintf(content, sizeof content, "%d", ++kills);
        put_set(w, content, true, delay_us(kills));
        begun += folder_entries(w->state) > 0;
        torn += is_of_two_rounds(w);
        json_decref(recover(w));
        auto_free char *first = get(w->volume, "d0/f");
        assert_true(!strcmp(first, content) || !strcmp(first, before));
        for (int k = 1; k < SET; k++) {
            char name[16];
            snprintf(name, sizeof name, "d%d/f", k);
            holds(w->volume, name, first);
        }
        strcpy(before, first);
    }
    print_message("killed in the middle of %d of %d swaps, between two renames of %d\n", begun,
                  kills, torn);
    assert_true(torn >= TORN);
}

// ---- races ----

struct attacker {
    const struct world *w;
    atomic_bool stop;
    atomic_uint looks, changes; // what a reader has seen
};

// d is a directory, then a link to the outside, then a directory again, for as long as it lasts.
static void *exchange(void *arg) {
    struct attacker *a = arg;
    auto_free char *dir = in(a->w->volume, "d"), *link = in(a->w->volume, "l");
    // With pauses of all lengths, so that the change falls between any two steps of the other side,
    // and some in which it gets to its end.
    for (unsigned i = 0; !atomic_load(&a->stop); i++) {
        (void)syscall(SYS_renameat2, AT_FDCWD, dir, AT_FDCWD, link, RENAME_EXCHANGE);
        usleep(i * 7 % (i % 8 ? 300 : 4000));
    }
    return NULL;
}

// Writes to be tried: RACE_WRITES, or as many as there is time for.
static void a_race_of_links_writes_nothing_outside(void **state) {
    struct world *w = *state;
    auto_free char *dir = in(w->volume, "d"), *link = in(w->volume, "l");
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(symlink(w->outside, link), 0);
    struct attacker a = {.w = w};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, exchange, &a), 0);
    const char *said = getenv("RACE_WRITES");
    long wanted = said ? atol(said) : 0, written_n = 0, refused_n = 0, late_n = 0;
    time_t began = time(NULL), enough = began + 5, deadline = began + 60;
    // Refusals are quick, so there are more of them; both must have been seen often.
    while (wanted ? written_n + refused_n < wanted
                  : time(NULL) < enough ||
                        ((written_n < 20 || refused_n < 200) && time(NULL) < deadline)) {
        struct err err = ERR_INIT;
        auto_json json_t *staged = stage(w, "d/canary", "dead", &err);
        auto_json json_t *swapped = staged ? swap(w, staged, &err) : NULL;
        written_n += swapped != NULL;
        refused_n += swapped == NULL;
        late_n += staged && !swapped;
    }
    atomic_store(&a.stop, true);
    pthread_join(thread, NULL);
    print_message("%ld written inside, %ld refused, %ld of them when staged, in %ld s\n", written_n,
                  refused_n, late_n, (long)(time(NULL) - began));
    assert_true(written_n >= 20 && refused_n >= 200);
}

static void *read_always(void *arg) {
    struct attacker *a = arg;
    char before = '\0';
    while (!atomic_load(&a->stop)) {
        auto_free char *text = get(a->w->volume, "f");
        size_t n = text ? strlen(text) : 0;
        if (n != 3000 || strspn(text, (char[]){text[0], '\0'}) != n)
            return a; // torn, or not there
        atomic_fetch_add(&a->changes, before && before != text[0]);
        before = text[0];
        atomic_fetch_add(&a->looks, 1);
    }
    return NULL;
}

enum { WRITES = 200, LOOKS = 1000, CHANGES = 20 };

static bool has_seen_enough(struct attacker *a) {
    return atomic_load(&a->looks) >= LOOKS && atomic_load(&a->changes) >= CHANGES;
}

static void a_reader_never_sees_half_a_file(void **state) {
    struct world *w = *state;
    char content[3001] = "";
    memset(content, 'a', 3000);
    must_put(w, "f", content);
    struct attacker a = {.w = w};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_always, &a), 0);
    time_t deadline = time(NULL) + 60;
    int writes = 0;
    while (writes < WRITES || (!has_seen_enough(&a) && time(NULL) < deadline)) {
        memset(content, 'a' + writes++ % 26, 3000);
        must_put(w, "f", content);
    }
    atomic_store(&a.stop, true);
    void *torn;
    pthread_join(thread, &torn);
    print_message("%u looks at %d writes, %u of them at another one than before\n",
                  atomic_load(&a.looks), writes, atomic_load(&a.changes));
    assert_null(torn);
    assert_true(has_seen_enough(&a));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(owner_mode_and_folders_are_as_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(content_decides_what_has_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_crash_left_is_swept, setup, teardown),
        cmocka_unit_test_setup_teardown(what_other_pods_staged_is_left_to_them, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nobody_comes_back_for_is_swept_after_a_day, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(links_are_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(only_plain_files_are_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(mounts_within_a_volume_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_volume_is_found_before_anything_is_touched, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_read_only_volume_is_found_before_anything_is_touched,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(swap_touches_nothing_when_something_is_gone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(swap_sees_what_was_put_in_its_way, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_was_staged_is_swapped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_between_two_renames_is_rolled_forward, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_broken_journal_is_moved_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_at_any_moment_the_set_is_of_one_round, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_race_of_links_writes_nothing_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_never_sees_half_a_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}

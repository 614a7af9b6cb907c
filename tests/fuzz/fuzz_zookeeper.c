// What others write into ZooKeeper, as the leader and the queue for leadership meet it: nodes of
// the ledger, of pods, of dependencies, names in the lock's folder. In memory, in virtual time.
// Each line is one node: a letter that says which, and what is in it (of "l", its name). A line "!"
// lets time pass. Whatever it is: nobody falls over, and who leads is the owner of the lowest lock.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/leader/leader.h"
#include "sidecar/zk/lock.h"
#include "tests/fake/loop.h"
#include "tests/fake/pods.h"
#include <stdint.h>
#include <string.h>

#define ROOT "/ochopod/clusters/ns.zk"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SESSION_MS = 10000, STEP_MS = 400, LINES = 64, STEPS = 4 };

struct seat {
    enum zk_state state;
    struct loop *loop;
    struct zk *zk;
    struct http *http;
    struct lock *lock;
    struct leader *leader;
    struct spec spec;
    bool deposed;
};

static void on_state(enum zk_state state, void *arg) {
    struct seat *seat = arg;
    seat->state = state;
}

static void on_deposed(const struct err *why, void *arg) {
    struct seat *seat = arg;
    CHECK(*why->text);
    seat->deposed = true;
}

static void on_held(const char *path, int64_t czxid, void *arg) {
    struct seat *seat = arg;
    CHECK(!seat->leader && strstr(path, "__lock__"));
    struct leader_config config = {.spec = &seat->spec,
                                   .root = ROOT,
                                   .namespace_ = "ns",
                                   .pod_id = "a",
                                   .lock_path = path,
                                   .epoch = czxid,
                                   .on_deposed = on_deposed,
                                   .arg = seat};
    seat->leader = leader_create(seat->loop, seat->http, seat->zk, &config);
}

static void on_gone(void *arg) {
    struct seat *seat = arg;
    seat->deposed = true;
}

static const struct lock_events lock_events = {.on_held = on_held, .on_gone = on_gone};

// ZooKeeper itself refuses these names.
static bool is_name(const char *s) {
    if (!*s || strcmp(s, ".") == 0 || strcmp(s, "..") == 0 || strlen(s) > 100)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == '/' || *s == 0x7f)
            return false;
    return true;
}

static void put_node(struct fake_zk *zk, int64_t session, const char *line) {
    static const struct {
        char letter;
        const char *path;
        int flags;
    } nodes[] = {{'L', ROOT "/leader", 0},
                 {'M', ROOT "/members", 0},
                 {'S', ROOT "/snapshot", 0},
                 {'E', ROOT "/snapshot", ZK_EPHEMERAL},
                 {'P', ROOT "/proposal", 0},
                 {'T', ROOT "/tree", 0},
                 {'H', ROOT "/hash", 0},
                 {'p', ROOT "/pods/b.0000000001", ZK_EPHEMERAL},
                 {'q', ROOT "/pods/a.0000000009", ZK_EPHEMERAL},
                 {'d', "/ochopod/clusters/ns.db/snapshot", 0},
                 {'e', "/ochopod/clusters/ns.db/pods/x.0000000001", ZK_EPHEMERAL}};
    if ((*line == 'l' || *line == 'n') && is_name(line + 1)) {
        auto_free char *path = xasprintf("%s/%s", *line == 'l' ? ROOT "/coordinator" : ROOT "/pods",
                                         line + 1);
        fake_zk_put(zk, session, path, "", ZK_EPHEMERAL);
        return;
    }
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        if (nodes[i].letter == *line)
            fake_zk_put(zk, nodes[i].flags ? session : 0, nodes[i].path, line + 1, nodes[i].flags);
}

static void seat_open(struct seat *seat, struct loop *loop) {
    struct zk_config config = {.servers = "zk:2181", .session_ms = SESSION_MS};
    static char *depends[] = {(char *)"db", NULL};
    *seat = (struct seat){.loop = loop, .spec = {.grace = 1000, .depends_on = depends}};
    CHECK(zk_open(loop, &config, on_state, seat, &seat->zk, NULL) == 0);
    seat->http = http_create(loop, 16, 4);
    while (seat->state != ZK_CONNECTED)
        fake_loop_advance(loop, 1);
    seat->lock = lock_create(loop, seat->zk, ROOT "/coordinator",
                             "2f1b6c1e-8b1c-4a9e-9d0f-0a1b2c3d4e5f", &lock_events, seat);
}

static void look(struct seat *seat) {
    fake_loop_advance(seat->loop, STEP_MS);
    if (seat->leader && !seat->deposed)
        CHECK(*leader_state(seat->leader) && strlen(leader_status(seat->leader)) < 4096);
    if (seat->deposed && seat->leader) {
        leader_free(seat->leader);
        seat->leader = NULL;
    }
}

static void play(struct seat *seat, struct fake_zk *zk, const char *text) {
    char **lines = text_split(text, "\n");
    int64_t session = fake_zk_stranger(zk);
    int steps = 0;
    for (int i = 0; lines[i] && i < LINES; i++)
        if (strcmp(lines[i], "!") != 0)
            put_node(zk, session, lines[i]);
        else if (steps++ < STEPS)
            look(seat);
    look(seat);
    fake_zk_stranger_gone(zk, session); // with its lock nodes
    look(seat);
    text_list_free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct seat seat;
    auto_free char *text = xstrndup((const char *)data, size);
    log_set_level(LOG_LEVEL_ERR);
    struct loop *loop = loop_create();
    struct fake_zk *zk = fake_zk_create(loop);
    struct fake_pods *pods = fake_pods_create(zk, ROOT);
    fake_zk_put(zk, 0, ROOT "/pods", "", 0);
    fake_zk_put(zk, 0, ROOT "/hash", "", 0);
    fake_zk_put(zk, 0, ROOT "/coordinator", "", 0);
    fake_pods_add(pods, "a");
    seat_open(&seat, loop);
    play(&seat, zk, text);
    leader_free(seat.leader);
    lock_free(seat.lock);
    http_free(seat.http);
    zk_close(seat.zk, NULL, NULL);
    fake_loop_advance(loop, 5);
    fake_loop_run_until_idle(loop);
    fake_pods_free(pods);
    fake_zk_free(zk);
    loop_free(loop);
    return 0;
}

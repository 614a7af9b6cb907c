// The invariants of what stands in ZooKeeper: S3 S12 S18, at each change.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/cluster/cluster.h"
#include "tests/sim/sim.h"
#include <string.h>

static const char *data_of(const char *name) {
    auto_free char *path = xasprintf(SIM_ROOT "/%s", name);
    const char *data = fake_zk_data(sim->zk, path);
    return data ? data : "";
}

static int64_t changed_at(const char *name) {
    auto_free char *path = xasprintf(SIM_ROOT "/%s", name);
    struct zk_stat stat = {0};
    return fake_zk_stat(sim->zk, path, &stat) ? stat.mzxid : -1;
}

void check_text(const char *where, const char *text) {
    if (text && strstr(text, SIM_CANARY))
        violate("S18", "a secret is in %s: %.100s", where, text);
}

// ---- who may write ----

static bool holds_lock(int64_t session) {
    char **names = fake_zk_children(sim->zk, SIM_ROOT "/coordinator");
    const char *lowest = NULL;
    struct zk_stat stat = {0};
    for (char **it = names; *it; it++)
        if (strstr(*it, "__lock__") &&
            (!lowest || strcmp(strstr(*it, "__lock__"), strstr(lowest, "__lock__")) < 0))
            lowest = *it;
    auto_free char *path = lowest ? xasprintf(SIM_ROOT "/coordinator/%s", lowest) : xstrdup("/-");
    bool mine = fake_zk_stat(sim->zk, path, &stat) && stat.ephemeral_owner == session;
    text_list_free(names);
    return mine;
}

// What every pod may do: make a node that is not there, and empty it as the last to leave.
static bool is_nothing(const char *name, const char *data) {
    return (strcmp(name, "hash") == 0 && !*data) ||
           (strcmp(name, "snapshot") == 0 && strcmp(data, "{}") == 0) || strcmp(name, "tree") == 0;
}

static void check_whole(void) {
    const char *hash = data_of("hash");
    if (!*hash)
        return;
    auto_json json_t *record = json_loads(data_of("leader"), 0, NULL);
    if (strcmp(json_text(record, "hash"), hash) != 0)
        violate("S3", "/hash and /leader tell different hashes");
    if (changed_at("snapshot") != changed_at("hash"))
        violate("S3", "/snapshot and /hash were not written together");
}

// Asked when a round is completed: later the proposal is another one.
static void check_commit(void) {
    auto_json json_t *proposal = json_loads(data_of("proposal"), 0, NULL);
    auto_json json_t *snapshot = json_loads(data_of("snapshot"), 0, NULL);
    struct cluster *c = cluster_create();
    char is[65];
    json_decref(c->pods);
    c->pods = json_incref(snapshot);
    json_decref(c->dependencies);
    c->dependencies = json_incref(json_object_get(proposal, "dependencies"));
    if (!c->dependencies)
        c->dependencies = json_object();
    cluster_hash(c, is);
    if (strcmp(is, data_of("hash")) != 0)
        violate("S3", "/hash is not of /snapshot and the dependencies proposed with it");
    cluster_free(c);
}

// ---- proposals ----

enum { ALONE_MS = 12000, WALK_MS = 2 * ALONE_MS, READ_MS = 50 };

// A change that came alone is not acted on before the damper is over.
static void check_quiet(const struct proposal_seen *p) {
    const struct proposal_seen *before = p->next;
    auto_json json_t *record = json_loads(data_of("leader"), 0, NULL);
    bool alone = sim->changed_at - sim->changed_before > ALONE_MS &&
                 (sim->doubtful_at > sim->changed_at ||
                  sim->changed_at - sim->doubtful_at > ALONE_MS);
    bool same_walk = before && before->epoch == p->epoch && !before->completed &&
                     world_now() - before->at < WALK_MS;
    int64_t since = world_now() - sim->changed_at;
    if (alone && !same_walk && since < DAMPER_MS - READ_MS && *data_of("hash") &&
        !json_is_true(json_object_get(record, "open")))
        violate("C4", "a round begins %lld ms after a change", (long long)since);
}

// Junk is in no configuration. A second node of one pod may say the same as the first, or ask for a
// round.
static bool changes_little(const char *node) {
    int same = 0;
    size_t len = strcspn(node, ".");
    char **nodes = fake_zk_children(sim->zk, SIM_ROOT "/pods");
    for (char **it = nodes; *it; it++)
        same += strcmp(*it, node) != 0 && strncmp(*it, node, len + 1) == 0;
    text_list_free(nodes);
    return same || text_ends(node, SIM_JUNK);
}

static void note_change(const char *path) {
    static const char pods[] = SIM_ROOT "/pods/";
    bool ours = text_starts(path, pods);
    if (ours && changes_little(path + sizeof pods - 1)) {
        sim->doubtful_at = world_now();
        return;
    }
    if (!ours && !text_starts(path, "/ochopod/clusters/marathon.db/"))
        return;
    if (world_now() - sim->changed_at <= 200) // a node and the list of nodes are one change
        return;
    sim->changed_before = sim->changed_at;
    sim->changed_at = world_now();
}

static void add_proposal(const char *data) {
    auto_json json_t *j = json_loads(data, 0, NULL);
    struct proposal_seen *p = xnew(struct proposal_seen);
    p->epoch = json_integer_value(json_object_get(j, "epoch"));
    p->round = json_integer_value(json_object_get(j, "round"));
    const char *id;
    json_t *pod;
    json_object_foreach(json_object_get(j, "pods"), id, pod) {
        const struct host *h = host_of_pod(id);
        p->listed |= h ? 1u << h->index : 1u << HOSTS; // who is gone answers nothing any more
    }
    p->next = sim->proposals;
    p->at = world_now();
    sim->proposals = p;
    check_quiet(p);
    note("proposal %lld %lld of %x", (long long)p->epoch, (long long)p->round, p->listed);
}

// ---- pods ----

static void check_seq(const char *name, const char *data) {
    auto_free char *id = xstrndup(name, strcspn(name, "."));
    struct host *h = host_of_pod(id);
    auto_json json_t *record = json_loads(data, 0, NULL);
    const json_t *value = json_object_get(record, "seq");
    if (!h || !json_is_integer(value))
        return;
    int64_t seq = json_integer_value(value);
    if (h->truth.seq >= 0 && h->truth.seq != seq)
        violate("S12", "%s was #%lld and is #%lld", h->name, (long long)h->truth.seq,
                (long long)seq);
    h->truth.seq = seq;
    for (int i = 0; i < HOSTS; i++)
        if (h != &sim->hosts[i] && sim->hosts[i].truth.seq == seq)
            violate("S12", "#%lld is %s and %s", (long long)seq, h->name, sim->hosts[i].name);
}

// However fast things change: one round a damper.
static void check_damper(int64_t epoch) {
    if (epoch != sim->commits_epoch)
        sim->commits_n = 0;
    sim->commits_epoch = epoch;
    sim->commits[sim->commits_n++ % COMMITS_KEPT] = world_now();
    int64_t ago = world_now() - sim->commits[sim->commits_n % COMMITS_KEPT];
    if (sim->commits_n >= COMMITS_KEPT && ago < (COMMITS_KEPT - 2) * DAMPER_MS)
        violate("C4", "%d rounds within %lld ms", COMMITS_KEPT, (long long)ago);
}

static void check_round(const char *data) {
    static int64_t generation;
    auto_json json_t *record = json_loads(data, 0, NULL);
    int64_t now = json_integer_value(json_object_get(record, "generation"));
    if (now > generation) {
        sim->total.rounds++;
        if (sim->proposals)
            sim->proposals->completed = true;
        check_damper(json_integer_value(json_object_get(record, "epoch")));
    }
    generation = now;
}

void check_zk(const char *path, int64_t session, int64_t zxid, bool there, void *arg) {
    (void)arg;
    const char *data = there ? fake_zk_data(sim->zk, path) : "";
    check_text("ZooKeeper", data);
    note_change(path);
    if (!text_starts(path, SIM_ROOT "/"))
        return;
    const char *name = path + strlen(SIM_ROOT "/");
    note("zk %s %d %lld", name, there, (long long)zxid);
    if (!there)
        return;
    if (text_starts(name, "pods/"))
        check_seq(name + strlen("pods/"), data);
    if (strcmp(name, "proposal") == 0)
        add_proposal(data);
    if (strcmp(name, "leader") == 0)
        check_round(data);
    static const char *const leaders[] = {"proposal", "leader", "hash", "snapshot", "members"};
    for (size_t i = 0; i < sizeof leaders / sizeof *leaders; i++) {
        if (strcmp(name, leaders[i]) != 0)
            continue;
        if (session && !is_nothing(name, data) && !holds_lock(session))
            violate("S3", "/%s was written by session %llx, which does not hold the lock", name,
                    (unsigned long long)session);
        check_whole();
        if (strcmp(name, "hash") == 0 && *data)
            check_commit();
    }
}

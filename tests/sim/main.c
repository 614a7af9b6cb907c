// sim --seed N [--verbose]: one run, its schedule printed. sim --seeds N [--from M] [--jobs J]:
// that many runs, each in a process of its own, and what they come to; a run that did too little is
// a failure like any other.
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "tests/sim/sim.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUN_MS = 600000, QUIET_MS = 150000, JOBS_MOST = 16, TWIN_EVERY = 8 };

struct options {
    long from, seeds, jobs;
    bool one, verbose, stop; // stop: at the first that is red
};

static void go(uint64_t seed, bool verbose, bool twin) {
    world_create(seed);
    sim->verbose = verbose;
    sim->twin = twin;
    world_say("seed %llu sequential=%d full_shutdown=%d by_signal=%d environment=%d depends=%d "
              "grace=%lld",
              (unsigned long long)seed, sim->sequential, sim->full_shutdown, sim->by_signal,
              sim->in_environment, sim->depends, (long long)sim->grace);
    int n = (int)chance_in(3, HOSTS);
    for (int i = 0; i < n; i++)
        host_join(&sim->hosts[i]);
    world_run(chance_in(2000, 15000));
    nemesis_run(RUN_MS - QUIET_MS - world_now());
    check_end();
    world_free();
}

// S16: the same seed, but the wall clock never jumps; in a process of its own.
static uint64_t twin_of(uint64_t seed) {
    int fds[2];
    uint64_t digest = 0;
    CHECK(pipe(fds) == 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        go(seed, false, true);
        _exit(write(fds[1], &sim->digest, sizeof digest) == sizeof digest ? 0 : 1);
    }
    close(fds[1]);
    (void)!read(fds[0], &digest, sizeof digest);
    close(fds[0]);
    waitpid(pid, NULL, 0);
    return digest;
}

static int twin_every = TWIN_EVERY;

static uint64_t twin_before(uint64_t seed) {
    return seed % (uint64_t)twin_every == 0 ? twin_of(seed) : 0;
}

static void run_one(uint64_t seed, uint64_t other, bool verbose) {
    go(seed, verbose, false);
    if (seed % (uint64_t)twin_every == 0 && other != sim->digest)
        violate("S16", "without the jumps of the wall clock another history");
}

// ---- many ----

struct result {
    uint64_t seed;
    struct totals total;
};

static int result_fd = -1;

static _Noreturn void report(void) {
    if (sim->total.violations)
        fprintf(stderr, "---- seed %llu\n%s", (unsigned long long)sim->seed, text_str(&sim->story));
    struct result r = {sim->seed, sim->total};
    bool told = write(result_fd, &r, sizeof r) == sizeof r;
    world_free();
    _exit(told && !sim->total.violations ? 0 : 1);
}

// So much is wrong that nothing is learnt from the rest.
void sim_enough(void) {
    if (result_fd >= 0)
        report();
}

static void child(uint64_t seed, int fd) {
    uint64_t other = twin_before(seed);
    result_fd = fd;
    run_one(seed, other, false);
    report();
}

static void add(struct totals *sum, const struct totals *t) {
    sum->faults += t->faults;
    sum->rounds += t->rounds;
    sum->leaders += t->leaders;
    sum->fenced += t->fenced;
    sum->detached += t->detached;
    sum->restarts += t->restarts;
    sum->crashes += t->crashes;
    sum->requests += t->requests;
    sum->steps += t->steps;
    sum->dead += t->dead;
    sum->violations += t->violations;
    for (int i = 0; i < 64; i++)
        sum->kinds[i] += t->kinds[i];
    for (int i = 0; i < 10; i++)
        if (t->slowest[i] > sum->slowest[i])
            sum->slowest[i] = t->slowest[i];
}

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// A set that injected or completed too little proves nothing.
static int too_little(const struct totals *t, long seeds) {
    int bad = 0;
    for (int i = 0; i < nemesis_kinds(); i++) {
        if (seeds >= 100 && t->kinds[i] < 5) {
            printf("too little: %s %d times\n", nemesis_name(i), t->kinds[i]);
            bad++;
        }
    }
    const struct {
        const char *what;
        int is, least;
    } least[] = {{"faults a seed", (int)(t->faults / seeds), 20},
                 {"completed rounds a seed", (int)(t->rounds / seeds), 10},
                 {"leader changes a seed", (int)(t->leaders / seeds), 4},
                 {"refusals of an older leader", t->fenced, seeds >= 100 ? 10 : 0},
                 {"worker crashes a seed", (int)(t->crashes / seeds), 2}};
    for (size_t i = 0; i < sizeof least / sizeof *least; i++) {
        if (least[i].is < least[i].least) {
            printf("too little: %d %s\n", least[i].is, least[i].what);
            bad++;
        }
    }
    return bad;
}

static pid_t start(uint64_t seed, int *ret_fd) {
    int fds[2];
    CHECK(pipe(fds) == 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child(seed, fds[1]);
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static int run_many(const struct options *o) {
    struct totals sum = {0};
    struct {
        pid_t pid;
        int fd;
        uint64_t seed;
    } jobs[JOBS_MOST] = {0};
    long next = 0, running = 0, red = 0;
    double began = clock_s();
    while (next < o->seeds || running) {
        if (o->stop && red)
            next = o->seeds;
        for (int i = 0; i < o->jobs && next < o->seeds; i++) {
            if (jobs[i].pid)
                continue;
            jobs[i].seed = (uint64_t)(o->from + next++);
            jobs[i].pid = start(jobs[i].seed, &jobs[i].fd);
            running++;
        }
        int status;
        pid_t pid = wait(&status);
        for (int i = 0; i < o->jobs; i++) {
            if (jobs[i].pid != pid)
                continue;
            struct result r;
            bool told = read(jobs[i].fd, &r, sizeof r) == sizeof r;
            if (told)
                add(&sum, &r.total);
            if (status) {
                red++;
                printf("seed %llu: %s\n", (unsigned long long)jobs[i].seed,
                       told ? "violations" : "ended before its time");
                sum.violations += !told;
            }
            close(jobs[i].fd);
            jobs[i].pid = 0;
            running--;
        }
    }
    for (int i = 0; i < nemesis_kinds(); i++)
        printf("%s%s %d", i ? ", " : "", nemesis_name(i), sum.kinds[i]);
    printf("\n%d steps, %d requests, %d workload restarts, %d crashes, %d refused as of an older "
           "leader, %d as detached, %d times dead\n",
           sum.steps, sum.requests, sum.restarts, sum.crashes, sum.fenced, sum.detached, sum.dead);
    for (int i = 0; i < 10; i++)
        if (sum.slowest[i])
            printf("L%d %.1f s, ", i, sum.slowest[i] / 1000.0);
    printf("the slowest\n");
    int bad = o->stop && red ? 0 : too_little(&sum, o->seeds);
    printf("%ld seeds, %d faults, %d rounds, %d leader changes, %d violations, %.0f s\n", o->seeds,
           sum.faults, sum.rounds, sum.leaders, sum.violations, clock_s() - began);
    return red || bad ? 1 : 0;
}

static int usage(void) {
    fputs("usage: sim --seed N [--verbose] | --seeds N [--from N] [--jobs N] [--stop] [--twins]\n",
          stderr);
    return 2;
}

int main(int argc, char **argv) {
    struct options o = {.from = 1, .jobs = 2};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--verbose") == 0) {
            o.verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--stop") == 0) {
            o.stop = true;
            continue;
        }
        if (strcmp(argv[i], "--twins") == 0) {
            twin_every = 1;
            continue;
        }
        long n = strtol(value, NULL, 10);
        if (strcmp(argv[i], "--seed") == 0)
            o.one = true, o.from = n;
        else if (strcmp(argv[i], "--seeds") == 0)
            o.seeds = n;
        else if (strcmp(argv[i], "--from") == 0)
            o.from = n;
        else if (strcmp(argv[i], "--jobs") == 0 && n > 0 && n <= JOBS_MOST)
            o.jobs = n;
        else
            return usage();
        i++;
    }
    if (!o.one && o.seeds < 1)
        return usage();
    if (!o.one)
        return run_many(&o);
    run_one((uint64_t)o.from, twin_before((uint64_t)o.from), o.verbose);
    printf("%s%d faults, %d rounds, %d leader changes, %d refusals, %d restarts, %d violations, "
           "history %016llx\n",
           text_str(&sim->story), sim->total.faults, sim->total.rounds, sim->total.leaders,
           sim->total.fenced, sim->total.restarts, sim->total.violations,
           (unsigned long long)sim->digest);
    return sim->total.violations ? 1 : 0;
}

// deploy, scale, bump and kill as a program: what they ask of Marathon, a scripted server here, and
// of pods, a control port of this process; exit statuses, output. A part of each test program that
// includes it.
#pragma once
#include "tests/unit/cli/program.h"
#include "tests/unit/cli/scripted.h"
#include <poll.h>
#include <stdlib.h>

#define URL " --url http://127.0.0.1:PORT"

static char file[] = "/tmp/ocho-apps.XXXXXX";
static struct scripted *marathon;
static struct {
    int status; // of every change; 0: as a Marathon that is well
    const char *body;
} said_by;
static char order[256];
static const char *tasks; // of the app
static bool alive;        // the pod does not die
static int answers;       // so many are answered, then none; -1: all
static bool once;         // but for the first that is asked
static bool late;         // that answer comes when the time of `-t 1s` is over
static bool slow;         // a change takes longer than `-t 4s`
static bool lost;         // the answer to a POST of an app, which is there
static const char *torn;  // that answer is a 502 which says this, and a second one that it is there
static bool blind;        // what is asked of an app that was posted is not answered
static bool deaf;         // its tasks run, and there is no way to their ports
static bool own;          // an app that is asked for has those two tasks
static bool failing;      // they do not run
static bool brief;        // nor when they are asked for again
static bool cut_off;      // they are on an agent that Mesos does not reach
static bool three;        // and a third one, which runs too
static int going;         // how often the deployment of a change is listed; -1: always
static int locks;         // so often one of somebody else's that locks the app; -1: always
static int away[2];   // so often nobody leads: once pods are dead, and once it was told what to do
static int lately;    // once something else was asked, so often a change finds a lock
static int meanwhile; // its instances then, unless 0
static int wanted;    // its instances, and then what it is told; 0: two whatever it is told
static bool changed;  // something was
static const char *parameters; // of its container
static const char *all_apps;
static bool is_marathons; // pod, and no app
static bool unknown;      // nor a pod
static int pods_status;   // of what is asked about it as a pod, unless 0
static const char *spec;  // in its environment
static const char *more;  // of its definition

static json_t *record_of(int seq, const char *fwk, const char *application) {
    auto_free char *task = xasprintf("task-%d", seq);
    return json_pack("{s:i, s:s, s:s, s:{s:i}, s:s, s:s, s:s, s:s}", "seq", seq, "ip", "127.0.0.1",
                     "port", "8080", "ports", "8080", it.port, "node", "n1", "fwk", fwk,
                     "application", application, "task", task);
}

static void two_pods(const char *fwk) {
    it.cluster = json_pack("{s:{}, s:{s:o, s:o}}", "snapshot", "pods", "uuid-own",
                           record_of(3, fwk, "app"), "other", record_of(10, fwk, "app"));
}

static void answer_kills(void) {
    while (answers && fake_pod_asks(it.pod)) {
        answers -= answers > 0;
        struct err gone = ERR_INIT;
        err_set(&gone, alive ? ERR_REFUSED : ERR_GONE, "it is what it is");
        snprintf(order + strlen(order), sizeof(order) - strlen(order), "%s ",
                 pod_task_names[fake_pod_ask(it.pod, 0)->task]);
        fake_pod_answer(it.pod, NULL, &gone);
        alive = alive || once;
    }
}

#define SPEC "{\\\"workload\\\":{\\\"image\\\":\\\"r:5000/zk:1\\\"}}"

#define SPEC_MEANWHILE "{\\\"a\\\":1,\\\"workload\\\":{\\\"image\\\":\\\"r:5000/zk:1\\\"}}"

// What a test sets is set before the program starts that asks here. The sanitizer cannot see an
// order that another process makes.
#define ordered_by_the_program __attribute__((no_sanitize_thread))

// Both of its tasks are this process; with --url pods are found by them.
static ordered_by_the_program void app_of_two(const char *line, int fd) {
    const char *id = deaf || own ? line + strlen("GET /v2/apps")
                                 : "/app "; // else it is another one's
    const char *state = cut_off ? "UNREACHABLE" : failing ? "STAGING" : "RUNNING";
    auto_free char *app = xasprintf(
        "{\"app\":{\"id\":\"%.*s\",\"instances\":%d,%s\"env\":{\"A\":\"b\",\"OCHOPOD_SPEC\":\"%s\"}"
        ","
        "\"container\":{\"type\":\"DOCKER\",\"docker\":{\"image\":\"ochopod/sidecar:1\","
        "\"parameters\":[%s]},"
        "\"portMappings\":[{\"containerPort\":1},{\"containerPort\":8080}]},\"tasks\":["
        "{\"id\":\"a\",\"host\":\"127.0.0.1\",\"state\":\"TASK_%s\",\"ports\":[1,%d]},"
        "{\"id\":\"b\",\"host\":\"localhost\",\"state\":\"TASK_%s\",\"ports\":[1,%d]},"
        "{\"id\":\"c\",\"host\":\"127.0.0.1\",\"state\":\"TASK_%s\",\"ports\":[1,%d]}],"
        "\"lastTaskFailure\":{\"state\":\"TASK_FAILED\",\"message\":\"no image\","
        "\"host\":\"h1\"}}}",
        (int)strcspn(id, " ?"), id, wanted ? wanted : 2, more, spec, parameters, state,
        deaf ? 1 : it.port, state, deaf ? 1 : it.port, three ? "RUNNING" : "STAGING",
        three ? it.port : 1);
    failing = failing || brief;
    scripted_answer(fd, 200, app);
}

static ordered_by_the_program void list_deployments(int fd) {
    bool listed = changed && going, locked = locks;
    going -= listed && going > 0;
    locks -= locks > 0;
    if (locked)
        scripted_answer(fd, 200, "[{\"id\":\"l\",\"affectedApps\":[\"/other\",\"/app\"]}]");
    else
        scripted_answer(fd, 200, listed ? "[{\"id\":\"other\"},{\"id\":\"d\"}]" : "[]");
}

static ordered_by_the_program void change(const struct server_request *r, int fd) {
    if (lately) {
        lately--;
        wanted = meanwhile ? meanwhile : wanted;
        spec = SPEC_MEANWHILE;
        scripted_answer(fd, 409, "{\"message\":\"locked\",\"deployments\":[{\"id\":\"l\"}]}");
        return;
    }
    if (locks && !strstr(r->line, "force=true")) {
        scripted_answer(fd, 409, "{\"message\":\"locked\",\"deployments\":[{\"id\":\"l\"}]}");
        return;
    }
    auto_free char *text = xstrndup(r->body, r->body_len);
    auto_json json_t *body = json_loads(text, 0, NULL);
    json_t *instances = json_object_get(body, "instances");
    if (wanted && instances)
        wanted = (int)json_integer_value(instances);
    else if (wanted && strstr(r->line, "scale=true"))
        wanted -= (int)json_array_size(json_object_get(body, "ids"));
    changed = true;
    if (slow)
        usleep(5000 * 1000);
    scripted_answer(fd, 200, "{\"version\":\"v\",\"deploymentId\":\"d\"}");
}

// And the answer is lost.
static ordered_by_the_program void take(int fd) {
    if (torn && changed)
        scripted_answer(fd, 409, "{\"message\":\"An app with id [/x] already exists.\"}");
    else
        scripted_answer(fd, torn ? 502 : 503, torn ? torn : "{}");
    changed = true;
}

static ordered_by_the_program void serve(struct scripted *s, int n, const struct server_request *r,
                                         int fd) {
    (void)s;
    (void)n;
    bool reads = strncmp(r->line, "GET", 3) == 0;
    if (*order && away[changed]) {
        away[changed]--;
        scripted_answer(fd, 502, "<html>Could not determine the current leader");
        return;
    }
    if (late && text_starts(r->line, "POST /v2/apps "))
        usleep(1500 * 1000);
    if (said_by.status && (!reads || said_by.status < 0))
        scripted_answer(fd, abs(said_by.status), said_by.body);
    else if (lost && text_starts(r->line, "POST /v2/apps "))
        take(fd);
    else if (blind && text_starts(r->line, "GET /v2/apps/ochopod."))
        scripted_answer(fd, 503, "{}");
    else if (lost && text_starts(r->line, "GET /v2/apps/ochopod.")) {
        const char *id = r->line + strlen("GET /v2/apps");
        auto_free char *app = xasprintf("{\"app\":{\"id\":\"%.*s\"}}", (int)strcspn(id, " "), id);
        scripted_answer(fd, 200, app);
    } else if (strstr(r->line, "/v2/deployments"))
        list_deployments(fd);
    else if (text_starts(r->line, "GET /v2/apps?id=ochopod. "))
        scripted_answer(fd, 200, all_apps);
    else if (pods_status && text_starts(r->line, "GET /v2/pods/"))
        scripted_answer(fd, pods_status, "{\"message\":\"no\"}");
    else if ((is_marathons || unknown) && strstr(r->line, "/v2/apps/app"))
        scripted_answer(fd, 404, "{\"message\":\"App '/app' does not exist\"}");
    else if (strstr(r->line, "/tasks "))
        scripted_answer(fd, 200, tasks);
    else if (reads)
        app_of_two(r->line, fd);
    else
        change(r, fd);
}

__attribute__((unused)) static void put(const char *text) {
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

__attribute__((unused)) static int begin(void **state) {
    if (setup(state))
        return -1;
    strcpy(file + sizeof(file) - 7, "XXXXXX");
    close(mkstemp(file));
    put("cluster: zk\nimage: zk:1\n");
    said_by.status = 0;
    order[0] = '\0';
    alive = once = late = slow = lost = blind = deaf = is_marathons = unknown = own = failing =
        cut_off = brief = three = changed = false;
    answers = -1;
    lately = meanwhile = 0;
    pods_status = going = locks = wanted = away[0] = away[1] = 0;
    torn = NULL;
    spec = SPEC;
    more = "";
    parameters = "";
    all_apps = "{\"apps\":[]}";
    tasks = "{\"tasks\":[{\"id\":\"task-3\"},{\"id\":\"task-10\"}]}";
    two_pods("marathon");
    each_turn = answer_kills;
    marathon = scripted_start(serve, NULL);
    auto_free char *master = xasprintf("127.0.0.1:%d", marathon->port);
    setenv("MARATHON_MASTER", master, 1);
    return 0;
}

__attribute__((unused)) static int end(void **state) {
    each_turn = NULL;
    scripted_stop(marathon);
    unlink(file);
    return teardown(state);
}

// What `line` says to a terminal.
__attribute__((unused)) static void on_a_terminal(const char *line, char *ret, size_t size) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), out = temporary(), status = 0;
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    auto_free char *whole = xasprintf("ocho %s --url http://127.0.0.1:%d", line, it.port);
    char **argv = text_split(whole, " ");
    pid_t pid = start(argv, out, slave);
    pump(has_ended(pid, &status));
    text_list_free(argv);
    close(out);
    struct pollfd there = {.fd = master, .events = POLLIN}; // the kernel hands it over by and by
    size_t len = 0;
    while (len < size - 1 && poll(&there, 1, len ? 200 : 2000) > 0) {
        ssize_t n = read(master, ret + len, size - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    ret[len] = '\0';
    close(slave);
    close(master);
}

static struct {
    pid_t pid;
    int signo, err;
    const char *after;
} cancelled;

static void cancel(void) {
    char said[8192];
    answer_kills();
    ssize_t n = pread(cancelled.err, said, sizeof(said) - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    if (!cancelled.signo || !strstr(said, cancelled.after))
        return;
    kill(cancelled.pid, cancelled.signo);
    cancelled.signo = 0;
}

// Ends with 128 and the signal, which comes once it has said `after`, and says `err` then.
__attribute__((unused)) static void interrupted(const char *line, const char *after, int signo,
                                                const char *err) {
    auto_free char *whole = xasprintf("ocho %s -d -t 60s --url http://127.0.0.1:%d", line, it.port);
    char **argv = text_split(whole, " "), said[8192];
    int out = temporary(), status = 0;
    each_turn = cancel;
    cancelled.signo = signo;
    cancelled.after = after;
    cancelled.err = temporary();
    cancelled.pid = start(argv, out, cancelled.err);
    pump(has_ended(cancelled.pid, &status));
    text_list_free(argv);
    close(out);
    read_back(cancelled.err, said, sizeof(said));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 128 + signo || !strstr(said, err))
        fail_msg("%x, want %d and %s: %s", (unsigned)status, 128 + signo, err, said);
}

// Where it ends when the time is over: long enough for what comes before that on a busy machine.
#define SOON " -t 5s"

// The last -t counts.
__attribute__((unused)) static void deploy(const char *options, int status, const char *out,
                                           const char *err) {
    auto_free char *line = xasprintf("deploy %s -t 60s %s" URL, file, options);
    check(line, status, out, err);
}

__attribute__((unused)) static int asked(const char *what) {
    int n = 0;
    for (int i = 0; i < marathon->n; i++)
        n += text_starts(marathon->lines[i], what);
    return n;
}

__attribute__((unused)) static const char *body_of(const char *what) {
    for (int i = 0; i < marathon->n; i++)
        if (text_starts(marathon->lines[i], what))
            return marathon->bodies[i];
    fail_msg("nobody asked %s", what);
    return NULL;
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)

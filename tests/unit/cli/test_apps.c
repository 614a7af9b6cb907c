// deploy, scale, bump and kill as a program: what they ask of Marathon, a scripted server here, and
// of pods, a control port of this process; exit statuses, output.
#include "tests/unit/cli/program.h"
#include "tests/unit/cli/scripted.h"
#include <stdlib.h>

#define URL " --url http://127.0.0.1:PORT"

static char file[] = "/tmp/test_apps.XXXXXX";
static struct scripted *marathon;
static struct {
    int status; // of every change; 0: as a Marathon that is well
    const char *body;
} said_by;
static char order[256];
static const char *tasks; // of the app
static bool alive;        // the pod does not die
static bool once;         // but for the first that is asked
static bool lost;         // the answer to a POST of an app, which is there
static bool blind;        // what is asked of an app that was posted is not answered
static bool deaf;         // its tasks run, and there is no way to their ports
static bool is_marathons; // pod, and no app
static const char *spec;  // in its environment
static const char *more;  // of its definition

static json_t *record_of(int seq, const char *fwk, const char *application) {
    return json_pack("{s:i, s:s, s:s, s:{s:i}, s:s, s:s, s:s, s:s}", "seq", seq, "ip", "127.0.0.1",
                     "port", "8080", "ports", "8080", it.port, "node", "n1", "fwk", fwk,
                     "application", application, "task", seq == 3 ? "task-3" : "task-10");
}

static void two_pods(const char *fwk) {
    it.cluster = json_pack("{s:{}, s:{s:o, s:o}}", "snapshot", "pods", "uuid-own",
                           record_of(3, fwk, "app"), "other", record_of(10, fwk, "app"));
}

static void answer_kills(void) {
    while (fake_pod_asks(it.pod)) {
        struct err gone = ERR_INIT;
        err_set(&gone, alive ? ERR_REFUSED : ERR_GONE, "it is what it is");
        snprintf(order + strlen(order), sizeof(order) - strlen(order), "%s ",
                 pod_task_names[fake_pod_ask(it.pod, 0)->task]);
        fake_pod_answer(it.pod, NULL, &gone);
        alive = alive || once;
    }
}

#define SPEC "{\\\"workload\\\":{\\\"image\\\":\\\"r:5000/zk:1\\\"}}"

// What a test sets is set before the program starts that asks here. The sanitizer cannot see an
// order that another process makes.
#define ordered_by_the_program __attribute__((no_sanitize_thread))

// Both of its tasks are this process; with --url pods are found by them.
static ordered_by_the_program void app_of_two(const char *line, int fd) {
    const char *id = deaf ? line + strlen("GET /v2/apps") : "/app "; // else it is another one's
    auto_free char *app = xasprintf(
        "{\"app\":{\"id\":\"%.*s\",\"instances\":2,%s\"env\":{\"A\":\"b\",\"OCHOPOD_SPEC\":\"%s\"},"
        "\"container\":{\"type\":\"DOCKER\",\"docker\":{\"image\":\"ochopod/sidecar:1\"},"
        "\"portMappings\":[{\"containerPort\":1},{\"containerPort\":8080}]},\"tasks\":["
        "{\"id\":\"a\",\"host\":\"127.0.0.1\",\"state\":\"TASK_RUNNING\",\"ports\":[1,%d]},"
        "{\"id\":\"b\",\"host\":\"localhost\",\"state\":\"TASK_RUNNING\",\"ports\":[1,%d]},"
        "{\"id\":\"c\",\"host\":\"127.0.0.1\",\"state\":\"TASK_STAGING\",\"ports\":[1,1]}],"
        "\"lastTaskFailure\":{\"state\":\"TASK_FAILED\",\"message\":\"no image\","
        "\"host\":\"h1\"}}}",
        (int)strcspn(id, " ?"), id, more, spec, deaf ? 1 : it.port, deaf ? 1 : it.port);
    scripted_answer(fd, 200, app);
}

static ordered_by_the_program void serve(struct scripted *s, int n, const struct server_request *r,
                                         int fd) {
    (void)s;
    (void)n;
    bool reads = strncmp(r->line, "GET", 3) == 0;
    if (said_by.status && (!reads || said_by.status < 0))
        scripted_answer(fd, abs(said_by.status), said_by.body);
    else if (lost && text_starts(r->line, "POST /v2/apps "))
        scripted_answer(fd, 503, "{}");
    else if (blind && text_starts(r->line, "GET /v2/apps/ochopod."))
        scripted_answer(fd, 503, "{}");
    else if (lost && text_starts(r->line, "GET /v2/apps/ochopod.")) {
        const char *id = r->line + strlen("GET /v2/apps");
        auto_free char *app = xasprintf("{\"app\":{\"id\":\"%.*s\"}}", (int)strcspn(id, " "), id);
        scripted_answer(fd, 200, app);
    } else if (strstr(r->line, "/v2/deployments"))
        scripted_answer(fd, 200, "[]");
    else if (is_marathons && strstr(r->line, "/v2/apps/app"))
        scripted_answer(fd, 404, "{\"message\":\"App '/app' does not exist\"}");
    else if (strstr(r->line, "/tasks "))
        scripted_answer(fd, 200, tasks);
    else if (reads)
        app_of_two(r->line, fd);
    else
        scripted_answer(fd, 200, "{\"version\":\"v\",\"deploymentId\":\"d\"}");
}

static void put(const char *text) {
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int begin(void **state) {
    if (setup(state))
        return -1;
    strcpy(file + sizeof(file) - 7, "XXXXXX");
    close(mkstemp(file));
    put("cluster: zk\nimage: zk:1\n");
    said_by.status = 0;
    order[0] = '\0';
    alive = once = lost = blind = deaf = is_marathons = false;
    spec = SPEC;
    more = "";
    tasks = "{\"tasks\":[{\"id\":\"task-3\"},{\"id\":\"task-10\"}]}";
    two_pods("marathon");
    each_turn = answer_kills;
    marathon = scripted_start(serve, NULL);
    auto_free char *master = xasprintf("127.0.0.1:%d", marathon->port);
    setenv("MARATHON_MASTER", master, 1);
    return 0;
}

static int end(void **state) {
    each_turn = NULL;
    scripted_stop(marathon);
    unlink(file);
    return teardown(state);
}

// Where it ends when the time is over: long enough for what comes before that on a busy machine.
#define SOON " -t 5s"

// The last -t counts.
static void deploy(const char *options, int status, const char *out, const char *err) {
    auto_free char *line = xasprintf("deploy %s -t 60s %s" URL, file, options);
    check(line, status, out, err);
}

static int asked(const char *what) {
    int n = 0;
    for (int i = 0; i < marathon->n; i++)
        n += text_starts(marathon->lines[i], what);
    return n;
}

static const char *body_of(const char *what) {
    for (int i = 0; i < marathon->n; i++)
        if (text_starts(marathon->lines[i], what))
            return marathon->bodies[i];
    fail_msg("nobody asked %s", what);
    return NULL;
}

// ---- arguments ----

static void wrong_words_ask_nobody(void **state) {
    (void)state;
    static const char *const factors[] = {"5",   "@",  "x",    "@a",  "x1.75.1",
                                          "@-1", "*2", "@1e9", "@inf"};
    for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
        auto_free char *line = xasprintf("scale zk -f %s" URL, factors[i]);
        check(line, 2, NULL, "is no factor");
    }
    check("bump zk -v a:b" URL, 2, NULL, "is no tag");
    check("kill zk" URL, 2, NULL, "--force");
    deploy("-r a/b", 2, NULL, "is no tag");
    deploy("--image A", 2, NULL, "--image");
    deploy("--socket a", 2, NULL, "--socket");
    deploy("--pull often", 2, NULL, "--pull");
    deploy("-p 0", 2, NULL, "--pods");
    deploy("-o /nonexistent.yml", 2, NULL, "/nonexistent.yml:1:1: cannot be read");
    deploy(file, 2, NULL, "are the same cluster");
    assert_int_equal(marathon->n, 0);
}

static void a_wrong_file_posts_none(void **state) {
    (void)state;
    auto_free char *line = xasprintf("deploy %s /nonexistent.yml" URL, file);
    check(line, 2, "", "/nonexistent.yml:1:1: cannot be read");
    put("cluster: Zk\nimage: ZK\n");
    deploy("", 2, "", ":1:10: cluster: \"Zk\" cannot be");
    deploy("", 2, "", ":2:8: image: \"ZK\" is not");
    assert_int_equal(marathon->n, 0);
}

static void a_dry_run_prints_the_app(void **state) {
    (void)state;
    deploy("--dry-run -j", 0, "\"image\":\"zk:1\"", "");
    assert_int_equal(marathon->n, 0);
}

// What is behind it belongs to -o where a file to deploy came before, as Ochothon has it.
static void overrides_are_one_or_many(void **state) {
    (void)state;
    char one[] = "/tmp/test_one.XXXXXX", other[] = "/tmp/test_other.XXXXXX";
    int fds[] = {mkstemp(one), mkstemp(other)};
    dprintf(fds[0], "marathon.zk: {a: 1}\n");
    dprintf(fds[1], "marathon.web: {b: 1}\n");
    static const char *const lines[] = {
        "deploy %3$s -o %1$s %2$s --dry-run -j",
        "deploy %3$s -p 2 -o %1$s %2$s --dry-run -j",
        "deploy -o %1$s,%2$s %3$s --dry-run -j",
        "deploy -p 2 -o %2$s -o %1$s %3$s --dry-run -j",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        auto_text struct text t = {0};
        for (const char *s = lines[i]; *s; s++)
            if (*s == '%') {
                text_add(&t, s[1] == '1' ? one : s[1] == '2' ? other : file);
                s += 3;
            } else
                text_addc(&t, *s);
        check(t.s, 0, "\"pod\":\"{\\\"a\\\":1}\"", "");
    }
    unlink(one);
    unlink(other);
    close(fds[0]);
    close(fds[1]);
}

// ---- a Marathon that is not well ----

static void each_refusal_has_its_status(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        int exit;
        const char *err;
    } table[] = {
        {200, "<html>", 3, "HTML instead of JSON"},
        {401, "", 2, "wants credentials"},
        {403, "{\"message\":\"no\"}", 1, "answered 403: no"},
        {409, "{\"message\":\"An app with id [/x] already exists.\"}", 1, "already exists"},
        {422,
         "{\"message\":\"Object is not "
         "valid\",\"details\":[{\"path\":\"/cpus\",\"errors\":[\"a\"]}]}",
         2, "Object is not valid\n  /cpus: a\n"},
        {500, "{\"message\":\"URI not found\"}", 3, "URI not found"},
        {503, "", 3, "503"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        said_by.status = table[i].status;
        said_by.body = table[i].body;
        deploy("", table[i].exit, "0% success (+0 pods)\n", table[i].err);
        auto_free char *json = xasprintf("{\"%s\":{\"ok\":false,\"up\":[]}}\n", file);
        deploy("-j", table[i].exit, json, file);
    }
    assert_int_equal(asked("DELETE"), 0);
}

static void away_or_unknown_is_told(void **state) {
    (void)state;
    setenv("MARATHON_MASTER", "127.0.0.1:1", 1);
    deploy("", 3, "0% success", "127.0.0.1:1");
    check("scale zk @3" URL, 3, "0% success (+0 pods)", "127.0.0.1:1");
    check("bump zk" URL, 3, "0% success (0 pods)", "127.0.0.1:1");
    unsetenv("MARATHON_MASTER");
    deploy("", 2, "", "MARATHON_MASTER is not set");
    check("scale zk @3" URL, 2, "", "MARATHON_MASTER is not set");
    check("bump zk" URL, 2, "", "MARATHON_MASTER is not set");
    assert_string_equal(order, "");
}

static void what_never_comes_up_is_removed(void **state) {
    (void)state;
    deploy("-t 5s -j", 4, "\"ok\":false", "last task: TASK_FAILED on h1: no image\n");
    deploy("-j" SOON, 4, "\"ok\":false", "is removed");
    assert_int_equal(asked("POST /v2/apps HTTP"), 2);
    assert_int_equal(asked("DELETE /v2/apps/ochopod.marathon.zk-"), 2);
}

// What `line` says to a terminal.
static void on_a_terminal(const char *line, char *ret, size_t size) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), out = temporary(), status = 0;
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    char **argv = text_split(line, " ");
    pid_t pid = start(argv, out, slave);
    pump(has_ended(pid, &status));
    text_list_free(argv);
    close(out);
    ssize_t n = read(master, ret, size - 1);
    assert_true(n >= 0);
    ret[n] = '\0';
    close(slave);
    close(master);
}

static void progress_is_for_a_terminal_alone(void **state) {
    (void)state;
    char seen[4096];
    auto_free char *line = xasprintf("ocho deploy %s" SOON " --url http://127.0.0.1:%d", file,
                                     it.port);
    on_a_terminal(line, seen, sizeof(seen));
    if (!strstr(seen, "\r\033[K") || !strstr(seen, "0 of 1 pods there"))
        fail_msg("on a terminal: %s", seen);
    auto_free char *piped = xasprintf("deploy %s" SOON URL, file);
    struct said said = ocho(piped);
    if (strchr(said.err, '\r') || !strstr(said.err, "0 of 1 pods there"))
        fail_msg("in a pipe: %s", said.err);
}

static void an_app_whose_answer_was_lost_is_not_left_behind(void **state) {
    (void)state;
    lost = true;
    deploy("-j" SOON, 4, "\"ok\":false", "is removed");
    assert_int_equal(asked("POST /v2/apps HTTP"), 1);
    assert_int_equal(asked("DELETE /v2/apps/ochopod.marathon.zk-"), 1);
}

static void what_cannot_be_seen_is_not_removed(void **state) {
    (void)state;
    blind = true;
    deploy("-j" SOON, 4, "\"ok\":false", " stays: what came up of it cannot be seen");
    assert_int_equal(asked("DELETE"), 0);
}

static void tasks_that_run_unheard_are_not_removed(void **state) {
    (void)state;
    deaf = true;
    deploy("-j" SOON, 4, "\"ok\":false", " stays: what came up of it cannot be seen");
    assert_int_equal(asked("DELETE"), 0);
}

static void what_was_not_looked_at_has_not_come_up(void **state) {
    (void)state;
    lost = true;
    deploy("-t 1ms -j", 4, "\"ok\":false", "the time was over before its pods could be looked at");
    assert_int_equal(asked("DELETE"), 0);
}

// ---- scale ----

static void scale_up_is_a_number(void **state) {
    (void)state;
    check("scale zk @5" SOON " -j" URL, 4, "{\"zk\":{\"ok\":false,\"delta\":3}}",
          "0 of 5 pods running");
    assert_string_equal(body_of("PUT /v2/apps/app "), "{\"instances\":5}");
    assert_string_equal(order, "");
    check("scale zk -f x1.75" SOON " --force" URL, 4, "(+1 pods)", NULL);
    assert_string_equal(body_of("PUT /v2/apps/app?force=true"), "{\"instances\":3}");
    fake_pod_is(it.pod, "running", true);
    check("scale zk @2 -t 5s" URL, 0, "100% success (+0 pods)", "");
}

static void scale_down_kills_the_newest(void **state) {
    (void)state;
    check("scale zk -f -1" SOON " -j" URL, 4, "\"delta\":-1", "pods");
    assert_string_equal(order, "kill ");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true"), "{\"ids\":[\"task-10\"]}");
}

static void scale_down_kills_the_oldest_with_fifo(void **state) {
    (void)state;
    check("scale zk @0 --fifo" SOON URL, 4, "(-1 pods)", "pods");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true"), "{\"ids\":[\"task-3\"]}");
}

// As in another cluster of the same pattern.
static void a_pod_of_another_app_with_its_number_lives(void **state) {
    (void)state;
    json_t *pods = json_object_get(it.cluster, "pods");
    json_object_set_new(pods, "third", record_of(10, "marathon", "app-2"));
    check("scale zk @1 -g 3" SOON URL, 4, "(-1 pods)", NULL);
    assert_string_equal(order, "kill ");
}

static void a_pod_that_does_not_end_keeps_its_task(void **state) {
    (void)state;
    alive = true;
    check("scale zk @1" SOON URL, 1, "0% success", "marathon.zk #10 does not end");
    check("bump zk" SOON URL, 1, "0% success", "does not end");
    assert_int_equal(asked("POST"), 0);
    assert_int_equal(asked("PUT"), 0);
}

static void those_that_did_end_are_told(void **state) {
    (void)state;
    once = true;
    check("bump zk -t 5s" URL, 1, "0% success",
          "it is what it is; 1 dead stay (`ocho on` brings them back)\n");
    assert_int_equal(asked("PUT"), 0);
}

static void two_apps_want_a_group(void **state) {
    (void)state;
    json_t *pods = json_object_get(it.cluster, "pods");
    json_object_set_new(pods, "other", record_of(10, "marathon", "/app-2"));
    check("scale zk @5" SOON URL, 2, NULL, "is more than one app, app and app-2");
    check("scale zk @5 -g 4" SOON URL, 2, NULL, "no pod has the number 4");
    check("scale zk @5 -g 10" SOON URL, 4, NULL, NULL);
    assert_int_equal(asked("PUT /v2/apps/app-2 "), 1);
    check("scale none @5" SOON URL, 1, NULL, "no pod matches");
}

// ---- bump ----

static void bump_moves_the_workload(void **state) {
    (void)state;
    check("bump zk -v 2" SOON " -j" URL, 4, "{\"zk\":{\"ok\":false,\"up\":[]}}",
          "the workload's image r:5000/zk:1 -> r:5000/zk:2");
    assert_string_equal(order, "kill kill ");
    assert_string_equal(body_of("PUT /v2/apps/app "),
                        "{\"env\":{\"A\":\"b\",\"OCHOPOD_SPEC\":\"{\\\"workload\\\":{\\\"image\\\":"
                        "\\\"r:5000/zk:2\\\"}}\"},\"upgradeStrategy\":{\"minimumHealthCapacity\":0,"
                        "\"maximumOverCapacity\":0}}");
}

static void bump_moves_the_sidecar_when_told(void **state) {
    (void)state;
    check("bump zk --sidecar -v 2" SOON URL, 4, "(0 pods)",
          "the image ochopod/sidecar:1 -> ochopod/sidecar:2");
    assert_non_null(strstr(body_of("PUT /v2/apps/app "), "\"image\":\"ochopod/sidecar:2\""));
    assert_null(strstr(body_of("PUT /v2/apps/app "), "\"env\""));
}

// With Marathon's usual strategy a restart would wait for room beside the dead.
static void the_same_tag_is_a_restart(void **state) {
    (void)state;
    check("bump zk -v 1" SOON URL, 4, NULL, NULL);
    assert_int_equal(asked("POST"), 0);
    assert_non_null(strstr(body_of("PUT /v2/apps/app "), "\"minimumHealthCapacity\":0"));
    more = "\"upgradeStrategy\":{\"minimumHealthCapacity\":0,\"maximumOverCapacity\":0},";
    check("bump zk -v 1" SOON URL, 4, NULL, NULL);
    assert_int_equal(asked("POST /v2/apps/app/restart "), 1);
    assert_int_equal(asked("PUT"), 1);
}

static void a_spec_that_cannot_be_changed_is_no_reason_to_kill(void **state) {
    (void)state;
    spec = "workload: {image: r:5000/zk}";
    check("bump zk -v 2" SOON URL, 1, "0% success", "its spec is no JSON in OCHOPOD_SPEC");
    assert_string_equal(order, "");
    assert_int_equal(asked("PUT"), 0);
    check("bump zk --sidecar -v 2" SOON URL, 4, NULL, "the image ochopod/sidecar:1 ->");
}

// ---- kill ----

static void kill_removes_the_app(void **state) {
    (void)state;
    check("kill zk --force -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[3,10]}}\n", "");
    assert_string_equal(order, "kill kill ");
    assert_int_equal(asked("DELETE /v2/apps/app "), 1);
    check("kill zk --force" URL, 0, "100% success (-2 pods)\n", "");
    check("kill zk web --force" URL, 1, "50% success", "ocho: web: no pod is meant\n");
}

static void kill_of_some_removes_their_tasks(void **state) {
    (void)state;
    check("kill zk -i 10 -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[10]}}\n", "");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true "), "{\"ids\":[\"task-10\"]}");
    assert_int_equal(asked("DELETE"), 0);
}

// As many as were killed, but another one among them.
static void kill_keeps_an_app_with_a_task_of_somebody_else(void **state) {
    (void)state;
    tasks = "{\"tasks\":[{\"id\":\"task-3\"},{\"id\":\"task-11\"}]}";
    check("kill zk --force" URL, 0, "100% success (-2 pods)\n", "");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true "),
                        "{\"ids\":[\"task-3\",\"task-10\"]}");
    assert_int_equal(asked("DELETE"), 0);
}

// The other instance is between two tasks.
static void kill_of_one_keeps_an_app_of_two(void **state) {
    (void)state;
    tasks = "{\"tasks\":[{\"id\":\"task-10\"}]}";
    check("kill zk -i 10" URL, 0, "100% success (-1 pods)\n", "");
    assert_string_equal(body_of("POST /v2/tasks/delete?scale=true "), "{\"ids\":[\"task-10\"]}");
    assert_int_equal(asked("DELETE"), 0);
}

static void kill_says_what_it_leaves_of_a_pod_of_marathons(void **state) {
    (void)state;
    is_marathons = true;
    check("kill zk --force -j" URL, 1, "\"ok\":false", "app is a pod of Marathon's");
    assert_int_equal(asked("DELETE"), 0);
}

static void kill_needs_marathon_first(void **state) {
    (void)state;
    unsetenv("MARATHON_MASTER");
    check("kill zk --force" URL, 2, "", "MARATHON_MASTER is not set");
    setenv("MARATHON_MASTER", "127.0.0.1:1", 1);
    check("kill zk --force" URL, 3, "", "127.0.0.1:1");
    assert_string_equal(order, "");
}

static void kill_leaves_what_is_not_marathons(void **state) {
    (void)state;
    json_decref(it.cluster);
    two_pods("compose");
    unsetenv("MARATHON_MASTER");
    check("kill zk --force -j" URL, 0, "{\"zk\":{\"ok\":true,\"down\":[3,10]}}\n",
          "marathon.zk #3 is killed, and its container stays");
    check("scale zk @3" URL, 2, "", "MARATHON_MASTER");
}

static void kill_tells_what_marathon_refuses(void **state) {
    (void)state;
    said_by.status = 500;
    said_by.body = "{\"message\":\"no\"}";
    check("kill zk --force -j" URL, 1, "\"ok\":false", "answered 500: no");
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        test(wrong_words_ask_nobody),
        test(a_wrong_file_posts_none),
        test(a_dry_run_prints_the_app),
        test(overrides_are_one_or_many),
        test(each_refusal_has_its_status),
        test(away_or_unknown_is_told),
        test(what_never_comes_up_is_removed),
        test(an_app_whose_answer_was_lost_is_not_left_behind),
        test(what_cannot_be_seen_is_not_removed),
        test(tasks_that_run_unheard_are_not_removed),
        test(what_was_not_looked_at_has_not_come_up),
        test(kill_keeps_an_app_with_a_task_of_somebody_else),
        test(progress_is_for_a_terminal_alone),
        test(scale_up_is_a_number),
        test(scale_down_kills_the_newest),
        test(scale_down_kills_the_oldest_with_fifo),
        test(a_pod_that_does_not_end_keeps_its_task),
        test(a_pod_of_another_app_with_its_number_lives),
        test(those_that_did_end_are_told),
        test(two_apps_want_a_group),
        test(bump_moves_the_workload),
        test(bump_moves_the_sidecar_when_told),
        test(the_same_tag_is_a_restart),
        test(a_spec_that_cannot_be_changed_is_no_reason_to_kill),
        test(kill_removes_the_app),
        test(kill_of_some_removes_their_tasks),
        test(kill_of_one_keeps_an_app_of_two),
        test(kill_says_what_it_leaves_of_a_pod_of_marathons),
        test(kill_needs_marathon_first),
        test(kill_leaves_what_is_not_marathons),
        test(kill_tells_what_marathon_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// What ocho asks of pods: on, off, reset, signal, exec; and port, poll, check, cluster, which only
// look. The JSON is compared with what Ochothon's tools print.
#include "tests/unit/cli/program.h"
#include "tests/unit/cli/stub.h"

#define URL " --url http://127.0.0.1:PORT"

static json_t *record_at(int seq, int port) {
    return json_pack("{s:i, s:s, s:s, s:{s:i}, s:s}", "seq", seq, "ip", "127.0.0.1", "port", "8080",
                     "ports", "8080", port, "node", "n1");
}

static void two_pods(void) {
    it.cluster = json_pack("{s:{}, s:{s:o, s:o}}", "snapshot", "pods", "uuid-own",
                           record_at(3, it.port), "other", record_at(10, it.port));
}

static void one_more_that_is_away(void) {
    json_object_set_new(json_object_get(it.cluster, "pods"), "away", record_at(11, 1));
}

// ---- what the pods are asked, and what they answer ----

static char order[256]; // "off on "...
static int64_t budget;
static char line[512], upload[128], data[64];
static size_t uploads;
static json_t *say;       // each of them
static struct err refuse; // unless this is one
static const char *refused = "off";

static void answer_asks(void) {
    while (fake_pod_asks(it.pod)) {
        const struct fake_ask *ask = fake_pod_ask(it.pod, 0);
        const char *what = ask->line ? "exec" : pod_task_names[ask->task];
        assert_int_equal(ask->scope, POD_OPERATOR);
        assert_string_equal(ask->body ? ask->body : "", "");
        assert_true(ask->line || ask->target); // of the pod that is meant
        snprintf(order + strlen(order), sizeof(order) - strlen(order), "%s ", what);
        snprintf(line, sizeof(line), "%s", ask->line ? ask->line : "");
        snprintf(upload, sizeof(upload), "%s", ask->upload_name ? ask->upload_name : "");
        snprintf(data, sizeof(data), "%s", ask->upload_data ? ask->upload_data : "");
        uploads = ask->uploads;
        budget = ask->budget_ms;
        bool no = refuse.kind && strcmp(what, refused) == 0;
        fake_pod_answer(it.pod, no ? NULL : say, no ? &refuse : NULL);
    }
}

static int begin(void **state) {
    if (setup(state))
        return -1;
    two_pods();
    each_turn = answer_asks;
    order[0] = '\0';
    say = NULL;
    refuse = (struct err)ERR_INIT;
    refused = "off";
    return 0;
}

static int end(void **state) {
    each_turn = NULL;
    json_decref(say);
    return teardown(state);
}

static void exactly(const char *command, int status, const char *out, const char *asked) {
    order[0] = '\0';
    struct said said = ocho(command);
    if (said.status != status || strcmp(said.out, out) != 0 || strcmp(order, asked) != 0)
        fail_msg("ocho %s: status %d, asked %s\n%s\n%s", command, said.status, order, said.out,
                 said.err);
}

// ---- on, off, reset ----

// There is no other, and what it registered need not lead anywhere.
static void a_pod_alone_is_asked_where_it_answered(void **state) {
    (void)state;
    json_decref(it.cluster);
    it.cluster = json_pack("{s:{}, s:{s:{s:i, s:s, s:s, s:s, s:{}}}}", "snapshot", "pods",
                           "uuid-own", "seq", 3, "zk", "none", "ip", "203.0.113.7", "port", "8080",
                           "ports");
    exactly("off zk --force -j" URL, 0, "{\"zk\":{\"ok\":true,\"off\":[\"marathon.zk #3\"]}}\n",
            "off ");
    exactly("off zk --force -j" URL "/", 0, "{\"zk\":{\"ok\":true,\"off\":[\"marathon.zk #3\"]}}\n",
            "off ");
}

static void off_and_on_print_what_ochothon_prints(void **state) {
    (void)state;
    exactly("off zk --force -j" URL, 0,
            "{\"zk\":{\"ok\":true,\"off\":[\"marathon.zk #3\",\"marathon.zk #10\"]}}\n",
            "off off ");
    exactly("on marathon.zk -i 10 -j" URL, 0,
            "{\"marathon.zk\":{\"ok\":true,\"on\":[\"marathon.zk #10\"]}}\n", "on ");
    exactly("off zk -i 3" URL, 0, "marathon.zk #3: off\n", "off ");
    exactly("reset zk --force -j" URL, 0, "{\"zk\":{\"ok\":true,\"reset\":[3,10]}}\n",
            "off off on on ");
}

static void numbers_come_in_both_spellings(void **state) {
    (void)state;
    static const char *const same[] = {
        "off zk -i 3 10 -j" URL,   "off -i 3 10 -j zk" URL,        "off -i 3,10 zk -j" URL,
        "off -j -i3 -i 10 zk" URL, "off --indices 3 10 -j zk" URL, "off --indices=3,10 -j zk" URL};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        exactly(same[i], 0,
                "{\"zk\":{\"ok\":true,\"off\":[\"marathon.zk #3\",\"marathon.zk #10\"]}}\n",
                "off off ");
}

static void each_pattern_has_its_own_outcome(void **state) {
    (void)state;
    exactly("off zk mara* web --force -j" URL, 1,
            "{\"zk\":{\"ok\":true,\"off\":[\"marathon.zk #3\",\"marathon.zk #10\"]},"
            "\"mara*\":{\"ok\":true,\"off\":[\"marathon.zk #3\",\"marathon.zk #10\"]},"
            "\"web\":{\"ok\":false,\"off\":[]}}\n",
            "off off ");
    check("off web --force" URL, 1, "", "ocho: no cluster matches \"web\"\n");
    exactly("off zk -i 7 -j" URL, 1, "{\"zk\":{\"ok\":false,\"off\":[]}}\n", "");
    check("off zk -i 7" URL, 1, "", "ocho: no pod has the number 7\n");
    check("grep zk -i 3 7" URL, 1, "marathon.zk #3", "1 of 2 answered");
    check("signal web --force" URL, 1, "", "no cluster matches");
    check("exec web --force backup" URL, 1, "", "no cluster matches");
}

static void who_refuses_is_named_with_his_reason(void **state) {
    (void)state;
    err_set(&refuse, ERR_REFUSED, "the disk is full");
    exactly("off zk -i 3 -j" URL, 1,
            "{\"zk\":{\"ok\":false,\"off\":[],\"failed\":{\"marathon.zk #3\":"
            "\"/control/off answered 406: the disk is full\"}}}\n",
            "off ");
    // Whoever did not go off is not switched on.
    exactly("reset zk -i 3 -j" URL, 1,
            "{\"zk\":{\"ok\":false,\"reset\":[],\"failed\":{\"marathon.zk #3\":"
            "\"/control/off answered 406: the disk is full\"}}}\n",
            "off ");
    // Its off goes on, or ends before this: on comes after it.
    err_set(&refuse, ERR_TIMEOUT, "it goes on");
    exactly("reset zk -i 3 -j" URL, 1,
            "{\"zk\":{\"ok\":false,\"reset\":[],\"failed\":{\"marathon.zk #3\":"
            "\"/control/off answered 408: it goes on; it is on again\"}}}\n",
            "off on ");
    err_set(&refuse, ERR_REFUSED, "the disk is full");
    check("off zk --force" URL, 1, "", "ocho: 0 of 2 off\n");
    refuse = (struct err)ERR_INIT;
    one_more_that_is_away();
    check("off zk --force" URL, 1, "marathon.zk #10: off\n", "ocho: marathon.zk #11: ");
    check("off zk --force" URL, 1, NULL, "2 of 3 off");
}

static void one_that_stays_off_is_told(void **state) {
    (void)state;
    refused = "on";
    err_set(&refuse, ERR_REFUSED, "the disk is full");
    check("reset zk -i 3" URL, 1, "",
          "/control/on answered 406: the disk is full; it is off: `ocho on` brings it back\n");
}

// The connection breaks when the pod has the request.
static const char *lose_off(const char *request, int n) {
    (void)n;
    return !strstr(request, "/control/off ") ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
                                             : "";
}

static void an_off_whose_answer_is_lost_is_followed_by_on(void **state) {
    (void)state;
    json_object_set_new(json_object_get(it.cluster, "pods"), "broken",
                        record_at(11, stub_start(lose_off)));
    check("reset zk -i 11" URL, 1, "", "; it is on again\n");
    stub_end_all();
}

// Nobody is answered before all have been asked: one after the other would never end.
static void answer_once_both_ask(void) {
    if (fake_pod_asks(it.pod) == 2 || *order)
        answer_asks();
}

static void all_are_asked_side_by_side(void **state) {
    (void)state;
    each_turn = answer_once_both_ask;
    exactly("off zk --force -t 20" URL, 0, "marathon.zk #3: off\nmarathon.zk #10: off\n",
            "off off ");
}

static void the_pod_hears_how_long_it_is_waited_for(void **state) {
    (void)state;
    check("off zk -i 3" URL, 0, NULL, "");
    assert_int_equal(budget, 74500);
    check("off zk -i 3 -t 2" URL, 0, NULL, "");
    assert_int_equal(budget, 1800);
}

static void a_pod_that_hangs_is_waited_for_as_long_as_told(void **state) {
    (void)state;
    each_turn = NULL;
    // The pod's own clock or ours: whichever is over first.
    check("off zk -i 3 -t 1" URL, 1, "", "marathon.zk #3: ");
}

static void reset_of_the_session_leaves_the_workload_alone(void **state) {
    (void)state;
    exactly("reset zk --force --session -j" URL, 0, "{\"zk\":{\"ok\":true,\"reset\":[3,10]}}\n",
            "");
    assert_int_equal(it.resets, 2);
}

// ---- signal, exec ----

static void signal_prints_what_the_hook_printed(void **state) {
    (void)state;
    say = json_pack("{s:b}", "heard", 1);
    exactly("signal zk -i 3 -j" URL, 0, "{\"marathon.zk #3\":{\"heard\":true}}\n", "signal ");
    check("signal zk web --force" URL, 1, NULL, "ocho: web: no pod is meant\n");
    exactly("signal zk --force" URL, 0,
            "marathon.zk #3: {\"heard\":true}\nmarathon.zk #10: {\"heard\":true}\n",
            "signal signal ");
}

static void answer_with(int code) {
    json_decref(say);
    say = json_pack("{s:i, s:[s, s]}", "code", code, "stdout", "one", "two");
}

static void exec_prints_what_ochothon_prints(void **state) {
    (void)state;
    answer_with(0);
    exactly("exec zk backup -i 3 -j" URL, 0,
            "{\"marathon.zk #3\":{\"code\":0,\"stdout\":[\"one\",\"two\"]}}\n", "exec ");
    exactly("exec zk -i 3 backup" URL, 0, "one\ntwo\n", "exec ");
    check("exec zk --force backup" URL, 0, "marathon.zk #10 | two\n", "");
    answer_with(3);
    check("exec zk -i 3 backup" URL, 1, "two\n", "ocho: marathon.zk #3: exit code 3\n");
    say = (json_decref(say), json_pack("{s:s}", "code", "0"));
    check("exec zk -i 3 -j backup" URL, 1, "{\"marathon.zk #3\":{\"error\":\"/exec answered",
          "0 of 1 answered");
}

static void options_of_the_tool_are_passed_on(void **state) {
    (void)state;
    static const struct {
        const char *command, *line;
    } table[] = {
        {"exec zk backup --all -i 3 -x 5" URL, "backup --all -x 5"},
        {"exec -i 3 zk backup -v --level=2" URL, "backup -v --level=2"},
        {"exec zk --force backup - -5" URL, "backup - -5"},
        {"exec --force --url http://127.0.0.1:PORT -- zk backup -j --force -t 3",
         "backup -j --force -t 3"},
        {"exec zk -i 3 10 backup 7" URL, "backup 7"},
    };
    answer_with(0);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        check(table[i].command, 0, NULL, "");
        assert_string_equal(line, table[i].line);
        assert_int_equal(uploads, 0);
    }
}

static void files_of_the_command_line_are_sent_along(void **state) {
    (void)state;
    char dir[] = "/tmp/ocho-exec.XXXXXX";
    assert_non_null(mkdtemp(dir));
    auto_free char *path = xasprintf("%s/dump.sql", dir);
    auto_free char *command = xasprintf("exec zk load %s --fast -i 3" URL, path);
    auto_free char *twice = xasprintf("exec zk load %s %s -i 3" URL, path, path);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fprintf(f, "--x\r\nselect 1;\n");
    fclose(f);
    answer_with(0);
    check(command, 0, NULL, "");
    assert_string_equal(line, "load dump.sql --fast");
    assert_int_equal(uploads, 1);
    assert_string_equal(upload, "dump.sql");
    assert_string_equal(data, "--x\r\nselect 1;\n");
    check(twice, 2, "", "two files of the name dump.sql");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

// ---- looking ----

static void port_and_poll_print_what_ochothon_prints(void **state) {
    (void)state;
    it.metrics = json_pack("{s:i}", "lag", 2);
    it.ports = json_pack("{s:i, s:i}", "8080", 28800, "2181", 31002);
    exactly("port 2181 zk -j -i 3" URL, 0,
            "{\"marathon.zk #3\":{\"ip\":\"127.0.0.1\",\"public\":\"198.51.100.1\",\"ports\":"
            "\"31002\"}}\n",
            "");
    check("port 2181" URL, 0, "marathon.zk #3   127.0.0.1  198.51.100.1  31002\n", "");
    check("port 80" URL, 1, NULL, "nobody maps port 80");
    exactly("poll zk -j -i 3" URL, 0, "{\"marathon.zk #3\":{\"lag\":2}}\n", "");
    check("poll" URL, 0, "marathon.zk #10  {\"lag\":2}\n", "");
    one_more_that_is_away();
    check("poll -j" URL, 1, "{\"marathon.zk #3\":{\"lag\":2},\"marathon.zk #10\":{\"lag\":2}}\n",
          "2 of 3 answered");
    check("port -j 2181" URL, 1, "\"marathon.zk #10\":", "2 of 3 answered");
}

static void check_says_why_a_pod_is_not_well(void **state) {
    (void)state;
    check("check zk -j -i 3" URL, 1,
          "{\"marathon.zk #3\":{\"ok\":false,\"process\":\"stopped\",\"why\":\"stopped\"}}\n",
          "0 of 1 are well");
    fake_pod_is(it.pod, "running", true);
    control_changed(it.control);
    check("check zk -j -i 3" URL, 0, "{\"marathon.zk #3\":{\"ok\":true,\"process\":\"running\"}}\n",
          "");
    check("check" URL, 0, "marathon.zk #10  running  yes\n", "");
    it.state = "leader (configuration pending)";
    control_changed(it.control);
    check("check zk" URL, 1, "leader (configuration pending): ", "0 of 2 are well");
    it.state = "leader";
    control_changed(it.control);
    one_more_that_is_away();
    check("check" URL, 1, "marathon.zk #11  -        ", "2 of 3 are well");
    check("check web" URL, 1, NULL, "no cluster matches \"web\"");
}

static void a_pattern_that_matches_nothing_is_1(void **state) {
    (void)state;
    static const char *const verbs[] = {"ls",        "grep", "info", "cluster",
                                        "port 8080", "poll", "log",  "check"};
    it.ports = json_pack("{s:i}", "8080", 28800);
    fake_pod_is(it.pod, "running", true);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        bool indented = !strcmp(verbs[i], "info") || !strcmp(verbs[i], "cluster");
        auto_free char *none = xasprintf("%s nope" URL, verbs[i]);
        auto_free char *json = xasprintf("%s nope -j" URL, verbs[i]);
        auto_free char *some = xasprintf("%s zk nope" URL, verbs[i]);
        auto_free char *all = xasprintf("%s" URL, verbs[i]);
        check(none, 1, indented ? "{}\n" : "", "ocho: no cluster matches \"nope\"\n");
        check(json, 1, "{}\n", "ocho: no cluster matches \"nope\"\n");
        check(some, 1, strcmp(verbs[i], "log") ? "marathon.zk" : NULL,
              "ocho: no cluster matches \"nope\"\n");
        check(all, 0, NULL, "");
    }
}

static void cluster_is_what_the_pod_answers(void **state) {
    (void)state;
    check("cluster -j" URL, 0, "{\"marathon.zk\":{\"cluster\":\"marathon.zk\",", "");
    check("cluster" URL, 0, "  \"marathon.zk\": {\n", "");
    check("cluster web -j" URL, 1, "{}\n", "no cluster matches");
    it.cluster_fails = true;
    check("cluster" URL, 3, "", "no session");
}

static void log_is_short_unless_told(void **state) {
    (void)state;
    for (int i = 0; i < 30; i++) {
        auto_free char *text = xasprintf("number %d!", i);
        log_keep(text, strlen(text));
    }
    struct said said = ocho("log -i 3" URL);
    assert_null(strstr(said.out, "number 13!\n"));
    assert_non_null(strstr(said.out, "number 14!\n"));
    check("log -l -i 3" URL, 0, "number 0!\n", "");
    check("log -lj -i 3" URL, 0, "\"number 0!\\n\"", "");
}

static void debug_names_each_request(void **state) {
    (void)state;
    check("off zk -i 3 -d" URL, 0, "marathon.zk #3: off\n", "/control/off");
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        test(a_pod_alone_is_asked_where_it_answered),
        test(off_and_on_print_what_ochothon_prints),
        test(numbers_come_in_both_spellings),
        test(each_pattern_has_its_own_outcome),
        test(who_refuses_is_named_with_his_reason),
        test(one_that_stays_off_is_told),
        test(an_off_whose_answer_is_lost_is_followed_by_on),
        test(all_are_asked_side_by_side),
        test(the_pod_hears_how_long_it_is_waited_for),
        test(a_pod_that_hangs_is_waited_for_as_long_as_told),
        test(reset_of_the_session_leaves_the_workload_alone),
        test(signal_prints_what_the_hook_printed),
        test(exec_prints_what_ochothon_prints),
        test(options_of_the_tool_are_passed_on),
        test(files_of_the_command_line_are_sent_along),
        test(port_and_poll_print_what_ochothon_prints),
        test(check_says_why_a_pod_is_not_well),
        test(a_pattern_that_matches_nothing_is_1),
        test(cluster_is_what_the_pod_answers),
        test(log_is_short_unless_told),
        test(debug_names_each_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/own.h"
#include "sidecar/render/template.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char scope_text[] =
    "{\"pods\": ["
    "{\"index\": 0, \"seq\": 3, \"ordinal\": 1, \"founder\": true, \"joined\": true, \"self\": "
    "true, \"first\": true, \"last\": false, \"ip\": \"10.0.0.1\", \"ports\": {\"8080\": 8080}},"
    "{\"index\": 1, \"seq\": 4, \"ordinal\": 2, \"founder\": true, \"joined\": true, \"self\": "
    "false, \"first\": false, \"last\": false, \"ip\": \"10.0.0.2\", \"ports\": {\"8080\": 31000, "
    "\"2888\": 31001, \"3888\": 31002}},"
    "{\"index\": 2, \"seq\": 9, \"ordinal\": 3, \"founder\": false, \"joined\": false, \"self\": "
    "false, \"first\": false, \"last\": true, \"ip\": \"10.0.0.3\", \"ports\": {\"8080\": 8080}}],"
    "\"self\": {\"seq\": 3, \"ordinal\": 1, \"founder\": true, \"ip\": \"10.0.0.1\", \"ports\": "
    "{\"2181\": 32181, \"http\": 80}},"
    "\"index\": 0, \"seq\": 3, \"ordinal\": 1, \"size\": 3, \"local_ports\": {\"2181\": 31001}, "
    "\"dependencies\": {\"kafka\": [{\"ip\": \"10.1.0.1\", \"ports\": {\"9092\": 31092}}, {\"ip\": "
    "\"fd00::2\", \"ports\": {}}], \"none\": []}, "
    "\"env\": {\"HOME\": \"/root\"}, \"settings\": {\"tick\": 500, \"ratio\": 2.0, \"gone\": "
    "null}}";

static int render(const char *text, char **ret, struct err *err) {
    auto_json json_t *scope = json_read(scope_text, strlen(scope_text), sizeof scope_text, "scope",
                                        err);
    assert_non_null(scope);
    struct text out = {0};
    int result = template_render("t.tmpl", text, scope, &out, err);
    if (result)
        text_done(&out);
    else
        *ret = text_take(&out);
    return result;
}

static void is(const char *text, const char *wanted) {
    struct err err = ERR_INIT;
    char *got = NULL;
    if (render(text, &got, &err))
        fail_msg("%s\n%s", text, err.text);
    assert_string_equal(got, wanted);
    free(got);
    assert_int_equal(template_check("t.tmpl", text, &err), 0);
}

static void refused(const char *text, const char *message) {
    struct err err = ERR_INIT;
    char *got = NULL;
    if (!render(text, &got, &err))
        fail_msg("%s gave %s", text, got);
    assert_string_equal(err.text, message);
    assert_int_equal(err.kind, ERR_REFUSED);
}

static void malformed(const char *text, const char *message) {
    struct err err = ERR_INIT;
    assert_int_equal(template_check("t.tmpl", text, &err), -1);
    assert_string_equal(err.text, message);
    assert_int_equal(err.kind, ERR_USER);
    char *got = NULL;
    assert_int_equal(render(text, &got, &err), -1);
}

static void text_is_kept_to_the_byte(void **state) {
    (void)state;
    is("", "");
    is("a\n\n  b { } % }} %}\n\ttab", "a\n\n  b { } % }} %}\n\ttab");
    is("\xc3\xa4{{ '\xe2\x82\xac' }}\r\n", "\xc3\xa4\xe2\x82\xac\r\n");
}

static void values_are_written_as_people_do(void **state) {
    (void)state;
    is("{{ 1 }} {{ 2.0 }} {{ 6 / 2 }} {{ 0.5 }} {{ 1e100 }}", "1 2 3 0.5 1e+100");
    is("{{ settings.ratio }} {{ settings.tick // 2 }} {{ true }} {{ not true }}",
       "2 250 true false");
    is("{{ tostring(4 / 2) }}|{{ join({1, 4 / 2, 'x', true}, ';') }}", "2|1;2;x;true");
    is("{{ ('a-b'):gsub('-', '+') }}", "a+b"); // the first of two results
}

static void the_scope_is_that_of_the_contract(void **state) {
    (void)state;
    is("{{ index }} {{ seq }} {{ ordinal }} {{ size }} {{ #pods }}", "0 3 1 3 3");
    is("{{ self.ip }} {{ pods[2].ip }} {{ pods[3].last }}", "10.0.0.1 10.0.0.2 true");
    is("{{ grep('kafka', 9092) }}", "10.1.0.1:31092,[fd00::2]:9092");
    is("{{ port(2181) }} {{ port('2181') }} {{ port(3888) }} {{ port('http') }}",
       "32181 32181 3888 80");
    is("{{ local_port(2181) }} {{ local_port('2888') }} {{ local_port(2888.0) }}",
       "31001 2888 2888");
    is("{{ env.HOME }} {{ settings.tick }}", "/root 500");
    is("{{ get(settings, 'tick', 2000) }} {{ get(settings, 'tock', 2000) }}", "500 2000");
    is("{{ get(settings, 'gone', 'x') }}", "x");
    is("{{ get(self.ports, 2181, 1) }} {{ get(self.ports, '2181', 1) }} {{ get(self.ports, 99, 1) "
       "}}",
       "32181 32181 1");
    is("{% for i, p in ipairs(dependencies.kafka) do %}{{ i }}={{ p.ip }} {% end %}",
       "1=10.1.0.1 2=fd00::2 ");
}

static void pairs_goes_in_order(void **state) {
    (void)state;
    is("{% for k, v in pairs({z = 1, a = 2, m = 3, [2] = 4, [1] = 5}) do %}{{ k }}={{ v }} {% end "
       "%}",
       "1=5 2=4 a=2 m=3 z=1 ");
    is("{% for k in pairs(self) do %}{{ k }} {% end %}", "founder ip ordinal ports seq ");
}

static void a_line_of_statements_leaves_no_line(void **state) {
    (void)state;
    is("a\n{% if true then %}\nb\n  {% end %}  \nc\n", "a\nb\nc\n");
    is("{% local x = 1\n   local y = 2 %}\n{{ x + y }}\n", "3\n");
    is("x\n{% if true then %} {% end %}\ny", "x\ny");
    is("a {% if true then %}b{% end %}\n", "a b\n");
    is("{% if true then %}\r\nb\r\n{% end %}\r\n", "b\r\n");
    is("x\n{% local a = 1 %}{{ a }}\n", "x\n1\n");
    is("x\n{% local a = 1 %}", "x\n");
    is("\n\n{% local a = 1 %}\n\n", "\n\n\n");
}

static void braces_in_lua_do_not_end_it(void **state) {
    (void)state;
    is("{{ join({a = {b = 1}} and {1}) }}", "1");
    is("{{ '}}' .. \"%}\" .. [[}}]] .. [==[ ]] }}]==] }}", "}}%}}} ]] }}");
    is("{{ 'it\\'s }}' }}", "it's }}");
    is("{% local a = '%}' -- a comment %}\n{{ a -- and another\n }}", "%}");
    is("{{ 1 --[[ }} ]] }}", "1");
    is("{{ '{{' }} {{ \"{%\" }}", "{{ {%");
}

// From the page about ZooKeeper ensembles, as it stands there.
static void the_zookeeper_template_renders_verbatim(void **state) {
    (void)state;
    is("{% local have = 0\n"
       "   for _, p in ipairs(pods) do if p.joined then have = have + 1 end end\n"
       "   if have > 0 and have < size // 2 + 1 then fail(\"only \"..have..\" of \"..size..\" "
       "members hold data\") end %}\n"
       "db.autocreate={{ self.founder }}\n"
       "{% for _, p in ipairs(pods) do if p.ordinal == self.ordinal then %}\n"
       "server.{{ p.ordinal }}=0.0.0.0:2888:3888\n"
       "{% else %}\n"
       "server.{{ p.ordinal }}={{ p.ip }}:{{ p.ports[\"2888\"] }}:{{ p.ports[\"3888\"] }}\n"
       "{% end end %}\n",
       "db.autocreate=true\n"
       "server.1=0.0.0.0:2888:3888\n"
       "server.2=10.0.0.2:31001:31002\n"
       "server.3=10.0.0.3:2888:3888\n");
}

static void add_member(struct text *t, int ordinal, bool founder, bool joined) {
    text_addf(t,
              "{\"ordinal\": %d, \"founder\": %s, \"joined\": %s, \"ip\": \"10.0.0.%d\", "
              "\"ports\": {}}",
              ordinal, founder ? "true" : "false", joined ? "true" : "false", ordinal);
}

// What the pod of ordinal 4 of the example writes, when the first `have` of three hold data.
static int zookeeper_renders(int have, const char *settings, char **ret, struct err *err) {
    auto_text struct text file = {0}, scope = {0}, out = {0};
    auto_file FILE *f = fopen(SOURCE_DIR "/compose/zookeeper/zoo.cfg.tmpl", "re");
    assert_non_null(f);
    for (int c; (c = getc(f)) != EOF;)
        text_addn(&file, &(char){(char)c}, 1);
    text_add(&scope, "{\"pods\": [");
    add_member(&scope, 1, true, have > 0);
    text_add(&scope, ", ");
    add_member(&scope, 4, false, have > 1);
    text_add(&scope, ", ");
    add_member(&scope, 5, false, have > 2);
    text_add(&scope, "], \"self\": ");
    add_member(&scope, 4, false, have > 1);
    text_addf(&scope,
              ", \"ordinal\": 4, \"size\": 3, \"local_ports\": {}, \"dependencies\": {}, "
              "\"env\": {}, \"settings\": %s}",
              settings);
    auto_json json_t *view = json_read(text_str(&scope), scope.len, 4096, "scope", err);
    if (!view)
        fail_msg("%s: %s", text_str(&scope), err->text);
    int result = template_render("zoo.cfg.tmpl", text_str(&file), view, &out, err);
    if (result == 0)
        *ret = text_take(&out);
    return result;
}

static const char all_vote[] = "server.1=10.0.0.1:2888:3888\n"
                               "server.4=0.0.0.0:2888:3888\n"
                               "server.5=10.0.0.5:2888:3888\n";

static void a_minority_with_data_is_the_truth_when_the_operator_says_so(void **state) {
    (void)state;
    struct err err = ERR_INIT;
    char *got = NULL;
    assert_int_equal(zookeeper_renders(1, "{}", &got, &err), -1);
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_non_null(strstr(err.text, "only 1 of 3 members hold data"));
    // Of this size, that is: one that it has grown to since, or `true`, is none that was meant.
    assert_int_equal(zookeeper_renders(1, "{\"recover\": false}", &got, &err), -1);
    assert_int_equal(zookeeper_renders(1, "{\"recover\": true}", &got, &err), -1);
    assert_int_equal(zookeeper_renders(1, "{\"recover\": 1}", &got, &err), -1);
    assert_int_equal(zookeeper_renders(1, "{\"recover\": 5}", &got, &err), -1);

    assert_int_equal(zookeeper_renders(1, "{\"recover\": 3}", &got, &err), 0);
    assert_non_null(strstr(got, "server.1=10.0.0.1:2888:3888\n"
                                "server.4=0.0.0.0:2888:3888:observer\n"
                                "server.5=10.0.0.5:2888:3888:observer\n"));
    assert_non_null(strstr(got, "\nclientPortAddress=127.0.0.1\n"));
    assert_non_null(strstr(got, "\ndb.autocreate=false\n"));
    free(got);
}

static void what_the_operator_says_counts_for_a_minority_alone(void **state) {
    (void)state;
    for (int have = 0; have <= 3; have += have ? 1 : 2) {
        struct err err = ERR_INIT;
        char *got = NULL, *plain = NULL;
        assert_int_equal(zookeeper_renders(have, "{\"recover\": 3}", &got, &err), 0);
        assert_int_equal(zookeeper_renders(have, "{}", &plain, &err), 0);
        assert_string_equal(got, plain);
        assert_non_null(strstr(got, all_vote));
        assert_null(strstr(got, "clientPortAddress"));
        free(got);
        free(plain);
    }
}

static void what_is_missing_is_named(void **state) {
    (void)state;
    refused("a\nb\n{{ pods[1].prots }}\n", "t.tmpl:3: pods[1].prots: no such name");
    refused("{{ podz }}", "t.tmpl:1: podz: no such name");
    refused("\n{{ pods[4].ip }}", "t.tmpl:2: pods[4]: no such name");
    refused("{{ env.NOPE }}", "t.tmpl:1: env.NOPE: no such name");
    refused("{{ settings.gone }}", "t.tmpl:1: settings.gone: no such name");
    refused("{{ settings['a b'] }}", "t.tmpl:1: settings[\"a b\"]: no such name");
    refused("{{ self.ports.https }}", "t.tmpl:1: self.ports.https: no such name");
    refused("{{ local_port('http') }}", "t.tmpl:1: local_port: http: no port");
    refused("{{ local_port(0) }}", "t.tmpl:1: local_port: 0: no port");
    refused("{{ port(70000) }}", "t.tmpl:1: self.ports[\"70000\"]: no such name");
    refused("{{ grep('zoo', 1) }}", "t.tmpl:1: dependencies.zoo: no such name");
    refused("{{ grep('none', 1) }}", "t.tmpl:1: grep: none has no pods");
    refused("{% local x = nil %}\n{{ x }}", "t.tmpl:2: {{ x }} has no value");
    refused("{{ pods }}", "t.tmpl:1: {{ pods }} is a table, not text");
    refused("{{ 1 / 0 }}", "t.tmpl:1: {{ 1 / 0 }} is not a finite number");
}

static void an_error_names_the_line_of_the_template(void **state) {
    (void)state;
    refused("1\n{% local a = 1\nlocal b = 2\nfail('no') %}\n", "t.tmpl:4: no");
    refused("{{ 1 }}\n{{ 1 +\n nil }}\n", "t.tmpl:2: attempt to perform arithmetic on a nil value");
    refused("{% local function f()\n  return pods[9].ip\nend %}\n{{ f() }}",
            "t.tmpl:2: pods[9]: no such name");
    refused("{{ 1 }}{{ 2 }}\n\n{% if x then %}\n{% end %}", "t.tmpl:3: x: no such name");
    refused("{{ join({{}}) }}", "t.tmpl:1: tostring: the value is a table, not text");
    refused("{{ fail() }}", "t.tmpl:1: fail() without a reason");
}

static void mistakes_of_syntax_name_their_line(void **state) {
    (void)state;
    malformed("a\n{{ x", "t.tmpl:2: {{ is never closed");
    malformed("{% if x then }}", "t.tmpl:1: {% is never closed");
    malformed("a\n\n{{ 1 + }}", "t.tmpl:3: unexpected symbol near <eof>");
    malformed("{{ a) .. (b }}", "t.tmpl:1: <eof> expected near ')'");
    malformed("{{ }}", "t.tmpl:1: {{ }} holds no expression");
    malformed("{{}}", "t.tmpl:1: {{}} holds no expression");
    malformed("x\n{% if x %}\ny", "t.tmpl:2: 'then' expected");
    malformed("{{ a, b }}", "t.tmpl:1: ')' expected near ','");
    malformed("\n{% for i = 1, 2 do %}\nx\n",
              "t.tmpl:3: 'end' expected (to close 'for' at line 2) near <eof>");
}

static void nothing_reaches_out(void **state) {
    (void)state;
    static const char *const gone[] = {
        "os",      "io",           "load",         "loadstring", "dofile",         "loadfile",
        "require", "debug",        "pcall",        "xpcall",     "coroutine",      "package",
        "rawget",  "setmetatable", "getmetatable", "_G",         "collectgarbage", "print",
        "rawset",  "next",         "error",        "warn"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        char text[64], wanted[80];
        snprintf(text, sizeof text, "{{ %s }}", gone[i]);
        snprintf(wanted, sizeof wanted, "t.tmpl:1: %s: no such name", gone[i]);
        refused(text, wanted);
    }
    is("{{ type(string.dump) }}{{ type(math.random) }}{{ type(math.randomseed) }}", "nilnilnil");
    is("{{ type((''):rep(3)) }}{{ type(('').dump) }}", "stringnil");
}

static void what_is_too_much_ends(void **state) {
    (void)state;
    refused("a\n{% while true do end %}", "t.tmpl:2: runs too long");
    refused("{{ ('x'):rep(1 << 40) }}", "t.tmpl:1: string.rep: longer than 1024 KiB");
    refused("{{ string.rep('x', 1 << 20, 'y') }}", "t.tmpl:1: string.rep: longer than 1024 KiB");
    refused("{% local s = ('x'):rep(1000) for i = 1, 1100 do %}{{ s }}{% end %}",
            "t.tmpl:1: the result is larger than 1024 KiB");
    refused("{% local t = {} for i = 1, 1 << 40 do t[i] = i end %}",
            "t.tmpl: needs more than 32 MiB of memory");
    refused("{% local s = 'x' while true do s = s .. s end %}",
            "t.tmpl: needs more than 32 MiB of memory");
    struct err err = ERR_INIT;
    char *got = NULL;
    assert_int_equal(render("{% local function f() return 1 + f() end f() %}", &got, &err), -1);
}

static void globals_do_not_travel(void **state) {
    (void)state;
    is("{% x = 5 pods[1].ip = 'y' %}{{ x }}{{ pods[1].ip }}", "5y");
    refused("{{ x }}", "t.tmpl:1: x: no such name");
    is("{{ pods[1].ip }}", "10.0.0.1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_kept_to_the_byte),
        cmocka_unit_test(values_are_written_as_people_do),
        cmocka_unit_test(the_scope_is_that_of_the_contract),
        cmocka_unit_test(pairs_goes_in_order),
        cmocka_unit_test(a_line_of_statements_leaves_no_line),
        cmocka_unit_test(braces_in_lua_do_not_end_it),
        cmocka_unit_test(the_zookeeper_template_renders_verbatim),
        cmocka_unit_test(a_minority_with_data_is_the_truth_when_the_operator_says_so),
        cmocka_unit_test(what_the_operator_says_counts_for_a_minority_alone),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(an_error_names_the_line_of_the_template),
        cmocka_unit_test(mistakes_of_syntax_name_their_line),
        cmocka_unit_test(nothing_reaches_out),
        cmocka_unit_test(what_is_too_much_ends),
        cmocka_unit_test(globals_do_not_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

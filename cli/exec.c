// POST /exec, as Ochothon sends it: the words in X-Shell, and each word behind the tool's that
// names a file as a part of multipart/form-data. Word, name and file name are the last component of
// its path: pods keep uploads in one folder (an original pod fails at a name with a slash).
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/act.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { BODY_MAX = 64 * 1024 * 1024, MAX_REPLY = 16 * 1024 * 1024, BOUNDARY = 24 };

// ---- what is sent ----

static char *make_boundary(void) {
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[BOUNDARY];
    CHECK(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
    char *s = xcalloc(1, sizeof(bytes) + 1);
    for (size_t i = 0; i < sizeof(bytes); i++)
        s[i] = digits[bytes[i] & 15];
    return s;
}

static void add_quoted(struct text *t, const char *s) {
    text_addc(t, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            text_addc(t, '\\');
        text_addc(t, *s);
    }
    text_addc(t, '"');
}

static int add_file(struct text *body, const char *path, struct err *err) {
    auto_file FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(err, ERR_USER, errno, "%s", path);
    char buf[16384];
    for (size_t n; (n = fread(buf, 1, sizeof(buf), f)) > 0;) {
        text_addn(body, buf, n);
        if (body->len > BODY_MAX)
            return err_set(err, ERR_USER, "%s: files over %d MiB in all", path,
                           BODY_MAX / (1024 * 1024));
    }
    return ferror(f) ? err_errno(err, ERR_USER, errno, "%s", path) : 0;
}

static int add_part(struct text *body, const char *boundary, const char *path, struct err *err) {
    text_addf(body, "--%s\r\nContent-Disposition: form-data; name=", boundary);
    add_quoted(body, basename(path));
    text_add(body, "; filename=");
    add_quoted(body, basename(path));
    text_add(body, "\r\nContent-Type: application/octet-stream\r\n\r\n");
    if (add_file(body, path, err))
        return -1;
    text_add(body, "\r\n");
    return 0;
}

static bool is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

// Another of them has that name already.
static bool is_taken(char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (is_file(words[i]) && strcmp(basename(words[i]), basename(words[n])) == 0)
            return true;
    return false;
}

// An empty body: no file is meant.
static int pack(char *const *words, const char *boundary, struct text *body, struct err *err) {
    for (size_t i = 0; words[i]; i++) {
        if (!is_file(words[i]))
            continue;
        if (is_taken(words, i))
            return err_set(err, ERR_USER, "two files of the name %s", basename(words[i]));
        if (add_part(body, boundary, words[i], err))
            return -1;
    }
    if (body->len)
        text_addf(body, "--%s--\r\n", boundary);
    return 0;
}

static bool is_line(const char *s) {
    while ((unsigned char)*s >= ' ' && *s != 127)
        s++;
    return !*s;
}

// The header cannot quote: the pod cuts it at blanks.
static char *join(char *const *words, struct err *err) {
    auto_text struct text t = {0};
    text_addf(&t, "X-Shell: %s", *words);
    for (char *const *word = words + 1; *word; word++)
        text_addf(&t, " %s", is_file(*word) ? basename(*word) : *word);
    if (is_line(t.s))
        return text_take(&t);
    err_set(err, ERR_USER, "an argument of a tool has no line breaks");
    return NULL;
}

// ---- what comes back ----

static bool is_answer(const json_t *answer) {
    return json_is_integer(json_object_get(answer, "code")) &&
           json_is_array(json_object_get(answer, "stdout"));
}

static json_t *row_of(struct pod_seen *pod) {
    json_t *answer = json_object_get(pod->json, "exec");
    if (answer && !is_answer(answer))
        pods_fail(pod, "/exec answered neither code nor stdout");
    if (*pods_error(pod))
        return json_pack("{s:s}", "error", pods_error(pod));
    return json_incref(answer);
}

// With more than one pod each line begins with the pod's name.
static void print(const struct pod_seen *pod, bool named) {
    json_t *answer = json_object_get(pod->json, "exec"), *line;
    size_t i;
    json_array_foreach(json_object_get(answer, "stdout"), i, line) {
        const char *s = json_string_value(line);
        if (s)
            printf("%s%s%s%s", named ? pod->label : "", named ? " | " : "", s,
                   text_ends(s, "\n") ? "" : "\n");
    }
}

static int conclude(const struct pods *pods, const struct cli_options *options, json_t *rows) {
    int status = EXIT_DONE;
    for (size_t i = 0; i < pods->n; i++) {
        struct pod_seen *pod = &pods->list[i];
        CHECK(json_object_set_new(rows, pod->label, row_of(pod)) == 0);
        json_int_t code = json_integer_value(
            json_object_get(json_object_get(rows, pod->label), "code"));
        if (!options->json && !*pods_error(pod))
            print(pod, pods->n > 1);
        if (code)
            fprintf(stderr, "ocho: %s: exit code %" JSON_INTEGER_FORMAT "\n", pod->label, code);
        status = code ? EXIT_SOME : status;
    }
    if (options->json)
        cli_print(rows, true);
    if (pods_report(pods, "answered") || !pods->n)
        return EXIT_SOME;
    return status;
}

static int run(const struct cli_options *options) {
    char *pattern[] = {options->args[0], NULL}, **words = options->args + 1;
    struct err err = ERR_INIT;
    auto_free char *shell = join(words, &err);
    auto_free char *boundary = make_boundary();
    auto_free char *type = xasprintf("Content-Type: multipart/form-data; boundary=%s", boundary);
    auto_text struct text body = {0};
    if (!shell || pack(words + 1, boundary, &body, &err))
        return cli_fail(&err);
    struct pods pods;
    int status = act_begin(options, pattern, &pods);
    if (status)
        return status;
    int64_t ms = act_timeout(options);
    auto_free char *budget = act_budget(ms);
    struct pods_request request = {
        .method = "POST",
        .path = "/exec",
        .headers = (const char *const[]){shell, budget, body.len ? type : NULL, NULL},
        .body = body.s,
        .body_len = body.len,
        .key = "exec",
        .timeout_ms = ms,
        .max_reply = MAX_REPLY};
    pods_send(&pods, &request);
    auto_json json_t *rows = json_object();
    status = conclude(&pods, options, rows);
    pods_end(&pods);
    return status;
}

const struct verb exec_verb = {
    .name = "exec",
    .args = "PATTERN TOOL [ARGUMENT...]",
    .summary = "run a tool of the spec in pods",
    .details =
        "Takes -i, or --force for all that match. 75 s each unless -t says otherwise.\n"
        "Arguments that name a file here are sent along, and the tool finds it in its directory\n"
        "under its own name. Arguments are cut at blanks. Options that are not ours are the\n"
        "tool's; behind `--` all are. Status 1 when a tool exits with anything but 0.\n"
        "JSON: {\"namespace.cluster #seq\": {\"code\", \"stdout\": [lines]}}; a pod that does not "
        "answer has\n\"error\" instead.\n"
        "Example: ocho exec zookeeper --force backup --all\n",
    .options = "ji!tzud",
    .args_min = 2,
    .args_max = CLI_MANY,
    .foreign = true,
    .run = run};

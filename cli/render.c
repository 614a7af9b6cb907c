#include "sidecar/render/render.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "cli/cli.h"
#include "sidecar/cluster/cluster.h"
#include "sidecar/spec/spec.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 8 * 1024 * 1024 };
extern char **environ;

static json_t *read_json(const char *path, struct err *err) {
    bool is_stdin = strcmp(path, "-") == 0;
    auto_file FILE *opened = is_stdin ? NULL : fopen(path, "re");
    FILE *f = is_stdin ? stdin : opened;
    if (!f) {
        err_errno(err, ERR_USER, errno, "%s", path);
        return NULL;
    }
    auto_text struct text t = {0};
    char buf[16384];
    for (size_t n; (n = fread(buf, 1, sizeof(buf), f)) > 0 && t.len <= FILE_MAX;)
        text_addn(&t, buf, n);
    if (ferror(f)) {
        err_errno(err, ERR_USER, errno, "%s", path);
        return NULL;
    }
    return json_read(text_str(&t), t.len, FILE_MAX, path, err);
}

// Without a key the first pod renders: the one with the lowest sequence number.
static const char *choose_key(const json_t *body, const char *given) {
    const char *id, *lowest = NULL;
    json_t *pod;
    json_int_t least = 0;
    if (given)
        return given;
    if (*json_text(body, "key"))
        return json_text(body, "key");
    json_object_foreach(json_object_get(body, "pods"), id, pod) {
        json_int_t seq = json_integer_value(json_object_get(pod, "seq"));
        if (!lowest || seq < least) {
            lowest = id;
            least = seq;
        }
    }
    return lowest ? lowest : "";
}

static json_t *view_of(json_t *given, const char *key, struct err *err) {
    if (!json_is_object(given)) {
        err_set(err, ERR_USER, "is no JSON object");
        return NULL;
    }
    if (json_is_array(json_object_get(given, "pods")))
        return json_incref(given);
    CHECK(json_object_set_new(given, "key", json_string(choose_key(given, key))) == 0);
    if (!json_object_get(given, "dependencies"))
        CHECK(json_object_set_new(given, "dependencies", json_object()) == 0);
    auto_free char *body = json_write(given);
    auto_free char *self = NULL, *hash = NULL;
    struct cluster *cluster = NULL;
    if (cluster_from_body(body, strlen(body), &cluster, &self, &hash, err))
        return NULL;
    json_t *view = cluster_view(cluster, self, err);
    cluster_free(cluster);
    json_t *allotted = json_object_get(given, "local_ports");
    if (view && json_is_object(allotted))
        CHECK(json_object_set(view, "local_ports", allotted) == 0);
    return view;
}

// ---- printing ----

static void print_words(const json_t *rendering, const char *key) {
    json_t *words = json_object_get(rendering, key), *word;
    size_t i;
    if (!json_is_array(words))
        return;
    printf("==> %s\n", key);
    json_array_foreach(words, i, word) {
        printf("%s\n", json_string_value(word));
    }
}

static void print_text(const json_t *rendering) {
    json_t *file, *environment = json_object_get(rendering, "environment"), *value;
    size_t i;
    const char *name;
    json_array_foreach(json_object_get(rendering, "files"), i, file) {
        const char *content = json_text(file, "content");
        json_t *mode = json_object_get(file, "mode");
        printf("==> %s", json_text(file, "target"));
        if (json_is_integer(mode))
            printf(" (%04o, %d:%d)", (unsigned)json_integer_value(mode),
                   (int)json_integer_value(json_object_get(file, "uid")),
                   (int)json_integer_value(json_object_get(file, "gid")));
        printf("\n%s%s", content, !*content || text_ends(content, "\n") ? "" : "\n");
    }
    if (json_object_size(environment))
        printf("==> environment\n");
    json_object_foreach(environment, name, value) {
        printf("%s=%s\n", name, json_string_value(value));
    }
    print_words(rendering, "entrypoint");
    print_words(rendering, "command");
}

static int print_rendering(const struct spec *spec, const struct cli_options *options,
                           struct err *err) {
    if (options->key && !text_is_utf8(options->key, strlen(options->key)))
        return err_set(err, ERR_USER, "--key is not UTF-8");
    auto_json json_t *given = read_json(options->cluster, err);
    if (!given)
        return -1;
    auto_json json_t *view = view_of(given, options->key, err);
    if (!view)
        return err_wrap(err, "%s", options->cluster);
    auto_json json_t *rendering = render_now(spec, view, err);
    if (!rendering)
        return -1;
    if (options->json)
        cli_print(rendering, true);
    else
        print_text(rendering);
    return 0;
}

static int run(const struct cli_options *options) {
    if (!options->cluster) {
        fprintf(stderr, "ocho render: missing: --cluster FILE (see ocho render --help)\n");
        return EXIT_USAGE;
    }
    struct spec_flags flags = {.spec = options->args[0], .port = -1};
    struct spec *spec = NULL;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    if (spec_load(&flags, environ, &spec, &report, &err) || render_check(spec, &report, &err)) {
        fprintf(stderr, "%s", text_str(&report));
        spec_free(spec);
        return EXIT_USAGE;
    }
    int failed = print_rendering(spec, options, &err);
    spec_free(spec);
    if (failed)
        fprintf(stderr, "ocho: %s\n", err.text);
    return failed ? EXIT_USAGE : EXIT_DONE;
}

const struct verb render_verb = {
    .name = "render",
    .args = "SPEC --cluster FILE",
    .summary = "print what a pod would write, with no Docker and no ZooKeeper",
    .details =
        "FILE is JSON, one of\n"
        "  what a leader sends: {\"pods\": {id: record}, \"dependencies\": {name: {id: record}},\n"
        "                        \"key\": id of the pod that renders}; \"members\" may be there\n"
        "  what templates see:  {\"pods\": [...], \"self\": {...}, \"index\", \"seq\", "
        "\"ordinal\", \"size\",\n"
        "                        \"dependencies\": {name: [...]}}\n"
        "A record needs \"ip\" and \"seq\". --key takes the place of the file's key.\n"
        "JSON: {\"files\": [{\"target\", \"content\", \"mode\", \"uid\", \"gid\", \"sha256\"}], "
        "\"environment\",\n\"command\", \"entrypoint\"}\n",
    .options = "jck",
    .args_min = 1,
    .args_max = 1,
    .run = run};

// Everything docker-api reads from an engine: frames, JSON lines, log lines, inspects, images,
// pulls, failures. The first byte chooses the reader. The incremental ones are fed twice, whole and
// in pieces whose size the second byte says: what comes out must be the same.
#include "base/check.h"
#include "base/text.h"
#include "docker-api/decode.h"
#include "docker-api/frames.h"
#include "docker-api/pull.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MAX_FUZZ = 4096 };

struct said {
    struct text text;
    bool failed;
};

static bool said_frame(int stream, const char *data, size_t len, bool last, void *arg) {
    struct said *said = arg;
    text_addn(&said->text, data, len);
    if (last)
        text_addf(&said->text, "<%d>", stream);
    return true;
}

static void read_frames(struct said *said, const char *s, size_t len, size_t step) {
    struct frames f = {0};
    for (size_t at = 0; at < len && !said->failed; at += step)
        said->failed = frames_feed(&f, s + at, len - at < step ? len - at : step, said_frame, said,
                                   NULL) < 0;
}

static bool said_json(const char *line, size_t len, void *arg) {
    struct said *said = arg;
    struct decode_event event;
    auto_json json_t *j = json_read(line, len, DECODE_MAX_EVENT, "event", NULL);
    text_addn(&said->text, line, len);
    if (j && decode_event(j, &event, NULL) == 0)
        text_addf(&said->text, "<%s %s %lld>", event.name, event.id, (long long)event.time_ns);
    text_addc(&said->text, '\n');
    return true;
}

static void read_jsonl(struct said *said, const char *s, size_t len, size_t step) {
    struct jsonl j = {0};
    for (size_t at = 0; at < len && !said->failed; at += step)
        said->failed = jsonl_feed(&j, s + at, len - at < step ? len - at : step, LINE_MAX_FUZZ,
                                  said_json, said, NULL) < 0;
    jsonl_done(&j);
}

static bool said_line(const char *line, size_t len, int64_t time_ns, void *arg) {
    struct said *said = arg;
    CHECK(len <= LINES_MAX);
    text_addn(&said->text, line, len);
    text_addf(&said->text, "<%lld>", (long long)time_ns);
    return true;
}

static void read_lines(struct said *said, const char *s, size_t len, size_t step) {
    struct lines l = {0};
    for (size_t at = 0; at < len; at += step)
        CHECK(lines_feed(&l, s + at, len - at < step ? len - at : step, said_line, said));
    CHECK(lines_flush(&l, said_line, said));
    lines_done(&l);
}

static void read_both_ways(void (*fn)(struct said *said, const char *s, size_t len, size_t step),
                           const char *s, size_t len) {
    struct said whole = {0}, pieces = {0};
    size_t step = len ? (size_t)(unsigned char)*s + 1 : 1;
    fn(&whole, s, len, len + 1);
    fn(&pieces, s, len, step);
    CHECK(whole.failed == pieces.failed);
    // What came out before a failure may be more of one piece.
    CHECK(whole.failed || strcmp(text_str(&whole.text), text_str(&pieces.text)) == 0);
    text_done(&whole.text);
    text_done(&pieces.text);
}

static void read_container(const char *s, size_t len) {
    struct docker_container *c = NULL;
    if (decode_container(s, len, &c, NULL) < 0)
        return;
    CHECK(strlen(c->id) == 64 && c->name && c->ip && json_is_object(c->labels));
    CHECK(docker_container_label(c, "x") != NULL);
    docker_container_free(c);
}

static void read_image(const char *s, size_t len) {
    struct docker_image *image = NULL;
    if (decode_image(s, len, &image, NULL) < 0)
        return;
    CHECK(image->id && image->volumes && image->env);
    docker_image_free(image);
}

static bool said_pull(const char *line, size_t len, void *arg) {
    struct pull *p = arg;
    int before = p->percent;
    (void)!pull_feed(p, line, len, NULL);
    CHECK(p->percent >= before && p->percent <= 100);
    return true;
}

static void read_pull(const char *s, size_t len) {
    struct jsonl lines = {0};
    struct pull p;
    pull_init(&p);
    (void)!jsonl_feed(&lines, s, len, LINE_MAX_FUZZ, said_pull, &p, NULL);
    pull_done(&p);
    jsonl_done(&lines);
}

static void read_words(const char *s, size_t len) {
    char *text = xstrndup(s, len), *image = NULL, *tag = NULL;
    char version[16], server[64];
    struct err err = ERR_INIT;
    (void)!decode_version(text, version, &err);
    decode_server(text, server);
    decode_failure(len ? 400 + *s : 500, s, len, &err);
    CHECK(err.kind != ERR_NONE);
    if (pull_split(text, &image, &tag, NULL) == 0)
        CHECK(*image && *tag && !strchr(image, '@'));
    free(image);
    free(tag);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    // A copy of its own, so that reading past the end is seen.
    size_t len = size - 1;
    char *s = xcalloc(len ? len : 1, 1);
    memcpy(s, data + 1, len);
    switch (data[0] % 7) {
    case 0:
        read_both_ways(read_frames, s, len);
        break;
    case 1:
        read_both_ways(read_jsonl, s, len);
        break;
    case 2:
        read_both_ways(read_lines, s, len);
        break;
    case 3:
        read_container(s, len);
        break;
    case 4:
        read_image(s, len);
        break;
    case 5:
        read_pull(s, len);
        break;
    default:
        read_words(s, len);
    }
    free(s);
    return 0;
}

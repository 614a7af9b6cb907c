// What anybody may hand us as pod.yaml, or in OCHOPOD_SPEC.
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/spec/spec.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_action(const struct spec_action *action) {
    CHECK((action->kind == ACTION_NONE) == (action->argv == NULL));
    CHECK(!action->argv || (action->argv[0] && *action->argv[0] && action->timeout > 0));
}

// What the rest of the program takes for granted.
static void check_spec(const struct spec *spec) {
    const struct spec_workload *w = &spec->workload;
    CHECK(spec->source && spec->listen && spec->state_dir && spec->settings && spec->environment_);
    CHECK(spec->port > 0 && spec->port < 65536 && spec->session > 0);
    CHECK(w->environment && w->stop.signal);
    bool adopted = w->container.service || w->container.label || w->container.name ||
                   w->container.id;
    CHECK(adopted == !w->image);
    CHECK((w->on_change.kind == CHANGE_EXEC) == (w->on_change.argv != NULL));
    CHECK((w->on_change.kind == CHANGE_SIGNAL) == (w->on_change.signal != NULL));
    for (size_t i = 0; i < spec->files_len; i++) {
        const struct spec_file *f = &spec->files[i];
        CHECK(f->target[0] == '/' && f->content && f->source && f->mode <= 0777);
        check_action(&f->validate);
    }
    for (size_t i = 0; i < spec->tools_len; i++)
        check_action(&spec->tools[i].action);
    for (size_t i = 0; i < HOOK_COUNT; i++)
        check_action(&spec->hooks[i]);
    for (size_t i = 0; i < spec->needs_len; i++)
        CHECK(spec->needs[i].what && spec->needs[i].n > 0);
}

// Each line is "fuzz:12:3: something", whatever was in the text.
static void check_report(const struct text *report) {
    char **lines = text_split(text_str(report), "\n");
    CHECK(lines[0]);
    for (size_t i = 0; lines[i]; i++) {
        CHECK(text_starts(lines[i], "fuzz:") && strlen(lines[i]) > 12);
        for (const char *c = lines[i]; *c; c++)
            CHECK((unsigned char)*c >= 0x20);
    }
    text_list_free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct spec *spec = NULL;
    auto_text struct text report = {0};
    struct err err = ERR_INIT;
    if (spec_parse((const char *)data, size, "fuzz", "/nonexistent", NULL, NULL, &spec, &report,
                   &err)) {
        CHECK(!spec && err.kind == ERR_USER && err.text[0]);
        check_report(&report);
        return 0;
    }
    CHECK(spec && !report.len);
    check_spec(spec);
    spec_free(spec);
    return 0;
}

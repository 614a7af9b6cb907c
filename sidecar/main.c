#include "base/log.h"
#include "base/text.h"
#include "sidecar/app.h"
#include "sidecar/init.h"
#include "sidecar/options.h"
#include "sidecar/render/render.h"
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>

extern char **environ;

static int complain(const struct text *report, bool resumed) {
    fputs(text_str(report), stderr);
    fprintf(stderr, "ochopod-sidecar: %s; `ocho validate` checks a spec without a pod\n",
            resumed ? "what was started before runs on" : "nothing was started");
    return EXIT_SPEC;
}

static int worker(int tether_fd, bool resumed, void *arg) {
    const struct options *options = arg;
    struct spec *spec;
    int names;
    struct err err = ERR_INIT;
    auto_text struct text report = {0};
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // before anything secret is read
    if (app_start_names(&options->flags, &names, &err)) {
        log_err("sidecar %s", err.text);
        return 1;
    }
    if (spec_load(&options->flags, environ, &spec, &report, &err) ||
        render_check(spec, &report, &err))
        return complain(&report, resumed);
    if (spec->debug)
        log_set_level(LOG_LEVEL_DEBUG);
    int status = app_run(spec, names, tether_fd, resumed);
    spec_free(spec);
    return status;
}

// Neither we nor what is forked from us leaves an image of its memory behind.
static void leave_no_core(void) {
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
}

int main(int argc, char **argv) {
    struct options options;
    int status;
    if (options_parse(argc, argv, &options, &status))
        return status;
    leave_no_core();
    return init_run(worker, &options);
}

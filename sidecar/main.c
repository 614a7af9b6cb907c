#include "base/log.h"
#include "base/text.h"
#include "sidecar/app.h"
#include "sidecar/holder.h"
#include "sidecar/init.h"
#include "sidecar/options.h"
#include "sidecar/render/render.h"

extern char **environ;

static int complain(const struct text *report) {
    fputs(text_str(report), stderr);
    fprintf(stderr,
            "ochopod-sidecar: nothing was started; `ocho validate` checks a spec without a pod\n");
    return EXIT_SPEC;
}

static int worker(int tether_fd, void *arg) {
    const struct options *options = arg;
    struct spec *spec;
    struct err err = ERR_INIT;
    auto_text struct text report = {0};
    if (spec_load(&options->flags, environ, &spec, &report, &err) ||
        render_check(spec, &report, &err))
        return complain(&report);
    if (spec->debug)
        log_set_level(LOG_LEVEL_DEBUG);
    int status = app_run(spec, tether_fd);
    spec_free(spec);
    return status;
}

int main(int argc, char **argv) {
    struct options options;
    int status;
    if (options_parse(argc, argv, &options, &status))
        return status;
    if (options.holder)
        return holder_main(options.holder);
    return init_run(worker, &options);
}

#include "tests/tools/engined.h"
#include "base/log.h"
#include <getopt.h>
#include <signal.h>
#include <string.h>

static const char usage[] =
    "usage: engined [OPTION...] unix:///path|tcp://127.0.0.1:port\n"
    "A Docker engine for tests: answers at once, runs nothing.\n"
    "  --api VERSION    what it says it speaks (1.41)\n"
    "  --image NAME     is there; without any, every image is\n"
    "Beside the Engine API it hears:\n"
    "  POST /engined/misbehave?kind=K[&method=M][&path=P][&number=N][&times=T]   body: what it "
    "says\n"
    "      K: status N | garbage | cut after N bytes | slow, N bytes a second | hang |\n"
    "         huge (Content-Length N) | bomb (chunks without end) | raw (body is the whole reply)\n"
    "  POST /engined/behave                                  forgets all of these\n"
    "  POST /engined/exit?container=C[&code=N][&oom=1]       the process ends\n"
    "  POST /engined/health?container=C&status=S\n"
    "  POST /engined/say?container=C[&stream=1]              body: a line of its log\n"
    "A container with the label engined.exit_ms ends by itself, with engined.exit_code.\n";

static void on_signal(int signo, void *arg) {
    (void)signo;
    loop_quit(arg);
}

static int run(struct engined *d, const char *address) {
    struct err err = ERR_INIT;
    if (engined_listen(d, address, &err) < 0) {
        fprintf(stderr, "engined: %s\n", err.text);
        return 1;
    }
    struct loop_signal *term = loop_signal_start(d->loop, SIGTERM, on_signal, d->loop);
    struct loop_signal *interrupt = loop_signal_start(d->loop, SIGINT, on_signal, d->loop);
    loop_run(d->loop);
    loop_signal_stop(&term);
    loop_signal_stop(&interrupt);
    return 0;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"api", required_argument, NULL, 'a'},
                                            {"image", required_argument, NULL, 'i'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct loop *loop = loop_create();
    struct engined *d = engined_create(loop, "1.41");
    int status = -1;
    for (int c; status < 0 && (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'a') {
            d->api = optarg;
        } else if (c == 'i') {
            d->any_image = false;
            engine_image_add(d->engine, optarg, NULL);
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            status = c == 'h' ? 0 : 2;
        }
    }
    if (status < 0 && optind + 1 != argc) {
        fputs(usage, stderr);
        status = 2;
    }
    if (status < 0)
        status = run(d, argv[optind]);
    engined_free(d);
    loop_free(loop);
    return status;
}

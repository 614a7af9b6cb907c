#include "sidecar/options.h"
#include "base/text.h"
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: ochopod-sidecar [options]\n"
    "\n"
    "Runs beside one container of an unmodified image and makes it a pod of a cluster: starts and "
    "stops it through the\n"
    "Docker socket, renders its configuration, meets its peers in ZooKeeper, answers HTTP on the "
    "control port.\n"
    "\n"
    "  --spec FILE          the pod's spec (default: $OCHOPOD_SPEC, a path or the text itself, "
    "else\n"
    "                       /etc/ochopod/pod.yaml)\n"
    "  --cluster NAME       name of the cluster (default: what the binding knows, e.g. the compose "
    "service)\n"
    "  --namespace NAME     clusters of one namespace see each other (default: marathon)\n"
    "  --zk URL             zk://[user:password@]host:port,...[/chroot] (default: $OCHOPOD_ZK)\n"
    "  --port N             control port (default: 8080)\n"
    "  --listen ADDRESS     where the control port listens (default: 0.0.0.0)\n"
    "  --state-dir DIR      what must survive a crash (default: /var/lib/ochopod)\n"
    "  --binding NAME       where this pod runs: compose, swarm, marathon-pod, marathon, ec2,\n"
    "                       generic, local (default: the first of these that looks right)\n"
    "  --docker-host HOST   unix:///path or tcp://host:port (default: $DOCKER_HOST, else the usual "
    "socket)\n"
    "  --holder-image NAME  our own image, when the sidecar itself runs outside a container\n"
    "  --debug              log traffic, too\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 stopped in good order; 2 the spec, an option, the port, the state directory,\n"
    "a binding that was named or ZooKeeper's password is wrong; 3 told to stop, and the workload\n"
    "did not; 77 an access list in ZooKeeper is too wide or another's; 78 the state directory\n"
    "belongs to another living sidecar or is a copy of its. `ocho validate FILE` checks a spec;\n"
    "docs/SPEC.md describes every key.\n";

struct flag {
    const char *name;
    size_t offset; // of a const char * in struct spec_flags
};

static const struct flag texts[] = {
    {"spec", offsetof(struct spec_flags, spec)},
    {"cluster", offsetof(struct spec_flags, cluster)},
    {"namespace", offsetof(struct spec_flags, namespace_)},
    {"zk", offsetof(struct spec_flags, zk)},
    {"listen", offsetof(struct spec_flags, listen)},
    {"state-dir", offsetof(struct spec_flags, state_dir)},
    {"binding", offsetof(struct spec_flags, binding)},
    {"docker-host", offsetof(struct spec_flags, docker_host)},
    {"holder-image", offsetof(struct spec_flags, holder_image)},
};
enum {
    TEXTS = sizeof texts / sizeof *texts,
    OPT_PORT = TEXTS,
    OPT_DEBUG,
    OPT_HELP,
    OPT_VERSION,
    OPT_COUNT
};

static void describe(struct option ret[OPT_COUNT + 1]) {
    memset(ret, 0, (OPT_COUNT + 1) * sizeof *ret);
    for (int i = 0; i < (int)TEXTS; i++)
        ret[i] = (struct option){texts[i].name, required_argument, NULL, i};
    ret[OPT_PORT] = (struct option){"port", required_argument, NULL, OPT_PORT};
    ret[OPT_DEBUG] = (struct option){"debug", no_argument, NULL, OPT_DEBUG};
    ret[OPT_HELP] = (struct option){"help", no_argument, NULL, OPT_HELP};
    ret[OPT_VERSION] = (struct option){"version", no_argument, NULL, OPT_VERSION};
}

static int end(int *ret_status, int status) {
    *ret_status = status;
    return -1;
}

static int mistake(int *ret_status, const char *what, const char *value) {
    fprintf(stderr, "ochopod-sidecar: %s%s (see --help)\n", what, value);
    return end(ret_status, 2);
}

static int take(int opt, struct options *o, int *ret_status) {
    if (opt >= 0 && opt < (int)TEXTS) {
        *(const char **)((char *)&o->flags + texts[opt].offset) = optarg;
        if (texts[opt].offset == offsetof(struct spec_flags, zk)) // kept for as long as we are
            o->flags.zk = text_withdraw(optarg);
        return 0;
    }
    int64_t port;
    switch (opt) {
    case OPT_PORT:
        if (text_int(optarg, 1, 65535, &port, NULL))
            return mistake(ret_status, "--port wants a number from 1 to 65535, not ", optarg);
        o->flags.port = (int)port;
        return 0;
    case OPT_DEBUG:
        o->flags.debug = true;
        return 0;
    case OPT_HELP:
        fputs(usage, stdout);
        return end(ret_status, 0);
    case OPT_VERSION:
        puts("ochopod-sidecar " OCHOPOD_VERSION);
        return end(ret_status, 0);
    default:
        return mistake(ret_status, "unknown option, or one without its value", "");
    }
}

int options_parse(int argc, char **argv, struct options *ret, int *ret_status) {
    *ret = (struct options){.flags = {.port = -1}};
    struct option known[OPT_COUNT + 1];
    describe(known);
    opterr = 0;
    for (int opt; (opt = getopt_long(argc, argv, "", known, NULL)) != -1;)
        if (take(opt, ret, ret_status))
            return -1;
    if (optind < argc)
        return mistake(ret_status, "unexpected argument ", argv[optind]);
    return 0;
}

#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "sidecar/state/state.h"
#include <unistd.h>

void state_note_control(const char *dir, int said, int port) {
    struct err err = ERR_INIT;
    auto_free char *path = xasprintf("%s/" STATE_CONTROL, dir);
    auto_json json_t *note = json_pack("{sisi}", "said", said, "port", port);
    if (said == port)
        unlink(path); // mostly there is none
    else if (state_write(dir, STATE_CONTROL, note, &err))
        log_warn("state %s: `ocho health` will not find the control port", err.text);
}

static int take(void *arg, const json_t *j, struct err *err) {
    int64_t said = 0, port = 0, *ports = arg;
    if (json_int(j, "said", &said, err) || json_int(j, "port", &port, err))
        return -1;
    ports[0] = said;
    ports[1] = port;
    return 0;
}

int state_control(const char *dir, int said) {
    int64_t ports[2] = {0, 0};
    bool there = false;
    struct err err = ERR_INIT;
    if (state_read(dir, STATE_CONTROL, take, ports, &there, &err) || !there || ports[0] != said)
        return said;
    return ports[1] >= 1 && ports[1] <= 65535 ? (int)ports[1] : said;
}

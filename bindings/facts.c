#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/table.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char *binding_env(const struct binding_wish *wish, const char *name) {
    size_t len = strlen(name);
    for (char *const *e = wish->env; e && *e; e++)
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
            return *e + len + 1;
    return NULL;
}

void binding_ports_from_env(const struct binding_wish *wish, json_t *ports) {
    for (char *const *e = wish->env; e && *e; e++) {
        if (!text_starts(*e, "PORT_"))
            continue;
        const char *label = *e + strlen("PORT_");
        const char *eq = strchr(label, '=');
        int64_t port;
        if (!eq || eq == label)
            continue;
        if (text_int(eq + 1, 1, 65535, &port, NULL)) {
            auto_text struct text quoted = {0};
            text_quote(&quoted, *e, 120);
            log_warn("binding ignores %s: not a port number", text_str(&quoted));
            continue;
        }
        char *name = xstrndup(label, (size_t)(eq - label));
        json_object_set_new(ports, name, json_integer(port));
        free(name);
    }
}

static bool ipv4_entry(const json_t *entry) {
    return !strchr(json_text(entry, "HostIp"), ':');
}

void binding_ports_published(const struct docker_container *self, json_t *ports) {
    const char *key;
    json_t *entries;
    json_object_foreach(self->ports, key, entries) {
        if (!text_ends(key, "/tcp"))
            continue;
        size_t i;
        json_t *entry;
        json_array_foreach(entries, i, entry) {
            int64_t port;
            if (!ipv4_entry(entry) || text_int(json_text(entry, "HostPort"), 1, 65535, &port, NULL))
                continue;
            char *label = xstrndup(key, strlen(key) - strlen("/tcp"));
            json_object_set_new(ports, label, json_integer(port));
            free(label);
            break;
        }
    }
}

void binding_address(const struct binding_scene *scene, struct binding_facts *facts) {
    const struct binding_wish *wish = scene->wish;
    const char *host = binding_env(wish, "HOST");
    char control[16];
    snprintf(control, sizeof control, "%d", wish->port);

    if (wish->local)
        facts->ip = xstrdup("127.0.0.1");
    else if (host && *host)
        facts->ip = xstrdup(host);
    else
        facts->ip = xstrdup(scene->self_ip);
    if (host && *host && scene->self)
        binding_ports_published(scene->self, facts->ports);
    binding_ports_from_env(wish, facts->ports);

    bool behind_host = host && *host && scene->self &&
                       !text_same(scene->self->network_mode, "host");
    if (json_object_get(facts->ports, control))
        return;
    if (behind_host)
        log_warn("binding: HOST=%s is set but port %s is not published: peers cannot reach the "
                 "control port",
                 host, control);
    else
        json_object_set_new(facts->ports, control, json_integer(wish->port));
}

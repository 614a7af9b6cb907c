#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
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

const char *binding_setting(const struct binding_wish *wish, const char *name) {
    auto_free char *lower = xasprintf("ochopod_%s", name);
    auto_free char *upper = xstrdup(lower);
    for (char *c = upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    const char *value = binding_env(wish, lower);
    if (!value || !*value)
        value = binding_env(wish, upper);
    return value && *value ? value : NULL;
}

bool binding_on_host(const struct binding_scene *scene) {
    return scene->self ? text_same(scene->self->network_mode, "host") : !scene->contained;
}

static bool is_number(const char *label) {
    int64_t n;
    return text_int(label, 1, 65535, &n, NULL) == 0;
}

static void add_port(const char *label, const char *value, bool numbers_only, json_t *ports) {
    int64_t port;
    const char *wrong = NULL;
    if (text_int(value, 1, 65535, &port, NULL))
        wrong = "not a port number";
    else if (numbers_only && !is_number(label))
        wrong = "a label must be a number: ports go by the number that the application knows";
    else if (json_object_set_new(ports, label, json_integer(port)))
        wrong = "the label is no UTF-8 text";
    if (!wrong)
        return;
    auto_text struct text quoted = {0};
    auto_free char *both = xasprintf("PORT_%s=%s", label, value);
    text_quote(&quoted, both, 120);
    log_warn("binding ignores %s: %s", text_str(&quoted), wrong);
}

void binding_ports_from_env(const struct binding_wish *wish, const char *prefix, bool numbers_only,
                            json_t *ports) {
    auto_free char *start = xasprintf("%sPORT_", prefix);
    for (char *const *e = wish->env; e && *e; e++) {
        if (!text_starts(*e, start))
            continue;
        const char *label = *e + strlen(start);
        const char *eq = strchr(label, '=');
        if (!eq || eq == label)
            continue;
        auto_free char *name = xstrndup(label, (size_t)(eq - label));
        add_port(name, eq + 1, numbers_only, ports);
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

void binding_bind_allotted(struct binding_facts *facts) {
    const char *label;
    json_t *value;
    json_object_foreach(facts->ports, label, value) {
        int64_t own;
        if (text_int(label, 1, 65535, &own, NULL) == 0 && json_integer_value(value) != own)
            json_object_set(facts->local, label, value);
    }
}

int binding_local_port(const struct binding_facts *facts, int port) {
    char label[16];
    snprintf(label, sizeof label, "%d", port);
    const json_t *value = json_object_get(facts->local, label);
    return json_is_integer(value) ? (int)json_integer_value(value) : port;
}

bool binding_control_mapped(const struct binding_scene *scene, const struct binding_facts *facts) {
    char control[16];
    snprintf(control, sizeof control, "%d", scene->wish->port);
    return json_object_get(facts->ports, control) != NULL;
}

void binding_address(const struct binding_scene *scene, struct binding_facts *facts) {
    const char *host = binding_env(scene->wish, "HOST");
    binding_at_host(scene, host && *host ? host : NULL, facts);
}

void binding_at_host(const struct binding_scene *scene, const char *host,
                     struct binding_facts *facts) {
    const struct binding_wish *wish = scene->wish;
    facts->ip = xstrdup(wish->local ? "127.0.0.1" : host ? host : scene->self_ip);
    if (host && scene->self)
        binding_ports_published(scene->self, facts->ports);
    binding_ports_from_env(wish, "", false, facts->ports);
    if (binding_on_host(scene))
        binding_bind_allotted(facts);
    if (binding_control_mapped(scene, facts))
        return;
    char control[16];
    snprintf(control, sizeof control, "%d", wish->port);
    if (host && scene->self && !binding_on_host(scene))
        log_warn("binding: this pod is at %s, but port %s is not published there: peers cannot "
                 "reach the control port",
                 host, control);
    else
        json_object_set_new(facts->ports, control, json_integer(wish->port));
}

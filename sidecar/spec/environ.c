#include "sidecar/spec/environ.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

// Keys of the spec that the environment may give as well.
static const char *const also_keys[] = {"cluster", "namespace", "port",      "zk",
                                        "binding", "listen",    "state_dir", "token_file"};

// ---- finding ----

static const char *value_of(char *const *environ_, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; environ_ && environ_[i]; i++)
        if (!strncmp(environ_[i], name, n) && environ_[i][n] == '=')
            return environ_[i][n + 1] ? environ_[i] + n + 1 : NULL;
    return NULL;
}

const char *environ_find(char *const *environ_, const char *name, struct report *report) {
    auto_free char *lower = xasprintf("ochopod_%s", name);
    auto_free char *upper = xstrdup(lower);
    for (char *c = upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    const char *a = value_of(environ_, lower), *b = value_of(environ_, upper);
    if (a && b && strcmp(a, b) && report)
        report_add(report, 0, 0, upper, "says something else than %s; keep one of them", lower);
    return a ? a : b;
}

// ---- what templates see ----

static bool names_secret(const char *name) {
    static const char *const parts[] = {"TOKEN",      "SECRET",  "PASSWORD", "PASSWD",
                                        "CREDENTIAL", "API_KEY", "APIKEY",   "PRIVATE"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcasestr(name, parts[i]))
            return true;
    return false;
}

// A secret is never registered, logged or served; a rendered file would be all three.
static bool looks_secret(const char *name) {
    return names_secret(name) || !strcasecmp(name, "ochopod_spec");
}

// Nor is it in why a hook failed. A path is no secret.
static void hide(const char *name, const char *value) {
    if (names_secret(name) && *value && *value != '/')
        log_secret_said(value);
}

static void hide_all(const json_t *environment) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)environment, name, value) {
        hide(name, json_string_value(value));
    }
}

static void keep_variable(json_t *env, const char *variable) {
    const char *equals = strchr(variable, '=');
    if (!equals || equals == variable)
        return;
    auto_free char *name = xstrndup(variable, (size_t)(equals - variable));
    bool credentials = strcasestr(name, "_zk") && strchr(equals, '@');
    hide(name, equals + 1);
    if (!looks_secret(name) && !credentials) // what is not UTF-8 is left out as well
        (void)json_object_set_new(env, name, json_string(equals + 1));
}

// ---- taking over ----

static const struct key *key_named(const char *name) {
    const struct key *k = spec_keys.keys;
    while (strcmp(k->name, name))
        k++;
    return k;
}

static void take(struct spec *spec, const char *key, const char *text, const char *from,
                 struct report *report) {
    const struct key *k = key_named(key);
    struct err err = ERR_INIT;
    if (text && read_scalar(k, text, (char *)spec + k->place, &err))
        report_add(report, 0, 0, from, "%s", err.text);
}

static char *upper_name(const char *name) {
    char *s = xasprintf("OCHOPOD_%s", name);
    for (char *c = s; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return s;
}

static void take_flag(char *const *environ_, const char *name, bool *at, struct report *report) {
    const char *text = environ_find(environ_, name, report);
    if (!text)
        return;
    auto_free char *from = upper_name(name);
    if (strcasecmp(text, "true") && strcasecmp(text, "false"))
        report_add(report, 0, 0, from, "must be true or false, not \"%.80s\"", text);
    else
        *at = !strcasecmp(text, "true");
}

static void take_settings(char *const *environ_, struct spec *spec, struct report *report) {
    const char *text = value_of(environ_, "pod");
    if (!text)
        return;
    struct err err = ERR_INIT;
    json_t *settings = json_read(text, strlen(text), 1 << 20, "the variable `pod`", &err);
    if (!settings)
        report_add(report, 0, 0, "pod", "%s", err.text);
    else if (!json_is_object(settings))
        report_add(report, 0, 0, "pod", "the variable `pod` must hold a JSON object");
    if (!json_is_object(settings)) {
        json_decref(settings);
        return;
    }
    json_decref(spec->settings);
    spec->settings = settings;
}

static void take_text(char **at, const char *text) {
    if (!text)
        return;
    free(*at);
    *at = xstrdup(text);
}

void environ_read(char *const *environ_, struct spec *spec, struct report *report) {
    for (size_t i = 0; i < sizeof also_keys / sizeof *also_keys; i++) {
        auto_free char *from = upper_name(also_keys[i]);
        take(spec, also_keys[i], environ_find(environ_, also_keys[i], report), from, report);
    }
    take_flag(environ_, "debug", &spec->debug, report);
    take_flag(environ_, "start", &spec->start, report);
    take_flag(environ_, "local", &spec->local, report);
    take_text(&spec->application, environ_find(environ_, "application", report));
    take_text(&spec->task, environ_find(environ_, "task", report));
    take_text(&spec->docker_host, value_of(environ_, "DOCKER_HOST"));
    take_text(&spec->token, environ_find(environ_, "token", report));
    take_settings(environ_, spec, report);
    for (size_t i = 0; environ_ && environ_[i]; i++)
        keep_variable(spec->environment_, environ_[i]);
    hide_all(spec->workload.environment);
}

void environ_flags(const struct spec_flags *flags, struct spec *spec, struct report *report) {
    if (!flags)
        return;
    take(spec, "cluster", flags->cluster, "--cluster", report);
    take(spec, "namespace", flags->namespace_, "--namespace", report);
    take(spec, "zk", flags->zk, "--zk", report);
    take(spec, "listen", flags->listen, "--listen", report);
    take(spec, "state_dir", flags->state_dir, "--state-dir", report);
    take(spec, "binding", flags->binding, "--binding", report);
    if (flags->port > 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", flags->port);
        take(spec, "port", text, "--port", report);
    }
    take_text(&spec->holder_image, flags->holder_image);
    take_text(&spec->docker_host, flags->docker_host);
    spec->debug = spec->debug || flags->debug;
}

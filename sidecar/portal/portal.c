#include "sidecar/portal/portal.h"
#include "base/check.h"
#include "base/log.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/portal/signature.h"
#include "sidecar/portal/words.h"
#include <string.h>

enum { ALLOWED_WORDS = 256 };

struct portal {
    struct loop *loop;
    struct runner *runner;
    char *ocho, *token, *state_dir;
    char **env;
    int running;
};

struct portal_run {
    struct portal *portal;
    struct runner_job *job;
    char *dir, *verb;
    int64_t began;
    portal_fn *fn;
    void *arg;
};

// ---- environment ----

// What a command needs to find its way, and Marathon with who we are there. What else we were given
// may be secrets of ours or of the workload.
static bool passes(const char *variable) {
    static const char *const whole[] = {"PATH=", "HOME=", "TZ=", "LANG="};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (text_starts(variable, whole[i]))
            return true;
    if (text_starts(variable, "MARATHON_"))
        return !text_starts(variable, "MARATHON_APP_"); // what Marathon itself says of this task
    return text_starts(variable, "LC_");
}

char **portal_environment(const struct portal_config *config) {
    size_t n = 0, room = text_list_len(config->env);
    char **env = xcalloc(room + 5, sizeof *env);
    for (size_t i = 0; i < room; i++)
        if (passes(config->env[i]))
            env[n++] = xstrdup(config->env[i]);
    bool alone = config->zk && strcmp(config->zk, "none") == 0;
    if (alone && config->url) {
        env[n++] = xasprintf("OCHOPOD_URL=%s", config->url);
        if (config->tls_name)
            env[n++] = xasprintf("OCHOPOD_TLS_NAME=%s", config->tls_name);
    } else if (!alone && config->zk) {
        env[n++] = xasprintf("OCHOPOD_ZK=%s", config->zk);
    }
    if (config->token_file)
        env[n++] = xasprintf("OCHOPOD_TOKEN_FILE=%s", config->token_file);
    if (config->ca_file)
        env[n] = xasprintf("OCHOPOD_CA=%s", config->ca_file);
    return env;
}

// ---- a command ----

static void run_free(struct portal_run *run) {
    run->portal->running--;
    runner_cancel(&run->job);
    uploads_remove(run->dir);
    free(run->verb);
    free(run);
}

void portal_cancel(struct portal_run **slot) {
    if (!*slot)
        return;
    struct portal_run *run = take_ptr(*slot);
    log_info("portal command=%s ended: nobody waits for it any more", run->verb);
    run_free(run);
}

static void on_ended(int code, const char *out, const char *said, const struct err *err,
                     void *arg) {
    struct portal_run *run = arg;
    run->job = NULL;
    struct portal_result result = {.code = code, .out = out, .said = said};
    result.cut = strlen(out) >= PORTAL_OUTPUT || strlen(said) >= PORTAL_OUTPUT;
    log_info("portal command=%s code=%d ms=%lld", run->verb, code,
             (long long)(loop_now(run->portal->loop) - run->began));
    portal_fn *fn = run->fn;
    void *fn_arg = run->arg;
    run_free(run);
    fn(&result, err, fn_arg);
}

static struct runner_job *hand_over(struct portal_run *run, char *const *words, int64_t budget_ms) {
    const struct portal *p = run->portal;
    const char *argv[ALLOWED_WORDS + 2] = {p->ocho};
    for (size_t i = 0; words[i]; i++)
        argv[i + 1] = words[i];
    const struct runner_hook hook = {.argv = argv,
                                     .env = (const char *const *)p->env,
                                     .cwd = run->dir,
                                     .max_output = PORTAL_OUTPUT,
                                     .timeout_ms = budget_ms};
    return runner_hook(p->runner, &hook, on_ended, run);
}

// Only the verb is logged: an argument may be a secret.
static char *verb_of(char *const *words) {
    auto_text struct text quoted = {0};
    text_quote(&quoted, words[0] ? words[0] : "", 40);
    return text_take(&quoted);
}

static int begin(struct portal_run *run, char *const *words, const struct upload *uploads, size_t n,
                 int64_t budget_ms, struct err *err) {
    if (text_list_len(words) > ALLOWED_WORDS)
        return err_set(err, ERR_USER, "more than %d words", ALLOWED_WORDS);
    if (run->portal->running > PORTAL_AT_ONCE)
        return err_set(err, ERR_RETRY, "%d commands are running, try again later", PORTAL_AT_ONCE);
    run->dir = uploads_write(run->portal->state_dir, uploads, n, err);
    if (!run->dir)
        return -1;
    run->job = hand_over(run, words, budget_ms);
    return 0;
}

struct portal_run *portal_start(struct portal *portal, const char *line,
                                const struct upload *uploads, size_t n, int64_t budget_ms,
                                portal_fn *fn, void *arg, struct err *err) {
    char **words = words_split(line, err);
    if (!words)
        return NULL;
    struct portal_run *run = xnew(struct portal_run);
    *run = (struct portal_run){.portal = portal,
                               .verb = verb_of(words),
                               .began = loop_now(portal->loop),
                               .fn = fn,
                               .arg = arg};
    portal->running++;
    int rc = begin(run, words, uploads, n, budget_ms, err);
    text_list_free(words);
    if (rc == 0)
        return run;
    run_free(run);
    return NULL;
}

int portal_admit(const struct portal *portal, const char *line, const char *signature,
                 struct err *err) {
    if (!line)
        return err_set(err, ERR_USER, "X-Shell header missing");
    if (!portal->token)
        return 0;
    if (!signature)
        return err_set(err, ERR_USER, "signature missing (make sure you define $OCHOPOD_TOKEN)");
    if (!signature_matches(portal->token, line, signature))
        return err_set(err, ERR_USER, "SHA1 signature mismatch (check your token)");
    return 0;
}

// ---- life ----

struct portal *portal_create(struct loop *loop, struct runner *runner,
                             const struct portal_config *config) {
    struct portal *p = xnew(struct portal);
    *p = (struct portal){.loop = loop,
                         .runner = runner,
                         .ocho = xstrdup(config->ocho),
                         .token = config->token ? xstrdup(config->token) : NULL,
                         .state_dir = xstrdup(config->state_dir),
                         .env = portal_environment(config)};
    return p;
}

void portal_free(struct portal *portal) {
    if (!portal)
        return;
    CHECK(portal->running == 0);
    text_list_free(portal->env);
    free(portal->ocho);
    free(portal->token);
    free(portal->state_dir);
    free(portal);
}

#include "docker-api/encode.h"
#include "base/check.h"
#include "base/own.h"
#include "base/text.h"

enum { QUOTED_MAX = 80 };

static json_t *word_of(const char *s, const char *what, struct err *err) {
    json_t *word = json_string(s);
    if (word)
        return word;
    auto_text struct text quoted = {0};
    text_quote(&quoted, s, QUOTED_MAX);
    err_set(err, ERR_USER, "%s is not UTF-8: %s", what, text_str(&quoted));
    return NULL;
}

static int put_word(json_t *body, const char *key, const char *s, const char *what,
                    struct err *err) {
    json_t *word = s ? word_of(s, what, err) : NULL;
    if (word)
        CHECK(json_object_set_new(body, key, word) == 0);
    return s && !word ? -1 : 0;
}

static int put_words(json_t *body, const char *key, const char *const *list, const char *what,
                     struct err *err) {
    json_t *array = json_array();
    CHECK(json_object_set_new(body, key, array) == 0);
    for (size_t i = 0; list[i]; i++) {
        auto_free char *which = xasprintf("%s %zu", what, i);
        json_t *word = word_of(list[i], which, err);
        if (!word)
            return -1;
        CHECK(json_array_append_new(array, word) == 0);
    }
    return 0;
}

json_t *encode_exec(const struct docker_exec *exec, struct err *err) {
    auto_json json_t *body = json_pack("{s:b, s:b, s:b, s:b}", "AttachStdin", exec->input != NULL,
                                       "AttachStdout", 1, "AttachStderr", 1, "Tty", 0);
    if (put_words(body, "Cmd", exec->argv, "argument", err) ||
        (exec->env && put_words(body, "Env", exec->env, "variable", err)) ||
        put_word(body, "User", exec->user, "the user", err) ||
        put_word(body, "WorkingDir", exec->working_dir, "the working directory", err))
        return NULL;
    return json_incref(body);
}

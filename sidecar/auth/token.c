#include "sidecar/auth/token.h"
#include <string.h>

void tokens_wipe(struct tokens *tokens) {
    explicit_bzero(tokens, sizeof *tokens);
}

static int take(struct tokens *tokens, const char *line, size_t len, const char *path,
                struct err *err) {
    if (tokens->n == TOKENS_MAX)
        return err_set(err, ERR_USER, "%.200s: more than %d tokens, one a line", path, TOKENS_MAX);
    if (len < TOKEN_MIN || len > TOKEN_MAX)
        return err_set(err, ERR_USER, "%.200s: a token has %d to %d characters", path, TOKEN_MIN,
                       TOKEN_MAX);
    for (size_t i = 0; i < len; i++)
        if (line[i] < ' ' || line[i] > '~')
            return err_set(err, ERR_USER, "%.200s: a token is one line of visible ASCII", path);
    memcpy(tokens->text[tokens->n++], line, len);
    return 0;
}

int tokens_parse(const struct secret *file, const char *path, struct tokens *ret, struct err *err) {
    struct tokens tokens = {0};
    int failed = 0;
    for (size_t at = 0; at < file->len && !failed;) {
        const char *line = file->data + at, *end = memchr(line, '\n', file->len - at);
        size_t len = end ? (size_t)(end - line) : file->len - at;
        at += len + 1;
        if (len && line[len - 1] == '\r')
            len--;
        if (len)
            failed = take(&tokens, line, len, path, err);
    }
    if (!failed && !tokens.n)
        failed = err_set(err, ERR_USER, "%.200s: no token in it", path);
    if (!failed)
        *ret = tokens;
    tokens_wipe(&tokens);
    return failed;
}

int tokens_read(const char *path, struct tokens *ret, struct err *err) {
    struct secret file = {0};
    if (secrets_read(path, &file, err))
        return -1;
    int failed = tokens_parse(&file, path, ret, err);
    secrets_wipe(&file);
    return failed;
}

#include "base/check.h"
#include "base/own.h"
#include "base/text.h"
#include "sidecar/zk/client_inside.h"
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <string.h>

// What a server makes of "user:password" (scheme digest): "user:" and base64 of SHA-1 of it all.
char *zk_acl_own(const char *auth) {
    struct sha1_ctx ctx;
    uint8_t digest[SHA1_DIGEST_SIZE];
    char text[BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) + 1] = "";
    sha1_init(&ctx);
    sha1_update(&ctx, strlen(auth), (const uint8_t *)auth);
    sha1_digest(&ctx, sizeof digest, digest);
    base64_encode_raw(text, sizeof digest, digest);
    return xasprintf("%.*s:%s", (int)strcspn(auth, ":"), auth, text);
}

static bool is_own(const struct ACL *acl, const char *own) {
    return strcmp(acl->id.scheme, "digest") == 0 && strcmp(acl->id.id, own) == 0;
}

// "world:anyone may cdrwa"; of a digest only the user, the rest is next to a password.
static void describe(const struct ACL *acl, struct text *t) {
    const struct {
        int perm;
        char letter;
    } letters[] = {{ZOO_PERM_CREATE, 'c'},
                   {ZOO_PERM_DELETE, 'd'},
                   {ZOO_PERM_READ, 'r'},
                   {ZOO_PERM_WRITE, 'w'},
                   {ZOO_PERM_ADMIN, 'a'}};
    bool secret = strcmp(acl->id.scheme, "digest") == 0;
    int len = (int)(secret ? strcspn(acl->id.id, ":") : strlen(acl->id.id));
    text_addf(t, "%s%s:%.*s may ", t->len ? ", " : "", acl->id.scheme, len > 64 ? 64 : len,
              acl->id.id);
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (acl->perms & letters[i].perm)
            text_addc(t, letters[i].letter);
}

char *zk_acl_complaint(const struct ACL_vector *acl, const char *own) {
    auto_text struct text t = {0};
    bool ours = false, alone = true;
    for (int i = 0; i < acl->count; i++) {
        bool mine = is_own(&acl->data[i], own);
        ours |= mine && (acl->data[i].perms & ZOO_PERM_ALL) == ZOO_PERM_ALL;
        alone &= mine;
        if (i < 8)
            describe(&acl->data[i], &t);
    }
    return ours && alone ? NULL : xstrdup(text_str(&t));
}

// On the library's thread: it reads what never changes, and posts.
static void on_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data) {
    struct zk_op *op = (struct zk_op *)data;
    (void)stat;
    if (rc == ZOK && acl)
        op->data = zk_acl_complaint(acl, op->zk->own);
    zk_op_post(op, rc);
}

bool zk_is_guarded(const struct zk *zk) {
    return zk->own != NULL;
}

struct zk_op *zk_guard(struct zk *zk, const char *path, zk_done_fn *fn, void *arg) {
    CHECK(zk->own);
    struct zk_op *op = zk_op_create(zk, OP_GUARD, path);
    op->done_fn = fn;
    op->arg = arg;
    if (zk_op_sendable(op, 0))
        zk_op_sent(op, zk->library->acl(zk->zh, op->path, on_acl, op));
    return op;
}

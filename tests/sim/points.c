// Where a worker may die: before and after every call that leaves it. The linker puts these in
// front of the fakes' own (--wrap), so neither the product nor the fakes know of them.
#include "tests/sim/sim.h"

void point(void) {
    struct host *h = sim->current;
    if (h && h->crash_in > 0 && --h->crash_in == 0)
        host_die();
}

#define POINT(type, name, declared, given)                                                         \
    type __real_##name declared;                                                                   \
    type __wrap_##name declared;                                                                   \
    type __wrap_##name declared {                                                                  \
        point();                                                                                   \
        type it = __real_##name given;                                                             \
        point();                                                                                   \
        return it;                                                                                 \
    }

struct zk_op *__real_zk_commit(struct zk *z, struct zk_multi *m, zk_multi_fn *fn, void *a);
struct zk_op *__wrap_zk_commit(struct zk *z, struct zk_multi *m, zk_multi_fn *fn, void *a);
struct zk_op *__wrap_zk_commit(struct zk *z, struct zk_multi *m, zk_multi_fn *fn, void *a) {
    point();
    nemesis_writes();
    struct zk_op *it = __real_zk_commit(z, m, fn, a);
    point();
    return it;
}
POINT(struct zk_op *, zk_create,
      (struct zk * z, const char *p, const void *d, size_t n, int f, zk_path_fn *fn, void *a),
      (z, p, d, n, f, fn, a))
POINT(struct zk_op *, zk_set,
      (struct zk * z, const char *p, const void *d, size_t n, int v, zk_done_fn *fn, void *a),
      (z, p, d, n, v, fn, a))
POINT(struct zk_op *, zk_delete, (struct zk * z, const char *p, int v, zk_done_fn *fn, void *a),
      (z, p, v, fn, a))
POINT(struct docker_call *, docker_create,
      (struct docker * d, const char *n, const json_t *b, docker_id_fn *fn, void *a),
      (d, n, b, fn, a))
POINT(struct docker_call *, docker_start,
      (struct docker * d, const char *id, docker_done_fn *fn, void *a), (d, id, fn, a))
POINT(struct docker_call *, docker_stop,
      (struct docker * d, const char *id, const char *s, int g, docker_done_fn *fn, void *a),
      (d, id, s, g, fn, a))
POINT(struct docker_call *, docker_remove,
      (struct docker * d, const char *id, bool f, bool v, docker_done_fn *fn, void *a),
      (d, id, f, v, fn, a))
POINT(struct docker_call *, docker_rename,
      (struct docker * d, const char *id, const char *n, docker_done_fn *fn, void *a),
      (d, id, n, fn, a))
POINT(struct docker_call *, docker_inspect,
      (struct docker * d, const char *id, docker_container_fn *fn, void *a), (d, id, fn, a))
POINT(struct docker_call *, docker_kill,
      (struct docker * d, const char *id, const char *s, docker_done_fn *fn, void *a),
      (d, id, s, fn, a))

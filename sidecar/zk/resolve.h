// Names to literal addresses, each on a worker thread, with one deadline for all: zookeeper_init
// would look them up in the loop and its io thread would do so again on every turn. Literal
// addresses cost no thread. A name that never answers holds one worker until the system gives up;
// it is not asked twice meanwhile. Private to the folder; loop thread.
#pragma once
#include "base/loop.h"

struct resolve;
// servers: "host:port,host:port". fn: once, never inside the call; the addresses found in the form
// the C client reads ("1.2.3.4:2181,::1:2181"), "" if none. all: every name was found.
struct resolve *resolve_create(struct loop *loop, const char *servers,
                               void (*fn)(const char *addresses, bool all, void *arg), void *arg);
void resolve_again(struct resolve *r); // after fn; names that were found are asked anew too
void resolve_free(struct resolve *r);  // no callback after it; takes NULL

// The cluster's own nodes, as Ochopod makes them when a pod attaches: /coordinator and /hash,
// empty, and /snapshot, which stays (Ochopod's goes with its leader); and ours, /tree: a uuid, made
// once, within which epochs can be compared. /pods is the registration's. What is there is left
// alone. Private to the folder.
#pragma once
#include "sidecar/zk/zk.h"

struct nodes;
struct nodes *nodes_create(struct zk *zk, const char *root);
void nodes_ensure(struct nodes *n); // again after each reconnect: done once it went through
void nodes_free(struct nodes *n);   // takes NULL

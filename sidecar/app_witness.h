// What a pod asks before it believes a request without an epoch, or of an unknown tree: which tree
// there is in ZooKeeper, and whether a pod of the original's is in the cluster. Loop thread; fn is
// called later.
#pragma once
#include "sidecar/coordinator/coordinator.h"
#include "sidecar/pod/pod.h"

void app_witness(struct coordinator *coordinator, pod_witness_fn *fn, void *arg);

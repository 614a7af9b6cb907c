// Files in shared volumes, written by a process that the workload on the other side may be working
// against: every path is resolved below its volume's root and through no symlink, by the kernel
// (openat2); what is there must be a plain file with one name. Everything here blocks and runs in
// the runner's children. Arguments and answers are the JSON that render.h describes, with "roots"
// and "state_dir" beside it.
#pragma once
#include "base/err.h"
#include "base/json.h"

json_t *files_stage(const json_t *argument, struct err *err);
json_t *files_ready(const json_t *argument, struct err *err);
json_t *files_swap(const json_t *argument, struct err *err);
json_t *files_discard(const json_t *argument, struct err *err);
json_t *files_recover(const json_t *argument, struct err *err);

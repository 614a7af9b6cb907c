// From templates to files: rendering (Lua 5.4 expressions, strict, in a child with caps and a
// deadline), staging beside the targets, validation by the caller between the two, swapping in, all
// or nothing. The door of this folder: template.h (Lua) and files.h (paths, volumes) are its own.
// All file work happens in the runner's children (render_functions); this side only asks. Knows
// nothing of Docker; which directories are shared volumes is told to it.
//
// A file never leaves its shared volume (openat2 RESOLVE_BENEATH, no symlinks, no magic links); a
// reader sees the old or the new content, never half of one (written beside, fsynced, renamed,
// directory fsynced). Mode is never setuid/setgid/sticky.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"
#include "sidecar/runner/runner.h"
#include "sidecar/spec/spec.h"

extern const struct runner_function render_functions[]; // for runner_start

// Syntax of every template of the spec, in this process and without running any of it: what
// validate and start do. Every complaint is a line of report: "zoo.cfg.tmpl:7: ...".
int render_check(const struct spec *spec, struct text *report, struct err *err) must_check;

// What one rendering gives; JSON, so that it can be compared, kept and printed:
// {"files": [{"target", "content", "mode", "uid", "gid", "sha256"}], "environment": {...},
// "command": [...]|null,
//  "entrypoint": [...]|null}
// view: cluster_view. ERR_REFUSED with "template, line, key: what" (a missing name, fail("why"));
// ERR_TIMEOUT.
struct runner_job *render_start(struct runner *runner, const struct spec *spec, const json_t *view,
                                runner_json_fn *fn, void *arg);

// Stages the files of a rendering whose target lies below one of `roots` (NULL-ended mount points
// of shared volumes in our own file system) as "<dir>/.ochopod-<pod id>-<n>-<secret>"; answers
// {"staged":
// [{"target","staged"}], "changed": [targets whose content differs from what is there], "outside":
// [targets below no root: for the archive call]}. ERR_REFUSED names the file: no space, read-only,
// path leaves the volume, target is no regular file. What this pod staged before is removed first,
// and what any other has let lie for a day.
struct runner_job *render_stage(struct runner *runner, const json_t *rendering, char *const *roots,
                                const char *pod_id, runner_json_fn *fn, void *arg);
// Whether a swap could be done, and touches nothing: {"ready": n}. ERR_REFUSED: what was staged is
// gone, or something stands in the way.
struct runner_job *render_ready(struct runner *runner, const json_t *staged, char *const *roots,
                                runner_json_fn *fn, void *arg);
// Renames every staged file over its target: {"swapped": n}. Kept in the journal below state_dir,
// so that a crash between two renames is completed (or rolled forward) by render_recover before
// anything is started.
struct runner_job *render_swap(struct runner *runner, const json_t *staged, char *const *roots,
                               const char *state_dir, runner_json_fn *fn, void *arg);
struct runner_job *render_discard(struct runner *runner, const json_t *staged, char *const *roots,
                                  runner_json_fn *fn, void *arg);
// Of a run of the sidecar that was cut short: completes its swap, removes what it staged beside the
// spec's files. {"recovered": n}
struct runner_job *render_recover(struct runner *runner, const struct spec *spec,
                                  char *const *roots, const char *pod_id, runner_json_fn *fn,
                                  void *arg);
// In this process, at once, no runner: what `ocho render` prints. Same result as render_start.
json_t *render_now(const struct spec *spec, const json_t *view, struct err *err);

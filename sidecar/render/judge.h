// Whether the worker may ask for this, by the spec that the runner was forked with: files of the
// spec alone, with the owner and the mode that it gives them, in what is mounted. For the table in
// render.c. ERR_REFUSED.
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "sidecar/spec/spec.h"

int judge_stage(const struct spec *spec, const json_t *argument, struct err *err) must_check;
int judge_pairs(const struct spec *spec, const json_t *argument, struct err *err) must_check;
int judge_swap(const struct spec *spec, const json_t *argument, struct err *err) must_check;
int judge_recover(const struct spec *spec, const json_t *argument, struct err *err) must_check;

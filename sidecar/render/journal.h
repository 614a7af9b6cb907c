// What is being swapped in, in the state directory, so that a crash between two renames is rolled
// forward: written whole before the first rename, removed after the last. One small file, replaced
// atomically.
#pragma once
#include "base/err.h"
#include "base/json.h"

int journal_write(const char *state_dir, const json_t *pairs, struct err *err) must_check;
// An empty array when nothing was being swapped; what does not parse is moved aside (it was never
// ours: writing is atomic). NULL and err when it cannot be read. New reference.
json_t *journal_read(const char *state_dir, struct err *err);
void journal_remove(const char *state_dir);

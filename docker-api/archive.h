// The tar that the archive call sends: pure, so that a test can read it back.
#pragma once
#include "base/text.h"
#include "docker-api/docker.h"

// ERR_USER for a path that leaves its directory or does not fit.
int archive_pack(const struct docker_file *files, size_t n, int64_t mtime_s, struct text *ret,
                 struct err *err) must_check;

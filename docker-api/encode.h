// What is said to the engine, from our structs: pure, no I/O, no clock. A body is JSON, and JSON is
// UTF-8: what is not cannot be said, and is refused instead of being left out. As decode.h it needs
// nothing else of docker-api.
#pragma once
#include "docker-api/docker.h"

// Body of POST /containers/{id}/exec. New reference; ERR_USER names the word that is not UTF-8.
json_t *encode_exec(const struct docker_exec *exec, struct err *err) must_check;

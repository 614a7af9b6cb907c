// SHA-256 of bytes, as hex: config hashes, change detection. Pure. By the kernel-independent code
// of a library we link already (no own crypto).
#pragma once
#include <stddef.h>

void digest_hex(const void *data, size_t len, char ret[65]);

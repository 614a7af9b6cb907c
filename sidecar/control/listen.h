// The socket of the control port: a literal address, bound and listening. Errors say what to do.
#pragma once
#include "base/err.h"

enum { LISTEN_BACKLOG = 1024 };
int listen_open(const char *address, int port, struct err *err) must_check; // a descriptor, -1

// What a template must not even be able to try: the process that runs it gives up every capability,
// new files, new processes. For the runner's children only; there is no way back.
#pragma once
#include "base/err.h"

int confine(struct err *err) must_check;

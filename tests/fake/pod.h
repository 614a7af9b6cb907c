// sidecar/pod/pod.h without a workload: requests are kept until the test answers them, and what the
// pod says of itself is what the test wrote.
#pragma once
#include "sidecar/pod/pod.h"

struct fake_ask {
    enum pod_task task; // of a request
    enum pod_scope scope;
    char *target, *tree, *body, *line; // line: of a tool, else NULL
    int64_t epoch, round, budget_ms;
    size_t uploads;
    char *upload_name, *upload_data; // of the last
    size_t upload_len;
};

// Pending ones, oldest first.
size_t fake_pod_asks(const struct pod *pod);
const struct fake_ask *fake_pod_ask(const struct pod *pod, size_t i);
size_t fake_pod_seen(const struct pod *pod);      // since the start
size_t fake_pod_forgotten(const struct pod *pod); // of them
// Answers the oldest pending one, now. err NULL: done.
void fake_pod_answer(struct pod *pod, const json_t *answer, const struct err *err);
// Each request is answered {} in the next turn, from now on.
void fake_pod_answer_all(struct pod *pod, bool on);
// Each request is one that came before, from now on.
void fake_pod_again(struct pod *pod, bool on);
void fake_pod_is(struct pod *pod, const char *process, bool ready); // process: static

"""Memory that is not there: unit tests run again and again, and each time another allocation fails, ours or that of a
library. What may happen: nothing; a refusal, so that the test fails; the end, with one line that says why. What may
not: a fault, a broken heap, a process that hangs.

All programs of ctest's label `unit` are run; those that differ are named here, with the reason."""
import os
import re

import pytest
from failing import Failing, unit_programs

TIMES = int(os.environ.get("MEMORY_TIMES", "1"))  # `tests/run --long`: more of each
# How many allocations of a program fail, one a run, spread over all of them.
USUAL = 20
# Those that read what others write, and those that stand on a library whose functions say NULL.
CLOSER = {
    "base-test_http_turn": 40, "base-test_json": 60, "bindings-test_agent": 40, "bindings-test_marathon": 40,
    "docker-api-test_decode": 40, "sidecar-cluster-test_cluster": 50, "sidecar-cluster-test_record": 40,
    "sidecar-cluster-test_reference": 30, "sidecar-leader-test_census": 30, "sidecar-pod-test_workload": 30,
    "sidecar-spec-test_load": 40, "sidecar-spec-test_malformed": 30, "sidecar-spec-test_tree": 30,
    "sidecar-spec-test_verify": 50,
}
# A run is a second and more of work.
WORKING = {"base-test_http": 4, "cli-test_manual": 6, "sidecar-auth-test_timing": 1, "sidecar-render-test_files": 2,
           "sidecar-render-test_files_faults": 3, "sidecar-render-test_template": 8,
           "sidecar-state-test_state": 12}
# A run is seconds of waiting, and many are waited for side by side.
WAITING = {"base-test_watchdog": 3, "base-test_http_reset": 20, "bindings-test_choice": 4, "bindings-test_metadata": 8,
           "cli-test_act": 10, "cli-test_ci": 3, "cli-test_marathon": 8, "cli-test_ocho": 2, "cli-test_steer": 8,
           "sidecar-control-test_gate": 2, "sidecar-control-test_http": 2, "sidecar-control-test_limits": 1,
           "sidecar-control-test_routes": 8, "sidecar-control-test_shell": 2, "sidecar-control-test_smuggling": 8,
           "sidecar-control-test_tls": 3, "sidecar-control-test_watching": 2, "sidecar-leader-test_peer": 20,
           "sidecar-pod-test_probe": 20, "sidecar-render-test_render": 4, "sidecar-runner-test_runner": 10,
           "sidecar-test_init": 3,
           "sidecar-test_init_faults": 4, "sidecar-zk-test_answers": 8, "sidecar-zk-test_client": 10,
           "sidecar-zk-test_resolve": 6}
# Half a minute of waiting each, and all that allocates in them is the control port that sidecar-control has tests of:
# of these it is the program they run that finds no memory, IN_OCHO.
NOT_THEMSELVES = {"cli-test_bad_pods", "cli-test_bump", "cli-test_deploy", "cli-test_kill", "cli-test_scale"}
# Begun first, as they take longest: a minute for each that fails.
LONG = {"cli-test_ocho", "sidecar-control-test_http", "sidecar-control-test_limits", "sidecar-control-test_routes",
        "sidecar-runner-test_runner", "sidecar-test_init", *NOT_THEMSELVES}
# Here `ocho` is what finds no memory, at the n-th allocation of each of its runs.
IN_OCHO = {"cli-test_bad_pods": 1, "cli-test_bump": 1, "cli-test_ci": 4, "cli-test_deploy": 1, "cli-test_kill": 2,
           "cli-test_manual": 4, "cli-test_ocho": 2, "cli-test_scale": 1, "cli-test_signed": 20, "cli-test_steer": 8}
# Whatever they call allocates nothing, which is looked at as well.
NOTHING = {"base-test_err", "base-test_wire", "sidecar-leader-test_pace", "sidecar-pod-test_backoff", "sidecar-pod-test_fence",
           "sidecar-portal-test_signature", "sidecar-test_holder", "sidecar-test_sandbox_user"}
# They read or mute their own stderr, so that what they end with is not seen here.
SILENT = {"base-test_log", "sidecar-control-test_watching"}

SAID = re.compile(rb"out of memory: \w+|check failed: |not enough memory|PANIC: unprotected error")


# Each with the program it runs that finds no memory, or None: itself.
ALL = unit_programs()
CASES = [(p, None) for p in ALL if p not in NOT_THEMSELVES] + [(p, "ocho") for p in ALL if p in IN_OCHO]
CASES.sort(key=lambda case: case[0] in WAITING or case[1] is not None)  # looked at last: they are under way


def how_many(program, within):
    if within:
        return IN_OCHO[program] * TIMES
    return {**CLOSER, **WORKING, **WAITING}.get(program, USUAL) * TIMES


FAILING = Failing("memory", how_many, SAID, SILENT)


@pytest.fixture(scope="module")
def under_way(request, tmp_path_factory):
    yield from FAILING.under_way(request, tmp_path_factory, CASES, WAITING, LONG)


def test_who_is_named_is_there():
    named = {*CLOSER, *WORKING, *WAITING, *NOT_THEMSELVES, *IN_OCHO, *NOTHING, *SILENT}
    assert len(ALL) > 90 and not named - set(ALL), f"gone: {named - set(ALL)}"
    assert NOT_THEMSELVES <= set(IN_OCHO)


@pytest.mark.parametrize("case", CASES, ids=lambda case: " in ".join(filter(None, case)))
def test_no_memory(case, under_way):
    program, within = case
    code, said, total, ends = under_way[case].result()
    assert code == 0, f"it does not even pass with all memory: {code}\n{said[-3000:].decode(errors='replace')}"
    if program in NOTHING:
        assert total == 0, f"it allocates {total} times: it can be tested"
        return
    assert total, "nothing of it allocates"
    FAILING.assert_all_ended_as_they_may(program, total, ends)
    # The harness itself works: something ended early.
    assert any(code != 0 for _, code, _ in ends), f"no allocation of {[at for at, _, _ in ends]} mattered"

"""System calls that fail: unit tests run again and again, and each time another call of theirs, or of a library, gives an
error that it may give (failing.c says which). What may happen is what may without memory (test_memory), and one thing
more: libuv and libmicrohttpd end the process where the kernel does what it never does.

All programs of ctest's label `unit` are run. A test's own calls fail as well: then it is red, which is all right."""
import os
import re

import pytest
from failing import Failing, unit_programs
from test_memory import IN_OCHO, LONG, NOT_THEMSELVES, SILENT, WAITING

TIMES = int(os.environ.get("CALLS_TIMES", "1"))  # `tests/run --long`: more of each
# How many calls of a program fail, one a run, spread over all of them.
USUAL = 6
# Those of which a run is seconds of work, or of waiting as it is for test_memory.
WORKING = {"base-test_http": 3, "sidecar-auth-test_timing": 1, "sidecar-pod-test_mounts": 2,
           "sidecar-render-test_files": 2, "sidecar-render-test_files_faults": 2, "sidecar-test_sandbox": 2}
WAITED = 2
IN_A_RUN = 1  # of `ocho`, where it is what fails
# A check of the test, or ours; libuv's end, and libmicrohttpd's.
SAID = re.compile(rb"check failed: |out of memory: \w+|libuv gives up|Fatal error in GNU libmicrohttpd")

ALL = unit_programs()
CASES = [(p, None) for p in ALL] + [(p, "ocho") for p in ALL if p in IN_OCHO]
CASES.sort(key=lambda case: case[0] in WAITING or case[1] is not None)  # looked at last: they are under way


def how_many(program, within):
    if within:
        return IN_A_RUN * TIMES
    if program in NOT_THEMSELVES:
        return TIMES
    return WORKING.get(program, WAITED if program in WAITING else USUAL) * TIMES


FAILING = Failing("call", how_many, SAID, SILENT)
red = []


@pytest.fixture(scope="module")
def under_way(request, tmp_path_factory):
    yield from FAILING.under_way(request, tmp_path_factory, CASES, WAITING, LONG)


@pytest.mark.parametrize("case", CASES, ids=lambda case: " in ".join(filter(None, case)))
def test_a_call_fails(case, under_way):
    program, _within = case
    code, said, total, ends = under_way[case].result()
    assert code == 0, f"it does not even pass when none fails: {code}\n{said[-3000:].decode(errors='replace')}"
    assert total is not None, "its calls were not counted"
    FAILING.assert_all_ended_as_they_may(program, total, ends)
    red.extend(at for at, code, _ in ends if code != 0)


def test_it_mattered(request):
    """The harness itself works: what fails is seen to fail."""
    if len(request.session.items) > len(CASES):  # not when a few were chosen
        assert len(red) > 150, red

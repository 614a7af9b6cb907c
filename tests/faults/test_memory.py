"""Memory that is not there: unit tests run again and again, and each time another allocation fails, ours or that of a
library. What may happen: nothing; a refusal, so that the test fails; the end, with one line that says why. What may
not: a fault, a broken heap, a process that hangs."""
import os
import re
import signal
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

BUILD = Path(os.environ["BUILD_DIR"])
DEADLINE_S = 400  # of one run that takes a fraction of a second
# Program: how many of its allocations fail, one a run, spread over all of them. Those that read what others write, and
# those that stand on a library whose functions say NULL.
PROGRAMS = {
    "base-test_json": 60, "base-test_text": 20, "base-test_http": 5,
    "docker-api-test_archive": 20, "docker-api-test_decode": 40, "docker-api-test_frames": 15,
    "docker-api-test_pull": 20, "sidecar-cluster-test_cluster": 50, "sidecar-cluster-test_record": 40,
    "sidecar-cluster-test_reference": 30, "sidecar-control-test_crowd": 15, "sidecar-control-test_routes": 20,
    "sidecar-leader-test_census": 30, "sidecar-pod-test_workload": 30,
    "sidecar-portal-test_words": 15, "sidecar-render-test_template": 12, "sidecar-spec-test_tree": 30,
    "sidecar-spec-test_verify": 50, "sidecar-state-test_state": 12, "sidecar-zk-test_path": 20,
}
BROKEN = re.compile(rb"exception: |Segmentation fault|Bus error|Illegal instruction|free\(\)|malloc\(\)|realloc\(\)|"
                    rb"corrupt|double free|invalid (size|pointer|next)|unaligned|AddressSanitizer|stack smashing")
SAID = re.compile(rb"out of memory: \w+|check failed: |not enough memory|PANIC: unprotected error")


def run(program, tmp_path, at):
    count = tmp_path / f"{program}-{at}"
    env = {**os.environ, "LD_PRELOAD": str(BUILD / "tests/libfailing.so"), "FAILING_AT": str(at),
           "FAILING_COUNT": str(count), "MALLOC_PERTURB_": "165", "MALLOC_CHECK_": "3"}
    # Into a pipe, as a test that limits the size of files must still be able to say why it ends.
    process = subprocess.Popen([BUILD / "tests" / f"unit-{program}"], env=env, cwd=tmp_path, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        said = process.communicate(timeout=DEADLINE_S)[0]
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, code = process.communicate()[0], "hangs"
    return code, said, int(count.read_text()) if count.exists() else None


def verdict(code, said):
    """None when it ended as it may."""
    if code == "hangs":
        return "hangs"
    if BROKEN.search(said):
        return "broken: " + BROKEN.search(said)[0].decode()
    if code >= 0 or (code == -signal.SIGABRT and SAID.search(said)):
        return None
    return f"ended by signal {-code} and said nothing of memory"


def samples(program, total, n):
    """Each from a part of its own, the same ones at every run."""
    n = min(n, total)
    seed = zlib.crc32(program.encode())
    return sorted({1 + total * i // n + seed % max(1, total // n) for i in range(n)} | {1})


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_memory(program, tmp_path):
    code, said, total = run(program, tmp_path, 0)
    assert code == 0 and total, f"it does not even pass with all memory: {code}\n{said[-3000:].decode(errors='replace')}"
    with ThreadPoolExecutor(2) as pool:
        chosen = [at for at in samples(program, total, PROGRAMS[program]) if at <= total]
        ends = list(pool.map(lambda at: (at, *run(program, tmp_path, at)[:2]), chosen))
    wrong = [(at, verdict(code, said), said) for at, code, said in ends if verdict(code, said)]
    assert not wrong, f"{len(wrong)} of {len(ends)} runs; " + "\n".join(
        f"allocation {at} of {total}: {why}\n{said[-1500:].decode(errors='replace')}" for at, why, said in wrong[:3])
    # The harness itself works: something ended early.
    assert any(code != 0 for _, code, _ in ends), f"no allocation of {chosen} mattered"

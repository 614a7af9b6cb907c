"""Unit tests run again and again, and each time another allocation, or another system call, fails, of theirs or of a
library: what test_memory and test_calls have in common. libfailing.so does it (failing.c)."""
import json
import os
import re
import signal
import subprocess
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BUILD = Path(os.environ["BUILD_DIR"])
DEADLINE_S = 400  # of one run that takes a fraction of a second, or of one that waits a minute for what never comes
BROKEN = re.compile(rb"exception: |Segmentation fault|Bus error|Illegal instruction|free\(\)|malloc\(\)|realloc\(\)|"
                    rb"corrupt|double free|invalid (size|pointer|next)|unaligned|AddressSanitizer|stack smashing")


def unit_programs():
    said = subprocess.run(["ctest", "--test-dir", BUILD, "-L", "^unit$", "--show-only=json-v1"], check=True,
                          stdout=subprocess.PIPE).stdout
    names = [test["name"] for test in json.loads(said)["tests"]]
    return sorted(name.removeprefix("unit-") for name in names if name.startswith("unit-"))


class Failing:
    """What fails: "memory" or "call"; of each program how many, one a run; what one that gives up must have said, but
    for those whose words are not seen."""

    def __init__(self, what, how_many, said, silent=()):
        self.what, self.how_many, self.said, self.silent = what, how_many, said, silent

    def verdict(self, program, code, said):
        """None when it ended as it may."""
        if isinstance(code, str):
            return code
        if BROKEN.search(said):
            return "broken: " + BROKEN.search(said)[0].decode()
        if code >= 0 or (code == -signal.SIGABRT and (self.said.search(said) or program in self.silent)):
            return None
        return f"ended by signal {-code} and said nothing of it"

    def assert_all_ended_as_they_may(self, program, total, ends):
        wrong = [(at, self.verdict(program, code, said), said) for at, code, said in ends
                 if self.verdict(program, code, said)]
        assert not wrong, f"{len(wrong)} of {len(ends)} runs; " + "\n".join(
            f"{self.what} {at} of {total}: {why}\n{said[-1500:].decode(errors='replace')}" for at, why, said in wrong[:3])

    def run(self, program, tmp_path, at, within=None):
        """How it ended, what it said, and how many there were or what fault. What it leaves behind, tens of thousands
        of files may be, goes at once."""
        with tempfile.TemporaryDirectory(prefix=f"{self.what}-", ignore_cleanup_errors=True) as own:
            return self.run_in(own, program, tmp_path, at, within)

    def run_in(self, own, program, tmp_path, at, within):
        count = tmp_path / f"{program}-{within}-{at}"
        env = {**os.environ, "LD_PRELOAD": str(BUILD / "tests/libfailing.so"), "FAILING_WHAT": self.what,
               "FAILING_AT": str(at), "FAILING_COUNT": str(count), "MALLOC_PERTURB_": "165", "MALLOC_CHECK_": "3",
               "TMPDIR": own}
        if within:
            env["FAILING_IN"] = within
        # Into a pipe, as a test that limits the size of files must still be able to say why it ends. Whom it leaves
        # behind has the pipe, too, and is no reason to wait.
        process = subprocess.Popen([BUILD / "tests" / f"unit-{program}"], env=env, cwd=tmp_path,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(process.stdout.read)
            try:
                code = process.wait(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                code = "hangs"
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            said = reading.result()
        process.wait()
        process.stdout.close()
        told = count.read_text().splitlines() if count.exists() else []
        faults = [line for line in told if line.startswith("signal")]
        total = max(map(int, set(told) - set(faults)), default=None)
        return (f"{within} ended by {faults[0]}" if faults else code), said, total

    def ends_of(self, program, within, tmp_path):
        """How it ends and what it says when nothing fails, how many there are, and each end with the n-th failing."""
        code, said, total = self.run(program, tmp_path, 0, within)
        if code != 0:  # two threads and a busy machine: what it says of time is for another test
            code, said, total = self.run(program, tmp_path, 0, within)
        ends = []
        if code == 0 and total:
            chosen = [at for at in samples(program, total, self.how_many(program, within)) if at <= total]
            ends = [(at, *self.run(program, tmp_path, at, within)[:2]) for at in chosen]
        return code, said, total, ends

    def under_way(self, request, tmp_path_factory, cases, waiting_ones, long_ones):
        """All cases that were chosen: two that work at a time, and beside them those that wait."""
        working, waiting = ThreadPoolExecutor(2), ThreadPoolExecutor(8)
        chosen = {item.callspec.params["case"] for item in request.session.items
                  if item.path == request.path and hasattr(item, "callspec")}
        first = sorted((case for case in cases if case in chosen), key=lambda case: case[0] not in long_ones)
        yield {case: (waiting if case[1] or case[0] in waiting_ones else working).submit(
            self.ends_of, *case, tmp_path_factory.mktemp(self.what)) for case in first}
        working.shutdown(cancel_futures=True)
        waiting.shutdown(cancel_futures=True)


def samples(program, total, n):
    """Each from a part of its own, the same ones at every run."""
    n = min(n, total)
    seed = zlib.crc32(program.encode())
    return sorted({1 + total * i // n + seed % max(1, total // n) for i in range(n)} | {1})

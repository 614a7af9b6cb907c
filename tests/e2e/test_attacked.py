"""The attacked build in a real container, with the engine's socket: once all its filters are on, each of its processes
takes an intruder's steps (tests/attacked/steps.h), and ends by those that only an intruder would take. When all are
taken the pod must live as any other."""
import os
import re
import subprocess
from pathlib import Path

from bed import TOP, wait_until
from pods import Pods

ATTACKED = Path(os.environ.get("OCHOPOD_BUILD", TOP / "build")) / "tests/attacked/ochopod-sidecar-attacked"
PROCESSES = ["worker", "broker", "names", "runner", "job", "portal"]


def test_an_intruder_in_any_process_gets_nowhere(bed, tmp_path):
    assert subprocess.run([ATTACKED, "--version"], check=True, capture_output=True, text=True).stdout
    secret = tmp_path / "secret"
    secret.write_text("of root alone, and long enough\n", encoding="ascii")
    secret.chmod(0o400)
    pods = Pods(bed)
    spec = {"token_file": "/run/secrets/ochopod-attacked", "portal": True,
            "files": [{"target": "/conf/peers", "content": "{{ size }}\n"}]}
    pod = pods.run("attacked", spec, "-v", f"{ATTACKED}:/usr/bin/ochopod-sidecar:ro",
                   "-v", f"{secret}:/run/secrets/ochopod-attacked:ro", started=False)

    def over():
        said = pod.log()
        number = re.search(r"^.*attacked: all (\d+) steps are taken$", said, re.MULTILINE)
        return (said, int(number[1])) if number else None

    said, number = wait_until("all steps are taken", over, timeout=400)
    assert not [line for line in said.splitlines() if "WRONG" in line]
    taken = re.findall(r"^.*attacked (\w+): (.+): (.+)$", said, re.MULTILINE)
    steps = {step for _, step, _ in taken}
    assert len(steps) == number
    assert f"take {number} steps each" in (TOP / "docs/SECURITY.md").read_text(encoding="utf-8")
    assert {(who, step) for who, step, _ in taken} == {(who, step) for who in PROCESSES for step in steps}
    assert {outcome for _, _, outcome in taken} == {"done", "EPERM", "SIGSYS"}
    # Of what it is there for, none of them needs to be more than it is.
    got = {(who, step): outcome for who, step, outcome in taken}
    for who in ("worker", "broker", "names", "job"):
        assert got[who, "executes"] == got[who, "traces"] == "SIGSYS", who
    for who in ("worker", "broker"):
        assert got[who, "reads a secret"] == got[who, "opens a file"] == "EPERM", who
    assert got["names", "opens a file"] == got["names", "reads the state"] == got["names", "reads init's words"] == "EPERM"
    assert got["names", "reads the hosts"] == "done"
    for who in PROCESSES:
        for step in ("mounts by a new call", "takes a tree", "makes a namespace", "forks into a namespace"):
            assert got[who, step] == "SIGSYS", (who, step)
        assert got[who, "forks into one unseen"] == "EPERM", who
        if who != "broker":
            assert got[who, "holds the engine's socket"] == got[who, "unix socket"] == "EPERM", who

    wait_until("the pod runs", lambda: bed.ids("label=io.ochopod.role=workload", all_=False))
    wait_until("its round is complete", lambda: re.search(r"leader \S*attacked round=\d+ ", pod.log()))

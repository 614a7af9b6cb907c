"""What a pod has after many rounds is what it had after few: descriptors, threads and memory of each of its processes.
GROWTH_ROUNDS says how many (tests/run --long: 1000); without it as many as show something in half a minute."""
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from bed import wait_until
from kazoo.client import KazooClient
from pods import Pods

ROUNDS = int(os.environ.get("GROWTH_ROUNDS", "50"))
WARM = 50 if ROUNDS > 100 else 20  # rounds after which all that is made once has been made
FEED = "/ochopod/clusters/marathon.feed"
PROCESSES = {"init", "worker", "broker", "names", "runner", "holder"}
# Beside 5 %: the heap grows by steps of that size, and a request may be under way.
SLACK = {"resident KB": 64, "anonymous KB": 128, "descriptors": 2}
ENDS = ["sh", "-c", "trap 'exit 0' TERM; trap : USR1; while :; do sleep 0.05; done"]


@pytest.fixture
def pods(bed):
    return Pods(bed)


def family(pid):
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").iterdir():
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def sizes(bed, name):
    """{(process, what): how much} of a pod's sidecar and its holder, between two jobs of theirs."""
    holder, = bed.ids("label=io.ochopod.role=holder", f"label=io.ochopod.owner={bed.inspect(name)['Id']}")
    tops = [bed.inspect(one)["State"]["Pid"] for one in (name, holder)]
    return wait_until(f"no job of {name} runs", lambda: sizes_of(tops), 30, every=0.05)


def sizes_of(tops):
    found = Counter()
    for top in tops:
        for pid in family(top):
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
            assert "RssAnon" in status, f"{status['Name'].strip()} is {status['State'].strip()}"
            process = "init" if pid == tops[0] else status["Name"].strip().removeprefix("ochopod-").replace("sidecar", "worker")
            found[process, "threads"] += int(status["Threads"])
            found[process, "descriptors"] += len(os.listdir(f"/proc/{pid}/fd"))
            found[process, "anonymous KB"] += int(status["RssAnon"].split()[0])
            found[process, "resident KB"] += int(status["VmRSS"].split()[0])
    assert {process for process, _ in found} == PROCESSES, set(found)
    return found


def test_rounds_leave_nothing_behind(pods):
    bed = pods.bed
    zk = KazooClient(hosts=f"{bed.address('coordination')}:2181", timeout=30)
    zk.start(timeout=30)
    try:
        zk.ensure_path(f"{FEED}/pods/feed.0000000001")
        zk.ensure_path(f"{FEED}/snapshot")

        def say(number):
            zk.set(f"{FEED}/snapshot", json.dumps({"feed": {"ip": f"10.0.{number >> 8}.{number & 255}", "seq": 1, "ports": {}}}).encode())

        say(0)
        spec = {"cluster": "grows", "depends_on": ["feed"], "needs": {"pods": 2},
                "files": [{"target": "/conf/feed", "content": '{{ dependencies["feed"][1].ip }}\n'}]}
        # One is started anew in each round, the other one is told.
        two = [pods.run(f"grows-{how}", {**spec, "workload": {"command": ENDS, "volumes": ["/conf"], "on_change": on_change}})
               for how, on_change in (("starts", "restart"), ("told", {"signal": "USR1"}))]
        for pod in two:
            pod.until_configured(2)
        ids = {pod.name: pod.info["id"] for pod in two}
        workers = {pod.name: sizes(bed, pod.name) for pod in two}
        early = None
        for number in range(1, ROUNDS + 1):
            generation = two[0].info["generation"]
            say(number)
            wait_until(f"round {number}", lambda at=generation: all(
                (info := pod.info)["generation"] > at and info["ready"] and info["process"] == "running" for pod in two), every=0.02)
            if number == WARM:
                early = {pod.name: sizes(bed, pod.name) for pod in two}
        for pod in two:
            assert pod.sh("cat /conf/feed") == f"10.0.{ROUNDS >> 8}.{ROUNDS & 255}"
            assert "worker=ended" not in pod.log() and pod.info["id"] == ids[pod.name]
        late = {pod.name: sizes(bed, pod.name) for pod in two}
    finally:
        zk.stop()
        zk.close()
    grown = []
    for name in sorted(late):
        for key in sorted(late[name]):
            first, now = early[name][key], late[name][key]
            print(f"{name} {' '.join(key)}: {workers[name][key]} at first, {first} after {WARM} rounds, {now} after {ROUNDS}")
            if now > first * 1.05 + SLACK.get(key[1], 0):
                grown.append(f"{name} {' '.join(key)}: {first} after {WARM} rounds, {now} after {ROUNDS}")
    assert not grown

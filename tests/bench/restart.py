"""(a) The workload is killed with -9 from outside -> its successor runs. Ours, Docker's own policy and the bare API side by
side: three containers of one HostConfig (network of our sidecar, PID namespace of its holder, the same volume), each
killed in turn after more than 10 s of life, so that neither back-off counts."""
import os
import signal
import subprocess
import time
from pathlib import Path

from stand import Failed, boottime, end, median, say, tail, twin, wait_until

SETTLED = 10.5  # seconds: Docker's back-off and ours start anew after 10
NAMES = ("ours", "policy", "bare")


class Subject:
    def __init__(self, stand, name, container, stamps):
        self.stand, self.name, self.container, self.stamps = stand, name, container, Path(stamps)
        self.took = []

    def lives(self):
        return [int(line) for line in self.stamps.read_text().split()]

    def settled_in(self):
        return SETTLED - (boottime() - self.lives()[-1]) / 1e9

    def pid(self):
        return self.stand.bed.inspect(self.container)["State"]["Pid"]

    def kill(self):
        pid, before = self.pid(), len(self.lives())
        if not pid:
            raise Failed(f"restart: {self.name} is not running")
        at = boottime()
        os.kill(pid, signal.SIGKILL)
        lives = wait_until(f"{self.name} runs again", lambda: self.lives()[before:], 30, every=0.005)
        self.took.append((lives[0] - at) / 1e6)
        wait_until(f"{self.name} is seen to run", lambda: self.pid() not in (0, pid), 10)


def volume(stand, container, path):
    """Where the container's volume lies on this host."""
    mounts = stand.bed.inspect(container)["Mounts"]
    return Path(next(m["Source"] for m in mounts if m["Destination"] == path))


def start_ours(stand, name):
    sidecar = stand.container(name, "restart", mounts=["/stamps"],
                              workload={"command": ["/stamps/ours"], "volumes": ["/stamps"]})
    stand.start_all([sidecar])
    stamps = volume(stand, sidecar, "/stamps")
    try:
        wait_until("our workload runs", (stamps / "ours").exists, 30)
    except AssertionError:
        raise Failed(f"restart: our workload does not run:\n{stand.bed.log(name)[-3000:]}") from None
    return stand.workload_of(sidecar), stamps


def measure(stand, quick):
    zk = stand.zk
    assert zk
    name = "bench-restart"
    restarter = None
    log = stand.dir / "restarter.log"
    try:
        workload, stamps = start_ours(stand, name)
        containers = {"ours": workload["Id"]}
        for other, policy in (("policy", "always"), ("bare", "no")):
            body = twin(workload, [f"/stamps/{other}"], policy)
            containers[other] = stand.api("POST", f"/containers/create?name=bench-{other}", body)["Id"]
            stand.api("POST", f"/containers/{containers[other]}/start")
        with open(log, "wb") as out:
            restarter = subprocess.Popen([str(stand.build / "tests/bench/bench-restarter"), containers["bare"]],
                                         env=stand.bed.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_until("the bare API follows the events", lambda: "\nup " in "\n" + log.read_text(), 10)
        subjects = [Subject(stand, n, containers[n], stamps / n) for n in NAMES]
        kill_all(subjects, 2 if quick else 15)
        if restarter.poll() is not None:
            raise Failed(f"restart: the bare API ended: {tail(log)}")
        return report({s.name: s.took for s in subjects})
    finally:
        end(restarter)
        stand.remove([name])


def kill_all(subjects, rounds):
    for number in range(rounds):
        say(f"restart: {number + 1} of {rounds}")
        time.sleep(max(0.0, *(s.settled_in() for s in subjects)))
        first = number % len(subjects)  # nobody is always the first of a round
        for subject in subjects[first:] + subjects[:first]:
            subject.kill()
            time.sleep(0.3)


def report(took):
    ours, policy, bare = (median(took[name]) for name in NAMES)
    return {"restart_vs_api": ours / bare, "restart_vs_docker_policy": ours / policy}, [
        ("killed -9 -> new process, ours", f"{ours:.0f} ms"),
        ("the same, the bare API (die event, start)", f"{bare:.0f} ms"),
        ("the same, Docker's --restart=always", f"{policy:.0f} ms"),
    ]

"""Memory: whoever has none left is ended by the kernel, which finds the control group full."""
import sys
import time
from pathlib import Path

from bench import alive, run
from nemesis import nemesis, soon
from nemesis_process import back, shim_of
from record import group_of, processes_of

# Holds what it eats in a file of memory: in no process's own, so that the kernel does not choose it for its size.
HOG = """
import os, sys
group, count = sys.argv[1:]
def kills():
    with open(count) as file:
        return file.read().split('oom_kill ')[1].split()[0]
memory, before = os.memfd_create('hog'), kills()
with open(group + '/cgroup.procs', 'w') as file:
    file.write(str(os.getpid()))
for _ in range(400):
    if kills() != before:
        break
    os.write(memory, bytes(1 << 20))
"""
LITTLE = 32 << 20  # bytes, for a process that is put into a group of its own


def only(group, *names):
    """The one of its files that this kernel has."""
    for name in names:
        if (group / name).exists():
            return group / name
    raise LookupError(f"{group} has none of {names}")


def eat(group, pid):
    """The group's memory is eaten until the kernel has killed that process. It is told to choose it: to protect all others
    takes a capability that root does not have everywhere."""
    choice = Path(f"/proc/{pid}/oom_score_adj")
    before = choice.read_text()
    choice.write_text("1000")
    try:
        run(sys.executable, "-c", HOG, group, only(group, "memory.oom_control", "memory.events"), check=False, timeout=30)
        soon("the kernel kills", lambda: not alive(pid))
    finally:
        if alive(pid):
            choice.write_text(before)


def resident(pid):
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def starve(container):
    """The largest of its processes is killed, as the kernel chooses by itself."""
    pid = max(processes_of(container), key=resident, default=None)
    if not pid:
        raise LookupError(f"{container[:12]} has no processes")
    eat(group_of(container), pid)
    return pid


def home_of(pid):
    """(the root of all groups that count memory, the one that the process is in)."""
    top = next(p for p in map(Path, ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")) if (p / "cgroup.procs").exists())
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        groups = {names: path for _, names, path in (line.strip().split(":", 2) for line in file)}
    return top, top / groups.get("memory", groups.get("", "")).strip("/")


def dissolve(group, home):
    """Whoever is left in it goes home; a process that is just ending holds it for a moment."""
    for _ in range(50):
        for pid in (group / "cgroup.procs").read_text().split():
            try:
                (home / "cgroup.procs").write_text(pid)
            except OSError:
                pass
        try:
            return group.rmdir()
        except OSError:
            time.sleep(0.1)


def starve_alone(pid):
    """A process that shares its group with others is put into a small one of its own."""
    top, home = home_of(pid)
    group = top / f"chaos-{pid}"
    group.mkdir()
    try:
        only(group, "memory.limit_in_bytes", "memory.max").write_text(str(LITTLE))
        (group / "cgroup.procs").write_text(str(pid))
        eat(group, pid)
    finally:
        dissolve(group, home)


@nemesis("sidecar out of memory")
def sidecar_oom(bench, pod, rng, done):
    init = pod.init
    done.ends.add(pod.name)  # until it is known that init was spared
    worker = pod.worker()
    done.note = "its worker" if starve(pod.container["Id"]) == worker else "a process beside its worker"
    time.sleep(0.2)
    if alive(init):
        done.ends.discard(pod.name)
    yield


@nemesis("workload out of memory", ends=True)
def workload_oom(bench, pod, rng, done):
    starve(pod.workload()["Id"])
    yield


@nemesis("workload's shim out of memory", ends=True)
def workload_shim_oom(bench, pod, rng, done):
    starve_alone(shim_of(pod.workload()["State"]["Pid"]))
    yield


@nemesis("engine out of memory", on="host", rank=3, ends=True, after=25)
def engine_oom(bench, host, rng, done):
    starve_alone(host.pid())
    yield
    back(bench, host, done)


@nemesis("ZooKeeper server out of memory", on="server", lasts=1)
def server_oom(bench, server, rng, done):
    starve_alone(server.process.pid)
    server.kill()  # it is gone: its parent learns of it
    yield
    server.start()

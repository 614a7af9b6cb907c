"""Memory: whoever has none left is ended by the kernel, which finds the control group full."""
import sys
import time
from pathlib import Path

from bench import alive, run
from nemesis import nemesis, soon
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

"""Processes: killed, stopped, starved of descriptors."""
import os
import signal
import socket
import time

from bench import SESSION_S, alive, family, mntr, run, stat_of
from nemesis import freeze, nemesis, soon, thaw
from record import processes_of

# ---- the sidecar's ----


@nemesis("worker killed")
def worker_killed(bench, pod, rng, done):
    os.kill(pod.worker(), signal.SIGKILL)
    yield


@nemesis("worker stopped, briefly")
def worker_stopped(bench, pod, rng, done):
    pid = pod.worker()
    freeze([pid])
    time.sleep(rng.uniform(0.2, 0.4) * SESSION_S)
    thaw([pid])
    yield


@nemesis("worker stopped for longer than its session", lasts=2 * SESSION_S)
def worker_frozen(bench, pod, rng, done):
    pid = pod.worker()
    freeze([pid])
    yield
    thaw([pid])


@nemesis("leader stopped in its round", on="leader", lasts=2.5 * SESSION_S)
def leader_frozen(bench, pod, rng, done):
    """Another pod goes and comes; while the leader configures the rest it is stopped for longer than its session."""
    other = rng.choice([p for p in bench.living() if p is not pod])
    done.ends.add(other.name)
    pid = pod.worker()
    other.host.api.do(other.name, "kill?signal=KILL")
    try:
        other.host.api.do(other.name, "start")
        soon("a round begins", lambda: "configuring" in pod.info()["state"])
    except LookupError as error:
        done.note = str(error)
    freeze([pid])
    yield
    thaw([pid])


@nemesis("a process beside the worker killed")
def runner_killed(bench, pod, rng, done):
    os.kill(rng.choice(pod.others()), signal.SIGKILL)
    yield


@nemesis("init killed, and the container with it", ends=True)
def init_killed(bench, pod, rng, done):
    os.kill(pod.init, signal.SIGKILL)
    yield


@nemesis("all of a sidecar stopped", lasts=1.5 * SESSION_S)
def sidecar_frozen(bench, pod, rng, done):
    pids = family(pod.init)
    freeze(pids)
    yield
    thaw(pids)


def prlimit(pid, *words, **more):
    """As the process's own user: root may only with a capability that it does not have everywhere."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        ids = dict(line.split(":", 1) for line in file)
    user, group = ids["Uid"].split()[0], ids["Gid"].split()[0]
    return run("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "prlimit", f"--pid={pid}", *words, **more)


@nemesis("worker out of descriptors", lasts=4)
def no_descriptors(bench, pod, rng, done):
    pid, address = pod.worker(), pod.address
    soft, hard = prlimit(pid, "--nofile", "--output=SOFT,HARD", "--noheadings").split()
    used = len(os.listdir(f"/proc/{pid}/fd"))
    prlimit(pid, f"--nofile={used + 2}:{hard}")
    idle = []
    try:
        for _ in range(20):
            idle.append(socket.create_connection((address, 8080), timeout=1))
    except OSError:
        pass
    yield
    for one in idle:
        one.close()
    if alive(pid):
        prlimit(pid, f"--nofile={soft}:{hard}", check=False)


# ---- the workload's ----

@nemesis("workload killed", ends=True)
def workload_killed(bench, pod, rng, done):
    os.kill(pod.workload()["State"]["Pid"], signal.SIGKILL)
    yield


@nemesis("workload stopped", ends=True, lasts=3)
def workload_frozen(bench, pod, rng, done):
    pids = processes_of(pod.workload()["Id"])
    freeze(pids)
    yield
    thaw(pids)


def shim_of(pid):
    stat = stat_of(pid)
    if not stat:
        raise LookupError(f"process {pid} is gone")
    # The holder's process namespace changes nothing: the parent is the shim all the same.
    with open(f"/proc/{stat[0]}/cmdline", encoding="utf-8", errors="replace") as file:
        if "containerd-shim" not in file.read():
            raise LookupError(f"the parent of {pid} is no shim")
    return stat[0]


@nemesis("workload's shim killed", ends=True)
def workload_shim_killed(bench, pod, rng, done):
    os.kill(shim_of(pod.workload()["State"]["Pid"]), signal.SIGKILL)
    yield


@nemesis("workload's shim stopped", ends=True, lasts=25)
def workload_shim_frozen(bench, pod, rng, done):
    """The files change just then: a round stops the workload, which its engine cannot, for longer than a stop may take."""
    pid = shim_of(pod.workload()["State"]["Pid"])
    bench.change()
    freeze([pid])
    yield
    thaw([pid])


@nemesis("sidecar's shim killed", ends=True)
def sidecar_shim_killed(bench, pod, rng, done):
    os.kill(shim_of(pod.init), signal.SIGKILL)
    yield


# ---- the engine's ----

def is_lost(pod):
    """Whether its engine has lost sight of it. An engine that ended while it had a container's task may be refused it by its
    containerd when it starts again, says so once and never tries again; or it goes on calling `restarting` what runs."""
    def unseen():
        seen = pod.container
        return seen["Id"] if seen["State"]["Restarting"] and processes_of(seen["Id"]) else None
    if "already exists" in pod.container["State"]["Error"]:
        return True
    first = unseen()
    for _ in range(5 if first else 0):  # one that is restarted looks so, too, for a moment
        time.sleep(1)
        if unseen() != first:
            return False
    return first is not None


def back(bench, host, done, *options):
    """Of a workload that its engine has lost sight of it is the sidecar's to mend; a sidecar is made anew by an operator."""
    host.start(*options)
    for pod in bench.living():
        if pod.host is host and is_lost(pod):
            for pid in processes_of(pod.container["Id"]):
                os.kill(pid, signal.SIGKILL)
            pod.remove()
            pod.create()
            pod.start()
            done.ends.add(pod.name)
            done.note = f"{done.note} lost sight of {pod.name}: an operator made it again".strip()


@nemesis("engine killed", on="host", rank=3, ends=True, after=25)
def engine_killed(bench, host, rng, done):
    host.verb("kill")
    yield
    back(bench, host, done)


@nemesis("engine killed, with live restore", on="host", rank=3)
def engine_killed_live(bench, host, rng, done):
    host.verb("kill")
    yield
    back(bench, host, done, "--live-restore")


@nemesis("engine restarted", on="host", rank=3, ends=True, after=25)
def engine_restarted(bench, host, rng, done):
    host.verb("stop")
    yield
    back(bench, host, done)


@nemesis("engine stopped", on="host", rank=3, lasts=5)
def engine_frozen(bench, host, rng, done):
    pid = host.pid()
    freeze([pid])
    yield
    thaw([pid])


# ---- the ensemble's ----

@nemesis("ZooKeeper server killed", on="server", lasts=1)
def server_killed(bench, server, rng, done):
    server.kill()
    yield
    server.start()


@nemesis("ZooKeeper server stopped", on="server", lasts=SESSION_S)
def server_frozen(bench, server, rng, done):
    server.signal(signal.SIGSTOP)
    yield
    server.signal(signal.SIGCONT)


@nemesis("ZooKeeper's leader killed", on="cluster", lasts=1)
def zookeepers_leader_killed(bench, _, rng, done):
    leaders = [s for s in bench.servers if mntr(s.address).get("zk_server_state") == "leader"]
    if not leaders:
        raise LookupError("no server leads now")
    done.target = leaders[0].name
    leaders[0].kill()
    yield
    leaders[0].start()


@nemesis("ZooKeeper restarted, one server after the other", on="ensemble")
def rolling(bench, _, rng, done):
    for server in rng.sample(bench.servers, 3):
        server.kill()
        server.start()
        soon("the ensemble serves", bench.agree, 60)
    yield


@nemesis("ZooKeeper without a majority", on="ensemble", rank=2, lasts=2 * SESSION_S)
def no_majority(bench, _, rng, done):
    two = rng.sample(bench.servers, 2)
    for server in two:
        server.signal(signal.SIGSTOP)
    yield
    for server in two:
        server.signal(signal.SIGCONT)


@nemesis("ZooKeeper killed, all of it", on="ensemble", rank=2, lasts=2)
def all_killed(bench, _, rng, done):
    for server in bench.servers:
        server.kill()
    yield
    for server in bench.servers:
        server.start()


@nemesis("everybody stopped, woken in another order", on="ensemble", rank=2, lasts=1.2 * SESSION_S)
def everybody_frozen(bench, _, rng, done):
    """What a host that is suspended does: sidecars and ensemble alike."""
    groups = [[s.process.pid] for s in bench.servers] + [family(p.init) for p in bench.living()]
    for pids in groups:
        freeze(pids)
    yield
    rng.shuffle(groups)
    for pids in groups:
        thaw(pids)
        time.sleep(rng.uniform(0, 0.3))

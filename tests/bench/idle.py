"""(c) A pod at rest: a sidecar's container whose workload runs, configured, alone in its cluster. Its processes are init,
worker, broker, names, runner and the holder; the image's HEALTHCHECK goes on asking it meanwhile."""
import os
import re
import time
from pathlib import Path

from stand import ZK_PORT, Failed, Round, cpu_ns, family, four_letters, rollup, say, wait_until

SETTLE = 3  # seconds after the round: its last timers, the first pings


def processes(stand, sidecar):
    init = stand.bed.inspect(sidecar)["State"]["Pid"]
    # An exec (HEALTHCHECK) is no child of init and ends at once; the runner's children end with a round.
    own = family(init)
    holder = wait_until("the holder", lambda: stand.workload_of(sidecar, "holder"), 10)
    return own + [holder["State"]["Pid"]], own


def worker_of(own):
    """The one with ZooKeeper's threads."""
    return max(own, key=lambda pid: len(os.listdir(f"/proc/{pid}/task")))


def role_of(pid, own):
    if pid not in own:
        return "holder"
    if pid in (own[0], worker_of(own)):
        return "init" if pid == own[0] else "worker"
    return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip().removeprefix("ochopod-")


def packets(address):
    """Received from this client by ZooKeeper, on all its connections."""
    lines = [l for l in four_letters("127.0.0.1", "cons", ZK_PORT).splitlines() if f"/{address}:" in l]
    if len(lines) != 1:
        raise Failed(f"idle: {len(lines)} connections from {address}, not 1")
    return int(re.search(r"recved=(\d+)", lines[0])[1])


def measure(stand, quick):
    zk, name = stand.zk, "bench-idle"
    seconds = 20 if quick else 60
    sidecar = stand.container(name, "idle")
    try:
        stand.start_all([sidecar])
        try:
            Round(zk, "idle", 1).wait(60)
        except AssertionError as error:
            raise Failed(f"idle: {error}\n{stand.bed.log(name)[-3000:]}") from None
        address = stand.bed.address(name)
        time.sleep(SETTLE)
        say(f"idle: {seconds} s")
        return watch(stand, sidecar, address, seconds)
    finally:
        stand.remove([name])


def watch(stand, sidecar, address, seconds):
    everybody, own = processes(stand, sidecar)
    began, cpu, sent = time.monotonic(), cpu_ns(everybody), packets(address)
    time.sleep(seconds)
    elapsed = time.monotonic() - began
    cpu, sent = cpu_ns(everybody) - cpu, packets(address) - sent
    memory = {pid: rollup(pid) for pid in everybody}
    mine = memory[worker_of(own)]
    pss = sum(m["Pss"] for m in memory.values()) / 1024
    private = (mine["Private_Clean"] + mine["Private_Dirty"]) / 1024
    rows = [("private memory of the worker: written, read only",
             f"{mine['Private_Dirty'] / 1024:.2f}, {mine['Private_Clean'] / 1024:.2f} MB")]
    for pid in everybody:
        m = memory[pid]
        rows.append((f"Pss of the {role_of(pid, own)}", f"{m['Pss'] / 1024:.2f} MB"))
    return {"idle_cpu_pct": cpu / elapsed / 1e7, "pss_mb": pss, "private_mb": private,
            "zk_packets_per_s": sent / elapsed}, rows

"""Hands: those of strangers on the workload's container, of operators, of a leader of yesterday; pods that come and go;
the configuration's volume."""
import shutil

import orders
from bench import run
from nemesis import nemesis, soon

# ---- strangers ----


@nemesis("somebody stops the workload", ends=True)
def foreign_stop(bench, pod, rng, done):
    pod.host.api.do(pod.workload()["Id"], "stop?t=2")
    yield


@nemesis("somebody kills the workload", ends=True)
def foreign_kill(bench, pod, rng, done):
    pod.host.api.do(pod.workload()["Id"], f"kill?signal={rng.choice(['TERM', 'KILL'])}")
    yield


@nemesis("somebody restarts the workload", ends=True)
def foreign_restart(bench, pod, rng, done):
    pod.host.api.do(pod.workload()["Id"], "restart?t=1")
    yield


@nemesis("somebody removes the workload", ends=True)
def foreign_remove(bench, pod, rng, done):
    pod.host.api.remove(pod.workload()["Id"])
    yield


@nemesis("somebody renames the workload", ends=True)
def foreign_rename(bench, pod, rng, done):
    """And a stranger has its name. What it was called must not matter; the rename itself restarts nothing, but the next
    container may need another name."""
    found = pod.workload()
    name = found["Name"].strip("/")
    done.ends.clear()
    pod.host.api.do(found["Id"], f"rename?name={name}-{rng.randrange(10**6)}")
    stranger = pod.host.api.create(name, {"Image": "ochopod/busybox:1", "Cmd": ["sleep", "1000000"], "Labels": {}})
    pod.host.api.do(stranger, "start")
    yield
    pod.host.api.ask("GET", f"/containers/{stranger}/json")  # still there: nobody's but ours
    pod.host.api.remove(stranger)


@nemesis("somebody pauses the workload", ends=True, lasts=3)
def foreign_pause(bench, pod, rng, done):
    found = pod.workload()["Id"]
    pod.host.api.do(found, "pause")
    yield
    pod.host.api.do(found, "unpause", fine=(204, 304, 404, 409, 500))


@nemesis("somebody removes the holder", ends=True)
def holder_removed(bench, pod, rng, done):
    holders = [c for c in pod.host.api.containers("io.ochopod.role=holder")
               if c["Labels"]["io.ochopod.pod"] in pod.ids and c["State"] == "running"]
    if not holders:
        raise LookupError(f"{pod.name} has no holder")
    pod.host.api.remove(holders[0]["Id"])
    yield


# ---- operators ----

@nemesis("operator's off and on", ends=True)
def off_and_on(bench, pod, rng, done):
    status, said = pod.ask("POST", "/control/off", timeout=20)
    if status != 200:
        raise LookupError(f"off of {pod.name}: {status} {said}")
    yield
    # 406: not configured yet, the next round starts it.
    soon("on", lambda: pod.ask("POST", "/control/on", timeout=40)[0] in (200, 406), 120)


@nemesis("operator's reset")
def reset(bench, pod, rng, done):
    status, said = pod.ask("POST", "/reset")
    if status != 200:
        raise LookupError(f"reset of {pod.name}: {status} {said}")
    yield


@nemesis("orders of a leader of yesterday", on="cluster")
def yesterday(bench, _, rng, done):
    """To everybody, with an epoch that is long over, and with those of the leaders that this run had: nobody may do it."""
    orders.yesterday(bench, done)
    if not done.refused:
        raise LookupError("nobody could be asked")
    yield


# ---- coming and going ----

@nemesis("pod stopped and started", ends=True)
def stopped_and_started(bench, pod, rng, done):
    pod.present = False
    pod.host.api.do(pod.name, "stop")
    yield
    pod.start()


@nemesis("sidecar removed and made again", ends=True)
def made_again(bench, pod, rng, done):
    pod.remove()
    yield
    pod.create()
    pod.start()


@nemesis("pod removed for good, another one comes", ends=True)
def replaced(bench, pod, rng, done):
    pod.remove()
    shutil.rmtree(pod.dir / "state")
    (pod.dir / "state").mkdir()
    yield
    pod.create()
    pod.start()


# ---- the volume ----

@nemesis("volume full", lasts=4)
def volume_full(bench, pod, rng, done):
    """Another pod is reset, which makes no round; what a round would write while this lasts, cannot be."""
    filler = pod.conf / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    yield
    filler.unlink()


@nemesis("volume read-only", lasts=4)
def volume_read_only(bench, pod, rng, done):
    run("mount", "-o", "remount,ro", pod.conf)
    yield
    run("mount", "-o", "remount,rw,size=256k", pod.conf)



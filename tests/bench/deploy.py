"""(i) `ocho deploy -p 3 --strict` against the stand-in of Marathon, from its start to its end; beside it, in turn: the same app
posted as JSON, until the round over its three pods is over. Both need the same of the stand-in, the engine and the pods;
what is left is ocho's own."""
import json
import subprocess
import time

from marathon import Marathon
from stand import GATEWAY, STAMP, ZK_PORT, Failed, Round, median, say, wait_until

PODS = 3
ZK = f"zk://{GATEWAY}:{ZK_PORT}"


def ocho(stand, marathon, *words):
    env = {"PATH": "/usr/bin:/bin", "MARATHON_MASTER": marathon.netloc, "OCHOPOD_ZK": ZK}
    done = subprocess.run([str(stand.build / "ocho"), *words], env=env, capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise Failed(f"deploy: ocho {words[0]}: status {done.returncode}: {done.stderr[-300:]}")
    return done.stdout


def spec_of(stand, cluster):
    path = stand.dir / f"{cluster}.yaml"
    path.write_text(json.dumps({"cluster": cluster, "namespace": "bench", "zk": ZK, "damper": "0s", "needs": {"pods": PODS},
                                "workload": {"image": STAMP, "restart": "always", "stop": {"grace": "2s"}}}))
    return path


def words_of(stand, cluster):
    return "deploy", str(spec_of(stand, cluster)), "-p", str(PODS), "--strict", "-t", "120", "--socket", stand.bed.socket


def remove(stand, marathon):
    for app in marathon.do("GET", "/v2/apps")["apps"]:
        marathon.do("DELETE", f"/v2/apps{app['id']}?force=true")
    wait_until("nothing is left", lambda: not stand.bed.ids("name=^/mesos-") + stand.bed.ids("label=io.ochopod.role"), 60)


def by_ocho(stand, marathon):
    words = words_of(stand, f"deployed{stand.number()}")
    began = time.monotonic()
    ocho(stand, marathon, *words)
    return (time.monotonic() - began) * 1000


def by_hand(stand, marathon):
    cluster = f"posted{stand.number()}"
    app = json.loads(ocho(stand, marathon, *words_of(stand, cluster), "--dry-run"))
    began = time.time() * 1000
    marathon.do("POST", "/v2/apps", app)
    # The server's clock is ours.
    return Round(stand.zk, cluster, PODS).wait(120) - began


def measure(stand, quick):
    assert stand.zk
    repeats = 3 if quick else 9
    say(f"deploy: {PODS} pods, {repeats} times each way")
    took = {by_ocho: [], by_hand: []}
    with Marathon(stand.bed, "--docker_remove_delay", "0.2", "--zk", f"{ZK}/mesos") as marathon:
        for _ in range(repeats):
            for way, times in took.items():
                times.append(way(stand, marathon))
                remove(stand, marathon)
    ours, posted = median(took[by_ocho]), median(took[by_hand])
    return {"deploy_adds_ms": ours - posted}, [
        ("ocho deploy, start to end", f"{ours:.0f} ms"),
        ("the same app posted -> its round is over", f"{posted:.0f} ms"),
    ]

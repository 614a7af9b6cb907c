"""(h) `ocho grep` as a process. First over a thousand sidecars, whose engine is the one that answers at once: a cluster that
has configured itself. Then over pods whose records are in a real ZooKeeper and whose control ports are one nginx that has
/info as a file, each on an address of its own. Beside it, in turn: `curl --parallel` of the same thousand addresses, which
are handed to it, so that it asks nobody where they are: what the two differ in is what `ocho` does itself."""
import json
import subprocess
import time
import uuid

from info import Nginx
from stand import ZK_PORT, Failed, Round, Sidecar, Sidecars, cluster_path, median, say, tail

SIZES = (10, 1000)
INFO = {"application": "", "port": "8080", "task": "", "ip": "127.0.0.1", "node": "bench", "ports": {"8080": 8080}, "public": "",
        "metrics": {}, "dependencies": [], "process": "running", "state": "follower", "status": ""}


def address(n):
    return f"127.1.{n // 250}.{n % 250 + 1}"


def register(zk, size, port):
    """Answers the pattern that greps them."""
    cluster = f"grep{size}"
    root = f"{cluster_path(cluster)}/pods"
    zk.kazoo.ensure_path(root)
    record = {"cluster": cluster, "namespace": "bench", "application": "", "task": "", "zk": "", "node": "bench",
              "port": "8080", "ports": {"8080": port}, "public": "", "sidecar": "bench"}
    pending = [zk.kazoo.create_async(f"{root}/{uuid.uuid4()}.{n:010}",
                                     json.dumps({**record, "seq": n, "ip": address(n)}).encode())
               for n in range(size)]
    for one in pending:
        one.get(timeout=30)
    return f"bench.{cluster}"


def timed(argv, env=None):
    began = time.monotonic()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    took = (time.monotonic() - began) * 1000
    if done.returncode:
        raise Failed(f"grep: {argv[0]}: status {done.returncode}: {done.stderr[-300:]}")
    return took, done.stdout


def grep(stand, pattern, size):
    took, out = timed([str(stand.build / "ocho"), "grep", "-j", pattern],
                      {"PATH": "/usr/bin:/bin", "OCHOPOD_ZK": f"127.0.0.1:{ZK_PORT}"})
    running = sum(pod["process"] == "running" for pod in json.loads(out).values())
    if running != size:
        raise Failed(f"grep: {running} of {size} pods")
    return took


def real(stand, size, repeats):
    """Over sidecars, all of this machine."""
    say(f"grep: starting {size} sidecars")
    with Sidecars([Sidecar(stand, "real", stand.fake_engine, needs=size) for _ in range(size)]) as sidecars:
        try:
            Round(stand.zk, "real", size).wait(300)
        except AssertionError as error:
            for one in sidecars:
                one.runs()
            raise Failed(f"grep: {error}\n{tail(sidecars[0].dir / 'log')}") from None
        say(f"grep: {size} sidecars, {repeats} times")
        grep(stand, "bench.real", size)
        return [grep(stand, "bench.real", size) for _ in range(repeats)]


def curl(config):
    return timed(["curl", "-sS", "--parallel", "--parallel-max", "64", "-K", str(config)])[0]


def measure(stand, quick):
    assert stand.zk
    repeats = 5 if quick else 15
    took = real(stand, 1000, repeats)
    values = {"grep_1000_real_ms": median(took)}
    rows = [("1,000 sidecars: fastest, slowest", f"{min(took):.0f}, {max(took):.0f} ms")]
    with Nginx(stand, json.dumps(INFO).encode(), "application/json", "0.0.0.0") as nginx:
        config = stand.dir / "curl.conf"
        config.write_text("".join(f'url = "http://{address(n)}:{nginx.port}/info"\noutput = "/dev/null"\n'
                                  for n in range(1000)))
        for size in SIZES:
            pattern = register(stand.zk, size, nginx.port)
            say(f"grep: {size} pods, {repeats} times")
            grep(stand, pattern, size)
            ours, theirs = [], []
            for _ in range(repeats):
                ours.append(grep(stand, pattern, size))
                theirs += [curl(config)] if size == 1000 else []
            values[f"grep_{size}_ms"] = median(ours)
            rows.append((f"{size} pods: fastest, slowest", f"{min(ours):.0f}, {max(ours):.0f} ms"))
    values["grep_1000_vs_curl"] = values["grep_1000_ms"] / median(theirs)
    rows.append(("curl: fastest, median, slowest", f"{min(theirs):.0f}, {median(theirs):.0f}, {max(theirs):.0f} ms"))
    return values, rows

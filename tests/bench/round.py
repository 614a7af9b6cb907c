"""(h) A round of one real leader over 1,000 pods that one program plays and answers for at once (peers.c): from the
round's beginning to its commit, as the leader's own log says. The leader is a pod like any other, its engine answers at
once. Meanwhile /livez is asked without pause: an answer takes as long as the leader's loop was busy with one thing. The
bytes of all bodies of a round are counted where they arrive. Leader and peers run ahead of whatever else is there
(SCHED_FIFO), so that a stall is the leader's own; ZooKeeper does not."""
import json
import re
import subprocess
import uuid

from stand import Failed, Sidecar, Sidecars, cluster_path, family, median, rollup, say, tail, wait_until

PODS = 1000
AHEAD = ["chrt", "--fifo", "10"]
DONE = re.compile(r" round=\d+ generation=(\d+) pods=(\d+) ms=(\d+) ")


def record(n, port, renewals=0):
    """600 bytes, as records of real pods are."""
    pod = {"application": f"ochopod.bench.round-2026-01-01-00-00-{n:04d}", "cluster": "round", "debug": "false",
           "local": "false", "namespace": "bench", "port": "8080", "start": "true",
           "task": f"ochopod_bench_round.{uuid.UUID(int=n)}", "zk": "127.0.0.1:2181", "fwk": "marathon",
           "ip": f"127.{1 + n // 250}.0.{1 + n % 250}", "node": f"agent-{n:04d}.example",
           "ports": {"8080": port, "2181": 31000, "2888": 31001, "3888": 31002}, "public": f"10.0.{n // 250}.{n % 250}",
           "seq": n + 1, "sidecar": "0.1", "proposal": True}
    if renewals:
        pod["renewals"] = renewals
    return json.dumps(pod).encode()


class Peers:
    def __init__(self, stand, port, leader):
        self.process = subprocess.Popen(AHEAD + [stand.build / "tests/bench/bench-peers", str(port), str(leader)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stretch(self):
        self.process.stdin.write("now\n")
        self.process.stdin.flush()
        return {k: int(v) for k, v in (word.split("=") for word in self.process.stdout.readline().split())}

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def rounds_of(leader):
    text = (leader.dir / "log").read_text(errors="replace")
    return [(int(pods), int(ms)) for _, pods, ms in DONE.findall(text)]


def register(zk, root, port):
    zk.ensure_path(f"{root}/pods")
    pending = [zk.create_async(f"{root}/pods/{uuid.UUID(int=n)}.", record(n, port), ephemeral=True, sequence=True)
               for n in range(PODS - 1)]
    return [p.get(timeout=30) for p in pending]


def one_more(leader, seen, size=PODS):
    def come():
        leader.runs()
        now = rounds_of(leader)
        return len(now) > seen and now[-1][0] == size and now
    try:
        return wait_until(f"a round of {size} pods", come, 60, every=0.05)
    except AssertionError as error:
        raise Failed(f"round: {error}; status: {leader.info()['status']}\n{tail(leader.dir / 'log')}") from None


def measure(stand, quick):
    zk = stand.zk.kazoo
    assert stand.fake_engine
    cluster = f"round{stand.number()}"
    root = cluster_path(cluster)
    leader = Sidecar(stand, cluster, stand.fake_engine, before=AHEAD)
    port = stand.port()
    peers = Peers(stand, port, leader.port)
    took, worst, p99, sent = [], [], [], []
    try:
        with Sidecars([leader]):
            one_more(leader, 0, 1)
            paths = register(zk, root, port)
            done = one_more(leader, 1)
            for n in range(3 if quick else 15):
                peers.stretch()
                zk.set(paths[0], record(0, port, n + 1))
                done = one_more(leader, len(done))
                wait_until("ok went out", lambda: '"process"' in json.dumps(leader.info()), 10)
                said = peers.stretch()
                took.append(done[-1][1])
                worst.append(said["worst_us"] / 1000)
                p99.append(said["p99_us"] / 1000)
                sent.append(said["body_bytes"])
            memory = max(rollup(pid)["Pss"] for pid in family(leader.process.pid)) / 1024  # init, worker, runner
            for path in paths:
                zk.delete_async(path)
    finally:
        peers.stop()
    say(f"round: {took} ms, longest stalls {[round(w, 1) for w in worst]} ms")
    return ({"round_1000_ms": median(took), "round_stall_ms": max(worst),
             "round_bytes_per_pod": median(sent) / PODS},
            [("rounds: fastest, slowest", f"{min(took)}, {max(took)} ms"),
             ("stalls: the longest of each round, least and median; median of the 99th percentiles",
              f"{min(worst):.1f}, {median(worst):.1f}, {median(p99):.1f} ms"),
             ("Pss of the worker afterwards", f"{memory:.1f} MB")])


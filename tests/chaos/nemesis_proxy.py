"""Slow links of ours: a proxy (proxy.py) between a sidecar and ZooKeeper, or between a leader and its pods. Sidecars know
nothing of it. It counts only where bytes have gone through it, and, where it stalls, where it holds some."""
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import proxy
from bench import SESSION_S, run
from nemesis import nemesis, pause, soon

PROXY = Path(proxy.__file__)


class Between:
    """A proxy in the namespace of a process, from its beginning to the end of a `with`."""

    def __init__(self, bench, pid, port, addresses, rate, delay, record=None):
        self.bench, self.port, self.addresses = bench, str(port), addresses
        # The namespace itself: the process may end before this does.
        self.namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.path = f"/proc/{os.getpid()}/fd/{self.namespace}"
        self.what = f"{rate / 1024:.0f} KiB/s, {delay:.1f} s late"
        self.told = None
        self.most_held = 0
        more = ["--record", str(record)] if record else []
        # Of a session of its own: it ends when the harness does, however that ends, and takes its rules with it.
        self.process = subprocess.Popen(
            ["nsenter", f"--net={self.path}", sys.executable, "-B", str(PROXY), *more, str(rate), str(delay), self.port,
             *addresses], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        bench.proxies.append(self)

    def __enter__(self):
        try:
            self.hear()
        except OSError:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise OSError("the proxy has ended")
        self.told = json.loads(line)
        self.most_held = max(self.most_held, self.told["held"])
        return self.told

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.hear()

    def carries(self, which):
        """Evidence: what went over it."""
        soon("something goes over the proxy", lambda: self.say("count")[which] > 0)

    def stalls(self):
        self.say("stall")
        soon("the proxy holds something", lambda: self.say("count")["held"] > 0)

    def evidence(self):
        return (f"{self.what}: {self.told['passed']} bytes there, {self.told['answered']} back, {self.told['connections']} "
                f"connections{f', at most {self.most_held} bytes held' if self.told['stalled'] else ''}")

    def end(self):
        """Its rules are out, whatever became of it."""
        if self not in self.bench.proxies:
            return
        self.bench.proxies.remove(self)
        with contextlib.suppress(OSError):  # it is gone
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if self.process.returncode:
            for table in ("nat", "filter"):
                self.take_out(table)
        os.close(self.namespace)

    def take_out(self, table):
        inside = ("nsenter", f"--net={self.path}", "iptables", "-w", "-t", table)
        for line in run(*inside, "-S", "OUTPUT", check=False).splitlines():
            if line.startswith("-A") and f"--mark {proxy.MARK}" in line and f"--dport {self.port} " in line:
                run(*inside, "-D", *line.split()[1:], check=False)


def to_zookeeper(bench, pod, rng):
    return Between(bench, pod.init, 2181, [s.address for s in bench.servers], 1024 * rng.choice((2, 4, 8)),
                   rng.uniform(0.1, 0.5))


def stalled(between, done, seconds):
    """It holds what comes until it is healed; that arrives within some seconds, late."""
    between.stalls()
    done.note = between.evidence()
    yield
    between.say("count")
    done.note = between.evidence()
    between.say("go")
    time.sleep(seconds)


@nemesis("pod and ZooKeeper over a slow proxy", lasts=2 * SESSION_S)
def zookeeper_slow(bench, pod, rng, done):
    with to_zookeeper(bench, pod, rng) as between:
        between.carries("answered")
        done.note = between.evidence()
        yield
        between.say("count")
        done.note = between.evidence()


@nemesis("pod and ZooKeeper over a proxy that stalls", lasts=2 * SESSION_S)
def zookeeper_stalls(bench, pod, rng, done):
    """For longer than the pod's session; then all that it holds arrives, late."""
    with to_zookeeper(bench, pod, rng) as between:
        between.carries("answered")
        yield from stalled(between, done, 1)


@nemesis("leader's orders over a proxy that stalls", on="leader", lasts=5)
def orders_stall(bench, pod, rng, done):
    """The files change, and the round's orders are slow; then they are kept back, in whichever phase, and in the end they
    arrive."""
    others = [p.address for p in bench.living() if p is not pod]
    with Between(bench, pod.init, 8080, others, 1024 * rng.choice((4, 8, 16)), rng.uniform(0.1, 0.5),
                 bench.orders) as between:
        bench.change()
        between.carries("passed")
        pause(rng, 0, 4)
        bench.change()  # where that round is over, another one comes
        yield from stalled(between, done, 2)

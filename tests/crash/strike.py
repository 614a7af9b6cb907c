"""What is killed, and when: a point is one system call of one process of a sidecar, in one round of its cluster."""
import subprocess
import time

from stage import boottime, die_with_parent, lived, wait_until

WORKER = "ochopod-sidecar"
RUNNER = "ochopod-runner"
BACK_S = 10.5   # a worker that has lived so long is started again at once by init
ROUND_S = 90
TAIL_S = 0.3    # after /hash is written the leader says `ok` to the pods


class Kind:
    """One of the processes that have a part in an `on`."""

    def __init__(self, name, process, pair=True, children=False, both=False):
        self.name, self.process, self.pair, self.children, self.both = name, process, pair, children, both
        self.calls = 0      # how many it makes in one round
        self.points = []

    def statuses(self):
        """With what the worker ends when such a process is killed."""
        if self.both or self.process == WORKER:
            return [137]
        return [] if self.children else [1]


def kinds():
    return [Kind("worker of a pod", WORKER),
            Kind("worker that leads, too", WORKER, pair=False),
            Kind("broker", "ochopod-broker"),
            Kind("runner", RUNNER),
            Kind("job of the runner", RUNNER, children=True),
            Kind("worker, at a call of a job", RUNNER, children=True, both=True)]


class Striker:
    """tests/tools/strike on the struck pod of a cluster."""

    def __init__(self, tool, cluster, kind, at=None):
        pod = cluster.struck
        self.pid = pod.process(kind.process)
        words = [tool, *(["--children"] if kind.children else []), *(["--at", str(at)] if at else ["--list"])]
        if kind.both and at:
            words += ["--with", str(pod.process(WORKER))]
        self.process = subprocess.Popen([*map(str, words), str(self.pid)], stdin=subprocess.DEVNULL, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.said = self.process.stdout.readline().strip()
        assert self.said == "attached", f"{' '.join(map(str, words))}: {self.said}"

    def over(self):
        return self.process.poll() is not None

    def end(self):
        """What it said, line by line."""
        while not self.over():
            self.process.terminate()
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                continue
        return self.process.stdout.read().splitlines()


def rested(cluster):
    """Settled, and its worker old enough to be started again at once."""
    infos = wait_until(f"{cluster.name} is settled", cluster.settled, ROUND_S, 0.2)
    time.sleep(max(0.0, BACK_S - lived(cluster.struck.process(WORKER))))
    return infos


def count(tool, cluster, kind):
    """The calls of one whole round, as their names."""
    wait_until(f"{cluster.name} is settled", cluster.settled, ROUND_S, 0.2)
    striker, before = Striker(tool, cluster, kind), cluster.hash()
    try:
        cluster.say()
        # Nobody asks the pod meanwhile: that would be calls, too.
        wait_until(f"a round of {cluster.name}", lambda: cluster.hash() != before, ROUND_S, 0.05)
        time.sleep(TAIL_S)
    finally:
        lines = striker.end()
    return [line.split()[1] for line in lines if line[:1].isdigit()]


class Struck:
    """What was done at one point."""

    def __init__(self, kind, at):
        self.kind, self.at = kind, at
        self.call = None      # its name; None: the round was over before
        self.seen = 0         # then: after so many calls
        self.begin = self.time = None
        self.end = None       # when all was well again
        self.broken = []
        self.phase = ""
        self.again = False    # it was started with what was in force before, too

    def __str__(self):
        return f"{self.kind.name}, call {self.at}{f' ({self.call})' if self.call else ''}"


def strike(tool, cluster, kind, at):
    done = Struck(kind, at)
    striker, before = Striker(tool, cluster, kind, at), cluster.hash()
    try:
        done.begin = boottime()
        cluster.say()

        def over():
            return striker.over() or cluster.hash() != before

        wait_until(f"a round of {cluster.name}, or its end", over, ROUND_S, 0.02)
        if not striker.over():
            time.sleep(TAIL_S)
        done.time = boottime()
    finally:
        lines = striker.end()
    for line in lines:
        if line.startswith("struck "):
            done.call = line.split()[2]
        elif line.startswith("seen "):
            done.seen = int(line.split()[1])
        else:
            raise OSError(f"strike: {line}")
    return done

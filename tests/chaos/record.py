"""Recorders: what the engines say, what the kernel says runs, what a reader of the configuration files sees, and what
was done to whom. All times are CLOCK_BOOTTIME: one machine, one clock."""
import http.client
import json
import subprocess
import sys
import threading
from pathlib import Path

from bench import CLUSTER, alive, boottime, die_with_parent
from engine_api import Unix

GROUPS = ("/sys/fs/cgroup/memory/docker/{}", "/sys/fs/cgroup/docker/{}", "/sys/fs/cgroup/system.slice/docker-{}.scope")


def group_of(container):
    """The directory of its control group, or None."""
    for form in GROUPS:
        path = Path(form.format(container))
        if path.is_dir():
            return path
    return None


def processes_of(container):
    """Those that live: a zombie runs nothing."""
    group = group_of(container)
    try:
        pids = (group / "cgroup.procs").read_text().split() if group else []
    except OSError:
        return []
    return [int(pid) for pid in pids if alive(pid)]


class Engine(threading.Thread):
    """Events of one engine, and all of the clusters' containers listed each second and after each gap."""

    def __init__(self, host, clusters=(CLUSTER,)):
        super().__init__(daemon=True)
        self.host, self.clusters = host, clusters
        self.events = []      # (t, action, container id, attributes)
        self.containers = {}  # id -> labels of the cluster's
        self.listed = []      # (t, {id: state})
        self.ending = threading.Event()

    def run(self):
        threading.Thread(target=self.list_forever, daemon=True).start()
        while not self.ending.wait(0.1):
            try:
                self.follow()
            except (OSError, http.client.HTTPException, ValueError, LookupError):
                continue

    def follow(self):
        connection = Unix(self.host.api.path, 5)
        connection.request("GET", "/events?filters=" + '{"type":["container"]}')
        answer = connection.getresponse()
        connection.sock.settimeout(None)
        self.list()
        while not self.ending.is_set():
            line = answer.readline()
            if not line:
                return
            event = json.loads(line)
            labels = event["Actor"]["Attributes"]
            self.events.append((boottime(), event["Action"], event["Actor"]["ID"], labels))
            if labels.get("io.ochopod.cluster") in self.clusters:
                self.containers.setdefault(event["Actor"]["ID"], labels)

    def list(self):
        found = [one for one in self.host.api.containers("io.ochopod.cluster")
                 if one["Labels"]["io.ochopod.cluster"] in self.clusters]
        for one in found:
            self.containers.setdefault(one["Id"], one["Labels"])
        self.listed.append((boottime(), {one["Id"]: one["State"] for one in found}))

    def list_forever(self):
        while not self.ending.wait(1.0):
            try:
                self.list()
            except (OSError, ValueError, LookupError):
                continue


class Kernel(threading.Thread):
    """Which workloads have processes, whatever an engine says: {pod id: {container: pids}} looked at all the time."""

    def __init__(self, engines):
        super().__init__(daemon=True)
        self.engines = engines
        self.twice = []   # (t, pod id, containers)
        self.looks = 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(0.02):
            self.look()

    def look(self):
        self.looks += 1
        running = {}
        for engine in self.engines:
            for container, labels in list(engine.containers.items()):
                if labels.get("io.ochopod.role") == "workload" and processes_of(container):
                    running.setdefault(labels["io.ochopod.pod"], []).append(container)
        for pod, containers in running.items():
            # Looked at one after the other: the first may have ended before the second began. None that still runs
            # after all of them were seen has.
            if len(containers) > 1 and processes_of(containers[0]):
                self.twice.append((boottime(), pod, containers))


class Files:
    """The reader, a process of its own (files.py): what changed, and what was not whole."""

    def __init__(self, bench):
        self.path = bench.dir / "files.jsonl"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("files.py")),
                 *(str(p.conf / f"{n}.conf") for p in bench.pods for n in ("one", "two"))],
                stdin=subprocess.DEVNULL, stdout=out, preexec_fn=die_with_parent)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        return [json.loads(line) for line in self.path.read_text().splitlines()]


class Done:
    """One thing that was done to somebody, and healed."""

    def __init__(self, kind, target, ends):
        self.kind, self.target = kind, target
        self.ends = set(ends)  # names of the pods whose workload it may end
        self.begin = boottime()
        self.hit = None        # when it had been done
        self.end = None        # when its effects are over
        self.note = ""
        self.injected = False
        self.refused = 0       # orders that were answered 412
        self.broken = []       # what it saw that must not be

    def touches(self, pod, since, until):
        return pod in self.ends and self.begin <= until and (self.end is None or self.end >= since)


class Recorders:
    def __init__(self, bench):
        self.engines = [Engine(h) for h in bench.hosts]
        self.kernel = Kernel(self.engines)
        self.files = Files(bench)
        for one in (*self.engines, self.kernel):
            one.start()

    def end(self):
        for one in (*self.engines, self.kernel):
            one.ending.set()
        self.kernel.join(10)
        self.changes = self.files.end()

    def workloads(self):
        """{container: pod id} of all that ever were."""
        return {c: labels["io.ochopod.pod"] for e in self.engines for c, labels in e.containers.items()
                if labels.get("io.ochopod.role") == "workload"}

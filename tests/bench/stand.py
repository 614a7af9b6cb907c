"""What the benchmarks stand on: an engine of our own in a network namespace of its own, which this process enters; a
ZooKeeper process on its loopback; the engine that answers at once; sidecars as processes and as containers. Whatever is
started here ends with the `with`."""
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))
from bed import Bed, DOCKER, ENGINE, SIDECAR, four_letters, wait_until  # noqa: E402
from engine_api import Unix  # noqa: E402

STAMP = "bench/stamp:1"
ZK_PORT = 2181
GATEWAY = "198.18.0.1"  # of the default bridge: the namespace itself, seen from a container
JARS = ["zookeeper.jar", "slf4j-log4j12.jar", "log4j-1.2.jar"]
LOG4J = """log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} - %m%n
"""


class Failed(Exception):
    """A measurement that could not be made: one line that says why."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def boottime():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def median(values):
    return statistics.median(values)


def together(calls):
    """Runs them side by side, a thread each; answers what they answered, in order."""
    answers = [None] * len(calls)
    errors = []

    def one(index, call):
        try:
            answers[index] = call()
        except Exception as error:  # carried over to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers


# ---- HTTP ----

def ask(connection, method, path, body=None):
    """Status and body as text; the connection is closed."""
    data = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def info(host, port):
    status, body = ask(http.client.HTTPConnection(host, port, timeout=5), "GET", "/info")
    if status != 200:
        raise OSError(f"/info of {host}:{port}: {status} {body[:200]}")
    return json.loads(body)


# ---- processes ----

def alive(pid):
    """A zombie is dead, though a signal to it succeeds."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def family(pid):
    """pid and all that descends from it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def end(process, grace=10):
    """SIGTERM, then SIGKILL."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(path, lines=15):
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


class ZooKeeper:
    """A real server, tickTime 500 (so sessions are 1 to 10 s), warm before anything is measured with it."""

    def __init__(self, directory):
        self.dir = Path(directory)
        self.dir.mkdir()
        (self.dir / "zoo.cfg").write_text(
            f"tickTime=500\ndataDir={self.dir}/data\nclientPort={ZK_PORT}\nmaxClientCnxns=0\n"
            "4lw.commands.whitelist=*\nadmin.enableServer=false\n")
        (self.dir / "log4j.properties").write_text(LOG4J)
        classes = ":".join([str(self.dir)] + [f"/usr/share/java/{jar}" for jar in JARS])
        with open(self.dir / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", classes,
                 "org.apache.zookeeper.server.ZooKeeperServerMain", str(self.dir / "zoo.cfg")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.kazoo = None

    def start(self):
        from kazoo.client import KazooClient

        wait_until("ZooKeeper serves", lambda: "Mode: " in four_letters("127.0.0.1", "srvr", ZK_PORT), 30)
        self.kazoo = KazooClient(hosts=f"127.0.0.1:{ZK_PORT}", timeout=10.0)
        self.kazoo.start(timeout=15)
        self.warm()

    def warm(self):
        """A server that coordinates has run for days, its code is compiled: what it does in its first second is not
        what a pod meets."""
        self.kazoo.ensure_path("/warm")
        for _ in range(20):
            pending = [self.kazoo.create_async(f"/warm/{n}.", b"x" * 400, ephemeral=True, sequence=True)
                       for n in range(200)]
            paths = [p.get(timeout=20) for p in pending]
            self.kazoo.get_children("/warm")
            for p in [self.kazoo.get_async(path) for path in paths]:
                p.get(timeout=20)
            for path in paths:
                transaction = self.kazoo.transaction()
                transaction.check(path, -1)
                transaction.delete(path)
                transaction.commit_async()
            self.kazoo.sync("/warm")

    def read(self, path):
        """(data, stat), or (None, None) where there is no node."""
        from kazoo.exceptions import NoNodeError

        try:
            return self.kazoo.get(path)
        except NoNodeError:
            return None, None

    def names(self, path):
        from kazoo.exceptions import NoNodeError

        try:
            return self.kazoo.get_children(path)
        except NoNodeError:
            return []

    def stop(self):
        if self.kazoo:
            self.kazoo.stop()
            self.kazoo.close()
        end(self.process)


def cluster_path(cluster):
    return f"/ochopod/clusters/bench.{cluster}"


class Round:
    """One completed round: when the last of its pods appeared and when it was over, on ZooKeeper's clock, in ms."""

    def __init__(self, zk, cluster, pods, after=0):
        self.root = cluster_path(cluster)
        self.zk = zk
        self.pods = pods
        self.after = after

    def done(self):
        _, hash_ = self.zk.read(f"{self.root}/hash")
        if hash_ is None or hash_.version == 0 or hash_.mtime <= self.after:
            return None
        snapshot, _ = self.zk.read(f"{self.root}/snapshot")
        if not snapshot or len(json.loads(snapshot)) != self.pods:
            return None
        _, again = self.zk.read(f"{self.root}/hash")
        return again.mtime if again.version == hash_.version else None

    def last_pod(self):
        nodes = [self.zk.read(f"{self.root}/pods/{name}")[1] for name in self.zk.names(f"{self.root}/pods")]
        if len(nodes) != self.pods or None in nodes:
            raise Failed(f"{self.root}: {len(nodes)} pods are registered, not {self.pods}")
        return max(node.ctime for node in nodes)

    def wait(self, timeout=60):
        return wait_until(f"a round of {self.pods} pods in {self.root}", self.done, timeout, every=0.02)


class Sidecar:
    """A sidecar as a process outside any container."""

    def __init__(self, stand, cluster, docker_host, needs=1, before=(), **spec):
        self.port = stand.port()
        self.dir = stand.dir / f"sidecar-{self.port}"
        self.dir.mkdir()
        self.stand = stand
        self.before = list(before)  # of the command line: taskset and the like
        (self.dir / "pod.json").write_text(json.dumps(
            {"cluster": cluster, "namespace": "bench", "zk": f"zk://127.0.0.1:{ZK_PORT}", "damper": "0s",
             "needs": {"pods": needs},
             "workload": {"image": STAMP, "lifetime": "independent", "stop": {"grace": "2s"}}, **spec}))
        self.env = {"PATH": "/usr/bin:/bin", "DOCKER_HOST": docker_host, "ochopod_local": "true"}
        self.process = None
        self.spawned = 0.0

    def start(self):
        argv = self.before + [str(self.stand.build / "ochopod-sidecar"), "--spec", str(self.dir / "pod.json"),
                              "--state-dir", str(self.dir / "state"), "--port", str(self.port), "--binding", "local"]
        with open(self.dir / "log", "wb") as log:
            self.spawned = time.time() * 1000
            self.process = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def runs(self):
        if self.process.poll() is not None:
            raise Failed(f"the sidecar ended, status {self.process.returncode}:\n{tail(self.dir / 'log')}")
        return True

    def info(self):
        self.runs()
        return info("127.0.0.1", self.port)

    def stop(self):
        end(self.process)


class Sidecars:
    """Several processes that end together."""

    def __init__(self, sidecars):
        self.all = sidecars

    def __enter__(self):
        for one in self.all:
            one.start()
        return self.all

    def __exit__(self, *_):
        for one in self.all:
            if one.process and one.process.poll() is None:
                one.process.send_signal(signal.SIGTERM)
        for one in self.all:
            one.stop()


class Stand:
    """Built up as it is asked for: only what the chosen items need is started."""

    def __init__(self, build, images):
        self.build = Path(build)
        self.dir = Path(tempfile.mkdtemp(prefix="ochopod-bench.", dir="/tmp"))
        self.images = images
        self.own_bed = "OCHOPOD_TEST_BED" not in os.environ
        self.bed_dir = self.dir / "engine" if self.own_bed else Path(os.environ["OCHOPOD_TEST_BED"])
        self.bed = None
        self._zk = None
        self._fake = None
        self._numbers = itertools.count()

    def __enter__(self):
        try:
            self._start_engine()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._zk:
            self._zk.stop()
        end(self._fake)
        if self.bed and not self.own_bed:
            self.bed.clear()
        if self.own_bed:
            subprocess.run([ENGINE, "destroy", str(self.bed_dir)], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _start_engine(self):
        say("starting an engine" + (", building the sidecar's image" if self.images else ""))
        if self.images:
            command = [TOP / "tests/lib/testbed", self.bed_dir, self.build, "sidecar"]
        else:
            command = [ENGINE, "start", self.bed_dir]
        done = subprocess.run([str(w) for w in command], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"no engine: {(done.stderr or done.stdout).strip()[-500:]}")
        self.bed = Bed(self.bed_dir)
        if self.images:
            self._stamp_image()

    def _stamp_image(self):
        context = self.dir / "stamp"
        context.mkdir()
        shutil.copy(self.build / "tests/bench/bench-stamp", context / "stamp")
        (context / "Dockerfile").write_text('FROM scratch\nCOPY stamp /stamp\nENTRYPOINT ["/stamp"]\n')
        self.bed.run(DOCKER, "build", "-q", "-t", STAMP, context, env={"DOCKER_BUILDKIT": "1"})

    # ---- parts ----

    @property
    def zk(self):
        if not self._zk:
            say("starting ZooKeeper")
            self._zk = ZooKeeper(self.dir / "zookeeper")
            self._zk.start()
        return self._zk

    @property
    def fake_engine(self):
        """DOCKER_HOST of an engine that answers at once and runs nothing."""
        path = self.dir / "fake.sock"
        host = f"unix://{path}"
        if not self._fake:
            with open(self.dir / "fake.log", "wb") as log:
                self._fake = subprocess.Popen([str(self.build / "tests/tools/engined"), host],
                                              stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            wait_until("the engine that answers at once", path.exists, 10, every=0.02)
        return host

    def number(self):
        """Another one at each call: for names."""
        return next(self._numbers)

    def port(self):
        return 20000 + self.number()

    # ---- the real engine ----

    def api(self, method, path, body=None, timeout=60):
        """JSON of the answer; anything but 2xx (and 304) has failed."""
        status, text = ask(Unix(self.bed.socket, timeout), method, path, body)
        if status >= 300 and status != 304:
            raise Failed(f"engine: {method} {path}: {status} {text[:300]}")
        return json.loads(text) if text else None

    def container(self, name, cluster, mounts=(), workload=None, **spec):
        """Creates (does not start) a sidecar's container; answers its id."""
        spec = {"cluster": cluster, "namespace": "bench", "zk": f"zk://{GATEWAY}:{ZK_PORT}", "damper": "0s",
                "workload": {"image": STAMP, "restart": "always", "stop": {"grace": "2s"}, **(workload or {})}, **spec}
        return self.bed.docker(
            "create", "--name", name, "-e", f"OCHOPOD_SPEC={json.dumps(spec)}",
            "-v", f"{self.bed.socket}:/var/run/docker.sock", *(w for m in mounts for w in ("-v", m)), SIDECAR)

    def start_all(self, ids):
        together([lambda id_=id_: self.api("POST", f"/containers/{id_}/start") for id_ in ids])

    def workload_of(self, sidecar_id, role="workload"):
        """Inspect of the container that this sidecar made for that role; None while there is none."""
        ids = self.bed.ids(f"label=io.ochopod.owner={sidecar_id}", f"label=io.ochopod.role={role}")
        return self.bed.inspect(ids[0]) if ids else None

    def remove(self, names):
        """In good order: a sidecar takes its workload and its holder along."""
        if names:
            self.bed.docker("stop", "-t", "5", *names, check=False)
            self.bed.docker("rm", "-f", "-v", *names, check=False)
        left = self.bed.ids("label=io.ochopod.role") + self.bed.ids("label=bench")
        if left:
            self.bed.docker("rm", "-f", "-v", *left, check=False)


def twin(inspected, command, policy="no"):
    """The create object of a container like this one, under the same HostConfig but for the restart policy."""
    config = {key: inspected["Config"][key] for key in ("Image", "Env", "Entrypoint", "StopSignal", "StopTimeout")
              if inspected["Config"].get(key) is not None}
    host = dict(inspected["HostConfig"], RestartPolicy={"Name": policy})
    return {**config, "Cmd": list(command), "HostConfig": host, "Labels": {"bench": "twin"}}


def cpu_ns(pids):
    """Processor time of these processes, all their threads."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total


def rollup(pid):
    """smaps_rollup in KiB by key."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.M)}

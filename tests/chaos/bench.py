"""What chaos stands on: two engines of our own as two hosts, a ZooKeeper ensemble of three processes in network
namespaces of their own, and a cluster of pods on it. Everything started here ends in Bench.end()."""
import ctypes
import email.utils
import http.client
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))
from bed import BUSYBOX, DOCKER, ENGINE, SIDECAR, agree, enter, mntr, wait_until  # noqa: E402

from engine_api import Api, Refused  # noqa: E402
from signing import key, mac, reply_signature, request_text  # noqa: E402

NETWORK = "chaos"
CLUSTER = "marathon.chaos"
ROOT = f"/ochopod/clusters/{CLUSTER}"
UPSTREAM = "/ochopod/clusters/marathon.upstream"  # what the files depend on: nodes of the harness
SESSION_S = 3
JUMP_S = 6 * 3600  # a wall clock jumps by a multiple of it: no run takes as long, the rest of a stamp says when it was
WORKLOAD_PORT = 9000
JARS = ["zookeeper.jar", "zookeeper-jute.jar", "slf4j-log4j12.jar", "log4j-1.2.jar", "metrics-core.jar",
        "snappy-java.jar"]
LOG4J = """log4j.rootLogger=INFO, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} - %m%n
"""
CANARY = "canary-6c1f8e"  # what no output may hold
TOKEN, SECRETS = f"{CANARY}-token-0123456789", "/run/ochopod"
ZK_USER, ZK_PASSWORD = "chaos", f"{CANARY}-zookeeper"


def die_with_parent():
    """Nothing that was started here outlives a harness that is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def stat_of(pid):
    """(parent, state) of a process, or None."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(words[1]), words[0]


def alive(pid):
    """A zombie is dead, though a signal to it succeeds."""
    stat = stat_of(pid)
    return stat is not None and stat[1] not in "ZX"


def family(pid):
    """pid and all that descends from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := stat_of(entry)):
            children.setdefault(stat[0], []).append(int(entry))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return [p for p in found if alive(p)]


def threads_of(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def run(*args, check=True, timeout=120, **more):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, **more)
    if check and done.returncode != 0:
        raise OSError(f"{' '.join(map(str, args))}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Clock:
    """What a party's clocks are ahead of the kernel's, in seconds: a file that tests/tools/clock.c has mapped there."""

    def __init__(self, path, preload):
        self.path, self.preload = path, preload
        self.wall = self.monotonic = 0
        path.write_bytes(bytes(16))

    def set(self, wall=None, monotonic=None):
        self.wall = self.wall if wall is None else wall
        self.monotonic = self.monotonic if monotonic is None else monotonic
        with open(self.path, "r+b", buffering=0) as file:  # in place: it is mapped
            file.write(struct.pack("=qq", round(self.wall * 10**9), round(self.monotonic * 10**9)))

    def environment(self):
        return {"LD_PRELOAD": str(self.preload), "CLOCK_OFFSETS": str(self.path)}

    def binds(self):
        """In a container they have the same names."""
        return [f"{path}:{path}:ro" for path in (self.preload, self.path)]


class Host:
    """One engine and the network namespace that it lives in."""

    def __init__(self, directory, net):
        self.dir = Path(directory)
        self.net = net
        self.name = self.dir.name
        self.api = Api(str(self.dir / "docker.sock"))
        self.netns = None
        self.options = []

    def start(self, *options):
        run(ENGINE, "start", self.dir, *(["--", *options] if options else []), env={**os.environ, "ENGINE_NET": self.net},
            timeout=200)
        self.learn()

    def learn(self):
        words = run(ENGINE, "env", self.dir).split()[1:]
        self.netns = dict(w.split("=", 1) for w in words)["ENGINE_NETNS"]

    def verb(self, verb):
        run(ENGINE, verb, self.dir, timeout=200)

    def pid(self):
        return int(run(ENGINE, "pid", self.dir))

    def inside(self, *args, **more):
        return run("nsenter", f"--net={self.netns}", *args, **more)

    def open_up(self):
        """Hosts of a plain network: what one's containers send reaches the other's, and the ensemble."""
        self.inside("iptables", "-I", "DOCKER-USER", "-j", "ACCEPT")

    def network(self):
        try:
            self.api.ask("POST", "/networks/create", {"Name": NETWORK, "CheckDuplicate": True, "Options": {
                "com.docker.network.bridge.enable_ip_masquerade": "false"}})
        except Refused as error:
            if error.status != 409:
                raise

    def clear(self):
        for one in self.api.get("/containers/json", all="1"):
            self.api.remove(one["Id"])


class Server:
    """One ZooKeeper of the ensemble: a process in a namespace of its own, on a bridge of the first host."""

    def __init__(self, bench, number):
        self.number = number
        self.name = f"zk{number}"
        self.host = bench.hosts[0]
        self.address = f"198.18.128.{number}"
        self.dir = bench.dir / self.name
        self.netns = f"{Path(self.host.netns).name}-{self.name}"
        self.clock = None
        self.process = None

    def wire(self):
        """A cable to the bridge."""
        host_ns = Path(self.host.netns).name
        self.unwire()  # of a run that was killed
        run("ip", "netns", "add", self.netns)
        run("ip", "-n", self.netns, "link", "set", "lo", "up")
        run("ip", "link", "add", "eth0", "netns", self.netns, "type", "veth", "peer", "name", self.name, "netns", host_ns)
        run("ip", "-n", host_ns, "link", "set", self.name, "master", "chaos-zk", "up")
        run("ip", "-n", self.netns, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run("ip", "-n", self.netns, "link", "set", "eth0", "up")
        run("ip", "-n", self.netns, "route", "add", "default", "via", "198.18.128.254")

    def prepare(self, addresses, preload):
        (self.dir / "data").mkdir(parents=True)
        self.clock = Clock(self.dir / "clock", preload)
        (self.dir / "data/myid").write_text(str(self.number))
        (self.dir / "log4j.properties").write_text(LOG4J)
        servers = "".join(f"server.{n}={a}:2888:3888\n" for n, a in enumerate(addresses, 1))
        # Ticks of 200 ms: sessions may be short. A busy machine needs its limits in seconds nevertheless.
        (self.dir / "zoo.cfg").write_text(
            f"tickTime=200\ninitLimit=50\nsyncLimit=20\ndataDir={self.dir}/data\nclientPort=2181\n"
            "maxSessionTimeout=60000\nmaxClientCnxns=0\n4lw.commands.whitelist=*\nadmin.enableServer=false\n"
            f"autopurge.purgeInterval=0\nforceSync=no\n{servers}")

    def start(self):
        classes = ":".join([str(self.dir)] + [f"/usr/share/java/{jar}" for jar in JARS])
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.netns}", "java", "-Xmx128m", "-XX:+UseSerialGC",
                 "-XX:TieredStopAtLevel=1", "-Dzookeeper.snapCount=1000000", "-Dzookeeper.forceSync=no",
                 # A server that has waited for a majority looks for one at least this often, not every minute.
                 "-Dzookeeper.fastleader.maxNotificationInterval=2000", "-Dzookeeper.skipACL=no", "-cp", classes,
                 "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(self.dir / "zoo.cfg")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.clock.environment()},
                preexec_fn=die_with_parent)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def inside(self, *args, **more):
        return run("nsenter", f"--net=/run/netns/{self.netns}", *args, **more)

    def unwire(self):
        if os.path.exists(f"/run/netns/{self.netns}"):
            run("ip", "netns", "del", self.netns, check=False)


# Says at each start what it found. It ends well when it is told to, as many workloads do: exit status 0 on TERM.
WORKLOAD = r"""
now=$(cut -d' ' -f1 /proc/uptime)
set -- $(head -n 1 /conf/one.conf; tail -n 1 /conf/one.conf; head -n 1 /conf/two.conf; tail -n 1 /conf/two.conf)
echo "$now $2 $4 $6 $8" >>/data/history
trap 'exit 0' TERM
mkdir -p /tmp/www; echo fine >/tmp/www/index.html
httpd -f -p 9000 -h /tmp/www &
wait $!
"""

# The first line's word is computed over the pods and what they depend on, the last line repeats it; between them is
# bulk, so that a file that is written in pieces has pieces.
TEMPLATE = r"""{%
local body = ""
for _, p in ipairs(pods) do body = body .. p.seq .. "@" .. p.ip .. " " end
for _, p in ipairs(dependencies.upstream) do body = body .. "upstream@" .. p.ip .. " " end
local sum = 7
for i = 1, #body do sum = (sum * 31 + body:byte(i)) % 2147483647 end
%}
begin {{ sum }}
pods {{ body }}
{% for i = 1, 120 do %}
{{ i }} {{ string.rep(tostring(sum), 5) }}
{% end %}
end {{ sum }}
"""


class Pod:
    """One sidecar's container, its folders on the host, and what it said."""

    def __init__(self, bench, number, host):
        self.bench, self.number, self.host = bench, number, host
        self.name = f"pod{number}"
        self.dir = bench.dir / self.name
        self.conf = self.dir / "conf"
        self.clock = None  # the machine's own
        self.logs = []   # of containers that were removed
        self.present = False

    def folders(self):
        for part in ("conf", "data", "state"):
            (self.dir / part).mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "size=256k", "chaos", self.conf)

    def spec(self):
        safe = {"token_file": f"{SECRETS}/token", "zk_acl": "digest"} if self.bench.safe else {}
        return {
            **safe,
            "cluster": "chaos", "zk": self.bench.zk_url(), "session": f"{SESSION_S}s", "damper": "1s", "grace": "15s",
            "sequential": self.bench.sequential, "depends_on": ["upstream"],
            "workload": {"image": BUSYBOX, "command": ["sh", "-c", WORKLOAD.replace("{{", "{ {")], "volumes": ["/conf", "/data"],
                         "stop": {"grace": "3s"}, "limits": {"memory": "48m"},
                         "ready": {"http": f":{WORKLOAD_PORT}/", "timeout": "30s"},
                         "check": {"http": f":{WORKLOAD_PORT}/", "every": "2s", "timeout": "10s"}},
            "files": [{"target": f"/conf/{name}.conf", "content": TEMPLATE} for name in ("one", "two")]}

    def create(self):
        binds = [f"{self.dir}/conf:/conf", f"{self.dir}/data:/data", f"{self.dir}/state:/var/lib/ochopod",
                 # By its folder: an engine makes its socket anew, and a mount of the file would stay with the old one. A
                 # folder of its own: with the engine's data in it a container would hold all others' file systems, which
                 # hold all others', and each new one would double the kernel's work.
                 f"{self.host.dir}/sock:/engine:ro"]
        if self.bench.safe:
            binds.append(f"{self.bench.secrets}:{SECRETS}:ro")
        clock = self.clock.environment() if self.clock else {}
        self.host.api.create(self.name, {
            "Image": SIDECAR, "Env": [f"OCHOPOD_SPEC={json.dumps(self.spec())}", f"DB_PASSWORD={CANARY}",
                                      "DOCKER_HOST=unix:///engine/docker.sock",
                                      *(f"{name}={value}" for name, value in clock.items())],
            "Labels": {"chaos": "sidecar"}, "StopTimeout": 10,
            "HostConfig": {"Binds": binds + (self.clock.binds() if self.clock else []), "NetworkMode": NETWORK, "Memory": 96 << 20,
                           "RestartPolicy": {"Name": "always"}}})

    def start(self):
        self.host.api.do(self.name, "start")
        self.present = True

    def remove(self):
        """As if it had never been, but for its folders and what it said."""
        self.logs.append(self.host.api.log(self.name))
        self.host.api.remove(self.name)
        self.present = False

    @property
    def ids(self):
        """{its pod id}, as its state has it; nothing before it has begun. What answers at an address tells nothing: while it
        is restarted another pod may get its address."""
        try:
            return {json.loads((self.dir / "state/pod.json").read_text())["pod_id"]}
        except (OSError, ValueError, LookupError):
            return set()

    @property
    def container(self):
        return self.host.api.inspect(self.name)

    @property
    def init(self):
        pid = self.container["State"]["Pid"]
        if not pid:
            raise LookupError(f"{self.name} does not run")
        return pid

    @property
    def address(self):
        address = self.container["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
        if not address:
            raise LookupError(f"{self.name} has no address")
        return address

    def worker(self):
        """The process that owns the loop: it alone has threads."""
        rest = [p for p in family(self.init)[1:] if threads_of(p) > 1]
        if not rest:
            raise LookupError(f"{self.name} has no worker now")
        return max(rest, key=threads_of)

    def others(self):
        worker = self.worker()
        return [p for p in family(self.init)[1:] if p != worker]

    def workload(self):
        """Inspected, running; LookupError when there is none."""
        for one in self.host.api.containers("io.ochopod.role=workload", f"io.ochopod.cluster={CLUSTER}"):
            if one["State"] == "running" and one["Labels"]["io.ochopod.pod"] in self.ids:
                return self.host.api.inspect(one["Id"])
        raise LookupError(f"{self.name} has no workload that runs")

    def plain(self, method, path, body=None, headers=None, timeout=5):
        """(status, what was said, its signature) of a request as it stands."""
        connection = http.client.HTTPConnection(self.address, 8080, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers["X-Signature"]
        except http.client.HTTPException as error:
            raise OSError(repr(error)) from error
        finally:
            connection.close()

    def ask(self, method, path, body=None, headers=None, timeout=5, role=None):
        """(status, JSON or text); signed where pods have a token, and what was answered is, too."""
        headers, secret = dict(headers or {}), None
        if self.bench.safe:
            secret = key(TOKEN, role or ("read" if method == "GET" else "operator"), CLUSTER)
            if method != "GET":
                headers.setdefault("X-Ochopod-Target", self.info()["id"])
            headers.setdefault("X-Ochopod-Nonce", self.nonce())
            headers["X-Signature"] = mac(secret, request_text(method, path, body or b"", headers))
        status, text, told = self.plain(method, path, body, headers, timeout)
        try:
            said = json.loads(text)
        except ValueError:
            said = text.decode(errors="replace")
        if secret and status == 200:
            ids = {said["id"]} if path == "/info" else self.ids
            if told not in {reply_signature(secret, status, text, i, headers["X-Ochopod-Nonce"]) for i in ids}:
                self.bench.doubts.append(f"auth: what {self.name} answered to {path} is not signed by it")
        return status, said

    def nonce(self):
        """Of its own, good whatever its clock says."""
        status, text, _ = self.plain("GET", "/nonce")
        if status != 200:
            raise OSError(f"{self.name} /nonce: {status}")
        return json.loads(text)["nonce"]

    def date(self):
        """What its clock says, in seconds of the epoch."""
        with urllib.request.urlopen(f"http://{self.address}:8080/livez", timeout=5) as answer:
            return email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()

    def believes(self, stamp):
        """Whether it takes a request that was signed at that time."""
        headers = {"X-Ochopod-Time": str(int(stamp)), "X-Ochopod-Nonce": os.urandom(16).hex()}
        headers["X-Signature"] = mac(key(TOKEN, "read", CLUSTER), request_text("GET", "/info", b"", headers))
        return self.plain("GET", "/info", headers=headers)[0] == 200

    def info(self):
        status, said = self.ask("GET", "/info")
        if status != 200:
            raise OSError(f"{self.name} /info: {status} {said}")
        if said["id"] not in self.ids:
            raise OSError(f"{self.name} has another pod's address just now")
        return said

    def inside(self, *args, **more):
        return run("nsenter", f"--net=/proc/{self.init}/ns/net", *args, **more)

    def log(self):
        text = "".join(self.logs)
        try:
            return text + (self.host.api.log(self.name) if self.present else "")
        except OSError as error:
            return f"{text}(the engine does not say: {error})\n"

    def history(self):
        """[(boottime, words of the files)], as the workload wrote it."""
        try:
            lines = (self.dir / "data/history").read_text().splitlines()
        except OSError:
            return []
        return [(float(w[0]), w[1:]) for w in map(str.split, lines) if w]


class Bench:
    def __init__(self, first, second, build, pods=5, sequential=False, safe=False):
        """first: a test engine that is running, with the images on it. build: where the tests' own programs are. safe: the
        pods have a token, and the cluster's nodes are theirs alone."""
        self.hosts = [Host(first, "198.18"), Host(second, "198.19")]
        self.dir = self.hosts[1].dir.parent / (self.hosts[1].dir.name + ".chaos")
        self.build, self.preload = Path(build), self.dir / "clock.so"
        self.count = pods
        self.sequential, self.safe = sequential, safe
        self.secrets = self.dir / "secrets"
        self.doubts = []  # answers that were not signed as they must be, and what a stranger could do
        self.servers, self.pods, self.decoys, self.proxies = [], [], [], []
        self.orders = self.dir / "orders.jsonl"  # what leaders said to pods over a proxy
        self.kazoo = None
        self.changes = 0  # of what the files depend on

    # ---- coming up ----

    def begin(self):
        one, two = self.hosts
        one.start()
        run(ENGINE, "destroy", two.dir, timeout=200)  # of a run that was killed
        for mount in self.dir.glob("pod*/conf"):
            run("umount", "-l", mount, check=False)
        two.start()
        enter(one.netns)
        run("bash", "-o", "pipefail", "-c", f"{DOCKER} -H unix://{one.api.path} save {SIDECAR} {BUSYBOX} | "
                                            f"{DOCKER} -H unix://{two.api.path} load", timeout=300)
        for host in self.hosts:
            host.clear()
            host.network()
            host.open_up()
        run(TOP / "tests/lib/link", "join", one.dir, two.dir)
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir()
        shutil.copy(self.build / "tests/tools/clock.so", self.preload)
        self.secrets.mkdir(mode=0o700)
        (self.secrets / "token").write_text(TOKEN + "\n")
        (self.secrets / "token").chmod(0o400)
        self.ensemble()
        for number in range(1, self.count + 1):
            self.add(number, self.hosts[number % 2 == 0])
        self.decoy()

    def ensemble(self):
        host = self.hosts[0]
        host.inside("ip", "link", "del", "chaos-zk", check=False)  # of a run that was killed
        host.inside("ip", "link", "add", "chaos-zk", "type", "bridge")
        host.inside("ip", "addr", "add", "198.18.128.254/24", "dev", "chaos-zk")
        host.inside("ip", "link", "set", "chaos-zk", "up")
        host.inside("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        self.hosts[1].inside("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        self.servers = [Server(self, n) for n in (1, 2, 3)]
        for server in self.servers:
            server.wire()
            server.prepare([s.address for s in self.servers], self.preload)
            server.start()
        wait_until("the ensemble serves", self.agree, 90)

    def agree(self):
        return agree([(s.address, 2181) for s in self.servers])

    def zk_url(self):
        user = f"{ZK_USER}:{ZK_PASSWORD}@" if self.safe else ""
        return f"zk://{user}" + ",".join(f"{s.address}:2181" for s in self.servers)

    def add(self, number, host):
        pod = Pod(self, number, host)
        pod.folders()
        pod.clock = Clock(pod.dir / "clock", self.preload)
        pod.create()
        pod.start()
        self.pods.append(pod)
        return pod

    def decoy(self):
        """Strangers with names and labels like ours: nobody may touch them."""
        for host in self.hosts:
            for name, labels in (("ochopod-marathon.chaos-decoy-holder", {}),
                                 ("pod1-workload-2", {"io.ochopod.cluster": CLUSTER}),
                                 ("other", {"io.ochopod.role": "workload", "io.ochopod.cluster": "marathon.other",
                                            "io.ochopod.pod": "f0f0f0f0-0000-4000-8000-000000000000"})):
                made = host.api.create(name, {"Image": BUSYBOX, "Cmd": ["sleep", "1000000"], "Labels": labels,
                                              "HostConfig": {"RestartPolicy": {"Name": "no"}}})
                host.api.do(made, "start")
                self.decoys.append((host, made, name))

    # ---- looking ----

    def living(self):
        return [p for p in self.pods if p.present]

    def settled(self):
        """Everybody in one round, ready, one leader: what L1 to L4 say."""
        infos = [p.info() for p in self.living()]
        for pod, info in zip(self.living(), infos):
            assert info["ready"] and info["process"] == "running", f"{pod.name}: {info['process']} {info['status']}"
        leaders = [i for i in infos if i["state"].startswith("leader")]
        assert len(leaders) == 1, f"{len(leaders)} leaders"
        assert leaders[0]["state"] == "leader", leaders[0]["state"] + ": " + leaders[0]["status"]
        assert len({(i["hash"], i["generation"]) for i in infos}) == 1, [(i["hash"][:8], i["generation"]) for i in infos]
        return infos

    def leader(self):
        for pod in self.living():
            try:
                if pod.info()["state"].startswith("leader"):
                    return pod
            except (OSError, LookupError):
                continue
        raise LookupError("nobody leads now")

    def zk(self):
        """A client on connections that no fault cuts."""
        from kazoo.client import KazooClient

        if self.kazoo is None:
            client = KazooClient(hosts=",".join(f"{s.address}:2181" for s in self.servers), timeout=20.0,
                                 connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": 1})  # by itself: a minute
            client.start(timeout=60)
            if self.safe:
                client.add_auth("digest", f"{ZK_USER}:{ZK_PASSWORD}")  # again on each new connection
            self.kazoo = client
        return self.kazoo

    def writes(self):
        """A transaction of the recorder's goes through."""
        self.zk().ensure_path_async("/written").get(timeout=5)
        self.zk().set_async("/written", b"").get(timeout=5)
        return True

    def acl(self):
        from kazoo.security import make_digest_acl

        return [make_digest_acl(ZK_USER, ZK_PASSWORD, all=True)] if self.safe else None

    def strangers_are_refused(self):
        """Where there are a token and access lists: who has neither gets nothing."""
        if not self.safe:
            return
        from kazoo.client import KazooClient
        from kazoo.exceptions import NoAuthError

        client = KazooClient(hosts=f"{self.servers[0].address}:2181")
        client.start(timeout=60)
        try:
            client.get(f"{ROOT}/hash")
            self.doubts.append("access lists: a stranger reads /hash")
        except NoAuthError:
            pass
        finally:
            client.stop()
            client.close()
        for pod in self.pods:
            for method, path in (("GET", "/info"), ("POST", "/control/off"), ("POST", "/reset")):
                if (status := pod.plain(method, path)[0]) != 401:
                    self.doubts.append(f"auth: {pod.name} answered {status} to a stranger's {method} {path}")

    def change(self):
        """What the files depend on becomes another: a cluster of one pod, which has another address each time."""
        client, pod = self.zk(), "0c0c0c0c-0000-4000-8000-000000000000"
        self.changes += 1
        record = {"ip": f"10.77.{self.changes >> 8}.{self.changes & 255}", "seq": 0, "application": "upstream",
                  "cluster": "upstream", "namespace": "marathon", "port": "8080", "ports": {"8080": 8080}}
        client.ensure_path(f"{UPSTREAM}/pods/{pod}.0000000000", acl=self.acl())
        client.ensure_path(f"{UPSTREAM}/snapshot", acl=self.acl())
        client.set(f"{UPSTREAM}/snapshot", json.dumps({pod: record}).encode())

    def clocks_obey(self):
        """A preloaded library that did nothing would be seen by nobody else: all clocks jump, and are read from outside."""
        everybody = self.servers + self.pods
        for one in everybody:
            one.clock.set(wall=4 * JUMP_S)
        try:
            made = self.zk().create("/clock", b"", ephemeral=True, include_data=True)[1].created
            self.zk().delete("/clock")
            for name, stamp in [("ZooKeeper", made), *((p.name, p.date()) for p in self.pods)]:
                assert 3 * JUMP_S < stamp - time.time() < 5 * JUMP_S, f"the clock of {name} does not jump"
        finally:
            for one in everybody:
                one.clock.set(wall=0)

    # ---- going down ----

    def end(self):
        for one in list(self.proxies):
            one.end()
        if self.kazoo:
            self.kazoo.stop()
            self.kazoo.close()
        for server in self.servers:
            server.kill()
        one, two = self.hosts
        try:
            one.verb("stop")
            one.start()
            one.clear()
        finally:
            run(ENGINE, "destroy", two.dir, timeout=200, check=False)
            for pod in self.pods:
                run("umount", "-l", pod.conf, check=False)
            for server in self.servers:
                server.unwire()
            one.inside("ip", "link", "del", "chaos-zk", check=False)
            one.inside("iptables", "-D", "DOCKER-USER", "-j", "ACCEPT", check=False)
            one.inside("iptables", "-t", "raw", "-F", check=False)

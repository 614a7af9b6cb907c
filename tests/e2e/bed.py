"""A Docker engine of our own and what tests do with it. The test process itself enters the engine's network namespace,
so container addresses are reached directly, by sockets and by kazoo alike."""
import ctypes
import glob
import os
import re
import socket
import subprocess
import threading
import time
import warnings
from collections import defaultdict
from pathlib import Path

from engine_api import Api

TOP = Path(__file__).resolve().parents[2]
ENGINE = TOP / "tests/lib/engine"
DOCKER = "/usr/bin/docker"
ZOOKEEPER = "ochopod/zookeeper:3.8"
SIDECAR = "ochopod/sidecar:latest"
BUSYBOX = "ochopod/busybox:1"
CLONE_NEWNET = 0x40000000
ANSWER_S = 120  # an engine on a busy machine


def wait_until(what, condition, timeout=180.0, every=0.1):
    """Waits for a true answer and returns it. An exception is a `no` until the time is over, then it is the reason."""
    deadline = time.monotonic() + timeout
    while True:
        reason = None
        try:
            answer = condition()
            if answer:
                return answer
        except Exception as error:  # kazoo's and a database's are of no common kind
            answer, reason = None, error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last: {reason or answer!r})")
        time.sleep(every)


def enter(netns):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(netns, "rb") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {netns}")


def command_lines():
    """Of every process of this machine, those of all containers among them. They come and go meanwhile."""
    said = []
    for name in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(name, "rb") as file:
                said.append(file.read().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass  # it has ended
    return "\n".join(said)


class Bed:
    def __init__(self, directory, inside=True):
        """inside: this thread enters the engine's network namespace. Another engine is spoken to from outside."""
        self.dir = str(directory)
        lines = subprocess.run([ENGINE, "env", self.dir], check=True, capture_output=True, text=True).stdout
        env = dict(word.split("=", 1) for word in lines.split()[1:])
        if inside:
            enter(env["ENGINE_NETNS"])
        self.socket = env["DOCKER_HOST"].removeprefix("unix://")
        # What tests ask over and over goes to the engine itself: a client program costs more than the answer.
        self.api = Api(self.socket)
        self.stuck = set()  # volumes that the engine cannot remove
        # /usr/bin first: another docker may come before it.
        self.env = dict(os.environ, DOCKER_HOST=env["DOCKER_HOST"], DOCKER_SOCK=self.socket,
                        PATH="/usr/bin:/usr/sbin:/bin:/sbin", COMPOSE_INTERACTIVE_NO_CLI="1", LC_ALL="C.UTF-8")
        for name in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME"):
            self.env.pop(name, None)

    def run(self, *args, check=True, timeout=300, **more):
        done = subprocess.run([str(a) for a in args], env={**self.env, **more.pop("env", {})}, capture_output=True,
                              text=True, timeout=timeout, cwd=more.pop("cwd", TOP), **more)
        assert not check or done.returncode == 0, (
            f"{' '.join(map(str, args))}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def docker(self, *args, check=True, **more):
        return self.run(DOCKER, *args, check=check, **more).stdout.strip()

    def engine(self, verb, *args):
        return self.run(ENGINE, verb, self.dir, *args).stdout.strip()

    def ids(self, *filters, all_=True):
        chosen = defaultdict(list)
        for word in filters:
            key, value = word.split("=", 1)
            chosen[key].append(value)
        said = self.api.get("/containers/json", ANSWER_S, all=str(int(all_)), filters=dict(chosen))
        return [container["Id"] for container in said]

    def inspect(self, name):
        return self.api.inspect(name, ANSWER_S)

    def address(self, name):
        networks = self.inspect(name)["NetworkSettings"]["Networks"]
        addresses = [n["IPAddress"] for n in networks.values() if n["IPAddress"]]
        return addresses[0]  # IndexError: it has none, a `not yet` to wait_until

    def log(self, name):
        try:
            return self.api.log(name)
        except OSError as error:
            return str(error)

    def stand_in(self, built, name):
        """What an example names, as a registry would give it: the image built here."""
        done = self.run(DOCKER, "tag", built, name, check=False)
        short = built.removeprefix("ochopod/").split(":")[0]
        assert done.returncode == 0, (
            f"{built} is not on the test engine: tests/lib/testbed DIR BUILD {short} puts it there ({done.stderr.strip()})")

    def logs(self, lines=150):
        """What every container said, for a failure's report."""
        text = self.docker("ps", "-a", "--format", "{{.Names}}\t{{.Image}}\t{{.Status}}", check=False) + "\n"
        for name in self.docker("ps", "-a", "--format", "{{.Names}}", check=False).split():
            done = self.run(DOCKER, "logs", "--tail", lines, name, check=False)
            text += f"---- {name}\n{done.stdout}{done.stderr}"
        return text

    def volumes(self):
        """Names. Without what the engine holds on to though no container is left that could use it (see clear)."""
        return {volume["Name"] for volume in self.api.get("/volumes", ANSWER_S)["Volumes"] or []} - self.stuck

    def clear(self):
        """Nothing of a test outlives it; the images do."""
        def emptied():
            ids = self.ids()
            if ids:
                self.docker("rm", "-f", "-v", *ids, check=False)
            return not self.ids()

        wait_until("no container is left", emptied)
        self.docker("volume", "prune", "-f")
        self.docker("network", "prune", "-f")
        # A daemon that was killed, or removed a container twice at once, may count a use that is none.
        for name in self.volumes():
            warnings.warn(f"the engine does not let go of volume {name}, which no container has")
            self.stuck.add(name)

    def coordination(self, network, name="coordination", **env):
        """A ZooKeeper for sidecars to meet in; answers its address once it serves."""
        words = [w for k, v in {"ZOO_ADMINSERVER_ENABLED": "false", "ZOO_4LW_COMMANDS_WHITELIST": "*",
                                "ZOO_TICK_TIME": "500", "ZK_SERVER_HEAP": "128", "JMXDISABLE": "true",
                                "JVMFLAGS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1", **env}.items()
                 for w in ("-e", f"{k}={v}")]
        self.docker("run", "-d", "--name", name, "--network", network, "--restart", "always", *words, ZOOKEEPER)
        address = self.address(name)
        wait_until(f"{name} serves", lambda: "Mode: " in four_letters(address, "srvr"))
        return address


def four_letters(address, word, port=2181, timeout=2.0):
    with socket.create_connection((address, port), timeout=timeout) as s:
        s.sendall(word.encode())
        said = b""
        while chunk := s.recv(65536):
            said += chunk
    return said.decode(errors="replace")


def mntr(address, port=2181):
    """What `mntr` says, as a dictionary; empty when the server is not (yet) there or does not serve."""
    try:
        text = four_letters(address, "mntr", port)
    except OSError:
        return {}
    return dict(re.findall(r"^(zk_\S+)\t(.*)$", text, re.M))


def agree(addresses):
    """One leader, the rest followers, all of them synced; addresses: (host, port)."""
    says = [mntr(*a) for a in addresses]
    roles = sorted(s.get("zk_server_state", "") for s in says)
    if roles != ["follower"] * (len(addresses) - 1) + ["leader"]:
        return False
    leader = next(s for s in says if s["zk_server_state"] == "leader")
    return float(leader.get("zk_synced_followers", -1)) == len(addresses) - 1


class Readme:
    """The ```sh blocks of an example's README, in order: what a user is told to type is what a test runs."""

    def __init__(self, bed, example):
        self.bed = bed
        text = (TOP / "compose" / example / "README.md").read_text(encoding="utf-8")
        self.blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
        self.done = 0
        assert self.blocks, f"compose/{example}/README.md has no ```sh block"

    def step(self):
        """Runs the next block as it stands, at the root of the repository; answers what it printed."""
        block = self.blocks[self.done]
        self.done += 1
        return self.bed.run("bash", "-eu", "-c", block, timeout=900).stdout

    def finish(self):
        while self.done < len(self.blocks):
            self.step()


class Writer:
    """Keeps writing to an ensemble and remembers what was acknowledged. Every acknowledged write must be on every
    server afterwards; one whose answer was lost may or may not be there."""

    def __init__(self, hosts):
        from kazoo.client import KazooClient

        self.hosts = hosts  # answers (host, port) pairs of the moment
        self.path = f"/written-{time.time_ns()}"
        self.acknowledged = []
        self.errors = []
        self.client = KazooClient(hosts=self._spell(), timeout=4.0, connection_retry=dict(max_tries=-1, max_delay=0.5),
                                  command_retry=None)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._write, daemon=True)

    def _spell(self, addresses=None):
        return ",".join(f"{h}:{p}" for h, p in addresses or self.hosts())

    def __enter__(self):
        from kazoo.retry import KazooRetry

        self.client.start(timeout=60)
        KazooRetry(max_tries=30, max_delay=2)(self.client.ensure_path, self.path)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(60)
        self.client.stop()
        self.client.close()

    def _write(self):
        from kazoo.exceptions import KazooException
        from kazoo.handlers.threading import KazooTimeoutError

        number = 0
        while not self.stopping.is_set():
            number += 1
            try:
                # No retry: an answer that was lost is not an acknowledgement.
                self.client.create_async(f"{self.path}/{number:08d}", b"x").get(timeout=10)
                self.acknowledged.append(number)
            except (KazooException, KazooTimeoutError) as error:
                self.errors.append((number, repr(error)))
                self.stopping.wait(0.1)
            self.stopping.wait(0.02)

    def renew(self):
        """Pods may have come, gone or moved: the addresses of now."""
        self.client.set_hosts(self._spell())

    def goes_on(self, timeout=240):
        """Returns when a write begun after this call has been acknowledged."""
        self.renew()
        before = len(self.acknowledged)
        wait_until("the writer is served again", lambda: len(self.acknowledged) > before + 2, timeout)

    def missing(self):
        """{server: acknowledged numbers that it does not hold}, of the servers of now; stops writing."""
        from kazoo.client import KazooClient

        # Where all else was quick it may not have written enough to tell.
        wait_until(f"it has written 20 times ({self.errors[-3:]})", lambda: len(self.acknowledged) > 20)
        self.stopping.set()
        self.thread.join(60)

        def held(address):
            client = KazooClient(hosts=self._spell([address]), timeout=10.0)
            try:
                client.start(timeout=60)
                client.sync(self.path)
                return {int(name) for name in client.get_children(self.path)}
            finally:
                client.stop()
                client.close()

        lost = {}
        for address in self.hosts():  # one that is being started again, as others left, is waited for
            there = wait_until(f"{address} says what it holds", lambda at=address: held(at))
            if absent := [n for n in self.acknowledged if n not in there]:
                lost[address] = absent
        return lost

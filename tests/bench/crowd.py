"""(h) Control requests while a thousand connections from another address say nothing, or stop in the middle of a header or
of a body. Each request has a connection of its own, as a leader's first. First one pod without a token; connections that are
closed come again at once. Then three with a token, a thousand at each of their ports, while one round follows another; who is
closed comes again after a second, from a process of its own. What a round takes is what the leader logs, with the crowd and
without it in turn."""
import http.client
import json
import multiprocessing
import os
import re
import resource
import selectors
import socket
import threading
import time

from signing import key, signed
from stand import Failed, Round, Sidecar, Sidecars, cluster_path, median, say, tail, together, wait_until

CROWD = 1000
TOKEN = "a-token-for-the-crowd-0123456789"
DONE = re.compile(r" round=\d+ generation=\d+ pods=3 ms=(\d+) ")
STARTS = (b"", b"POST /control/on HTTP/1.1\r\nHost:", b"POST /control/on HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")


class Crowd(threading.Thread):
    def __init__(self, port, pause=0.0):
        super().__init__(daemon=True)
        self.pause, self.away = pause, []  # how long one that was closed stays away; until when, and which
        self.port, self.selector, self.ended = port, selectors.DefaultSelector(), threading.Event()
        self.again = 0

    def come(self, number):
        one = socket.socket()
        one.bind(("127.0.0.2", 0))
        one.settimeout(10)
        one.connect(("127.0.0.1", self.port))
        one.sendall(STARTS[number % len(STARTS)])
        self.selector.register(one, selectors.EVENT_READ, number)

    def run(self):
        while not self.ended.is_set():
            for key, _ in self.selector.select(0.1):
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
                self.away.append((time.monotonic() + self.pause, key.data))
            while self.away and self.away[0][0] <= time.monotonic():
                self.again += 1
                self.come(self.away.pop(0)[1])

    def __enter__(self):
        for number in range(CROWD):
            self.come(number)
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()


def ask(port, pod=None):
    """How long one takes, in ms. pod: the id of one with the token."""
    headers = signed(key(TOKEN, "operator", "bench.crowded"), "POST", "/control/signal/10", b"", {"X-Ochopod-Target": pod}) if pod else {}
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/control/signal/10", body=b"", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise Failed(f"crowd: {answer.status} {body[:200]!r}")
    return (time.monotonic() - began) * 1000


class Three:
    """Pods with a token, and what changes for them: the address of a pod on paper that they depend on."""

    def __init__(self, stand):
        token = stand.dir / "crowd.token"
        token.write_text(TOKEN + "\n")
        os.chmod(token, 0o400)
        self.zk, self.word = stand.zk, 0
        self.root, self.feed = cluster_path("crowded"), cluster_path("crowdfeed")
        self.zk.kazoo.ensure_path(f"{self.feed}/pods/feed.0000000001")
        self.zk.kazoo.ensure_path(f"{self.feed}/snapshot")
        self.say()
        self.pods = [Sidecar(stand, "crowded", stand.fake_engine, 3, token_file=str(token), depends_on=["crowdfeed"]) for _ in range(3)]

    def begin(self):
        Round(self.zk, "crowded", 3).wait(60)
        self.ids = {}
        for pod in self.pods:
            wait_until("the pod runs", lambda at=pod: self.look(at)["process"] == "running", 15)

    def look(self, pod):
        pod.runs()
        connection = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=5)
        connection.request("GET", "/info", headers=signed(key(TOKEN, "read", "bench.crowded"), "GET", "/info"))
        said = json.loads(connection.getresponse().read())
        connection.close()
        self.ids[pod] = said["id"]
        return said

    def say(self):
        self.word += 1
        self.zk.kazoo.set(f"{self.feed}/snapshot", json.dumps(
            {"feed": {"ip": f"10.1.{self.word >> 8}.{self.word & 255}", "seq": 1, "ports": {}}}).encode())

    def logged(self):
        return [int(ms) for pod in self.pods for ms in DONE.findall((pod.dir / "log").read_text(errors="replace"))]

    def rounds(self, times):
        """(what so many rounds took, what requests took meanwhile), in ms."""
        before, asked, over = len(self.logged()), [], threading.Event()

        def keep_asking():
            while not over.is_set():
                asked.extend(ask(pod.port, self.ids[pod]) for pod in self.pods)

        def go():
            try:
                for _ in range(times):
                    seen = self.zk.read(f"{self.root}/hash")[1].version
                    self.say()
                    wait_until("a round", lambda at=seen: self.zk.read(f"{self.root}/hash")[1].version > at, 60, every=0.005)
            except AssertionError as error:
                raise Failed(f"crowd: {error}\n" + "\n".join(tail(pod.dir / "log") for pod in self.pods)) from None
            finally:
                over.set()

        together([go, keep_asking])
        took = wait_until("all rounds are logged", lambda: (now := self.logged()[before:]) and len(now) >= times and now, 10)
        return took, asked


class Aside:
    """A crowd at each of these ports, in a process of its own: what it costs to be one slows nobody down who asks."""

    def __init__(self, ports):
        fork = multiprocessing.get_context("fork")
        self.there, self.over, self.again = fork.Event(), fork.Event(), fork.Value("l", 0)
        self.process = fork.Process(target=self.be, args=(ports,), daemon=True)

    def be(self, ports):
        crowds = [Crowd(port, pause=1.0) for port in ports]
        for crowd in crowds:
            crowd.__enter__()
        self.there.set()
        self.over.wait()
        self.again.value = sum(crowd.again for crowd in crowds)

    def __enter__(self):
        self.process.start()
        wait_until("the crowd is there", self.there.is_set, 60)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.process.join(10)


def at(values, share):
    return sorted(values)[int(len(values) * share)]


def with_rounds(stand, quick):
    turns, times = 3, 20 if quick else 100
    three = Three(stand)
    quiet, loud, alone, among, again = [], [], [], [], 0
    with Sidecars(three.pods):
        three.begin()
        for _ in range(turns):
            say(f"crowd: {times} rounds without")
            took, asked = three.rounds(times)
            quiet += took
            alone += asked
            say(f"crowd: {times} rounds among {CROWD} at each of three")
            with Aside([pod.port for pod in three.pods]) as crowd:
                took, asked = three.rounds(times)
            again += crowd.again.value
            loud += took
            among += asked
    return ({"crowd_round_p99_ms": at(among, 0.99), "crowd_round_ratio": median(loud) / median(quiet)},
            [("meanwhile: requests, p50 and p99 without the crowd, p50 with it",
              f"{median(alone):.1f}, {at(alone, 0.99):.1f}, {median(among):.1f} ms ({len(alone)} and {len(among)})"),
             ("a round of 3 without: median, p99, longest", f"{median(quiet):.0f}, {at(quiet, 0.99)}, {max(quiet)} ms ({len(quiet)})"),
             ("a round of 3 among them: median, p99, longest", f"{median(loud):.0f}, {at(loud, 0.99)}, {max(loud)} ms ({len(loud)})"),
             ("of the three thousand, closed and back", f"{again}")])


def of_one(stand, quick):
    times = 200 if quick else 2000
    with Sidecars([Sidecar(stand, "crowd", stand.fake_engine)]) as (sidecar,):
        Round(stand.zk, "crowd", 1).wait(30)
        wait_until("the pod runs", lambda: sidecar.info()["process"] == "running", 15)
        say("crowd: alone")
        alone = [ask(sidecar.port) for _ in range(times)]
        say(f"crowd: among {CROWD}")
        with Crowd(sidecar.port) as crowd:
            among = [ask(sidecar.port) for _ in range(times)]
    return {"crowd_control_p99_ms": at(among, 0.99)}, [
        ("p50 and p99 alone", f"{median(alone):.1f}, {at(alone, 0.99):.1f} ms"),
        ("p50 and longest among them", f"{median(among):.1f}, {max(among):.1f} ms"),
        ("of the thousand, closed and back", f"{crowd.again}")]


def measure(stand, quick):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        one, rows = of_one(stand, quick)
        three, more = with_rounds(stand, quick)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return {**one, **three}, rows + more

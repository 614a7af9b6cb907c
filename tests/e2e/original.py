#!/usr/bin/python3
"""A scripted Ochopod pod, for tests alone: what an original pod (1.0.7) puts on the wire, byte for byte, and none of
what it does inside. It runs no workload. In both roles: led, it answers /control on its one-second tick; leading, it
polls /pods every second and posts check, maybe off, on and ok to all. Written from captures of the original.

  original.py --zk HOST:PORT --cluster NAME --ip ADDRESS --port N --record FILE
              [--depends ENTRY]... [--full-shutdown] [--sequential]

ENTRY: as in depends_on: a cluster of the same namespace, /namespace.cluster, either with a *.

--record: one JSON line for each request it was sent ("in") and each it sent ("out"), head and body as they were on the
wire. SIGTERM ends its session; SIGKILL leaves the server to find out. Exit status 0 after SIGTERM."""
import argparse
import collections
import fnmatch
import hashlib
import json
import re
import signal
import socket
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NodeExistsError, NoNodeError

TICK = 1.0
SESSION = 5.0
GRACE = 60
ROOT = "/ochopod/clusters"
NAMESPACE = "marathon"
TASKS = ("check", "on", "off", "ok", "kill", "signal")
LOCK = re.compile(r"__lock__(-?\d{10})$")
INFO = ("application", "port", "task", "ip", "node", "ports", "public", "metrics", "dependencies", "process", "state",
        "status")
REASONS = {200: "OK", 400: "BAD REQUEST", 404: "NOT FOUND", 405: "METHOD NOT ALLOWED", 406: "NOT ACCEPTABLE",
           408: "REQUEST TIMEOUT", 410: "GONE", 500: "INTERNAL SERVER ERROR"}


class Reset(Exception):
    """What ends the connection to ZooKeeper; another one follows."""


class Tape:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")  # pylint: disable=consider-using-with
        self.lock = threading.Lock()

    def note(self, **what):
        with self.lock:
            self.file.write(json.dumps(what) + "\n")
            self.file.flush()


# ---- the life-cycle: requests are taken first come, first served, on the tick ----

class Lifecycle(threading.Thread):
    def __init__(self, hints):
        super().__init__(daemon=True)
        self.hints = hints
        self.queue = collections.deque()
        self.applied = None
        self.dead = False
        hints["process"] = "stopped"

    def ask(self, task, data, seconds):
        if self.dead:
            return {}, 410
        latch = {"event": threading.Event()}
        try:
            js = json.loads(data)
        except ValueError:
            js = {}
        self.queue.append((task, js, latch))
        if not latch["event"].wait(seconds):
            return {}, 408  # it stays queued, and is done later
        return latch["reply"]

    def run(self):
        while True:
            while self.queue:
                task, js, latch = self.queue.popleft()
                latch["reply"] = getattr(self, task)(js)
                latch["event"].set()
            time.sleep(TICK)

    def check(self, js):
        return ({}, 200) if "pods" in js and "key" in js else ({}, 406)

    def on(self, js):
        if self.hints["process"] == "running" and not (js and js.get("dependencies") != self.applied["dependencies"]):
            return {}, 200
        js = js or self.applied
        if not js or "pods" not in js or "key" not in js:
            self.kill(js)
            return {}, 406
        self.applied = js
        self.hints["process"] = "running"
        return {}, 200

    def off(self, _js):
        self.hints["process"] = "stopped"
        return {}, 200

    def ok(self, js):
        return ({}, 200) if js else ({}, 500)

    def signal(self, _js):
        return {}, 200

    def kill(self, _js):
        self.dead = True
        self.hints["process"] = "dead"
        return {}, 200


# ---- its web server: werkzeug's answers ----

def handler(pod):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "Werkzeug/2.2.2"
        sys_version = "Python/3.11.2"

        def log_message(self, format, *args):  # pylint: disable=redefined-builtin
            pass

        def answer(self, code, js):
            body = json.dumps(js).encode()
            self.send_response(code, REASONS[code])
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def do_GET(self):
            self.answer(405, {})

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            pod.tape.note(way="in", line=self.requestline, headers=dict(self.headers.items()), body=body)
            code, js = self.route(body)
            self.answer(code, js)

        def route(self, body):
            words = self.path.split("/")[1:]
            if words == ["info"]:
                return 200, {key: pod.hints[key] for key in INFO if key in pod.hints}
            if words == ["log"]:
                return 200, ["a line\n"]
            if words == ["reset"]:
                pod.force_reset = True
                return 200, {}
            if words[0] != "control" or len(words) not in (2, 3):
                return 404, {}
            if words[1] not in TASKS:
                return 400, {}
            if len(words) == 3 and not words[2].isdigit():
                return 500, {}
            js, code = pod.lifecycle.ask(words[1], body, int(words[2]) if len(words) == 3 else 60)
            return code, js

    return Handler


# ---- its client: requests' bytes ----

def post(tape, host, port, path, body):
    """Status; None when there was no answer."""
    data = body.encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: python-requests/2.28.1\r\n"
            "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
            f"Content-Length: {len(data)}\r\n\r\n")
    try:
        with socket.create_connection((host, port), timeout=GRACE * 1.25) as s:
            s.sendall(head.encode() + data)
            with s.makefile("rb") as file:
                line = file.readline()
                said = line
                length = 0
                while (header := file.readline()) not in (b"\r\n", b"\n", b""):
                    said += header
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                answer = file.read(length)
        code = int(line.split()[1])
    except (OSError, ValueError, IndexError) as error:
        tape.note(way="out", to=f"{host}:{port}", path=path, body=body, code=None, why=repr(error))
        return None
    tape.note(way="out", to=f"{host}:{port}", path=path, body=body, code=code, head=said.decode(),
              answer=answer.decode(errors="replace"))
    return code


# ---- its leader ----

class Dependency:
    """What one entry of depends_on holds. Read again once a watch has gone off, and each second while it is not there."""

    def __init__(self, pod, zk, entry):
        self.zk = zk
        self.own = pod.prefix.rsplit("/", 1)[1]
        self.where = entry[1:] if entry.startswith("/") else f"{NAMESPACE}.{entry}"
        self.moved = threading.Event()
        self.moved.set()
        self.pods = {}

    def turn(self, _event):
        self.moved.set()

    def look(self):
        if not self.moved.is_set():
            return self.pods
        self.moved.clear()
        self.pods = {}
        wild = "*" in self.where
        names = self.zk.get_children(ROOT, watch=self.turn) if wild else [self.where]
        for name in names:
            if name == self.own or not fnmatch.fnmatch(name, self.where):
                continue
            try:
                value, _ = self.zk.get(f"{ROOT}/{name}/snapshot", watch=self.turn)
                self.pods.update(json.loads(value))
            except NoNodeError:
                if not wild:
                    self.moved.set()
            except ValueError:
                pass
        return self.pods


class Model:
    def __init__(self, pod, zk):
        self.pod = pod
        self.zk = zk
        self.depends = {entry: Dependency(pod, zk, entry) for entry in pod.depends}
        self.seen = None
        self.snapshots = {}
        self.dirty = False
        try:
            zk.create(f"{pod.prefix}/snapshot", b"{}", ephemeral=True)
        except NodeExistsError:
            pass

    def look(self):
        """True when something is another than at the last look. An empty node fails it, as in the original."""
        local = {}
        for name in self.zk.get_children(f"{self.pod.prefix}/pods"):
            try:
                value, _ = self.zk.get(f"{self.pod.prefix}/pods/{name}")
                local[name.split(".")[0]] = json.loads(value)
            except (NoNodeError, ValueError) as error:
                raise Reset(f"watcher failure: {error!r}") from error
        now = {"local": local, **{entry: it.look() for entry, it in self.depends.items()}}
        if now == self.seen:
            return False
        self.seen = now
        self.snapshots = dict(now, local=dict(local))  # a round takes the dead out of it
        return True

    def md5(self):
        raw = hashlib.md5(json.dumps(self.snapshots).encode()).digest()
        return ":".join(f"{b:02x}" for b in raw)

    def spin(self):
        if self.look():
            last, _ = self.zk.get(f"{self.pod.prefix}/hash")
            if self.md5() != last.decode():
                self.dirty = True
            else:
                self.dirty = False
                self.zk.set(f"{self.pod.prefix}/snapshot", json.dumps(self.snapshots["local"]).encode())
        if self.dirty:
            self.pod.hints["state"] = "leader (configuration pending)"
            self.config()
        else:
            self.pod.hints["state"] = "leader"

    def tell(self, task, pods, dependencies):
        """{key: code}; all at once, as the original's threads are, or one after the other in the order of keys."""
        local = str(self.pod.port)
        codes = {}

        def one(key, js):
            body = json.dumps({"pods": pods, "dependencies": dependencies, "key": key})
            codes[key] = post(self.pod.tape, js["ip"], js["ports"][local], f"/control/{task}/{GRACE}", body)

        threads = [threading.Thread(target=one, args=item) for item in sorted(pods.items())]
        for thread in threads:
            thread.start()
            if self.pod.sequential:
                thread.join()
        for thread in threads:
            thread.join()
        return codes

    def config(self):
        pods = self.snapshots["local"]
        dependencies = {k: v for k, v in self.snapshots.items() if k != "local"}
        self.pod.hints["state"] = "leader (configuring)"
        self.pod.hints["status"] = f"* configuring {len(pods)} pods"
        if any(str(self.pod.port) not in js["ports"] for js in pods.values()):
            return
        codes = self.tell("check", pods, dependencies)
        for key in [key for key, code in codes.items() if code == 410]:
            del pods[key]
        if any(code not in (200, 410) for code in codes.values()):
            return
        if pods:
            if self.pod.full_shutdown:
                self.tell("off", pods, dependencies)  # whatever they answer
            if any(code != 200 for code in self.tell("on", pods, dependencies).values()):
                return
            self.tell("ok", pods, dependencies)
        latest = self.md5()
        self.zk.set(f"{self.pod.prefix}/snapshot", json.dumps(pods).encode())
        self.zk.set(f"{self.pod.prefix}/hash", latest.encode())
        self.dirty = False
        self.pod.hints["status"] = ""


# ---- its way into the cluster ----

class Original:
    def __init__(self, args):
        self.zk_hosts = args.zk
        self.port = 8080  # the label; what it maps to is where we listen
        self.prefix = f"{ROOT}/{NAMESPACE}.{args.cluster}"
        self.depends = args.depends
        self.full_shutdown = args.full_shutdown
        self.sequential = args.sequential
        self.tape = Tape(args.record)
        self.id = str(uuid.uuid4())
        self.seq = None
        self.force_reset = False
        self.crumbs = {
            "application": "", "cluster": args.cluster, "debug": "true", "local": "false", "namespace": NAMESPACE,
            "port": "8080", "start": "true", "task": "", "zk": args.zk, "fwk": "marathon (debug)", "ip": args.ip,
            "node": "local", "ports": {"8080": args.port}, "public": args.ip}
        self.hints = dict(self.crumbs, metrics={}, dependencies=self.depends, state="follower")
        self.lifecycle = Lifecycle(self.hints)
        self.server = ThreadingHTTPServer(("0.0.0.0", args.port), handler(self))
        self.lock_prefix = uuid.uuid4().hex
        self.lost = threading.Event()
        self.ending = threading.Event()

    def run(self):
        self.lifecycle.start()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        while not self.ending.is_set():
            zk = KazooClient(hosts=self.zk_hosts, timeout=SESSION, read_only=0, randomize_hosts=1)
            self.lost.clear()
            self.force_reset = False
            zk.add_listener(lambda state: self.lost.set() if state != KazooState.CONNECTED else None)
            try:
                zk.start(timeout=30)
                self.live(zk)
            except (Reset, KazooException, OSError) as error:
                print(f"reset: {error!r}", flush=True)
            finally:
                self.hints["state"] = "follower"
                zk.stop()
                zk.close()

    def heed(self):
        if self.force_reset or self.lost.is_set() or self.ending.is_set():
            raise Reset("asked to")

    def live(self, zk):
        zk.ensure_path(f"{self.prefix}/pods")
        zk.ensure_path(f"{self.prefix}/hash")
        path = zk.create(f"{self.prefix}/pods/{self.id}.", b"", ephemeral=True, sequence=True)
        if self.seq is None:
            self.seq = int(path.split(".")[-1])
            self.crumbs["seq"] = self.seq
        zk.set(path, json.dumps(self.crumbs).encode())
        print(f"registered {self.id} #{self.seq}", flush=True)
        zk.ensure_path(f"{self.prefix}/coordinator")
        while not self.acquire(zk):
            self.heed()
        print("leading", flush=True)
        model = Model(self, zk)
        while True:
            self.heed()
            model.spin()
            self.ending.wait(TICK)

    def acquire(self, zk):
        """For five seconds; then the node goes, and comes again under the next number."""
        folder = f"{self.prefix}/coordinator"
        path = zk.create(f"{folder}/{self.lock_prefix}__lock__", b"", ephemeral=True, sequence=True)
        own = path.rsplit("/", 1)[1]
        until = time.monotonic() + 5
        while time.monotonic() < until:
            names = [name for name in zk.get_children(folder) if LOCK.search(name)]
            names.sort(key=lambda name: LOCK.search(name)[1])
            at = names.index(own)
            if at == 0:
                return True
            moved = threading.Event()
            try:
                zk.get(f"{folder}/{names[at - 1]}", watch=lambda _event, moved=moved: moved.set())
            except NoNodeError:
                continue
            while time.monotonic() < until and not moved.wait(0.2):
                self.heed()
        zk.delete(path)
        return False

    def end(self, *_):
        self.ending.set()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--zk", "--cluster", "--ip", "--record"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--depends", action="append", default=[])
    parser.add_argument("--full-shutdown", action="store_true")
    parser.add_argument("--sequential", action="store_true")
    pod = Original(parser.parse_args())
    signal.signal(signal.SIGTERM, pod.end)
    pod.run()
    sys.exit(0)


if __name__ == "__main__":
    main()

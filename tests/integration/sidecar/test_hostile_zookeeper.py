"""A server in ZooKeeper's place that sends what none would. At worst the worker ends, and init starts another one: nothing
else ends, no memory is taken beyond the worker's limit, the workload is not touched; and when the server has come to its
senses the pod is the same and in order again."""
import http.client
import json
import os
import re
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hostile_rows import KINDS, ROOT, mutations
from hostile_zookeeper import Server
from kazoo.client import KazooClient
from test_start import BUILD, SIDECAR, free_port
from test_tree import JARS, until

LIMIT_MIB = 256  # of the worker's data: docs/OPERATIONS.md
SANITIZED = b"__asan_init" in Path(SIDECAR).read_bytes()  # of whose memory nothing is limited
SEEDS = int(os.environ.get("HOSTILE_SEEDS", "12"))
HELD_S = 1.5  # how long a server is bad once it has been so for the first time
SLOW_S = 12  # of what takes its time to be sent
PROVOKE_S = 60
SIDE_BY_SIDE = 6
FINAL = {0, 2, 77, 78}  # with these init ends too


def status_of(pid):
    try:
        return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    except OSError:
        return {}


def children_of(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Place:
    """A sidecar of its own, its engine, and the server that it meets."""

    def __init__(self, path):
        self.path, self.port, self.server = path, free_port(), Server()
        engine = f"unix://{path}/engine.sock"
        with open(path / "engine.log", "wb") as log:
            self.engine = subprocess.Popen([f"{BUILD}/tests/tools/engined", engine], stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log)
        until("the engine", (path / "engine.sock").exists)
        (path / "pod.json").write_text(json.dumps(
            {"cluster": "hostile", "zk": f"zk://127.0.0.1:{self.server.port}", "damper": "0s", "grace": "5s", "session": "3s",
             "listen": "127.0.0.1", "workload": {"image": "bench/stamp:1", "lifetime": "independent"}}))
        with open(path / "sidecar.log", "wb") as log:
            self.process = subprocess.Popen(
                [SIDECAR, "--spec", str(path / "pod.json"), "--state-dir", str(path / "state"), "--port", str(self.port),
                 "--binding", "local"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": engine, "ochopod_local": "true",
                     **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}})
        self.most = 0  # KiB of data that a worker had
        self.over = False
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def watch(self):
        while not self.over:
            for worker in children_of(self.process.pid):
                self.most = max(self.most, int(status_of(worker).get("VmData", "0 kB").split()[0]))
            time.sleep(0.005)

    def log(self):
        return (self.path / "sidecar.log").read_text(errors="replace")

    def ask(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=b"" if method == "POST" else None)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def in_order(self):
        """What is the same all the time, once the pod leads and its round is through."""
        info = json.loads(self.ask("/info"))
        if not (info["attached"] and info["state"] == "leader" and info["process"] == "running"):
            return None
        if info["generation"] < 1 or not info["workload"]["started"] or info["status"].startswith("* configuring"):
            return None
        return {"id": info["id"], "seq": info["seq"], "container": info["workload"]["container"],
                "started": info["workload"]["started"]}

    def reset(self):
        """All is asked anew. A worker that has just ended does not hear it, and the next one asks anyway."""
        try:
            self.ask("/reset", "POST")
        except (OSError, http.client.HTTPException):
            pass

    def ends(self):
        return [int(status) for status in re.findall(r"init worker=ended status=(\d+)", self.log())]

    def is_bad(self, ops, bad, held=HELD_S):
        """Until it has been so often enough; answers how often."""
        played = []

        def pass_on(connection, said):
            if said.op not in ops:
                return [said.good]
            played.append(said.op)
            return bad(connection, said)

        self.server.bad = pass_on
        self.server.cut()
        self.reset()
        end = time.monotonic() + PROVOKE_S
        while not played and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(held)
        self.server.comes_to_its_senses()
        return len(played)

    def close(self):
        self.over = True
        self.watcher.join()
        self.process.terminate()
        try:
            self.process.wait(120)
        finally:
            self.process.kill()
            self.engine.terminate()
            self.engine.wait(30)
            if self.server:
                self.server.close()


def survives(place, ops, bad, held=HELD_S):
    """Answers with what the worker ended, each time it did."""
    before = until("a first round", place.in_order)
    init = place.process
    assert place.is_bad(ops, bad, held), "the server was never asked what it wanted to be bad about"
    after = until("all is in order again", lambda: init.poll() is not None or place.in_order())
    assert init.poll() is None and after == before, f"status {init.poll()}, {before} became {after}"
    ends = place.ends()
    assert not FINAL & set(ends), ends
    assert "process has ended" not in place.log()  # of another than the worker
    assert SANITIZED or place.most <= LIMIT_MIB * 1024, f"{place.most} KiB"
    return ends


def side_by_side(path, rows):
    """Each row against a sidecar of its own; all are played before any fails the test."""
    def one(numbered):
        number, (name, ops, bad, held) = numbered
        folder = path / str(number)
        folder.mkdir()
        place = Place(folder)
        try:
            return f"{name}: worker ended with {survives(place, ops, bad, held)}, at most {place.most // 1024} MiB", None
        except Exception as error:  # told below, with the others
            return f"{name}: {error!r}", place.log()[-3000:]
        finally:
            place.close()

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        said = list(pool.map(one, enumerate(rows)))
    print("\n".join(line for line, _ in said))
    failed = [f"{line}\n{log}" for line, log in said if log]
    assert not failed, "\n\n".join(failed)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_worker_ends(tmp_path, kind):
    ops, rows = KINDS[kind]
    side_by_side(tmp_path, [(name, ops, bad, SLOW_S if "MiB" in name else HELD_S) for name, bad in rows.items()])


def test_nothing_but_the_worker_ends_whatever_is_drawn(tmp_path):
    side_by_side(tmp_path, [(f"seed {seed}", range(-100, 200), mutations(seed), 2 * HELD_S) for seed in range(SEEDS)])


def test_a_real_server_in_its_place_finds_the_same_pod(tmp_path):
    place = Place(tmp_path)
    real = None
    try:
        before = until("a first round", place.in_order)
        ops, rows = KINDS["transactions"]
        place.is_bad(ops, rows["a transaction without an end"])  # an assertion of the library
        port = place.server.port
        assert not FINAL & set(until("the worker has ended", place.ends))
        place.server.close()
        place.server = None
        (tmp_path / "zoo.cfg").write_text(f"tickTime=500\ndataDir={tmp_path}/data\nclientPort={port}\n"
                                          "admin.enableServer=false\n")
        classes = ":".join([str(tmp_path)] + [f"/usr/share/java/{jar}" for jar in JARS])
        with open(tmp_path / "zookeeper.log", "wb") as log:
            real = subprocess.Popen(["java", "-Xmx256m", "-cp", classes,
                                     "org.apache.zookeeper.server.ZooKeeperServerMain", str(tmp_path / "zoo.cfg")],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        zk = KazooClient(hosts=f"127.0.0.1:{port}", timeout=20.0)
        zk.start(timeout=60)
        until("it registers there", lambda: zk.exists(f"{ROOT}/pods") and zk.get_children(f"{ROOT}/pods"))
        until("a round is through there", lambda: zk.exists(f"{ROOT}/hash") and zk.get(f"{ROOT}/hash")[0])
        assert zk.get_children(f"{ROOT}/pods")[0].startswith(before["id"])
        zk.stop()
        zk.close()
        assert until("all is in order", place.in_order) == before and place.process.poll() is None
    finally:
        place.close()
        print(place.log()[-6000:])  # seen where the test has failed
        if real:
            real.terminate()
            real.wait(30)

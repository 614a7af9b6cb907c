"""One sidecar on a real ZooKeeper and an engine that answers at once; other hands write into its cluster's tree: more pods
than a snapshot holds, and junk."""
import json
import random
import subprocess
import time
import urllib.request

import pytest
from kazoo.client import KazooClient
from test_start import BUILD, SIDECAR, free_port

DEADLINE = 120
JARS = ["zookeeper.jar", "slf4j-log4j12.jar", "log4j-1.2.jar"]
ROOT = "/ochopod/clusters/marathon.tree"


def until(what, condition):
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            if answer := condition():
                return answer
        except Exception as error:  # kazoo's are of no common kind
            answer = error
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what} (last: {answer!r})"
        time.sleep(0.1)


class Tree:
    def __init__(self, path):
        self.path, self.zk_port, self.port = path, free_port(), free_port()
        self.processes = []

    def spawn(self, name, argv, env=None):
        with open(self.path / name, "wb") as log:
            self.processes.append(subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return self.processes[-1]

    def open(self):
        (self.path / "zoo.cfg").write_text(f"tickTime=500\ndataDir={self.path}/data\nclientPort={self.zk_port}\n"
                                           "admin.enableServer=false\nmaxSessionTimeout=60000\n")
        classes = ":".join([str(self.path)] + [f"/usr/share/java/{jar}" for jar in JARS])
        self.spawn("zookeeper.log", ["java", "-Xmx256m", "-cp", classes,
                                     "org.apache.zookeeper.server.ZooKeeperServerMain", str(self.path / "zoo.cfg")])
        self.zk = KazooClient(hosts=f"127.0.0.1:{self.zk_port}", timeout=20.0)
        self.zk.start(timeout=DEADLINE)
        engine = f"unix://{self.path}/engine.sock"
        self.spawn("engine.log", [f"{BUILD}/tests/tools/engined", engine])
        until("the engine", (self.path / "engine.sock").exists)
        (self.path / "pod.json").write_text(json.dumps(
            {"cluster": "tree", "zk": f"zk://127.0.0.1:{self.zk_port}", "damper": "0s", "grace": "5s", "session": "60s",
             "workload": {"image": "bench/stamp:1", "lifetime": "independent"}}))
        self.spawn("sidecar.log", [SIDECAR, "--spec", str(self.path / "pod.json"), "--state-dir",
                                   str(self.path / "state"), "--port", str(self.port), "--binding", "local"],
                   {"PATH": "/usr/bin:/bin", "DOCKER_HOST": engine, "ochopod_local": "true"})
        until("a first round", lambda: self.info["generation"] == 1 and self.info["state"] == "leader")
        return self

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        print((self.path / "sidecar.log").read_text(errors="replace")[-4000:])  # seen where a test has failed
        self.zk.stop()
        self.zk.close()

    @property
    def info(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/info", timeout=30) as answer:
            return json.load(answer)

    def runs(self):
        return self.processes[-1].poll() is None

    def log(self):
        return (self.path / "sidecar.log").read_text(errors="replace")

    def put(self, names, data):
        """Ephemeral pods in one flight; answers their paths."""
        pending = [self.zk.create_async(f"{ROOT}/pods/{name}.", data(n), ephemeral=True, sequence=True)
                   for n, name in enumerate(names)]
        return [p.get(timeout=DEADLINE) for p in pending]

    def remove(self, paths):
        for p in [self.zk.delete_async(path) for path in paths]:
            p.get(timeout=DEADLINE)


@pytest.fixture
def tree(tmp_path):
    it = Tree(tmp_path)
    try:
        yield it.open()
    finally:
        it.close()


def test_a_pod_in_local_mode_says_so(tree):
    own, = tree.zk.get_children(f"{ROOT}/pods")
    record = json.loads(tree.zk.get(f"{ROOT}/pods/{own}")[0])
    assert (record["local"], record["ip"]) == ("true", "127.0.0.1"), record


def test_more_pods_than_a_snapshot_holds_are_named_and_nothing_is_touched(tree):
    before, stat = tree.zk.get(f"{ROOT}/snapshot")
    own, = tree.zk.get_children(f"{ROOT}/pods")
    born = tree.zk.exists(f"{ROOT}/pods/{own}").czxid
    record = {"ip": "127.0.0.1", "port": "8080", "ports": {"8080": free_port()}, "task": "x" * 500}
    paths = tree.put([f"{n:036d}" for n in range(1700)], lambda n: json.dumps(record).encode())
    status = until("the status names the limit",
                   lambda: "limit is 838860" in tree.info["status"] and tree.info["status"])
    assert "1701 pods" in status and "nothing was done" in status, status
    after, now = tree.zk.get(f"{ROOT}/snapshot")
    assert after == before and now.mzxid == stat.mzxid
    assert tree.info["generation"] == 1 and tree.info["state"] == "leader (configuration pending)"
    # ZooKeeper was never sent what it would hang up on: the session and its node are the same.
    assert tree.zk.exists(f"{ROOT}/pods/{own}").czxid == born
    tree.remove(paths)
    until("all is as before", lambda: tree.info["state"] == "leader" and "limit" not in tree.info["status"])
    assert tree.zk.get(f"{ROOT}/snapshot")[0] == before


def junk(dice):
    good = {"ip": "10.0.0.9", "port": "8080", "ports": {"8080": 80}}
    spoilt = {**good, dice.choice(["ip", "ports", "port", "seq"]): dice.choice(
        [None, True, [], -1, 1e308, "169.254.169.254", "0.0.0.0", {"8080": -1}, {"8080": "x"}, {"x": 99999999}])}
    spoilt["ip"] = spoilt["ip"] if spoilt["ip"] != "10.0.0.9" else "224.0.0.1"  # never one that could be asked
    return dice.choice([b"", b"{", b"\xff\xfe", b"[" * 100000, b"x" * 1000000, b'{"a":1,"a":2}', b"null", b"{}",
                        json.dumps(spoilt).encode()])


def test_junk_in_the_tree_is_skipped_and_survived(tree):
    dice = random.Random(3)
    own = tree.info["id"]
    names = [dice.choice(["junk", own, "..", "x y", "%n", "__lock__", "\u00fc"]) + str(n) for n in range(300)]
    tree.put(names, lambda n: junk(dice))
    until("the status says so", lambda: "skipped" in tree.info["status"] and " more" in tree.info["status"])
    assert tree.info["state"] == "leader"
    for round_ in range(3):
        for node in "leader", "hash", "members", "proposal", "snapshot", "tree":
            tree.zk.set(f"{ROOT}/{node}", junk(dice) if round_ else b'{"epoch":9007199254740991}')
        request = urllib.request.Request(f"http://127.0.0.1:{tree.port}/reset", method="POST", data=b"")
        urllib.request.urlopen(request, timeout=30).close()
        until("it leads again and what is written down is whole",
              lambda: tree.info["state"] == "leader" and list(json.loads(tree.zk.get(f"{ROOT}/snapshot")[0])) == [own])
    assert tree.runs() and tree.log().count("skipped reason=") < 100

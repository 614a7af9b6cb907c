"""Access lists on a real ZooKeeper: with credentials all nodes of a cluster are that user's alone; what is open or
another's is refused at start with one line and status 77; what becomes so later is an alarm."""
import json
import subprocess
import time
import urllib.request

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError, NoNodeError
from kazoo.security import make_acl, make_digest_acl, make_digest_acl_credential
from test_start import BUILD, SIDECAR, free_port
from test_tree import DEADLINE, JARS, until

ROOT = "/ochopod/clusters/marathon.acl"
NODES = {"", "/pods", "/coordinator", "/tree", "/leader", "/hash", "/snapshot", "/members", "/proposal"}
OURS = "pods:a secret"


class Server:
    def __init__(self, path):
        self.path, self.port = path, free_port()
        (path / "zoo.cfg").write_text(f"tickTime=500\ndataDir={path}/data\nclientPort={self.port}\n"
                                      "admin.enableServer=false\nmaxSessionTimeout=60000\n")
        classes = ":".join([str(path)] + [f"/usr/share/java/{jar}" for jar in JARS])
        with open(path / "zookeeper.log", "wb") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx256m", "-cp", classes, "org.apache.zookeeper.server.ZooKeeperServerMain",
                 str(path / "zoo.cfg")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.clients = []
        self.client().stop()

    def client(self, *credentials):
        zk = KazooClient(hosts=f"127.0.0.1:{self.port}", timeout=20.0,
                         auth_data=[("digest", c) for c in credentials])
        self.clients.append(zk)
        zk.start(timeout=DEADLINE)
        return zk

    def close(self):
        for zk in self.clients:
            zk.stop()
            zk.close()
        self.process.terminate()
        self.process.wait(30)


class Sidecar:
    def __init__(self, server, path, credentials, acl=None):
        self.path, self.port = path, free_port()
        path.mkdir()
        engine = f"unix://{path}/engine.sock"
        with open(path / "engine.log", "wb") as log:
            self.engine = subprocess.Popen([f"{BUILD}/tests/tools/engined", engine], stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log)
        until("the engine", (path / "engine.sock").exists)
        user = f"{credentials}@" if credentials else ""
        spec = {"cluster": "acl", "zk": f"zk://{user}127.0.0.1:{server.port}", "damper": "0s", "grace": "5s",
                "session": "60s", "workload": {"image": "bench/stamp:1", "lifetime": "independent"}}
        if acl:
            spec["zk_acl"] = acl
        (path / "pod.json").write_text(json.dumps(spec))
        self.log = path / "sidecar.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [SIDECAR, "--spec", str(path / "pod.json"), "--state-dir", str(path / "state"), "--port",
                 str(self.port), "--binding", "local"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": engine, "ochopod_local": "true"})

    def said(self):
        return self.log.read_text(errors="replace")

    def info(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/info", timeout=30) as answer:
            return json.load(answer)

    def settled(self):
        def so():
            info = self.info()
            return info["generation"] >= 1 and info["state"] == "leader" and info["process"] == "running"
        until("a first round", so)
        return self

    def post(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method="POST", data=b"")
        urllib.request.urlopen(request, timeout=30).close()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.engine.terminate()
        self.engine.wait(30)
        print(self.said()[-4000:])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    it = Server(tmp_path_factory.mktemp("zk"))
    yield it
    it.close()


@pytest.fixture
def start(server, tmp_path):
    started = []

    def one(credentials, acl=None):
        started.append(Sidecar(server, tmp_path / str(len(started)), credentials, acl))
        return started[-1]
    yield one
    for sidecar in started:
        sidecar.close()
    cleaner = server.client(OURS, "other:x")
    if cleaner.exists(ROOT):
        cleaner.delete(ROOT, recursive=True)


def below(zk, path):
    try:
        return [path] + [node for name in zk.get_children(path) for node in below(zk, f"{path}/{name}")]
    except NoNodeError:
        return []  # it went meanwhile


def test_an_anonymous_client_can_do_nothing(server, start):
    start(OURS).settled()
    ours, nobody = server.client(OURS), server.client()
    nodes = below(ours, ROOT)
    assert NODES <= {node[len(ROOT):] for node in nodes}
    assert any(n.startswith(f"{ROOT}/pods/") for n in nodes) and any(n.startswith(f"{ROOT}/coordinator/") for n in nodes)
    own = make_digest_acl(*OURS.split(":"), all=True)
    for node in nodes:
        assert ours.get_acls(node)[0] == [own], node
        before = ours.get(node)
        for attempt in (lambda n: nobody.get(n), lambda n: nobody.set(n, b"mine"), lambda n: nobody.get_children(n),
                        lambda n: nobody.create(f"{n}/x", b""), lambda n: nobody.get_acls(n),
                        lambda n: nobody.set_acls(n, [make_acl("world", "anyone", all=True)])):
            with pytest.raises(NoAuthError):
                attempt(node)
        if node != ROOT:  # the right to delete is the parent's, and its own is asked of nobody
            with pytest.raises(NoAuthError):
                nobody.delete(node)
        assert ours.get(node) == before
        # Known, and no more than that: before 3.8.4 `exists` tells anybody that a node is there.
        assert nobody.exists(node)


def refused(sidecar, *words):
    assert sidecar.process.wait(DEADLINE) == 77, sidecar.said()
    complaint = [line for line in sidecar.said().splitlines() if " err " in line]
    assert len(complaint) == 1 and all(word in complaint[0] for word in words), sidecar.said()
    assert "a secret" not in sidecar.said()


@pytest.mark.parametrize("node", ["", "/pods", "/snapshot"])
def test_a_node_that_is_open_is_refused(server, start, node):
    ours = server.client(OURS)
    mine = [make_digest_acl(*OURS.split(":"), all=True)]
    ours.ensure_path("/ochopod/clusters")
    ours.create(ROOT, b"", acl=mine if node else None)
    if node:
        ours.create(ROOT + node, b"{}")
    refused(start(OURS), f"{ROOT}{node} is not ours alone", "world:anyone may cdrwa", "zk_acl: open")
    start(OURS, "open").settled()


def test_a_root_that_is_anothers_is_refused(server, start):
    both = server.client(OURS, "other:x")  # who comes first has the parents
    both.ensure_path("/ochopod/clusters")
    both.create(ROOT, b"", acl=[make_acl("digest", make_digest_acl_credential("other", "x"), all=True)])
    refused(start(OURS), ROOT, "zk://")
    refused(start(None), ROOT, "zk://")


def test_a_wrong_password_is_refused(server, start):
    start(OURS).settled()
    refused(start("pods:wrong"), ROOT, "zk://")


@pytest.mark.parametrize("who", [make_digest_acl("other", "x", all=True), make_acl("world", "anyone", all=True)])
def test_what_becomes_anothers_at_run_time_is_an_alarm_and_no_storm(server, start, who):
    sidecar = start(OURS).settled()
    both = server.client(OURS, "other:x")
    both.set_acls(f"{ROOT}/pods", [who])
    sidecar.post("/reset")
    until("an alarm", lambda: "until that is put right" in sidecar.said())
    time.sleep(6)  # looked at again meanwhile
    assert sidecar.process.poll() is None
    assert sidecar.info()["process"] == "running"  # the workload is left alone
    assert not both.get_children(f"{ROOT}/pods")
    assert sidecar.said().count("until that is put right") == 1
    both.set_acls(f"{ROOT}/pods", [make_digest_acl(*OURS.split(":"), all=True)])
    sidecar.settled()

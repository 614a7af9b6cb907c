"""Each pod on a network of its own, reached only by published ports, as on machines of a Marathon cluster; and all on
the host's network, each at the ports it was allotted. Here the wrong ways of writing zoo.cfg, which pass every cold
start and every shared bridge, keep a restarted server out."""
import json
import os
import signal
import urllib.request

import pytest
from bed import SIDECAR, TOP, ZOOKEEPER, Writer, agree, wait_until
from ensemble import workload

HOST = "198.18.0.1"  # of the engine's namespace: its docker0
PORTS = (8080, 2181, 2888, 3888)


class Isolated:
    """Three sidecars on three networks; host ports are fixed, as Marathon keeps them for a task."""

    def __init__(self, bed, folder):
        self.bed = bed
        self.folder = folder
        bed.docker("network", "create", "meeting")
        bed.docker("run", "-d", "--name", "coordination", "--network", "meeting", "-p", "32181:2181", "--restart",
                   "always", "-e", "ZOO_4LW_COMMANDS_WHITELIST=*", "-e", "ZOO_ADMINSERVER_ENABLED=false", ZOOKEEPER)
        for i in (1, 2, 3):
            self.start(i)

    def name(self, i):
        return f"isolated-{i}"

    def published(self, i, port):
        return 31000 + 100 * i + PORTS.index(port)

    def start(self, i):
        self.bed.docker("network", "create", f"net{i}")
        words = []
        for port in PORTS:
            words += ["-p", f"{self.published(i, port)}:{port}", "-e", f"PORT_{port}={self.published(i, port)}"]
        for path in ("/conf", "/data", "/datalog", "/logs"):
            words += ["-v", path]
        self.bed.docker("run", "-d", "--name", self.name(i), "--network", f"net{i}", "--restart", "always", *words,
                        "-e", f"HOST={HOST}", "-e", f"ochopod_zk=zk://{HOST}:32181",
                        "-v", f"{self.folder}:/etc/ochopod:ro", "-v", f"{self.bed.socket}:/var/run/docker.sock",
                        "--stop-timeout", "30", SIDECAR)

    def hosts(self):
        return [(HOST, self.published(i, 2181)) for i in (1, 2, 3)]

    def workload(self, i):
        return self.bed.inspect(workload(self.bed, self.bed.inspect(self.name(i))["Id"]))

    def wait(self, timeout=300):
        wait_until("three servers with one leader", lambda: agree(self.hosts()), timeout, every=0.3)

    def by_number(self):
        """Pods by the id in /data/myid, lowest first."""
        return sorted((1, 2, 3), key=lambda i: int(self.bed.docker("exec", self.workload(i)["Id"], "cat", "/data/myid")))


@pytest.fixture
def spec_folder(tmp_path):
    for name in ("pod.yaml", "zoo.cfg.tmpl"):
        text = (TOP / "compose/zookeeper" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("zookeeper:3.9", ZOOKEEPER), encoding="utf-8")
    return tmp_path


@pytest.fixture
def isolated(bed, spec_folder):
    pods = Isolated(bed, spec_folder)
    pods.wait()
    return pods


def test_pods_on_isolated_networks_serve_heal_and_lose_nothing(isolated):
    """Lowest id first: it is the one that the wrong variants never let back in."""
    bed = isolated.bed
    with Writer(isolated.hosts) as writer:
        writer.goes_on()
        for i in isolated.by_number():
            before = isolated.workload(i)["State"]
            os.kill(before["Pid"], signal.SIGKILL)
            wait_until("the server was started again",
                       lambda i=i, b=before: isolated.workload(i)["State"]["StartedAt"] > b["StartedAt"])
            isolated.wait()
            writer.goes_on()
        os.kill(bed.inspect(isolated.name(isolated.by_number()[0]))["State"]["Pid"], signal.SIGKILL)
        wait_until("the sidecar is back", lambda: sum(bed.inspect(isolated.name(i))["RestartCount"] for i in (1, 2, 3)))
        isolated.wait()
        writer.goes_on()
        lost = writer.missing()
    assert lost == {}, f"of {len(writer.acknowledged)} acknowledged writes these are missing: {lost}"


def test_nothing_but_published_ports_leads_from_one_pod_to_another(isolated):
    """Else the test above proves nothing."""
    other = isolated.bed.address(isolated.name(2))
    sh = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{other}/2181' && echo reached || echo apart"
    assert isolated.bed.docker("exec", isolated.workload(1)["Id"], "bash", "-c", sh) == "apart"


class OnHost(Isolated):
    """Three sidecars on the host's network, as of Marathon's apps in HOST mode: what was allotted must be bound."""

    def start(self, i):
        words = [word for port in PORTS for word in ("-e", f"PORT_{port}={self.published(i, port)}")]
        for path in ("/conf", "/data", "/datalog", "/logs"):
            words += ["-v", path]
        self.bed.docker("run", "-d", "--name", self.name(i), "--network", "host", "--restart", "always", *words,
                        "-e", f"HOST={HOST}", "-e", f"ochopod_zk=zk://{HOST}:32181",
                        "-v", f"{self.folder}:/etc/ochopod:ro", "-v", f"{self.bed.socket}:/var/run/docker.sock",
                        "--stop-timeout", "30", SIDECAR)

    def workload(self, i):
        owner = self.bed.inspect(self.name(i))["Id"]
        return self.bed.inspect(self.bed.ids("label=io.ochopod.role=workload", f"label=io.ochopod.owner={owner}")[0])


def ready_at(port):
    said = json.loads(urllib.request.urlopen(f"http://{HOST}:{port}/info", timeout=10).read())
    return said if said["ready"] else None


def test_on_the_hosts_network_each_binds_what_it_was_allotted(bed, spec_folder):
    pods = OnHost(bed, spec_folder)
    pods.wait()
    for i in (1, 2, 3):
        assert pods.workload(i)["HostConfig"]["NetworkMode"] == "host"
        said = wait_until(f"pod {i} is ready", lambda port=pods.published(i, 8080): ready_at(port))
        assert said["ports"] == {str(port): pods.published(i, port) for port in PORTS}, said
        assert said["binding"] == "generic", said
        bed.docker("exec", pods.name(i), "ocho", "health", "-t", "20")
    with Writer(pods.hosts) as writer:
        writer.goes_on()
        os.kill(pods.workload(1)["State"]["Pid"], signal.SIGKILL)
        pods.wait()
        writer.goes_on()
        assert writer.missing() == {}

"""Two engines in two network namespaces with a cable between them: two hosts of a Marathon cluster."""
import subprocess
import tempfile
import time

import pytest
from bed import ENGINE, SIDECAR, TOP, ZOOKEEPER, Bed, Writer, agree, four_letters, wait_until
from marathon import Marathon, Tasks, sidecar_app, zookeeper_spec

HERE, THERE = "198.18.0.1", "198.19.0.1"
LINK = TOP / "tests/lib/link"
SESSION_S = 5


class Hosts:
    def __init__(self, one, two):
        self.one, self.two = one, two

    def link(self, verb):
        self.one.run(LINK, verb, self.one.dir, self.two.dir)

    def bed_of(self, task):
        return self.two if task["host"] == THERE else self.one


@pytest.fixture(name="hosts")
def two_hosts(bed):
    directory = tempfile.mkdtemp(prefix="ochopod-host.")
    try:
        subprocess.run([ENGINE, "start", directory], check=True, env={**bed.env, "ENGINE_NET": "198.19"})
        two = Bed(directory, inside=False)
        bed.run("bash", "-o", "pipefail", "-c", f"docker save {SIDECAR} {ZOOKEEPER} zookeeper:3.9 | "
                                                f"DOCKER_HOST=unix://{two.socket} docker load")
        hosts = Hosts(bed, two)
        hosts.link("join")
        yield hosts
        hosts.link("part")
    finally:
        subprocess.run([ENGINE, "destroy", directory], check=True)


@pytest.fixture(name="meeting")
def coordination(bed):
    """On the first host alone: those of the other one lose it with the cable."""
    bed.docker("run", "-d", "--name", "coordination", "-p", "32181:2181", "-e", "ZOO_ADMINSERVER_ENABLED=false",
               "-e", "ZOO_4LW_COMMANDS_WHITELIST=*", "-e", "ZOO_TICK_TIME=500", "-e", "ZK_SERVER_HEAP=128",
               "-e", "JMXDISABLE=true", "zookeeper:3.9")
    wait_until("coordination serves", lambda: "Mode: " in four_letters(HERE, "srvr", 32181), 120)
    return f"zk://{HERE}:32181"


def test_an_ensemble_over_two_hosts_outlives_a_cut_and_heals(hosts, meeting):
    """Two servers here, one there. While the cable is out the majority serves and the minority does not; then all
    three are one ensemble again, one sidecar leads, and no acknowledged write is missing anywhere."""
    agents = (f"{hosts.one.socket}={HERE}", f"{hosts.two.socket}={THERE}")
    with Marathon(hosts.one, "--docker_remove_delay", "1", agents=agents) as marathon:
        try:
            marathon.do("POST", "/v2/apps", sidecar_app(
                "zookeeper", zookeeper_spec(session=f"{SESSION_S}s"), (2181, 2888, 3888),
                ("/conf", "/data", "/datalog", "/logs"), instances=3, env={"OCHOPOD_ZK": meeting}))
            tasks = Tasks(marathon, "zookeeper", hosts.bed_of)
            tasks.wait(3)
            assert sorted(t["host"] for t in tasks.all()) == [HERE, HERE, THERE]
            ran = {t["id"] for t in tasks.all()}
            with Writer(tasks.hosts) as writer:
                writer.goes_on()
                hosts.link("cut")
                near = [h for h in tasks.hosts() if h[0] == HERE]
                wait_until("the majority serves without the other", lambda: agree(near), 120)
                writer.goes_on()
                # Longer than the sessions of sidecars and servers, so that both sides have drawn their conclusions.
                away = next(t for t in tasks.all() if t["host"] == THERE)
                wait_until("the one over there has lost its session", lambda: not registered(hosts, meeting, 3), 120)
                time.sleep(2 * SESSION_S)
                assert hosts.two.inspect(tasks.workload(away)["Id"])["State"]["Running"]
                writer.goes_on()
                hosts.link("mend")
                tasks.wait(3)
                wait_until("all are registered again", lambda: registered(hosts, meeting, 3), 120)
                wait_until("one sidecar leads", lambda: len(tasks.leaders()) == 1, 120)
                wait_until("all are configured", lambda: all(tasks.info(t)["process"] == "running" for t in tasks.all()))
                writer.goes_on()
                lost = writer.missing()
            assert lost == {}, f"of {len(writer.acknowledged)} acknowledged writes these are missing: {lost}"
            assert {t["id"] for t in tasks.all()} == ran, "Marathon had nothing to replace"
            marathon.do("DELETE", "/v2/apps/zookeeper")
            marathon.settle()
            wait_until("nothing is left over there", lambda: not hosts.two.ids())
        except BaseException:
            print(hosts.two.logs())
            raise


def registered(hosts, meeting, n):
    """So many pods have a record."""
    from kazoo.client import KazooClient
    client = KazooClient(hosts=meeting.removeprefix("zk://"), timeout=5)
    client.start(timeout=20)
    try:
        return len(client.get_children("/ochopod/clusters/marathon.zookeeper/pods")) == n
    finally:
        client.stop()
        client.close()

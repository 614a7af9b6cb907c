"""The spec of compose/zookeeper, unchanged, as a Swarm service: on an overlay network, and by ports in mode=host. The
engine is a swarm of one node; the routing mesh needs IPVS, which a machine for tests may not have, and is not used."""
import json
import os
import re
import signal

import pytest
from bed import SIDECAR, TOP, ZOOKEEPER, wait_until

SPEC = TOP / "compose/zookeeper"
HOST = "198.18.0.1"  # of the engine's namespace: its docker0


@pytest.fixture
def swarm(bed):
    """The network and the meeting point that docs/bindings/swarm.md begins with."""
    bed.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--default-addr-pool", "198.19.0.0/16")
    try:
        bed.docker("network", "create", "-d", "overlay", "--attachable", "ochopod")
        bed.docker("run", "-d", "--name", "coordination", "--network", "ochopod", "-p", "32181:2181", "-e",
                   "ZOO_ADMINSERVER_ENABLED=false", ZOOKEEPER)
        yield Service(bed)
        bed.docker("service", "rm", "zookeeper")
        wait_until("the service's tasks and their workloads are gone",
                   lambda: not bed.ids("label=com.docker.swarm.service.name=zookeeper") and
                   not bed.ids("label=io.ochopod.role=workload"), 120)
    finally:
        bed.clear()
        bed.docker("swarm", "leave", "--force", check=False)


class Service:
    def __init__(self, bed):
        self.bed = bed

    def create(self, *more, replicas=3):
        slot = "{{.Task.Slot}}"
        mounts = ["type=volume,dst=/conf", "type=volume,dst=/logs",
                  f"type=volume,src=zookeeper-data-{slot},dst=/data",
                  f"type=volume,src=zookeeper-log-{slot},dst=/datalog",
                  f"type=volume,src=zookeeper-state-{slot},dst=/var/lib/ochopod",
                  f"type=bind,src={SPEC},dst=/etc/ochopod,ro",
                  f"type=bind,src={self.bed.socket},dst=/var/run/docker.sock"]
        self.bed.docker("service", "create", "--detach", "--no-resolve-image", "--name", "zookeeper", "--replicas",
                        replicas, "--endpoint-mode", "dnsrr", "--stop-grace-period", "60s", "--health-timeout", "30s",
                        *(word for mount in mounts for word in ("--mount", mount)), *more, SIDECAR)

    def sidecars(self):
        return self.bed.ids("label=com.docker.swarm.service.name=zookeeper", "status=running")

    def slot(self, sidecar):
        return int(self.bed.inspect(sidecar)["Config"]["Labels"]["com.docker.swarm.task.name"].split(".")[1])

    def say(self, sidecar, port, words):
        """Within the task's own network: an overlay leads nowhere else."""
        pid = self.bed.inspect(sidecar)["State"]["Pid"]
        sh = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{words}' >&3; cat <&3"
        return self.bed.run("nsenter", "-t", pid, "-n", "bash", "-c", sh, check=False, timeout=20).stdout

    def mntr(self, sidecar):
        return dict(re.findall(r"^(zk_\S+)\t(.*)$", self.say(sidecar, 2181, "mntr"), re.M))

    def agree(self, n):
        """n servers, one of them leading all the others."""
        sidecars = self.sidecars()
        seen = [self.mntr(s) for s in sidecars] if len(sidecars) == n else []
        leaders = [m for m in seen if m.get("zk_server_state") == "leader"]
        followers = [m for m in seen if m.get("zk_server_state") == "follower"]
        return (len(leaders) == 1 and len(followers) == n - 1
                and float(leaders[0].get("zk_synced_followers", 0)) == n - 1)

    def wait(self, n, timeout=400):
        wait_until(f"{n} servers with one leader", lambda: self.agree(n), timeout, every=0.5)

    def info(self, sidecar):
        def answer():
            said = self.say(sidecar, 8080, r"GET /info HTTP/1.0\r\n\r\n")
            return json.loads(said[said.index("{"):])
        return wait_until("it answers", answer, 120)


def test_the_same_spec_is_an_ensemble_on_an_overlay_network_and_grows_and_heals(swarm):
    bed = swarm.bed
    swarm.create("--network", "ochopod", "--env", "OCHOPOD_ZK=zk://coordination:2181")
    swarm.wait(3)
    info = {swarm.slot(s): swarm.info(s) for s in swarm.sidecars()}
    assert set(info) == {1, 2, 3}
    for slot, said in info.items():
        assert said["binding"] == "swarm" and said["ports"] == {"8080": 8080}, said
        assert said["task"].startswith(f"zookeeper.{slot}.") and said["slot"] == str(slot), said
        assert said["ip"].startswith("198.19."), said
    bed.docker("service", "scale", "--detach", "zookeeper=5")
    swarm.wait(5)
    # A task that dies is replaced by another in its slot, with its volumes: the same pod.
    lost = swarm.sidecars()[0]
    slot, pod = swarm.slot(lost), swarm.info(lost)["id"]
    os.kill(bed.inspect(lost)["State"]["Pid"], signal.SIGKILL)
    wait_until("another task in its slot", lambda: [s for s in swarm.sidecars() if swarm.slot(s) == slot and s != lost])
    swarm.wait(5)
    assert [(said["id"], said["slot"]) for s in swarm.sidecars() if swarm.slot(s) == slot
            for said in [swarm.info(s)]] == [(pod, str(slot))]


def test_ports_in_host_mode_are_addresses(swarm):
    ports = [word for port in (8080, 2181, 2888, 3888) for word in ("--publish", f"mode=host,target={port}")]
    swarm.create(*ports, "--env", f"HOST={HOST}", "--env", f"OCHOPOD_ZK=zk://{HOST}:32181")
    swarm.wait(3)
    for sidecar in swarm.sidecars():
        said = swarm.info(sidecar)
        assert said["ip"] == HOST and set(said["ports"]) == {"8080", "2181", "2888", "3888"}, said
        assert all(number > 30000 for number in said["ports"].values()), said

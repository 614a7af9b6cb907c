"""An ensemble under Marathon's stand-in of pods that nothing but published ports leads to, by the command line alone:
it heals, grows, loses no write, and leaves nothing on the host. All verbs: test_deploy.py."""
import json
import os
import signal

import pytest
from bed import SIDECAR, TOP, Writer, agree, four_letters, wait_until
from marathon import Marathon, Tasks, nothing_is_left, things

HOST = "198.18.0.1"


@pytest.fixture(name="meeting")
def coordination(bed):
    """Where sidecars of all tasks meet, by a published port; answers its address."""
    bed.docker("run", "-d", "--name", "coordination", "-p", "32181:2181", "-e", "ZOO_ADMINSERVER_ENABLED=false",
               "-e", "ZOO_4LW_COMMANDS_WHITELIST=*", "-e", "ZOO_TICK_TIME=500", "-e", "ZK_SERVER_HEAP=128",
               "-e", "JMXDISABLE=true", "zookeeper:3.9")
    wait_until("coordination serves", lambda: "Mode: " in four_letters(HOST, "srvr", 32181), 120)
    return f"zk://{HOST}:32181"


class Ocho:
    """The command line as a user has it, on a machine of no engine of its own."""

    def __init__(self, bed, marathon, meeting):
        self.bed = bed
        self.words = ["run", "--rm", "--network", "host", "-e", f"MARATHON_MASTER={marathon.netloc}",
                      "-e", f"OCHOPOD_ZK={meeting}", "-v", f"{TOP}/compose:/compose:ro", "--entrypoint", "ocho",
                      SIDECAR]

    def __call__(self, *words):
        print(f"$ ocho {' '.join(words)}")
        said = self.bed.docker(*self.words, *words, timeout=900)
        print(said)
        return said


def follows(tasks, ocho, n):
    """What `ocho port` tells is what Marathon has mapped, and mntr there answers from an ensemble of n."""
    def told():  # a pod that answers late is not among them
        ports = json.loads(ocho("port", "-j", "2181", "zookeeper"))
        where = [(pod["ip"], int(pod["ports"])) for pod in ports.values()]
        assert sorted(where) == sorted(tasks.hosts()) and len(where) == n, (ports, tasks.hosts())
        return where
    where = wait_until(f"{n} pods are where Marathon put them", told, 120)
    wait_until(f"{n} servers with one leader", lambda: agree(where), 120)


def test_an_ensemble_on_remapped_ports_by_ocho_alone(bed, meeting):
    """The example's pod.yaml as it is. Lowest id killed: it is the one that a wrong zoo.cfg never lets back in."""
    before = things(bed)
    with Marathon(bed, "--isolate", "--docker_remove_delay", "1", "--zk", f"{meeting}/mesos") as marathon:
        ocho = Ocho(bed, marathon, meeting)
        ocho("deploy", "/compose/zookeeper/pod.yaml", "-p", "3", "--strict", "-t", "600")
        app, = marathon.do("GET", "/v2/apps")["apps"]
        tasks = Tasks(marathon, app["id"])
        follows(tasks, ocho, 3)
        with Writer(tasks.hosts) as writer:
            writer.goes_on()
            lowest = min(tasks.all(), key=lambda t: int(bed.docker(
                "exec", tasks.workload(t)["Id"], "cat", "/data/myid")))
            os.kill(tasks.workload(lowest)["State"]["Pid"], signal.SIGKILL)
            tasks.wait(3)
            writer.goes_on()
            ocho("scale", "zookeeper", "-f", "@5", "-t", "600")
            tasks.wait(5)
            follows(tasks, ocho, 5)
            writer.goes_on()
            lost = writer.missing()
        assert lost == {}, f"of {len(writer.acknowledged)} acknowledged writes these are missing: {lost}"
        wait_until("one sidecar leads", lambda: len(tasks.leaders()) == 1)
        ocho("kill", "zookeeper", "--force", "-t", "300")
        assert marathon.do("GET", "/v2/apps")["apps"] == []
        nothing_is_left(bed, before)

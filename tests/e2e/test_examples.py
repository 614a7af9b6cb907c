"""Each example's README, typed as it stands."""
import json
import re

from bed import TOP, Readme, mntr, wait_until
from ensemble import Ensemble
from kazoo.client import KazooClient


def test_zookeeper(bed):
    readme = Readme(bed, "zookeeper")
    readme.step()
    said = readme.step()
    assert said.count("running") >= 3, said
    ensemble = Ensemble(bed, "zookeeper")
    ensemble.wait(3)
    readme.step()
    ensemble.wait(5)
    readme.finish()
    assert bed.ids() == []


def held(address):
    """The names below /kept that this server itself has."""
    client = KazooClient(hosts=f"{address[0]}:{address[1]}", timeout=10.0)
    try:
        client.start(timeout=60)
        return set(client.get_children("/kept"))
    finally:
        client.stop()
        client.close()


def test_zookeeper_recovers(bed):
    """Two of three pods are lost with all they had: the README's Recovery, typed as it stands."""
    text = (TOP / "compose/zookeeper/README.md").read_text(encoding="utf-8").split("## Recovery\n")[1].split("\n## ")[0]
    refusal, *recovery = re.findall(r"(?:^ {4}\S.*\n)+", text, re.M)
    readme = Readme(bed, "zookeeper")
    readme.step()
    readme.step()
    ensemble = Ensemble(bed, "zookeeper")
    ensemble.wait(3)
    client = KazooClient(hosts=",".join(f"{h}:{p}" for h, p in ensemble.hosts()), timeout=10.0)
    client.start(timeout=60)
    for i in range(100):
        client.create(f"/kept/{i}", b"x", makepath=True)
    client.stop()
    client.close()
    names = {str(i) for i in range(100)}
    left = ensemble.sidecars()[0]
    wait_until("the one that will be left has it all", lambda: held((bed.address(left), 2181)) == names)

    for lost in ensemble.sidecars()[1:]:
        bed.docker("kill", lost)  # else it removes some of them at the same time
        bed.docker("rm", "-f", "-v", *bed.ids(f"label=io.ochopod.owner={lost}"), lost)
    bed.run("docker-compose", "-f", "compose/zookeeper/docker-compose.yml", "-p", "zookeeper",
            "up", "-d", "--scale", "zookeeper=3")
    wait_until("the round is refused", lambda: refusal.strip() in bed.docker("exec", left, "ocho", "ls", "zookeeper"))
    assert not ensemble.agree(3)

    first, second = recovery
    bed.run("bash", "-eu", "-c", first, timeout=900)
    written = bed.docker("exec", ensemble.workload(ensemble.sidecars()[0]), "cat", "/conf/zoo.cfg")
    assert written.count(":observer") == 2, written
    assert not any(map(mntr, (h for h, _ in ensemble.hosts()))), "a client was let in"
    bed.run("bash", "-eu", "-c", second, timeout=900)
    ensemble.wait(3)
    for address in ensemble.hosts():
        assert held(address) == names


def test_dependency(bed):
    readme = Readme(bed, "dependency")
    readme.step()
    readme.step()
    client = Ensemble(bed, "client")
    pod = client.sidecars()[0]
    wait_until("the status names what is missing",
               lambda: "zookeeper" in bed.docker("exec", pod, "ocho", "ls", "client").split("STATUS")[1])
    assert client.workloads() == [], "the client was started without its dependency"
    readme.step()
    zookeeper = Ensemble(bed, "zookeeper")
    zookeeper.wait(3)

    def told():
        addresses = {f"{host}:{port}" for host, port in zookeeper.hosts()}
        lines = [line for line in bed.log(client.workloads()[0]).splitlines() if line.startswith("servers: ")]
        return set(lines[-1].removeprefix("servers: ").split(",")) == addresses

    wait_until("the client was told of three", told)
    readme.step()
    zookeeper.wait(5)
    wait_until("the client was told of five", told)
    readme.finish()
    assert bed.ids() == []


def test_shell(bed):
    readme = Readme(bed, "shell")
    readme.step()
    pod = Ensemble(bed, "shell").sidecars()[0]
    # The log comes by way of the engine: what was printed may be there a moment after the end.
    wait_until("hello is in its log", lambda: "hello" in bed.docker("exec", pod, "ocho", "log", "-l", "shell"))
    said = readme.step()
    assert "hello" in said
    assert "dead" in said
    info = json.loads(bed.docker("exec", pod, "ocho", "info", "-j", "shell"))
    assert "dead" in json.dumps(info)
    readme.finish()
    assert bed.ids() == []


def test_adopt(bed):
    readme = Readme(bed, "adopt")
    readme.step()
    assert "pod 1 of 1" in readme.step()
    app = bed.inspect("adopt_app_1")["Id"]
    readme.finish()
    assert app, "compose made it"
    assert bed.ids() == []

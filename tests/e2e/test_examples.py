"""Each example's README, typed as it stands."""
import json

from bed import Readme, wait_until
from ensemble import Ensemble


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
    said = readme.step()
    assert "hello" in said
    assert "dead" in said
    pod = Ensemble(bed, "shell").sidecars()[0]
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

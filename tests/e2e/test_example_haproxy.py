"""compose/haproxy: not one request fails while servers come, leave in good order, and HAProxy reloads."""
import re
import shutil

import pytest
from bed import TOP, Readme, wait_until
from ensemble import workload
from load import Load
from services import Service

PROJECT = "front"


@pytest.fixture
def front(bed):
    bed.stand_in("ochopod/haproxy:2.6", "haproxy:2.8")
    bed.stand_in("ochopod/nginx:1.22", "nginx:1.27")
    return Front(bed)


class Front:
    def __init__(self, bed):
        self.bed = bed

    def pods(self, service):
        """Ids of the sidecars of a service that run, by their numbers."""
        return Service(self.bed, PROJECT, service).sidecars()

    @property
    def haproxy(self):
        return self.pods("haproxy")[0]

    def load(self):
        return Load(self.bed.address(self.haproxy), 8000)

    def started(self):
        """What a reload leaves as it is."""
        state = self.bed.inspect(workload(self.bed, self.haproxy))
        return state["Id"], state["State"]["StartedAt"]

    def reloads(self):
        """Workers but the first."""
        return len(re.findall(r"New worker .*forked", self.bed.log(workload(self.bed, self.haproxy)))) - 1

    def config(self):
        return self.bed.docker("exec", workload(self.bed, self.haproxy), "cat", "/usr/local/etc/haproxy/haproxy.cfg")

    def servers(self):
        """Addresses that HAProxy's configuration names."""
        return set(re.findall(r"^\s+server \S+ (\S+):80$", self.config(), re.M))

    def follows(self, n, timeout=240):
        """Returns when HAProxy is configured with the n web pods of now."""
        def so():
            pods = self.pods("web")
            return len(pods) == n and self.servers() == {self.bed.address(p) for p in pods}
        wait_until(f"HAProxy's configuration has the {n} web pods", so, timeout, every=0.3)

    def status(self):
        return self.bed.docker("exec", self.haproxy, "ocho", "ls", "haproxy")


def test_readme_under_load(bed, front, capsys):
    readme = Readme(bed, "haproxy")
    readme.step()
    readme.step()
    front.follows(2)
    started = front.started()
    with front.load() as load:
        load.until_only(2)
        readme.step()
        front.follows(5)
        assert len(load.until_only(5)) == 5
        readme.step()
        front.follows(2)
        load.until_only(2)

        first = front.pods("web")[0]
        bed.docker("stop", first)
        front.follows(1)
        load.until_only(1)
        bed.docker("start", first)
        front.follows(2)
        load.until_only(2)

        # An operator's off drains as well; the pod stays in the cluster.
        address = bed.address(first)
        bed.run("curl", "-sfS", "-X", "POST", f"http://{address}:8080/control/off")
        load.until_only(1)
        bed.run("curl", "-sfS", "-X", "POST", f"http://{address}:8080/control/on")
        load.until_only(2)
    with capsys.disabled():
        print(f"\nhaproxy: {load.report()}; {front.reloads()} reloads")
    assert load.failed == [], load.report()
    assert load.requests > 1000, f"hardly a load: {load.report()}"
    assert len(load.answers) >= 5, load.report()
    assert front.started() == started, "HAProxy was restarted, not reloaded"
    assert front.reloads() >= 4, "five, two, one and two servers: a reload each at least"
    readme.finish()
    assert bed.ids() == []


def test_a_refused_configuration_changes_nothing(bed, front, tmp_path):
    spec = tmp_path / "spec"
    shutil.copytree(TOP / "compose/haproxy", spec)
    with open(spec / "haproxy.cfg.tmpl", "a", encoding="utf-8") as file:
        file.write("{% if #dependencies.web > 2 then %}\n    server of-no-address\n{% end %}\n")

    def compose(*words):
        bed.run("docker-compose", "-f", "compose/haproxy/docker-compose.yml", "-p", PROJECT, *words,
                env={"OCHOPOD_SPEC_DIR": str(spec)})

    bed.docker("network", "create", "ochopod")
    bed.coordination("ochopod")
    compose("up", "-d", "--scale", "web=2")
    wait_until("HAProxy runs", lambda: workload(bed, front.haproxy), 240)
    front.follows(2)
    started, config = front.started(), front.config()
    with front.load() as load:
        load.until_only(2)
        compose("up", "-d", "--scale", "web=3")
        wait_until("the status names the validator", lambda: "validator" in front.status(), 180)
        assert front.config() == config
        assert front.started() == started
        assert front.reloads() == 0
        load.until_only(2)
        compose("up", "-d", "--scale", "web=2")
        wait_until("the status is good again", lambda: "validator" not in front.status(), 180)
        load.until_only(2)
    assert load.failed == [], load.report()
    assert front.started() == started
    compose("down", "-v")

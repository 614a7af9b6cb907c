"""ocho's verbs over real pods: what it prints with -j is what Ochothon's tools print, and its exit status is what CI acts on.
One cluster of three for the module; each test leaves it running."""
import json
import xml.etree.ElementTree as tree

import pytest
from bed import DOCKER, wait_until
from pods import Pods

SPEC = {
    "cluster": "web", "session": "30s",
    "hooks": {"signaled": {"exec": ["sh", "-c", """echo '{"heard": true}'"""]},
              "sanity_check": {"exec": ["sh", "-c", """echo '{"load": 7}'"""], "every": "1s"}},
    "tools": {"backup": {"exec": ["sh", "-c", """echo "$@"; exit $1""", "backup"]},
              "load": {"run": ["sh", "-c", """cat "$1"; echo; ls""", "load"]}},
}


class Web:
    def __init__(self, bed):
        self.bed = bed
        pods = Pods(bed, ZOO_CFG_EXTRA="maxSessionTimeout=60000")  # of its short ticks it would allow 10 s
        self.pods = [pods.run(name, json.loads(json.dumps(SPEC))) for name in ("web", "web-2", "web-3")]
        for pod in self.pods:
            pod.until_configured(3)
        self.seqs = [pod.info["seq"] for pod in self.pods]

    def label(self, n):
        return f"marathon.web #{self.seqs[n]}"

    def labels(self, *which):
        """As ocho orders them."""
        return [f"marathon.web #{seq}" for seq in sorted(self.seqs[n] for n in which)]

    def ocho(self, *words, status=0, env=()):
        done = self.bed.run(DOCKER, "exec", *env, "web", "ocho", *words, check=False)
        assert done.returncode == status, f"ocho {words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def said(self, *words, **more):
        return json.loads(self.ocho(*words, "-j", **more).stdout)

    def processes(self):
        return [pod.info["process"] for pod in self.pods]

    def heal(self):
        """On, until all of them are: one that hung may take a late off for done first."""
        def well():
            return all(self.bed.run(DOCKER, "exec", "web", "ocho", *words, check=False).returncode == 0
                       for words in (("on", "web", "--force"), ("wait", "web", "--for", "ready", "--pods", 3, "-t", 5)))
        wait_until("all are ready again", well, 120)


@pytest.fixture(scope="module")
def web(module_bed):
    return Web(module_bed)


def test_off_on_and_reset_as_ochothon_prints_them(web):
    one = web.label(1)
    assert web.said("off", "web", "-i", web.seqs[1]) == {"web": {"ok": True, "off": [one]}}
    assert web.processes() == ["running", "stopped", "running"]
    assert web.said("check", "web", status=1)[one]["why"].startswith("off")
    assert web.said("on", "marathon.web", "-i", web.seqs[1]) == {"marathon.web": {"ok": True, "on": [one]}}
    web.ocho("wait", "web", "--for", "ready", "-t", 60)
    began = [pod.started for pod in web.pods]
    assert web.said("reset", "web", "-i", web.seqs[0], web.seqs[2]) == {
        "web": {"ok": True, "reset": sorted([web.seqs[0], web.seqs[2]])}}
    web.ocho("wait", "web", "--for", "ready", "-t", 60)
    after = [pod.started for pod in web.pods]
    assert after[1] == began[1]
    assert after[0][1] != began[0][1] and after[2][1] != began[2][1]
    # All of them want a word more.
    assert "--force" in web.ocho("off", "web", status=2).stderr
    assert web.processes() == ["running"] * 3


def test_reset_of_the_session_leaves_the_workload_alone(web):
    before = web.pods[1].started
    assert web.said("reset", "web", "-i", web.seqs[1], "--session") == {"web": {"ok": True, "reset": [web.seqs[1]]}}
    wait_until("it has registered again", lambda: web.said("grep", "web", "-i", web.seqs[1])[web.label(1)]["process"] == "running")
    assert web.pods[1].started == before and web.pods[1].info["seq"] == web.seqs[1]


def test_signal_exec_poll_and_port(web):
    both = web.labels(0, 2)
    assert web.said("signal", "web", "-i", f"{web.seqs[0]},{web.seqs[2]}") == {label: {"heard": True} for label in both}
    assert web.said("exec", "web", "--force", "backup", "0", "--all") == {
        label: {"code": 0, "stdout": ["0 --all"]} for label in web.labels(0, 1, 2)}
    failed = web.ocho("exec", "web", "-i", web.seqs[0], "backup", "3", status=1)
    assert failed.stdout == "3\n" and "exit code 3" in failed.stderr
    web.bed.run(DOCKER, "cp", "-", "web:/", input=upload("dump.sql", "select 1;"))
    assert web.said("exec", "web", "-i", web.seqs[1], "load", "/dump.sql") == {
        web.label(1): {"code": 0, "stdout": ["select 1;", "dump.sql"]}}
    unknown = web.ocho("exec", "web", "-i", web.seqs[1], "frob", status=1)
    assert "answered 404" in unknown.stderr and "0 of 1 answered" in unknown.stderr
    wait_until("metrics", lambda: web.said("poll", "web") == {label: {"load": 7} for label in web.labels(0, 1, 2)})
    ports = web.said("port", 8080, "web")
    assert ports[web.label(0)] == {"ip": web.pods[0].info["ip"], "public": web.pods[0].info["public"], "ports": "8080"}
    assert web.said("port", 99, "web", status=1) == {}


def upload(name, content):
    """A tar, as `docker cp -` takes it."""
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue().decode()


def test_through_any_one_pod_without_zookeeper(web):
    blind = ("-e", "OCHOPOD_ZK=zk://127.0.0.1:1")
    url = ("--url", f"http://{web.bed.address('web-3')}:8080")
    wait_until("all answer through it", lambda: set(web.said("grep", *url, env=blind)) == set(web.labels(0, 1, 2)))
    assert web.said("off", *url, "web", "-i", web.seqs[0], env=blind) == {"web": {"ok": True, "off": [web.label(0)]}}
    web.ocho("on", *url, "web", "--force", env=blind)
    web.ocho("wait", *url, "web", "--for", "ready", "--pods", 3, "-t", 60, env=blind)
    cluster = web.said("cluster", *url, env=blind)["marathon.web"]
    assert len(cluster["pods"]) == 3 and cluster["leader"]
    assert set(web.said("cluster", "web")["marathon.web"]["pods"]) == set(cluster["pods"])
    assert "does not answer" in web.ocho("grep", "-t", 1, status=3, env=blind).stderr


def test_a_dead_pod_counts(web):
    assert web.pods[2].code("/control/kill") == 200
    web.pods[2].until(process="dead")
    said = web.said("off", "web", "--force", status=1)["web"]
    assert said["ok"] is False and said["off"] == web.labels(0, 1)
    assert "answered 410" in said["failed"][web.label(2)]
    assert web.said("check", "web", status=1)[web.label(2)]["process"] == "dead"
    assert "is dead" in web.ocho("wait", "web", "-t", 20, status=1).stderr
    web.heal()
    assert web.processes() == ["running"] * 3


def test_a_pod_that_hangs_counts_and_holds_nobody_up(web):
    web.bed.docker("pause", "web-3")
    try:
        done = web.ocho("off", "web", "--force", "-t", 20, "-j", status=1)
    finally:
        web.bed.docker("unpause", "web-3")
    said = json.loads(done.stdout)["web"]
    assert said["off"] == web.labels(0, 1) and "no complete reply within " in said["failed"][web.label(2)]
    assert done.stderr.endswith("ocho: 2 of 3 off\n")
    web.heal()


def test_wait_tells_ci_what_happened(web):
    def report(*words, status):
        web.ocho("wait", "web", "--junit", "/report.xml", *words, status=status)
        suite = tree.fromstring(web.bed.docker("exec", "web", "cat", "/report.xml")).find("testsuite")
        return {case.get("name"): case.find("failure") for case in suite}

    cases = report("--for", "ready", "--pods", 3, status=0)
    assert set(cases) == {f"{label} is ready" for label in web.labels(0, 1, 2)} | {"at least 3 pods"}
    assert not any(failure is not None for failure in cases.values())
    cases = report("--pods", 4, "-t", 15, status=4)
    assert cases["at least 4 pods"].get("message") == "3 of 4"
    web.ocho("off", "web", "-i", web.seqs[1])
    cases = report("-t", 15, status=4)
    assert cases[f"{web.label(1)} is running"].get("message") == "stopped, not running"
    web.heal()


def test_a_pod_that_is_gone_is_listed_until_its_session_ends(web):
    """The last one: it takes a pod away."""
    web.bed.docker("kill", "web-3")
    done = web.ocho("grep", "web", "-t", 5, "-j", status=1)
    assert "error" in json.loads(done.stdout)[web.label(2)]
    assert "2 of 3 answered" in done.stderr
    wait_until("it is forgotten", lambda: len(web.said("grep", "web")) == 2)

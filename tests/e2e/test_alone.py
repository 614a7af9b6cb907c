"""`zk: none`: a cluster of one. There is no ZooKeeper on this engine at all."""
import json
import os
import signal

import pytest
from bed import wait_until
from pods import NETWORK, Pods, worker_of
from routes import every_route


class Alone(Pods):
    def __init__(self, bed):  # pylint: disable=super-init-not-called
        self.bed = bed
        bed.docker("network", "create", NETWORK)

    def run(self, name, spec, *args, **more):
        spec["zk"] = "none"
        return super().run(name, spec, *args, env={"OCHOPOD_ZK": "none", **more.pop("env", {})}, **more)


@pytest.fixture(scope="module")
def meeting(module_bed):
    return Alone(module_bed)


@pytest.fixture
def pods(meeting):
    yield meeting
    meeting.clear()


WEB = {"workload": {"command": ["httpd", "-f", "-p", "8081", "-h", "/conf/www"], "ready": {"tcp": 8081}},
       "files": [{"target": "/conf/www/index.html",
                  "content": "{{ size }} {{ self.seq }} {{ self.ordinal }} {{ self.founder and 'founder' or '' }}\n"}]}


def web(pods, name, env=None, started=True, **more):
    return pods.run(name, {**WEB, "workload": dict(WEB["workload"]), **more}, env=env or {}, started=started)


def test_a_command_runs_once_and_its_pod_is_dead(pods):
    pod = pods.run("shell", {"workload": {"command": ["sh", "-c", "sleep 20 && echo hello && exit 0"]}})
    pod.until(process="running")
    pod.until(process="dead")
    pod.until_logged("hello")
    assert pod.info["workload"]["exit"] == 0
    assert pod.workloads(all_=False) == []
    assert pod.code("/control/check") == 410


def test_a_web_server_is_configured_by_the_pod_itself(pods):
    pod = web(pods, "web", needs={"pods": 1})
    pod.until_configured()
    info = pod.info
    assert info["state"] == "leader" and info["attached"] is True and info["generation"] == 1
    assert pod.sh("wget -qO- http://127.0.0.1:8081/") == "1 0 1 founder"
    said = pod.get("/cluster")[1]
    assert list(said["pods"]) == [info["id"]] and said["generation"] == 1
    assert pod.get("/wait?for=running&generation=1&timeout=5")[0] == 200
    assert pod.get("/wait?generation=2&timeout=1")[0] == 408
    # Through the pod, because its own spec says that there is nothing else.
    assert json.loads(pods.bed.docker("exec", "web", "ocho", "ls", "-j")) == {
        "marathon.web": {"total": 1, "running": 1, "status": info["status"]}}
    pods.bed.docker("exec", "web", "ocho", "wait", "web", "--pods", "1", "--timeout", "20")


def test_every_route_is_as_in_a_cluster(pods):
    every_route(pods)


ELSEWHERE = {"not-mapped": {"HOST": "localhost"}, "nobody-there": {"HOST": "198.18.250.7", "PORT_8080": "31000"}}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_what_it_registers_may_lead_nowhere(pods, where):
    """It is asked where it listens: others need a way to it, and there are none."""
    pod = web(pods, where, env=ELSEWHERE[where])
    pod.until_configured()
    assert pod.info["ports"].get("8080") == (31000 if where == "nobody-there" else None)
    assert pod.info["state"] == "leader"
    pods.bed.docker("exec", where, "ocho", "off", where, "--force")
    pod.until(process="stopped")


def test_it_asks_the_address_that_it_listens_at(pods):
    web(pods, "here", listen="127.0.0.9", env={"HOST": "198.18.250.7", "PORT_8080": "31000"}, started=False)
    wait_until("it runs", lambda: pods.bed.ids("label=io.ochopod.role=workload", all_=False))
    pods.bed.docker("exec", "here", "ocho", "wait", "here", "--url", "http://127.0.0.9:8080", "--timeout", "60")


def test_needs_of_more_are_refused_and_the_status_says_it(pods):
    pod = web(pods, "wants", needs={"pods": 2})
    pod.until_status("needs 2 pods, has 1")
    assert pod.info["process"] == "stopped" and pod.workloads() == []


def test_a_reset_and_a_new_worker_leave_the_workload_alone(pods):
    pod = web(pods, "kept")
    pod.until_configured()
    before, generation, seq = pod.started, pod.info["generation"], pod.info["seq"]
    assert pod.code("/reset") == 200
    pod.until(state="leader", attached=True)
    worker = worker_of(pods.bed, "kept")
    os.kill(worker, signal.SIGKILL)
    wait_until("another worker", lambda: worker_of(pods.bed, "kept") != worker)
    pod.until(state="leader", process="running")
    assert (pod.started, pod.info["generation"], pod.info["seq"]) == (before, generation, seq)


def test_a_restarted_container_is_configured_again_and_counts_on(pods):
    pod = web(pods, "again")
    pod.until_configured()
    before, pod_id = pod.info["generation"], pod.info["id"]
    pods.bed.docker("restart", "again")
    wait_until("one more round", lambda: pod.info["generation"] > before and pod.info["process"] == "running")
    assert pod.info["id"] == pod_id
    assert pod.sh("wget -qO- http://127.0.0.1:8081/").startswith("1 0 1")
    # Killed, it could not say goodbye: still one of a kind.
    before = pod.info["generation"]
    pods.bed.docker("kill", "again")
    pods.bed.docker("start", "again")
    wait_until("one more round", lambda: pod.info["generation"] > before and pod.info["process"] == "running")
    assert list(pod.get("/cluster")[1]["pods"]) == [pod_id]


def test_off_holds_and_on_ends_it(pods):
    pod = web(pods, "off")
    pod.until_configured()
    assert pod.code("/control/off") == 200
    pod.until(process="stopped")
    assert pod.code("/control/on") == 200
    pod.until(process="running")

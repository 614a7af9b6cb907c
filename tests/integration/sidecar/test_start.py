"""What a user gets wrong at start: one clear line that names file, line or key and says what to do, the right exit
status, nothing left running; and what is merely away is waited for."""
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

BUILD = os.environ["OCHOPOD_BUILD"]
SIDECAR = f"{BUILD}/ochopod-sidecar"
GOOD = """
cluster: start
workload:
  image: busybox:1
"""
DEADLINE = 30


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Place:
    """A folder with a spec, and the environment that goes with it: no engine, no ZooKeeper."""

    def __init__(self, path):
        self.path = path
        self.port = free_port()
        self.env = {"PATH": "/usr/bin:/bin", "OCHOPOD_SPEC": str(path / "pod.yaml"), "OCHOPOD_PORT": str(self.port),
                    "OCHOPOD_STATE_DIR": str(path / "state"), "OCHOPOD_ZK": "zk://127.0.0.1:1",
                    "DOCKER_HOST": f"unix://{path}/no-engine.sock", "OCHOPOD_LISTEN": "127.0.0.1"}
        self.write(GOOD)

    def write(self, text, name="pod.yaml"):
        (self.path / name).write_text(text, encoding="utf-8")

    def start(self, *options, **env):
        return subprocess.Popen([SIDECAR, *options], env={**self.env, **env}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def refused(self, *options, status=2, **env):
        """Runs until it ends by itself; answers what it said."""
        process = self.start(*options, **env)
        try:
            said, _ = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            stop(process)
            raise
        assert process.returncode == status, said
        return said

    def get(self, path, method="GET", body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method, data=body)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        said, _ = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        raise AssertionError(f"did not stop within {DEADLINE} s\n{said}")
    return said


def until(what, condition):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            if answer := condition():
                return answer
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE} s: {what}")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def running(place):
    process = place.start()
    until("it answers", lambda: place.get("/livez")[0] == 200)
    yield place
    if process.poll() is None:
        print(stop(process))


BAD_SPECS = {
    "an unknown key": ("cluster: a\nworklod:\n  image: x\n", ["pod.yaml:2:1", "worklod", "workload"]),
    "no workload": ("cluster: a\n", ["pod.yaml", "workload"]),
    "a number that is none": ("cluster: a\nport: eighty\nworkload: {image: x}\n", ["pod.yaml:2:1", "port", "eighty"]),
    "a duration that is none": ("cluster: a\ndamper: 5 parsecs\nworkload: {image: x}\n", ["pod.yaml:2:1", "damper", "5 parsecs"]),
    "not yaml": ("cluster: [\n", ["pod.yaml:"]),
    "a key twice": ("cluster: a\ncluster: b\nworkload: {image: x}\n", ["pod.yaml:2", "cluster"]),
    "what comes later": ("cluster: a\ntoken_file: /x\nworkload: {image: x}\n", ["pod.yaml:2", "token_file", "not yet"]),
    "a template that is not there": (
        "cluster: a\nworkload: {image: x}\nfiles:\n  - target: /conf/x\n    template: nowhere.tmpl\n",
        ["pod.yaml:5", "nowhere.tmpl"]),
    "a template that does not parse": (
        "cluster: a\nworkload: {image: x}\nfiles:\n  - target: /conf/x\n    content: \"{{ pods[ }}\"\n", ["files[0]"]),
    "a target that climbs": (
        "cluster: a\nworkload: {image: x}\nfiles:\n  - target: /conf/../etc/passwd\n    content: x\n",
        ["pod.yaml:4", "/conf/../etc/passwd"]),
    "setuid": (
        "cluster: a\nworkload: {image: x}\nfiles:\n  - target: /conf/x\n    content: x\n    mode: \"4755\"\n",
        ["pod.yaml:6", "mode"]),
    "a need of nobody": ("cluster: a\nneeds: {kafka: 1}\nworkload: {image: x}\n", ["pod.yaml:2", "kafka"]),
    "the control port for the workload": (
        "cluster: a\nport: 8080\nworkload: {image: x, ready: {tcp: 8080}}\n", ["pod.yaml:3:35", "control port"]),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_a_bad_spec_is_exit_2_and_names_the_place(place, case):
    text, names = BAD_SPECS[case]
    place.write(text)
    said = place.refused("--port", "8080") if case.startswith("the control") else place.refused()
    for name in names:
        assert name in said, said


def test_every_mistake_is_in_one_report(place):
    place.write("cluster: a\nport: eighty\ndampr: 5s\nworkload: {image: x, restart: sometimes}\n")
    said = place.refused()
    for name in ("pod.yaml:2", "pod.yaml:3", "pod.yaml:4", "dampr", "sometimes"):
        assert name in said, said


def test_no_spec_at_all_names_where_it_looked(place):
    assert "/nowhere/pod.yaml" in place.refused("--spec", "/nowhere/pod.yaml")


def test_an_unknown_option_points_to_help(place):
    assert "--help" in place.refused("--sped")


def test_a_docker_host_that_cannot_be_understood(place):
    assert "gopher://x" in place.refused(DOCKER_HOST="gopher://x")


def test_a_zookeeper_address_that_cannot_be_understood(place):
    assert "OCHOPOD_ZK" in place.refused(OCHOPOD_ZK="zk://:badport:x")


def test_no_zookeeper_says_where_to_set_it(place):
    assert "OCHOPOD_ZK" in place.refused(OCHOPOD_ZK="")


def test_no_cluster_name_says_where_to_set_it(place):
    place.write("workload: {image: x}\n")
    assert "cluster" in place.refused()


def test_a_binding_nobody_knows(place):
    said = place.refused("--binding", "kubernetes")
    assert "kubernetes" in said and "compose" in said


def test_a_port_in_use(place):
    with socket.socket() as s:
        s.bind(("127.0.0.1", place.port))
        s.listen()
        assert str(place.port) in place.refused()


def test_an_address_that_is_not_ours(place):
    assert "192.0.2.1" in place.refused("--listen", "192.0.2.1")


def test_a_state_directory_that_is_a_file(place):
    (place.path / "file").write_text("")
    assert str(place.path / "file") in place.refused("--state-dir", str(place.path / "file"))


def test_a_second_sidecar_of_the_same_directory_is_78(running):
    said = running.refused("--port", str(free_port()), status=78)
    assert "state" in said


def test_without_engine_and_zookeeper_it_lives_and_says_so(running):
    info = json.loads(running.get("/info")[1])
    assert info["docker"] == "down"
    assert info["attached"] is False
    assert info["process"] == "stopped"
    assert running.get("/readyz")[0] == 503
    assert running.get("/control/on", "POST")[0] == 503  # an operator is heard, the engine is away


def test_a_host_name_that_resolves_later_is_waited_for(place):
    """In a mount namespace whose /etc/hosts is a file of ours."""
    hosts = place.path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n", encoding="utf-8")
    log = place.path / "log"
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(["unshare", "-m", "sh", "-ec", f"mount --bind {hosts} /etc/hosts; exec {SIDECAR}"],
                                   env={**place.env, "PATH": os.environ["PATH"], "HOST": "late.invalid",
                                        "RES_OPTIONS": "timeout:1 attempts:1"},
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        until("it says what it waits for", lambda: "late.invalid has no address" in log.read_text(encoding="utf-8"))
        with open(hosts, "a", encoding="utf-8") as names:
            names.write("127.0.0.1 late.invalid\n")
        until("it answers", lambda: place.get("/livez")[0] == 200)
        assert json.loads(place.get("/info")[1])["ip"] == "127.0.0.1"
    finally:
        process.terminate()
        process.wait(DEADLINE)
        print(log.read_text(encoding="utf-8"))
    assert log.read_text(encoding="utf-8").count("has no address") == 1  # said once


def test_term_is_exit_0_and_takes_all_processes(place):
    process = place.start()
    until("it answers", lambda: place.get("/livez")[0] == 200)
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True,
                              check=True).stdout.split()
    said = stop(process)
    assert process.returncode == 0, said
    for child in children:
        until("the worker is gone", lambda child=child: not os.path.exists(f"/proc/{child}"))


def worker_of(place):
    """The process that holds the control port's socket."""
    said = subprocess.run(["ss", "-Hltnp", f"sport = :{place.port}"], capture_output=True, text=True, check=True).stdout
    return int(said.split("pid=")[1].split(",")[0])


def test_a_killed_worker_is_back_with_the_same_identity(running):
    before = json.loads(running.get("/info")[1])["id"]
    worker = worker_of(running)
    os.kill(worker, signal.SIGKILL)
    until("another answers", lambda: running.get("/livez")[0] == 200 and worker_of(running) != worker)
    assert json.loads(running.get("/info")[1])["id"] == before

"""What a user gets wrong at start: one clear line that names file, line or key and says what to do, the right exit
status, nothing left running; and what is merely away is waited for."""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))
from ports import free_port  # noqa: E402

BUILD = os.environ["OCHOPOD_BUILD"]
SIDECAR = f"{BUILD}/ochopod-sidecar"
GOOD = """
cluster: start
workload:
  image: busybox:1
"""
DEADLINE = 60


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
            with urllib.request.urlopen(request, timeout=30) as answer:
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
    while True:
        try:
            if answer := condition():
                return answer
        except Exception as error:  # half of an answer is none of OSError's
            answer = error
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what} (last: {answer!r})"
        time.sleep(0.02)


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
    "half of tls": ("cluster: a\ntls: {key_file: /x}\nworkload: {image: x}\n", ["pod.yaml:2", "tls", "certificate_file"]),
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


def test_a_first_start_that_gets_no_further_keeps_that_it_begins_off(place):
    place.write("workload:\n  image: busybox:1\n")
    place.refused(ochopod_start="false")
    assert json.loads((place.path / "state" / "pod.json").read_text())["off"]


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


def test_a_cluster_of_one_leads_without_zookeeper(place):
    """No engine here, so its rounds are refused: by this pod, over its own control port, with the reason."""
    process = place.start(OCHOPOD_ZK="none", OCHOPOD_LOCAL="true")
    try:
        until("it leads", lambda: "leader" in json.loads(place.get("/info")[1])["state"])
        until("its round says what is missing", lambda: "engine" in json.loads(place.get("/info")[1])["status"])
        info = json.loads(place.get("/info")[1])
        assert info["attached"] is True and info["seq"] == 0 and info["generation"] == 0
        cluster = json.loads(place.get("/cluster")[1])
        assert list(cluster["pods"]) == [info["id"]]
        assert place.get("/reset", "POST")[0] == 200
        until("it is back", lambda: json.loads(place.get("/info")[1])["attached"])
    finally:
        print(stop(process))
    assert process.returncode == 0
    kept = json.loads((place.path / "state" / "cluster.json").read_text(encoding="utf-8"))
    assert [path for path in kept["nodes"] if "/pods/" in path or "/coordinator/" in path] == []


def test_a_deploy_through_the_portal_reads_what_was_sent_along(place):
    """By curl alone: a spec and the template that it names. Its Marathon is away, and that is what is said."""
    place.write("cluster: web\nworkload: {image: x}\nfiles: [{target: /a/b, template: b.tmpl}]\n", "web.yaml")
    place.write("of {{ size }}\n", "b.tmpl")
    place.write(GOOD + "portal: true\n")
    process = place.start(OCHOPOD_ZK="none", OCHOPOD_LOCAL="true", MARATHON_MASTER="127.0.0.1:1")

    def portal(line):
        sent = [word for name in ("web.yaml", "b.tmpl") for word in ("-F", f"{name}=@{place.path}/{name}")]
        said = subprocess.run(["curl", "-sS", "-H", f"X-Shell: {line}", *sent, f"http://127.0.0.1:{place.port}/shell"],
                              check=True, capture_output=True, text=True, timeout=DEADLINE).stdout
        return json.loads(said)

    try:
        until("it answers", lambda: place.get("/livez")[0] == 200)
        said = portal("deploy web.yaml -p 3 --dry-run -j")
        assert said["ok"] is True, said
        app = json.loads(said["out"])
        assert app["instances"] == 3 and app["id"].startswith("ochopod.marathon.web-")
        assert json.loads(app["env"]["OCHOPOD_SPEC"])["files"] == [{"target": "/a/b", "content": "of {{ size }}\n"}]
        said = portal("deploy web.yaml -t 5")
        assert (said["ok"], said["code"]) == (False, 3) and "127.0.0.1:1" in said["out"], said
    finally:
        print(stop(process))


def test_it_says_where_it_runs_why_it_thinks_so_and_what_nobody_reaches(place):
    place.write(GOOD + "ports: [2181, 2888]\n")
    allotted = free_port()
    process = place.start(HOST="127.0.0.1", **{f"PORT_{place.port}": str(allotted), "PORT_2181": "31001"})
    try:
        place.port = allotted  # on the host's own network it binds what it was allotted
        until("it answers", lambda: place.get("/livez")[0] == 200)
        assert json.loads(place.get("/info")[1])["binding"] == "generic"
    finally:
        said = stop(process)
    assert 'binding name=generic because="HOST" ip=127.0.0.1 node=127.0.0.1' in said, said
    assert "port 2888 is in `ports:` and not mapped: others do not reach it" in said, said
    assert "port 2181 is in `ports:`" not in said


@pytest.mark.parametrize("token", [False, True])
def test_who_can_stop_the_pod_without_a_token_is_told_at_its_start(place, token):
    (place.path / "token").write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    (place.path / "token").chmod(0o600)
    place.write(GOOD + (f"token_file: {place.path}/token\n" if token else ""))
    process = place.start()
    try:
        until("it listens there", lambda: place.get("/livez")[0] == 200)
    finally:
        said = stop(process)
    warned = f"control: no token: whoever reaches port {place.port} of 127.0.0.1 can stop this pod" in said
    assert warned != token, said


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


def test_a_spec_that_is_broken_when_a_worker_is_killed_ends_no_sidecar(place):
    """init holds the workload's tether: its end would be the workload's."""
    log = place.path / "log"
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen([SIDECAR], env=place.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        until("it answers", lambda: place.get("/livez")[0] == 200)
        before, worker = json.loads(place.get("/info")[1])["id"], worker_of(place)
        place.write("cluster: [\n")
        os.kill(worker, signal.SIGKILL)
        until("it says what to do", lambda: "mend what it says above" in log.read_text(encoding="utf-8"))
        said = log.read_text(encoding="utf-8")
        assert "pod.yaml:" in said and "what was started before runs on" in said
        place.write(GOOD)
        until("another answers", lambda: place.get("/livez")[0] == 200)
        assert json.loads(place.get("/info")[1])["id"] == before
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(DEADLINE)
        print(log.read_text(encoding="utf-8"))
    assert process.returncode == 0


class Served:
    """A sidecar that leads a cluster of one, beside an engine that answers at once; its workload runs. `named`: in a
    network of its own, where it first has to look its HOST up. `inside`: of a container of that engine's, as far as
    its mounts say, with a stop timeout of 30 s."""

    def __init__(self, place, named, grace, inside, finalize):
        self.path, self.socket, self.log = place.path, place.path / "engine.sock", place.path / "log"
        place.write("cluster: start\ndamper: 0s\ngrace: 2s\n"
                    f"workload: {{image: bench/stamp:1, stop: {{grace: {grace}}}}}\n"
                    f"hooks: {{finalize: {{run: [sh, -c, {finalize}]}}}}\n")
        self.engine = self.spawn("engine.log", [f"{BUILD}/tests/tools/engined", f"unix://{self.socket}"], None)
        until("the engine", self.socket.exists)
        env = {**place.env, "DOCKER_HOST": f"unix://{self.socket}", "OCHOPOD_ZK": "none"}
        place.write("10.9.9.1 named.invalid\n", "hosts")
        network = "ip link set lo up; ip addr add 10.9.9.1/32 dev lo"
        if named:
            env |= {"HOST": "named.invalid", "OCHOPOD_LISTEN": "0.0.0.0", "PATH": os.environ["PATH"]}
            argv = ["unshare", "-mn", "sh", "-ec",
                    f"{network}; mount --bind {place.path}/hosts /etc/hosts; exec {SIDECAR}"]
        elif inside:
            argv = ["unshare", "-m", "sh", "-ec", f"{self.contain()}; exec {SIDECAR}"]
        else:
            env["OCHOPOD_LOCAL"] = "true"
            argv = [SIDECAR]
        self.process = self.spawn("log", argv, env)

    def spawn(self, log, argv, env):
        with open(self.path / log, "w", encoding="utf-8") as out:
            return subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def contain(self):
        body = json.dumps({"Image": "bench/stamp:1", "StopTimeout": 30})
        made = self.ask_engine("/containers/create?name=side", "-HContent-Type: application/json", "-d", body)
        self.ask_engine(f"/containers/{json.loads(made)['Id']}/start", "-XPOST")
        folder = self.path / "containers" / json.loads(made)["Id"]
        folder.mkdir(parents=True)
        (folder / "hostname").write_text("side\n", encoding="ascii")
        return (f"mount --bind {self.path} {self.path}; mount --bind {folder}/hostname /etc/hostname; "
                "mount -o remount,bind,ro /")

    def configured(self):
        until("its workload runs", lambda: "state=settled from=committing" in self.said())
        assert {c["State"] for c in self.containers()} == {"running"}
        return self

    def said(self):
        return self.log.read_text(encoding="utf-8")

    def worker(self):
        """Of init's children the one that leads a session; others are left of one that died."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return [pid for pid in map(int, children.split()) if os.getsid(pid) == pid]

    def kill_worker(self):
        """Returns once init has seen it."""
        seen = self.said().count("worker=ended")
        os.kill(until("there is a worker", self.worker)[0], signal.SIGKILL)
        until("init has seen it", lambda: self.said().count("worker=ended") > seen)

    def ask_engine(self, path, *how):
        return subprocess.run(["curl", "-sSf", *how, "--unix-socket", self.socket, f"http://engine{path}"], check=True,
                              capture_output=True, text=True, timeout=DEADLINE).stdout

    def containers(self):
        return json.loads(self.ask_engine("/containers/json?all=1"))

    def close(self):
        for process in self.process, self.engine:
            if process.poll() is None:
                process.terminate()
                process.wait(DEADLINE)
        print(self.said())


@pytest.fixture
def serve(place):
    started = []

    def one(named=False, grace="60s", inside=False, finalize="true"):
        started.append(Served(place, named, grace, inside, finalize))
        return started[-1].configured()
    yield one
    for it in started:
        it.close()


@pytest.mark.parametrize("named", [False, True])
def test_term_between_two_workers_stops_the_workload_in_good_order(serve, named):
    """The second that dies is followed by a pause of 0.5 s: whoever is started in it by TERM knows nothing yet."""
    served = serve(named=named)
    served.kill_worker()
    served.kill_worker()
    served.process.terminate()
    assert served.process.wait(DEADLINE) == 0, served.said()
    assert served.containers() == []
    assert "stopped in good order" in served.said()


def test_a_short_grace_is_the_workloads_and_not_the_sidecars(serve):
    served = serve(grace="100ms", inside=True, finalize="sleep 3; touch $OCHOPOD_STATE_DIR/finalized")
    assert len(served.containers()) > 1  # its own, too
    served.process.terminate()
    assert served.process.wait(DEADLINE) == 0, served.said()
    assert (served.path / "state" / "finalized").exists(), served.said()


def test_a_workload_that_could_not_be_stopped_in_time_is_3(serve):
    served = serve(grace="100ms")
    workload = served.containers()[0]["Id"]
    served.ask_engine(f"/engined/misbehave?kind=hang&method=POST&path=/containers/{workload}&times=-1", "-XPOST")
    served.process.terminate()
    assert served.process.wait(DEADLINE) == 3, served.said()
    assert [c["State"] for c in served.containers()] == ["running"]
    assert "the time to stop is over; what is left runs" in served.said()


def test_a_workload_whose_engine_is_out_of_reach_at_the_end_is_3(serve):
    served = serve()
    served.engine.terminate()
    served.engine.wait(DEADLINE)
    until("it is seen", lambda: "engine down" in served.said())
    served.process.terminate()
    assert served.process.wait(DEADLINE) == 3, served.said()
    assert "workload does not stop: the Docker engine is out of reach" in served.said()
    assert "in good order" not in served.said()


def test_a_pod_whose_state_is_lost_while_it_runs_has_a_tether_of_its_new_name(serve):
    """Else each holder that it starts finds nobody, and the workload ends with that, every five seconds."""
    served = serve()
    kept = served.path / "state" / "pod.json"

    def pod():
        return json.loads(kept.read_text(encoding="utf-8"))["pod_id"]

    def is_held():
        return f"@ochopod-{pod()}\n" in Path("/proc/net/unix").read_text(encoding="ascii")

    before = pod()
    assert is_held()
    os.rename(kept, served.path / "lost.json")
    served.kill_worker()
    until("it is another pod", kept.exists)
    assert pod() != before
    until("its tether", is_held)


def family(pid):
    """Of it and all that it has forked: {pid and name: command line, and how large a core file may be}."""
    found, todo = {}, [pid]
    while todo:
        of = todo.pop()
        todo += map(int, Path(f"/proc/{of}/task/{of}/children").read_text(encoding="ascii").split())
        limits = Path(f"/proc/{of}/limits").read_text(encoding="ascii")
        core = next(line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size"))
        found[of, Path(f"/proc/{of}/comm").read_text(encoding="utf-8").strip()] = (
            Path(f"/proc/{of}/cmdline").read_bytes(), core)
    return found


def assert_hushed(found, word):
    for who, (line, core) in found.items():
        assert word not in line and b"--zk" in line, f"{who}: {line}"
        assert core == "0", f"{who} may write a core file"


def test_a_password_in_an_argument_is_seen_by_nobody(place):
    """Anybody on the machine may read what a process was started with."""
    process = place.start("--zk", "zk://bob:canary-in-argv@127.0.0.1:1/")
    try:
        until("it answers", lambda: place.get("/livez")[0] == 200)
        found = family(process.pid)
        assert len(found) >= 5, found
        assert_hushed(found, b"canary-in-argv")
    finally:
        said = stop(process)
    assert "canary-in-argv" not in said


def hang(pid):
    """It goes round in one instruction from its present call on, and only a signal gets through: "jump to here"."""
    here = {"x86_64": b"\xeb\xfe", "aarch64": b"\x00\x00\x00\x14"}[os.uname().machine]
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(int(Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()[-1], 16))
        memory.write(here)


@pytest.mark.parametrize("name", ["ochopod-broker", "ochopod-sidecar"])
def test_who_hangs_is_ended_and_all_are_started_anew(place, name):
    """Worker and broker: a timer's signal asks whether the loop still turns (base/watchdog.h)."""
    process = place.start()

    def of_that_name():
        return [pid for pid, comm in family(process.pid) if comm == name and pid != process.pid]

    try:
        until("it answers", lambda: place.get("/livez")[0] == 200)
        before = of_that_name()
        assert len(before) == 1
        until("it waits in a call", lambda: hang(before[0]) is None)
        until("another one", lambda: (now := of_that_name()) and now != before)
        until("it answers again", lambda: place.get("/livez")[0] == 200)
    finally:
        said = stop(process)
    assert "the loop stands still: aborting" in said and said.count("worker=ended") == 1, said


def test_nor_is_one_given_to_ocho(place):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen([f"{BUILD}/ocho", "ls", "--zk", f"zk://bob:canary-in-argv@127.0.0.1:{silent.getsockname()[1]}/"],
                                   env=place.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            silent.settimeout(DEADLINE)
            silent.accept()[0].close()  # it is under way
            assert_hushed(family(process.pid), b"canary-in-argv")
        finally:
            process.kill()
            process.communicate()

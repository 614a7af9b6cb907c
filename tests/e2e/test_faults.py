"""What breaks around a pod, on the real engine: orphans, foreign hands, the kernel, the engine itself, ZooKeeper."""
import json
import os
import signal
import stat
from pathlib import Path

import pytest
from bed import BUSYBOX, four_letters, wait_until
from kazoo.client import KazooClient
from pods import FOREVER, NETWORK, Pod, Pods, epoch_of, worker_of


LONG_SESSIONS = {"ZOO_CFG_EXTRA": "maxSessionTimeout=40000"}  # it grants 20 ticks, which are 10 s, unless told


@pytest.fixture(scope="module")
def meeting(module_bed):
    return Pods(module_bed, **LONG_SESSIONS)


@pytest.fixture
def pods(meeting):
    yield meeting
    meeting.clear()


@pytest.fixture
def zk(meeting):
    client = KazooClient(hosts=f"{meeting.bed.address('coordination')}:2181", timeout=10)
    client.start(timeout=30)
    yield client
    client.stop()
    client.close()


# ---- what is left lying, and what is not ours ----

def test_the_next_sidecar_removes_what_a_lost_one_left_and_nothing_else(pods):
    bed = pods.bed
    lost = pods.run("lost", {})
    lost.until_configured()
    left = bed.ids(f"label=io.ochopod.pod={lost.info['id']}")
    assert len(left) == 2  # workload and holder
    owner = bed.inspect("lost")["Id"]
    decoys = [
        bed.docker("run", "-d", "--name", "ochopod-marathon.lost-decoy-holder", BUSYBOX, *FOREVER),
        bed.docker("run", "-d", "--name", "lost-workload-2", "--label", "io.ochopod.cluster=marathon.lost", BUSYBOX, *FOREVER),
        bed.docker("run", "-d", "--label", "io.ochopods.owner=gone", "--label", "owner=" + owner, BUSYBOX, *FOREVER),
        bed.docker("create", "--label", "com.docker.compose.project=lost", BUSYBOX, "true")]
    volume = bed.docker("volume", "create", "ochopod-decoy")
    bed.docker("rm", "-f", "-v", "lost")
    wait_until("the kernel has ended it", lambda: not [i for i in left if bed.inspect(i)["State"]["Running"]], 60)
    bystander = pods.run("bystander", {})
    wait_until("what it left is gone", lambda: not [i for i in left if i in bed.ids()])
    bystander.until_configured()
    assert all(d in bed.ids() for d in decoys)
    assert [bed.inspect(d)["State"]["Running"] for d in decoys] == [True, True, True, False]
    assert volume in bed.docker("volume", "ls", "-q").split()
    bed.docker("volume", "rm", volume)


def test_a_workload_that_somebody_removes_comes_back(pods):
    pod = pods.run("removed", {"files": [{"target": "/conf/size", "content": "{{ size }}\n"}]})
    pod.until_configured()
    before = pod.started[0]
    pods.bed.docker("rm", "-f", before)
    wait_until("another one runs", lambda: pod.started[0] != before)
    pod.until(process="running", ready=True)
    assert pod.sh("cat /conf/size") == "1"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_workload_that_somebody_stops_is_started_and_never_done(pods, how):
    # It ends with 0 on TERM: the exit of somebody else's stop is not "done".
    pod = pods.run("stopped", {"workload": {"command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]}})
    pod.until_configured()
    before = pod.started
    pods.bed.docker(*(["stop"] if how == "stop" else ["kill", "-s", "TERM"]), before[0])
    wait_until("started again", lambda: pod.started[0] == before[0] and pod.started[1] != before[1])
    pod.until(process="running", ready=True)


def test_out_of_memory_is_said_and_restarted(pods):
    # Again and again: the engine may not watch its memory yet when it ends for the first time.
    hog = "test -e /conf/enough && exec sleep 1000000; sleep 1; x=x; while :; do x=$x$x; done"
    pod = pods.run("hog", {"workload": {"command": ["sh", "-c", hog], "volumes": ["/conf"], "limits": {"memory": "16m"}}})
    wait_until("it is said", lambda: "oom=true" in pod.log(), 180)
    pods.bed.docker("exec", "hog", "touch", "/conf/enough")
    wait_until("it was started again", lambda: pod.info["workload"]["restarts"] >= 1)
    pod.until(process="running", ready=True)


# ---- our own processes ----

def test_a_worker_killed_in_the_middle_of_an_on(pods):
    pod = pods.run("middle", {"hooks": {"configure": {"run": ["sh", "-c", "touch /conf/began; while [ ! -e /conf/go ]; do sleep 0.1; done"]}},
                              "files": [{"target": "/conf/size", "content": "{{ size }}\n"}]})
    wait_until("on has begun", lambda: pods.bed.run("/usr/bin/docker", "exec", "middle", "test", "-e", "/conf/began"))
    worker = worker_of(pods.bed, "middle")
    os.kill(worker, signal.SIGKILL)
    pods.bed.docker("exec", "middle", "touch", "/conf/go")
    wait_until("another worker answers", lambda: worker_of(pods.bed, "middle") != worker and pod.info)
    pod.until_configured()
    assert pod.sh("cat /conf/size") == "1"
    assert len(pod.workloads()) == 1


def test_a_stop_of_the_sidecar_removes_its_workload_and_its_record_at_once(pods, zk):
    pod = pods.run("leaves", {"session": "60s"})
    pod.until_configured()
    info = pod.info
    path = "/ochopod/clusters/marathon.leaves"
    assert len(zk.get_children(f"{path}/pods")) == 1
    pods.bed.docker("stop", "leaves")
    assert pods.bed.inspect("leaves")["State"]["ExitCode"] == 0
    assert not pods.bed.ids(f"label=io.ochopod.pod={info['id']}")
    assert zk.get_children(f"{path}/pods") == []
    assert json.loads(zk.get(f"{path}/snapshot")[0]) == {}


def test_a_second_sidecar_with_a_cloned_state_directory_gives_up(pods):
    bed = pods.bed
    first = pods.run("original", {}, "-v", "original-state:/var/lib/ochopod")
    first.until_configured()
    before = first.started
    bed.docker("run", "--rm", "-v", "original-state:/from:ro", "-v", "cloned-state:/to", BUSYBOX, "sh", "-c", "cp -a /from/. /to/")
    pods.run("clone", {"cluster": "original"}, "-v", "cloned-state:/var/lib/ochopod", started=False)
    wait_until("it has given up", lambda: bed.inspect("clone")["State"]["ExitCode"] == 78
               and not bed.inspect("clone")["State"]["Running"])
    assert first.started == before and first.says(process="running")


def test_a_lost_state_directory_is_a_new_pod(pods):
    bed = pods.bed
    pod = pods.run("forgets", {"session": "5s", "files": [{"target": "/conf/size", "content": "{{ size }}\n"}]}, "-v", "forgets-state:/var/lib/ochopod")
    pod.until_configured()
    info = pod.info
    bed.docker("kill", "-s", "KILL", "forgets")
    bed.docker("run", "--rm", "-v", "forgets-state:/state", BUSYBOX, "sh", "-c", "rm -rf /state/* /state/.[!.]*")
    bed.docker("start", "forgets")
    wait_until("it answers as another", lambda: pod.info["id"] != info["id"])
    pod.until_configured()
    wait_until("one workload is left", lambda: len(bed.ids("label=io.ochopod.role=workload")) == 1)
    assert pod.info["seq"] > info["seq"]


# ---- volumes, images, interfaces ----

@pytest.mark.parametrize("why", ["read-only", "full"])
def test_a_file_that_cannot_be_written_refuses_and_leaves_the_old(pods, why):
    big = "{{ size > 1 and string.rep('x', 200000) or 'small' }}"
    args = {"read-only": ["-v", "readonly:/conf:ro"],
            "full": ["--mount", "type=volume,dst=/conf,volume-driver=local,volume-opt=type=tmpfs,"
                                "volume-opt=device=tmpfs,volume-opt=o=size=64k"]}[why]
    spec = {"files": [{"target": "/conf/main.conf", "content": big}]}
    pod = pods.run("unwritable", dict(spec), *args, volumes=())
    if why == "full":
        pod.until_configured()
        before = pod.started
        pods.run("unwritable-2", {"cluster": "unwritable"})
    assert "check" in pod.until_status("/conf/main.conf")
    if why == "full":
        assert pod.sh("cat /conf/main.conf; ls -A /conf") == "smallmain.conf"
        assert pod.started == before and pod.says(process="running")


def test_an_image_that_does_not_exist_is_said(pods):
    pod = pods.run("absent", {"workload": {"image": "no.such.registry.invalid/thing:1"}})
    pod.until_status("no.such.registry.invalid/thing:1")
    assert pod.info["process"] == "stopped" and pod.get("/livez")[0] == 200


def test_two_networks_and_the_one_that_is_named(pods):
    bed = pods.bed
    bed.docker("network", "create", "other")
    try:
        pod = pods.run("two", {})
        bed.docker("network", "connect", "other", "two")
        pod.until_configured()
        networks = bed.inspect("two")["NetworkSettings"]["Networks"]
        assert pod.info["ip"] in [n["IPAddress"] for n in networks.values()]
        assert pod.post("/reset")[0] == 200
        pod.until_configured()
        assert pod.info["ip"] == networks[NETWORK]["IPAddress"]
    finally:
        bed.docker("network", "disconnect", "-f", "other", "two")
        bed.docker("network", "rm", "other")


# ---- ZooKeeper ----

def nodes(bed, work):
    """What `work` answers of a client of its own, whose session is none of those that an outage ends."""
    client = KazooClient(hosts=f"{bed.address('coordination')}:2181", timeout=10)
    client.start(timeout=30)
    try:
        return work(client)
    finally:
        client.stop()
        client.close()


def test_zookeeper_away_for_less_than_the_session(pods):
    """Until the sidecar has drawn its conclusions from the silence, after two thirds of the session, and no longer."""
    pod = pods.run("brief", {"session": "40s"})  # the last third of it is for a machine that is busy
    pod.until_configured()
    path = "/ochopod/clusters/marathon.brief"

    def found(zk):
        [name] = zk.get_children(f"{path}/pods")
        stat = zk.exists(f"{path}/pods/{name}")
        assert stat.ephemeralOwner
        return name, stat.czxid, stat.ephemeralOwner

    def seen():
        info = pod.info
        return (nodes(pods.bed, found), nodes(pods.bed, lambda zk: epoch_of(zk, "brief")), pod.started, info["id"], info["seq"],
                info["generation"], info["workload"]["restarts"])

    before = seen()
    pods.bed.docker("pause", "coordination")
    try:
        wait_until("it decides nothing", lambda: "leader marathon.brief state=suspended" in pod.log() and not pod.info["attached"])
        assert pod.info["process"] == "running"
    finally:
        pods.bed.docker("unpause", "coordination")
    wait_until("attached", lambda: pod.info["attached"])
    pod.until_configured()
    assert seen() == before


def test_zookeeper_away_for_longer_than_the_session(pods, zk):
    pod = pods.run("long", {"session": "5s"})
    pod.until_configured()
    before, seq = pod.started, pod.info["seq"]
    epoch = epoch_of(zk, "long")
    pods.bed.docker("pause", "coordination")
    try:
        wait_until("detached", lambda: not pod.info["attached"], 60)
        code, said = pod.post("/control/check", body="{}", headers={"X-Ochopod-Epoch": epoch, "X-Ochopod-Round": "99"})
        assert code == 409, said
        assert pod.info["process"] == "running"
        assert pod.code("/control/off") == 200
        assert pod.code("/control/on") == 200
        again = pod.started
    finally:
        pods.bed.docker("unpause", "coordination")
    wait_until("attached", lambda: pod.info["attached"])
    pod.until_configured()
    assert before[0] == again[0] and pod.started == again
    assert pod.info["seq"] == seq


def test_an_empty_zookeeper_in_its_place_is_a_new_tree(pods):
    """All that it held is gone, under a cluster that runs: it forms again, and what ran runs on."""
    bed, path = pods.bed, "/ochopod/clusters/marathon.wiped"
    spec = {"cluster": "wiped", "session": "5s", "damper": "5s", "needs": {"pods": 2},
            "files": [{"target": "/conf/size", "content": "{{ size }}\n"}]}

    def ages(zk):
        zk.ensure_path("/aged")
        for _ in range(300):
            zk.set("/aged", b"")

    nodes(bed, ages)  # so that the old tree's epochs are the higher ones
    two = [pods.run(f"wiped-{i}", dict(spec)) for i in (1, 2)]
    for pod in two:
        pod.until_configured(2)
    before = [(pod.started, pod.info["id"], pod.info["seq"]) for pod in two]
    old = nodes(bed, lambda zk: epoch_of(zk, "wiped"))
    volumes = bed.volumes()
    bed.docker("rm", "-f", "-v", "coordination")
    assert bed.volumes() < volumes  # its data too
    bed.coordination(NETWORK, **LONG_SESSIONS)

    def formed(zk):
        tree, members = zk.get(f"{path}/tree")[0].decode(), zk.get_children(f"{path}/pods")
        assert zk.get(f"{path}/hash")[0] and len(json.loads(zk.get(f"{path}/snapshot")[0])) == 2
        return (tree, epoch_of(zk, "wiped")) if len(members) == 2 else None

    tree, new = wait_until("a round of the two in the new tree", lambda: nodes(bed, formed), every=0.5)
    assert tree != old.split("/")[0]
    assert int(new.split("/")[1]) < int(old.split("/")[1])  # by numbers alone nobody would follow it
    for pod in two:
        wait_until(f"{pod.name} is back", lambda at=pod: at.info["attached"])
        pod.until_configured(2)
        assert pod.post("/control/off", body="{}", headers={"X-Ochopod-Epoch": old, "X-Ochopod-Round": "1000"})[0] == 409
    assert [(pod.started, pod.info["id"], pod.info["seq"]) for pod in two] == before
    assert sum(pod.info["state"].startswith("leader") for pod in two) == 1
    # And they obey its leader: what is new is a round, which starts each of them once.
    third = pods.run("wiped-3", dict(spec))
    for pod in (*two, third):
        pod.until_configured(3)
        assert pod.sh("cat /conf/size") == "3"
    assert [pod.started[0] for pod in two] == [started[0] for started, _, _ in before]
    assert all(pod.workload["State"]["StartedAt"] != started[1] for pod, (started, _, _) in zip(two, before))


def test_a_pod_that_the_leader_does_not_reach_is_named_and_nobody_is_touched(pods):
    bed, spec = pods.bed, {"cluster": "shut", "session": "10s", "files": [{"target": "/conf/size", "content": "{{ size }}\n"}]}
    two = leader, shut = [pods.run(f"shut-{i}", dict(spec)) for i in (1, 2)]
    for pod in two:
        pod.until_configured(2)
    assert leader.info["state"].startswith("leader")
    before = [(pod.started, pod.info["generation"]) for pod in two]
    # Of all that others may send it, it refuses what comes from the leader.
    network = f"--net=/proc/{bed.inspect('shut-2')['State']['Pid']}/ns/net"
    rule = ["INPUT", "-p", "tcp", "-s", bed.address("shut-1"), "--dport", "8080", "-j", "REJECT", "--reject-with", "tcp-reset"]
    bed.run("/usr/bin/nsenter", network, "iptables", "-w", "-I", *rule)
    third = pods.run("shut-3", dict(spec))
    said = leader.until_status("cannot be reached for check")
    assert f"shut #{shut.info['seq']} cannot be reached for check" in said
    assert [(pod.started, pod.info["generation"]) for pod in two] == before
    assert not third.workloads(all_=False)
    assert all(pod.says(process="running", ready=True) for pod in two) and [pod.sh("cat /conf/size") for pod in two] == ["2", "2"]
    bed.run("/usr/bin/nsenter", network, "iptables", "-w", "-D", *rule)
    for pod in (*two, third):
        pod.until_configured(3)
        assert pod.sh("cat /conf/size") == "3"


# ---- fencing ----

def test_who_is_not_the_leader_of_now_is_not_heard(pods, zk):
    pod = pods.run("fenced", {})
    pod.until_configured()
    before, info = pod.started, pod.info
    tree, czxid = epoch_of(zk, "fenced").split("/")
    body = zk.get("/ochopod/clusters/marathon.fenced/proposal")[0]

    def says(epoch, number=99, target=info["id"], task="off"):
        return pod.post(f"/control/{task}", body=body, headers={
            "X-Ochopod-Epoch": epoch, "X-Ochopod-Round": str(number), "X-Ochopod-Target": target})[0]

    assert says(f"{tree}/{int(czxid) - 1}") == 412
    assert says(f"{'0' * 8}-0000-4000-8000-{'0' * 12}/{int(czxid) + 9}") == 409  # a tree that is not ours
    assert says(f"{tree}/{czxid}", target="another") == 421
    assert says(tree) == 400
    assert pod.post("/control/off", body=body)[0] == 412  # an original leader's, and no original pod is there
    assert pod.started == before and pod.says(process="running")


def test_a_frozen_leader_that_wakes_changes_nothing(pods, zk):
    """It is stopped in the middle of a round, for longer than its session; another pod leads meanwhile."""
    gate = {"can_configure": {"run": ["sh", "-c", "while [ -e /conf/shut ]; do sleep 0.1; done"]}}
    spec = {"cluster": "frozen", "session": "5s", "hooks": gate, "workload": {"volumes": ["/conf"]}}
    old = pods.run("frozen-1", dict(spec))
    old.until_configured()
    new = pods.run("frozen-2", dict(spec))
    new.until_configured(2)
    assert old.info["state"].startswith("leader") and new.info["state"] == "follower"
    epoch = epoch_of(zk, "frozen")
    before, generation = new.started, new.info["generation"]
    new.sh("touch /conf/shut")
    third = pods.run("frozen-3", {"cluster": "frozen", "session": "5s"})
    wait_until("the round waits for the second", lambda: "configuring" in old.info["state"])
    worker = worker_of(pods.bed, "frozen-1")
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_until("another one leads", lambda: any(p.info["state"].startswith("leader") for p in (new, third)))
        new.sh("rm /conf/shut")
        third.until_configured(2)
        wait_until("a round of the two", lambda: new.info["generation"] > generation)
    finally:
        os.kill(worker, signal.SIGCONT)
    for pod in (old, new, third):
        pod.until_configured(3)
    assert new.started == before
    assert new.post("/control/off", body="{}", headers={"X-Ochopod-Epoch": epoch, "X-Ochopod-Round": "1000"})[0] == 412
    assert new.says(process="running")


# ---- the engine ----

ENDS_WELL = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


@pytest.fixture
def plain_engine(pods):
    """Ends with the engine as it was, whatever options a test gave it."""
    yield pods.bed
    pods.clear()
    pods.bed.engine("stop")
    pods.bed.engine("start")
    wait_until("coordination serves", lambda: "Mode: " in four_letters(pods.bed.address("coordination"), "srvr"))


@pytest.mark.parametrize("way", ["kill", "kill, then --live-restore", "stop"])
def test_the_engine_goes_and_comes(pods, plain_engine, way):
    bed = plain_engine
    pod = pods.run("engine", {"workload": {"command": ENDS_WELL, "volumes": ["/conf"]}, "session": "5s"},
                   # By its folder: dockerd makes its socket anew, and a mount of the file would stay with the old one.
                   "--restart", "always", "-v", f"{os.path.dirname(bed.socket)}:/engine:ro",
                   env={"DOCKER_HOST": "unix:///engine/docker.sock"})
    pod.until_configured()
    pod.sh("echo kept >/conf/mark")
    id_, before, address = pod.info["id"], pod.started, bed.address("engine")
    bed.engine("stop" if way == "stop" else "kill")
    if way != "stop":
        away = Pod(pods, "engine", address)
        wait_until("it has noticed", lambda: away.info["docker"] == "down")
        assert away.get("/livez")[0] == 200
        assert away.code("/control/on") == 503
    bed.engine("start", *(["--", "--live-restore"] if "live" in way else []))
    wait_until("it answers", lambda: pod.info["docker"] == "up")
    pod.until(process="running", ready=True, id=id_)
    assert pod.info["process"] != "dead"
    assert pod.sh("cat /conf/mark") == "kept"
    if "live" in way:
        assert pod.started == before


# ---- the sidecar's own processes, as the kernel shows them ----

USER = "65525"
FILES = 1 << 0 | 1 << 1 | 1 << 3  # CHOWN, DAC_OVERRIDE, FOWNER
INIT = FILES | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8  # and KILL, SETGID, SETUID, SETPCAP


@pytest.fixture
def socket(pods):
    """The engine's, given back as it was."""
    path, before = Path(pods.bed.socket), os.stat(pods.bed.socket)
    yield path
    os.chown(path, before.st_uid, before.st_gid)
    path.chmod(stat.S_IMODE(before.st_mode))


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}


def processes(bed, name):
    """Their status by name: init, its worker and what that forked."""
    init, worker = bed.inspect(name)["State"]["Pid"], worker_of(bed, name)
    others = map(status_of, Path(f"/proc/{worker}/task/{worker}/children").read_text(encoding="ascii").split())
    found = {s["Name"][0].removeprefix("ochopod-"): s for s in others}
    assert set(found) == {"broker", "names", "runner"}, set(found)
    return {"init": status_of(init), "worker": status_of(worker), **found}


def is_like(status, user, group, capabilities):
    said = {key: status[key] for key in ("Uid", "Gid", "CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")}
    mask, none = [f"{capabilities:016x}"], ["0" * 16]
    assert said == {"Uid": [user] * 4, "Gid": [str(group)] * 4, "CapPrm": mask, "CapEff": mask, "CapBnd": mask,
                    "CapInh": none, "CapAmb": none}, (status["Name"], said)
    assert user == "0" or status["Groups"] == [], (status["Name"], status["Groups"])


def until_they_are(bed, name, broker_user, broker_group, shake=lambda: None):
    def so():
        shake()
        found = processes(bed, name)
        for process in ("worker", "names"):
            is_like(found[process], USER, USER, 0)
        is_like(found["broker"], broker_user, broker_group, 0)
        is_like(found["runner"], "0", 0, FILES)
        is_like(found["init"], "0", 0, INIT)
        assert all(s["NoNewPrivs"] == ["1"] and s["Seccomp"] == ["2"] for n, s in found.items() if n != "init"), found
        return True

    wait_until(f"{name}: worker and names left root, and the broker is {broker_user}:{broker_group}", so, 120)


def test_who_speaks_with_others_is_not_root_and_it_all_works(pods, socket):
    """The socket's group is one that nobody has; then another one, as an engine's start may give it, so that the broker
    chooses again; then none. Around it a life: hooks, files with an owner, execs, a round, a stop."""
    bed = pods.bed
    os.chown(socket, 0, 4321)
    socket.chmod(0o660)
    pod = pods.run("left", {
        "workload": {"command": ENDS_WELL, "volumes": ["/conf"]},
        "files": [{"target": "/conf/owned", "content": "{{ size }}\n", "owner": "7:8", "mode": "0640"}],
        "tools": {"say": {"exec": ["echo", "said"]}},
        "hooks": {"configure": {"run": ["sh", "-c", "id -u >/conf/user; echo '{}'"]},
                  "configured": {"exec": ["sh", "-c", "echo executed >/conf/executed"]}}})
    pod.until_configured()
    until_they_are(bed, "left", USER, 4321)
    assert "stays root" not in pod.log() and "keep their user" not in pod.log()
    assert pod.sh("stat -c '%u:%g %a' /conf/owned; cat /conf/user").split() == ["7:8", "640", "0"]
    wait_until("a hook was executed in the workload", lambda: pod.sh("cat /conf/executed") == "executed")
    assert "said" in bed.docker("exec", "left", "ocho", "exec", "left", "--force", "say")
    assert "state=running" in bed.docker("exec", "left", "ocho", "log", "-l", "left")

    def asks():  # so that it is noticed at once
        try:
            pod.post("/exec", headers={"X-Shell": "say"}, timeout=5)
        except OSError:
            pass

    before = pod.started
    os.chown(socket, 0, 4322)
    until_they_are(bed, "left", USER, 4322, asks)
    assert "broker ends, to choose its user again: its group 4321" in pod.log()
    socket.chmod(0o600)
    until_they_are(bed, "left", "0", 0, asks)
    assert "broker stays root: the group of /var/run/docker.sock may not read and write it (mode 0600)" in pod.log()
    pod.until(120, process="running", ready=True, docker="up")
    assert pod.started == before  # it ran on

    wait_until("off", lambda: pod.code("/control/off") == 200)
    wait_until("on", lambda: pod.code("/control/on") == 200)
    pod.until(process="running", ready=True)
    assert pod.started != before
    bed.docker("stop", "-t", "60", "left")
    assert bed.inspect("left")["State"]["ExitCode"] == 0
    assert "stopped in good order" in pod.log()


def test_without_the_capabilities_all_stay_root(pods):
    pod = pods.run("few", {}, "--cap-drop", "ALL")
    pod.until_configured()
    assert all(s["Uid"] == ["0"] * 4 for s in processes(pods.bed, "few").values())
    assert "keep their user: the container lacks one of the capabilities KILL, SETGID and SETUID" in pod.log()
    pods.bed.docker("stop", "-t", "60", "few")
    assert "stopped in good order" in pod.log()

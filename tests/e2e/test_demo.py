"""compose/demo as a user runs it, and what may happen to it: every process killed, the cluster scaled, and a writer
that loses nothing through all of it. The tests of this module share one cluster and leave it with three pods."""
import os
import re
import signal
import tempfile
from pathlib import Path

import pytest
from bed import DOCKER, ENGINE, SIDECAR, TOP, ZOOKEEPER, Writer, four_letters, wait_until
from ensemble import Ensemble

DEMO = TOP / "compose/demo"
COORDINATION = "ochopod-demo-coordination"
ROW = re.compile(r"^(marathon\.zookeeper#\d+) +(\w+) +\S+( \S+)* +(\d+\.\d+\.\d+\.\d+):2181 +(leader|follower)$", re.M)


def demo(bed, *args, check=True, **env):
    return bed.run(DEMO, *args, check=check, env={"ZOOKEEPER_IMAGE": ZOOKEEPER, **env}, timeout=1800)


def rows(text):
    return [(m[1], m[2], m[5]) for m in ROW.finditer(text)]


@pytest.fixture(scope="module")
def cluster(module_bed):
    said = demo(module_bed).stdout
    ensemble = Ensemble(module_bed, "ochopod-demo")
    ensemble.said = said
    yield ensemble
    demo(module_bed, "down", check=False)


@pytest.fixture
def three(cluster):
    """Three pods that agree, before and after."""
    cluster.wait(3)
    yield cluster
    cluster.wait(3)


@pytest.fixture
def writer(three):
    """Writes while the test does its worst; afterwards every acknowledged write is on every server."""
    with Writer(three.hosts) as w:
        w.goes_on()
        yield w
        w.goes_on()
        three.wait(3)
        lost = w.missing()
    assert lost == {}, f"of {len(w.acknowledged)} acknowledged writes these are missing: {lost}"


def kill(bed, container, role=None):
    """SIGKILL to the container's first process, or to a child of it, from outside: as the kernel would."""
    pid = bed.inspect(container)["State"]["Pid"]
    if role == "worker":
        children = open(f"/proc/{pid}/task/{pid}/children", encoding="ascii").read().split()
        assert children, "the sidecar's first process has no worker"
        pid = int(children[0])
    os.kill(pid, signal.SIGKILL)
    return pid


def test_it_ends_with_a_table_of_one_leader_and_two_followers(cluster):
    table = rows(cluster.said)
    assert len(table) == 3, cluster.said
    assert [process for _, process, _ in table] == ["running"] * 3
    assert sorted(role for _, _, role in table) == ["follower", "follower", "leader"]
    # A pod whose answer was late is told of again when it comes.
    told = {line for line in cluster.said.splitlines() if line.endswith(": running")}
    assert len(told) == 3, cluster.said


def test_its_workloads_hold_nothing_of_ours(three):
    """The unmodified image: nothing but environment, volumes and network is different."""
    for workload in three.workloads():
        c = three.bed.inspect(workload)
        assert c["Config"]["Image"] == ZOOKEEPER
        assert c["Config"]["Entrypoint"] == ["/docker-entrypoint.sh"]
        assert c["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
        assert not any("docker.sock" in m.get("Source", "") for m in c["Mounts"])


def test_what_the_image_ships_lies_beside_what_we_wrote(three):
    for workload in three.workloads():
        there = three.bed.docker("exec", workload, "ls", "/conf").split()
        assert {"zoo.cfg", "log4j.properties", "configuration.xsl"} <= set(there)


def test_run_again_it_disturbs_nothing(three):
    before = three.started()
    assert len(rows(demo(three.bed).stdout)) == 3
    assert three.started() == before


def test_status_prints_the_table(three):
    wait_until("it has three rows", lambda: len(rows(demo(three.bed, "status").stdout)) == 3)


def test_logs_show_sidecars_and_servers(three):
    said = demo(three.bed, "logs").stdout
    assert "state=running" in said
    assert "QuorumPeer" in said


def test_grows_to_five_and_shrinks_to_three_and_loses_no_write(three, writer):
    assert len(rows(demo(three.bed, "scale", "5").stdout)) == 5
    writer.goes_on()
    assert len(rows(demo(three.bed, "scale", "3").stdout)) == 3


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_killed_server_comes_back_and_no_write_is_lost(three, writer, which):
    lead = three.leader()[0]
    sidecar = lead if which == "leader" else next(s for s in three.sidecars() if s != lead)
    workload = three.workload(sidecar)
    before = three.bed.inspect(workload)["State"]["StartedAt"]
    kill(three.bed, workload)
    wait_until("the server was started again",
               lambda: three.bed.inspect(three.workload(sidecar))["State"]["StartedAt"] > before)
    three.wait(3)


def test_a_killed_worker_finds_its_server_and_leaves_it_alone(three, writer):
    before = three.started()
    sidecar = three.sidecars()[0]
    dead = kill(three.bed, sidecar, "worker")
    init = three.bed.inspect(sidecar)["State"]["Pid"]

    def back():
        children = open(f"/proc/{init}/task/{init}/children", encoding="ascii").read().split()
        return children and str(dead) not in children

    wait_until("init has started another worker", back)
    wait_until("its control port says ready", lambda: three.bed.docker("exec", sidecar, "ocho", "health") is not None)
    assert three.started() == before


@pytest.mark.parametrize("number", [0, 2])
def test_a_killed_sidecar_comes_back_with_its_server_and_data(three, writer, number):
    sidecar = three.sidecars()[number]
    kill(three.bed, sidecar)
    wait_until("Docker has started it again", lambda: three.bed.inspect(sidecar)["RestartCount"] > 0
               and three.bed.inspect(sidecar)["State"]["Running"])
    three.wait(3)


def test_coordination_killed_no_server_notices(three, writer):
    before = three.started()
    kill(three.bed, COORDINATION)
    wait_until("Docker has started it again", lambda: three.bed.inspect(COORDINATION)["RestartCount"] > 0)
    wait_until("it serves", lambda: "Mode: " in four_letters(three.bed.address(COORDINATION), "srvr"))
    wait_until("all pods are registered again",
               lambda: len(rows(demo(three.bed, "status", check=False).stdout)) == 3)
    assert three.started() == before


def test_dockerd_killed_and_started_all_come_back(three, writer):
    three.bed.engine("kill")
    three.bed.engine("start")
    three.wait(3)
    wait_until("the pods say so", lambda: len(rows(demo(three.bed, "status", check=False).stdout)) == 3)


# Default capabilities, through the root of every process and every mount.
LOOK = r"""
    for root in / /proc/[0-9]*/root/ $(awk '{ print $5 }' /proc/self/mountinfo); do
        find "$root" -xdev \( -type s -o -path '*/etc/ochopod*' -o -path '*/var/lib/ochopod*' \) 2>/dev/null
    done
    awk '{ print $4, $5 }' /proc/self/mountinfo
    for e in /proc/[0-9]*/environ; do tr '\0' '\n' <$e; done 2>/dev/null
    true
"""


def test_root_in_a_server_finds_no_engine_socket(three):
    """Not one socket file, no file of the sidecar, nothing of its environment."""
    for workload in three.workloads():
        said = three.bed.docker("exec", "-u", "0", workload, "bash", "-c", LOOK)
        assert " /data" in said and "ZOO_CONF_DIR" in said, "nothing was looked at"
        for word in ("sock", "/etc/ochopod", "/var/lib/ochopod", "OCHOPOD", "ochopod_"):
            assert word not in said, f"{word} is seen from inside {workload}: {said}"


def test_root_beside_a_sidecar_would_find_it(three):
    """What the test above looks with sees a socket where there is one: in the sidecar's own process namespace."""
    sidecar = three.sidecars()[0]
    said = three.bed.docker("run", "--rm", "--pid", f"container:{sidecar}", "-v", f"{three.bed.socket}:/run/engine.sock",
                            "--entrypoint", "bash", ZOOKEEPER, "-c", LOOK)
    assert "/run/engine.sock" in said


def test_a_bad_number_is_refused_and_changes_nothing(three):
    before = three.started()
    for n in ("0", "2", "many", ""):
        done = demo(three.bed, "scale", n, check=False)
        assert done.returncode != 0
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert three.started() == before


@pytest.mark.parametrize("case", ["no such image", "no server", "no engine"])
def test_a_failure_is_one_line_and_leaves_nothing(bed, case):
    """After the module's cluster: each starts from nothing and must end there."""
    env = {
        "no such image": {"ZOOKEEPER_IMAGE": "nowhere.invalid/zookeeper:0"},
        "no server": {"ZOOKEEPER_IMAGE": "ochopod/busybox:1"},
        "no engine": {"DOCKER_HOST": "unix:///nowhere/docker.sock"},
    }[case]
    done = demo(bed, check=False, **env)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("demo: ")
    assert bed.ids() == []
    assert bed.volumes() == set()
    assert "ochopod-demo" not in bed.docker("network", "ls", "--format", "{{.Name}}")


def test_down_leaves_no_container_volume_or_network(bed):
    demo(bed)
    demo(bed, "down")
    assert bed.ids() == []
    assert bed.volumes() == set()
    assert "ochopod-demo" not in bed.docker("network", "ls", "--format", "{{.Name}}")
    done = demo(bed, "status", check=False)
    assert done.returncode != 0 and "compose/demo starts it" in done.stderr


def test_help_needs_no_engine(bed):
    done = demo(bed, "--help", DOCKER_HOST="unix:///nowhere/docker.sock")
    for verb in ("scale", "status", "logs", "down"):
        assert verb in done.stdout


def test_without_an_engine_it_starts_one_of_its_own_and_takes_it_down(bed):
    """A machine with no engine: a mount namespace without /run/docker.sock, a network namespace without networks. The
    images are handed over, since nothing is in reach from there."""
    own = tempfile.mkdtemp(prefix="ochopod-own.", dir="/tmp")
    saved = Path(own + ".images.tar")
    script = f"""
        mount -t tmpfs none /run && ip link set lo up
        unset DOCKER_HOST
        export OCHOPOD_DEMO_DIR={own} ZOOKEEPER_IMAGE={ZOOKEEPER}
        {ENGINE} host {own}
        DOCKER_HOST=unix://{own}/docker.sock {DOCKER} load -q -i {saved}
        {ENGINE} stop {own}
        {DEMO}
        {DEMO} status
        {DEMO} down
        test ! -e {own}/pid
        {DEMO} down --purge
        test ! -e {own}
    """
    try:
        bed.docker("save", "-o", saved, ZOOKEEPER, SIDECAR, "debian:bookworm-slim")
        said = bed.run("unshare", "--mount", "--net", "bash", "-eu", "-c", script, timeout=1800).stdout
    finally:
        saved.unlink(missing_ok=True)
        bed.run(ENGINE, "destroy", own, check=False)
    assert "no Docker engine answers: starting one" in said
    assert len(rows(said)) == 6

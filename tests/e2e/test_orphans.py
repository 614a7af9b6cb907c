"""A sidecar that is killed hard, under Marathon's stand-in and under compose: its workload ends with it, and the next
sidecar on that host removes what lies about."""
import os
import signal

import pytest
from bed import BUSYBOX, wait_until
from marathon import Marathon, Tasks, nothing_is_left, sidecar_app, things


def lone(**more):
    """One pod that needs nobody, with an anonymous volume that it shares with its workload."""
    spec = {"cluster": "lone", "zk": "none",
            "workload": {"image": BUSYBOX, "command": ["sleep", "1000000"], "volumes": ["/data"],
                         "stop": {"grace": "20s"}}}
    return sidecar_app("lone", spec, volumes=("/data",), mem=64, **more)


def kill_init(bed, sidecar):
    os.kill(sidecar["State"]["Pid"], signal.SIGKILL)


def docker_kill(bed, sidecar):
    bed.docker("kill", sidecar["Id"])


def docker_rm(bed, sidecar):
    bed.docker("rm", "-f", "-v", sidecar["Id"])


def ours(bed, owner):
    return bed.ids(f"label=io.ochopod.owner={owner}")


@pytest.mark.parametrize("delay", ["3600", "0"])
@pytest.mark.parametrize("end", [kill_init, docker_kill, docker_rm])
def test_a_task_killed_hard_leaves_nothing(bed, end, delay):
    """Also while Mesos keeps the sidecar's exited container, as it does for hours."""
    before = things(bed)
    with Marathon(bed, "--docker_remove_delay", delay) as marathon:
        marathon.do("POST", "/v2/apps", lone())
        tasks = Tasks(marathon, "lone")
        first, = wait_until("a task runs", tasks.all)
        wait_until("its workload runs", lambda: tasks.workload(first)["State"]["Running"])
        sidecar, workload = marathon.container(first), tasks.workload(first)
        assert len(ours(bed, sidecar["Id"])) == 2, "a workload and its holder"
        names = [bed.inspect(c)["Name"] for c in ours(bed, sidecar["Id"])]
        assert not any(n.startswith("/mesos-") for n in names), f"an agent's recovery would remove {names}"
        end(bed, sidecar)
        wait_until("the kernel has ended the workload",
                   lambda: not bed.ids(f"id={workload['Id']}", "status=running"))
        second, = wait_until("another task runs", lambda: [t for t in tasks.all() if t["id"] != first["id"]])
        wait_until("its workload runs", lambda: tasks.workload(second)["State"]["Running"])
        wait_until("it has removed what lay about", lambda: not ours(bed, sidecar["Id"]))
        if delay == "3600" and end is not docker_rm:
            assert bed.ids(f"id={sidecar['Id']}"), "the sidecar's own container is Mesos's"
        else:
            data = [m["Name"] for m in workload["Mounts"] if m["Type"] == "volume"]
            wait_until("its volumes are gone", lambda: not set(data) & bed.volumes())
        marathon.do("DELETE", "/v2/apps/lone")
        marathon.settle()
    nothing_is_left(bed, before)


COMPOSE = """
services:
  lone:
    image: ochopod/sidecar:latest
    stop_grace_period: 30s
    environment:
      OCHOPOD_SPEC: |
        {"cluster": "lone", "zk": "none", "workload": {"image": "ochopod/busybox:1", "command": ["sleep", "1000000"],
         "volumes": ["/data"], "stop": {"grace": "20s"}}}
    volumes:
      - /data
      - ${DOCKER_SOCK}:/var/run/docker.sock
"""


@pytest.mark.parametrize("end", [kill_init, docker_kill])
def test_under_compose_the_workload_ends_with_its_sidecar_and_both_come_back(bed, tmp_path, end):
    """The pod is the same then, with its data; `down -v` leaves nothing."""
    (tmp_path / "docker-compose.yml").write_text(COMPOSE, encoding="utf-8")

    def compose(*words):
        bed.run("docker-compose", "-p", "orphans", *words, cwd=tmp_path)

    def workload(sidecar):
        return bed.inspect(bed.ids("label=io.ochopod.role=workload", f"label=io.ochopod.owner={sidecar}")[0])

    before = things(bed)
    compose("up", "-d")
    sidecar, = bed.ids("label=com.docker.compose.project=orphans")
    wait_until("the workload runs", lambda: workload(sidecar)["State"]["Running"])
    first = workload(sidecar)
    bed.docker("exec", first["Id"], "sh", "-c", "echo kept > /data/file")
    end(bed, bed.inspect(sidecar))
    wait_until("the kernel has ended it", lambda: not bed.ids(f"id={first['Id']}", "status=running"))
    compose("up", "-d")
    wait_until("it runs again", lambda: workload(sidecar)["State"]["Running"])
    assert bed.docker("exec", workload(sidecar)["Id"], "cat", "/data/file") == "kept"
    compose("down", "-v")
    nothing_is_left(bed, before)


def test_under_compose_the_next_sidecar_removes_what_lies_about(bed, tmp_path):
    """One sidecar is killed and removed; another of the same service is started on that host."""
    (tmp_path / "docker-compose.yml").write_text(COMPOSE, encoding="utf-8")
    bed.run("docker-compose", "-p", "orphans", "up", "-d", cwd=tmp_path)
    sidecar, = bed.ids("label=com.docker.compose.project=orphans")
    wait_until("it has a workload and a holder", lambda: len(ours(bed, sidecar)) == 2)
    bed.docker("kill", sidecar)
    bed.docker("rm", "-v", sidecar)
    wait_until("nothing of it runs", lambda: not bed.ids(f"label=io.ochopod.owner={sidecar}", "status=running"))
    assert len(ours(bed, sidecar)) == 2
    bed.run("docker-compose", "-p", "orphans", "up", "-d", cwd=tmp_path)
    wait_until("it is removed", lambda: not ours(bed, sidecar))
    bed.run("docker-compose", "-p", "orphans", "down", "-v", cwd=tmp_path)
    wait_until("no container is left", lambda: not bed.ids())

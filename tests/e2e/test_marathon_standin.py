"""The stand-in of Marathon itself, on the real engine: tasks are containers as a Mesos agent makes them."""
import json

import pytest
from bed import BUSYBOX, wait_until
from marathon import Marathon

SLEEP = ["sleep", "1000000"]


@pytest.fixture
def marathon(bed):
    with Marathon(bed, "--docker_remove_delay", "0.5", "--zk", "zk://one:2181/mesos") as running:
        yield running


def old_shape(**more):
    """As Ochothon sends it, from before Marathon 1.5."""
    return {"id": "group/web", "instances": 1, "cpus": 0.1, "mem": 32, "args": SLEEP,
            "container": {"type": "DOCKER", "docker": {
                "image": BUSYBOX, "network": "BRIDGE", "forcePullImage": True,
                "portMappings": [{"containerPort": 8080}, {"containerPort": 9000, "hostPort": 31500}]},
                "volumes": [{"containerPath": "/etc/mesos", "hostPath": "/etc/mesos", "mode": "RO"}]}, **more}


def gone(bed):
    return not bed.ids("name=^/mesos-")


def test_a_task_is_a_container_as_a_mesos_agent_makes_it(bed, marathon):
    parameters = [{"key": "stop-timeout", "value": "7"}, {"key": "volume", "value": "/data"},
                  {"key": "label", "value": "colour=blue"}]
    app = old_shape(taskKillGracePeriodSeconds=0, labels={"team-a": "x"}, env={"PORT_9000": "mine"})
    app["container"]["docker"]["parameters"] = parameters
    said = marathon.do("POST", "/v2/apps", app, codes=(201,))
    assert said["networks"] == [{"mode": "container/bridge"}] and "network" not in said["container"]["docker"]
    marathon.settle()
    task, = marathon.tasks("group/web")
    seen = marathon.container(task)
    env = dict(line.split("=", 1) for line in seen["Config"]["Env"])
    assert seen["Name"].startswith("/mesos-") and env["MESOS_CONTAINER_NAME"] == seen["Name"][1:]
    assert seen["Config"]["StopTimeout"] == 7 and seen["Config"]["Labels"]["colour"] == "blue"
    assert env["MESOS_TASK_ID"] == task["id"] and task["id"].startswith("group_web.instance-")
    assert env["MARATHON_APP_ID"] == "/group/web" and env["MARATHON_APP_LABEL_TEAM_A"] == "x"
    assert env["HOST"] == task["host"] == "198.18.0.1"
    assert env["PORT_8080"] == env["PORT0"] == str(task["ports"][0]) and 31000 <= task["ports"][0] <= 32000
    assert env["PORTS"] == f"{task['ports'][0]},31500" and env["PORT_9000"] == "mine"
    published = seen["HostConfig"]["PortBindings"]
    assert published["8080/tcp"][0]["HostPort"] == str(task["ports"][0])
    assert published["9000/tcp"][0]["HostPort"] == "31500"
    assert seen["HostConfig"]["Memory"] == 32 << 20 and seen["HostConfig"]["CpuShares"] == 102
    assert {m["Destination"] for m in seen["Mounts"]} == {"/data", "/etc/mesos", "/mnt/mesos/sandbox"}
    assert seen["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    assert bed.docker("exec", seen["Id"], "cat", "/etc/mesos/zk") == "zk://one:2181/mesos"
    marathon.do("DELETE", "/v2/apps/group/web")
    assert marathon.ask("GET", "/v2/apps/group/web")[0] == 404
    wait_until("nothing is left on the host", lambda: gone(bed) and not bed.volumes())


@pytest.mark.parametrize("on_term, grace, status", [("sleep 1; exit 3", 60, "3"), (":", 2, "137")])
def test_a_task_has_its_grace_to_end_in_and_no_more(bed, marathon, on_term, grace, status):
    app = old_shape(args=["sh", "-c", f"trap '{on_term}' TERM; touch /tmp/up; while :; do sleep 0.1; done"],
                    taskKillGracePeriodSeconds=grace)
    marathon.do("POST", "/v2/apps", app, codes=(201,))
    marathon.settle()
    container = marathon.container(marathon.tasks("group/web")[0])["Id"]
    wait_until("its trap is set", lambda: bed.docker("exec", container, "ls", "/tmp/up", check=False))
    marathon.do("DELETE", "/v2/apps/group/web")
    wait_until("nothing is left on the host", lambda: gone(bed))
    # the engine tells of an end a moment after it says that the container has ended
    wait_until("its end is told", lambda: how_it_ended(bed, container))
    assert how_it_ended(bed, container) == status


def how_it_ended(bed, container):
    return bed.docker("events", "--since", "10m", "--until", "0s", "--filter", f"container={container}", "--filter", "event=die",
                      "--format", "{{.Actor.Attributes.exitCode}}")


def test_a_task_that_dies_is_followed_by_another(bed, marathon):
    marathon.do("POST", "/v2/apps", old_shape())
    marathon.settle()
    task, = marathon.tasks("group/web")
    bed.docker("kill", marathon.container(task)["Id"])
    wait_until("another runs", lambda: [t for t in marathon.tasks("group/web") if t["id"] != task["id"]])
    assert marathon.app("group/web")["lastTaskFailure"]["message"] == "Container exited with status 137"
    wait_until("the former is removed", lambda: not bed.ids(f"label=MESOS_TASK_ID={task['id']}"))


def test_an_image_that_is_not_there_fails_and_is_tried_again(marathon):
    app = old_shape()
    app["container"]["docker"]["image"] = "nowhere/to-be-found:1"
    marathon.do("POST", "/v2/apps", app)
    wait_until("the failure is told", lambda: "nowhere/to-be-found:1" in
               marathon.app("group/web").get("lastTaskFailure", {}).get("message", ""))
    first = marathon.app("group/web")["lastTaskFailure"]["taskId"]
    wait_until("it is tried again", lambda: marathon.app("group/web")["lastTaskFailure"]["taskId"] != first)
    deployment, = marathon.do("GET", "/v2/deployments")
    status, said, _ = marathon.ask("PUT", "/v2/apps/group/web", {"instances": 2})
    assert status == 409 and said["deployments"] == [{"id": deployment["id"]}] and "?force=true" in said["message"]
    marathon.do("DELETE", "/v2/apps/group/web")
    marathon.settle()


def test_scaling_down_takes_the_youngest_and_kill_and_scale_the_named(marathon):
    app = old_shape()
    del app["container"]["docker"]["portMappings"][1]
    marathon.do("POST", "/v2/apps", app)
    marathon.settle()
    oldest, = marathon.tasks("group/web")
    marathon.do("PUT", "/v2/apps/group/web", {"instances": 3})
    marathon.settle()
    tasks = marathon.tasks("group/web")
    assert len(tasks) == 3 and tasks[0]["id"] == oldest["id"]
    marathon.do("POST", "/v2/tasks/delete?scale=true", {"ids": [oldest["id"]]})
    marathon.settle()
    rest = marathon.tasks("group/web")
    assert {t["id"] for t in rest} == {t["id"] for t in tasks[1:]} and marathon.app("group/web")["instances"] == 2
    marathon.do("PUT", "/v2/apps/group/web", {"instances": 1})
    marathon.settle()
    assert [t["id"] for t in marathon.tasks("group/web")] == [rest[0]["id"]]


def test_an_upgrade_rolls_by_its_strategy(bed, marathon):
    """Minimum 1, maximum over capacity 0.5: of two never fewer than two run, never more than three are."""
    app = old_shape(instances=2, upgradeStrategy={"minimumHealthCapacity": 1, "maximumOverCapacity": 0.5},
                    taskKillGracePeriodSeconds=0)
    del app["container"]["docker"]["portMappings"][1]
    marathon.do("POST", "/v2/apps", app)
    marathon.settle()
    before = {t["id"] for t in marathon.tasks("group/web")}
    marathon.do("PUT", "/v2/apps/group/web", {"env": {"COLOUR": "green"}})
    seen = []

    def done():
        tasks = marathon.do("GET", "/v2/apps/group/web/tasks")["tasks"]
        seen.append((sum(t["state"] == "TASK_RUNNING" for t in tasks), len(tasks)))
        return marathon.idle()
    wait_until("the upgrade is over", done, every=0.02)
    after = marathon.tasks("group/web")
    assert len(after) == 2 and not before & {t["id"] for t in after}
    assert min(running for running, _ in seen) >= 2 and max(n for _, n in seen) <= 3, seen
    assert "COLOUR=green" in marathon.container(after[0])["Config"]["Env"]
    marathon.do("PUT", "/v2/apps/group/web", {"instances": 3})
    marathon.settle()
    assert {t["id"] for t in after} < {t["id"] for t in marathon.tasks("group/web")}, "scaling replaced tasks"


def test_host_networking_gives_ports_away_and_the_process_binds_them(bed, marathon):
    marathon.do("POST", "/v2/apps", {
        "id": "host", "cpus": 0.1, "mem": 32, "cmd": "exec httpd -f -p $PORT_8080 -h /bin",
        "portDefinitions": [{"port": 8080, "name": "http-api"}], "networks": [{"mode": "host"}],
        "container": {"type": "DOCKER", "docker": {"image": BUSYBOX}},
        "healthChecks": [{"protocol": "HTTP", "path": "/busybox", "portIndex": 0, "intervalSeconds": 1,
                          "gracePeriodSeconds": 60}]})
    marathon.settle()
    task, = marathon.tasks("host")
    assert task["healthCheckResults"] == [{"alive": True, "taskId": task["id"]}]
    env = dict(line.split("=", 1) for line in marathon.container(task)["Config"]["Env"])
    assert env["PORT_HTTP-API"] == env["PORT_8080"] == str(task["ports"][0]) != "8080"
    assert task["servicePorts"] == [8080]


def test_isolated_tasks_have_no_network_in_common(bed):
    with Marathon(bed, "--isolate", "--docker_remove_delay", "0.5") as marathon:
        app = old_shape(instances=2)
        del app["container"]["docker"]["portMappings"][1]
        marathon.do("POST", "/v2/apps", app)
        marathon.settle()
        one, two = (json.dumps(sorted(marathon.container(t)["NetworkSettings"]["Networks"]))
                    for t in marathon.tasks("group/web"))
        assert one != two
    assert gone(bed) and "mesos-" not in bed.docker("network", "ls", "--format", "{{.Name}}")

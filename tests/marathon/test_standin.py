"""The stand-in's REST calls and its arithmetic, over agents that only pretend: no engine is needed."""
import http.client
import json
import sys
import threading
import time
import types
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from standin import apps
from standin.agent import asked_ports
from standin.api import Api
from standin.environment import port_variables, task_environment
from standin.scheduler import Scheduler


class Pretender:
    """An agent whose tasks run at once, or when told to."""

    def __init__(self, host):
        self.host, self.id, self.free = host, f"id-of-{host}", set(range(31000, 31010))
        self.tasks, self.hold = [], False

    def take(self, app):
        asked = asked_ports(app)
        if len(asked) > len(self.free):
            return None
        ports = [p or (None if p is None else self.free.pop()) for p in asked]
        return types.SimpleNamespace(agent=self, host_ports=ports, addresses=["172.17.0.2"], ended=threading.Event())

    def launch(self, task, report):
        self.tasks.append((task, report))
        if not self.hold:
            threading.Timer(0, report, (task, "TASK_RUNNING", "")).start()

    def end(self, task, state, message=""):
        report = next(r for t, r in self.tasks if t is task)
        task.slot.ended.set()
        self.free |= {p for p in task.slot.host_ports if p}
        report(task, state, message)

    def kill(self, task):
        task.killed.set()
        threading.Timer(0, self.end, (task, "TASK_KILLED")).start()


class Standin:
    def __init__(self, **options):
        self.options = types.SimpleNamespace(**{
            "stopping": threading.Event(), "log": lambda text: None, "env_vars_prefix": "", "http_credentials": None,
            "token": None, "base_path": "", "leader": None, **options})
        self.agents = [Pretender("one"), Pretender("two")]
        self.scheduler = Scheduler(self.agents, self.options, self.options.log)
        self.api = Api(self.scheduler, self.options)
        self.api.serve("127.0.0.1", 0)
        self.scheduler.thread.start()

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=20)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        try:
            return answer.status, json.loads(text), answer.headers
        except ValueError:
            return answer.status, text, answer.headers

    def settle(self):
        until(lambda: self.ask("GET", "/v2/deployments")[1] == [])

    def tasks(self, app_id="x"):
        return self.ask("GET", f"/v2/apps/{app_id}/tasks")[1]["tasks"]


def until(condition, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.01)


@pytest.fixture(name="standin")
def one():
    running = Standin()
    yield running
    running.options.stopping.set()


def app(app_id="x", **more):
    return {"id": app_id, "cpus": 0.1, "mem": 32, "container": {"type": "DOCKER", "docker": {
        "image": "busybox", "network": "BRIDGE", "portMappings": [{"containerPort": 8080}]}}, **more}


# ---- codes and bodies ----

def test_a_new_app_is_201_with_its_place_and_its_deployment(standin):
    status, said, headers = standin.ask("POST", "/v2/apps", app())
    assert status == 201 and said["id"] == "/x" and "deploymentId" not in said
    assert said["deployments"] == [{"id": headers["Marathon-Deployment-Id"]}]
    assert headers["Location"].endswith("/v2/apps/x")
    standin.settle()
    assert standin.ask("GET", "/v2/apps//x")[1]["app"]["tasksRunning"] == 1


def test_put_makes_201_and_changes_200(standin):
    assert standin.ask("PUT", "/v2/apps/x", app())[0] == 201
    standin.settle()
    status, said, headers = standin.ask("PUT", "/v2/apps/x", {"instances": 2})
    assert status == 200 and sorted(said) == ["deploymentId", "version"]
    assert headers["Marathon-Deployment-Id"] == said["deploymentId"]
    standin.settle()
    assert standin.ask("PATCH", "/v2/apps/x", {"instances": 1})[0] == 200
    standin.settle()
    assert len(standin.tasks()) == 1
    assert standin.ask("PATCH", "/v2/apps/y", {"instances": 1})[:2] == (404, {"message": "App '/y' does not exist"})


def test_the_two_shapes_of_409(standin):
    standin.agents[0].hold = standin.agents[1].hold = True
    standin.ask("POST", "/v2/apps", app())
    assert standin.ask("POST", "/v2/apps", app())[:2] == (
        409, {"message": "An app with id [/x] already exists."})
    first = standin.ask("GET", "/v2/deployments")[1][0]["id"]
    assert standin.ask("PUT", "/v2/apps/x", {"instances": 3})[:2] == (409, {
        "message": "App is locked by one or more deployments. Override with the option '?force=true'. "
                   f"View details at '/v2/deployments/{first}'.", "deployments": [{"id": first}]})
    assert standin.ask("PUT", "/v2/apps/x?force=true", {"instances": 3})[0] == 200
    assert first not in [d["id"] for d in standin.ask("GET", "/v2/deployments")[1]]
    assert standin.ask("POST", "/v2/apps/x/restart")[0] == 409
    assert standin.ask("DELETE", "/v2/apps/x")[0] == 200, "a DELETE forces unless told not to"


def test_what_may_not_be_is_422_with_a_list(standin):
    status, said, _ = standin.ask("POST", "/v2/apps", app("Upper_case", instances=-1, upgradeStrategy={
        "minimumHealthCapacity": 2}))
    assert status == 422 and said["message"] == "Object is not valid"
    paths = {d["path"]: d["errors"] for d in said["details"]}
    assert sorted(paths) == ["/id", "/instances", "/upgradeStrategy/minimumHealthCapacity"]
    assert paths["/upgradeStrategy/minimumHealthCapacity"] == ["is greater than 1"]
    status, said, _ = standin.ask("POST", "/v2/apps", app(instances="three", env={"A": 1}))
    assert (status, said["message"]) == (422, "Invalid JSON")
    assert sorted(d["path"] for d in said["details"]) == ["/env/A", "/instances"]


@pytest.mark.parametrize("wrong", [
    {"id": "x"}, {"id": "x", "cmd": "a", "args": ["b"]}, {"id": ""}, {"id": "-x", "cmd": "a"},
    {"id": "x", "cmd": "a", "portDefinitions": [{"port": 70000}]},
    {**app(), "portDefinitions": [{"port": 1}]}, {**app(), "networks": [{"mode": "container"}]},
    {**app(), "networks": [{"mode": "host"}]},
    {"id": "x", "cmd": "a", "portDefinitions": [{"name": "a"}, {"name": "a"}]},
])
def test_each_wrong_app_is_refused(standin, wrong):
    assert standin.ask("POST", "/v2/apps", wrong)[0] == 422
    assert standin.ask("GET", "/v2/apps")[1] == {"apps": []}


def test_bad_json_is_400_and_its_details_are_text(standin):
    status, said, _ = standin.ask("POST", "/v2/apps", b'{"id": ')
    assert status == 400 and isinstance(said["details"], str)


def test_an_unknown_path_is_500(standin):
    assert standin.ask("GET", "/v3/apps")[:2] == (500, {"message": "URI not found"})
    assert standin.ask("GET", "/v2/pods")[0] == 501, "known, and not made here"


def test_it_says_that_it_is_a_stand_in(standin):
    assert "stand-in" in standin.ask("GET", "/v2/info")[1]["name"]
    assert standin.ask("GET", "/ping")[:2] == (200, "pong")
    assert standin.ask("GET", "/v2/leader")[1] == {"leader": standin.api.address}


def test_versions_have_no_order_but_are_all_there(standin):
    standin.ask("POST", "/v2/apps", app())
    for n in range(5):
        standin.settle()
        standin.ask("PUT", "/v2/apps/x", {"instances": n})
    seen = standin.ask("GET", "/v2/apps/x/versions")[1]["versions"]
    assert len(set(seen)) == 6 and seen[0] != max(seen)
    raw = standin.ask("GET", f"/v2/apps/x/versions/{min(seen)}")[1]
    assert raw["instances"] == 1 and raw["version"] == min(seen)
    assert standin.ask("GET", "/v2/apps/x/versions/2015-01-01T00:00:00.000Z")[0] == 404


def test_credentials_are_asked_for_also_by_ping():
    standin = Standin(http_credentials="me:secret")
    assert standin.ask("GET", "/ping")[0] == 401
    assert standin.ask("GET", "/ping", Authorization="Basic bWU6c2VjcmV0")[0] == 200
    standin.options.stopping.set()
    standin = Standin(token="abc", base_path="/service/marathon")
    assert standin.ask("GET", "/service/marathon/v2/apps")[0] == 401
    assert standin.ask("GET", "/service/marathon/v2/apps", Authorization="token=abc")[0] == 200
    standin.options.stopping.set()


def test_a_master_that_does_not_lead_sends_to_the_one_that_does(standin):
    other = Standin(leader=standin.api.url(""))
    status, _, headers = other.ask("POST", "/v2/apps?force=true", app())
    assert status == 307 and headers["Location"] == standin.api.url("/v2/apps?force=true")
    other.options.stopping.set()


def test_events_are_a_stream_for_those_who_ask_for_one(standin):
    assert standin.ask("GET", "/v2/events")[0] == 405
    connection = http.client.HTTPConnection("127.0.0.1", standin.api.port, timeout=20)
    connection.request("GET", "/v2/events?event_type=deployment_success", headers={"Accept": "text/event-stream"})
    answer = connection.getresponse()
    assert answer.readline() == b"event: event_stream_attached\r\n"
    standin.ask("POST", "/v2/apps", app())
    lines = iter(answer.readline, b"")
    assert next(line for line in lines if line.startswith(b"event:")) == b"event: deployment_success\r\n"
    connection.close()


# ---- tasks and deployments ----

def test_a_failed_task_is_followed_by_another_and_the_reason_is_kept(standin):
    standin.ask("POST", "/v2/apps", app(backoffSeconds=0))
    standin.settle()
    first = standin.agents[0].tasks[0][0] if standin.agents[0].tasks else standin.agents[1].tasks[0][0]
    first.slot.agent.end(first, "TASK_FAILED", "Container exited with status 137")
    until(lambda: [t for t in standin.tasks() if t["id"] != first.id])
    failure = standin.ask("GET", "/v2/apps/x")[1]["app"]["lastTaskFailure"]
    assert failure["taskId"] == first.id and failure["message"] == "Container exited with status 137"


def test_killing_by_id_scales_only_when_asked(standin):
    standin.ask("POST", "/v2/apps", app(instances=3, backoffSeconds=0))
    standin.settle()
    ids = [t["id"] for t in standin.tasks()]
    assert standin.ask("POST", "/v2/tasks/delete", {"ids": ["x.instance-0._app.1"]})[:2] == (200, {"tasks": []})
    assert standin.ask("POST", "/v2/tasks/delete", {"ids": ["nonsense"]})[0] == 400
    assert standin.ask("POST", "/v2/tasks/delete?scale=true&wipe=true", {"ids": ids})[0] == 400
    assert standin.ask("POST", "/v2/tasks/delete?scale=true", {"ids": ["x.instance-0._app.1"]})[0] == 404
    status, said, _ = standin.ask("POST", "/v2/tasks/delete", {"ids": ids[:1]})
    assert status == 200 and said["tasks"][0]["id"] == ids[0]
    until(lambda: len(standin.tasks()) == 3 and ids[0] not in [t["id"] for t in standin.tasks()])
    status, said, _ = standin.ask("POST", "/v2/tasks/delete?scale=true", {"ids": ids[1:]})
    assert status == 200 and "deploymentId" in said
    standin.settle()
    assert len(standin.tasks()) == 1 and standin.ask("GET", "/v2/apps/x")[1]["app"]["instances"] == 1
    assert standin.ask("DELETE", "/v2/apps/x/tasks/none")[0] == 404


def test_a_cancelled_deployment_goes_back_or_is_forgotten(standin):
    standin.ask("POST", "/v2/apps", app(instances=1))
    standin.settle()
    for agent in standin.agents:
        agent.hold = True
    at = standin.ask("PUT", "/v2/apps/x", {"instances": 4})[1]["deploymentId"]
    status, said, _ = standin.ask("DELETE", f"/v2/deployments/{at}")
    assert status == 200 and said["deploymentId"] != at
    standin.settle()
    assert standin.ask("GET", "/v2/apps/x")[1]["app"]["instances"] == 1
    at = standin.ask("PUT", "/v2/apps/x", {"instances": 4})[1]["deploymentId"]
    assert standin.ask("DELETE", f"/v2/deployments/{at}?force=true")[0] == 202
    assert standin.ask("GET", "/v2/deployments")[1] == [] and standin.ask("DELETE", f"/v2/deployments/{at}")[0] == 404
    assert standin.ask("GET", "/v2/apps/x")[1]["app"]["instances"] == 4


def test_what_finds_no_ports_waits(standin):
    mappings = [{"containerPort": 1000 + n} for n in range(8)]
    many = app(instances=3)
    many["container"]["docker"]["portMappings"] = mappings
    standin.ask("POST", "/v2/apps", many)
    until(lambda: len(standin.tasks()) == 2)
    assert sorted(t["host"] for t in standin.tasks()) == ["one", "two"]
    standin.ask("PUT", "/v2/apps/x?force=true", {"instances": 2})
    standin.settle()


def test_unique_hosts_are_kept_apart(standin):
    standin.ask("POST", "/v2/apps", app(instances=3, constraints=[["hostname", "UNIQUE"]]))
    until(lambda: len(standin.tasks()) == 2)
    assert sorted(t["host"] for t in standin.tasks()) == ["one", "two"]
    assert len(standin.ask("GET", "/v2/deployments")[1]) == 1


# ---- shapes and environment ----

def test_an_older_request_becomes_the_newer_shape():
    full = apps.accepted({"id": "x", "ports": [0, 9000], "cmd": "a", "uris": ["http://a/b"]})
    assert [p["port"] for p in full["portDefinitions"]] == [0, 9000] and full["networks"] == [{"mode": "host"}]
    assert "ports" not in full and full["fetch"] == [{"uri": "http://a/b"}]
    full = apps.accepted(app())
    assert full["container"]["portMappings"][0]["hostPort"] == 0 and full["networks"] == [{"mode": "container/bridge"}]
    assert not {"network", "portMappings"} & full["container"]["docker"].keys()
    user = app(ipAddress={"networkName": "mine"})
    user["container"]["docker"]["network"] = "USER"
    full = apps.accepted(user)
    assert full["networks"] == [{"mode": "container", "name": "mine"}]
    assert full["container"]["portMappings"][0].get("hostPort") is None, "the container's own alone"


def mapped(*mappings, mode="container/bridge"):
    return {"networks": [{"mode": mode}], "container": {"portMappings": list(mappings)}}


@pytest.mark.parametrize("definition, host_ports, expected", [
    (mapped({"containerPort": 8080}), [31786],
     {"PORT0": "31786", "PORT_8080": "31786", "PORT": "31786", "PORTS": "31786"}),
    (mapped({"containerPort": 0}), [31786],
     {"PORT0": "31786", "PORT_31786": "31786", "PORT": "31786", "PORTS": "31786"}),
    (mapped({"containerPort": 80, "name": "http-api"}, {"containerPort": 81}), [31000, 31001],
     {"PORT0": "31000", "PORT1": "31001", "PORT_80": "31000", "PORT_81": "31001", "PORT_HTTP-API": "31000",
      "PORT": "31000", "PORTS": "31000,31001"}),
    (mapped({"containerPort": 8080}, mode="container"), [None], {"PORT0": "8080", "PORT_8080": "8080"}),
    (mapped({"containerPort": 0}, mode="container"), [None],
     {"PORT0": "4444", "PORT_4444": "4444", "PORT": "4444", "PORTS": "4444"}),
    ({"portDefinitions": [{"port": 8080, "name": "a"}]}, [31002],
     {"PORT0": "31002", "PORT_8080": "31002", "PORT_A": "31002", "PORT": "31002", "PORTS": "31002"}),
    ({"portDefinitions": []}, [], {}),
])
def test_port_variables(definition, host_ports, expected):
    assert port_variables(definition, host_ports, lambda: 4444) == expected


def test_the_users_own_variables_win_and_the_prefix_is_for_ports_and_host_alone():
    full = apps.accepted(app(env={"P_PORT_8080": "mine", "S": {"secret": "s"}}, labels={"a.b": "c", "long": "x" * 600}))
    full["version"] = "2015-04-02T09:37:00.596Z"
    env = task_environment(full, "x.instance-1._app.1", "node", [31786], "P_")
    assert env["P_HOST"] == "node" and env["P_PORT0"] == "31786" and env["P_PORT_8080"] == "mine"
    assert not {"HOST", "PORT0", "S"} & env.keys() and env["MESOS_TASK_ID"] == "x.instance-1._app.1"
    assert env["MARATHON_APP_RESOURCE_MEM"] == "32.0" and env["MARATHON_APP_DOCKER_IMAGE"] == "busybox"
    assert env["MARATHON_APP_LABELS"] == "A_B" and env["MARATHON_APP_LABEL_A_B"] == "c"

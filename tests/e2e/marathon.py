"""The stand-in of Marathon (tests/marathon) in the engine's network namespace, and what tests ask of it over REST."""
import http.client
import json
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

import yaml
from bed import SIDECAR, TOP, agree, wait_until

PROGRAM = TOP / "tests/marathon/marathon"


class Marathon:
    """with Marathon(bed, "--isolate") as marathon: ... Ended by its own process id, every task with it; what it
    logged is printed by pytest when the test fails."""

    def __init__(self, bed, *options, agents=()):
        self.bed = bed
        words = [w for agent in agents or (bed.socket,) for w in ("--agent", agent)]
        self.words = [str(PROGRAM), "--port", "0", "--no-pull", *words, *options]
        self.url = None
        self.process = None

    def __enter__(self):
        self.log_file = tempfile.NamedTemporaryFile(prefix="marathon-log.", delete=False)
        # This thread is in the engine's namespace, so is its child.
        self.process = subprocess.Popen(self.words, env=self.bed.env, stdout=subprocess.PIPE, stderr=self.log_file,
                                        text=True)
        self.url = self.process.stdout.readline().strip()
        assert self.url, f"the stand-in does not start:\n{self.log()}"
        self.netloc = urllib.parse.urlsplit(self.url).netloc
        return self

    def __exit__(self, *_):
        try:
            self.process.terminate()
            self.process.wait(120)
        finally:
            self.process.kill()
            self.process.stdout.close()
            print(f"---- marathon stand-in\n{self.log()}")
            Path(self.log_file.name).unlink()

    def log(self):
        return Path(self.log_file.name).read_text(encoding="utf-8")

    def ask(self, method, path, body=None, headers=None):
        """(status, JSON or text, headers)"""
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        try:
            data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            connection.request(method, path, data, headers or {})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text), answer.headers
        except ValueError:
            return answer.status, text, answer.headers

    def do(self, method, path, body=None, codes=(200, 201)):
        """The body of an answer that is as wanted."""
        status, said, _ = self.ask(method, path, body)
        assert status in codes, f"{method} {path}: {status} {said}"
        return said

    def app(self, app_id):
        return self.do("GET", f"/v2/apps/{app_id.strip('/')}")["app"]

    def tasks(self, app_id, state="TASK_RUNNING"):
        """Oldest first."""
        tasks = self.do("GET", f"/v2/apps/{app_id.strip('/')}/tasks")["tasks"]
        return sorted((t for t in tasks if t["state"] == state), key=lambda t: t["stagedAt"])

    def idle(self):
        return self.do("GET", "/v2/deployments") == []

    def settle(self, timeout=120):
        wait_until("no deployment is left", self.idle, timeout)

    def container(self, task, bed=None):
        """Of a task, inspected."""
        bed = bed or self.bed
        ids = bed.ids(f"label=MESOS_TASK_ID={task['id']}")
        assert len(ids) == 1, ids
        return bed.inspect(ids[0])


def sidecar_app(app_id, spec, ports=(), volumes=(), **more):
    """A sidecar with that spec as a Marathon app, its control port and `ports` mapped to any of the host's. A whole
    CPU: on a busy machine a share of a tenth is none."""
    parameters = [{"key": "volume", "value": v} for v in volumes] + [{"key": "stop-timeout", "value": "30"}]
    env = {"OCHOPOD_SPEC": json.dumps(spec), **more.pop("env", {})}
    return {
        "id": app_id, "cpus": 1, "mem": 512, "instances": 1, "env": env, "taskKillGracePeriodSeconds": 30,
        "backoffSeconds": 0.5,
        "container": {
            "type": "DOCKER",
            "docker": {"image": SIDECAR, "network": "BRIDGE", "forcePullImage": False, "parameters": parameters,
                       "portMappings": [{"containerPort": p, "hostPort": 0} for p in (8080, *ports)]},
            "volumes": [{"hostPath": "/var/run/docker.sock", "containerPath": "/var/run/docker.sock",
                         "mode": "RW"}]},
        **more}


def zookeeper_spec(**more):
    """The example's pod.yaml, its template inlined: an agent has none of our files."""
    folder = TOP / "compose/zookeeper"
    spec = yaml.safe_load((folder / "pod.yaml").read_text(encoding="utf-8"))
    for file in spec["files"]:
        if "template" in file:
            file["content"] = (folder / file.pop("template")).read_text(encoding="utf-8")
    return {**spec, **more}


class Tasks:
    """The pods of one app seen from outside: what Marathon says of its tasks, and what their ports say."""

    def __init__(self, marathon, app_id, bed_of=None):
        self.marathon = marathon
        self.app_id = app_id
        self.bed_of = bed_of or (lambda task: marathon.bed)

    def all(self):
        return self.marathon.tasks(self.app_id)

    def port(self, task, container_port):
        mappings = self.marathon.app(self.app_id)["container"]["portMappings"]
        return task["ports"][[m["containerPort"] for m in mappings].index(container_port)]

    def hosts(self, port=2181):
        return [(t["host"], self.port(t, port)) for t in self.all()]

    def agree(self, n):
        hosts = self.hosts()
        return len(hosts) == n and agree(hosts)

    def wait(self, n, timeout=300):
        wait_until(f"{n} servers with one leader", lambda: self.agree(n), timeout, every=0.3)

    def info(self, task):
        connection = http.client.HTTPConnection(task["host"], self.port(task, 8080), timeout=10)
        try:
            connection.request("GET", "/info")
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, text
        except http.client.HTTPException as error:
            raise OSError(repr(error)) from error
        finally:
            connection.close()
        return json.loads(text)

    def workload(self, task):
        """Its container, inspected; LookupError while there is none."""
        bed = self.bed_of(task)
        sidecar = self.marathon.container(task, bed)["Id"]
        return bed.inspect(bed.ids("label=io.ochopod.role=workload", f"label=io.ochopod.owner={sidecar}")[0])

    def leaders(self):
        return [t for t in self.all() if self.info(t)["state"] == "leader"]


def things(bed):
    """What lies on the host, but for images."""
    return {"containers": set(bed.ids()), "volumes": bed.volumes(),
            "networks": set(bed.docker("network", "ls", "-q").split())}


def left(bed, before):
    return {kind: there - before[kind] for kind, there in things(bed).items() if there - before[kind]}


def nothing_is_left(bed, before, timeout=120):
    wait_until("nothing is left on the host", lambda: not left(bed, before), timeout)

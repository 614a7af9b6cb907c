"""The sidecar as Mesos runs it in a Marathon pod: a process that no engine knows, on the host's network, with the
variables of a pod. Mesos itself is not here: the process is the sidecar image's own binary, started by the test."""
import json
import subprocess
import urllib.request

import pytest
from bed import BUSYBOX, SIDECAR, ZOOKEEPER, wait_until

HOST = "198.18.0.1"  # of the engine's namespace: its docker0

SPEC = {
    "needs": {"pods": 2}, "damper": "500ms",
    "workload": {
        "image": BUSYBOX,
        "command": ["sh", "-c", "exec httpd -f -p $(cat /etc/app/port) -h /etc/app"],
        "ready": {"http": ":80/peers"},
        "stop": {"grace": "60s"}},
    "files": [{"target": "/etc/app/port", "content": "{{ local_port(80) }}"},
              {"target": "/etc/app/peers",
               "content": "{% for _, p in ipairs(pods) do %}{{ p.ip }}:{{ p.ports[80] }} {% end %}"}]}


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


class Task:
    """One container of a pod: control and the workload's port are allotted, nobody maps them."""

    def __init__(self, bed, folder, number):
        self.control, self.port = 31800 + 10 * number, 31801 + 10 * number
        self.log = folder / f"log-{number}"
        instance = f"b6ff5fa5-7714-11e7-a55c-5ecf1c4671f{number}"
        env = {"PATH": "/usr/bin:/bin", "MARATHON_APP_ID": "/demo/web", "MARATHON_CONTAINER_ID": "sidecar",
               "MESOS_TASK_ID": f"demo_web.instance-{instance}.sidecar.1", "HOST": HOST,
               "ENDPOINT_CONTROL": str(self.control), "EP_HOST_CONTROL": str(self.control),
               "ENDPOINT_PORT_80": str(self.port), "EP_HOST_PORT_80": str(self.port),
               "OCHOPOD_SPEC": json.dumps(SPEC), "OCHOPOD_HOST_ROOT": str(folder / "host"),
               "OCHOPOD_STATE_DIR": str(folder / f"state-{number}"), "DOCKER_HOST": f"unix://{bed.socket}"}
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([folder / "ochopod-sidecar", "--holder-image", SIDECAR], env=env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def info(self):
        return json.loads(fetch(f"http://{HOST}:{self.control}/info"))

    def peers(self):
        return fetch(f"http://{HOST}:{self.port}/peers").split()

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def tasks(bed, tmp_path):
    bed.docker("run", "-d", "--name", "coordination", "-p", "32181:2181", "-e", "ZOO_ADMINSERVER_ENABLED=false",
               ZOOKEEPER)
    holder = bed.docker("create", SIDECAR)
    bed.docker("cp", f"{holder}:/usr/bin/ochopod-sidecar", tmp_path)
    bed.docker("rm", holder)
    # ZooKeeper as an agent's files tell it, below a root of their own.
    agent = tmp_path / "host/etc/mesos"
    agent.mkdir(parents=True)
    (agent / "zk").write_text(f"zk://{HOST}:32181/mesos\n", encoding="utf-8")
    both = [Task(bed, tmp_path, number) for number in (1, 2)]
    yield both
    for task in both:
        task.end()
        print(task.log.read_text(encoding="utf-8"))


def test_a_pod_of_marathon_binds_what_it_was_allotted_and_gets_its_files_through_the_engine(bed, tasks):
    wanted = sorted(f"{HOST}:{task.port}" for task in tasks)
    for task in tasks:
        wait_until("the workload serves its peers' addresses", lambda t=task: sorted(t.peers()) == wanted, 240)
        said = task.info()
        assert said["binding"] == "marathon-pod" and said["application"] == "demo/web", said
        assert said["cluster"] == "demo-web" and said["ports"] == {"8080": task.control, "80": task.port}, said
        assert said["task"].startswith("demo_web.instance-") and said["ip"] == HOST, said
        assert bed.inspect(said["workload"]["container"])["HostConfig"]["NetworkMode"] == "host"
    for task in tasks:
        task.end()
        assert task.process.returncode == 0
    wait_until("nothing of ours is left", lambda: not bed.ids("label=io.ochopod.pod"), 60)

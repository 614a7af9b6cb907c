"""Single pods for tests: `docker run` of the sidecar with its spec inline, and what its control port says."""
import http.client
import json

from bed import BUSYBOX, SIDECAR, wait_until

NETWORK = "ochopod"
FOREVER = ["sleep", "1000000"]


def worker_of(bed, name):
    """Process id, as the host counts, of init's one lasting child."""
    init = bed.inspect(name)["State"]["Pid"]
    with open(f"/proc/{init}/task/{init}/children", encoding="ascii") as file:
        children = file.read().split()
    assert len(children) == 1, children
    return int(children[0])


def epoch_of(zk, cluster):
    """What the present leader of that cluster sends."""
    path = f"/ochopod/clusters/marathon.{cluster}"
    tree = zk.get(f"{path}/tree")[0].decode()
    lock = sorted(zk.get_children(f"{path}/coordinator"), key=lambda n: n[-10:])[0]
    return f"{tree}/{zk.exists(f'{path}/coordinator/{lock}').czxid}"


class Pod:
    def __init__(self, pods, name, address=None):
        self.bed = pods.bed
        self.name = name
        self.address = address  # None: the engine says

    def ask(self, method, path, body=None, headers=None, timeout=60):
        """(status, JSON or text) of one request."""
        connection = http.client.HTTPConnection(self.address or self.bed.address(self.name), 8080, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except http.client.HTTPException as error:
            raise OSError(repr(error)) from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, **more):
        return self.ask("POST", path, **more)

    def code(self, path):
        return self.post(path)[0]

    @property
    def info(self):
        code, said = self.get("/info")
        assert code == 200, said
        return said

    def says(self, **wanted):
        info = self.info
        return info if all(info.get(key) == value for key, value in wanted.items()) else None

    def until(self, timeout=180, **wanted):
        return wait_until(f"{self.name} says {wanted}", lambda: self.says(**wanted), timeout)

    def until_status(self, part, timeout=180):
        return wait_until(f"the status of {self.name} has {part!r}", lambda: part in (said := self.info["status"]) and said, timeout)

    def until_workload(self, part, timeout=180):
        """The pod's own line, whoever leads."""
        return wait_until(f"the workload of {self.name} has {part!r}",
                          lambda: part in self.info["workload"]["status"], timeout)

    def until_configured(self, pods=1, timeout=180):
        """A round over that many pods is complete, and this one is ready."""
        def so():
            code, said = self.get(f"/wait?for=ready&pods={pods}&timeout=5")
            assert code == 200, said
            return said
        return wait_until(f"{self.name} in a round of {pods}", so, timeout)

    def until_logged(self, part, timeout=180):
        """A line of the workload's log, which comes by way of the engine."""
        return wait_until(f"the log of {self.name} has {part!r}",
                          lambda: any(part in line for line in self.get("/log")[1]), timeout)

    def workloads(self, all_=True):
        return self.bed.ids("label=io.ochopod.role=workload", f"label=io.ochopod.pod={self.info['id']}", all_=all_)

    @property
    def workload(self):
        """Inspected; the one that the control port names."""
        return self.bed.inspect(self.info["workload"]["container"])

    @property
    def started(self):
        w = self.workload
        return w["Id"], w["State"]["StartedAt"]

    def sh(self, line, timeout=60):
        """What a shell in the workload prints. An exec that meets the end of its container may never be answered by
        the engine: a poll asks again."""
        return self.bed.docker("exec", self.info["workload"]["container"], "sh", "-c", line, timeout=timeout)

    def log(self):
        return self.bed.log(self.name)


class Pods:
    """They meet in a ZooKeeper of their own, by its name: its address may be another one after an engine's restart."""

    def __init__(self, bed, **zookeeper):
        self.bed = bed
        bed.docker("network", "create", NETWORK)
        bed.coordination(NETWORK, **zookeeper)

    def run(self, name, spec, *args, volumes=("/conf",), env=None, started=True):
        """A sidecar of that name; spec overrides what is usual here."""
        workload = {"image": BUSYBOX, "command": FOREVER, **spec.pop("workload", {})}
        workload.setdefault("stop", {"grace": "20s"})
        full = {"cluster": name, "damper": "0s", "session": "10s", **spec, "workload": workload}
        if "container" in workload:
            del workload["image"], workload["command"]
        env = {"OCHOPOD_SPEC": json.dumps(full), "OCHOPOD_ZK": "zk://coordination:2181", **(env or {})}
        words = [w for v in volumes for w in ("-v", v)] + [w for k, v in env.items() for w in ("-e", f"{k}={v}")]
        self.bed.docker("run", "-d", "--name", name, "--network", NETWORK, "--stop-timeout", "30", *words,
                        "-v", f"{self.bed.socket}:/var/run/docker.sock", *args, SIDECAR)
        pod = Pod(self, name)
        if started:
            wait_until(f"{name} answers", lambda: pod.info)
        return pod

    def clear(self):
        """All but coordination, and no orphan of a test is left to the next one."""
        keep = self.bed.ids("name=^/coordination$")

        def others():
            return [i for i in self.bed.ids() if i not in keep]

        def emptied():
            if ids := others():
                self.bed.docker("rm", "-f", "-v", *ids, check=False)
            return not others()

        wait_until("no container is left but coordination", emptied)
        self.bed.docker("volume", "prune", "-f")

"""One machine of the cluster: an engine, an address, a range of ports; and what a Mesos agent does with a task there.
Each task has a thread that runs `docker run` in the foreground and waits for its end; whoever kills it only asks the
engine to stop the container. What is found out goes to `report(task, state, message)`, from the task's thread."""
import random
import subprocess
import threading
import time
import uuid
from pathlib import Path

from .apps import mode_of
from .environment import task_environment

SANDBOX = "/mnt/mesos/sandbox"
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")
NODE = ("/etc/mesos", "/opt/mesosphere")  # what lies there is the agent's


class Slot:
    """What one task holds of an agent."""

    def __init__(self, agent, host_ports):
        self.agent = agent
        self.host_ports = host_ports  # one an asked port; None where only the container has it
        self.uuid = str(uuid.uuid4())
        self.container = f"mesos-{self.uuid}"
        self.addresses = []
        self.ended = threading.Event()  # its docker run is over


def asked_ports(app):
    """[port wanted, 0 for any, None for no host port]."""
    if mode_of(app) == "host":
        return [p.get("port", 0) if app["requirePorts"] else 0 for p in app["portDefinitions"]]
    return [m.get("hostPort") for m in app["container"]["portMappings"]]


class Agent:
    def __init__(self, engine, host, number, options, log):
        self.engine = engine
        self.host = host
        self.id = f"{uuid.uuid4()}-S{number}"
        self.options = options
        self.log = log
        self.lock = threading.Lock()
        self.free = set(range(options.ports[0], options.ports[1] + 1))
        self.reserved = set()  # fixed ones outside the range
        self.left = []  # containers that ended and are not yet removed
        self.work = Path(options.work_dir) / f"S{number}"
        for path in NODE:
            (self.work / "node" / path[1:]).mkdir(parents=True, exist_ok=True)
        if options.zk:
            (self.work / "node/etc/mesos/zk").write_text(options.zk + "\n", encoding="utf-8")

    # ---- offers ----

    def take(self, app):
        """A Slot, or None when the ports are not to be had."""
        asked = asked_ports(app)
        with self.lock:
            fixed = [p for p in asked if p]
            if len(set(fixed)) != len(fixed) or any(p not in self.free for p in fixed):
                return None
            rest = sorted(self.free - set(fixed))
            wanted = sum(1 for p in asked if p == 0)
            if len(rest) < wanted:
                return None
            drawn = iter(random.sample(rest, wanted))
            ports = [p or (None if p is None else next(drawn)) for p in asked]
            self.free -= {p for p in ports if p}
        return Slot(self, ports)

    def give_back(self, slot):
        with self.lock:
            self.free |= {p for p in slot.host_ports if p}

    # ---- running ----

    def launch(self, task, report):
        threading.Thread(target=self.run, args=(task, report), name=task.id, daemon=True).start()

    def image_error(self, docker):
        """Why the image cannot be used; a pull where one is due."""
        image = docker["image"]
        have, _ = self.engine.do("image", "inspect", "--format", "{{.Id}}", image)
        if self.options.no_pull:
            return None if have == 0 else f"no image {image} on {self.host}, and nothing is pulled (--no-pull)"
        if have == 0 and not docker.get("forcePullImage"):
            return None
        code, said = self.engine.do("pull", image)
        return None if code == 0 else f"Failed to run 'docker pull {image}': {said}"

    def host_path(self, path):
        """Of a machine of its own: there the engine's socket and the agent's files lie in the usual places."""
        if path in SOCKETS:
            return self.engine.path
        if any(path == own or path.startswith(own + "/") for own in NODE):
            return str(self.work / "node" / path[1:])
        return path

    def arguments(self, task, sandbox):
        """The words after `docker run`."""
        app, slot = task.app, task.slot
        container = app["container"]
        docker = container.get("docker", {})
        words = ["--cpu-shares", str(max(2, int(app["cpus"] * 1024))), "--memory", str(max(4, int(app["mem"])) << 20)]
        env = task_environment(app, task.id, self.host, slot.host_ports, self.options.env_vars_prefix,
                               lambda: random.randint(*self.options.ports))
        env.update({"MESOS_SANDBOX": SANDBOX, "MESOS_CONTAINER_NAME": slot.container, "MESOS_ALLOCATION_ROLE": "*"})
        for name, value in env.items():
            words += ["-e", f"{name}={value}"]
        words += ["-v", f"{sandbox}:{SANDBOX}"]
        for volume in container["volumes"]:
            if "hostPath" in volume:
                mode = volume.get("mode", "RW").lower()
                words += ["-v", f"{self.host_path(volume['hostPath'])}:{volume['containerPath']}:{mode}"]
        words += self.network_arguments(app, slot)
        words += [f"--label=MESOS_TASK_ID={task.id}"]
        words += [f"--{p['key']}={p['value']}" for p in docker.get("parameters", [])]
        if docker.get("privileged"):
            words += ["--privileged"]
        if app.get("user"):
            words += ["--user", app["user"]]
        words += ["--name", slot.container]
        if app.get("cmd"):
            return [*words, "--entrypoint", "/bin/sh", docker["image"], "-c", app["cmd"]]
        return [*words, docker["image"], *app.get("args", [])]

    def network_arguments(self, app, slot):
        mode = mode_of(app)
        if mode == "host":
            return ["--net", "host"]
        name = "bridge" if mode == "container/bridge" else app["networks"][0]["name"]
        if mode == "container/bridge" and self.options.isolate:
            name = slot.container
            self.engine.do("network", "create", name)
        words = ["--net", name]
        for mapped, host in zip(app["container"]["portMappings"], slot.host_ports):
            if host:
                for protocol in mapped["protocol"].split(","):
                    words += ["-p", f"{host}:{mapped['containerPort'] or host}/{protocol}"]
        return words

    def run(self, task, report):
        slot = task.slot
        state, message = "TASK_FAILED", ""
        try:
            state, message = self.run_container(task, report)
        except OSError as error:
            message = str(error)
        finally:
            slot.ended.set()
            self.give_back(slot)
            report(task, state, message)
        self.remove_later(slot)

    def run_container(self, task, report):
        """(state, message) at its end."""
        slot = task.slot
        docker = (task.app.get("container") or {}).get("docker")
        if not docker:
            return "TASK_FAILED", "the stand-in runs Docker containers alone: no container.docker.image"
        wrong = self.image_error(docker)
        if wrong:
            return "TASK_FAILED", wrong
        sandbox = self.work / slot.uuid
        sandbox.mkdir(parents=True)
        if task.killed.is_set():
            return "TASK_KILLED", "killed before it was started"
        with open(sandbox / "stdout", "wb") as out, open(sandbox / "stderr", "wb") as err:
            words = self.arguments(task, sandbox)
            shown = [w for w in words if not w.startswith("OCHOPOD_SPEC=")]
            self.log(f"agent {self.host} docker run {' '.join(shown)}")
            process = self.engine.command("run", *words, stdout=out, stderr=err)
            with self.lock:
                self.left.append(slot)
            self.follow_start(task, process, report)
            code = process.wait()
        if task.killed.is_set():
            return "TASK_KILLED", f"Container exited with status {code}"
        if code == 0:
            return "TASK_FINISHED", "Container exited with status 0"
        said = (sandbox / "stderr").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f": {said[-1]}" if said and code in (125, 126, 127) else ""
        return "TASK_FAILED", f"Container exited with status {code}{last}"

    def follow_start(self, task, process, report):
        """Reports it running once the engine says that it was started, or returns at its end."""
        while process.poll() is None:
            try:
                seen = self.engine.inspect(task.slot.container)
            except OSError:
                seen = None
            if seen and seen["State"]["Running"]:
                networks = seen["NetworkSettings"]["Networks"] or {}
                task.slot.addresses = [n["IPAddress"] for n in networks.values() if n.get("IPAddress")]
                report(task, "TASK_RUNNING", "")
                return
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass

    # ---- ending ----

    def grace(self, app):
        return app.get("taskKillGracePeriodSeconds", self.options.stop_timeout)

    def kill(self, task):
        """Asks for it and returns; the end is reported by the task's own thread."""
        task.killed.set()
        threading.Thread(target=self.stop, args=(task,), daemon=True).start()

    def stop(self, task):
        """`docker stop -t grace`, again until the run is over: it may not have begun yet."""
        while not task.slot.ended.is_set():
            try:
                if self.engine.inspect(task.slot.container):
                    self.engine.stop(task.slot.container, self.grace(task.app))
            except OSError as error:
                self.log(f"agent {self.host} stop {task.slot.container}: {error}")
            task.slot.ended.wait(0.1)

    def remove_later(self, slot):
        """Mesos keeps what exited for a while, then removes it with its anonymous volumes."""
        until = time.monotonic() + self.options.docker_remove_delay
        while time.monotonic() < until:
            if self.options.stopping.wait(min(1.0, max(0.0, until - time.monotonic()))):
                return  # remove_all
        self.remove(slot)

    def remove(self, slot):
        try:
            self.engine.remove(slot.container)
            if self.options.isolate:
                self.engine.do("network", "rm", slot.container)
        except OSError as error:
            self.log(f"agent {self.host} remove {slot.container}: {error}")
            return
        with self.lock:
            if slot in self.left:
                self.left.remove(slot)

    def remove_all(self):
        with self.lock:
            left = list(self.left)
        for slot in left:
            self.remove(slot)

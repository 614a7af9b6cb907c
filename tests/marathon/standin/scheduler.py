"""Apps, their versions, tasks and deployments, in memory, and the one thread that brings what runs to what was asked.
Everything here is touched under `lock` only; agents report from their threads through `report`, which takes it."""
import datetime
import math
import threading
import time
import uuid

from . import apps
from .health import Health
from .refusal import Refusal

KEPT_VERSIONS = 50
TERMINAL = ("TASK_FAILED", "TASK_FINISHED", "TASK_KILLED")


def stamp(when=None):
    when = when or datetime.datetime.now(datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def service_ports(definition):
    if apps.mode_of(definition) == "host":
        return [p["port"] for p in definition["portDefinitions"]]
    return [m["servicePort"] for m in definition["container"]["portMappings"]]


class Task:
    def __init__(self, app, slot):
        self.app = app  # the definition it was started with
        self.slot = slot
        self.instance = f"{app['id'].strip('/').replace('/', '_')}.instance-{uuid.uuid4()}"
        self.id = f"{self.instance}._app.1"
        self.state = "TASK_STAGING"
        self.staged = stamp()
        self.started = None
        self.began = time.monotonic()
        self.killed = threading.Event()  # somebody asked for its end
        self.health = Health(self)

    @property
    def version(self):
        return self.app["version"]

    def ready(self):
        return self.state == "TASK_RUNNING" and self.health.good()


class Deployment:
    def __init__(self, action, app_id, version, before):
        self.id = str(uuid.uuid4())
        self.action = action
        self.app_id = app_id
        self.version = version
        self.before = before  # the definition to roll back to, None when there was no app
        self.room = None  # (at least so many ready, at most so many at all) while tasks are replaced
        self.killing = set()  # task ids whose end it waits for, beyond the app's own numbers


class App:
    def __init__(self, definition):
        self.definition = definition
        self.versions = {definition["version"]: definition}
        self.tasks = {}
        self.failure = None
        self.delay = 0.0  # before the next launch, growing while tasks fail
        self.not_before = 0.0
        self.removed = False

    @property
    def id(self):
        return self.definition["id"]

    def live(self):
        return [t for t in self.tasks.values() if not t.killed.is_set()]


class Scheduler:
    def __init__(self, agents, options, log):
        self.agents = agents
        self.options = options
        self.log = log
        self.lock = threading.Condition(threading.RLock())
        self.apps = {}
        self.leaving = []  # removed apps whose tasks have not all ended
        self.deployments = {}
        self.service_ports = iter(range(10000, 20000))
        self.last = None  # the newest version given
        self.events = None  # set by the API: event(kind, fields)
        self.thread = threading.Thread(target=self.loop, name="scheduler", daemon=True)

    # ---- the loop ----

    def loop(self):
        while not self.options.stopping.is_set():
            with self.lock:
                for app in [*self.apps.values(), *self.leaving]:
                    self.reconcile(app)
                self.lock.wait(0.2)

    def wake(self):
        self.lock.notify_all()

    def reconcile(self, app):
        deployment = self.deployment_of(app.id)
        if app.removed:
            for task in app.live():
                self.kill(task)
            if not app.tasks:
                self.leaving.remove(app)
                self.end(deployment)
            return
        live = app.live()
        since = app.definition["versionInfo"]["lastConfigChangeAt"]
        old = [t for t in live if t.version < since] if deployment else []
        if old:
            self.replace(app, deployment, live, old)
            return
        wanted = app.definition["instances"]
        for task in self.surplus(app, live, len(live) - wanted):
            self.kill(task)
        self.launch(app, wanted - len(live))
        if deployment and not deployment.killing & app.tasks.keys() and len(app.live()) == wanted \
                and len(app.tasks) == wanted and all(t.ready() for t in app.live()):
            self.end(deployment)

    def replace(self, app, deployment, live, old):
        """A rolling upgrade by the app's upgradeStrategy."""
        wanted = app.definition["instances"]
        new = [t for t in live if t not in old]
        if deployment.room is None:
            strategy = app.definition["upgradeStrategy"]
            least = math.ceil(wanted * strategy["minimumHealthCapacity"])
            most = int(wanted * (1 + strategy["maximumOverCapacity"]))
            if least == most and most <= len(old):
                most += 1  # else nothing could ever move
            deployment.room = least, most
        least, most = deployment.room
        for task in sorted(old, key=Task.ready):  # those that serve nobody first
            if task.ready() and sum(t.ready() for t in app.live()) <= least:
                break
            self.kill(task)
        self.launch(app, min(wanted - len(new), most - len(app.tasks)))

    @staticmethod
    def surplus(app, live, count):
        youngest = app.definition["killSelection"] == "YOUNGEST_FIRST"
        return sorted(live, key=lambda t: t.began, reverse=youngest)[:max(0, count)]

    def launch(self, app, count):
        if time.monotonic() < app.not_before:
            return
        for _ in range(count):
            slot = self.place(app)
            if not slot:
                return  # waits for an offer
            task = Task(app.definition, slot)
            app.tasks[task.id] = task
            self.log(f"task {task.id} staging on={slot.agent.host} ports={slot.host_ports}")
            self.tell(task)
            slot.agent.launch(task, self.report)

    def place(self, app):
        """A slot on the agent with the fewest tasks of this app that constraints and ports allow."""
        def number(agent):
            return sum(t.slot.agent is agent for t in app.tasks.values())
        for agent in sorted(self.agents, key=lambda a: (number(a), -len(a.free))):
            if self.allows(app, agent, number(agent)):
                slot = agent.take(app.definition)
                if slot:
                    return slot
        return None

    def allows(self, app, agent, number):
        for field, operator, *value in app.definition["constraints"]:
            if field not in ("hostname", "@hostname"):
                return False
            if (operator == "UNIQUE" and number or
                    operator in ("CLUSTER", "IS") and value and agent.host != value[0] or
                    operator == "LIKE" and not apps.re.fullmatch(value[0], agent.host) or
                    operator == "UNLIKE" and apps.re.fullmatch(value[0], agent.host) or
                    operator == "MAX_PER" and number >= int(value[0])):
                return False
        return True

    def kill(self, task):
        if not task.killed.is_set():
            self.log(f"task {task.id} killing")
            task.slot.agent.kill(task)

    # ---- what agents say ----

    def report(self, task, state, message):
        with self.lock:
            task.state = state
            self.log(f"task {task.id} {state} {message}".rstrip())
            app = next((a for a in [*self.apps.values(), *self.leaving] if task.id in a.tasks), None)
            if state == "TASK_RUNNING":
                task.started = stamp()
                task.health.begin(self.unhealthy)
            if app and state in TERMINAL:
                del app.tasks[task.id]
                if not task.killed.is_set():
                    self.failed(app, task, state, message)
            self.tell(task, message)
            self.wake()

    def failed(self, app, task, state, message):
        """Its successor comes later each time, unless it ran for longer than that delay."""
        definition = app.definition
        if time.monotonic() - task.began > max(app.delay, definition["backoffSeconds"]):
            app.delay = 0.0
        app.delay = min(max(app.delay * definition["backoffFactor"], definition["backoffSeconds"]),
                        definition["maxLaunchDelaySeconds"])
        app.not_before = time.monotonic() + app.delay
        if state == "TASK_FAILED":
            app.failure = {"appId": app.id, "host": task.slot.agent.host, "message": message, "state": state,
                           "taskId": task.id, "timestamp": stamp(), "version": task.version,
                           "slaveId": task.slot.agent.id}

    def unhealthy(self, task, why):
        """From the thread of a health check."""
        with self.lock:
            self.log(f"task {task.id} unhealthy: {why}")
            self.kill(task)
            self.wake()

    def tell(self, task, message=""):
        if self.events:
            self.events("status_update_event", {
                "slaveId": task.slot.agent.id, "taskId": task.id, "taskStatus": task.state, "message": message,
                "appId": task.app["id"], "host": task.slot.agent.host, "version": task.version,
                "ports": [p for p in task.slot.host_ports if p]})

    # ---- deployments ----

    def deployment_of(self, app_id):
        return next((d for d in self.deployments.values() if d.app_id == app_id), None)

    def claim(self, app_id, force):
        """The app is free for another deployment, or force makes it so."""
        there = self.deployment_of(app_id)
        if there and not force:
            raise Refusal(409, "App is locked by one or more deployments. Override with the option '?force=true'. "
                          f"View details at '/v2/deployments/{there.id}'.", deployments=[{"id": there.id}])
        if there:
            self.end(there, "deployment_failed")

    def deploy(self, action, app_id, version, before):
        deployment = Deployment(action, app_id, version, before)
        self.deployments[deployment.id] = deployment
        self.log(f"deployment {deployment.id} {action} {app_id}")
        if self.events:
            self.events("deployment_info", {"plan": {"id": deployment.id, "version": version}})
        self.wake()
        return deployment

    def end(self, deployment, how="deployment_success"):
        if deployment and self.deployments.pop(deployment.id, None):
            self.log(f"deployment {deployment.id} {how}")
            if self.events:
                self.events(how, {"id": deployment.id})
            self.wake()

    # ---- what users ask ----

    def version(self):
        """Of now; no two are the same."""
        now = datetime.datetime.now(datetime.timezone.utc)
        if self.last and stamp(now) <= stamp(self.last):
            now = self.last + datetime.timedelta(milliseconds=1)
        self.last = now
        return stamp(now)

    def get(self, app_id):
        app = self.apps.get(app_id)
        if not app:
            raise Refusal(404, f"App '{app_id}' does not exist")
        return app

    def give_service_ports(self, definition, before=None):
        """Where 0 was asked: the one that stood in its place before, else the next."""
        had = iter(service_ports(before) if before else [])
        host = apps.mode_of(definition) == "host"
        key = "port" if host else "servicePort"
        for port in definition["portDefinitions"] if host else definition["container"]["portMappings"]:
            former = next(had, None)
            port[key] = port.get(key) or former or next(self.service_ports)

    def create(self, definition, force):
        if definition["id"] in self.apps:
            raise Refusal(409, f"An app with id [{definition['id']}] already exists.")
        self.claim(definition["id"], force)
        version = self.version()
        self.give_service_ports(definition)
        definition.update(version=version, versionInfo={"lastScalingAt": version, "lastConfigChangeAt": version})
        self.apps[definition["id"]] = App(definition)
        return self.deploy("StartApplication", definition["id"], version, None)

    def update(self, definition, force, restart=False):
        """The app that is there becomes this definition."""
        app = self.get(definition["id"])
        self.claim(app.id, force)
        before = app.definition
        version = self.version()
        self.give_service_ports(definition, before)
        scaled = apps.only_scaled(before, definition) and not restart
        changed = before["versionInfo"]["lastConfigChangeAt"] if scaled else version
        definition.update(version=version, versionInfo={"lastScalingAt": version, "lastConfigChangeAt": changed})
        app.definition = definition
        app.versions[version] = definition
        while len(app.versions) > KEPT_VERSIONS:
            del app.versions[min(app.versions)]
        app.delay = app.not_before = 0.0
        return self.deploy("ScaleApplication" if scaled else "RestartApplication", app.id, version, before)

    def remove(self, app_id, force):
        app = self.get(app_id)
        self.claim(app_id, force)
        app.removed = True
        del self.apps[app_id]
        self.leaving.append(app)
        return self.deploy("StopApplication", app_id, self.version(), app.definition)

    def cancel(self, deployment_id, force):
        """None when it is simply forgotten, else the deployment that goes back to what was before it."""
        deployment = self.deployments.get(deployment_id)
        if not deployment:
            raise Refusal(404, f"DeploymentPlan '{deployment_id}' does not exist")
        if force:
            self.end(deployment, "deployment_failed")
            return None
        self.end(deployment, "deployment_failed")
        if deployment.action == "StopApplication":
            app = next(a for a in self.leaving if a.id == deployment.app_id)
            self.leaving.remove(app)
            app.removed = False
            self.apps[app.id] = app
            return self.deploy("ScaleApplication", app.id, app.definition["version"], app.definition)
        if deployment.before is None:
            return self.remove(deployment.app_id, True)
        return self.update({**deployment.before}, True)

    def all_tasks(self):
        return [t for app in self.apps.values() for t in app.tasks.values()]

    def kill_tasks(self, tasks, scale, wipe, force):
        """Those tasks end; with scale their apps shrink by as many, and the deployment is answered, else None."""
        if scale and wipe:
            raise Refusal(400, "You cannot use scale and wipe at the same time.")
        deployment = None
        if scale:
            for app_id in sorted({t.app["id"] for t in tasks}):
                app = self.get(app_id)
                its = [t for t in tasks if t.app["id"] == app_id and not t.killed.is_set()]
                definition = {**app.definition, "instances": max(0, app.definition["instances"] - len(its))}
                deployment = self.update(definition, force)
                deployment.killing = {t.id for t in its}
        for task in tasks:
            self.kill(task)
        self.wake()
        return deployment

    def shut(self):
        """Every task is ended; what was started is removed from the engines."""
        for agent in self.agents:
            agent.remove_all()

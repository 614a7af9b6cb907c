"""The REST calls: what is asked of the scheduler, and the codes and bodies of the answers. A table of routes; each
handler takes (api, request, the parts of the path) and answers (status, body) or raises Refusal."""
import base64
import copy
import http.server
import json
import queue
import random
import re
import socketserver
import threading
import traceback
import urllib.parse

from . import apps
from .refusal import Refusal
from .scheduler import Deployment, service_ports, stamp

NAME = "marathon (stand-in of the Ochopod sidecar's tests)"
VERSION = "1.11.24"
BODY_MAX = 4 << 20


class Request:
    def __init__(self, handler, path, query):
        self.handler = handler
        self.path = path
        self.query = urllib.parse.parse_qs(query, keep_blank_values=True)

    def flag(self, name, default=False):
        """`?force` and `?force=true` alike."""
        value = self.query.get(name, [None])[-1]
        return default if value is None else value.lower() in ("", "true")

    def body(self):
        try:
            return json.loads(self.handler.payload or b"")
        except ValueError as error:
            raise Refusal(400, "Invalid JSON", details=str(error)) from error

    def object(self):
        body = self.body()
        if not isinstance(body, dict):
            raise Refusal(422, "Invalid JSON", details=[{"path": "/", "errors": ["error.expected.jsobject"]}])
        return body


class Created:
    """An answer with headers of its own."""

    def __init__(self, body, **headers):
        self.body = body
        self.headers = headers


# ---- shapes ----

def task_json(task):
    app, slot = task.app, task.slot
    seen = {
        "id": task.id, "appId": app["id"], "host": slot.agent.host, "slaveId": slot.agent.id,
        "state": "TASK_KILLING" if task.killed.is_set() else task.state, "version": task.version,
        "ports": [p for p in slot.host_ports if p], "servicePorts": service_ports(app), "role": app["role"],
        "ipAddresses": [{"ipAddress": a, "protocol": "IPv4"} for a in slot.addresses], "stagedAt": task.staged,
        "localVolumes": [],
    }
    if task.started:
        seen["startedAt"] = task.started
    if task.health.results():
        seen["healthCheckResults"] = task.health.results()
    return seen


def app_json(api, app, tasks):
    live = app.tasks.values()
    deployment = api.scheduler.deployment_of(app.id)
    said = {
        **app.definition,
        "tasksStaged": sum(t.state == "TASK_STAGING" for t in live),
        "tasksRunning": sum(t.state == "TASK_RUNNING" for t in live),
        "tasksHealthy": sum(bool(t.app["healthChecks"]) and t.ready() for t in live),
        "tasksUnhealthy": sum(False in t.health.alive for t in live),
        "deployments": [{"id": deployment.id}] if deployment else [],
    }
    if tasks:
        said["tasks"] = [task_json(t) for t in live]
        if app.failure:
            said["lastTaskFailure"] = app.failure
    return said


def deployment_json(deployment: Deployment):
    action = {"action": deployment.action, "app": deployment.app_id}
    return {"id": deployment.id, "version": deployment.version, "affectedApps": [deployment.app_id],
            "affectedPods": [], "steps": [{"actions": [action]}], "currentStep": 1, "totalSteps": 1,
            "currentActions": [{**action, "readinessCheckResults": []}]}


def deployed(deployment):
    return 200, Created({"version": deployment.version, "deploymentId": deployment.id},
                        **{"Marathon-Deployment-Id": deployment.id})


# ---- apps ----

def list_apps(api, request):
    with_tasks = "apps.tasks" in request.query.get("embed", [])
    wanted = request.query.get("id", [""])[0]
    labels = [part.split("==") for part in ",".join(request.query.get("label", [])).split(",") if part]

    def fits(app):
        return wanted in app.id and all(app.definition["labels"].get(l[0]) == l[1] if len(l) > 1 else
                                        l[0] in app.definition["labels"] for l in labels)
    return 200, {"apps": [app_json(api, a, with_tasks) for a in api.scheduler.apps.values() if fits(a)]}


def create_app(api, request):
    definition = apps.accepted(request.object())
    deployment = api.scheduler.create(definition, request.flag("force"))
    app = api.scheduler.apps[definition["id"]]
    return 201, Created({**app.definition, "deployments": [{"id": deployment.id}], "tasks": [], "tasksHealthy": 0,
                         "tasksRunning": 0, "tasksStaged": 0, "tasksUnhealthy": 0},
                        **{"Location": api.url(f"/v2/apps{definition['id']}"),
                           "Marathon-Deployment-Id": deployment.id})


def get_app(api, request, app_id):
    return 200, {"app": app_json(api, api.scheduler.get(app_id), True)}


def updated(api, request, app_id, body, partial):
    """body over what is there, as PUT and PATCH do."""
    app = api.scheduler.get(app_id)
    if "version" in body:  # back to that one
        past = app.versions.get(body["version"])
        if not past:
            raise Refusal(404, f"App '{app_id}' does not exist in version {body['version']}")
        body = past
    if apps.absolute(body.get("id", app_id)) != app_id:
        raise Refusal(422, "Object is not valid", details=[{"path": "/id", "errors": ["is not the id of the path"]}])
    body = {k: v for k, v in apps.modernised(body).items() if k not in apps.SCALING - {"instances"}}
    whole = {**(copy.deepcopy(app.definition) if partial else {}), **body, "id": app_id}
    if "networks" in body and apps.mode_of(body) != "host":
        whole.pop("portDefinitions", None)
    definition = apps.accepted(whole)
    return api.scheduler.update(definition, request.flag("force"))


def put_app(api, request, app_id):
    body = request.object()
    apps.check_types(body)
    if app_id in api.scheduler.apps:
        return deployed(updated(api, request, app_id, body, request.flag("partialUpdate", True)))
    definition = apps.accepted({**body, "id": app_id})
    deployment = api.scheduler.create(definition, request.flag("force"))
    _, said = deployed(deployment)
    said.headers["Location"] = api.url(f"/v2/apps{app_id}")
    return 201, said


def patch_app(api, request, app_id):
    body = request.object()
    apps.check_types(body)
    return deployed(updated(api, request, app_id, body, True))


def delete_app(api, request, app_id):
    return deployed(api.scheduler.remove(app_id, request.flag("force", True)))


def restart_app(api, request, app_id):
    definition = copy.deepcopy(api.scheduler.get(app_id).definition)
    return deployed(api.scheduler.update(definition, request.flag("force"), restart=True))


def list_versions(api, request, app_id):
    """In no order, as Marathon since 1.4: who takes the first for the newest is found out."""
    versions = sorted(api.scheduler.get(app_id).versions, reverse=True)
    if len(versions) > 1:
        newest = versions.pop(0)
        random.shuffle(versions)
        versions.insert(random.randint(1, len(versions)), newest)
    return 200, {"versions": versions}


def get_version(api, request, app_id, version):
    app = api.scheduler.get(app_id)
    if version not in app.versions:
        raise Refusal(404, f"App '{app_id}' does not exist in version {version}")
    return 200, app.versions[version]


# ---- tasks ----

def list_tasks(api, request):
    return 200, {"tasks": [task_json(t) for t in api.scheduler.all_tasks()]}


def app_tasks(api, request, app_id):
    return 200, {"tasks": [task_json(t) for t in api.scheduler.get(app_id).tasks.values()]}


def kill(api, request, tasks):
    """(deployment or None, what the tasks were before)."""
    before = [task_json(t) for t in tasks]
    deployment = api.scheduler.kill_tasks(tasks, request.flag("scale"), request.flag("wipe"), request.flag("force"))
    return deployment, before


def delete_app_tasks(api, request, app_id):
    host = request.query.get("host", [None])[-1]
    tasks = [t for t in api.scheduler.get(app_id).tasks.values() if host in (None, t.slot.agent.host)]
    deployment, before = kill(api, request, tasks)
    return deployed(deployment) if deployment else (200, {"tasks": before})


def delete_app_task(api, request, app_id, task_id):
    task = api.scheduler.get(app_id).tasks.get(task_id)
    if not task:
        raise Refusal(404, f"Task '{task_id}' does not exist")
    deployment, before = kill(api, request, [task])
    return deployed(deployment) if deployment else (200, {"task": before[0]})


TASK_ID = re.compile(r"^.+[._](instance-|marathon-)?[^._]+(\._app|\.[^.]+)?(\.\d+)?$")


def delete_tasks(api, request):
    ids = request.object().get("ids")
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise Refusal(422, "Invalid JSON", details=[{"path": "/ids", "errors": ["error.path.missing"]}])
    for task_id in ids:
        if not TASK_ID.match(task_id):
            raise Refusal(400, f"{task_id} is no valid instance identifier")
    tasks = [t for t in api.scheduler.all_tasks() if t.id in ids]
    if request.flag("scale") and ids and not tasks:
        raise Refusal(404, "No apps with instances of these tasks exist")
    deployment, before = kill(api, request, tasks)
    return deployed(deployment) if deployment else (200, {"tasks": before})


# ---- deployments ----

def list_deployments(api, request):
    return 200, [deployment_json(d) for d in api.scheduler.deployments.values()]


def delete_deployment(api, request, deployment_id):
    back = api.scheduler.cancel(deployment_id, request.flag("force"))
    return deployed(back) if back else (202, None)


# ---- the server itself ----

def info(api, request):
    options = api.options
    return 200, {
        "name": NAME, "version": VERSION, "buildref": "stand-in", "elected": True, "leader": api.address,
        "frameworkId": "00000000-0000-0000-0000-000000000000-0000",
        "marathon_config": {
            "master": "zk://xxxxxxxx:xxxxxxxx@none:2181/mesos", "env_vars_prefix": options.env_vars_prefix or None,
            "local_port_min": 10000, "local_port_max": 20000, "failover_timeout": 604800},
        "zookeeper_config": {"zk": "zk://xxxxxxxx:xxxxxxxx@none:2181/marathon"},
        "http_config": {"http_port": api.port, "https_port": 8443},
    }


def leader(api, request):
    return 200, {"leader": api.address}


def not_made(api, request, *_):
    raise Refusal(501, f"the stand-in does not do {request.handler.command} {request.path}")


ROUTES = [(method, re.compile(pattern), handler) for method, pattern, handler in (
    ("GET", r"/v2/apps", list_apps),
    ("POST", r"/v2/apps", create_app),
    ("GET", r"/v2/apps/(.+)/tasks", app_tasks),
    ("DELETE", r"/v2/apps/(.+)/tasks", delete_app_tasks),
    ("DELETE", r"/v2/apps/(.+)/tasks/([^/]+)", delete_app_task),
    ("GET", r"/v2/apps/(.+)/versions", list_versions),
    ("GET", r"/v2/apps/(.+)/versions/([^/]+)", get_version),
    ("POST", r"/v2/apps/(.+)/restart", restart_app),
    ("GET", r"/v2/apps/(.+)", get_app),
    ("PUT", r"/v2/apps/(.+)", put_app),
    ("PATCH", r"/v2/apps/(.+)", patch_app),
    ("DELETE", r"/v2/apps/(.+)", delete_app),
    ("GET", r"/v2/tasks", list_tasks),
    ("POST", r"/v2/tasks/delete", delete_tasks),
    ("GET", r"/v2/deployments", list_deployments),
    ("DELETE", r"/v2/deployments/([^/]+)", delete_deployment),
    ("GET", r"/v2/info", info),
    ("GET", r"/v2/leader", leader),
    ("(PUT|PATCH|DELETE)", r"/v2/apps", not_made),
    (".*", r"/v2/(groups|pods|queue|artifacts|plugins)(/.*)?", not_made),
)]


class Api:
    def __init__(self, scheduler, options):
        self.scheduler = scheduler
        self.options = options
        self.listeners = []
        scheduler.events = self.event

    def url(self, path):
        return f"http://{self.address}{path}"

    def event(self, kind, fields):
        frame = f"event: {kind}\r\ndata: {json.dumps({'eventType': kind, 'timestamp': stamp(), **fields})}\r\n\r\n"
        for kinds, listener in self.listeners:
            if not kinds or kind in kinds:
                listener.put(frame)

    def answer(self, handler):
        """(status, body or Created) of a request that is allowed."""
        path, _, query = handler.path.partition("?")
        request = Request(handler, urllib.parse.unquote(path), query)
        try:
            for method, pattern, does in ROUTES:
                match = pattern.fullmatch(request.path.rstrip("/"))
                if match and re.fullmatch(method, handler.command):
                    parts = list(match.groups())
                    if parts and does is not not_made and request.path.startswith("/v2/apps/"):
                        parts[0] = apps.absolute(parts[0])
                    with self.scheduler.lock:
                        return does(self, request, *parts)
            raise Refusal(500, "URI not found")
        except Refusal as refusal:
            return refusal.status, refusal.body
        except Exception as error:  # a fault of the stand-in: told to whoever asked, and shown
            self.options.log(traceback.format_exc())
            return 500, {"message": f"the stand-in failed: {error!r}"}

    def serve(self, listen, port):
        api = self

        class Bound(Handler):
            pass
        Bound.api = api
        self.server = Server((listen, port), Bound)
        self.port = self.server.server_address[1]
        self.address = f"{listen if listen != '0.0.0.0' else 'localhost'}:{self.port}"
        threading.Thread(target=self.server.serve_forever, name="http", daemon=True).start()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "marathon-stand-in"
    timeout = 60

    def log_message(self, format, *args):
        if self.command not in ("GET", "HEAD"):  # who polls would bury the rest
            self.api.options.log(f"http {format % args}")

    def send(self, status, body, headers=None, kind="application/json"):
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("X-Marathon-Leader", self.api.url(""))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def allowed(self):
        options = self.api.options
        said = self.headers.get("Authorization", "")
        if options.http_credentials:
            return said == "Basic " + base64.b64encode(options.http_credentials.encode()).decode()
        return not options.token or said == f"token={options.token}"

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX:
            self.close_connection = True
            self.send(413, {"message": "too large"})
            return
        self.payload = self.rfile.read(length)
        options = self.api.options
        base = options.base_path.rstrip("/")
        if base and self.path.startswith(base + "/"):
            self.path = self.path[len(base):]
        if not self.allowed():
            scheme = {} if options.token else {"WWW-Authenticate": 'Basic realm="Mesosphere"'}
            self.send(401, {"message": "Authentication needed"}, scheme)
        elif self.path == "/ping":
            self.send(200, b"pong", kind="text/plain")
        elif options.leader:
            self.send(307, None, {"Location": options.leader.rstrip("/") + base + self.path})
        elif self.command == "GET" and self.path.partition("?")[0] == "/v2/events":
            self.stream()
        else:
            status, body = self.api.answer(self)
            if isinstance(body, Created):
                self.send(status, body.body, body.headers)
            else:
                self.send(status, body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = serve

    def stream(self):
        if "text/event-stream" not in self.headers.get("Accept", ""):
            self.send(405, b"<html><body><h1>405 Method Not Allowed</h1></body></html>", kind="text/html")
            return
        kinds = urllib.parse.parse_qs(self.path.partition("?")[2]).get("event_type", [])
        mine = kinds, queue.Queue()
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        mine[1].put("event: event_stream_attached\r\ndata: " + json.dumps(
            {"eventType": "event_stream_attached", "timestamp": stamp(),
             "remoteAddress": self.client_address[0]}) + "\r\n\r\n")
        self.api.listeners.append(mine)
        try:
            while not self.api.options.stopping.is_set():
                try:
                    frame = mine[1].get(timeout=10)
                except queue.Empty:
                    frame = "\r\n"
                self.wfile.write(frame.encode())
                self.wfile.flush()
        except OSError:
            pass
        finally:
            self.api.listeners.remove(mine)

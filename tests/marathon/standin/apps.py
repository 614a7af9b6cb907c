"""What an app is: the JSON of a request checked, brought from the shape before Marathon 1.5 into the one after, and
filled with Marathon's defaults. Pure: knows no tasks, no engine, no clock."""
import re

from .refusal import invalid, mistyped

SEGMENT = re.compile(r"^(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])$|^(\.|\.\.)$")
DEFAULTS = {
    "backoffFactor": 1.15, "backoffSeconds": 1, "constraints": [], "cpus": 1, "dependencies": [], "disk": 0, "env": {},
    "executor": "", "fetch": [], "gpus": 0, "healthChecks": [], "instances": 1, "killSelection": "YOUNGEST_FIRST",
    "labels": {}, "maxLaunchDelaySeconds": 300, "mem": 128, "readinessChecks": [], "requirePorts": False, "role": "*",
    "secrets": {}, "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
    "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
}
# What changes how many there are, not what they are: tasks are not replaced for it.
SCALING = {"instances", "version", "versionInfo"}
MODES = {"BRIDGE": "container/bridge", "HOST": "host", "USER": "container"}


# ---- kinds: each takes (value, path, errors) ----

def text(value, path, errors):
    if not isinstance(value, str):
        errors.append((path, "error.expected.jsstring"))


def boolean(value, path, errors):
    if not isinstance(value, bool):
        errors.append((path, "error.expected.jsboolean"))


def number(value, path, errors):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        errors.append((path, "error.expected.jsnumber"))


def integer(value, path, errors):
    if isinstance(value, bool) or not isinstance(value, int):
        errors.append((path, "error.expected.jsnumber"))


def anything(*_):
    pass


def one_of(*words):
    def kind(value, path, errors):
        if value not in words:
            errors.append((path, f"error.unknown.enum.literal: {', '.join(words)}"))
    return kind


def many(kind):
    def kinds(value, path, errors):
        if not isinstance(value, list):
            errors.append((path, "error.expected.jsarray"))
            return
        for i, item in enumerate(value):
            kind(item, f"{path}({i})", errors)
    return kinds


def mapping(kind):
    def kinds(value, path, errors):
        if not isinstance(value, dict):
            errors.append((path, "error.expected.jsobject"))
            return
        for key, item in value.items():
            kind(item, f"{path}/{key}", errors)
    return kinds


def having(**keys):
    """An object; keys it does not name are let through."""
    def kind(value, path, errors):
        if not isinstance(value, dict):
            errors.append((path, "error.expected.jsobject"))
            return
        for key, item in value.items():
            if item is not None and key in keys:
                keys[key](item, f"{path}/{key}", errors)
    return kind


def variable(value, path, errors):
    if not isinstance(value, str) and not (isinstance(value, dict) and isinstance(value.get("secret"), str)):
        errors.append((path, "error.expected.jsstring"))


MAPPING = having(containerPort=integer, hostPort=integer, servicePort=integer, protocol=text, name=text,
                 labels=mapping(text), networkNames=many(text))
APP = having(
    id=text, cmd=text, args=many(text), user=text, env=mapping(variable), instances=integer, cpus=number, mem=number,
    disk=number, gpus=number, labels=mapping(text), constraints=many(many(text)), requirePorts=boolean,
    backoffSeconds=number, backoffFactor=number, maxLaunchDelaySeconds=number, taskKillGracePeriodSeconds=number,
    ports=many(integer), killSelection=one_of("YOUNGEST_FIRST", "OLDEST_FIRST"), dependencies=many(text),
    portDefinitions=many(having(port=integer, protocol=text, name=text, labels=mapping(text))),
    networks=many(having(mode=one_of("host", "container", "container/bridge"), name=text)),
    upgradeStrategy=having(minimumHealthCapacity=number, maximumOverCapacity=number),
    container=having(
        type=one_of("DOCKER", "MESOS"), portMappings=many(MAPPING),
        volumes=many(having(containerPath=text, hostPath=text, mode=one_of("RO", "RW"))),
        docker=having(image=text, network=one_of(*MODES), forcePullImage=boolean, privileged=boolean,
                      portMappings=many(MAPPING), parameters=many(having(key=text, value=text)))),
    healthChecks=many(having(protocol=text, path=text, portIndex=integer, port=integer, gracePeriodSeconds=number,
                             intervalSeconds=number, timeoutSeconds=number, maxConsecutiveFailures=integer)),
    readinessChecks=many(having(name=text, protocol=text, path=text, portName=text, intervalSeconds=number,
                                timeoutSeconds=number, httpStatusCodesForReady=many(integer))),
)


def check_types(body):
    errors = []
    APP(body, "", errors)
    if errors:
        raise mistyped([(path or "/", error) for path, error in errors])


# ---- one shape ----

def absolute(app_id):
    return "/" + app_id.strip("/")


def network_of(docker):
    """`networks` for the docker.network of older requests; the name of a USER network lies in ipAddress."""
    mode = MODES[docker.pop("network")]
    return [{"mode": mode}]


def modernised(body):
    """The request in the shape that answers have since 1.5; the argument stays as it is."""
    app = {key: value for key, value in body.items() if value is not None}
    container = dict(app.get("container") or {})
    docker = dict(container.get("docker") or {})
    address = app.pop("ipAddress", None) or {}
    if "network" in docker:
        app.setdefault("networks", network_of(docker))
        if address.get("networkName") and app["networks"][0]["mode"] == "container":
            app["networks"][0]["name"] = address["networkName"]
    if "portMappings" in docker:
        container.setdefault("portMappings", docker.pop("portMappings"))
    if docker:
        container["docker"] = docker
        container.setdefault("type", "DOCKER")
    if container:
        app["container"] = container
    if "ports" in app:
        ports = app.pop("ports")
        app.setdefault("portDefinitions", [{"port": port, "protocol": "tcp"} for port in ports])
    if "uris" in app:
        app.setdefault("fetch", [{"uri": uri} for uri in app.pop("uris")])
    return app


def mode_of(app):
    networks = app.get("networks") or [{"mode": "host"}]
    return networks[0]["mode"]


def completed(app):
    """Defaults filled in, ports of the network's mode in the one place where they belong."""
    full = {**{key: value.copy() if isinstance(value, (dict, list)) else value for key, value in DEFAULTS.items()},
            **app}
    full["id"] = absolute(full["id"])
    full["upgradeStrategy"] = {**DEFAULTS["upgradeStrategy"], **full["upgradeStrategy"]}
    full.setdefault("networks", [{"mode": "host"}])
    if mode_of(full) == "host":
        full["portDefinitions"] = [{"protocol": "tcp", "labels": {}, **p}
                                   for p in full.get("portDefinitions", [{"port": 0, "name": "default"}])]
    else:
        bridge = mode_of(full) == "container/bridge"
        container = dict(full.get("container") or {"type": "MESOS"})
        mappings = [{"containerPort": 0, "protocol": "tcp", "servicePort": 0, "labels": {}, **m}
                    for m in container.get("portMappings", [{"name": "default"}] if bridge else [])]
        for mapped in mappings:
            if bridge and mapped.get("hostPort") is None:
                mapped["hostPort"] = 0
        full["container"] = {**container, "portMappings": mappings}
    if "container" in full:
        container = full["container"] = {"volumes": [], **full["container"]}
        if "docker" in container:
            container["docker"] = {"forcePullImage": False, "privileged": False, "parameters": [],
                                   **container["docker"]}
    for check in full["healthChecks"]:
        for key, value in (("gracePeriodSeconds", 300), ("intervalSeconds", 60), ("timeoutSeconds", 20),
                           ("maxConsecutiveFailures", 3), ("protocol", "HTTP"), ("path", "/")):
            check.setdefault(key, value)
    for check in full["readinessChecks"]:
        for key, value in (("name", "readinessCheck"), ("protocol", "HTTP"), ("path", "/"), ("portName", "http-api"),
                           ("intervalSeconds", 30), ("timeoutSeconds", 10), ("httpStatusCodesForReady", [200])):
            check.setdefault(key, value)
    return full


# ---- what may not be ----

def id_errors(app_id):
    if not app_id.strip("/"):
        return ["must not be empty"]
    if not all(SEGMENT.match(segment) for segment in app_id.strip("/").split("/")):
        return ["must fully match regular expression '^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*"
                "([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])|(\\.|\\.\\.)$'"]
    return []


def range_errors(app):
    errors = []
    for key in ("instances", "cpus", "mem", "disk", "gpus", "backoffSeconds", "maxLaunchDelaySeconds",
                "taskKillGracePeriodSeconds"):
        if app.get(key, 0) < 0:
            errors.append((f"/{key}", "got %s, expected 0 or more" % app[key]))
    if app["backoffFactor"] < 1:
        errors.append(("/backoffFactor", "got %s, expected 1.0 or more" % app["backoffFactor"]))
    for key in ("minimumHealthCapacity", "maximumOverCapacity"):
        value = app["upgradeStrategy"][key]
        if value > 1:
            errors.append((f"/upgradeStrategy/{key}", "is greater than 1"))
        if value < 0:
            errors.append((f"/upgradeStrategy/{key}", "is less than 0"))
    return errors


def port_errors(app):
    errors = []
    mappings = (app.get("container") or {}).get("portMappings", [])
    if mappings and app.get("portDefinitions"):
        errors.append(("/portDefinitions", "portDefinitions and portMappings are mutually exclusive"))
    if mappings and mode_of(app) == "host":
        errors.append(("/container/portMappings", "must be empty with host networking"))
    names = [p["name"] for p in mappings + app.get("portDefinitions", []) if p.get("name")]
    if len(set(names)) != len(names):
        errors.append(("/portDefinitions" if not mappings else "/container/portMappings",
                       "Port names must be unique."))
    for i, mapped in enumerate(mappings):
        for key in ("containerPort", "hostPort", "servicePort"):
            if not 0 <= (mapped.get(key) or 0) <= 65535:
                errors.append((f"/container/portMappings({i})/{key}", "must be between 0 and 65535"))
        if mapped.get("protocol", "tcp") not in ("tcp", "udp", "tcp,udp", "udp,tcp"):
            errors.append((f"/container/portMappings({i})/protocol", "must be one of tcp, udp, tcp,udp"))
    for i, port in enumerate(app.get("portDefinitions", [])):
        if not 0 <= port.get("port", 0) <= 65535:
            errors.append((f"/portDefinitions({i})/port", "must be between 0 and 65535"))
    return errors


def container_errors(app):
    errors = []
    container = app.get("container") or {}
    if not app.get("cmd") and not app.get("args") and not container.get("docker", {}).get("image"):
        errors.append(("/", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."))
    if app.get("cmd") and app.get("args"):
        errors.append(("/", "AppDefinition must not contain both 'cmd' and 'args'."))
    if container.get("type") == "DOCKER" and not container.get("docker", {}).get("image"):
        errors.append(("/container/docker/image", "must not be empty"))
    for i, volume in enumerate(container.get("volumes", [])):
        if not volume.get("containerPath"):
            errors.append((f"/container/volumes({i})/containerPath", "must not be empty"))
    if mode_of(app) == "container" and not app["networks"][0].get("name"):
        errors.append(("/networks(0)/name", "must not be empty"))
    return errors


def accepted(body):
    """The full definition of a request's body, or a Refusal. Unknown keys go as they came."""
    check_types(body)
    if "id" not in body:
        raise mistyped([("/id", "error.path.missing")])
    app = modernised(body)
    full = completed(app)
    errors = [("/id", error) for error in id_errors(full["id"])]
    errors += range_errors(full) + port_errors(full) + container_errors(full)
    if errors:
        raise invalid(errors)
    return full


def only_scaled(before, after):
    """Nothing but the number of instances is another."""
    return ({k: v for k, v in before.items() if k not in SCALING} ==
            {k: v for k, v in after.items() if k not in SCALING})

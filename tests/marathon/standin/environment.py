"""The environment of an app's task, as Marathon 1.11 and a Mesos agent make it. Pure."""
import re

from .apps import mode_of

LONGEST = 512  # of a label's name or value, else it is left out


def double(value):
    return repr(float(value))


def requested(app):
    """[(name or None, port asked for)] of the mappings, else of the definitions."""
    mappings = (app.get("container") or {}).get("portMappings") or []
    if mode_of(app) != "host" and mappings:
        return [(m.get("name"), m.get("containerPort") or 0) for m in mappings]
    return [(p.get("name"), p.get("port") or 0) for p in app.get("portDefinitions", [])]


def port_variables(app, host_ports, generate):
    """host_ports: one an asked port, None where only the container has it. generate(): a port out of nowhere, for a
    container network that asks for none in particular."""
    env, listed = {}, []
    for i, ((name, port), host) in enumerate(zip(requested(app), host_ports)):
        value = host or port
        if not value:
            value = generate()
        if host or not port:
            listed.append(value)
        env[f"PORT{i}"] = str(value)
        env[f"PORT_{port or value}"] = str(value)
        if name:
            env[f"PORT_{name.upper()}"] = str(value)
    if listed:
        env["PORT"] = str(listed[0])
        env["PORTS"] = ",".join(map(str, listed))
    return env


def label_variables(labels):
    env, names = {}, []
    for key, value in labels.items():
        if len(key) >= LONGEST or len(value) >= LONGEST:
            continue
        name = re.sub(r"[^a-zA-Z0-9_]+", "_", key).upper()
        names.append(name)
        env[f"MARATHON_APP_LABEL_{name}"] = value
    return {"MARATHON_APP_LABELS": " ".join(names), **env}


def task_environment(app, task_id, host, host_ports, prefix="", generate=lambda: 0):
    """What Marathon sets; the user's own come last and win."""
    env = {
        "MESOS_TASK_ID": task_id,
        "MARATHON_APP_ID": app["id"],
        "MARATHON_APP_VERSION": app["version"],
        "MARATHON_APP_ENFORCE_GROUP_ROLE": "FALSE",
    }
    image = ((app.get("container") or {}).get("docker") or {}).get("image")
    if image:
        env["MARATHON_APP_DOCKER_IMAGE"] = image
    for name, key in (("CPUS", "cpus"), ("MEM", "mem"), ("DISK", "disk")):
        env[f"MARATHON_APP_RESOURCE_{name}"] = double(app[key])
    env["MARATHON_APP_RESOURCE_GPUS"] = str(app["gpus"])
    env.update(label_variables(app["labels"]))
    ports = {"HOST": host, **port_variables(app, host_ports, generate)}
    env.update({prefix + name: value for name, value in ports.items()})
    # A secret's value is nowhere here.
    env.update({name: value for name, value in app["env"].items() if isinstance(value, str)})
    return env

"""In which phase of a round a kill fell, by what the leaders said of their rounds: what a long run reports. Phases are
short, so not every kind meets each in every run."""
import re

from lines import begins, when

PHASES = ("check", "off", "on", "commit", "ok", "between rounds")
STATES = {"checking": "check", "stopping": "off", "starting": "on", "committing": "commit"}
KILLS = {"worker": ("worker killed",),
         "helper": ("a process beside the worker killed", "sidecar out of memory"),
         "all of a sidecar": ("init killed, and the container with it", "sidecar's shim killed"),
         "workload": ("workload killed", "workload out of memory", "workload's shim killed",
                      "workload's shim out of memory", "somebody kills the workload"),
         "engine": ("engine killed", "engine killed, with live restore", "engine out of memory"),
         "ZooKeeper": ("ZooKeeper server killed", "ZooKeeper server out of memory", "ZooKeeper's leader killed",
                       "ZooKeeper killed, all of it"),
         "leader stopped": ("leader stopped in its round",)}
STEP = re.compile(r" leader \S+ state=(\S+) from=(\S+) event=")


def spans(run):
    """[(from, to, phase)] of every round of every leader; one that was killed is in its phase until it is back."""
    told = sorted(when(run, line) for pod in run.bench.pods for line in pod.said.splitlines() if " task=ok round=" in line)
    found = []
    for pod in run.bench.pods:
        phase = since = None
        for line in pod.said.splitlines():
            step = STEP.search(line)
            if not step and not begins(line):
                continue
            now = when(run, line)
            if phase == "ok":
                found.append((since, max((t for t in told if since <= t <= min(now, since + 5)), default=since), phase))
            elif phase:
                found.append((since, now, phase))
            phase, since = step and STATES.get(step[1]), now
            if step and step[1] == "settled" and step[2] == "committing":
                phase = "ok"
        if phase and phase != "ok":
            found.append((since, since + 60, phase))
    return sorted(found)


def cells(run):
    """{(who was killed, phase): how often}."""
    found, counts = spans(run), {}
    for one in run.done:
        who = next((name for name, kinds in KILLS.items() if one.kind in kinds), None)
        if who and one.injected:
            # Of two that lead, the older one has been deposed.
            phase = next((p for a, b, p in reversed(found) if a <= one.hit <= b), PHASES[-1])
            counts[who, phase] = counts.get((who, phase), 0) + 1
    return counts


def table(run):
    counts = cells(run)
    lines = [f"| killed | {' | '.join(PHASES)} |", "|---" * (len(PHASES) + 1) + "|"]
    for who in KILLS:
        row = [str(counts.get((who, phase), "")) for phase in PHASES]
        if any(row):
            lines.append(f"| {who} | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"

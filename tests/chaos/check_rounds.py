"""The invariants of rounds, from what pods said of them: a line for each task that was carried out, none for one that was
asked for again. A line does not say the epoch, and every leader counts its rounds from 1; but whoever leads begins with
a check."""
import re

from lines import at, begins, stops, when

TASK = re.compile(r" task=(check|off|on|ok) round=(\d+) (done|code=)")
BURST, WINDOW_S = 5, 10
LOSES_LINES = ("sidecar removed and made again", "pod removed for good, another one comes", "sidecar's shim killed")


def rounds_of(run, pod):
    """([(t, round)] of checks that it passed, [(t, round)] of workloads that a round stopped)."""
    checked, stopped, begun = [], [], None
    for line in pod.said.splitlines():
        task = TASK.search(line)
        if begins(line):
            begun = None
        elif stops(line):
            begun = when(run, line)
        elif task and task[1] == "check":
            begun = None
            if task[3] == "done":
                checked.append((when(run, line), int(task[2])))
        elif task:
            if begun and task[2] != "0":  # 0: an operator's
                stopped.append((begun, int(task[2])))
            begun = None
    return checked, stopped


def may_lack(run, pod, since, until):
    """Lines of those seconds: its container was removed, or the engine that writes them down was killed."""
    return any((d.target == pod.host.name or (d.target == pod.name and d.kind in LOSES_LINES)) and d.begin - 1 <= until and
               (d.end is None or d.end >= since) for d in run.done)


def s4(run):
    """A round stops a workload only after everybody whom its proposal names has passed its check."""
    bad = []
    said = [(pod, *rounds_of(run, pod)) for pod in run.bench.pods]
    proposals = sorted(((at(run, stamp), p) for stamp, p in run.tree.proposals), key=lambda p: p[0])
    for pod, _, stopped in said:
        for t, number in stopped:
            found = [(since, p) for since, p in proposals if since <= t + 0.1 and p["round"] == number]
            if not found:
                bad.append(f"S4: {pod.name} was stopped at {t - run.began:.2f} by a round {number} that nobody proposed")
                continue
            since, proposal = found[-1]
            for one, checked, _ in said:
                if one.ids.isdisjoint(proposal.get("pods", {})):
                    continue
                passed = any(n == number and since - 0.1 <= c <= t + 0.1 for c, n in checked)
                if not passed and not may_lack(run, one, since, t):
                    bad.append(f"S4: {pod.name} was stopped at {t - run.began:.2f} by round {number}, which {one.name} had not "
                               "checked")
    return bad


def s8(run):
    """No workload here ends by itself: whoever says that one has is wrong."""
    return [f"S8: {pod.name}: {line}" for pod in run.bench.pods for line in pod.said.splitlines()
            if re.search(r" pod \S+ state=(ending|dead) ", line) or " is=dead " in line]


def s9(run):
    """At most 5 starts in any 10 s, but for those that a round, an operator or a fault asked for."""
    bad = []
    for pod in run.bench.pods:
        starts = [t for t, _ in pod.history()]
        asked = [when(run, line) for line in pod.said.splitlines() if "state=starting from=stopped event=start" in line]
        for first in starts:
            number = sum(first <= t < first + WINDOW_S for t in starts)
            last = starts[starts.index(first) + number - 1]
            excused = sum(first - 2 <= t <= last for t in asked) + sum(d.touches(pod.name, first, last) for d in run.done)
            if number - excused > BURST:
                bad.append(f"S9: {pod.name} was started {number} times from {first - run.began:.2f} to {last - run.began:.2f}, "
                           f"{excused} of them with a reason")
    return bad


def s11(run):
    """Within a worker's life off, on and ok of a round are carried out once: no second time without a check between."""
    bad = []
    for pod in run.bench.pods:
        seen = set()
        for line in pod.said.splitlines():
            task = TASK.search(line)
            if begins(line) or (task and task[1] == "check"):
                seen = set()
            elif task and task[2] != "0":
                if task.group(1, 2) in seen:
                    bad.append(f"S11: {pod.name} has carried out {task[1]} of round {task[2]} twice: {line}")
                seen.add(task.group(1, 2))
    return bad

"""What must hold after each point, and over the whole run."""
from strike import RUNNER


class Before:
    """A cluster at rest, to be compared with what it is afterwards."""

    def __init__(self, cluster, infos):
        self.who = [(i["id"], i["seq"]) for i in infos]
        self.starts = {pod.name: len(pod.history()) for pod in cluster.pods}
        self.ended = len(cluster.struck.ended())
        self.word = cluster.word
        self.lines = len(cluster.struck.log().splitlines())


def was_being_stopped(cluster, done, before):
    """The worker ended after it had asked the engine for a stop, and before it had seen it; or, where the process was
    struck that writes the state directory, before that could be written down."""
    state = ""
    for line in cluster.struck.log().splitlines()[before.lines:]:
        if " worker=ended " in line:
            return " state=stopping " in state or (done.kind.process == RUNNER and " state=stopped from=stopping " in state)
        if " pod " in line and " state=" in line:
            state = line
    return False


def judge(cluster, done, before, infos):
    """A line for each thing that does not hold."""
    bad = []
    who = [(i["id"], i["seq"]) for i in infos]
    if who != before.who:
        bad.append(f"S12: pods were {before.who} and are {who}")
    started = [words for _, words in cluster.struck.history()[before.starts[cluster.struck.name]:]]
    # The new configuration is a cause for one start; that something was killed is a cause for none. But a workload that
    # the engine was asked to stop has died when another worker comes, and is started with what is in force.
    once, again = [str(cluster.word)] * 4, [str(before.word)] * 4
    done.again = started == [again, once] and was_being_stopped(cluster, done, before)
    if started != [once] and not done.again:
        bad.append(f"S6, S15: started {len(started)} times, with {started}; wanted: once, with {cluster.word}")
    if cluster.pair and len(cluster.leader.history()) != before.starts[cluster.leader.name]:
        bad.append("S6: the workload of the pod that leads was started again")
    ended = cluster.struck.ended()[before.ended:]
    wanted = done.kind.statuses() if done.call else []
    if ended != wanted:
        bad.append(f"S14: workers ended with {ended}, wanted {wanted}")
    return bad


def phase(cluster, done, engine):
    """Where in the workload's life it fell: from the engine's events."""
    pod = cluster.struck
    actions = {}
    for t, action, _, labels in engine.events:
        if labels.get("io.ochopod.pod") in pod.ids and labels.get("io.ochopod.role") == "workload" and t >= done.begin:
            actions.setdefault(action, t)
    if done.time < actions.get("die", done.time + 1):
        return "before its stop"
    return "while it was down" if done.time < actions.get("start", done.time + 1) else "after its start"


def over_all(recorders, stage, began):
    """Files that were not whole, a pod that ran twice: at any time."""
    bad = [f"S15: {c['path']} was not whole at {c['t'] - began:.2f}: {c['size']} bytes"
           for c in recorders.changes if c["path"] and not c["whole"]]
    bad += [f"S17: pod {pod} ran as {[c[:12] for c in containers]} at {t - began:.2f}"
            for t, pod, containers in recorders.kernel.twice]
    for pod in stage.pods:
        bad += [f"S15: {pod.name} was started with files of {words}" for _, words in pod.history()
                if len(words) != 4 or len(set(words)) != 1]
    return bad

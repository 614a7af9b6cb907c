"""The invariants, decided after the run from what was recorded. Each answers a list of violations, a line each."""
import hashlib
import json
import re

from bench import CANARY, ROOT, ZK_USER
from check_rounds import s4, s8, s9, s11
from lines import begins, stops, when
from schedule import LEAST, LONG
from txnlog import committed

LOCKS, PODS = f"{ROOT}/coordinator/", f"{ROOT}/pods/"
LEADERS = tuple(f"{ROOT}/{name}" for name in ("hash", "leader", "snapshot", "members", "proposal"))

# What a configuration depends on of a pod: cluster_hash looks at nothing else.
HASHED = ("application", "cluster", "ip", "namespace", "node", "ports", "public", "renewals", "seq", "task", "zone")
LARGEST = 838860  # bytes of a node

HELPER_KILLED = ("a process beside the worker killed", "sidecar out of memory")


class Tree:
    """The transaction logs, replayed."""

    def __init__(self, bench):
        self.txns = [t for t in committed([s.dir / "data" for s in bench.servers]) if not t.failed]
        self.locks = {}      # path -> (czxid, session), those that live
        self.pods = {}
        self.unfenced, self.apart, self.large = [], [], []
        self.lists = []      # (path, access list) of every node of the cluster
        self.proposals = []  # (server's time, what it says)
        self.leaders = []    # zxids of locks that became the lowest
        self.rounds = 0
        self.seqs = {}       # pod id -> seqs that it had
        self.nodes = []      # (path, data) of everything ever written
        for txn in self.txns:
            self.replay(txn)

    def lowest(self):
        return min(self.locks, key=lambda p: p[-10:], default=None)

    def replay(self, txn):
        # A fenced write is one transaction with a check of its author's lock: it stood, and it was the lowest.
        writes = [p for what, p, _, _ in txn.parts if what in ("set", "create") and p in LEADERS]
        made = {p for what, p, _, _ in txn.parts if what == "create"}
        if any(p not in made for p in writes) and not self.is_emptied(txn):
            self.judge(txn, writes)
        self.compare(txn)
        self.lists += [(path, acl) for path, acl in txn.lists if path == ROOT or path.startswith(f"{ROOT}/")]
        for what, path, data, _ in txn.parts:
            if data and len(data) > LARGEST:
                self.large.append(f"S13: zxid {txn.zxid:#x} wrote {len(data)} bytes to {path}")
            if data and path == f"{ROOT}/proposal":
                self.proposals.append((txn.time, json.loads(data)))
            if data:
                self.nodes.append((path, data))
                self.number(path, data)
            if what == "create" and path.startswith(LOCKS):
                self.locks[path] = (txn.zxid, txn.session)
            elif what == "create" and path.startswith(PODS):
                self.pods[path] = txn.session
            elif what == "delete":
                self.forget(path)
        for path in txn.closed:
            self.forget(path)
        if self.lowest() and (not self.leaders or self.leaders[-1] != self.lowest()):
            self.leaders.append(self.lowest())

    def number(self, path, data):
        """A record says which number its pod has; the first one ever has that of its node."""
        if path.startswith(PODS):
            pod, suffix = path[len(PODS):].rsplit(".", 1)
            self.seqs.setdefault(pod, set()).add(json.loads(data).get("seq", int(suffix)))

    def forget(self, path):
        self.locks.pop(path, None)
        self.pods.pop(path, None)

    def compare(self, txn):
        """Snapshot and hash change together, and one is the hash of the other and of what the round depends on, as its
        proposal says; /leader names the same one."""
        wrote = {path.rsplit("/", 1)[1]: data for what, path, data, _ in txn.parts if what in ("set", "create") and
                 path in LEADERS}
        if not wrote.get("hash") and wrote.get("snapshot", b"{}") in (b"", b"{}"):  # there are none yet
            return
        if not all(wrote.get(name) for name in ("hash", "snapshot", "leader")):
            self.apart.append(f"S3: zxid {txn.zxid:#x} wrote {sorted(wrote)} alone")
            return
        told = wrote["hash"].decode()
        proposal = next((p for _, p in reversed(self.proposals) if p["hash"] == told), {})
        found = digest(json.loads(wrote["snapshot"]), proposal.get("dependencies", {}))
        if told != found or json.loads(wrote["leader"])["hash"] != told:
            self.apart.append(f"S3: zxid {txn.zxid:#x} wrote hash {told[:12]}, its snapshot's is {found[:12]}, /leader has "
                              f"{json.loads(wrote['leader'])['hash'][:12]}")

    def is_emptied(self, txn):
        """By the last pod to leave, who leads no more: nobody has a record or a lock. The others may be there, and cut off."""
        left = {path: data or b"" for what, path, data, _ in txn.parts}
        return left == {f"{ROOT}/snapshot": b"{}", f"{ROOT}/hash": b""} and not self.pods and not self.locks

    def judge(self, txn, writes):
        if any(path == f"{ROOT}/hash" for path in writes):
            self.rounds += 1
        lowest = self.lowest()
        checks = [p for what, p, _, _ in txn.parts if what == "check"]
        if lowest is None or self.locks[lowest][1] != txn.session or lowest not in checks:
            self.unfenced.append(f"S3: zxid {txn.zxid:#x} of session {txn.session:#x} wrote {writes} behind {checks}, and "
                                 f"the lowest lock was {lowest}")


def digest(pods, dependencies):
    """As sidecar/cluster/essence.c has it, written anew: SHA-256 of canonical JSON, of what a configuration can depend on."""
    def hashed(pods, own):
        return {i: {k: p[k] for k in HASHED if k in p and (own or k != "renewals")} for i, p in pods.items()}
    whole = {"dependencies": {name: hashed(d, False) for name, d in dependencies.items()}, "pods": hashed(pods, True)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def s3(run):
    return run.tree.unfenced + run.tree.apart


def s13(run):
    """No node is larger than what a server takes, less a fifth; and no server hung up on somebody for that."""
    bad = list(run.tree.large)
    for server in run.bench.servers:
        text = (server.dir / "log").read_text(errors="replace")
        bad += [f"S13: {server.name}: {line}" for line in text.splitlines()
                if "Len error" in line or "Unreasonable length" in line]
    return bad


def s12(run):
    """A pod's number never changes, and nobody else has it."""
    bad = [f"S12: {pod} had the numbers {sorted(seqs)}" for pod, seqs in run.tree.seqs.items() if len(seqs) > 1]
    owners = {}
    for pod, seqs in run.tree.seqs.items():
        for seq in seqs:
            owners.setdefault(seq, set()).add(pod)
    return bad + [f"S12: {sorted(pods)} had number {seq}" for seq, pods in owners.items() if len(pods) > 1]


def contents(run, pod):
    """[(t, word)]: how its files looked, whole or not there at all."""
    return [(c["t"], c["word"]) for c in run.recorders.changes if c["path"].startswith(f"{pod.conf}/")]


def s6(run):
    """A workload is started again only with another configuration, or because something ended it. Where a round had stopped
    it and the worker ended before the files were changed, it is down for no reason and started with what it had."""
    bad = []
    for pod in run.bench.pods:
        seen = contents(run, pod)
        history = pod.history()
        cut = cut_rounds(run, pod)
        half = [when(run, line) for line in pod.said.splitlines() if " was half started by an engine" in line]
        for before, now in zip(history, history[1:]):
            changed = now[1] != before[1] or any(before[0] < t < now[0] and [word] != before[1][:1] for t, word in seen)
            caused = any(d.touches(pod.name, before[0], now[0]) for d in run.done) or \
                any(before[0] < t < now[0] for t in cut + half)
            if not changed and not caused:
                bad.append(f"S6: {pod.name} was started at {now[0] - run.began:.2f} as at {before[0] - run.began:.2f}, "
                           "with the same configuration and for no reason")
    return bad


def cut_rounds(run, pod):
    """[t]: when a round that came with other files stopped its workload, and another worker came before it was ready."""
    found, comes, begun = [], False, None
    for line in pod.said.splitlines():
        if " configures files=changed" in line:
            comes = True
        elif stops(line):
            begun = when(run, line) if comes else None
        elif "workload=ready" in line or begins(line):
            if begun and "workload=ready" not in line:
                found.append(begun)
            comes, begun = False, None
    return found


def replacements(run, pod):
    """[(from, to)]: a round stopped its workload until it was ready again, and no fault hit the pod meanwhile."""
    found, begun = [], None
    for line in pod.said.splitlines():
        if stops(line):
            begun = when(run, line)
        elif "workload=ready" in line and begun:
            found.append((begun, when(run, line)))
            begun = None
        elif " state=" in line and "state=stopped from=stopping" not in line and "state=starting from=stopped" not in line \
                and "state=running from=starting" not in line and " pod " in line:
            begun = None
    hit = [d for d in run.done if d.target == pod.name or pod.name in d.ends]
    return [(a, b) for a, b in found if not any(d.begin <= b and (d.end is None or d.end >= a) for d in hit)]


def s5(run):
    """Where pods are configured one after the other, two are never replaced at once. The round that forms the cluster
    stops nothing."""
    if not run.bench.sequential:
        return []
    spans = sorted((a, b, pod.name) for pod in run.bench.pods for a, b in replacements(run, pod))
    return [f"S5: {one[2]} was replaced from {one[0] - run.began:.2f} to {one[1] - run.began:.2f}, and {two[2]} from "
            f"{two[0] - run.began:.2f}" for i, one in enumerate(spans) for two in spans[i + 1:]
            if two[2] != one[2] and two[0] < one[1]]


def s7(run):
    """Strangers are left alone. What an engine's own end does to them is not ours."""
    bad = []
    for host, made, name in run.bench.decoys:
        try:
            host.api.inspect(made)
        except OSError as error:
            bad.append(f"S7: {name} of {host.name}: {error}")
    strangers = {made for _, made, _ in run.bench.decoys}
    for engine in run.recorders.engines:
        for t, action, container, _ in engine.events:
            if container in strangers and action in ("destroy", "rename", "pause", "update"):
                bad.append(f"S7: {action} of a stranger at {t - run.began:.2f}")
            killed = container in strangers and action in ("kill", "stop", "die")
            if killed and not any(d.kind.startswith("engine") and d.begin - 1 <= t and (not d.end or t <= d.end)
                                  for d in run.done):
                bad.append(f"S7: {action} of a stranger at {t - run.began:.2f}")
    return bad


def s14(run):
    """A process of ours ends because somebody ended it. A worker whose helper was killed ends itself, once, with 1."""
    bad = []
    for pod in run.bench.pods:
        ends = [int(status) for status in re.findall(r"init worker=ended status=(\d+)", pod.said)]
        helpers = [d for d in run.done if d.target == pod.name and d.kind in HELPER_KILLED]
        bad += [f"S14: the worker of {pod.name} ended by itself, status {e}" for e in ends if e not in (1, 137)]
        if ends.count(1) > len(helpers):
            bad.append(f"S14: the worker of {pod.name} ended by itself {ends.count(1)} times, for {len(helpers)} helpers killed")
    return bad


def s15(run):
    bad = [f"S15: {c['path']} was not whole at {c['t'] - run.began:.2f}: {c['size']} bytes"
           for c in run.recorders.changes if c["path"] and not c["whole"]]
    for pod in run.bench.pods:
        for t, words in pod.history():
            if len(words) != 4 or len(set(words)) != 1:
                bad.append(f"S15: {pod.name} started at {t - run.began:.2f} with files of {words}")
    return bad


def s17(run):
    seen = {}
    for t, pod, containers in run.recorders.kernel.twice:
        seen.setdefault((pod, tuple(c[:12] for c in containers)), t)
    return [f"S17: pod {pod} ran as {containers} at {t - run.began:.2f}" for (pod, containers), t in seen.items()]


def acl(run):
    """Where pods have a user of ZooKeeper, every node is that user's alone."""
    def ours(entries):
        return len(entries) == 1 and entries[0][1] == "digest" and entries[0][2].startswith(f"{ZK_USER}:")
    return [f"access lists: {path} was made for {[e[1:] for e in entries]}" for path, entries in run.tree.lists
            if not ours(entries)] if run.bench.safe else []


def s18(run):
    bad = [f"S18: the secret is in {path}" for path, data in run.tree.nodes if CANARY.encode() in data]
    for pod in run.bench.pods:
        if CANARY in pod.said:
            bad.append(f"S18: the secret is in the log of {pod.name}")
        for path in ("/info", "/log", "/metrics"):
            try:
                if CANARY in str(pod.ask("GET", path)[1]):
                    bad.append(f"S18: the secret is in {path} of {pod.name}")
            except (OSError, LookupError):
                pass
        for file in (*pod.conf.iterdir(), *(f for f in (pod.dir / "state").rglob("*") if f.is_file())):
            if CANARY.encode() in file.read_bytes():
                bad.append(f"S18: the secret is in {file}")
    return bad


ALL = [s3, s4, s5, s6, s7, s8, s9, s11, s12, s13, s14, s15, s17, s18, acl]


def judge(run):
    """Everything that does not hold."""
    return [line for one in ALL for line in one(run)]


def activity(run):
    """A run in which too little happened proves nothing. What a long one must have is not scaled: that of reliability's
    contract."""
    done = [d for d in run.done if d.injected]
    counts = dict.fromkeys((f.kind.name for p in run.pairs for f in p.faults), 0)
    for one in done:
        counts[one.kind] += 1
    lasts = 6 if run.bench.sequential else 4  # faults, as a round does: one pod after the other takes longer
    wanted = {"faults": (len(done), run.faults * 9 // 10),
              "kinds of faults": (sum(n > 0 for n in counts.values()), min(len(counts), run.faults // 3)),
              "rounds": (run.tree.rounds, run.faults // lasts),
              "leaders": (len(run.tree.leaders), run.faults // 12),
              "refusals of yesterday's orders": (sum(d.refused for d in done), run.faults // 20 if run.has_orders else 0),
              "starts of workloads": (sum(len(p.history()) for p in run.bench.pods), run.faults // 2),
              "looks at processes": (run.recorders.kernel.looks, run.faults * 10),
              "looks at files": (run.looks_at_files, run.faults * 100)}
    if run.faults >= LONG:
        wanted |= {f"times {kind}": (n, LEAST) for kind, n in counts.items()}
        wanted |= {"faults": (len(done), LONG), "rounds": (run.tree.rounds, 100), "leaders": (len(run.tree.leaders), 20)}
        if run.has_orders:
            wanted["refusals of yesterday's orders"] = (sum(d.refused for d in done), 10)
    return [f"too little: {have} {what}, wanted {want}" for what, (have, want) in wanted.items() if have < want]

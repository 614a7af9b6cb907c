"""The checker's own test, before each run: a history that is right passes, and each of the wrong ones is named by the
invariant that it breaks. Histories are made up here, transaction logs are bytes as a server writes them."""
import json
import shutil
import struct
import tempfile
from pathlib import Path
from types import SimpleNamespace as Some

import check
from bench import CANARY, ROOT, ZK_USER
from record import Done
from txnlog import CHECK, CLOSE_SESSION, CREATE2, MULTI, SET

LOCK = f"{ROOT}/coordinator/x__lock__%010d"


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">i", len(data)) + data


def create(path, data=b"", ephemeral=True, acl=(("digest", f"{ZK_USER}:x"),)):
    lists = struct.pack(">i", len(acl)) + b"".join(struct.pack(">i", 31) + text(scheme) + text(who) for scheme, who in acl)
    return CREATE2, text(path) + text(data) + lists + struct.pack(">?i", ephemeral, 0)


def multi(*parts):
    return MULTI, struct.pack(">i", len(parts)) + b"".join(struct.pack(">i", kind) + text(body) for kind, body in parts)


def setting(name, data="now"):
    return SET, text(f"{ROOT}/{name}") + text(data) + struct.pack(">i", 1)


# A round's end: what the pods are, what they depend on, and the hash as the product made it (read from a cluster of it).
PODS = {"a": {"ip": "10.0.0.1", "seq": 0, "renewals": 2, "sidecar": "1"}}
UPSTREAM = {"up": {"b": {"ip": "10.0.0.2", "seq": 1, "renewals": 3}}}
HASH = "f292fc84d08b2632b9c03683e01e6820632dd57383718867121c843828acc77e"


def proposing(lock, number=1, pods=("a",)):
    told = {"pods": dict.fromkeys(pods, {}), "dependencies": UPSTREAM, "hash": HASH, "epoch": 1, "round": number}
    return multi(having(lock), setting("proposal", json.dumps(told)))


def completing(lock, told=HASH, leaders=HASH, pods=None, without=()):
    nodes = {"hash": told, "snapshot": json.dumps(pods or PODS), "leader": json.dumps({"hash": leaders})}
    return multi(having(lock), *(setting(name, data) for name, data in nodes.items() if name not in without))


def having(lock):
    return CHECK, text(lock) + struct.pack(">i", 0)


def closing(*paths):
    return CLOSE_SESSION, struct.pack(">i", len(paths)) + b"".join(map(text, paths))


def write(directory, txns):
    """txns: [(session, (kind, body))], zxids in their order."""
    (directory / "version-2").mkdir(parents=True)
    with open(directory / "version-2/log.1", "wb") as file:
        file.write(b"ZKLG" + struct.pack(">iq", 2, 0))
        for zxid, (session, (kind, body)) in enumerate(txns, 1):
            raw = struct.pack(">qiqqi", session, 0, zxid, zxid, kind) + body
            file.write(struct.pack(">qi", 0, len(raw)) + raw + b"B")
        file.write(bytes(4096))


def tree(txns):
    top = Path(tempfile.mkdtemp(prefix="chaos-selftest."))
    try:
        servers = [Some(dir=top / str(n)) for n in (1, 2, 3)]
        for server in servers:
            write(server.dir / "data", txns)
        return check.Tree(Some(servers=servers))
    finally:
        shutil.rmtree(top)


def record(pod, suffix, seq=None):
    data = {} if seq is None else {"seq": seq}
    return create(f"{ROOT}/pods/{pod}.{suffix:010d}", json.dumps(data).encode())


GOOD = [(7, create(LOCK % 0)), (8, create(LOCK % 1)), (7, record("a", 0)), (8, record("b", 1)), (8, record("b", 2, 1)),
        (7, proposing(LOCK % 0)), (7, completing(LOCK % 0)), (7, closing(LOCK % 0)), (8, completing(LOCK % 1))]
# All sessions are over, and then the last one empties what it leaves; or somebody does while another one is there.
RECORDS = [f"{ROOT}/pods/{pod}.{suffix:010d}" for pod, suffix in (("a", 0), ("b", 1), ("b", 2))]
EMPTYING = multi(setting("snapshot", "{}"), setting("hash", ""))
EMPTIED = GOOD + [(8, closing(LOCK % 1, *RECORDS)), (9, EMPTYING)]
OTHER = {"a": {**PODS["a"], "ip": "10.0.0.9"}}
BAD = {
    "S3": [GOOD + [(8, setting("hash"))],                                        # no check of a lock
           GOOD + [(7, multi(having(LOCK % 0), setting("leader")))],             # its lock is gone
           GOOD[:6] + [(8, completing(LOCK % 1))],                               # not the lowest
           GOOD + [(8, completing(LOCK % 1, without=("snapshot",)))],            # one without the other
           GOOD + [(8, completing(LOCK % 1, without=("hash",)))],
           GOOD + [(8, completing(LOCK % 1, without=("leader",)))],
           GOOD + [(8, completing(LOCK % 1, pods=OTHER))],                       # not what the hash is of
           GOOD + [(8, completing(LOCK % 1, leaders="other"))],
           GOOD[:5] + GOOD[6:],                                                  # nobody proposed what it depends on
           GOOD + [(8, closing(LOCK % 1, *RECORDS[1:])), (9, EMPTYING)],         # a pod is left
           GOOD + [(8, closing(*RECORDS)), (9, EMPTYING)],                       # a leader is
           EMPTIED + [(9, setting("hash"))]],
    "S13": [GOOD + [(8, record("b", 3, 1)), (8, multi(having(LOCK % 1), setting("members", "x" * 838861)))]],
    "acl": [GOOD + [(8, create(f"{ROOT}/x", acl=acl))] for acl in
            ((), (("world", "anyone"),), (("digest", "other:x"),), (("digest", f"{ZK_USER}:x"), ("world", "anyone")))],
    "S12": [GOOD + [(8, record("b", 3, 3))], GOOD + [(9, record("c", 4, 0))]],
}


class Pod:
    def __init__(self, history, said="", name="pod1"):
        self.name, self.conf, self.said = name, Path("/conf"), said
        self.ids, self.host = {name}, Some(name="host1")
        self._history = history

    def history(self):
        return self._history


def made_up(history, done=(), changes=(), twice=(), said="", other=""):
    kernel = Some(twice=list(twice))
    pods = [Pod(history, said)] + ([Pod([], other, "pod2")] if other else [])
    proposals = [(1.0, {"round": 1, "pods": {"pod1": {}, "pod2": {}}})]
    return Some(tree=Some(proposals=proposals), bench=Some(pods=pods, decoys=[], sequential=True), done=list(done),
                began=0.0, wall=0.0, recorders=Some(changes=list(changes), kernel=kernel, engines=[]))


def fault(kind, ends, begin, end, target="pod1"):
    one = Done(kind, target, ends)
    one.begin, one.end, one.injected = begin, end, True
    return one


def change(t, word, whole=True):
    return {"t": t, "path": "/conf/one.conf", "word": word, "whole": whole, "size": 9}


def replaced(begin, end, jumped=("1970-01-01T00", "1970-01-01T00")):
    """What a sidecar says of it; seconds of the epoch, and what its clock made of day and hour."""
    return (f"{jumped[0]}:00:{begin:02}.000Z info pod marathon.chaos#0 state=stopping from=running event=stop\n"
            f"{jumped[1]}:00:{end:02}.000Z info pod marathon.chaos#0 workload=ready after_ms=1\n")


def cut(files, end):
    """A round stopped it, and then this."""
    return (f"1970-01-01T00:00:04.000Z info pod marathon.chaos#0 configures files={files} container=same\n"
            "1970-01-01T00:00:05.000Z info pod marathon.chaos#0 state=stopping from=running event=stop\n"
            f"1970-01-01T00:00:06.000Z {end}\n")


def lines(*what):
    """The seconds count from 2."""
    return "".join(f"1970-01-01T00:00:{n:02}.000Z info pod marathon.chaos#0 {one}\n" for n, one in enumerate(what, 2))


def stop_by(number):
    return ["configures files=changed", "state=stopping from=running event=stop", f"task=on round={number} done"]


CHECKED = "task=check round=1 done"
BORN = "\n1970-01-01T00:00:09.000Z info sidecar marathon.chaos pod=a port=8080"
CRASHING = [(t, [str(t)] * 4) for t in range(1, 7)]
HALF = lines("container=1 was half started by an engine that ended: it is made anew")
BY_ROUND = lines("state=starting from=stopped event=start")
ENDED, READY = "info sidecar marathon.chaos pod=a port=8080", "info pod marathon.chaos#0 workload=ready after_ms=1"
A, B = ["1"] * 4, ["2"] * 4
JUMPED = ("1970-01-04T06", "1969-12-31T18")
ENDS = ("workload killed", ["pod1"], 4, 6)
FINE = [made_up([(1, A), (9, B)]),
        made_up([(1, A), (9, A)], done=[fault(*ENDS)]),
        made_up([(1, A), (9, A)], changes=[change(5, "2"), change(6, "1")]),
        made_up([(1, A)], said="init worker=ended status=137"),
        made_up([(1, A)], said="init worker=ended status=1", done=[fault(check.HELPER_KILLED[0], [], 4, 6)])]
FINE += [made_up([(1, A), (9, A)], said=cut("changed", ENDED)),
         made_up([], said=replaced(1, 4), other=replaced(5, 9)),
         made_up([], said=replaced(1, 4, JUMPED), other=replaced(5, 9)),
         made_up([], said=replaced(1, 6), other=replaced(5, 9), done=[fault(*ENDS)])]
FINE += [made_up([], said=lines(CHECKED, *stop_by(1)), other=lines(CHECKED, "task=ok round=1 done")),
         made_up([], said=lines(CHECKED, "state=stopping from=running event=stop", "task=off round=0 done"), other=lines("x")),
         made_up([], said=lines(CHECKED, *stop_by(1)), other=lines("x"), done=[fault("engine killed", [], 1, 6, "host1")]),
         made_up([(t * 3, w) for t, w in CRASHING]),
         made_up([(1, A), (9, A)], said=HALF),
         made_up(CRASHING, said=BY_ROUND), made_up(CRASHING, done=[fault(*ENDS)]),
         made_up([], said=lines(CHECKED, "task=on round=1 done", CHECKED, "task=on round=1 done")),
         made_up([], said=lines(CHECKED, "task=on round=1 done", BORN, "task=on round=1 done")),
         made_up([], said=lines("task=off round=0 done", "task=off round=0 done"))]
WRONG = {
    "s4": [made_up([], said=lines(CHECKED, *stop_by(1)), other=lines("x")),
           made_up([], said=lines(CHECKED, *stop_by(1)), other=lines("x", "x", "x", "x", CHECKED)),  # later
           made_up([], said=lines(CHECKED, *stop_by(1)), other=lines("task=check round=1 code=refused")),
           made_up([], said=lines(CHECKED, *stop_by(1)), other=lines("x"), done=[fault("engine killed", [], 1, 6, "host2")]),
           made_up([], said=lines("task=check round=2 done", *stop_by(2)), other=lines("task=check round=2 done"))],
    "s8": [made_up([], said=lines("state=ending from=running event=exited-clean")),
           made_up([], said=lines("state=dead from=ending event=done")),
           made_up([], said="1970-01-01T00:00:01.000Z info leader pod=a is=dead left-out=true\n")],
    "s9": [made_up(CRASHING), made_up(CRASHING, done=[fault("worker killed", [], 4, 6)]),
           made_up([(t / 2, w) for t, w in CRASHING] + [(4, ["7"] * 4)], said=BY_ROUND)],
    "s11": [made_up([], said=lines(CHECKED, *([f"task={task} round=1 done"] * 2))) for task in ("on", "off", "ok")] +
           [made_up([], said=lines(CHECKED, "task=on round=1 code=refused", "task=on round=1 done"))],
    "s5": [made_up([], said=replaced(1, 6), other=replaced(5, 9)),
           made_up([], said=replaced(1, 6), other=replaced(5, 9, JUMPED)),
           made_up([], said=replaced(1, 6, JUMPED[::-1]), other=replaced(5, 9))],
    "s6": [made_up([(1, A), (9, A)]),
           made_up([(1, A), (9, A)], done=[fault("worker killed", [], 4, 6)]),
           made_up([(7, A), (9, A)], done=[fault(*ENDS)]),
           made_up([(1, A), (9, A)], said=cut("changed", READY)),
           made_up([(1, A), (9, A)], said=cut("same", ENDED)),
           made_up([(7, A), (9, A)], said=cut("changed", ENDED)),
           made_up([(7, A), (9, A)], said=HALF),
           made_up([(1, A), (9, A)], done=[fault("workload killed", ["pod2"], 4, 6)])],
    "s14": [made_up([(1, A)], said="init worker=ended status=139"),
            made_up([(1, A)], said="init worker=ended status=1")],
    "s15": [made_up([(1, ["1", "1", "2", "2"])]), made_up([(1, [])]),
            made_up([(1, A)], changes=[change(5, "1", whole=False)])],
    "s17": [made_up([(1, A)], twice=[(5, "a", ["c1", "c2"])])],
}


def selftest():
    """Answers what it does not catch, or catches though it is right; nothing is well."""
    bad = []
    right = tree(EMPTIED)
    run = Some(tree=right, bench=Some(servers=[], safe=True))
    wrong = [line for one in (check.s3, check.s12, check.s13, check.acl) for line in one(run)]
    if wrong or right.rounds != 2 or len(right.leaders) != 2:
        bad.append(f"right transactions: {wrong} {right.seqs} {right.rounds} {right.leaders}")
    for name, histories in BAD.items():
        for number, txns in enumerate(histories):
            found = tree(txns)
            if not getattr(check, name.lower())(Some(tree=found, bench=Some(servers=[], safe=True))):
                bad.append(f"{name} {number} is not caught")
    for number, run in enumerate(FINE):
        bad += [f"right history {number}: {line}" for name in WRONG for line in getattr(check, name)(run)]
    for name, runs in WRONG.items():
        bad += [f"{name} {number} is not caught" for number, run in enumerate(runs) if not getattr(check, name)(run)]
    leak = Some(tree=Some(nodes=[("/x", CANARY.encode())]), bench=Some(pods=[]))
    return bad if check.s18(leak) else bad + ["s18 is not caught"]

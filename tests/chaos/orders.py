"""Orders of real leaders of this run, said again when another one leads: rebuilt from the proposals of the servers'
transaction logs, and byte for byte as a proxy has recorded them, with the signature that they had."""
import contextlib
import json
import socket
from http.client import HTTPException, HTTPResponse

from bench import ROOT
from txnlog import committed

TASKS = ("check", "off", "on", "ok")
BUDGET_S = 15
RECORDED = 40  # so many recorded ones are said again, the last ones


class Order:
    """body: the proposal's members, as a leader sends them; its round is real, too."""

    def __init__(self, epoch, number, body):
        self.epoch, self.round, self.body = epoch, number, body


def first_of_all(bench):
    """What no leader has said: an epoch before all, and a round beyond all."""
    return Order(1, 1000000, json.loads(bench.zk().get(f"{ROOT}/proposal")[0]))


def of_leaders(bench):
    """The last order of each leader that this run had."""
    found = {}
    for txn in committed([s.dir / "data" for s in bench.servers]):
        for what, path, data, _ in [] if txn.failed else txn.parts:
            if what in ("set", "create") and path == f"{ROOT}/proposal" and data:
                proposal = json.loads(data)
                epoch, number = proposal.pop("epoch", 0), proposal.pop("round", 0)
                if epoch:
                    found[epoch] = Order(epoch, number, proposal)
    return [found[epoch] for epoch in sorted(found)]


def recorded(bench):
    """[(epoch, pod id, request)] of what went over a proxy, whole requests."""
    try:
        lines = bench.orders.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        rest = json.loads(line)["said"].encode("latin-1")
        while b"\r\n\r\n" in rest:
            head, rest = rest.split(b"\r\n\r\n", 1)
            words = dict(h.split(": ", 1) for h in head.decode("latin-1").split("\r\n")[1:])
            size = int(words.get("Content-Length", 0))
            if len(rest) < size:
                break
            body, rest = rest[:size], rest[size:]
            if "X-Ochopod-Epoch" in words:
                found.append((int(words["X-Ochopod-Epoch"].rsplit("/", 1)[1]), words["X-Ochopod-Target"],
                              head + b"\r\n\r\n" + body))
    return found[-RECORDED:]


def highest(pod):
    """The epoch that it has followed, as it has written that down: every lower one is of yesterday."""
    return json.loads((pod.dir / "state/pod.json").read_text())["epoch"]


def again(pod, request):
    """(status, what was said) of a request as it was recorded."""
    with socket.create_connection((pod.address, 8080), timeout=20) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection)
        try:
            answer.begin()
            return answer.status, answer.read()
        except HTTPException as error:
            raise OSError(repr(error)) from error


def say(bench, pod, pod_id, tree, order, task, done):
    """(status, what was said)."""
    headers = {"X-Ochopod-Epoch": f"{tree}/{order.epoch}", "X-Ochopod-Round": str(order.round),
               "X-Ochopod-Budget-Ms": str(BUDGET_S * 1000), "X-Ochopod-Target": pod_id, "Content-Type": "application/json"}
    body, path = json.dumps({**order.body, "key": pod_id}).encode(), f"/control/{task}/{BUDGET_S}"
    if bench.safe and pod.plain("POST", path, body, headers)[0] < 400:
        done.broken.append(f"auth: {pod.name} obeyed an order that nobody signed")
    return pod.ask("POST", path, body=body, timeout=20, headers=headers, role="peer")


class Refusals:
    """What pods answer. strict: nothing is the matter with anybody, and each must say 412."""

    def __init__(self, bench, done, strict):
        self.bench, self.done, self.strict = bench, done, strict
        self.counts = {"first": 0, "rebuilt": 0, "recorded": 0}

    def judge(self, pod, kind, what, answer):
        status, said = answer
        self.counts[kind] += status == 412
        self.done.refused += status == 412
        if status < 400 or (self.strict and status != 412):
            self.done.broken.append(f"S1: {pod.name} answered {status} to {what}, and it has followed {highest(pod)}: {said}")

    def ask(self, pod, tree, orders, raw):
        mark, pod_id = highest(pod), pod.info()["id"]
        old = [o for o in orders if o.epoch < mark]
        for order in old[:3] + old[3:][-4:]:
            for task in TASKS:
                answer = say(self.bench, pod, pod_id, tree, order, task, self.done)
                self.judge(pod, "first" if order.epoch == 1 else "rebuilt", f"{task} of epoch {order.epoch}", answer)
        for epoch, target, request in raw:
            if epoch < mark and target == pod_id:
                self.judge(pod, "recorded", f"what epoch {epoch} has asked it: {request[:40]}", again(pod, request))


def yesterday(bench, done, strict=False):
    """Everybody is told what earlier leaders said: nobody may do it. Answers how many real orders were refused."""
    tree = bench.zk().get(f"{ROOT}/tree")[0].decode()
    orders, raw = [first_of_all(bench), *of_leaders(bench)], recorded(bench)
    refusals = Refusals(bench, done, strict)
    for pod in bench.living():
        with contextlib.suppress(*() if strict else (OSError, LookupError, ValueError)):  # it cannot be asked just now
            refusals.ask(pod, tree, orders, raw)
    counts = refusals.counts
    done.note = (f"{counts['first']} of epoch 1, {counts['rebuilt']} rebuilt and {counts['recorded']} recorded ones of "
                 f"{len(orders) - 1} leaders were refused")
    return counts["rebuilt"] + counts["recorded"]

"""One cluster of our pods and scripted original ones (original.py): led by either kind, from one to the other and back.
And the original tool-set's own requests to our pods."""
import http.client
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import bed as engine_bed
from pods import NETWORK, Pods
from safe import FILES, MOUNTED, SafePod, certificates, write

DEADLINE = 120  # of every wait: an original's second is a second, and the machine may be busy

HERE = Path(__file__).resolve().parent
SPEC = {"ready": {"exec": ["true"]}}


@pytest.fixture(scope="module")
def cluster(module_bed):
    return Pods(module_bed)


@pytest.fixture
def pods(cluster):
    cluster.clear()
    yield cluster
    cluster.clear()


@pytest.fixture
def zk(cluster):
    from kazoo.client import KazooClient

    client = KazooClient(hosts=f"{cluster.bed.address('coordination')}:2181", timeout=10.0)
    client.start(timeout=60)
    client.delete("/ochopod", recursive=True)
    yield client
    client.stop()
    client.close()


def wait_until(what, condition, timeout=DEADLINE):
    return engine_bed.wait_until(what, condition, timeout)


class Original:
    """A process on the host's side of the network, where pods and it reach each other."""

    def __init__(self, originals, number, cluster, args):
        bed = originals.bed
        self.tape = originals.dir / f"original-{number}.tape"
        self.out = originals.dir / f"original-{number}.out"
        self.tape.touch()
        gateway = json.loads(bed.docker("network", "inspect", NETWORK))[0]["IPAM"]["Config"][0]["Gateway"]
        self.ip, self.port = gateway, 18080 + number
        self.id = None
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "original.py", "--zk", f"{bed.address('coordination')}:2181", "--cluster",
                 cluster, "--ip", self.ip, "--port", str(self.port), "--record", self.tape, *args],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.id = wait_until("the original registers", self._registered)

    def _registered(self):
        assert self.process.poll() is None, self.said()
        found = re.search(r"registered (\S+) #", self.said())
        return found and found[1]

    def said(self):
        return self.out.read_text(errors="replace")

    def requests(self, way):
        return [r for r in map(json.loads, self.tape.read_text().splitlines()) if r["way"] == way]

    def asked(self):
        """The tasks it was sent, in order."""
        return [r["line"].split("/")[2] for r in self.requests("in") if "/control/" in r["line"]]

    @property
    def info(self):
        return json.loads(post(self.ip, self.port, "/info")[2])

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)


class Originals:
    def __init__(self, bed, directory, cluster):
        self.bed, self.dir, self.cluster = bed, directory, cluster
        self.all = []

    def run(self, *args, cluster=None):
        self.all.append(Original(self, len(self.all), cluster or self.cluster, args))
        return self.all[-1]

    def clear(self):
        for one in self.all:
            one.end(signal.SIGKILL)


@pytest.fixture
def originals(module_bed, tmp_path, request):
    them = Originals(module_bed, tmp_path, re.sub(r"\W+", "-", request.node.name).strip("-"))
    yield them
    for one in them.all:
        print(f"---- original {one.id}\n{one.said()}")  # seen where the test has failed
        for r in one.requests("out")[-12:]:
            print(r["path"], r["to"], r["code"], r.get("answer", r.get("why")))
    them.clear()


def post(host, port, path, body="", headers=""):
    """As python-requests sends it, byte for byte: no Content-Type. (status, headers, body)."""
    connection = http.client.HTTPConnection(host, port, timeout=75)
    try:
        connection.connect()
        data = body.encode()
        connection.sock.sendall(
            (f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: python-requests/2.28.1\r\n"
             f"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n{headers}"
             f"Content-Length: {len(data)}\r\n\r\n").encode() + data)
        answer = http.client.HTTPResponse(connection.sock, method="POST")
        answer.begin()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def node(zk, cluster, name):
    from kazoo.exceptions import NoNodeError

    try:
        data, stat = zk.retry(zk.get, f"/ochopod/clusters/marathon.{cluster}/{name}")
        return data.decode(), stat
    except NoNodeError:
        return "", None


def snapshot(zk, cluster):
    return json.loads(node(zk, cluster, "snapshot")[0] or "{}")


def until_in_snapshot(zk, cluster, ids, timeout=DEADLINE):
    wait_until(f"the snapshot is of {len(ids)} pods", lambda: set(snapshot(zk, cluster)) == set(ids), timeout)


def ours(pods, originals, number, **more):
    workload = {**SPEC, **more.pop("workload", {})}
    return pods.run(f"ours-{number}", {"cluster": originals.cluster, "workload": workload, **more})


def dependant(pods, originals, number, base, **more):
    """One of ours that is started with the addresses of `base`, and keeps a history of that."""
    script = ("trap 'echo off >>/conf/history; exit' TERM; cat /conf/peers >>/conf/history;"
              " sleep 1000000 & wait")
    return ours(pods, originals, number, depends_on=[base], needs={base: 1},
                files=[{"target": "/conf/peers", "content": f'{{{{ grep("{base}", 8080) }}}}\n'}],
                workload={"command": ["sh", "-c", script]}, **more)


def history(pod):
    return pod.sh("cat /conf/history").split()


def until_history(pod, wanted):
    """It runs before its script has written of that."""
    wait_until(f"the history is {wanted}", lambda: history(pod) == wanted)


def addresses(*them):
    """As a template shows them: by their numbers."""
    return ",".join(f"{one.ip}:{one.port}" for one in them)


ORIGINAL_HASH = re.compile(r"([0-9a-f]{2}:){15}[0-9a-f]{2}")
OUR_HASH = re.compile(r"[0-9a-f]{64}")


def leads(what, zk, originals):
    """What kind of hash stands written says who led the last round."""
    return what.fullmatch(node(zk, originals.cluster, "hash")[0])


# ---- led by an original ----

def test_an_original_leads_ours(pods, originals, zk):
    original = originals.run()
    wait_until("it leads", lambda: "leading" in original.said())
    first, second = ours(pods, originals, 1), ours(pods, originals, 2)
    ids = [original.id, first.info["id"], second.info["id"]]
    until_in_snapshot(zk, originals.cluster, ids)
    wait_until("its hash stands", lambda: leads(ORIGINAL_HASH, zk, originals))
    for pod in first, second:
        pod.until(DEADLINE, process="running", state="follower")
        assert pod.info["workload"]["container"]
    # It was answered as an original answers: 200 and JSON, to each of check, on and ok.
    out = original.requests("out")
    for pod in first, second:
        to = [r for r in out if json.loads(r["body"])["key"] == pod.info["id"]]
        done = [(r["path"], r["code"]) for r in to if r["code"] == 200][-3:]
        assert [p for p, _ in done] == [f"/control/{t}/60" for t in ("check", "on", "ok")], to
        assert all(isinstance(json.loads(r["answer"]), dict) for r in to)
        assert list(json.loads(to[-1]["body"])) == ["pods", "dependencies", "key"]
    # Its snapshot is its session's; ours did not write over what the leader keeps.
    assert node(zk, originals.cluster, "snapshot")[1].ephemeralOwner != 0
    assert node(zk, originals.cluster, "leader")[1] is None  # none of ours has led
    # A second round of its: a pod that goes. Who stays and is configured as before keeps running.
    started = first.started
    pods.bed.docker("stop", "ours-2")
    until_in_snapshot(zk, originals.cluster, ids[:2])
    assert first.started == started


def test_ours_lead_originals(pods, originals, zk):
    first = ours(pods, originals, 1)
    first.until_configured(1, timeout=DEADLINE)
    original, other = originals.run(), originals.run()
    ids = [first.info["id"], original.id, other.id]
    until_in_snapshot(zk, originals.cluster, ids)
    wait_until("it runs", lambda: original.info["process"] == other.info["process"] == "running")
    first.until(DEADLINE, state="leader")  # no round is to come, as brackets would say
    wait_until("all are seen to run", lambda: all(runs(seen) for seen in looked_at(first, original).values()))
    wait_until("it was told ok", lambda: original.asked()[-1:] == ["ok"])
    # What it was sent is what an original leader sends, and more beside it: the whole cluster, always.
    told = [r for r in original.requests("in") if "/control/" in r["line"]]
    for r in told:
        body = json.loads(r["body"])
        assert list(body)[:3] == ["pods", "dependencies", "key"] and "proposal" not in body
        assert body["key"] == original.id and original.id in body["pods"]
        assert re.fullmatch(r"POST /control/(check|on|ok)/60 HTTP/1.1", r["line"]), r["line"]
        # An original sees no body in what is a form.
        assert {k.lower(): v for k, v in r["headers"].items()}.get("content-type") == "application/json", r["headers"]
    last = json.loads(told[-1]["body"])
    assert set(last["pods"]) == set(ids)
    # Its own record goes through as it wrote it, key by key.
    written = json.loads(next(zk.retry(zk.get, f"/ochopod/clusters/marathon.{originals.cluster}/pods/{name}")[0]
                              for name in zk.retry(zk.get_children, f"/ochopod/clusters/marathon.{originals.cluster}/pods")
                              if name.startswith(original.id)))
    assert last["pods"][original.id] == written
    assert list(last["pods"][original.id]) == list(written)
    assert snapshot(zk, originals.cluster)[original.id] == written
    # The original's lock node comes and goes while it follows; nobody else is elected, no round follows from it.
    generation = first.info["generation"]
    names = set()

    def churn():
        names.update(zk.retry(zk.get_children, f"/ochopod/clusters/marathon.{originals.cluster}/coordinator"))
        return len(names) >= 5

    wait_until("lock nodes come and go", churn)
    assert all(re.fullmatch(r"[0-9a-f]{32}__lock__\d{10}", name) for name in names), names
    assert first.info["state"] == "leader" and first.info["generation"] == generation


def test_a_large_cluster_sends_references_to_ours_and_all_of_it_to_originals(pods, originals, zk):
    """Bulk in the records of pods that answer 410 to check: they are in the cluster, and in the body."""
    first, second = ours(pods, originals, 1), ours(pods, originals, 2)
    original = originals.run()
    bulk = {"ip": original.ip, "port": "8080", "ports": {"8080": original.port}, "task": "x" * 60000}
    until_in_snapshot(zk, originals.cluster, [first.info["id"], second.info["id"], original.id])
    root = f"/ochopod/clusters/marathon.{originals.cluster}/pods"
    for n in (1, 2):
        # Played by the original's own port: it is asked in their names, and answers.
        zk.create(f"{root}/0000000{n}-0000-4000-8000-000000000000.", json.dumps(bulk).encode(), ephemeral=True,
                  sequence=True)
    wait_until("a round of five", lambda: len(snapshot(zk, originals.cluster)) == 5)
    leader = first if first.info["state"] == "leader" else second
    wait_until("both have it", lambda: first.info["hash"] == second.info["hash"] == leader.info["hash"]
               == node(zk, originals.cluster, "hash")[0])
    last = original.requests("in")[-1]
    assert len(last["body"]) > 100000 and set(json.loads(last["body"])["pods"]) == set(snapshot(zk, originals.cluster))
    follower = second if leader is first else first
    follower.until(DEADLINE, process="running")


@pytest.mark.parametrize("order", ["at-once", "sequential"])
def test_an_original_leads_with_off_and_dependencies(pods, originals, zk, order):
    base = f"{originals.cluster}-base"
    one = originals.run(cluster=base)
    until_in_snapshot(zk, base, [one.id])
    leader = originals.run("--depends", base, "--full-shutdown", *(["--sequential"] if order == "sequential" else []))
    wait_until("it leads", lambda: "leading" in leader.said())
    first, second = dependant(pods, originals, 1, base), dependant(pods, originals, 2, base)
    ids = sorted([leader.id, first.info["id"], second.info["id"]])
    until_in_snapshot(zk, originals.cluster, ids)
    for pod in first, second:
        pod.until(DEADLINE, process="running", state="follower", ready=True)
        wait_until("it was started with these addresses", lambda pod=pod: history(pod)[-1] == addresses(one))
    # A round that begins with nothing but another content of the dependency.
    before = [(pod, pod.started, history(pod)) for pod in (first, second)]
    two = originals.run(cluster=base)
    until_in_snapshot(zk, base, [one.id, two.id])
    wanted = [(f"/control/{task}/60", key, 200) for task in ("check", "off", "on", "ok") for key in ids]

    def last_round():
        out = leader.requests("out")[-len(wanted):]
        by_task = [(r["path"], json.loads(r["body"])["key"], r["code"]) for r in out]
        if order == "at-once":  # who of them answers first is nothing to wait for
            by_task = [step for at in range(0, len(by_task), len(ids)) for step in sorted(by_task[at:at + len(ids)])]
        with_both = all(set(json.loads(r["body"])["dependencies"][base]) == {one.id, two.id} for r in out)
        return out if by_task == wanted and with_both else None

    out = wait_until("check, off, on, ok to each", last_round)
    for r in out:
        body = json.loads(r["body"])
        assert list(body) == ["pods", "dependencies", "key"] and sorted(body["pods"]) == ids
        assert body["dependencies"] == {base: snapshot(zk, base)}
        assert isinstance(json.loads(r["answer"]), dict)
    for pod, started, lines in before:
        pod.until(DEADLINE, process="running", ready=True)
        assert pod.started != started
        until_history(pod, [*lines, "off", addresses(one, two)])
        # Nor was it ever started with something else, or off answered with an error: not before it ran, either.
        assert set(lines) <= {"off", addresses(one)}
        assert pod.info["off"] is False
    assert {r["code"] for r in leader.requests("out") if r["path"] == "/control/off/60"} == {200}


def test_ours_lead_originals_with_off(pods, originals, zk):
    first = ours(pods, originals, 1, full_shutdown=True)
    first.until_configured(1, timeout=DEADLINE)
    original = originals.run()
    until_in_snapshot(zk, originals.cluster, [first.info["id"], original.id])
    wait_until("it was told ok", lambda: original.asked()[-1:] == ["ok"])
    assert original.asked()[-4:] == ["check", "off", "on", "ok"], original.asked()
    told = [json.loads(r["body"]) for r in original.requests("in") if "/control/" in r["line"]][-4:]
    for body in told:  # what we put beside it may change from step to step
        assert [body[key] for key in ("pods", "dependencies", "key")] == [snapshot(zk, originals.cluster), {}, original.id]
    assert original.info["process"] == "running" and first.info["process"] == "running"


# ---- beside a cluster that an original leads ----

def test_a_dependency_loses_the_original_that_led_it_and_its_snapshot(pods, originals, zk):
    """Its snapshot is the leader's own, ephemeral node. What depends on it is neither emptied nor started twice."""
    base = f"{originals.cluster}-base"
    one = originals.run(cluster=base)
    until_in_snapshot(zk, base, [one.id])
    # A dead pod leads on, and is in no snapshot: when it is gone, too, the content is what it was.
    assert post(one.ip, one.port, "/control/kill/60")[0] == 200
    two = originals.run(cluster=base)
    until_in_snapshot(zk, base, [two.id])
    pod = dependant(pods, originals, 1, base)
    pod.until_configured(1, timeout=DEADLINE)
    beside = originals.run("--depends", base)
    until_in_snapshot(zk, originals.cluster, [pod.info["id"], beside.id])
    wait_until("it was told ok", lambda: beside.asked()[-1:] == ["ok"])
    pod.until(DEADLINE, state="leader", ready=True)
    until_history(pod, [addresses(two)])
    started, asked, owner = pod.started, beside.asked(), node(zk, base, "snapshot")[1].ephemeralOwner
    assert owner != 0

    one.end(signal.SIGKILL)
    wait_until("the next one leads", lambda: "leading" in two.said())
    until_in_snapshot(zk, base, [two.id])
    assert node(zk, base, "snapshot")[1].ephemeralOwner not in (0, owner)
    wait_until("the status has nothing to tell", lambda: "is gone" not in pod.info["status"])

    # With nobody to follow there is no such node at all.
    two.end(signal.SIGKILL)
    wait_until("the snapshot is gone", lambda: node(zk, base, "snapshot") == ("", None))
    pod.until_status(f"{base} is gone, its last 1 pods are kept", DEADLINE)
    said = pod.info
    assert said["process"] == "running" and said["ready"]
    assert pod.started == started and history(pod) == [addresses(two)]
    assert beside.asked() == asked  # no round came of either

    # Another content is followed, at once and once.
    three = originals.run(cluster=base)
    until_in_snapshot(zk, base, [three.id])
    wait_until("it is started anew", lambda: pod.started != started)
    pod.until(DEADLINE, process="running", ready=True)
    until_history(pod, [addresses(two), "off", addresses(three)])
    wait_until("it was told ok again", lambda: beside.asked()[len(asked):] == ["check", "on", "ok"])
    told = [json.loads(r["body"]) for r in beside.requests("in") if "/control/" in r["line"]][-3:]
    assert all(body["dependencies"] == {base: snapshot(zk, base)} for body in told)
    wait_until("the status has nothing to tell", lambda: "is gone" not in pod.info["status"])


# ---- from one kind to the other ----

def test_leadership_goes_from_one_kind_to_the_other_and_back(pods, originals, zk):
    one = originals.run()
    wait_until("the original leads", lambda: "leading" in one.said())
    first, second = ours(pods, originals, 1), ours(pods, originals, 2)
    until_in_snapshot(zk, originals.cluster, [one.id, first.info["id"], second.info["id"]])
    wait_until("its hash stands", lambda: leads(ORIGINAL_HASH, zk, originals))
    started = first.started, second.started
    one.end()  # in good order: one of ours leads
    wait_until("one of ours leads", lambda: "leader" in (first.info["state"], second.info["state"]))
    until_in_snapshot(zk, originals.cluster, [first.info["id"], second.info["id"]])
    wait_until("our hash stands", lambda: leads(OUR_HASH, zk, originals))
    assert node(zk, originals.cluster, "snapshot")[1].ephemeralOwner == 0
    assert (first.started, second.started) == started  # what is configured as before runs on
    # With an original in the queue and ours gone from it, it leads again.
    two = originals.run()
    until_in_snapshot(zk, originals.cluster, [first.info["id"], second.info["id"], two.id])
    for pod in first, second:
        pods.bed.docker("stop", pod.name)
    wait_until("the original leads", lambda: "leading" in two.said())
    until_in_snapshot(zk, originals.cluster, [two.id])
    wait_until("its hash stands", lambda: leads(ORIGINAL_HASH, zk, originals))
    third = ours(pods, originals, 3)
    until_in_snapshot(zk, originals.cluster, [two.id, third.info["id"]])
    third.until(DEADLINE, process="running")


def test_an_original_that_dies_is_followed_and_no_longer_heard(pods, originals, zk):
    original = originals.run()
    wait_until("it leads", lambda: "leading" in original.said())
    pod = ours(pods, originals, 1)
    until_in_snapshot(zk, originals.cluster, [original.id, pod.info["id"]])
    pod.until(DEADLINE, process="running")
    body = json.dumps({"pods": snapshot(zk, originals.cluster), "dependencies": {}, "key": pod.info["id"]})
    address = pods.bed.address(pod.name)
    assert post(address, 8080, "/control/check/60", body)[0] == 200  # an original is registered
    original.end(signal.SIGKILL)
    pod.until(DEADLINE, state="leader")  # its session ends by itself
    until_in_snapshot(zk, originals.cluster, [pod.info["id"]])
    started = pod.started
    code, _, said = post(address, 8080, "/control/off/60", body)
    assert code == 412 and "no original pod" in said, said
    assert pod.info["process"] == "running" and pod.started == started


def test_an_original_that_dies_under_our_leader_is_left_out(pods, originals, zk):
    pod = ours(pods, originals, 1)
    pod.until_configured(1, timeout=DEADLINE)
    original = originals.run()
    until_in_snapshot(zk, originals.cluster, [pod.info["id"], original.id])
    assert post(original.ip, original.port, "/control/kill/60")[0] == 200
    assert post(original.ip, original.port, "/control/check/60")[0] == 410
    started = pod.started
    original.end(signal.SIGKILL)
    until_in_snapshot(zk, originals.cluster, [pod.info["id"]])
    pod.until(DEADLINE, state="leader")  # no round is to come, as brackets would say
    assert pod.started == started


def looked_at(pod, original):
    """What /cluster and ocho, in its container, say of all."""
    code, said = pod.get("/cluster")
    assert code == 200 and "info" in said["pods"][original.id], said
    seen = {id_: p["info"] for id_, p in said["pods"].items()}
    pattern = pod.info["cluster"]
    for verb in ("info", "grep"):
        seen.update(json.loads(pod.bed.docker("exec", pod.name, "ocho", verb, "-j", pattern)))
    pod.bed.docker("exec", pod.name, "ocho", "wait", pattern, "--for", "ready", "--pods", len(said["pods"]), "-t", 60)
    assert "a line" in pod.bed.docker("exec", pod.name, "ocho", "log", pattern)
    return seen


def runs(info):
    return info.get("process") == "running"


# ---- ours have a token ----

@pytest.fixture
def secrets(tmp_path, originals):
    folder = tmp_path / "secrets"
    certificates(folder, f"marathon.{originals.cluster}")
    write(folder / "token", "canary-token-0123456789abcdef")
    return folder


def ours_signed(pods, originals, secrets, number, tls=False):
    name = f"ours-{number}"
    files = FILES if tls else {"token_file": FILES["token_file"]}
    pods.run(name, {"cluster": originals.cluster, **files, "workload": dict(SPEC)}, "-v", f"{secrets}:{MOUNTED}:ro", started=False)
    pod = SafePod(pods, name)
    pod.cluster, pod.token = f"marathon.{originals.cluster}", "canary-token-0123456789abcdef"
    pod.secrets, pod.tls = secrets, tls
    wait_until(f"{name} answers", lambda: pod.info)
    return pod


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_ours_with_a_token_lead_originals(pods, originals, secrets, zk, tls):
    first = ours_signed(pods, originals, secrets, 1, tls)
    first.until_configured(1, timeout=DEADLINE)
    original = originals.run()
    second = ours_signed(pods, originals, secrets, 2, tls)
    until_in_snapshot(zk, originals.cluster, [first.info["id"], original.id, second.info["id"]])
    wait_until("it runs", lambda: original.info["process"] == "running")
    wait_until("it was told ok", lambda: original.asked()[-1:] == ["ok"])
    assert [task for task in original.asked() if task in ("check", "on", "ok")][-3:] == ["check", "on", "ok"]
    first.until(DEADLINE, state="leader")
    second.until(DEADLINE, process="running")
    wait_until("all are seen to run", lambda: all(runs(seen) for seen in looked_at(first, original).values()))
    # And no secret went to it, nor in clear beside it.
    assert first.token not in original.tape.read_text()


def test_an_original_leads_nobody_who_has_a_token(pods, originals, secrets, zk):
    """What it orders is refused, whoever has run goes on running, and one of ours leads once it has gone."""
    original = originals.run()
    wait_until("it leads", lambda: "leading" in original.said())
    pod = ours_signed(pods, originals, secrets, 1)

    def refused(by):
        codes = [r["code"] for r in by.requests("out") if json.loads(r["body"])["key"] == pod.info["id"]]
        assert set(codes) <= {401}, codes
        return len(codes) >= 2

    wait_until("it is refused, again and again", lambda: refused(original))
    assert pod.says(process="stopped", state="follower") and not pod.workloads()
    assert pod.info["id"] not in snapshot(zk, originals.cluster)
    assert any("control refused" in line for line in pod.get("/log")[1])
    # Nor do its tools come in.
    assert [post(pods.bed.address(pod.name), 8080, path)[0] for path in ("/info", "/control/off", "/reset")] == [401] * 3

    original.end()
    pod.until(DEADLINE, process="running", state="leader")
    until_in_snapshot(zk, originals.cluster, [pod.info["id"]])
    started = pod.started
    # Another one, which ours leads until it leaves the queue: then it is refused as well.
    other = originals.run()
    until_in_snapshot(zk, originals.cluster, [pod.info["id"], other.id])
    assert pod.post("/reset")[0] == 200
    wait_until("the original leads", lambda: "leading" in other.said())
    wait_until("it is refused", lambda: refused(other))
    assert pod.says(process="running") and pod.started == started
    other.end()
    pod.until(DEADLINE, state="leader")
    until_in_snapshot(zk, originals.cluster, [pod.info["id"]])
    assert pod.says(process="running") and pod.started == started


# ---- the original tool-set ----

def test_the_original_tools_get_what_they_assert(pods, originals, zk):
    """ls grep poll port log exec off on reset kill: the requests they send, and each key that they read."""
    pod = pods.run("tooled", {"cluster": originals.cluster, "tools": {"echo": {"run": ["echo", "hello"]}},
                              "workload": dict(SPEC)})
    pod.until_configured(1, timeout=DEADLINE)
    # The tools find a pod by its node alone: address and control port from the record.
    root = f"/ochopod/clusters/marathon.{originals.cluster}/pods"
    name, = zk.retry(zk.get_children, root)
    record = json.loads(zk.retry(zk.get, f"{root}/{name}")[0])
    assert record["port"] in record["ports"] and isinstance(record["seq"], int)
    host, port = record["ip"], record["ports"][record["port"]]

    code, headers, said = post(host, port, "/info")
    info = json.loads(said)
    assert code == 200 and headers["Content-Type"] == "application/json; charset=utf-8"
    assert list(info)[:12] == ["application", "port", "task", "ip", "node", "ports", "public", "metrics",
                               "dependencies", "process", "state", "status"]
    for key in ("application", "port", "task", "ip", "node", "public", "process", "state", "status"):
        assert isinstance(info[key], str), key
    assert isinstance(info["metrics"], dict) and isinstance(info["dependencies"], list)
    assert info["ports"][info["port"]] == port and info["process"] == "running" and info["state"] == "leader"

    code, _, said = post(host, port, "/log")
    assert code == 200 and json.loads(said) and all(line.endswith("\n") for line in json.loads(said))

    assert post(host, port, "/exec", headers="X-Shell: echo a b\r\n")[::2] == (200, '{"code":0,"stdout":["hello a b"]}')
    assert post(host, port, "/exec", headers="X-Shell: nothing\r\n")[0] == 404

    def process():
        return json.loads(post(host, port, "/info")[2])["process"]

    assert post(host, port, "/control/off")[::2] == (200, "{}")
    assert process() == "stopped"
    assert post(host, port, "/control/on")[0] == 200
    assert process() == "running"
    assert post(host, port, "/reset")[::2] == (200, "{}")
    wait_until("it is registered again", lambda: zk.retry(zk.get_children, root) and zk.retry(zk.get_children, root) != [name])
    assert process() == "running"
    assert post(host, port, "/control/nothing")[0] == 400
    assert post(host, port, "/control/check/0")[0] in (406, 408)

    # kill: again and again until every reply is 410, then /info, which still answers.
    codes = []

    def killed():
        codes.append(post(host, port, "/control/kill/60")[0])
        return codes[-1] == 410

    wait_until("it is dead", killed)
    assert codes[0] == 200
    info = json.loads(post(host, port, "/info")[2])
    assert info["process"] == "dead" and isinstance(info["application"], str) and info["task"] == record["task"]

"""compose/redis: its README as it stands, a master that dies, all containers created anew, and all of them powered on."""
import re
import shutil

import pytest
from bed import TOP, Readme, wait_until
from resp import Refused, conversation, redis
from services import Service

FILES = TOP / "compose/redis"
COMPOSE = ("docker-compose", "-f", "compose/redis/docker-compose.yml", "-p", "redis")


def refusal(address, *words):
    """The error that this server answers with; None: it answers."""
    try:
        redis(address, *words)
    except Refused as error:
        return str(error)
    return None


class Redises:
    def __init__(self, bed):
        self.bed = bed
        self.servers = Service(bed, "redis", "redis")
        self.sentinels = Service(bed, "redis", "sentinel")

    def masters(self):
        return [a for a in self.servers.addresses() if redis(a, "role")[0] == "master"]

    def metrics(self):
        """What each server's pod says of it."""
        return {self.bed.address(s): self.servers.pod(s).info["metrics"] for s in self.servers.sidecars()}

    def watched(self):
        """Which master each sentinel names."""
        return [redis(a, "sentinel", "get-master-addr-by-name", "redis", port=26379)
                for a in self.sentinels.addresses()]

    def until_agreed(self, n, timeout=400, **but):
        """One master among n, not that one; the others follow it, and every sentinel names it. Answers its address."""
        def so():
            addresses = self.servers.addresses()
            assert len(addresses) == n, addresses
            roles = {a: redis(a, "role") for a in addresses}
            master, = [a for a, r in roles.items() if r[0] == "master"]
            assert master != but.get("but"), f"{master} is the master still"
            assert all(r[1:4] == [master, 6379, "connected"] for a, r in roles.items() if a != master), roles
            assert self.watched() == [[master, "6379"]] * len(self.sentinels.sidecars()), self.watched()
            return master
        return wait_until(f"one master, {n - 1} replicas, the sentinels agree", so, timeout, every=0.5)

    def sidecar_of(self, address):
        return next(s for s in self.servers.sidecars() if self.bed.address(s) == address)

    def put(self, master, n, replicas):
        """n keys that so many replicas have too, before anybody dies."""
        def written():  # WAIT speaks of what its own connection wrote
            keys = [("set", f"key:{i}", i) for i in range(n)]
            return conversation(master, *keys, ("wait", replicas, 2000), timeout=60)[-1] >= replicas
        wait_until("written to replicas", written)

    def fail_over(self, master, left):
        """The master's container is gone; what is written then only its successor and a replica have. Answers both."""
        old = self.sidecar_of(master)
        self.bed.docker("kill", old)
        second = self.until_agreed(left, but=master)
        wait_until("a replica has it", lambda: conversation(
            second, ("set", "after", "failover"), ("wait", left - 1, 2000))[-1] >= left - 1)
        return old, second

    def assert_holds(self, address, n):
        held = [redis(address, "get", f"key:{i}") for i in range(n)]
        assert held == [str(i) for i in range(n)], held


@pytest.fixture
def redises(bed):
    bed.stand_in("ochopod/redis:7", "redis:7")
    return Redises(bed)


def patient(name):
    """A script of the example that waits ten times as long for the others: on a busy machine they come late."""
    text = (FILES / name).read_text(encoding="utf-8")
    said, = re.findall(r"^patience=\d+", text, re.M)
    return text.replace(said, said + "0")


def started(bed, service):
    return {w: bed.inspect(w)["State"]["StartedAt"] for w in map(service.workload, service.sidecars())}


def test_redis(bed, redises):
    readme = Readme(bed, "redis")
    readme.step()
    readme.step()
    master = redises.until_agreed(3)
    assert readme.step().split() == [master, "6379"]
    replica = {"role": "replica", "master": f"{master} 6379", "master_link": "connected"}
    wait_until("their metrics say what they are", lambda: redises.metrics() == {
        a: {"role": "master"} if a == master else replica for a in redises.servers.addresses()})
    redises.put(master, 50, 2)

    # The master's container is gone: another one takes over, and the old one comes back as a replica.
    old = redises.sidecar_of(master)
    bed.docker("kill", old)
    second = redises.until_agreed(2, but=master)
    redises.assert_holds(second, 50)
    redis(second, "set", "after", "failover")
    bed.docker("start", old)
    second = redises.until_agreed(3, but=master)  # the old one did not take its place back

    # Two more replicas: the master is told nothing of its role, and nobody is restarted.
    before = started(bed, redises.servers)
    readme.step()
    second = redises.until_agreed(5)
    assert before.items() <= started(bed, redises.servers).items(), "somebody was restarted"
    redises.assert_holds(second, 50)

    # A crash of the master's process.
    bed.docker("kill", redises.servers.workload(redises.sidecar_of(second)))
    third = redises.until_agreed(5)
    redises.assert_holds(third, 50)
    assert redis(third, "get", "after") == "failover"

    readme.step()
    third = redises.until_agreed(3)
    redises.assert_holds(third, 50)
    wait_until("the sentinels forget who left", lambda: all(
        len(redis(a, "sentinel", "replicas", "redis", port=26379)) == 2 for a in redises.sentinels.addresses()), 300)
    readme.finish()
    assert bed.ids() == []


@pytest.mark.parametrize("services", [["redis", "sentinel"], ["redis"]], ids=["all", "servers"])
def test_all_created_anew(bed, redises, services):
    bed.docker("network", "create", "ochopod")
    bed.coordination("ochopod")
    bed.run(*COMPOSE, "up", "-d", "--scale", "redis=3", "--scale", "sentinel=3")
    master = redises.until_agreed(3)
    redises.put(master, 50, 2)
    # Not the first pod, so that whoever goes by the order of pods is found out.
    _, second = redises.fail_over(master, 2)
    bed.run(*COMPOSE, "up", "-d", "--force-recreate", "--scale", "redis=3", "--scale", "sentinel=3", *services)
    third = redises.until_agreed(3)
    print(f"masters: {master}, {second}, {third}")
    redises.assert_holds(third, 50)
    assert redis(third, "get", "after") == "failover", "who was the master first is the master again"

    # A replica of a replica: the master does not name it, and a sentinel that never knew it does not ask it.
    middle, last = (a for a in redises.servers.addresses() if a != third)
    redis(last, "replicaof", middle, 6379)
    wait_until("the master has one replica", lambda: len(redis(third, "role")[2]) == 1)
    for a in redises.sentinels.addresses():
        redis(a, "sentinel", "reset", "redis", port=26379)
    assert redises.until_agreed(3) == third
    redises.assert_holds(third, 50)


def test_powered_on_former_master_first(bed, redises, tmp_path):
    """Who was a master until it died is there first, and alone: it waits for those among whom is its successor."""
    shutil.copytree(FILES, tmp_path / "redis")
    for script in "server.sh", "sentinel.sh":
        (tmp_path / "redis" / script).write_text(patient(script), encoding="utf-8")
    bed.docker("network", "create", "ochopod")
    bed.coordination("ochopod")
    bed.run("docker-compose", "-f", tmp_path / "redis/docker-compose.yml", "-p", "redis", "up", "-d",
            "--scale", "redis=3", "--scale", "sentinel=3")
    master = redises.until_agreed(3)
    redises.put(master, 50, 2)
    old, second = redises.fail_over(master, 2)
    rest = [s for s in redises.servers.sidecars() + redises.sentinels.sidecars() if s != old]
    bed.docker("stop", *rest)
    bed.docker("start", old)
    assert "NOPERM" in wait_until("it waits", lambda: refusal(bed.address(old), "get", "key:0"))
    bed.docker("start", *rest)
    third = redises.until_agreed(3)
    print(f"masters: {master}, {second}, {third}")
    redises.assert_holds(third, 50)
    assert redis(third, "get", "after") == "failover", "who was the master first is the master again"


class Alone:
    """A server of the spec without its pod. Who the others are, and what it has in /data, the test says."""
    etc = "/usr/local/etc/redis"

    def __init__(self, bed, directory, others):
        self.bed = bed
        directory.chmod(0o755)  # Redis reads it as its own user
        self.others = directory / "others"
        self.list(others)
        conf = "port 6379\nprotected-mode no\ndir /data\nappendonly yes\n"
        (directory / "redis.conf").write_text(conf, encoding="utf-8")
        (directory / "server").write_text(patient("server.sh"), encoding="utf-8")
        self.id = bed.docker("run", "-d", "-v", f"{directory}:{self.etc}:ro", "-v", f"{directory}/server:/server:ro",
                             "redis:7", "sh", "/server", "boot")

    def list(self, others):
        self.others.write_text(others, encoding="utf-8")

    def ask(self, *words):
        return redis(self.bed.address(self.id), *words)

    def does(self, what):
        """The exit status of one of server.sh's verbs, and what that said."""
        done = self.bed.run("docker", "exec", self.id, "sh", "/server", what, check=False)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def waiting(bed, redises, tmp_path):
    """A former master with a key, which waits for another one that is silent."""
    server = Alone(bed, tmp_path, "first\n")
    wait_until("a master", lambda: server.ask("set", "key", "kept") == "OK")
    bed.docker("stop", server.id)
    server.list("later\n127.0.0.1 1\n")
    bed.docker("start", server.id)
    wait_until("it waits", lambda: server.ask("role")[0] == "slave")
    return server


def test_who_waits_is_no_server_without_keys(waiting):
    address = waiting.bed.address(waiting.id)
    for words in (("get", "key"), ("exists", "key"), ("dbsize",), ("set", "key", "other"), ("eval", "return 1", 0),
                  ("subscribe", "news"), ("publish", "news", "none"), ("replicaof", "no", "one"), ("multi",),
                  ("config", "set", "replica-priority", 100), ("acl", "setuser", "default", "+@all"), ("shutdown",)):
        assert "NOPERM" in str(refusal(address, *words)), words
    # What others need: the check, pods, sentinels, replicas.
    assert waiting.ask("ping") == "PONG"
    assert waiting.ask("config", "get", "proc-title-template")[1].startswith("waits:")
    assert "role:slave" in waiting.ask("info")
    assert waiting.ask("subscribe", "__sentinel__:hello")[0] == "subscribe"
    assert waiting.ask("publish", "__sentinel__:hello", "here") == 0
    assert "NOMASTERLINK" in refusal(address, "psync", "?", -1)
    assert waiting.does("reload") == (0, "")
    assert waiting.does("look") == (0, '{"role": "waits", "listed": "all"}\n')
    code, said = waiting.does("ready")
    assert (code, said) == (1, "does not follow its master yet\n")
    assert waiting.ask("role")[0] == "slave", "it began meanwhile"


def test_who_waits_can_be_promoted(waiting):
    code, said = waiting.does("promote")
    assert code == 0, said
    assert waiting.ask("role")[0] == "master"
    assert waiting.ask("get", "key") == "kept"
    # That was one time: at its next start it waits again.
    waiting.bed.docker("restart", waiting.id)
    wait_until("it waits", lambda: waiting.ask("role")[0] == "slave")

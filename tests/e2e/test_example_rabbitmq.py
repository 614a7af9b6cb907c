"""compose/rabbitmq: its README as it stands, and a cluster of three of which one is killed. A full stop is not tested: what is known
of it stands in the README."""
import json
from datetime import datetime

import pytest
from amqp import Publisher, declare, drain
from bed import TOP, Readme, command_lines, wait_until
from services import Service

IMAGE = "ochopod/rabbitmq:3"
COOKIE = TOP / "compose/rabbitmq/erlang.cookie"
COMPOSE = ("docker-compose", "-f", "compose/rabbitmq/docker-compose.yml", "-p", "rabbitmq")


class Rabbits(Service):
    def __init__(self, bed):
        super().__init__(bed, "rabbitmq", "rabbitmq")

    def ctl(self, sidecar, *words):
        return self.bed.docker("exec", self.workload(sidecar), "rabbitmqctl", "-q", *words)

    def members(self, sidecar):
        """(all members, those that run) as this one sees them."""
        said = json.loads(self.ctl(sidecar, "cluster_status", "--formatter", "json"))
        return set(said["disk_nodes"]), set(said["running_nodes"])

    def until_members(self, n, timeout=600):
        """n sidecars, and each of their nodes sees these n, all running. One is asked before all are, and not before
        the pods are ready: a rabbitmqctl takes as long to start as a node."""
        self.until_ready(n, timeout)

        def so():
            seen = []
            for s in self.sidecars():
                seen.append(self.members(s))
                assert len(seen[-1][0]) == n and seen[-1][0] == seen[-1][1], seen
            assert len(seen) == n and all(s == seen[0] for s in seen), seen
            return seen[0][0]
        return wait_until(f"a cluster of {n}", so, timeout, every=3)

    def turns(self):
        """[(when a node was started, when it was a member)] in that order, by one clock: the machine's."""
        def turn(sidecar):
            workload = self.workload(sidecar)
            said = self.bed.docker("logs", "--timestamps", workload).split(maxsplit=1)[0]
            mark = self.bed.docker("exec", workload, "stat", "-c", "%.9Y", "/var/lib/rabbitmq/.member")
            return datetime.fromisoformat(said).timestamp(), float(mark)
        return sorted(turn(s) for s in self.sidecars())

    def replicas(self, sidecar):
        """Of the quorum queue."""
        rows = json.loads(self.ctl(sidecar, "list_queues", "name", "members", "--formatter", "json"))
        return {row["name"]: set(row["members"]) for row in rows}


@pytest.fixture
def rabbits(bed):
    bed.stand_in(IMAGE, "rabbitmq:3")
    yield Rabbits(bed)
    COOKIE.unlink(missing_ok=True)


def assert_one_after_the_other(rabbits):
    """Each was a member, and so serves, before the next one was started."""
    turns = rabbits.turns()
    print(turns)
    assert all(started < member for started, member in turns), turns
    assert all(before[1] < after[0] for before, after in zip(turns, turns[1:])), turns


def test_rabbitmq(bed, rabbits):
    readme = Readme(bed, "rabbitmq")
    readme.step()
    readme.step()
    readme.step()
    members = rabbits.until_members(3)
    assert_one_after_the_other(rabbits)
    declare(rabbits.addresses()[0])
    with Publisher(rabbits.addresses) as publisher:
        publisher.goes_on()
        said = readme.step()
        assert all(m in said for m in members), said
        readme.step()
        rabbits.until_members(5)
        assert_one_after_the_other(rabbits)
        wait_until("a replica on each", lambda: len(rabbits.replicas(rabbits.sidecars()[0])["ledger"]) == 5, 300)
        publisher.goes_on()
        readme.step()
        # Two that left in good order are forgotten.
        assert rabbits.until_members(3) == members
        assert rabbits.replicas(rabbits.sidecars()[0])["ledger"] == members
        publisher.goes_on()
        publisher.stop()
        assert_nothing_lost(publisher, rabbits)
    readme.finish()
    assert bed.ids() == []


def assert_nothing_lost(publisher, rabbits):
    held = set(drain(rabbits.addresses()[0]))
    missing = [n for n in publisher.confirmed if n not in held]
    print(f"{len(publisher.confirmed)} confirmed, {len(held)} held, {len(publisher.errors)} errors")
    assert len(publisher.confirmed) > 50, publisher.errors[-5:]
    assert not missing, missing


def znodes(bed):
    """Every node's text, as any client sees it."""
    from kazoo.client import KazooClient
    from kazoo.exceptions import NoNodeError

    client = KazooClient(hosts=f"{bed.address('coordination')}:2181", timeout=10.0)
    client.start(timeout=60)
    texts, left = [], ["/"]
    try:
        while left:
            path = left.pop()
            try:
                texts.append(f"{path} {client.get(path)[0]}")
                left += [f"{path.rstrip('/')}/{child}" for child in client.get_children(path)]
            except NoNodeError:
                pass  # it went meanwhile
    finally:
        client.stop()
        client.close()
    return "\n".join(texts)


def assert_cookie_is_secret(bed, rabbits, cookie):
    """The node has it, for its user alone; nobody else is told."""
    for sidecar in rabbits.sidecars():
        file = "/var/lib/rabbitmq/.erlang.cookie"
        said = bed.docker("exec", rabbits.workload(sidecar), "sh", "-c", f"stat -c '%a %u' {file}; cat {file}")
        assert said.split() == ["400", "999", cookie]
        for path in ("/info", "/cluster", "/log?format=text"):
            said = str(rabbits.pod(sidecar).get(path)[1])
            assert "rabbit" in said and cookie not in said, path
    assert "beam" in command_lines() and cookie not in command_lines()
    assert cookie not in znodes(bed)
    for container in bed.ids():
        assert cookie not in bed.log(container)
        assert cookie not in json.dumps(bed.inspect(container))


def test_faults(bed, rabbits):
    cookie = "ourcookie" * 4
    COOKIE.write_text(cookie + "\n", encoding="ascii")
    COOKIE.chmod(0o600)
    bed.docker("network", "create", "ochopod")
    bed.coordination("ochopod")
    bed.run(*COMPOSE, "up", "-d", "--scale", "rabbitmq=3")
    members = rabbits.until_members(3)
    assert_one_after_the_other(rabbits)
    assert_cookie_is_secret(bed, rabbits, cookie)
    declare(rabbits.addresses()[0])
    with Publisher(rabbits.addresses) as publisher:
        publisher.goes_on()

        # A node is killed: started again, where it was.
        victim = rabbits.sidecars()[1]
        bed.docker("kill", rabbits.workload(victim))
        publisher.goes_on()
        assert rabbits.until_members(3) == members

        # A sidecar's container is killed and started: the same node, whatever its address.
        bed.docker("kill", victim)
        publisher.goes_on()
        bed.docker("start", victim)
        assert rabbits.until_members(3) == members
        publisher.goes_on()
        publisher.stop()
        assert_nothing_lost(publisher, rabbits)

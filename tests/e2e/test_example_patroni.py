"""compose/patroni: PostgreSQL on the ZooKeeper cluster, its fail-over, and where its passwords are not."""
import http.client
import threading

import psycopg2
import pytest
from bed import TOP, Readme, command_lines, wait_until
from ensemble import Ensemble

PASSWORDS = TOP / "compose/patroni/passwords"


def password(name):
    return (PASSWORDS / name).read_text(encoding="ascii").strip()


def connect(address, autocommit=True, patience=60):
    connection = psycopg2.connect(host=address, port=5432, user="postgres", password=password("superuser"),
                                  dbname="postgres", connect_timeout=patience, options="-c statement_timeout=60s")
    connection.autocommit = autocommit
    return connection


def role(address):
    """200 of Patroni's own port: `primary`, `replica`; None: neither."""
    for name in ("primary", "replica"):
        connection = http.client.HTTPConnection(address, 8008, timeout=5)
        try:
            connection.request("GET", f"/{name}")
            if connection.getresponse().status == 200:
                return name
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
    return None


class Postgres(Ensemble):
    def __init__(self, bed):
        super().__init__(bed, "postgres")

    def addresses(self):
        return {s: self.bed.address(s) for s in self.sidecars()}

    def roles(self):
        return {s: role(a) for s, a in self.addresses().items()}

    def primary(self):
        """(sidecar, address) of the one primary; None while there is none."""
        found = [s for s, r in self.roles().items() if r == "primary"]
        return (found[0], self.bed.address(found[0])) if len(found) == 1 else None

    def until_primary(self):
        return wait_until("one primary", self.primary, 240, every=0.5)

    def synchronous(self):
        """Names of the replicas that the primary waits for."""
        with connect(self.primary()[1]).cursor() as cursor:
            cursor.execute("SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'")
            return [row[0] for row in cursor.fetchall()]

    def until(self, replicas, timeout=600):
        """One primary, so many replicas, one of them synchronous."""
        def so():
            roles = sorted(str(r) for r in self.roles().values())
            assert roles == ["primary"] + ["replica"] * replicas, roles
            return len(self.synchronous()) == 1
        wait_until(f"one primary and {replicas} replicas, one of them synchronous", so, timeout, every=0.5)

    def postmasters(self):
        """When each PostgreSQL was started: changes with a restart."""
        times = {}
        for sidecar, address in self.addresses().items():
            with connect(address).cursor() as cursor:
                cursor.execute("SELECT pg_postmaster_start_time()::text")
                times[sidecar] = cursor.fetchone()[0]
        return times

    def hosts(self, sidecar):
        text = self.bed.docker("exec", self.workload(sidecar), "cat", "/etc/patroni/patroni.yml")
        line = next(line for line in text.splitlines() if line.strip().startswith("hosts:"))
        return set(line.split('"')[1].split(","))


class Commits:
    """Keeps committing rows at the primary and remembers which commits were acknowledged."""

    def __init__(self, postgres):
        self.postgres = postgres
        self.acknowledged, self.errors = [], []
        self.connection = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self):
        with connect(self.postgres.until_primary()[1]).cursor() as cursor:
            cursor.execute("CREATE TABLE written (n integer PRIMARY KEY)")
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(90)

    def _commit(self, number):
        if not self.connection:
            primary = self.postgres.primary()
            if not primary:
                raise LookupError("no primary")
            self.connection = connect(primary[1], patience=5)
        with self.connection.cursor() as cursor:
            cursor.execute("INSERT INTO written VALUES (%s)", (number,))
        # "canceling the wait for synchronous replication": committed here, promised nowhere.
        if self.connection.notices:
            raise LookupError(self.connection.notices.pop())

    def _write(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            try:
                self._commit(number)
                self.acknowledged.append(number)
            except (psycopg2.Error, OSError, LookupError, AssertionError) as error:
                self.errors.append((number, str(error).strip()))
                if self.connection:
                    self.connection.close()
                self.connection = None
                self.stopping.wait(0.2)
            self.stopping.wait(0.02)

    def goes_on(self, timeout=240):
        before = len(self.acknowledged)
        wait_until("commits are acknowledged again", lambda: len(self.acknowledged) > before + 5, timeout)

    def missing(self, address):
        """Rows acknowledged before this call that the server at that address has not."""
        known = list(self.acknowledged)
        with connect(address).cursor() as cursor:
            cursor.execute("SELECT n FROM written")
            there = {row[0] for row in cursor.fetchall()}
        return [n for n in known if n not in there]


@pytest.fixture
def postgres(bed):
    bed.stand_in("ochopod/patroni:3", "ochopod/patroni:3")
    for file in PASSWORDS.glob("*"):
        file.unlink()
    yield Postgres(bed)
    for file in PASSWORDS.glob("*"):
        file.unlink()


def znodes(address):
    """Everything that a ZooKeeper holds, as one text."""
    from kazoo.client import KazooClient
    from kazoo.exceptions import NoNodeError

    client = KazooClient(hosts=f"{address}:2181", timeout=20.0)
    client.start(timeout=60)
    found = []

    def walk(path):
        try:
            data, _ = client.get(path)
            names = client.get_children(path)
        except NoNodeError:
            return  # it went meanwhile
        found.append(path + " " + (data or b"").decode(errors="replace"))
        for name in names:
            walk(f"{path.rstrip('/')}/{name}")
    try:
        walk("/")
    finally:
        client.stop()
        client.close()
    return "\n".join(found)


def assert_no_password_shows(bed, postgres, zookeeper):
    places = {
        "the pods' znodes": znodes(bed.address("coordination")),
        "Patroni's znodes": znodes(zookeeper.hosts()[0][0]),
        "the logs": bed.logs(100000),
        "command lines": command_lines(),
        "docker inspect": bed.docker("inspect", *bed.ids()),
        "the control ports": "".join(bed.docker("exec", s, "ocho", "info", "-j", "postgres") for s in postgres.sidecars()),
    }
    assert "postgres1" in places["Patroni's znodes"], "these are not Patroni's"
    for name in ("superuser", "replication", "restapi"):
        assert len(password(name)) > 20
        for where, text in places.items():
            assert password(name) not in text, f"the password of {name} is in {where}"


def test_patroni(bed, postgres, capsys):
    readme = Readme(bed, "patroni")
    for _ in range(3):
        said = readme.step()
    wait_until("the status names what is missing",
               lambda: "zookeeper" in bed.docker("exec", postgres.sidecars()[0], "ocho", "ls", "postgres").split("STATUS")[1])
    assert postgres.workloads() == [], f"started without its dependency: {said}"
    said = readme.step()
    zookeeper = Ensemble(bed, "zookeeper")
    zookeeper.wait(3)
    assert said.count("postgres") >= 3, said
    postgres.until(replicas=2)

    with Commits(postgres) as commits:
        commits.goes_on()
        containers, postmasters = postgres.started(), postgres.postmasters()
        readme.step()
        zookeeper.wait(5)
        five = {f"{host}:{port}" for host, port in zookeeper.hosts()}
        for sidecar in postgres.sidecars():
            wait_until("Patroni's file has five hosts", lambda s=sidecar: postgres.hosts(s) == five, 120)
            wait_until("Patroni took them over", lambda s=sidecar: all(
                host in bed.log(postgres.workload(s)).rsplit("zookeeper.hosts from now on", 1)[1].splitlines()[0]
                for host in five), 120)
        postgres.until(replicas=2)
        commits.goes_on()
        assert postgres.started() == containers, "a container was restarted because ZooKeeper grew"
        assert postgres.postmasters() == postmasters, "PostgreSQL was restarted because ZooKeeper grew"
        undisturbed = list(commits.errors)

        old, _ = postgres.until_primary()
        bed.docker("kill", old)
        wait_until("another pod is the primary", lambda: (p := postgres.primary()) and p[0] != old, 240, every=0.5)
        commits.goes_on()
        _, address = postgres.until_primary()
        assert commits.missing(address) == [], "acknowledged commits are lost"
        bed.docker("start", old)
        wait_until("the old primary is a replica", lambda: postgres.roles().get(old) == "replica", 600, every=0.5)
        postgres.until(replicas=2)
        commits.goes_on()
    assert len(commits.acknowledged) > 50, commits.errors[-5:]
    for sidecar, address in postgres.addresses().items():
        wait_until(f"all acknowledged commits are in {sidecar[:12]}", lambda a=address: commits.missing(a) == [], 60)
    with capsys.disabled():
        print(f"\npatroni: {len(commits.acknowledged)} commits acknowledged, none lost; {len(undisturbed)} refused while "
              f"ZooKeeper grew, {len(commits.errors)} in all: {commits.errors[:3]}")
    assert_no_password_shows(bed, postgres, zookeeper)
    readme.finish()
    assert bed.ids() == []

"""The network: cut both ways and one way, slow. A pod's rules stand in its own namespace and go with it."""

from bench import SESSION_S, alive, run
from nemesis import nemesis


class Cut:
    """Rules in the namespace of a process; taken out again while it lives."""

    def __init__(self, pid):
        self.pid = pid
        self.rules = []

    def drop(self, *words):
        run("nsenter", f"--net=/proc/{self.pid}/ns/net", "iptables", "-w", "-I", *words, "-j", "DROP")
        self.rules.append(words)

    def both(self, address, to=True, back=True):
        if to:
            self.drop("OUTPUT", "-d", address)
        if back:
            self.drop("INPUT", "-s", address)

    def mend(self):
        for words in self.rules:
            if alive(self.pid):
                run("nsenter", f"--net=/proc/{self.pid}/ns/net", "iptables", "-w", "-D", *words, "-j", "DROP", check=False)


def from_zookeeper(bench, pod, rng, to, back):
    cut = Cut(pod.init)
    for server in bench.servers:
        cut.both(server.address, to, back)
    return cut


@nemesis("pod cut from ZooKeeper, briefly", lasts=0.3 * SESSION_S)
def cut_briefly(bench, pod, rng, done):
    cut = from_zookeeper(bench, pod, rng, True, True)
    yield
    cut.mend()


@nemesis("pod cut from ZooKeeper", lasts=2 * SESSION_S)
def cut_both(bench, pod, rng, done):
    cut = from_zookeeper(bench, pod, rng, True, True)
    yield
    cut.mend()


@nemesis("pod not heard by ZooKeeper", lasts=2 * SESSION_S)
def cut_to(bench, pod, rng, done):
    cut = from_zookeeper(bench, pod, rng, True, False)
    yield
    cut.mend()


@nemesis("pod does not hear ZooKeeper", lasts=2 * SESSION_S)
def cut_back(bench, pod, rng, done):
    cut = from_zookeeper(bench, pod, rng, False, True)
    yield
    cut.mend()


def between(bench, pod, rng, done, to, back):
    other = rng.choice([p for p in bench.living() if p is not pod])
    done.note = other.name
    cut = Cut(pod.init)
    cut.both(other.address, to, back)
    return cut


@nemesis("pod cut from a pod", on="leader", lasts=4)
def pods_cut(bench, pod, rng, done):
    cut = between(bench, pod, rng, done, True, True)
    yield
    cut.mend()


@nemesis("pod cut from a pod, one way", on="leader", lasts=4)
def pods_cut_one_way(bench, pod, rng, done):
    to = rng.random() < 0.5
    cut = between(bench, pod, rng, done, to, not to)
    yield
    cut.mend()


@nemesis("cable between the hosts cut", on="cluster", lasts=1.5 * SESSION_S)
def cable_cut(bench, _, rng, done):
    """In either direction, or both."""
    hosts = rng.choice([bench.hosts[:1], bench.hosts[1:], bench.hosts])
    done.note = " and ".join(f"{h.name} hears nothing" for h in hosts)
    rule = ("PREROUTING", "-i", "ocho-link", "-j", "DROP")
    for host in hosts:
        host.inside("iptables", "-w", "-t", "raw", "-I", *rule)
    yield
    for host in hosts:
        host.inside("iptables", "-w", "-t", "raw", "-D", *rule)


@nemesis("ZooKeeper server cut off", on="server", lasts=SESSION_S)
def server_cut(bench, server, rng, done):
    """From pods and servers; the recorder's way in stays."""
    keep = ("INPUT", "!", "-s", "198.18.128.254", "-j", "DROP")
    server.inside("iptables", "-w", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT")
    server.inside("iptables", "-w", "-A", *keep)
    yield
    server.inside("iptables", "-w", "-F", "INPUT")


@nemesis("pod on a slow link", lasts=5)
def slow(bench, pod, rng, done):
    pid = pod.init
    inside = ("nsenter", f"--net=/proc/{pid}/ns/net", "tc", "qdisc")
    run(*inside, "add", "dev", "eth0", "root", "tbf", "rate", f"{rng.choice((16, 32, 64))}kbit", "burst", "2000",
        "latency", "3s")
    yield
    if alive(pid):
        run(*inside, "del", "dev", "eth0", "root", check=False)



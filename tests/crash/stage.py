"""What the kills stand on: one engine, one ZooKeeper, and clusters side by side, one pod of each to be struck. Engine, pods
and recorders are those of tests/chaos."""
import json
import os
import shutil
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/chaos"))
import bench  # noqa: E402
from bench import BUSYBOX, NETWORK, Host, boottime, die_with_parent, family, run, wait_until  # noqa: E402, F401
from bed import Bed  # noqa: E402

TREE = "/ochopod/clusters"
FIRST_WORD = 10 << 24 | 1  # 10.0.0.1

# The word is the address of the one pod that it depends on, as a number. Lines as tests/chaos/files.py judges them.
TEMPLATE = r"""{%
local sum = 0
for part in dependencies["FEED"][1].ip:gmatch("%d+") do sum = sum * 256 + tonumber(part) end
%}
begin {{ sum }}
of the feed
{% for i = 1, 120 do %}
{{ i }} {{ string.rep(tostring(sum), 5) }}
{% end %}
end {{ sum }}
"""
# Of who is in the cluster to lead it: never another one.
SAME = "begin 7\n-\n" + "".join(f"{i} {'7' * 5}\n" for i in range(1, 121)) + "end 7\n"


class Pod(bench.Pod):
    def __init__(self, stage, cluster, role):
        super().__init__(stage, role, stage.host)
        self.cluster, self.role = cluster, role
        self.name = f"{cluster.name}-{role}"
        self.dir = stage.dir / self.name
        self.conf = self.dir / "conf"

    def spec(self):
        struck = self.role == "struck"
        content = TEMPLATE.replace("FEED", self.cluster.feed) if struck else SAME
        return {
            "cluster": self.cluster.name, "zk": self.bench.zk_url(), "session": "3s", "damper": "0s", "grace": "30s",
            "depends_on": [self.cluster.feed],
            "workload": {"image": BUSYBOX, "command": ["sh", "-c", bench.WORKLOAD.replace("{{", "{ {")],
                         "volumes": ["/conf", "/data"], "stop": {"grace": "8s"},
                         "on_change": "restart" if struck else "none",
                         "ready": {"http": f":{bench.WORKLOAD_PORT}/", "every": "500ms", "timeout": "30s"}},
            "files": [{"target": f"/conf/{name}.conf", "content": content} for name in ("one", "two")]}

    def process(self, name):
        """The process of its sidecar that is called so."""
        for pid in family(self.init)[1:]:
            try:
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    return pid
            except OSError:
                continue
        raise LookupError(f"{self.name} has no {name} now")

    def ended(self):
        """With which status each of its workers ended."""
        return [int(line.split("status=")[1].split()[0]) for line in self.log().splitlines() if " worker=ended " in line]


def lived(pid):
    """Seconds since a process began."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return boottime() - int(words[19]) / os.sysconf("SC_CLK_TCK")


class Cluster:
    """The pod to be struck, and, in a pair, another one that was there before and leads it."""

    def __init__(self, stage, number, pair):
        self.stage, self.pair = stage, pair
        self.name = f"crash{number}"
        self.label = f"marathon.{self.name}"
        self.feed = f"feed{number}"  # what it depends on: a pod on paper
        self.struck = Pod(stage, self, "struck")
        self.leader = Pod(stage, self, "leads") if pair else self.struck
        self.pods = [self.leader, self.struck] if pair else [self.struck]
        self.word = FIRST_WORD - 1

    def start(self):
        self.say()
        for pod in self.pods:
            pod.folders()
            pod.create()
        self.leader.start()
        wait_until(f"{self.leader.name} leads", lambda: self.leader.info()["state"].startswith("leader"), 120)
        if self.pair:
            self.struck.start()

    def say(self):
        """Another word: another configuration, and so a round."""
        self.word += 1
        ip = ".".join(str(self.word >> shift & 255) for shift in (24, 16, 8, 0))
        path, zk = f"{TREE}/marathon.{self.feed}", self.stage.zk
        if self.word == FIRST_WORD:
            zk.retry(zk.ensure_path, f"{path}/pods/{self.feed}.0000000001")
            zk.retry(zk.ensure_path, f"{path}/snapshot")
        zk.retry(zk.set, f"{path}/snapshot", json.dumps({self.feed: {"ip": ip, "seq": 1, "ports": {}}}).encode())

    def hash(self):
        return self.stage.zk.retry(self.stage.zk.get, f"{TREE}/{self.label}/hash")[0].decode()

    def settled(self, tidy=True):
        """Everybody in one round, with the last word, and nothing left over. Answers what each says of itself.
        tidy: that round is the last one proposed. One that was given up leaves what it staged until the next."""
        infos = [pod.info() for pod in self.pods]
        for pod, info in zip(self.pods, infos):
            assert info["ready"] and info["process"] == "running", f"{pod.name}: {info['process']} {info['status']}"
        leaders = [i["state"] for i in infos if i["state"].startswith("leader")]
        assert leaders == ["leader"], [f"{i['state']}: {i['status']}" for i in infos]
        assert {(i["hash"], i["generation"]) for i in infos} == {(self.hash(), infos[0]["generation"])}, "other rounds"
        assert self.struck.history()[-1:], "it was never started"
        said = self.struck.history()[-1][1]
        assert said == [str(self.word)] * 4, f"{self.struck.name} runs with {said}, not with {self.word}"
        self.tidy(infos, tidy)
        return infos

    def tidy(self, infos, staged):
        """A workload and a holder each, both running; two files; no swap that is still to be completed."""
        there = [(one["Labels"]["io.ochopod.pod"], one["Labels"]["io.ochopod.role"], one["State"])
                 for one in self.stage.host.api.containers(f"io.ochopod.cluster={self.label}")]
        wanted = [(i["id"], role, "running") for i in infos for role in ("workload", "holder")]
        assert sorted(there) == sorted(wanted), f"containers: {there}"
        for pod in self.pods:
            files = sorted(os.listdir(pod.conf))
            assert files == ["one.conf", "two.conf"] or not staged, f"in the volume of {pod.name}: {files}"
            assert not (pod.dir / "state/swap.json").exists(), f"{pod.name} has a swap to complete"


class Stage:
    def __init__(self, directory, pairs, alone):
        self.host = Host(directory, "198.18")
        self.hosts = [self.host]
        self.dir = self.host.dir.parent / f"{self.host.dir.name}.crash"
        self.bed = self.zk = None
        self.safe = False  # no token, no access lists: what chaos has them for
        self.coordination = ""
        self.clusters = [Cluster(self, n, n < pairs) for n in range(pairs + alone)]
        self.pods = [pod for cluster in self.clusters for pod in cluster.pods]

    def zk_url(self):
        return f"zk://{self.coordination}:2181"

    def begin(self):
        from kazoo.client import KazooClient

        self.sweep()
        self.host.start()
        self.bed = Bed(self.host.dir)
        self.host.clear()
        self.host.network()
        self.dir.mkdir()
        # Short sessions for the pods; ours is not to be lost on a busy machine.
        self.coordination = self.bed.coordination(NETWORK, ZOO_TICK_TIME="200", ZOO_MAX_CLIENT_CNXNS="0",
                                                  ZOO_CFG_EXTRA="maxSessionTimeout=60000")
        self.zk = KazooClient(hosts=f"{self.coordination}:2181", timeout=30)
        self.zk.start(timeout=60)

    def sweep(self):
        """Also what a run that was killed has left."""
        for mount in self.dir.glob("*/conf"):
            run("umount", "-l", mount, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def end(self):
        if self.zk:
            self.zk.stop()
            self.zk.close()
        try:
            self.host.clear()
        finally:
            self.sweep()

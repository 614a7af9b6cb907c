"""The pods of one compose project (or of a list of containers) seen from outside: their addresses, workloads, roles."""
from bed import agree, mntr, wait_until


def workload(bed, sidecar):
    """Id of the container that this sidecar (full id) created for its pod, or None."""
    ids = bed.ids("label=io.ochopod.role=workload")
    return next((i for i in ids if bed.inspect(i)["HostConfig"]["NetworkMode"] == f"container:{sidecar}"), None)


class Ensemble:
    def __init__(self, bed, project):
        self.bed = bed
        self.project = project

    def sidecars(self):
        """Ids of the sidecars that run, by their compose number."""
        ids = self.bed.ids(f"label=com.docker.compose.project={self.project}", "status=running")
        number = {i: int(self.bed.inspect(i)["Config"]["Labels"]["com.docker.compose.container-number"]) for i in ids}
        return sorted(ids, key=number.get)

    def workload(self, sidecar):
        """The container that it created and keeps, or None."""
        return workload(self.bed, sidecar)

    def workloads(self):
        return [w for w in map(self.workload, self.sidecars()) if w]

    def hosts(self):
        return [(self.bed.address(s), 2181) for s in self.sidecars()]

    def agree(self, n):
        hosts = self.hosts()
        return len(hosts) == n and agree(hosts)

    def wait(self, n, timeout=300):
        wait_until(f"{n} servers with one leader", lambda: self.agree(n), timeout, every=0.3)

    def leader(self):
        """(sidecar, address) of the server that leads."""
        return [(s, self.bed.address(s)) for s in self.sidecars()
                if mntr(self.bed.address(s)).get("zk_server_state") == "leader"][0]

    def started(self):
        """What tells a restarted workload from one that was left alone."""
        return {w: self.bed.inspect(w)["State"]["StartedAt"] for w in self.workloads()}

"""The pods of one service of a compose project."""
from bed import wait_until
from ensemble import workload
from pods import Pod


class Service:
    def __init__(self, bed, project, service):
        self.bed = bed
        self.filters = [f"label=com.docker.compose.project={project}", f"label=com.docker.compose.service={service}"]

    def sidecars(self):
        """Ids of those that run, by their compose number."""
        ids = self.bed.ids(*self.filters, "status=running")
        number = {i: int(self.bed.inspect(i)["Config"]["Labels"]["com.docker.compose.container-number"]) for i in ids}
        return sorted(ids, key=number.get)

    def addresses(self):
        return [self.bed.address(s) for s in self.sidecars()]

    def workload(self, sidecar):
        return workload(self.bed, sidecar)

    def pod(self, sidecar):
        """Its control port."""
        return Pod(self, sidecar)

    def until_ready(self, n, timeout=300):
        """A round over that many is complete and all are ready."""
        def so():
            sidecars = self.sidecars()
            assert len(sidecars) == n, f"{len(sidecars)} sidecars run"
            for s in sidecars:
                code, said = self.pod(s).get(f"/wait?for=ready&pods={n}&timeout=5")
                assert code == 200, said
            return True
        wait_until(f"{n} ready pods", so, timeout, every=0.5)

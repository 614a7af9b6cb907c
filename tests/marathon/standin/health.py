"""Health and readiness checks of one task, as Marathon itself makes them: over HTTP or by a TCP connection."""
import http.client
import socket
import ssl
import threading
import time

from .apps import mode_of


class Health:
    def __init__(self, task):
        self.task = task
        self.alive = [None] * len(task.app["healthChecks"])  # of each check; None: not known yet
        self.ready = not task.app["readinessChecks"]

    def good(self):
        return self.ready and all(self.alive)

    def results(self):
        return [{"alive": alive, "taskId": self.task.id} for alive in self.alive if alive is not None]

    def begin(self, unhealthy):
        """unhealthy(task, why) is called from a thread of ours when a check gave up."""
        for i, check in enumerate(self.task.app["healthChecks"]):
            threading.Thread(target=self.follow, args=(i, check, unhealthy), daemon=True).start()
        for check in self.task.app["readinessChecks"]:
            threading.Thread(target=self.get_ready, args=(check,), daemon=True).start()

    def over(self):
        return self.task.slot.ended.is_set()

    def follow(self, i, check, unhealthy):
        began, failures = time.monotonic(), 0
        while not self.over():
            wrong = self.ask(check, self.port(check), range(200, 400))
            young = time.monotonic() - began < check["gracePeriodSeconds"] and not self.alive[i]
            if wrong is None:
                self.alive[i], failures = True, 0
            elif not young:
                self.alive[i], failures = False, failures + 1
            if check["maxConsecutiveFailures"] and failures >= check["maxConsecutiveFailures"]:
                unhealthy(self.task, wrong)
                return
            self.task.slot.ended.wait(min(check["intervalSeconds"], 1) if young else check["intervalSeconds"])

    def get_ready(self, check):
        while not self.over():
            port = self.named(check["portName"])
            if port and self.ask(check, port, check["httpStatusCodesForReady"]) is None:
                self.ready = True
                return
            self.task.slot.ended.wait(check["intervalSeconds"])

    def named(self, name):
        app = self.task.app
        asked = app["portDefinitions"] if mode_of(app) == "host" else app["container"]["portMappings"]
        return next((port for a, port in zip(asked, self.task.slot.host_ports) if a.get("name") == name), None)

    def port(self, check):
        ports = self.task.slot.host_ports
        return check.get("port") or (ports[check.get("portIndex", 0)] if ports else None)

    def ask(self, check, port, good):
        """What is wrong, or None."""
        host = self.task.slot.agent.host
        protocol = check["protocol"].removeprefix("MESOS_")
        try:
            if protocol == "TCP":
                socket.create_connection((host, port), timeout=check["timeoutSeconds"]).close()
                return None
            if protocol == "HTTPS":
                connection = http.client.HTTPSConnection(host, port, timeout=check["timeoutSeconds"],
                                                         context=ssl._create_unverified_context())
            else:
                connection = http.client.HTTPConnection(host, port, timeout=check["timeoutSeconds"])
            try:
                connection.request("GET", check["path"])
                status = connection.getresponse().status
            finally:
                connection.close()
            return None if status in good else f"{check['path']} answered {status}"
        except (OSError, http.client.HTTPException) as error:
            return f"port {port}: {error!r}"

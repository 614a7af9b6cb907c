"""One Docker engine, spoken to as a Mesos agent does: the docker command for what runs, its socket for looking."""
import http.client
import json
import os
import socket
import subprocess
import urllib.parse

DOCKER = "/usr/bin/docker"  # another client of that name may come first in PATH


class OverSocket(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    def __init__(self, path):
        self.path = path
        self.env = {k: v for k, v in os.environ.items() if k not in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY")}
        self.env["DOCKER_HOST"] = f"unix://{path}"

    def ask(self, method, path, timeout=30):
        """(status, JSON or None); OSError when the engine is away."""
        connection = OverSocket(self.path, timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body.strip() else None
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(repr(error)) from error
        finally:
            connection.close()

    def inspect(self, name):
        """None: there is none of that name."""
        status, body = self.ask("GET", f"/containers/{urllib.parse.quote(name)}/json")
        return body if status == 200 else None

    def stop(self, name, grace):
        """Returns when it has ended; a minute beyond the grace is an error."""
        self.ask("POST", f"/containers/{urllib.parse.quote(name)}/stop?t={int(grace)}", timeout=grace + 60)

    def remove(self, name):
        self.ask("DELETE", f"/containers/{urllib.parse.quote(name)}?force=1&v=1", timeout=120)

    def gateway(self):
        """Where containers of the default bridge reach the host, None without one."""
        status, body = self.ask("GET", "/networks/bridge")
        if status != 200:
            return None
        return next((c["Gateway"] for c in body["IPAM"]["Config"] or [] if c.get("Gateway")), None)

    def command(self, *args, **more):
        return subprocess.Popen([DOCKER, *args], env=self.env, stdin=subprocess.DEVNULL,
                                start_new_session=True, **more)

    def do(self, *args):
        """(exit status, what it said) of one docker command."""
        done = subprocess.run([DOCKER, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout.strip()

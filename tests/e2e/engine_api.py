"""The Docker Engine's API over its socket, as tests need it: no client program to start, a deadline on each call."""
import http.client
import json
import socket
import urllib.parse


class Unix(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("engine", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Refused(OSError):
    def __init__(self, what, status, text):
        super().__init__(f"{what}: {status} {text}")
        self.status = status


class Api:
    def __init__(self, path):
        self.path = path

    def ask(self, method, route, body=None, timeout=30, fine=(200, 201, 204, 304)):
        connection = Unix(self.path, timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, route, data, {"Content-Type": "application/json"} if data else {})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except http.client.HTTPException as error:
            raise OSError(f"{method} {route}: {error!r}") from error
        finally:
            connection.close()
        if answer.status not in fine:
            raise Refused(f"{method} {route}", answer.status, text.strip())
        try:
            return json.loads(text)
        except ValueError:
            return text

    def get(self, route, timeout=30, **query):
        words = urllib.parse.urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()})
        return self.ask("GET", f"{route}?{words}" if words else route, timeout=timeout)

    def containers(self, *labels):
        """All of them, running or not, that carry these labels."""
        return self.get("/containers/json", all="1", filters={"label": list(labels)})

    def inspect(self, name, timeout=30):
        return self.get(f"/containers/{name}/json", timeout)

    def create(self, name, body):
        return self.ask("POST", f"/containers/create?name={name}", body)["Id"]

    def do(self, name, verb, timeout=60, fine=(200, 204, 304)):
        return self.ask("POST", f"/containers/{name}/{verb}", timeout=timeout, fine=fine)

    def remove(self, name):
        return self.ask("DELETE", f"/containers/{name}?force=1&v=1", timeout=60, fine=(204, 404, 409))

    def answers(self):
        try:
            return self.ask("GET", "/_ping", timeout=2) == "OK"
        except OSError:
            return False

    def log(self, name):
        """All that a container said, without the stream's frames."""
        connection = Unix(self.path, 60)
        try:
            connection.request("GET", f"/containers/{name}/logs?stdout=1&stderr=1")
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(f"log of {name}", answer.status, raw.decode(errors="replace").strip())
        text, at = b"", 0
        while at + 8 <= len(raw):
            size = int.from_bytes(raw[at + 4:at + 8], "big")
            text += raw[at + 8:at + 8 + size]
            at += 8 + size
        return text.decode(errors="replace")

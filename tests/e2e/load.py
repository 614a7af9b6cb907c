"""Clients that count: every request over HTTP, and whatever was not a whole answer of 200 in time."""
import http.client
import threading
import time
from collections import Counter

from bed import wait_until


class Load:
    """Some clients keep their connections as long as the server lets them, some open one for each request; some of
    these POST. One that is told `Connection: close` opens another, as HTTP has it. Nothing is ever tried again."""

    def __init__(self, address, port, keeping=4, opening=3, posting=1, pause=0.01):
        self.address, self.port, self.pause = address, port, pause
        self.failed = []  # (when, kind, what)
        self.answers = Counter()  # by what the body says
        self.opened = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.began = time.monotonic()
        kinds = ["keep"] * keeping + ["open"] * opening + ["post"] * posting
        self.threads = [threading.Thread(target=self._client, args=(kind,), daemon=True) for kind in kinds]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def _client(self, kind):
        connection = http.client.HTTPConnection(self.address, self.port, timeout=30)
        while not self.stopping.is_set():
            self._request(kind, connection)
            self.stopping.wait(self.pause)
        connection.close()

    def _request(self, kind, connection):
        fresh = connection.sock is None
        try:
            connection.request("POST" if kind == "post" else "GET", "/", body=b"x" if kind == "post" else None,
                               headers={} if kind == "keep" else {"Connection": "close"})
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace").strip()
            wrong = None if answer.status == 200 else f"{answer.status} {said[:80]!r}"
        except (OSError, http.client.HTTPException) as error:
            said, wrong = None, repr(error)
            connection.close()
        with self.lock:
            self.opened += fresh
            if wrong:
                when = time.monotonic() - self.began
                self.failed.append((round(when, 2), f"{kind} on a {'new' if fresh else 'kept'} connection", wrong))
            else:
                self.answers[said] += 1

    @property
    def requests(self):
        return sum(self.answers.values()) + len(self.failed)

    def recent(self, n=60):
        """Who answers the next n requests."""
        with self.lock:
            before = self.answers.copy()
        wait_until(f"{n} more answers", lambda: sum(self.answers.values()) >= sum(before.values()) + n, 60)
        with self.lock:
            return set(self.answers - before)

    def until_only(self, n, timeout=180):
        """Returns the names of the n servers that answer, once they are just that many."""
        return wait_until(f"{n} servers answer", lambda: (r := self.recent()) and len(r) == n and r, timeout)

    def report(self):
        lasted = time.monotonic() - self.began
        return (f"{len(self.failed)} failed of {self.requests} requests over {self.opened} connections in {lasted:.0f} s: "
                f"{self.failed[:10]}; {dict(self.answers)}")

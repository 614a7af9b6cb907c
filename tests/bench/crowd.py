"""(h) /control while a thousand connections from another address say nothing, or stop in the middle of a header or of a
body. Those that are closed for it come again at once. Each request has a connection of its own, as a leader's first."""
import http.client
import resource
import selectors
import socket
import threading
import time

from stand import Failed, Round, Sidecar, Sidecars, say, wait_until

CROWD = 1000
STARTS = (b"", b"POST /control/on HTTP/1.1\r\nHost:", b"POST /control/on HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")


class Crowd(threading.Thread):
    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.selector, self.ended = port, selectors.DefaultSelector(), threading.Event()
        self.again = 0

    def come(self, number):
        one = socket.socket()
        one.bind(("127.0.0.2", 0))
        one.settimeout(10)
        one.connect(("127.0.0.1", self.port))
        one.sendall(STARTS[number % len(STARTS)])
        self.selector.register(one, selectors.EVENT_READ, number)

    def run(self):
        while not self.ended.is_set():
            for key, _ in self.selector.select(0.1):
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
                self.again += 1
                self.come(key.data)

    def __enter__(self):
        for number in range(CROWD):
            self.come(number)
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()


def ask(port):
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/control/signal/10", body=b"")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise Failed(f"crowd: {answer.status} {body[:200]!r}")
    return (time.monotonic() - began) * 1000


def measure(stand, quick):
    times = 200 if quick else 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        with Sidecars([Sidecar(stand, "crowd", stand.fake_engine)]) as (sidecar,):
            Round(stand.zk, "crowd", 1).wait(30)
            wait_until("the pod runs", lambda: sidecar.info()["process"] == "running", 15)
            say("crowd: alone")
            alone = sorted(ask(sidecar.port) for _ in range(times))
            say(f"crowd: among {CROWD}")
            with Crowd(sidecar.port) as crowd:
                among = sorted(ask(sidecar.port) for _ in range(times))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    at = times * 99 // 100
    rows = [("p50 and p99 alone", f"{alone[times // 2]:.1f}, {alone[at]:.1f} ms"),
            ("p50 and longest among them", f"{among[times // 2]:.1f}, {among[-1]:.1f} ms"),
            ("of the thousand, closed and back", f"{crowd.again}")]
    return {"crowd_control_p99_ms": among[at]}, rows

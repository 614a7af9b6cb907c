"""Ports of 127.0.0.1 for what a test starts."""
import fcntl
import os
import socket
import tempfile

FIRST, COUNT = 10000, 22000
COUNTER = os.path.join(tempfile.gettempdir(), "ochopod-tests.port")  # tests/integration/port.c counts in it, too


def free_port():
    """Below the kernel's range for whoever connects (ip_local_port_range): of that one, some other test's connection may
    have taken it before we listen, or while nothing listens because a server is being replaced. Each caller on this
    machine gets another one, as it may be long until what it is for listens."""
    counter = os.open(COUNTER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(counter, fcntl.LOCK_EX)
        last = os.pread(counter, 16, 0).strip()
        at = int(last) - FIRST if last.isdigit() else os.getpid()
        for _ in range(COUNT):
            at += 1
            port = FIRST + at % COUNT
            with socket.socket() as s:
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
                    continue
            os.ftruncate(counter, 0)
            os.pwrite(counter, b"%d\n" % port, 0)
            return port
    finally:
        os.close(counter)
    raise RuntimeError("no port is free")

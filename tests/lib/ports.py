"""Ports of 127.0.0.1 for what a test starts."""
import random
import socket


def free_port():
    """Below the kernel's range for whoever connects (ip_local_port_range): of that one, some other test's connection may
    have taken it before we listen, or while nothing listens because a server is being replaced."""
    for _ in range(1000):
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no port is free")

"""As much of Redis' protocol as a test needs: one request, one answer."""
import socket


class Refused(OSError):
    """The server's own error."""


def _answer(file):
    line = file.readline()
    if not line.endswith(b"\r\n"):
        raise OSError("the server closed the connection")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"-":
        raise Refused(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else file.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return [_answer(file) for _ in range(int(rest))]
    return rest


def redis(address, *words, port=6379, timeout=5):
    """What that server answers to these words."""
    with socket.create_connection((address, port), timeout=timeout) as s, s.makefile("rb") as file:
        s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in
                                                      (str(word).encode() for word in words)))
        return _answer(file)

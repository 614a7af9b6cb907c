"""As much of Redis' protocol as a test needs: a request, then its answer."""
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


def _request(words):
    said = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(said) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in said)


def conversation(address, *requests, port=6379, timeout=5):
    """What that server answers to each of them, on one connection."""
    with socket.create_connection((address, port), timeout=timeout) as s, s.makefile("rb") as file:
        answers = []
        for words in requests:
            s.sendall(_request(words))
            answers.append(_answer(file))
        return answers


def redis(address, *words, **how):
    """What that server answers to these words."""
    return conversation(address, words, **how)[0]

"""The ensemble's own transaction logs as the recorder: every change that was committed, in its order, also those that no
client could have watched. Read after the run, from the servers' data directories."""
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from jute import Reader  # noqa: E402

CREATE_SESSION, CLOSE_SESSION, ERROR = -10, -11, -1
CREATE, DELETE, SET, CHECK, MULTI, CREATE2 = 1, 2, 5, 13, 14, 15


class Txn:
    """One committed transaction; parts: [(what, path, data, ephemeral)]."""

    def __init__(self, session, zxid, ms, kind, body):
        self.session, self.zxid, self.time, self.kind = session, zxid, ms / 1000, kind
        self.failed = False
        self.parts = []
        self.closed = []
        self.lists = []  # (path, [(rights, scheme, id)]) of what it made
        read = Reader(body)
        if kind == MULTI:
            for _ in range(read.take("i")):
                part, data = read.take("i"), read.buffer()
                self.failed |= part == ERROR
                self.add(part, Reader(data))
        else:
            self.failed = kind == ERROR
            self.add(kind, read)

    def add(self, kind, read):
        if kind in (CREATE, CREATE2):
            path, data = read.string(), read.buffer()
            acl = [(read.take("i"), read.string(), read.string()) for _ in range(read.take("i"))]
            self.lists.append((path, acl))
            self.parts.append(("create", path, data, bool(read.take("b"))))
        elif kind == DELETE:
            self.parts.append(("delete", read.string(), None, False))
        elif kind == SET:
            self.parts.append(("set", read.string(), read.buffer(), False))
        elif kind == CHECK:
            self.parts.append(("check", read.string(), None, False))
        elif kind == CLOSE_SESSION and len(read.data) >= 4:
            self.closed = [read.string() for _ in range(max(0, read.take("i")))]


def records(path):
    """(zxid, raw header and body) of one file; its preallocated end, and a record that was not finished, are no
    records."""
    with open(path, "rb") as file:
        data = file.read()
    at = 16
    while at + 12 <= len(data):
        _, size = struct.unpack_from(">qi", data, at)
        if size <= 0 or at + 12 + size + 1 > len(data) or data[at + 12 + size:at + 13 + size] != b"B":
            return
        raw = data[at + 12:at + 12 + size]
        yield struct.unpack_from(">q", raw, 12)[0], raw
        at += 13 + size


def committed(directories):
    """What a majority of the servers has written down, by zxid."""
    holders, raws = {}, {}
    for directory in directories:
        seen = set()
        for path in (directory / "version-2").glob("log.*"):
            for zxid, raw in records(path):
                seen.add(zxid)
                raws[zxid] = raw
        for zxid in seen:
            holders[zxid] = holders.get(zxid, 0) + 1
    txns = []
    for zxid in sorted(z for z, count in holders.items() if count * 2 > len(directories)):
        session, _, _, ms, kind = struct.unpack_from(">qiqqi", raws[zxid])
        txns.append(Txn(session, zxid, ms, kind, raws[zxid][32:]))
    return txns

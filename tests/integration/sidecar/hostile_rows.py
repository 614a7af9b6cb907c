"""What a ZooKeeper may send that none would: a row is a name and a function, which is given a good answer and makes of it
the bytes that go over the wire. KINDS says which answers each is put in place of. What is not here is drawn from a seed:
`mutations`."""
import random
import time

from hostile_zookeeper import (CONNECT, CREATE, EXISTS, GET, MULTI, NAMES, PING, SET, Closed, event, frame, header,
                               integer, long, string, vector)

ROOT = "/ochopod/clusters/marathon.hostile"
MANY = 2**31 - 1
MIB = 1 << 20
STAT = 68  # bytes


def silence(connection):
    """Holds the connection and says nothing, until it is cut."""
    while connection in connection.server.connections and connection.server.bad:
        time.sleep(0.05)
    raise Closed


def hang_up(*parts):
    def bad(_, said):
        yield b"".join(part(said) if callable(part) else part for part in parts)
        raise Closed
    return bad


def and_silence(*parts):
    def bad(connection, said):
        yield b"".join(part(said) if callable(part) else part for part in parts)
        silence(connection)
    return bad


def instead(make):
    """Another body behind a good header."""
    return lambda _, said: [frame(header(said.xid, said.zxid, 0) + make(said))]


def before(*parts):
    return lambda _, said: [*parts, said.good]


def good(said):
    return said.good


def part(n):
    return lambda said: said.good[:n]


# ---- connect ----

def greeting(timeout=4000, session=None, version=0, password=string(b"p" * 16), more=b""):
    """An answer to the connect request: what is not given is as it should be."""
    def bad(connection, said):
        number = long(session(said) if session else connection.session.number if connection.session else 0)
        body = integer(version) + integer(timeout) + number + password + b"\0" + more
        return [frame(body)]
    return bad


def dribble(_, said):
    for i in range(len(said.good)):
        yield said.good[i:i + 1]
        time.sleep(0.01)


CONNECT_ROWS = {
    **{f"a connect answer of {n} bytes": and_silence(integer(n)) for n in (-1, -5, 0, 3, MANY)},
    "a connect answer that is cut": hang_up(part(17)),
    "a connect answer that stops in the middle": and_silence(part(30)),
    "a connect answer that is too long": greeting(more=b"x" * 5000),
    "no answer to connect": and_silence(b""),
    "hanging up at once": hang_up(b""),
    "HTTP": hang_up(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "junk behind the connect answer": lambda _, said: [said.good, b"\xff" * 4096],
    "a connect answer byte by byte": dribble,
    **{f"a session of {n} ms": greeting(timeout=n) for n in (0, 1, -1, -MANY, MANY)},
    "another protocol": greeting(version=-1),
    "session 0": greeting(session=lambda _: 0),
    "session -1": greeting(session=lambda _: -1),
    "another session each time": greeting(session=lambda _: random.getrandbits(62)),
    "a password of 2 GB": greeting(password=integer(MANY) + b"p" * 16),
    "a password of -1 bytes": greeting(password=integer(-1)),
}


# ---- any answer ----

def endless(connection, said):
    """More and more bytes of one frame that has room for them."""
    yield integer(MANY - 10) + header(said.xid, said.zxid, 0)
    while connection.server.bad:
        yield b"\0" * 65536


def flood(make):
    def bad(connection, said):
        lump = make(said) * 200
        until = time.monotonic() + 3
        while time.monotonic() < until and connection.server.bad:
            yield lump
        yield said.good
    return bad


def each_code(_, said):
    """All the errors there are and some that are none."""
    code = next(CODES)
    return [said.good if said.op == PING else frame(header(said.xid, said.zxid, code))]


def endlessly():
    while True:
        yield from (-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -12, -13, -14, -100, -101, -103, -108, -110, -111, -112, -113,
                    -114, -115, -116, -117, -118, -119, -120, -121, -122, -123, -124, -125, 1, 77, MANY, -MANY - 1)


CODES = endlessly()
ANY_ROWS = {
    **{f"an answer of {n} bytes": and_silence(integer(n)) for n in (-1, -5, -MANY - 1, 0, 1, 15, MANY)},
    "an answer that is longer than it says": lambda _, said: [integer(20) + said.good[4:] + b"\0" * 64],
    "an answer that is cut": hang_up(part(25)),
    "an answer that stops in the middle": and_silence(part(22)),
    "an answer byte by byte": dribble,
    "an answer of 2 GB": endless,
    "an answer to what nobody asked": before(frame(header(99999, 1, 0) + b"\0" * STAT)),
    "an answer twice": lambda _, said: [said.good, said.good],
    "the answer to another question": lambda _, said: [frame(header(said.xid + 7, 1, 0) + said.body)],
    **{f"an answer with xid {xid}": lambda _, said, xid=xid: [frame(header(xid, 1, 0) + said.body)]
       for xid in (-1, -2, -3, -4, -8, -9)},
    "pings that nobody sent": before(frame(header(-2, 1, 0)) * 50),
    "an empty answer": instead(lambda _: b""),
    "a header and a half": instead(lambda said: said.body[:len(said.body) // 2]),
    "only zeros": instead(lambda _: b"\0" * 4096),
    "only ones": instead(lambda _: b"\xff" * 4096),
    "all errors there are": each_code,
    "a zxid from the future": lambda _, said: [frame(header(said.xid, 2**63 - 1, said.err) + said.body)],
}

# ---- events ----

EVENT_ROWS = {
    "events of paths that nobody watches": before(*[event(k, 3, p) for k in (1, 2, 3, 4)
                                                     for p in ("/", "", "x", "/nowhere", "/" + "x" * 70000)]),
    "events of no kind": before(*[event(k, 3, ROOT) for k in (0, -2, 5, 99, MANY, -MANY - 1)]),
    "events that are cut": before(*[frame(header(-1, -1, 0) + more) for more in (
        b"", integer(4), integer(4) + integer(3) + integer(-1), integer(4) + integer(3) + integer(MANY) + b"/")]),
    **{f"a session event of state {s}": before(event(-1, s, "")) for s in (-112, -113, 0, 1, 2, 3, 5, 999, 77)},
    "a flood of events of nobody's": flood(lambda _: event(3, 3, "/nowhere")),
    "a flood of events of ours": flood(lambda _: event(3, 3, f"{ROOT}/leader") + event(4, 3, f"{ROOT}/pods")),
    "a flood of session events": flood(lambda _: event(-1, 5, "")),
}


# ---- one kind of answer each ----

def names(count, *items):
    return instead(lambda _: integer(count) + b"".join(items))


def lists(make):
    """Instead of a list of names; what is asked about the pods is asked of one that is ours."""
    return instead(lambda said: vector([string(name) for name in make(said)]))


def of_ours(said):
    nodes = said.body[4:]
    return nodes[4:40].decode() if said.path.endswith("/pods") and len(nodes) > 40 else "0" * 36


def data(content, size=None):
    return instead(lambda said: (integer(len(content) if size is None else size) + content + said.body[-STAT:]))


def stat(**fields):
    """The last 68 bytes of an answer with other numbers in them."""
    places = {"czxid": (0, long), "mzxid": (8, long), "version": (32, integer), "owner": (44, long),
              "length": (52, integer), "children": (56, integer)}

    def bad(_, said):
        if said.err or len(said.body) < STAT:
            return [said.good]
        lie = bytearray(said.body[-STAT:])
        for name, value in fields.items():
            at, form = places[name]
            lie[at:at + len(form(0))] = form(value)
        return [frame(header(said.xid, said.zxid, 0) + said.body[:-STAT] + bytes(lie))]
    return bad


def owned_by_us(connection, said):
    return stat(owner=connection.session.number)(connection, said)


def big(size, of):
    """A well-formed answer of so many bytes, in lumps."""
    lump = (integer(4) + b"name") * 8192 if of == NAMES else b"[" * 65536

    def bad(_, said):
        tail = b"" if of == NAMES else b"\0" * STAT
        yield integer(20 + size + len(tail)) + header(said.xid, said.zxid, 0) + integer(size // 8 if of == NAMES else size)
        for _ in range(size // len(lump)):
            yield lump
        yield tail
    return bad


def results(*parts):
    """Of a transaction: (type, done, err, body) each."""
    return instead(lambda _: b"".join(integer(t) + bytes([d]) + integer(e) + b for t, d, e, b in parts))


END = (-1, 1, -1, b"")
NAMES_ROWS = {
    **{f"{n} names": names(n) for n in (-1, -2, -MANY - 1, 5, 2**20, 2**28, MANY)},
    "names of impossible lengths": names(4, integer(-1), integer(-7), integer(MANY), integer(2**30)),
    "half of the names": names(1000, string("a") * 500),
    "names that are none": lists(lambda _: ["", "/", "..", ".", "a/b", "a/../../b", "\0", "\n\n", "\x1b[2J", "%s%n%s", b"\xff\xfe"]),
    "names like ours": lists(lambda said: [f"{of_ours(said)}.{tail}" for tail in (
        "", "x", "/", "..", "-000000001", "99999999999999999999", "0000000001x", "\n")]),
    "many of ours": lists(lambda said: [f"{of_ours(said)}.{n:010d}" for n in range(5000)]),
    "locks of everybody": lists(lambda _: [f"{'a' * 32}__lock__{n:010d}" for n in range(3000)] + ["__lock__", "__lock__-1"]),
    "8 MiB of names": big(8 * MIB, NAMES),
    "128 MiB of names": big(128 * MIB, NAMES),
}
GET_ROWS = {
    **{f"data of {n} bytes that are not there": data(b"x", n) for n in (-2, -5, 100, 2**20, 2**30, MANY)},
    "no data": data(b"", -1),
    "deep JSON": data(b'{"a":' * 50000 + b"1" + b"}" * 50000),
    "wide JSON": data(b"[" + b"1," * 400000 + b"1]"),
    "JSON with a NUL": data(b'{"epoch":1}\0{"epoch":2}'),
    "what is not UTF-8": data(b'{"id":"\xff\xfe\xed\xa0\x80"}'),
    "a record of everything": data(b'{"ip":"127.0.0.1","port":"8080","ports":{"8080":-1},"seq":1e999,"epoch":9223372036854775807,'
                                   b'"tree":"x","round":-1,"pods":{"a":[]},"dead":[1],"hash":7,"open":"no"}'),
    "8 MiB of data": big(8 * MIB, GET),
    "128 MiB of data": big(128 * MIB, GET),
    "a node of somebody else": stat(owner=0x7777777),
    "a node of us": owned_by_us,
    "a node of the future": stat(czxid=2**63 - 1, mzxid=2**63 - 1),
    "a node of before all": stat(czxid=-2**63, mzxid=-2**63, version=-MANY, children=-5, length=-1),
}
CREATE_ROWS = {
    **{f"created {path[:40]!r}": instead(lambda _, path=path: string(path)) for path in (
        "", "x", "/", "/x/", ROOT + "/pods/", "/" + "y" * 70000, b"\xff/\0", ROOT + "/pods/\n")},
    "created something of no length": instead(lambda _: integer(-1)),
    "created something endless": instead(lambda _: integer(MANY)),
}
MULTI_ROWS = {
    "a transaction with too many results": instead(lambda said: said.body[:-9] * 3 + said.body[-9:]),
    "a transaction without results": results(END),
    "a transaction without an end": instead(lambda said: said.body[:-9]),
    "a transaction cut short": instead(lambda said: said.body[:len(said.body) // 3]),
    "a transaction of no kind": results((99, 0, 0, b""), (-7, 0, MANY, b""), END),
    "a transaction of errors": results(*[(-1, 0, -101, integer(-101))] * 3, END),
    "a transaction refused": results((-1, 0, 0, integer(0)), (-1, 0, -102, integer(-102)), END),
    "a transaction of strings": results(*[(1, 0, 0, integer(MANY))] * 3, END),
    "an error for a transaction": lambda _, said: [frame(header(said.xid, 1, -102))],
}
STAT_ROWS = {
    "a stat too short": instead(lambda said: said.body[:11]),
    "numbers that are none": stat(czxid=-1, mzxid=-1, version=-1, children=-1, length=MANY),
}
EVERYTHING = (EXISTS, NAMES, GET, CREATE, SET, MULTI)
# What each answers to.
KINDS = {"connect": ((CONNECT,), CONNECT_ROWS), "any answer": (EVERYTHING, ANY_ROWS), "events": (EVERYTHING, EVENT_ROWS),
         "names": ((NAMES,), NAMES_ROWS), "data": ((GET,), GET_ROWS), "created": ((CREATE,), CREATE_ROWS),
         "transactions": ((MULTI,), MULTI_ROWS), "stat": ((EXISTS, SET), STAT_ROWS)}


# ---- drawn from a seed ----

def mutate(dice, raw):
    """Bytes of one frame with one to four wounds."""
    raw = bytearray(raw)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(raw)) if raw else 0
        kind = dice.randrange(6)
        if kind == 0 and raw:
            raw[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            raw[at:at + 4] = integer(dice.choice((-MANY - 1, -5, -1, 0, 1, 255, 65536, 2**24, MANY)))
        elif kind == 2:
            del raw[at:at + dice.randint(1, 40)]
        elif kind == 3:
            raw[at:at] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 40)))
        elif kind == 4:
            raw[at:at] = raw[:dice.randint(0, len(raw))]
        elif raw:
            raw[at:at + 8] = bytes(8)
    return bytes(raw)


def mutations(seed):
    """Every third answer or so, with its length told rightly more often than not."""
    dice = random.Random(seed)

    def bad(connection, said):
        raw = said.good
        draw = dice.random()
        if said.op == CONNECT and draw > 0.2 or draw > 0.5:
            yield raw
        elif draw < 0.35:  # more often than not the header stays: else nobody looks any further
            kept = 4 if said.op == CONNECT or dice.random() < 0.2 else 20
            yield frame(raw[4:kept] + mutate(dice, raw[kept:]))
        elif draw < 0.45:
            yield mutate(dice, raw)
        else:
            yield raw[:dice.randrange(len(raw))]
            if dice.random() < 0.3:
                silence(connection)
            raise Closed
    return bad

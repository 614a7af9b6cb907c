"""A ZooKeeper in one process, good enough for a sidecar to register, lead and run rounds on it: a tree in memory, sessions
that end, watches, transactions. Until it is told to be bad: then what it says passes through a function that may make of
it whatever it likes. Only what the C client sends is understood."""
import itertools
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))
from jute import Reader  # noqa: E402
from ports import free_port  # noqa: E402

CREATE, DELETE, EXISTS, GET, SET, GET_ACL, NAMES, SYNC, PING = 1, 2, 3, 4, 5, 6, 8, 9, 11
CHECK, MULTI, CREATE2, AUTH, SET_WATCHES, SET_WATCHES2, CLOSE_SESSION = 13, 14, 15, 100, 101, 105, -11
CONNECT = 0  # what passes through `bad` as the answer to a connect request
EVENT_XID = -1
NO_NODE, BAD_VERSION, NODE_EXISTS, INCONSISTENT, UNIMPLEMENTED = -101, -103, -110, -2, -6
CREATED, DELETED, CHANGED, CHILD = 1, 2, 3, 4
WORLD = [(31, "world", "anyone")]


class Failed(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Closed(Exception):
    """The connection is over, in the middle of whatever was said."""


# ---- what is on the wire ----

def integer(n):
    return struct.pack(">i", n)


def long(n):
    return struct.pack(">q", n)


def string(s):
    data = s if isinstance(s, bytes) else s.encode()
    return integer(len(data)) + data


def vector(items):
    return integer(len(items)) + b"".join(items)


def frame(body):
    return integer(len(body)) + body


def header(xid, zxid, err):
    return struct.pack(">iqi", xid, zxid, err)


def event(kind, state, path):
    return frame(header(EVENT_XID, -1, 0) + integer(kind) + integer(state) + string(path))


# ---- the tree ----

@dataclass
class Node:
    data: bytes
    czxid: int
    mzxid: int
    owner: int = 0
    version: int = 0
    cversion: int = 0
    pzxid: int = 0
    made: int = 0  # children so far: the number of the next sequential one
    children: set = field(default_factory=set)

    def stat(self):
        return struct.pack(">qqqqiiiqiiq", self.czxid, self.mzxid, 0, 0, self.version, self.cversion, 0, self.owner,
                           len(self.data), len(self.children), self.pzxid)


def parent_of(path):
    return path.rsplit("/", 1)[0] or "/"


class Tree:
    def __init__(self):
        self.zxid = 1
        self.nodes = {"/": Node(b"", 0, 0)}
        self.events = []  # (type, path) of what was just done

    def node(self, path):
        if path not in self.nodes:
            raise Failed(NO_NODE)
        return self.nodes[path]

    def create(self, path, data, flags, session):
        above = self.node(parent_of(path))
        if flags & 2:
            path = f"{path}{above.made:010d}"
        if path in self.nodes:
            raise Failed(NODE_EXISTS)
        self.zxid += 1
        above.made += 1
        above.cversion += 1
        above.pzxid = self.zxid
        above.children.add(path.rsplit("/", 1)[1])
        self.nodes[path] = Node(data, self.zxid, self.zxid, session if flags & 1 else 0)
        self.events += [(CREATED, path), (CHILD, parent_of(path))]
        return path

    def delete(self, path, version=-1):
        node = self.node(path)
        if version not in (-1, node.version):
            raise Failed(BAD_VERSION)
        self.zxid += 1
        del self.nodes[path]
        above = self.nodes[parent_of(path)]
        above.cversion += 1
        above.pzxid = self.zxid
        above.children.discard(path.rsplit("/", 1)[1])
        self.events += [(DELETED, path), (CHILD, parent_of(path))]

    def set(self, path, data, version):
        node = self.node(path)
        if version not in (-1, node.version):
            raise Failed(BAD_VERSION)
        self.zxid += 1
        node.data, node.version, node.mzxid = data, node.version + 1, self.zxid
        self.events.append((CHANGED, path))
        return node

    def check(self, path, version):
        if version not in (-1, self.node(path).version):
            raise Failed(BAD_VERSION)


@dataclass
class Session:
    number: int
    timeout: int
    heard: float


# ---- the server ----

@dataclass
class Said:
    """One answer, on its way out."""
    op: int
    xid: int
    zxid: int
    err: int
    body: bytes  # behind the header; of a connect: all of it
    path: str = ""

    @property
    def good(self):
        return frame(self.body if self.op == CONNECT else header(self.xid, self.zxid, self.err) + self.body)


class Connection(threading.Thread):
    def __init__(self, server, sock):
        super().__init__(daemon=True)
        self.server, self.sock, self.session = server, sock, None
        self.watches = set()  # (path, of its children)
        self.lock = threading.Lock()

    def run(self):
        try:
            self.connect(self.read())
            while True:
                self.request(Reader(self.read()))
        except (Closed, OSError, struct.error):
            pass
        finally:
            self.server.forget(self)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise Closed
            data += more
        return data

    def read(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def write(self, data):
        with self.lock:
            self.sock.sendall(data)

    def say(self, said):
        bad = self.server.bad
        for data in bad(self, said) if bad else [said.good]:
            self.write(data)

    def connect(self, data):
        r = Reader(data)
        _, _, wanted, number = r.take("iqiq")
        self.session = self.server.session(number, wanted)
        alive = self.session is not None
        body = (integer(0) + integer(self.session.timeout if alive else 0) + long(self.session.number if alive else 0) +
                string(b"p" * 16) + b"\0")
        self.say(Said(CONNECT, 0, 0, 0, body))
        if not alive:
            raise Closed

    def request(self, r):
        xid, op = r.take("ii")
        server = self.server
        with server.lock:
            self.session.heard = time.monotonic()
            err, body, path = 0, b"", ""
            try:
                path, body = self.carry_out(op, r)
            except Failed as failed:
                err = failed.code
            if op == CLOSE_SESSION:
                server.end_session(self.session)
            events, server.tree.events = server.tree.events, []
            said = Said(op, xid, server.tree.zxid, err, body, path)
        self.say(said)
        with server.lock:
            server.tell(events)
        if op == CLOSE_SESSION:
            raise Closed

    def carry_out(self, op, r):
        tree = self.server.tree
        if op in (PING, AUTH, CLOSE_SESSION):
            return "", b""
        if op in (SET_WATCHES, SET_WATCHES2):
            self.set_watches(r)
            return "", b""
        if op == MULTI:
            return "", self.multi(r)
        path = r.string()
        if op in (CREATE, CREATE2):
            data, _, flags = r.buffer(), r.acl(), r.take("i")
            made = tree.create(path, data, flags, self.session.number)
            return path, string(made) + (tree.nodes[made].stat() if op == CREATE2 else b"")
        if op == DELETE:
            tree.delete(path, r.take("i"))
            return path, b""
        if op == SET:
            data = r.buffer()
            return path, tree.set(path, data, r.take("i")).stat()
        if op == SYNC:
            return path, string(path)
        if op == GET_ACL:
            acl = [integer(p) + string(s) + string(i) for p, s, i in WORLD]
            return path, vector(acl) + tree.node(path).stat()
        return path, self.look(op, path, r.take("b"))

    def set_watches(self, r):
        """What has happened since the client heard last is told at once."""
        seen, nodes = r.take("q"), self.server.tree.nodes
        data, exists, children = r.strings(), r.strings(), r.strings()
        for path in data + exists + children:
            node, of_children = nodes.get(path), path in children
            if node is None and path not in exists:
                self.write(event(DELETED, 3, path))
            elif node and path in exists:
                self.write(event(CREATED, 3, path))
            elif node and (node.pzxid if of_children else node.mzxid) > seen:
                self.write(event(CHILD if of_children else CHANGED, 3, path))
            else:
                self.watches.add((path, of_children))

    def look(self, op, path, watch):
        tree = self.server.tree
        if watch and (op == EXISTS or path in tree.nodes):
            self.watches.add((path, op == NAMES))
        node = tree.node(path)
        if op == EXISTS:
            return node.stat()
        if op == GET:
            return string(node.data) + node.stat()
        if op == NAMES:
            return vector([string(name) for name in sorted(node.children)])
        raise Failed(UNIMPLEMENTED)

    def multi(self, r):
        tree = self.server.tree
        before = {path: Node(**{**vars(node), "children": set(node.children)}) for path, node in tree.nodes.items()}
        answers, failed = [], 0
        while True:
            op, done, _ = r.take("ibi")
            if done:
                break
            path = r.string()
            data = r.buffer() if op in (CREATE, SET) else b""
            if op == CREATE:
                r.acl()
            number = r.take("i")  # flags, or a version
            answer = b""
            try:
                if failed:
                    raise Failed(INCONSISTENT)
                if op == CREATE:
                    answer = string(tree.create(path, data, number, self.session.number))
                elif op == SET:
                    answer = tree.set(path, data, number).stat()
                elif op == DELETE:
                    tree.delete(path, number)
                else:
                    tree.check(path, number)
                answers.append((op, 0, answer))
            except Failed as why:
                failed = failed or why.code
                answers.append((-1, why.code, integer(why.code)))
        if failed:
            tree.nodes, tree.events = before, []
            first = next(i for i, (op, _, _) in enumerate(answers) if op == -1)
            answers = [(-1, 0, integer(0)) if i < first else a for i, a in enumerate(answers)]
        said = b"".join(integer(op) + b"\0" + integer(err) + answer for op, err, answer in answers)
        return said + integer(-1) + b"\1" + integer(-1)


class Server:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", free_port()), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.RLock()
        self.tree = Tree()
        self.sessions, self.connections = {}, set()
        self.numbers = itertools.count(0x100000001)
        self.bad = None  # function(connection, said) -> iterable of bytes
        self.over = False
        for loop in (self.accept, self.expire):
            threading.Thread(target=loop, daemon=True).start()

    def accept(self):
        while not self.over:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock)
            self.connections.add(connection)
            connection.start()

    def expire(self):
        while not self.over:
            time.sleep(0.1)
            with self.lock:
                now = time.monotonic()
                for session in list(self.sessions.values()):
                    if now - session.heard > session.timeout / 1000:
                        self.end_session(session)
                        events, self.tree.events = self.tree.events, []
                        self.tell(events)

    def session(self, number, wanted):
        """None: it is over. Numbers of those who were told another than theirs are taken for theirs."""
        with self.lock:
            if number and number not in self.sessions:
                return None
            if not number:
                number = next(self.numbers)
                self.sessions[number] = Session(number, max(1000, min(wanted, 60000)), time.monotonic())
            self.sessions[number].heard = time.monotonic()
            return self.sessions[number]

    def end_session(self, session):
        self.sessions.pop(session.number, None)
        for path in [p for p, node in self.tree.nodes.items() if node.owner == session.number]:
            self.tree.delete(path)

    def tell(self, events):
        for kind, path in events:
            watched = {(path, True)} if kind == CHILD else {(path, False)} | ({(path, True)} if kind == DELETED else set())
            for connection in list(self.connections):
                if connection.watches & watched:
                    connection.watches -= watched
                    try:
                        connection.write(event(kind, 3, path))
                    except OSError:
                        pass

    def forget(self, connection):
        self.connections.discard(connection)
        connection.sock.close()

    def cut(self):
        for connection in list(self.connections):
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def comes_to_its_senses(self):
        """As another server would that stands in its place, with the same tree: it knows none of the sessions."""
        self.bad = None
        with self.lock:
            for session in list(self.sessions.values()):
                self.end_session(session)
            self.tree.events = []
        self.cut()

    def close(self):
        self.over = True
        self.listener.shutdown(socket.SHUT_RDWR)  # ends the accept that holds it
        self.listener.close()
        self.cut()

"""A slow link of ours: a TCP proxy in the network namespace of those whose connections it takes, who know nothing of it.
    proxy.py BYTES_A_SECOND DELAY_S PORT ADDRESS...     connections to that port of these addresses
    --record FILE                                       what clients sent, a line of JSON for each connection
The kernel sends it new connections (REDIRECT), and to where they were meant it sends what they say: late, at so many bytes
a second each way, or not at all for a while. Connections that are older are reset, so that they come again and over it.
It connects when there is something to pass on, and ends a connection as its ends do: what they said comes before.
Asked on stdin, a word a line: stall, go, count. Each is answered with a line of JSON: what it has passed, what it holds.
When stdin ends, whoever held the other end, the rules are taken out and it ends."""
import argparse
import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
import time

MARK = "0x6f63"  # of its own connections, which are not redirected
SO_ORIGINAL_DST = 80
PIECE = 1024
PIECES = 64  # so many wait in either direction of a connection, then nothing more is read


def iptables(*words, check=True):
    subprocess.run(["iptables", "-w", *words], check=check, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=None if check else subprocess.DEVNULL)


def rules(own, port, addresses):
    """[(table, rule)], in the order in which they come: what is reset first would come again before it is redirected."""
    not_ours = ("-p", "tcp", "--dport", port, "-m", "mark", "!", "--mark", MARK)
    return [("nat", ("OUTPUT", "-d", a, *not_ours, "-j", "REDIRECT", "--to-ports", own)) for a in addresses] + \
           [("filter", ("OUTPUT", "-d", a, *not_ours, "-j", "REJECT", "--reject-with", "tcp-reset")) for a in addresses]


class Proxy:
    """to: where all connections go; when None, where the kernel says that each was meant to go."""

    def __init__(self, rate, delay, record=None, to=None):
        self.rate, self.delay, self.record, self.to = rate, delay, record, to
        self.going = asyncio.Event()
        self.going.set()
        self.connections = self.passed = self.answered = 0
        self.ways = []
        self.tasks = set()

    def count(self):
        return {"connections": self.connections, "passed": self.passed, "answered": self.answered,
                "held": sum(way["held"] for way in self.ways), "stalled": not self.going.is_set()}

    async def listen(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return str(self.server.sockets[0].getsockname()[1])

    async def serve(self, reader, writer):
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        writer.transport.set_write_buffer_limits(high=0)  # what is passed has been taken by the kernel
        there = asyncio.get_running_loop().create_future()
        address, said, good = self.to or meant(writer), [], False
        try:
            await self.both_ways(reader, writer, address, said, there)
            good = True
        except (OSError, asyncio.CancelledError):
            pass  # reset by either: so is the other; or all of it ends
        finally:
            self.tasks.discard(asyncio.current_task())
            for one in (writer, *([there.result()[1]] if there.done() else [])):
                one.close() if good else one.transport.abort()
            if self.record and said:
                line = json.dumps({"to": address[0], "said": b"".join(said).decode("latin-1")})
                with open(self.record, "a", encoding="utf-8") as file:
                    file.write(line + "\n")

    async def both_ways(self, reader, writer, address, said, there):
        async def out():
            if not there.done():
                there.set_result(await self.connect(address))
            return there.result()[1]

        async def home():
            return writer

        async def backwards():
            await asyncio.wait([there])
            await self.pass_on(there.result()[0], home)

        ways = [asyncio.create_task(self.pass_on(reader, out, said)), asyncio.create_task(backwards())]
        try:
            for way in (await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION))[0]:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def connect(self, address):
        sock = socket.socket()
        try:
            sock.setblocking(False)
            if not self.to:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(MARK, 16))
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, address), 10)
            reader, writer = await asyncio.open_connection(sock=sock)
        except OSError:  # nobody answers: that, too
            sock.close()
            raise
        writer.transport.set_write_buffer_limits(high=0)
        return reader, writer

    async def pass_on(self, reader, writer_of, said=None):
        """One way, until its end. said: of a client, what it says."""
        pieces, free = asyncio.Queue(PIECES), 0
        way = {"held": 0}
        taking = asyncio.create_task(self.take(reader, pieces, way, said))
        self.ways.append(way)
        try:
            while True:
                came, data = await pieces.get()
                if isinstance(data, OSError):
                    raise data
                free = max(free, came + self.delay) + len(data) / self.rate
                await asyncio.sleep(free - time.monotonic())
                await self.going.wait()
                free = max(free, time.monotonic())
                writer = await writer_of()
                if not data:
                    return writer.write_eof()
                way["held"] -= len(data)
                writer.write(data)
                await writer.drain()
                if said is None:
                    self.answered += len(data)
                else:
                    self.passed += len(data)
        finally:
            taking.cancel()
            self.ways.remove(way)

    async def take(self, reader, pieces, way, said):
        """Until its end, which is empty, or an error."""
        data = True
        while data and not isinstance(data, OSError):
            try:
                data = await reader.read(PIECE)
                way["held"] += len(data)
                if said is not None:
                    said.append(data)
            except OSError as error:
                data = error
            await pieces.put((time.monotonic(), data))

    async def end(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def meant(writer):
    """Where a connection that was redirected was to go."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", raw)
    return socket.inet_ntoa(address), port


def tell(what):
    print(json.dumps(what), flush=True)


async def stand(args):
    proxy = Proxy(args.rate, args.delay, args.record)
    port = await proxy.listen()
    made = []
    try:
        for table, rule in rules(port, args.port, args.addresses):
            made.append((table, rule))
            await asyncio.to_thread(iptables, "-t", table, "-I", *rule)
        tell(proxy.count())
        stdin = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        while word := (await stdin.readline()).decode().strip():
            if word == "stall":
                proxy.going.clear()
            elif word == "go":
                proxy.going.set()
            tell(proxy.count())
    finally:
        for table, rule in made:
            iptables("-t", table, "-D", *rule, check=False)
        await proxy.end()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--record")
    parser.add_argument("rate", type=float)
    parser.add_argument("delay", type=float)
    parser.add_argument("port")
    parser.add_argument("addresses", nargs="+")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # it ends when the other end of its stdin does, and not before
    asyncio.run(stand(parser.parse_args()))


if __name__ == "__main__":
    main()

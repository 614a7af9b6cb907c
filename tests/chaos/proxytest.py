"""The proxy's own test, before each run: it passes all and in order, late, at its rate; stalled it passes nothing, and then
what it holds; an end that comes behind what was said stays behind it."""
import asyncio
import json
import tempfile
import time

from proxy import Proxy

SAID = bytes(range(256)) * 24


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.write(b"end")
    writer.close()


async def tried(record):
    bad = []
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(len(SAID) * 4, 0.1, record, server.sockets[0].getsockname())
    port = await proxy.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(SAID)
    if await reader.readexactly(len(SAID)) != SAID:
        bad.append("other bytes came back")
    took = time.monotonic() - began
    if not 0.45 < took < 5:  # a tenth and the last piece each way, and a quarter of a second for all of them
        bad.append(f"it took {took:.2f} s")
    proxy.going.clear()
    before = proxy.count()
    writer.write(b"held")
    writer.write_eof()
    await asyncio.sleep(0.4)
    if proxy.count() != {**before, "held": 4}:
        bad.append(f"stalled, {before} became {proxy.count()}")
    proxy.going.set()
    rest = await asyncio.wait_for(reader.read(), 5)
    if rest != b"heldend":
        bad.append(f"then {rest} came")
    writer.close()
    until = time.monotonic() + 5
    while proxy.ways and time.monotonic() < until:
        await asyncio.sleep(0.02)
    if proxy.ways or proxy.passed != len(SAID) + 4 or proxy.answered != len(SAID) + len(rest) or proxy.connections != 1:
        bad.append(f"in the end it says {proxy.count()}")
    await proxy.end()
    server.close()
    with open(record, encoding="utf-8") as file:
        if json.loads(file.readline())["said"].encode("latin-1") != SAID + b"held":
            bad.append("it recorded something else")
    return bad


def proxytest():
    """What is wrong with it; nothing is well."""
    with tempfile.NamedTemporaryFile() as file:
        return asyncio.run(tried(file.name))

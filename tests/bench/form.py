"""(b) Forming: the last pod's record is created -> /hash is written by the round that holds all of them, both on
ZooKeeper's own clock. Processes and an engine that answers at once, so that the coordination is what is measured."""
from stand import Failed, Round, Sidecar, Sidecars, median, say, tail

SIZES = (3, 10, 50)


def once(stand, size):
    cluster = f"form{stand.number()}"
    with Sidecars([Sidecar(stand, cluster, stand.fake_engine, needs=size) for _ in range(size)]) as sidecars:
        wanted = Round(stand.zk, cluster, size)
        try:
            over = wanted.wait(90)
        except AssertionError as error:
            for one in sidecars:
                one.runs()
            raise Failed(f"form: {error}\n{tail(sidecars[0].dir / 'log')}") from None
        return over - wanted.last_pod()


def measure(stand, quick):
    assert stand.zk and stand.fake_engine
    repeats = {3: 3, 10: 3, 50: 1} if quick else {3: 15, 10: 15, 50: 5}
    once(stand, 3)  # pages of the program and its libraries are read from disk once
    values, rows = {}, []
    for size in SIZES:
        say(f"form: {size} pods, {repeats[size]} times")
        took = [once(stand, size) for _ in range(repeats[size])]
        values[f"form_{size}_ms"] = median(took)
        rows.append((f"{size} pods: fastest, slowest", f"{min(took):.0f}, {max(took):.0f} ms"))
    return values, rows

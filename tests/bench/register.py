"""(e) A process starts (the clock is read just before the spawn) -> its record is in ZooKeeper, on ZooKeeper's clock, which
is this machine's. A new cluster and an empty state directory each time."""
from stand import Failed, Sidecar, Sidecars, cluster_path, median, say, tail, wait_until

TIMES = 10


def once(stand):
    cluster = f"register{stand.number()}"
    pods = f"{cluster_path(cluster)}/pods"
    with Sidecars([Sidecar(stand, cluster, stand.fake_engine)]) as (sidecar,):
        def there():
            sidecar.runs()
            return [stand.zk.read(f"{pods}/{name}")[1] for name in stand.zk.names(pods)]
        try:
            return wait_until("it registers", there, 20, every=0.01)[0].ctime - sidecar.spawned
        except AssertionError as error:
            raise Failed(f"register: {error}\n{tail(sidecar.dir / 'log')}") from None


def measure(stand, quick):
    assert stand.zk and stand.fake_engine
    del quick
    once(stand)
    say(f"register: {TIMES} times")
    took = [once(stand) for _ in range(TIMES)]
    return {"register_ms": median(took)}, [("fastest, slowest", f"{min(took):.1f}, {max(took):.1f} ms")]

"""(f) The leader's container is killed with -9 (session 5 s, ZooKeeper's tick 500 ms, damper 0) -> the next round is over,
less the session. Below zero is right: a session's time runs from the last ping, not from the kill."""
import time

from stand import Failed, Round, info, median, say, wait_until

PODS = 3
SESSION_MS = 5000


def leader_of(stand, names):
    for name in names:
        if info(stand.bed.address(name), 8080)["state"] == "leader":
            return name
    return None


def once(stand):
    cluster = f"failover{stand.number()}"
    names = [f"bench-{cluster}-{n}" for n in range(PODS)]
    try:
        stand.start_all([stand.container(name, cluster, session=f"{SESSION_MS}ms") for name in names])
        Round(stand.zk, cluster, PODS).wait(60)
        leader = wait_until("a leader at rest", lambda: leader_of(stand, names), 30)
        time.sleep(2)
        killed = time.time() * 1000
        stand.api("POST", f"/containers/{leader}/kill?signal=KILL")
        return Round(stand.zk, cluster, PODS - 1, after=killed).wait(60) - killed - SESSION_MS
    except AssertionError as error:
        raise Failed(f"failover: {error}\n{stand.bed.logs(20)}") from None
    finally:
        stand.remove(names)


def measure(stand, quick):
    assert stand.zk
    repeats = 1 if quick else 5
    say(f"failover: {repeats} times")
    took = [once(stand) for _ in range(repeats)]
    return {"failover_over_session_ms": median(took)}, [("fastest, slowest", f"{min(took):.0f}, {max(took):.0f} ms")]

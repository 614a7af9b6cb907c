"""Clocks: the wall clock of one party or of all, hours and days off and back again; and a machine that sleeps. The host's
own are not touched: tests/tools/clock.c stands between. None of it may end a workload."""
import contextlib
import time

from bench import JUMP_S, SESSION_S, alive, boottime, family, stat_of
from nemesis import freeze, nemesis, soon, thaw

GONE = (OSError, LookupError, ValueError)  # it does not run just then


def jump(parties, rng, done):
    """Each to a time of its own, days back or forward."""
    for one in parties:
        one.clock.set(wall=rng.choice((-1, 1)) * rng.randint(1, 40) * JUMP_S)
    done.note = ", ".join((f"{one.name} " if len(parties) > 1 else "") + f"{one.clock.wall // 3600:+} h" for one in parties)


def set_right(parties):
    for one in parties:
        one.clock.set(wall=0)


@nemesis("sidecar's clock jumps", lasts=SESSION_S + 1)
def sidecars_clock(bench, pod, rng, done):
    jump([pod], rng, done)
    if bench.safe:
        with contextlib.suppress(*GONE):
            if pod.believes(time.time()):
                done.broken.append(f"auth: {pod.name}, {done.note} off, took what was signed now")
    yield
    set_right([pod])


@nemesis("ZooKeeper server's clock jumps", on="server", lasts=SESSION_S + 1)
def servers_clock(bench, server, rng, done):
    jump([server], rng, done)
    yield
    set_right([server])


@nemesis("all clocks jump apart", on="ensemble", lasts=SESSION_S + 1)
def all_clocks(bench, _, rng, done):
    jump(bench.servers + bench.pods, rng, done)
    yield
    set_right(bench.servers + bench.pods)


def stands(pid):
    stat = stat_of(pid)
    return stat is not None and stat[1] in "Tt"


@nemesis("sidecar's machine sleeps", lasts=2 * SESSION_S)
def machine_sleeps(bench, pod, rng, done):
    """All of a sidecar is stopped, and CLOCK_MONOTONIC stands meanwhile: when it wakes CLOCK_BOOTTIME alone has counted."""
    init = pod.init
    freeze(family(init))
    pids = family(init)  # those that were forked meanwhile, too: whoever forks has stopped now
    freeze(pids)
    try:
        soon("all of it stands", lambda: all(stands(p) or not alive(p) for p in pids), 3)
    except LookupError:
        thaw(pids)
        raise
    began = boottime()
    yield
    # Where somebody was woken, or all of it is another one, a clock that is set back would be no sleep.
    if stands(init) and all(stands(p) or not alive(p) for p in pids):
        pod.clock.set(monotonic=pod.clock.monotonic - (boottime() - began))
    else:
        done.note = "woken before"
    thaw(pids)

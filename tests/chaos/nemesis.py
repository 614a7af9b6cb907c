"""What a nemesis is: a generator that does its harm, yields while it lasts, and heals. The table of all of them is filled
by the modules that are imported at the end; `schedule.py` draws from it."""
import os
import signal
import time

from bench import wait_until

TABLE = {}  # name -> Kind


class Kind:
    """on: pod, server, host or cluster: what it is done to, which the harness chooses. rank: what needs an engine's
    answer is done before an engine is harmed, and healed after it; so is what needs a leader, before there is none.
    ends: whether the target's workload may end by it.
    lasts: how long at least, in seconds. after: for how long after its healing it may end a workload."""

    def __init__(self, name, harm, on, rank, ends, lasts, after):
        self.name, self.harm, self.on, self.rank = name, harm, on, rank
        self.ends, self.lasts, self.after = ends, lasts, after


def nemesis(name, on="pod", rank=1, ends=False, lasts=0.5, after=3.0):
    def put(harm):
        TABLE[name] = Kind(name, harm, on, rank, ends, lasts, after)
        return harm
    return put


def send(pid, number):
    """A process that is gone needs no signal."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def freeze(pids):
    for pid in pids:
        send(pid, signal.SIGSTOP)


def thaw(pids):
    for pid in pids:
        send(pid, signal.SIGCONT)


def soon(what, condition, timeout=15):
    """Within a moment: a nemesis that finds nothing to harm is drawn again."""
    try:
        return wait_until(what, condition, timeout, every=0.05)
    except AssertionError as error:
        raise LookupError(str(error)) from None


def pause(rng, least, most):
    time.sleep(rng.uniform(least, most))

"""Lines of a sidecar's log."""
import datetime

from bench import JUMP_S


def when(run, line):
    """CLOCK_BOOTTIME of a sidecar's line, or None. How far its clock had jumped is nothing but a multiple of JUMP_S."""
    try:
        stamp = datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp()
    except (ValueError, IndexError):
        return None
    return at(run, stamp)


def at(run, stamp):
    """The same of seconds of the epoch, by whosever clock."""
    return run.began + (stamp - run.wall - run.began + JUMP_S / 2) % JUMP_S - JUMP_S / 2


def begins(line):
    """A worker's first line that has its pod's id."""
    return " info sidecar " in line and " port=" in line


def stops(line):
    """A round or an operator stops what runs."""
    return "state=stopping from=running event=stop" in line

"""The verdict itself, tested: histories that are made up, one right and the others wrong, each in one place."""
from types import SimpleNamespace as Made

from strike import Struck, kinds
from verdict import Before, judge

OLD, NEW = ["16"] * 4, ["17"] * 4
STOPPING = "t info pod crash#1 state=stopping from=running event=stop"
STOPPED = "t info pod crash#1 state=stopped from=stopping event=halted"
STARTING = "t info pod crash#1 state=starting from=stopped event=start"
KILLED = "t warn init worker=ended status=137 restart_in_ms=0"


class MadePod(Made):
    """As much of a pod as the verdict looks at."""

    def history(self):
        return list(enumerate(self.starts))

    def log(self):
        return "\n".join(self.lines)

    def ended(self):
        return [int(line.split("status=")[1].split()[0]) for line in self.lines if " worker=ended " in line]


def wrong(kind, after):
    """What is said of a point after which `after` has happened: starts, leads, lines, infos."""
    infos = [{"id": "one", "seq": 0}, {"id": "two", "seq": 1}]
    struck, leads = MadePod(name="struck", starts=[OLD], lines=["t info"]), MadePod(name="leads", starts=[OLD], lines=[])
    cluster = Made(pair=True, pods=[leads, struck], struck=struck, leader=leads, word=16)
    before = Before(cluster, infos)
    cluster.word = 17
    struck.starts += after.get("starts", [NEW])
    leads.starts += after.get("leads", [])
    struck.lines += after.get("lines", [STOPPING, STOPPED, KILLED])
    done = Struck(kind, 1)
    done.call = after.get("call", "write")
    return judge(cluster, done, before, after.get("infos", infos))


def selftest():
    """A line for each made-up history that is judged wrongly."""
    worker, runner, job = kinds()[0], kinds()[3], kinds()[4]
    fine = {
        "a kill and one start": (worker, {}),
        "nothing was struck": (worker, {"call": None, "lines": [STOPPING]}),
        "killed while the engine stopped it": (worker, {"starts": [OLD, NEW], "lines": [STOPPING, KILLED]}),
        "a job was killed": (job, {"lines": [STOPPING]}),
        "killed before its stop was written down":
            (runner, {"starts": [OLD, NEW], "lines": [STOPPING, STOPPED, KILLED.replace("137", "1")]}),
    }
    bad = {
        "never started": (worker, {"starts": []}),
        "started with the old word alone": (worker, {"starts": [OLD]}),
        "started twice": (worker, {"starts": [NEW, NEW]}),
        "started with the old word, and had been seen to stop": (worker, {"starts": [OLD, NEW]}),
        "started with the old word, once it had run anew":
            (runner, {"starts": [OLD, NEW], "lines": [STOPPING, STOPPED, STARTING, KILLED.replace("137", "1")]}),
        "started with the old word while the worker lived": (job, {"starts": [OLD, NEW], "lines": [STOPPING]}),
        "a file of another round": (worker, {"starts": [["17", "17", "16", "16"]]}),
        "half a file": (worker, {"starts": [["17", "17", "17"]]}),
        "the other workload started again": (worker, {"leads": [OLD]}),
        "another id": (worker, {"infos": [{"id": "one", "seq": 0}, {"id": "three", "seq": 1}]}),
        "another number": (worker, {"infos": [{"id": "one", "seq": 0}, {"id": "two", "seq": 2}]}),
        "the worker ended once more": (worker, {"lines": [KILLED, KILLED]}),
        "it ended by itself": (worker, {"lines": [KILLED.replace("137", "134")]}),
        "it ended, and nothing was struck": (worker, {"call": None}),
        "it ended with its job": (job, {}),
    }
    missed = [f"{name}: {wrong(*made)}" for name, made in fine.items() if wrong(*made)]
    return missed + [f"{name}: not caught" for name, made in bad.items() if not wrong(*made)]

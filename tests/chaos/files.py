#!/usr/bin/env python3
"""Reads files over and over and prints a line of JSON whenever one is another than before: is it whole?
   files.py PATH..."""
import json
import os
import signal
import sys
import time


def judged(data):
    """(word of its first line, whole): what the template promises."""
    lines = data.decode(errors="replace").splitlines()
    if not lines:
        return "", False
    word = lines[0].removeprefix("begin ")
    bulk = [f"{n} {word * 5}" for n in range(1, 121)]
    return word, (lines[0].startswith("begin ") and lines[-1] == f"end {word}" and lines[2:-1] == bulk)


def read(path):
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(fd, 1 << 20)
    except OSError:
        return None
    finally:
        os.close(fd)


def main():
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    last = dict.fromkeys(sys.argv[1:])
    rounds = 0
    while not ending:
        rounds += 1
        for path, before in last.items():
            data = read(path)
            if data != before:
                last[path] = data
                word, whole = judged(data) if data is not None else ("", True)
                now = time.clock_gettime(time.CLOCK_BOOTTIME)
                print(json.dumps({"t": now, "path": path, "word": word, "whole": whole,
                                  "size": -1 if data is None else len(data)}), flush=True)
        time.sleep(0.0005)
    print(json.dumps({"t": time.clock_gettime(time.CLOCK_BOOTTIME), "path": "", "looks": rounds}), flush=True)


main()

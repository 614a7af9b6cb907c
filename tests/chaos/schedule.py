"""One seed is one schedule: faults in pairs, how long each pair lasts, the calm after it."""
import random

import nemesis_clock  # noqa: F401 - they fill the table
import nemesis_hands  # noqa: F401
import nemesis_memory  # noqa: F401
import nemesis_network  # noqa: F401
import nemesis_process  # noqa: F401
import nemesis_proxy  # noqa: F401
from nemesis import TABLE


LONG = 200  # so many faults are a long run: every kind LEAST times, and what check.py asks of it besides
LEAST = 5


class Fault:
    def __init__(self, number, kind, seed):
        self.number, self.kind = number, kind
        # Of its own: a fault is the same whatever the ones before it met.
        self.rng = random.Random(seed)

    def __str__(self):
        return f"{self.number}: {self.kind.name}"


class Pair:
    def __init__(self, faults, gap, hold, calm, ahead=None):
        """ahead: None, or how long before it what the files depend on changes."""
        # What needs an engine comes first.
        self.faults = sorted(faults, key=lambda f: f.kind.rank)
        self.gap, self.hold, self.calm, self.ahead = gap, hold, calm, ahead

    def __str__(self):
        lasts = max([self.hold] + [f.kind.lasts for f in self.faults])
        return (f"{'  +  '.join(map(str, self.faults))}  ({self.gap:.1f} s apart, for {lasts:.1f} s, "
                f"then {self.calm:.1f} s of calm{f'; files change {self.ahead:.1f} s before' if self.ahead else ''})")


def together(one, other):
    """Two that would hide each other make no pair: one engine cannot be killed twice."""
    if one is other:
        return False
    engines = one.rank == 3 and other.rank == 3
    return not engines and not (one.on in ("ensemble", "server", "cluster") and other.on in ("ensemble", "server"))


def chosen_kinds(only=None):
    return [k for name, k in TABLE.items() if not only or any(word in name for word in only)]


def long_run(only=None):
    """How many faults a long run has."""
    return max(LONG, LEAST * len(chosen_kinds(only)))


def draw(seed, faults, only=None):
    """Each kind once before any comes twice; in a long run none less than LEAST times. Before every third pair or so what
    the files depend on changes: a round begins, which may be hit in any of its phases."""
    rng, changes = random.Random(seed), random.Random(f"{seed}/changes")
    kinds = chosen_kinds(only)
    deck, pairs, number, counts = [], [], 0, dict.fromkeys(kinds, 0)
    while number < faults or (faults >= LONG and min(counts.values()) < LEAST):
        chosen = []
        while len(chosen) < (2 if number >= faults else min(2, faults - number)):
            if not deck:
                deck = rng.sample(kinds, len(kinds))
            at = next((i for i, k in enumerate(deck) if all(together(k, c) for c in chosen)), None)
            if at is None:
                if len(kinds) < 2 or not any(together(k, c) for k in kinds for c in chosen):
                    break
                deck += rng.sample(kinds, len(kinds))
                continue
            chosen.append(deck.pop(at))
        pair = []
        for kind in chosen:
            number += 1
            counts[kind] += 1
            pair.append(Fault(number, kind, f"{seed}/{number}"))
        ahead = changes.uniform(0.8, 4.0) if changes.random() < 0.35 else None
        pairs.append(Pair(pair, rng.uniform(0, 1.5), rng.uniform(0.5, 3.0), rng.uniform(0.5, 3.5), ahead))
    return pairs

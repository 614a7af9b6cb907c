"""One seed is one schedule: faults in pairs, how long each pair lasts, the calm after it."""
import random

import nemesis_clock  # noqa: F401 - they fill the table
import nemesis_hands  # noqa: F401
import nemesis_network  # noqa: F401
import nemesis_process  # noqa: F401
from nemesis import TABLE


class Fault:
    def __init__(self, number, kind, seed):
        self.number, self.kind = number, kind
        # Of its own: a fault is the same whatever the ones before it met.
        self.rng = random.Random(seed)

    def __str__(self):
        return f"{self.number}: {self.kind.name}"


class Pair:
    def __init__(self, faults, gap, hold, calm):
        # What needs an engine comes first.
        self.faults = sorted(faults, key=lambda f: f.kind.rank)
        self.gap, self.hold, self.calm = gap, hold, calm

    def __str__(self):
        lasts = max([self.hold] + [f.kind.lasts for f in self.faults])
        return (f"{'  +  '.join(map(str, self.faults))}  ({self.gap:.1f} s apart, for {lasts:.1f} s, "
                f"then {self.calm:.1f} s of calm)")


def together(one, other):
    """Two that would hide each other make no pair: one engine cannot be killed twice."""
    if one is other:
        return False
    engines = one.rank == 3 and other.rank == 3
    return not engines and not (one.on in ("ensemble", "server", "cluster") and other.on in ("ensemble", "server"))


def draw(seed, faults, only=None):
    """Each kind once before any comes twice."""
    rng = random.Random(seed)
    kinds = [k for name, k in TABLE.items() if not only or any(word in name for word in only)]
    deck, pairs, number = [], [], 0
    while number < faults:
        chosen = []
        while len(chosen) < min(2, faults - number):
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
            pair.append(Fault(number, kind, f"{seed}/{number}"))
        pairs.append(Pair(pair, rng.uniform(0, 1.5), rng.uniform(0.5, 3.0), rng.uniform(0.5, 3.5)))
    return pairs

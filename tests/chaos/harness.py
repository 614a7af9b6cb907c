"""Carries a schedule out: injects, holds, heals; then the quiet phase, in which everything must come to rest."""
import subprocess
import time

from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

import orders
from bench import ROOT, boottime, wait_until
from record import Done
from schedule import Pair

NOT_NOW = (OSError, LookupError, AssertionError, ValueError, subprocess.SubprocessError, KazooException,
           KazooTimeoutError)
TRIES_S = 40      # how long a fault may wait for somebody to do it to
HEAL_S = 90
SETTLE_S = 150
STANDS_S = 30     # how long the ensemble may write nothing though it is whole
IDLE_S = 8


class Broken(Exception):
    """The bench itself: no verdict on the product."""


def say(text):
    print(text, flush=True)


class Harness:
    def __init__(self, bench, seed):
        self.bench, self.seed = bench, seed
        self.done = []     # of class Done
        self.missed = []   # (fault, why)
        self.began = boottime()
        self.broken = []   # invariants that the harness itself saw violated
        self.settled_after = None
        self.stood = 0     # how often ZooKeeper had to be restarted

    def at(self):
        return f"{boottime() - self.began:7.1f}"

    # ---- whom ----

    def target(self, fault):
        on, rng, bench = fault.kind.on, fault.rng, self.bench
        if on == "leader" or (on == "pod" and rng.random() < 0.3):
            return bench.leader()
        if on == "pod":
            return rng.choice(bench.living())
        if on == "host":
            return rng.choice(bench.hosts)
        if on == "server":
            return rng.choice(bench.servers)
        return None

    def may_end(self, kind, target):
        if not kind.ends:
            return []
        return [p.name for p in self.bench.pods if target in (p, p.host)]

    # ---- injecting and healing ----

    def inject(self, fault):
        """(Done, generator), or None when there was nobody to do it to."""
        deadline = time.monotonic() + TRIES_S
        why = None
        while why is None or time.monotonic() < deadline:
            done = None
            try:
                target = self.target(fault)
                done = Done(fault.kind.name, target.name if target else "", self.may_end(fault.kind, target))
                going = fault.kind.harm(self.bench, target, fault.rng, done)
                # It counts as done from before it begins: a step of it may have had its effect when a later one fails.
                self.done.append(done)
                next(going)
                done.hit = boottime()
                done.injected = True
                say(f"{self.at()}  {fault.number:3} {done.kind}: {done.target} {done.note}")
                return done, going
            except NOT_NOW as error:
                why = error
                if done:
                    done.end = boottime() + fault.kind.after
                time.sleep(0.2)
        self.missed.append((fault, why))
        say(f"{self.at()}  {fault.number:3} {fault.kind.name}: not done, {why}")
        return None

    def heal(self, fault, done, going):
        deadline = time.monotonic() + HEAL_S
        try:
            for _ in going:
                pass
        except NOT_NOW as error:
            raise Broken(f"{fault} on {done.target} could not be healed within {HEAL_S} s: {error}") from error
        done.end = boottime() + fault.kind.after
        if time.monotonic() > deadline:
            say(f"{self.at()}      {done.kind} took long to heal")

    def change(self, pair):
        """A round begins, and its pair of faults falls into it, or soon after it."""
        try:
            self.bench.change()
            say(f"{self.at()}      what the files depend on has changed")
        except NOT_NOW as error:
            say(f"{self.at()}      what the files depend on could not be changed: {error}")
        time.sleep(pair.ahead)

    def carry_out(self, pair):
        under = []
        if pair.ahead:
            self.change(pair)
        began = time.monotonic()
        try:
            for fault in pair.faults:
                injected = self.inject(fault)
                if injected:
                    under.append((fault, *injected))
                    time.sleep(pair.gap)
            lasts = max([pair.hold] + [f.kind.lasts for f, _, _ in under])
            time.sleep(max(0, lasts - (time.monotonic() - began)))
        finally:
            for fault, done, going in reversed(under):
                self.heal(fault, done, going)
        time.sleep(pair.calm)
        self.serve()

    def serve(self):
        """A server that leads, was stopped and goes on may be left with a transaction that nobody acknowledges any more:
        it accepts connections and answers none of them, until somebody restarts it. An operator does."""
        try:
            wait_until("the ensemble writes", self.bench.writes, STANDS_S, 0.5)
        except AssertionError:
            say(f"{self.at()}      ZooKeeper accepts and answers nothing: it is restarted")
            self.stood += 1
            for server in self.bench.servers:
                server.kill()
                server.start()
            try:
                wait_until("the ensemble writes again", self.bench.writes, HEAL_S, 0.5)
            except AssertionError as error:
                raise Broken(str(error)) from error

    def make_up(self):
        """Those that found nobody to do them to are tried once more, each by itself."""
        missed, self.missed = self.missed, []
        for fault, _ in missed:
            self.carry_out(Pair([fault], 0, 1, 1))

    # ---- quiet ----

    def first_settled(self):
        began = boottime()
        wait_until("the cluster has formed", self.bench.settled, SETTLE_S, 0.3)
        say(f"{self.at()}  the cluster has formed, {boottime() - began:.1f} s")
        self.bench.clocks_obey()
        self.bench.strangers_are_refused()

    def rest(self):
        """L1 to L6 within SETTLE_S, then nothing may happen any more."""
        began = boottime()
        try:
            wait_until("everything is at rest", self.rested, SETTLE_S, 0.3)
        except AssertionError as error:
            self.broken.append(f"L1-L6: {error}")
            return
        self.settled_after = boottime() - began
        say(f"{self.at()}  at rest {self.settled_after:.1f} s after the last fault was healed")
        time.sleep(4)
        try:
            wait_until("it stays at rest", self.rested, 30, 0.3)
            before = self.still()
            self.old_orders()
            time.sleep(IDLE_S)
            after = self.still()
        except NOT_NOW as error:
            self.broken.append(f"L7: not at rest any more: {error}")
            return
        if before != after:
            self.broken.append(f"L7: something happened in a cluster at rest: {before} became {after}")

    def old_orders(self):
        """All that can be said again of the run's earlier leaders is, and each must be refused as such."""
        done = Done("orders of earlier leaders, at rest", "", [])
        real = orders.yesterday(self.bench, done, strict=True)
        say(f"{self.at()}  {done.kind}: {done.note}")
        self.broken += done.broken
        if not real and len(orders.of_leaders(self.bench)) > 1:
            self.broken.append("too little: no order of an earlier leader of this run was said again")

    def still(self):
        return [(i["generation"], i["workload"]["container"], i["workload"]["started"]) for i in self.bench.settled()]

    def rested(self):
        try:
            return self.all_is_well()
        except (KazooException, KazooTimeoutError) as error:
            raise AssertionError(repr(error)) from error

    def all_is_well(self):
        infos = self.bench.settled()
        client = self.bench.zk()
        assert client.get(f"{ROOT}/hash")[0].decode() == infos[0]["hash"], "/hash is another one"
        nodes = client.get_children(f"{ROOT}/pods")
        assert sorted(n.rsplit(".", 1)[0] for n in nodes) == sorted(i["id"] for i in infos), f"registered: {nodes}"
        assert len(client.get_children(f"{ROOT}/coordinator")) == len(infos), "locks of others"
        ours = {i["id"] for i in infos}
        for host in self.bench.hosts:
            left = [c["Names"][0] for c in host.api.containers("io.ochopod.pod")
                    if c["Labels"]["io.ochopod.pod"] not in ours and c["Labels"].get("io.ochopod.cluster") != "marathon.other"]
            assert not left or not any(p.host is host for p in self.bench.living()), f"L6: left behind: {left}"
        return True

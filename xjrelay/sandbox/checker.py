# SPDX-License-Identifier: MIT
"""The delivery promise held against faults, on the fake clock, from a seed (protocol, section 8).

    python -m xjrelay.sandbox.checker --seeds 1000      a thousand runs
    python -m xjrelay.sandbox.checker --seed 17         one of them again, exactly
    python -m xjrelay.sandbox.checker --direct          with direct links between users, made and broken
    python -m xjrelay.sandbox.checker --every           every fault before every event of a delivery

Users write numbered messages to one another while programs are killed, stopped and restarted,
connections cut, networks partitioned, applications slow, away, dead, or suddenly elsewhere. Then all
is mended, and when everything has settled the :mod:`book` says what was lost, doubled or out of
order. Exit status 1 when anything was.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from xjrelay.client.model import Direct
from xjrelay.sandbox import every
from xjrelay.sandbox.application import Application
from xjrelay.sandbox.book import Book, Verdict
from xjrelay.sandbox.suite import Sandbox
from xjrelay.sandbox.watching import bury, errors
from xjrelay.security.scram import MIN_ROUNDS
from xjrelay.servers.manager.state import Policy
from xjrelay.servers.relay.switch import RelaySettings

USERS = ("a", "b", "c", "d")
RELAYS = 3
LEASE = 10.0
SECONDS = 40.0
"""How long faults go on in one run."""

SETTLE = 600.0
"""Seconds after which everything must have settled once all is well."""


class Trouble:
    """A suite, its users, and what is done to them.

    Args:
        seed: of everything.
        folder: for outbox files; without one no application has any.
        settings: the relays'.
        mailbox_max: messages a mailbox holds.
        direct: the users are friends, and have direct links with one another.

    Attributes:
        random: decides what happens; apart from the suite's own.
        book: what was sent and shown.
        down: programs that don't run.
    """

    def __init__(
        self,
        seed: int,
        folder: Path | None = None,
        settings: RelaySettings | None = None,
        mailbox_max: int = 1000,
        direct: bool = False,
    ) -> None:
        self.random = random.Random(f"trouble {seed}")
        policy = Policy(
            key_rounds=MIN_ROUNDS,
            allow_plaintext=True,
            lease=LEASE,
            mailbox_max=mailbox_max,
            balance_interval=15.0,
        )
        self.sandbox = Sandbox(seed, RELAYS, policy=policy, settings=settings, lease=LEASE)
        self.book = Book()
        self.down: set[str] = set()
        links = Direct() if direct else None
        self.faults = self.FAULTS + (self.BETWEEN_FRIENDS if direct else ())
        self.applications = [Application(self.sandbox, self.book, name, folder, links) for name in USERS]
        self.sandbox.start()
        self.sandbox.advance(1)
        for application in self.applications:
            application.begin()
            self.sandbox.until(lambda application=application: application.client is not None)  # type: ignore[misc]
        if direct:
            self._befriend()

    def _befriend(self) -> None:
        for one, other in permutations(self.applications, 2):
            assert one.client is not None
            self.sandbox.run(one.client.roster.add(other.name))

    # -- what may happen ---------------------------------------------------------------------

    def kill(self) -> None:
        """A program dies, and is back some time later."""
        self._go_down(self.sandbox.kill)

    def stop(self) -> None:
        """A program is stopped in order, and is back some time later."""
        self._go_down(self.sandbox.stop)

    def cut(self) -> None:
        """The connections between two machines are reset."""
        self.sandbox.cut(*self._two_machines())

    def partition(self) -> None:
        """Nothing passes between two machines for a while."""
        one, other = self._two_machines()
        self.sandbox.partition(one, other)
        self.later(self.random.uniform(1, 3 * LEASE), self.sandbox.heal)

    def dawdle(self) -> None:
        """An application takes nothing for a while."""
        application = self.random.choice(self.applications)
        application.dawdle()
        self.later(self.random.uniform(0.1, 15), application.hurry)

    def away(self) -> None:
        """A user logs out, and is back some time later."""
        self._leave(Application.close)

    def die(self) -> None:
        """An application dies, and is back some time later."""
        self._leave(Application.die)

    def elsewhere(self) -> None:
        """A user logs in from another machine, the old one unplugged or still running."""
        application = self._online()
        if application is None:
            return
        self.sandbox.partition(application.machine, self.random.choice(self.sandbox.programs))
        application.die()
        application.elsewhere += 1
        application.begin()
        self.later(self.random.uniform(1, 20), self.sandbox.heal)

    def cut_friends(self) -> None:
        """A direct link is reset."""
        one, other = self.random.sample(self.applications, 2)
        self.sandbox.cut(one.machine, other.machine)

    def part_friends(self) -> None:
        """Nothing passes between two users' machines for a while: their link is silent, or none comes."""
        one, other = self.random.sample(self.applications, 2)
        self.sandbox.partition(one.machine, other.machine)
        self.later(self.random.uniform(1, 3 * LEASE), self.sandbox.heal)

    FAULTS = (kill, kill, stop, cut, cut, partition, dawdle, away, die, elsewhere)
    BETWEEN_FRIENDS = (cut_friends, cut_friends, cut_friends, part_friends, part_friends)

    def _go_down(self, how: Callable[[str], None]) -> None:
        if self.down:
            return
        name = self.random.choice(self.sandbox.programs)
        self.down.add(name)
        how(name)
        self.later(self.random.uniform(0.1, 2 * LEASE), self._restart, name)

    def _restart(self, name: str) -> None:
        if name in self.down:
            self.sandbox.restart(name)
            self.down.discard(name)

    def _two_machines(self) -> tuple[str, str]:
        everybody = [*self.sandbox.programs, *(one.machine for one in self.applications)]
        one = self.random.choice(everybody)
        return one, self.random.choice([other for other in self.sandbox.programs if other != one])

    def _online(self) -> Application | None:
        online = [one for one in self.applications if one.client is not None]
        return self.random.choice(online) if online else None

    def _leave(self, how: Callable[[Application], None]) -> None:
        application = self._online()
        if application is not None:
            how(application)
            self.later(self.random.uniform(0.1, 20), application.begin)

    def later(self, seconds: float, call: Callable[..., Any], *args: Any) -> None:
        """Do something in a while."""
        self.sandbox.clock.callLater(seconds, call, *args)

    # -- and how it ends ---------------------------------------------------------------------

    def mend(self) -> None:
        """All is well from now on; wait until everything has settled."""
        self.sandbox.heal()
        for name in sorted(self.down):
            self._restart(name)
        for application in self.applications:
            application.hurry()
        self.sandbox.advance(3 * LEASE)  # whatever was to happen later has happened
        end = self.sandbox.clock.seconds() + SETTLE
        while self.book.owed and self.sandbox.clock.seconds() < end:
            self.sandbox.advance(1)
        self.sandbox.advance(3)

    def make_trouble(self, seconds: float = SECONDS) -> None:
        """Write, and let things happen."""
        end = self.sandbox.clock.seconds() + seconds
        while self.sandbox.clock.seconds() < end:
            self.sandbox.advance(self.random.uniform(0, 0.3))
            one, other = self.random.sample(self.applications, 2)
            for _ in range(self.random.choice((1, 1, 3))):
                one.write(other.name)
            if self.random.random() < 0.12:
                self.random.choice(self.faults)(self)


def check(seed: int, seconds: float = SECONDS, direct: bool = False) -> Verdict:
    """One run.

    Args:
        seed: of everything.
        seconds: how long faults go on.
        direct: with direct links between users.
    """
    choose = random.Random(f"settings {seed}")
    settings = RelaySettings(resume=choose.choice((3.0, 20.0)), max_queue=choose.choice((6, 1000)))
    with tempfile.TemporaryDirectory(prefix="xjrelay-checker-") as folder, errors() as logged:
        files = Path(folder) if choose.random() < 0.5 else None
        trouble = Trouble(seed, files, settings, 1000 if files else choose.choice((10, 1000)), direct)
        trouble.make_trouble(seconds)
        trouble.mend()
        verdict = trouble.book.verdict()
        verdict.errors = list(logged)
        verdict.directly = sum(one.directly for one in trouble.applications)
        bury(trouble.sandbox, trouble.applications)
    return verdict


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m xjrelay.sandbox.checker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many runs")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="this run only")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long faults go on in one run")
    parser.add_argument("--direct", action="store_true", help="with direct links between users")
    parser.add_argument("--every", action="store_true", help="every fault before every event of a delivery")
    parser.add_argument("--stride", type=int, default=1, help="with --every: every so manieth case only")
    options = parser.parse_args(arguments)
    if options.every:
        return _try_every(options.stride)
    first, seed = options.first, options.seed
    seeds = range(first, first + options.seeds) if seed is None else [seed]
    return _try_seeds(seeds, options.seconds, seed is not None, options.direct)


def _try_seeds(seeds: Sequence[int], seconds: float, talk: bool, direct: bool) -> int:
    began, bad, messages, directly = time.monotonic(), 0, 0, 0
    for seed in seeds:
        verdict = check(seed, seconds, direct)
        messages += sum(verdict.outcomes.values())
        directly += verdict.directly
        bad += not verdict.kept
        if talk or not verdict.kept:
            print(f"seed {seed}: {verdict}", flush=True)
    links = f", {directly} by direct links" if direct else ""
    print(f"{len(seeds)} seeds, {messages} messages{links}, {bad} bad, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


def _try_every(stride: int) -> int:
    began, bad, count = time.monotonic(), 0, 0
    for case in every.cases(stride):
        verdict = every.run(case)
        count += 1
        bad += not verdict.kept
        if not verdict.kept:
            print(f"{case}: {verdict}", flush=True)
    print(f"{count} cases, {bad} bad, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: MIT
"""One measurement: a plan run against servers, and what the system counted meanwhile."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.plan import BUILD, Load, Plan, Run
from benchmarks.programs import Process

PATIENCE = 8.0
"""Seconds after which a server that is slow gets no more laps."""


@dataclass(frozen=True)
class Row:
    """One measurement; microseconds, bytes, messages a second.

    ``cpu`` is of the servers alone, all their threads, a message: the best of the laps, since whatever
    else the machine does can only add to it. Where half of the messages go to nobody (``half offline``)
    those count as messages, too. ``window`` 0 means a rate instead. ``back`` are those of which the sender
    was told to send them again, which our library does and the generator doesn't; ``lost`` are those that
    never came, and of which nothing was said.
    """

    scene: str
    server: str
    pairs: int
    window: int
    size: int
    cpu: float
    rate: float
    p50: float
    p99: float
    p999: float
    lost: int
    memory: int
    back: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pairs, window, bytes of a body."""
        return self.pairs, self.window, self.size


@dataclass(frozen=True)
class Case:
    """What is measured.

    Args:
        scene: the table it belongs to.
        server: its row there.
        pairs: of sender and receiver.
        run: how they talk.
        size: bytes of a body.
        each: messages that stand behind one heard by a receiver: 2 where half go to nobody.
    """

    scene: str
    server: str
    pairs: int
    run: Run
    size: int = 100
    each: int = 1


class Course:
    """A case under measurement: its users are logged in, and talk lap by lap.

    So that those which are compared can run in turn, in laps so short that what else the machine does hits
    all of them alike, and that some laps of each are spared it.

    Args:
        processes: whose CPU time is summed.
        back: how many messages the servers have given back to their senders so far.

    Attributes:
        spent: seconds that its laps took.
        cheapest: the least CPU time a message of its laps, in microseconds.
    """

    def __init__(
        self, case: Case, processes: Sequence[Process], plan: Plan, back: Callable[[], int] = int
    ) -> None:
        self._case, self._processes, self._back = case, processes, back
        self._load = Load(plan, case.run, [process.pid for process in processes])
        self.spent = 0.0
        self.cheapest = float("inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._load.end()

    def lap(self) -> Row:
        """One."""
        case, began = self._case, time.monotonic()
        given = self._back()
        try:
            result = self._load.lap()
        except RuntimeError as error:
            logs = "".join(f"\n{process.log}:\n{process.last_words}" for process in self._processes)
            raise RuntimeError(f"{case.server}, {case.scene}: {error}{logs}") from error
        given = self._back() - given
        self.spent += time.monotonic() - began
        cpu = result["cpu"] / max(1, result["received"] * case.each) * 1e6
        self.cheapest = min(self.cheapest, cpu)
        return Row(
            scene=case.scene,
            server=case.server,
            pairs=case.pairs,
            window=0 if case.run.rate else case.run.window,
            size=case.size,
            cpu=cpu,
            rate=result["received"] * case.each / result["seconds"],
            p50=result["p50"],
            p99=result["p99"],
            p999=result["p999"],
            lost=max(0, result["lost"] - given),
            memory=sum(process.resident() for process in self._processes),
            back=given,
        )


def in_turn(courses: Sequence[Course], laps: int) -> Iterator[Row]:
    """So many laps of each, by turns; fewer of one that takes longer than :data:`PATIENCE`, but one."""
    for _ in range(laps):
        for course in courses:
            if course.spent < PATIENCE:
                yield course.lap()


def cheapest(courses: Sequence[Course], laps: int) -> list[float]:
    """The least CPU time a message of each in so many laps, in microseconds."""
    for _ in in_turn(courses, laps):
        pass
    return [course.cheapest for course in courses]


def build() -> None:
    """Compile the two C programs, where they are older than their sources.

    Raises:
        RuntimeError: no compiler, or no OpenSSL to compile with.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, libraries in (("load", ["-lssl", "-lcrypto"]), ("floor", [])):
        source = Path(__file__).with_name(f"{name}.c")
        target = BUILD / name
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        try:
            subprocess.run(["cc", "-O2", "-o", target, source, *libraries], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(
                "the load generator needs a C compiler and OpenSSL; on Debian: apt-get install gcc libssl-dev"
            ) from error

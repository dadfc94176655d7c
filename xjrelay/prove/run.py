# SPDX-License-Identifier: MIT
"""One proof: users write, things are broken, and in the end the books are balanced."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from xjrelay.prove.crowd import Crowd
from xjrelay.prove.ledger import Verdict
from xjrelay.prove.proxy import Proxy, Toll

RETURN_TIMEOUT = 90.0
"""Seconds everybody has to come back after a blow, and messages to have their outcome after the last."""

AWAY_FOR = 3.0
"""Seconds at most that a user who comes and goes is away."""

Blow = Callable[[], Awaitable[str]]
"""Breaks something and mends it; says what, when it is mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How long, and what happens meanwhile.

    Attributes:
        seconds: of writing before, between and after the blows, about.
        rounds: how many blows.
        away: users who come and go.
    """

    seconds: float = 30.0
    rounds: int = 0
    away: int = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """What a list of seconds looks like; nothing measured is None."""

    count: int
    median: float | None
    p99: float | None
    most: float | None

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """The spread of values."""
        if not values:
            return cls(0, None, None, None)
        ranked = sorted(values)

        def at(part: float) -> float:
            return round(ranked[min(len(ranked) - 1, int(part * len(ranked)))], 4)

        return cls(len(ranked), at(0.5), at(0.99), at(1.0))

    def __str__(self) -> str:
        if self.median is None:
            return "never"
        return f"{self.count} times, median {self.median:.2f} s, p99 {self.p99:.2f} s, most {self.most:.2f} s"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome.

    Attributes:
        verdict: what was lost, doubled, out of order.
        seconds: of writing.
        blows: how often each was struck.
        absent: users that were not back in time, over all rounds.
        back: a session at a relay lost, until the next.
        login: the login at the manager lost, until the next.
        delivery: a message sent, until it was shown.
        toll: what the proxy did.
        refusals: messages that no outbox took, or without an outcome at the end, by the error.
    """

    verdict: Verdict
    seconds: float
    blows: dict[str, int]
    absent: int
    back: Spread
    login: Spread
    delivery: Spread
    toll: Toll
    refusals: dict[str, int]

    @property
    def rate(self) -> float:
        """Messages a second, as sent."""
        return self.verdict.sent / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """For a script."""
        return {**asdict(self), "rate": round(self.rate, 1), "kept": self.verdict.kept}

    def lines(self) -> list[str]:
        """For a person."""
        verdict = self.verdict
        outcomes = ", ".join(f"{count} {status}" for status, count in sorted(verdict.outcomes.items()))
        struck = ", ".join(f"{name} {count}" for name, count in sorted(self.blows.items())) or "nothing"
        lines = [
            f"sent            {verdict.sent} in {self.seconds:.0f} s, {self.rate:.0f} a second",
            f"outcomes        {outcomes or 'none'}",
            f"no outcome      {verdict.unsettled}",
            f"arrived         {verdict.arrived}",
            f"lost            {verdict.lost}",
            f"doubled         {verdict.doubled}",
            f"out of order    {verdict.disordered}",
            f"struck          {struck}",
            f"came back       {self.back}",
            f"logged in again {self.login}",
            f"shown after     {self.delivery}",
        ]
        if self.toll.connections:
            toll = self.toll
            lines.append(
                f"the network     {toll.connections} connections, {toll.cuts} cut, {toll.stalls} stalled"
            )
        if verdict.strange:
            lines.append(f"never sent      {verdict.strange}")
        if self.absent:
            lines.append(f"not back        {self.absent}")
        for kind, examples in verdict.examples.items():
            lines.append(f"  {kind}: {', '.join(examples[:5])}")
        return lines


class Proof:
    """One run, from the first login to the verdict.

    Args:
        crowd: the users.
        course: how it goes.
        rng: when.
        blow: what is broken each round.
        proxy: counted in the result.
        note: hears how it goes, a line at a time.
    """

    def __init__(
        self,
        crowd: Crowd,
        course: Course,
        rng: random.Random,
        blow: Blow | None = None,
        proxy: Proxy | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._crowd = crowd
        self._course = course
        self._random = rng
        self._blow = blow
        self._proxy = proxy
        self._note = note
        self._blows: Counter[str] = Counter()
        self._absent = 0

    async def run(self) -> Result:
        """Do it.

        Raises:
            ClientError: the users can't get in at all.
        """
        self._calm(True)
        try:
            await self._crowd.enter()
            self._calm(False)
            return await self._write_and_judge()
        finally:
            await self._crowd.disperse()

    async def _write_and_judge(self) -> Result:
        self._note(f"{self._crowd.plan.users} users are in: {dict(self._crowd.relays())}")
        loop = asyncio.get_running_loop()
        began = loop.time()
        busy = [asyncio.create_task(self._crowd.write())]
        busy += [asyncio.create_task(self._come_and_go(name)) for name in self._goers()]
        try:
            await self._rounds()
            seconds = loop.time() - began
        finally:
            for task in busy:
                task.cancel()
            ended = await asyncio.gather(*busy, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
        await self._settle()
        return self._result(seconds)

    def _calm(self, calm: bool) -> None:
        if self._proxy is not None:
            self._proxy.calm = calm

    def _goers(self) -> list[str]:
        return self._crowd.names[: self._course.away]

    async def _rounds(self) -> None:
        rounds = self._course.rounds if self._blow is not None else 0
        await asyncio.sleep(self._pause())
        for number in range(rounds):
            assert self._blow is not None
            struck = await self._blow()
            self._blows[struck] += 1
            await self._all_back()
            self._note(f"round {number + 1}: {struck}; {self._crowd.ledger.unsettled} on their way")
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """A random moment: with blows between half and one and a half of the time."""
        seconds = self._course.seconds
        return self._random.uniform(0.5, 1.5) * seconds if self._blow is not None else seconds

    async def _all_back(self) -> None:
        if not await _until(lambda: not self._crowd.down, RETURN_TIMEOUT):
            self._absent += len(self._crowd.down)
            self._note(f"not back: {', '.join(sorted(self._crowd.down))}")

    async def _come_and_go(self, name: str) -> None:
        """Leave, be away for a moment, come back: what was sent meanwhile comes out of the mailbox."""
        while True:
            await asyncio.sleep(self._random.uniform(1.0, 2 * AWAY_FOR))
            await asyncio.shield(self._away(name))

    async def _away(self, name: str) -> None:
        await self._crowd.leave(name)
        await asyncio.sleep(self._random.uniform(0.0, AWAY_FOR))
        await self._crowd.join(name)

    async def _settle(self) -> None:
        """Until every message has its outcome and every acknowledged one was shown."""
        self._calm(True)
        crowd, ledger = self._crowd, self._crowd.ledger

        def balanced() -> bool:
            everybody = len(crowd.present) == crowd.plan.users and not crowd.down
            return everybody and not ledger.unsettled and not ledger.owed

        if not await _until(balanced, RETURN_TIMEOUT):
            self._note(f"{ledger.unsettled} without an outcome, {ledger.owed} not shown")
        with suppress(TimeoutError):
            await asyncio.sleep(1.0)  # for what comes twice

    def _result(self, seconds: float) -> Result:
        times = self._crowd.times
        return Result(
            verdict=self._crowd.ledger.verdict(),
            seconds=round(seconds, 1),
            blows=dict(self._blows),
            absent=self._absent,
            back=Spread.of(times.back),
            login=Spread.of(times.login),
            delivery=Spread.of(times.delivery),
            toll=self._proxy.toll if self._proxy is not None else Toll(),
            refusals=dict(self._crowd.refusals),
        )


async def _until(condition: Callable[[], bool], patience: float) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while not condition():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.05)
    return True

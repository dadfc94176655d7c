# SPDX-License-Identifier: MIT
"""A world that does as it is told, and a net without threads."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from xjrelay.gui.presenter import Presenter
from xjrelay.gui.words import Words
from xjrelay.gui.world import (
    Beginning,
    Door,
    Kind,
    Line,
    Person,
    Problem,
    Progress,
    ServersDoor,
    State,
    Tell,
    World,
)

T = TypeVar("T")
NOON = 1_800_000_000_000
"""Milliseconds since 1970."""


def line(number: int, key: str = "bob", text: str = "", incoming: bool = True, **other: Any) -> Line:
    """A line as it comes."""
    given: dict[str, Any] = {
        "id": f"m{number}",
        "text": text or f"text {number}",
        "at": NOON + number * 1000,
        "progress": Progress.RECEIVED if incoming else Progress.SENDING,
    }
    return Line(key=key, incoming=incoming, number=number, **(given | other))


def person(key: str, state: State = State.ONLINE, **other: Any) -> Person:
    """Somebody, called by the key with a capital."""
    return Person(key, other.pop("name", key.capitalize()), key, state, **other)


class Inline:
    """A net that does everything at once, in this thread."""

    def run(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        done: Callable[[Any], None],
        failed: Callable[[Problem], None],
    ) -> None:
        def refuse(failure: Any) -> None:
            failed(failure.trap(Problem) and failure.value)

        Deferred.fromCoroutine(work()).addCallback(done).addErrback(refuse)


class FakeWorld:
    """A world of lists.

    Attributes:
        lines: what was said, by key.
        asked: every call, its name and arguments.
        problem: what the next call is refused with.
        held: what waits, while ``hold`` is set.
    """

    kind = Kind.SERVERS

    def __init__(self, *people: Person) -> None:
        self.people = list(people)
        self.lines: dict[str, list[Line]] = {}
        self.unread: dict[str, int] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.problem: Problem | None = None
        self.hold = False
        self.held: list[Deferred[None]] = []
        self.stopped = False

    async def _ask(self, *call: Any) -> None:
        self.asked.append(call)
        if self.hold:
            waiter: Deferred[None] = Deferred()
            self.held.append(waiter)
            await waiter
        problem, self.problem = self.problem, None
        if problem is not None:
            raise problem

    def release(self) -> None:
        """Answer what waits."""
        self.hold, held = False, self.held
        self.held = []
        for waiter in held:
            waiter.callback(None)

    async def start(self) -> Beginning:
        await self._ask("start")
        return await self.overview()

    async def stop(self) -> None:
        self.stopped = True

    async def overview(self) -> Beginning:
        last = {key: lines[-1] for key, lines in self.lines.items() if lines}
        return Beginning("Alice", "relay1", tuple(self.people), last, dict(self.unread))

    async def page(self, key: str, before: int | None, most: int, beyond: int | None = None) -> list[Line]:
        await self._ask("page", key, before)
        start = {None: before, Kind.PEERS: beyond}
        said = self.lines.get(key, [])
        return [one for one in said if (limit := start[one.elsewhere]) is None or one.number < limit][-most:]

    async def send(self, key: str, text: str) -> Line:
        await self._ask("send", key, text)
        number = 1000 + len(self.asked)
        said = line(number, key, text, incoming=False)
        self.lines.setdefault(key, []).append(said)
        return said

    async def retry(self, line: Line) -> Line:
        await self._ask("retry", line.id)
        return replace(line, progress=Progress.SENDING)

    async def read(self, key: str, number: int) -> None:
        await self._ask("read", key, number)

    async def add(self, address: str, name: str) -> Person | None:
        await self._ask("add", address, name)
        return person(address, name=name or address)

    async def rename(self, key: str, name: str) -> None:
        await self._ask("rename", key, name)

    async def remove(self, key: str) -> None:
        await self._ask("remove", key)

    async def set_bio(self, text: str) -> None:
        await self._ask("bio", text)

    async def say_to_all(self, text: str) -> list[Line]:
        await self._ask("all", text)
        return [line(5000, one.key, text, incoming=False) for one in self.people if one.state is State.ONLINE]


DOOR = ServersDoor("127.0.0.1:5000", "alice", "rahasia")


class House:
    """A presenter on a fake world.

    Attributes:
        notified: what was shown outside the window.
    """

    def __init__(self, world: FakeWorld) -> None:
        self.world = world
        self.notified: list[tuple[str, str]] = []
        self.presenter = Presenter(
            Inline(), self._make, lambda happening: None, Words(), lambda: NOON, self._notify
        )

    def _make(self, door: Door, tell: Tell) -> World:
        return self.world

    def _notify(self, title: str, text: str) -> None:
        self.notified.append((title, text))

    def enter(self) -> Presenter:
        """In."""
        self.presenter.enter(DOOR)
        return self.presenter

# SPDX-License-Identifier: MIT
"""Every fault before every event of a delivery (protocol, section 8).

One user writes three messages to another, in a few scenes: both at one relay, each at its own, the
recipient away, the recipient moving. A first run counts the events until everything is settled; then
each fault of :data:`FAULTS` is done before each of those events, in a run of its own from the same
seed, and the :mod:`book` judges each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from xjrelay.sandbox.application import Application
from xjrelay.sandbox.book import Book, Verdict
from xjrelay.sandbox.suite import Sandbox
from xjrelay.sandbox.watching import bury, errors
from xjrelay.security.scram import MIN_ROUNDS
from xjrelay.servers.manager.state import Policy
from xjrelay.servers.relay.switch import RelaySettings

LEASE = 6.0
RESUME = 8.0
AGAIN_AFTER = 1.5
"""Seconds after which what a fault took away comes back."""

LONG = 2 * LEASE
"""Seconds of a partition that outlasts every patience."""

SETTLE = 300.0


class Scene:
    """A suite of two relays and the users a and b.

    Args:
        name: one of :data:`SCENES`.
        folder: for outbox files; without one there are none.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        policy = Policy(key_rounds=MIN_ROUNDS, allow_plaintext=True, lease=LEASE)
        settings = RelaySettings(resume=RESUME, drain=1.0)
        self.name = name
        self.sandbox = Sandbox(1, 2, policy=policy, settings=settings, lease=LEASE)
        self.book = Book()
        self.down: list[str] = []
        self.sandbox.start()
        self.sandbox.advance(1)
        users = "acb" if name == "one relay" else "ab"
        self.users = {user: Application(self.sandbox, self.book, user, folder) for user in users}
        for user in self.users.values():
            user.begin()
            self.sandbox.until(lambda user=user: user.client is not None)  # type: ignore[misc]
        if name in ("away", "returning"):
            self.users["b"].close()
        self.sandbox.advance(0.5)

    def begin(self) -> None:
        """The messages, and what else the scene is about."""
        a, b = self.users["a"], self.users["b"]
        a.write("b")
        self.later(0.01, a.write, "b")
        self.later(0.3, a.write, "b")
        if self.name == "returning":
            self.later(0.005, b.begin)
        elif self.name == "moving":
            self.later(0.012, self.move, "b")

    def move(self, user: str) -> None:
        """A user is suddenly on another machine; the old one is unplugged."""
        application = self.users[user]
        application.die()
        application.elsewhere += 1
        application.begin()

    def later(self, seconds: float, call: Callable[..., object], *args: object) -> None:
        """Do something in a while."""
        self.sandbox.clock.callLater(seconds, call, *args)

    # -- faults ------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """A program dies, and is back soon."""
        self.sandbox.kill(name)
        self.later(AGAIN_AFTER, self.sandbox.restart, name)

    def stop(self, name: str) -> None:
        """A program is stopped in order, and is back soon."""
        self.sandbox.stop(name)
        self.later(AGAIN_AFTER, self.sandbox.restart, name)

    def cut(self, one: str, other: str) -> None:
        """The connections between two machines are reset."""
        self.sandbox.cut(self._machine(one), self._machine(other))

    def part(self, one: str, other: str, seconds: float) -> None:
        """Nothing passes between two machines for a while."""
        self.sandbox.partition(self._machine(one), self._machine(other))
        self.later(seconds, self.sandbox.heal)

    def die(self, user: str) -> None:
        """An application dies, and is back soon."""
        self.users[user].die()
        self.later(AGAIN_AFTER, self.users[user].begin)

    def dawdle(self, user: str) -> None:
        """An application takes nothing for a while."""
        self.users[user].dawdle()
        self.later(AGAIN_AFTER, self.users[user].hurry)

    def _machine(self, name: str) -> str:
        return self.users[name].machine if name in self.users else name

    # -- the run -----------------------------------------------------------------------------

    def settled(self) -> bool:
        """Whether everything has its outcome and was shown."""
        waiting = self.name == "away" and self.users["b"].client is None
        return not self.book.owed or (waiting and not self.book.unsettled("a"))

    def end(self) -> Verdict:
        """All is well from now on; the judgement when everything has settled."""
        self.sandbox.advance(AGAIN_AFTER + LONG)
        if self.name == "away" and self.users["b"].client is None:
            self.users["b"].begin()
        end = self.sandbox.clock.seconds() + SETTLE
        while self.book.owed and self.sandbox.clock.seconds() < end:
            self.sandbox.advance(0.5)
        self.sandbox.advance(1)
        return self.book.verdict()


Fault = Callable[[Scene], None]

SCENES = ("one relay", "two relays", "away", "returning", "moving")
_LINKS = (
    *(("a", "relay1"), ("a", "relay2"), ("b", "relay1"), ("b", "relay2"), ("relay1", "relay2")),
    *(("relay1", "manager"), ("relay2", "manager"), ("b", "manager")),
)


def _faults() -> Iterator[tuple[str, Fault]]:
    for name in ("tracker", "manager", "relay1", "relay2"):
        yield f"kill {name}", lambda scene, name=name: scene.kill(name)  # type: ignore[misc]
        yield f"stop {name}", lambda scene, name=name: scene.stop(name)  # type: ignore[misc]
    for one, other in _LINKS:
        link = (one, other)
        yield f"cut {one} {other}", lambda scene, link=link: scene.cut(*link)  # type: ignore[misc]
        yield f"part {one} {other}", lambda scene, link=link: scene.part(*link, AGAIN_AFTER)  # type: ignore[misc]
        yield f"part {one} {other} for long", lambda scene, link=link: scene.part(*link, LONG)  # type: ignore[misc]
    for user in ("a", "b"):
        yield f"die {user}", lambda scene, user=user: scene.die(user)  # type: ignore[misc]
    yield "move a", lambda scene: scene.move("a")
    yield "move b", lambda scene: scene.move("b")
    yield "dawdle b", lambda scene: scene.dawdle("b")


FAULTS: dict[str, Fault] = dict(_faults())
"""What may happen, by name."""


class Case(NamedTuple):
    """One fault before one event of one scene."""

    scene: str
    fault: str
    event: int


def events(scene_name: str) -> int:
    """How many events there are until everything is settled, when nothing happens."""
    scene = Scene(scene_name)
    scene.begin()
    count = 0
    while not scene.settled() or len(scene.book.outcomes) < 3:
        scene.sandbox.step()
        count += 1
    bury(scene.sandbox, scene.users.values())
    return count


def cases(stride: int = 1) -> Iterator[Case]:
    """Every case, or every so manieth."""
    number = 0
    for scene in SCENES:
        count = events(scene)
        for fault in FAULTS:
            for event in range(count + 1):
                number += 1
                if number % stride == 0:
                    yield Case(scene, fault, event)


def run(case: Case, folder: Path | None = None) -> Verdict:
    """One case."""
    with errors() as logged:
        scene = Scene(case.scene, folder)
        scene.begin()
        for _ in range(case.event):
            scene.sandbox.step()
        FAULTS[case.fault](scene)
        verdict = scene.end()
        verdict.errors = list(logged)
        bury(scene.sandbox, scene.users.values())
    return verdict

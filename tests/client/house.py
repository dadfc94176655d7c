# SPDX-License-Identifier: MIT
"""A tracker, a manager, two relays and a user on a fake network: where the session's tests live."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.client.fakes import (
    AsyncioFlavour,
    FakeManager,
    FakeNetwork,
    FakeRelay,
    FakeTracker,
    Flavour,
    Running,
    TwistedFlavour,
    component,
)
from xjrelay.client.core import Login
from xjrelay.client.model import Event
from xjrelay.client.session import Session, Settings
from xjrelay.client.target import Place

T = TypeVar("T")

TRACKER = ("10.0.0.1", 5000)
TRACKER_2 = ("10.0.0.4", 5000)
MANAGER = ("10.0.0.1", 5001)
RELAY = ("10.0.0.2", 5002)
RELAY_2 = ("10.0.0.3", 5002)


class House(SynchronousTestCase):
    """Everything up and nobody in. Subclasses mix in a flavour."""

    def make_flavour(self) -> Flavour:
        raise NotImplementedError

    def setUp(self) -> None:
        self.flavour = self.make_flavour()
        self.network = FakeNetwork(self.flavour)
        listed = [component("relay", RELAY), component("manager", MANAGER)]
        self.tracker = FakeTracker(self.network, TRACKER, listed)
        self.manager = FakeManager(self.network, MANAGER, ["esa", "fajar"])
        self.relay = FakeRelay(self.network, RELAY)
        self.relay2 = FakeRelay(self.network, RELAY_2, "relay2")
        self.manager.relay = RELAY
        self.sessions: list[Session] = []

    def tearDown(self) -> None:
        for session in self.sessions:
            self.spawn(session.close())
        self.turn(3)
        self.flavour.close()
        self.assertEqual(self.network.failures(), [])

    # -- verbs -------------------------------------------------------------------------------

    def session(self, username: str = "esa", password: str = "secret", **keys: Any) -> Session:
        """One that has not begun."""
        places = [Place(*TRACKER), Place(*TRACKER_2)]
        settings = Settings(**{key: keys.pop(key) for key in list(keys) if key in Settings.__slots__})
        outbox = keys.pop("outbox", None)
        session = Session(self.network, places, Login(username, password, **keys), settings, outbox)
        self.sessions.append(session)
        return session

    def online(self, **keys: Any) -> Session:
        """One that is through its start, its events so far read away."""
        session = self.session(**keys)
        self.run_(session.start())
        self.events(session)
        return session

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Running[T]:
        return self.flavour.spawn(coroutine)

    def run_(self, coroutine: Coroutine[Any, Any, T], seconds: float = 0.0) -> T:
        return self.network.run(coroutine, seconds)

    def turn(self, seconds: float = 0.0) -> None:
        self.network.turn(seconds)

    def events(self, session: Session) -> list[Event]:
        """What waits in the stream now."""

        async def read() -> None:
            async for event in session.events():
                found.append(event)

        found: list[Event] = []
        reading = self.spawn(read())
        self.turn()
        reading.cancel()
        self.turn()
        return found


class OnTwisted:
    """With Deferreds."""

    def make_flavour(self) -> Flavour:
        return TwistedFlavour()


class OnAsyncio:
    """With asyncio's futures."""

    def make_flavour(self) -> Flavour:
        return AsyncioFlavour()

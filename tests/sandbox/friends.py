# SPDX-License-Identifier: MIT
"""Two friends of the sandbox who want direct links, and what each application was told."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred

from xjrelay.client.direct_side import DirectSide
from xjrelay.client.errors import Replaced
from xjrelay.client.model import Direct, Event, Message, Receipt, RoadChange
from xjrelay.client.tx import Client
from xjrelay.sandbox.suite import Sandbox


class Application:
    """One user's.

    Attributes:
        events: everything it was told.
        slow: it takes nothing at the moment.
    """

    def __init__(self, sandbox: Sandbox, client: Client) -> None:
        self.client = client
        self.events: list[Event] = []
        self.slow: Deferred[None] | None = None
        self._sandbox = sandbox
        Deferred.fromCoroutine(self._read())

    async def _read(self) -> None:
        with suppress(Replaced):
            async for event in self.client.events():
                self.events.append(event)
                if self.slow is not None:
                    await self.slow

    @property
    def messages(self) -> list[Message]:
        """What it was shown."""
        return [event for event in self.events if isinstance(event, Message)]

    @property
    def bodies(self) -> list[str]:
        """The texts of that."""
        return [message.body for message in self.messages]

    @property
    def roads(self) -> list[bool]:
        """Each change of the way its messages go: True for directly."""
        return [event.direct for event in self.events if isinstance(event, RoadChange)]

    @property
    def why(self) -> str:
        """Why its messages go the way they go."""
        return [event.detail for event in self.events if isinstance(event, RoadChange)][-1]

    @property
    def side(self) -> DirectSide:
        """The library's part that makes direct links, to look into and to spoil."""
        side = self.client._session._direct
        assert side is not None
        return side

    def send(self, to: str, *bodies: str, **keys: Any) -> list[Deferred[Receipt]]:
        """Send texts one after another, without waiting."""
        return [self.client.send(to, body, timeout=3600, **keys) for body in bodies]

    def say(self, to: str, *bodies: str) -> list[str]:
        """Send texts, and wait for their outcomes."""
        return [self._sandbox.run(sent).status for sent in self.send(to, *bodies)]

    def dawdle(self) -> None:
        """Take nothing more."""
        self.slow = Deferred()

    def hurry(self) -> None:
        """Take what has come."""
        slow, self.slow = self.slow, None
        if slow is not None:
            slow.callback(None)


class Friends(Sandbox):
    """A suite in which some users are each other's contacts.

    Args:
        names: the users.
        direct: how each has direct links.
        options: of the sandbox.
    """

    def __init__(self, *names: str, direct: Direct | None = None, **options: Any) -> None:
        super().__init__(seed=11, **options)
        self.direct = direct or Direct()
        self.start()
        self.applications = {name: self.application(name) for name in names}
        for one in names:
            for other in names:
                if one != other:
                    self.befriend(one, other)
        self.advance(1)

    def application(self, name: str, **options: Any) -> Application:
        """A new user."""
        return Application(self, self.user(name, **{"direct": self.direct, **options}))

    def befriend(self, one: str, other: str) -> None:
        """One adds another."""
        self.run(self.clients[one].roster.add(other))

    def linked(self, one: str, other: str) -> None:
        """Have them talk until both directions are direct."""
        self.applications[one].say(other, "hello")
        self.until(lambda: self.are_direct(one, other), 30)

    def are_direct(self, one: str, other: str) -> bool:
        """Whether both directions are."""
        return self.clients[one].is_direct(other) and self.clients[other].is_direct(one)

    def between(self, one: str, other: str) -> int:
        """How many connections there are between two users' machines."""
        there, here = self.machine(f"user {one}"), self.machine(f"user {other}")
        return self.network.connections(there.address, here.address)

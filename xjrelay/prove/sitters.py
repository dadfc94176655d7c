# SPDX-License-Identifier: MIT
"""Users who come, sit and say nothing: what a login and a session cost a server.

Thinner than the library's clients, of which a thousand would be the load themselves: a connection each to
the manager and to a relay, without a memory or a second try. Must not import Twisted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from xjrelay.client.core import LinkCore, Login, ManagerCore, RelayCore
from xjrelay.client.errors import ClientError, Disconnected, Refused
from xjrelay.client.heard import (
    Answered,
    Assignment,
    Broken,
    CoreEvent,
    IqHeard,
    LoggedIn,
    ProofWanted,
    SessionOpened,
)
from xjrelay.wire.stanzas import Iq, Presence

PATIENCE = 60.0
"""Seconds that one has for each of its connections."""


class Seat(asyncio.Protocol):
    """A connection with a core.

    Args:
        core: what is said and understood.
        wanted: the event that means that all is well.
        on_event: hears every event; may have the core say more.
    """

    def __init__(
        self,
        core: LinkCore,
        wanted: type[CoreEvent],
        on_event: Callable[[CoreEvent], None] = lambda event: None,
    ) -> None:
        self.core = core
        self.settled: asyncio.Future[CoreEvent] = asyncio.get_running_loop().create_future()
        self._wanted = wanted
        self._on_event = on_event
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what there is to say."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self.core.to_send())

    def data_received(self, data: bytes) -> None:
        """Hear, and answer."""
        for event in self.core.receive(data):
            self._on_event(event)
            if isinstance(event, Answered) and event.error:
                self._settle(Refused(event.code, event.msg))
            elif isinstance(event, Broken):
                self._settle(Disconnected(event.why))
            elif isinstance(event, self._wanted):
                self._settle(event)
        if self._transport is not None:
            self._transport.write(self.core.to_send())

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self._settle(Disconnected("the connection is lost"))

    def close(self) -> None:
        """Without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _settle(self, outcome: CoreEvent | ClientError) -> None:
        if self.settled.done():
            return
        if isinstance(outcome, ClientError):
            self.settled.set_exception(outcome)
            self.settled.exception()  # seen, whether or not anybody waits for it
        else:
            self.settled.set_result(outcome)


class Sitter:
    """One of them.

    Args:
        name: of its account.
        password: of its account.
        manager: where to log in.
    """

    def __init__(self, name: str, password: str, manager: tuple[str, int]) -> None:
        self.name = name
        self._password = password
        self._manager = manager
        self._seats: list[Seat] = []

    async def come(self, register: bool = False) -> None:
        """Log in, say that we are there, get the roster, open a session.

        Raises:
            ClientError: refused, or lost.
            TimeoutError: it took too long.
        """
        login = Login(self.name, self._password, register=register)
        assigned: list[Assignment] = []
        core = ManagerCore(("127.0.0.1", 0), login)

        def heard(event: CoreEvent) -> None:
            if isinstance(event, ProofWanted):
                core.prove(event.derive())
            elif isinstance(event, LoggedIn):
                assigned.append(event.assignment)
                core.say(Presence())
                query = {"items": None}
                core.say(Iq(namespace="roster", type="get", from_=self.name, query=query, id="r"))

        await self._sit(self._manager, Seat(core, IqHeard, heard))
        (relay,) = assigned
        session = RelayCore()
        session.open(self.name, relay.token, "")
        await self._sit((relay.host, relay.port), Seat(session, SessionOpened))

    async def go(self) -> None:
        """Hang up."""
        seats, self._seats = self._seats, []
        for seat in seats:
            seat.close()

    async def _sit(self, place: tuple[str, int], seat: Seat) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            try:
                await loop.create_connection(lambda: seat, *place)
            except OSError as error:
                raise Disconnected(str(error)) from error
            self._seats.append(seat)
            await seat.settled

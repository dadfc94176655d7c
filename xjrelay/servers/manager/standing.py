# SPDX-License-Identifier: MIT
"""Sessions that relays report, held against those that are over for good.

A relay hears at once when an account's password is changed or the account is removed; one that
was out of reach then says, when it is back, which sessions it has, and is told here which of them
it has to end. Reports are gathered, because a relay that comes back makes one for each session.
It must not read a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from typing import Protocol as Seam

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xjrelay.storage.interfaces import AccountStore
from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.stanzas import Ncir, Revoke, Stanza

GATHER = 0.05
"""Seconds in which reports become one question to the store."""
AT_ONCE = 1000
"""Sessions in one question."""

Spawn = Callable[[str, Coroutine[Deferred[Any], Any, None]], None]


class Reporter(Seam):
    """A relay's link."""

    def send(self, value: Stanza) -> bool:
        """Say something."""


class Standing:
    """What was reported and is not looked up yet.

    Args:
        accounts: knows which sessions are over.
        clock: gathers.
        spawn: runs what no link waits for, and logs its failure.
    """

    def __init__(self, accounts: AccountStore, clock: IReactorTime, spawn: Spawn) -> None:
        self._accounts = accounts
        self._clock = clock
        self._spawn = spawn
        self._reported: dict[tuple[str, int], tuple[Reporter, Ncir]] = {}
        self._call: IDelayedCall | None = None

    def reported(self, relay: Reporter, report: Ncir) -> None:
        """A relay has a session.

        Raises:
            InvalidAddress: of a name that can't be one.
        """
        self._reported[address.key(report.username), report.session] = (relay, report)
        if len(self._reported) >= AT_ONCE:
            self._look()
        elif self._call is None:
            self._call = self._clock.callLater(GATHER, self._look)

    def stop(self) -> None:
        """Ask no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _look(self) -> None:
        self.stop()
        reported, self._reported = self._reported, {}
        self._spawn("looking up sessions that relays report", self._end_those_over(reported))

    async def _end_those_over(self, reported: dict[tuple[str, int], tuple[Reporter, Ncir]]) -> None:
        for session in await self._accounts.ended(list(reported)):
            relay, report = reported[session]
            # Of this device and number alone: the account may have newer sessions elsewhere.
            revoke = Revoke(
                username=report.username,
                session=report.session,
                reason=CloseReason.LOGGED_OUT.value,
                resource=report.resource,
            )
            relay.send(revoke)

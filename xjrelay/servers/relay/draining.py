# SPDX-License-Identifier: MIT
"""Sending users elsewhere: before the relay stops, or because others have fewer (protocol, section 8).

A user is told to move and opens a session at another relay, which ends the one here as any newer
session does; so nothing here knows what it is owed. Those told are spread over the first half of
the time, lest the manager and the other relays get them all at once. Sessions without
acknowledgement can't be told, and stay until the relay stops.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xjrelay.net.context import Context
from xjrelay.servers.relay.peers import Peers
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.servers.relay.switch import Switch
from xjrelay.servers.relay.upstream import Upstream
from xjrelay.wire import codec
from xjrelay.wire.stanzas import Move

_log = Logger()


class Draining:
    """Moves users away.

    Args:
        context: what the program's links share.
        switch: whose users.
        upstream: tells that nobody is let in; without it nobody could be let in elsewhere.
        peers: where they may go.
    """

    def __init__(self, context: Context, switch: Switch, upstream: Upstream, peers: Peers) -> None:
        self._clock = context.clock
        self._switch = switch
        self._upstream = upstream
        self._peers = peers
        self._calls: set[IDelayedCall] = set()
        self._done: Deferred[None] | None = None
        switch.announcing.append(self)

    def drain(self, within: float) -> Deferred[None]:
        """Let nobody in any more, and tell everybody to move.

        Args:
            within: seconds.

        Returns:
            Fires when nobody is left who could move, or when the time is up.
        """
        if not self._switch.draining:
            _log.info("draining for {seconds} s", event="relay-drains", seconds=within)
            self._switch.draining = True
            self._upstream.drains()
        self._upstream.on_lost = self._finish
        movable = self._movable()
        if not movable or not self._upstream.linked or not self._peers.linked:
            return succeed(None)
        self._cancel()
        self._spread(movable, within)
        self._later(within, self._finish)
        self._done = self._done or Deferred()
        return self._done

    def shed(self, users: int, within: float) -> None:
        """Tell so many users to move, the latest who came.

        Args:
            users: how many.
            within: seconds.
        """
        if not self._peers.linked:
            _log.warn("{users} users were to move, and no other relay is linked", users=users)
        elif not self._switch.draining:
            self._spread(self._movable()[-users:] if users else [], within)

    def _spread(self, sessions: list[UserSession], within: float) -> None:
        _log.info("{count} users are told to move", count=len(sessions))
        for index, session in enumerate(sessions):
            delay = within / 2 * index / len(sessions)
            self._later(delay, self._tell, session, within - delay)

    def _tell(self, session: UserSession, left: float) -> None:
        if session.link is not None:
            session.link.send_frame(codec.encode(Move(self._others(), int(left * 1000))))

    def _others(self) -> list[dict[str, Any]]:
        return [
            {"username": name, "ip_local": place[0], "port": place[1], "type": "relay"}
            for name, place in self._peers.others
        ]

    def _movable(self) -> list[UserSession]:
        handles = (route.handle for route in self._switch.table.local())
        return [one for one in handles if one is not None and one.owed is not None and one.link is not None]

    def _later(self, delay: float, call: Any, *args: Any) -> None:
        def run() -> None:
            self._calls.discard(timer)
            call(*args)

        timer = self._clock.callLater(delay, run)
        self._calls.add(timer)

    def _cancel(self) -> None:
        calls, self._calls = self._calls, set()
        for call in calls:
            call.cancel()

    def _finish(self) -> None:
        self._cancel()
        done, self._done = self._done, None
        if done is not None:
            done.callback(None)

    # -- for the switch ----------------------------------------------------------------------

    def user_opened(self, session: UserSession) -> None:
        """Nothing."""

    def user_closed(self, session: UserSession) -> None:
        """Perhaps the last."""
        if self._done is not None and not self._movable():
            self._finish()

    def user_changed(self, session: UserSession) -> None:
        """Nothing: it may come back, and is told then or handed over at the end."""

    def stop(self) -> None:
        """Tell nobody anything more."""
        self._finish()

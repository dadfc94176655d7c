# SPDX-License-Identifier: MIT
"""The user's presence said, that of others asked and heard (RFC 6121, section 4; U6, U11, U12).

The latest of each is in the book of :mod:`contacts`, which the application reads. That a contact was added or
removed travels as a presence too, but is :mod:`roster`'s. Knows no link.
"""

from __future__ import annotations

from collections.abc import Callable

from xjrelay.client.checks import check_user
from xjrelay.client.contacts import ContactBook, PresenceBook, presence_of, user_of
from xjrelay.client.errors import ClientError, Refused, TimedOut
from xjrelay.client.manager_requests import ASK_TIMEOUT, ManagerRequests
from xjrelay.client.model import Event, Presence, user_key
from xjrelay.client.network import Network, Promise
from xjrelay.wire import stanzas


class UserPresence:
    """How the user is, and how others are.

    Args:
        network: the framework.
        requests: asks the manager.
        contacts: whose presence is kept, however it came.
        presences: the presences as last heard; written here.
        emit: tells the application.
        came_online: hears of each contact that is there now.
    """

    def __init__(
        self,
        network: Network,
        requests: ManagerRequests,
        contacts: ContactBook,
        presences: PresenceBook,
        emit: Callable[[Event], None],
        came_online: Callable[[str], None],
    ) -> None:
        self._network = network
        self._requests = requests
        self._contacts = contacts
        self._presences = presences
        self._emit = emit
        self._came_online = came_online
        self._mine: dict[str, str] = {}  # show and status as the application set them
        self._asked: dict[str, list[Promise[Presence]]] = {}

    async def set(
        self, *, bio: str | None = None, show: str | None = None, status: str | None = None
    ) -> None:
        """Tell contacts how the user is.

        Args:
            bio: the user's line, kept at the manager (U12).
            show: ``away``, ``chat``, ``dnd``, ``xa``, or the empty string for plainly there.
            status: a line for now; the empty string for none.

        Raises:
            Refused: a text too long, or a ``show`` that is none.
        """
        self._requests.check_open()
        if bio is not None:
            await self._requests.tell(stanzas.Presence(from_=self._requests.username, bio=bio))
        if show is None and status is None:
            return
        for key, text in (("show", show), ("status", status)):
            if text is not None:
                self._mine[key] = text
        await self.say()

    async def say(self) -> None:
        """Say that the user is there, with what the application set: the initial presence too (U6)."""
        show, status = self._mine.get("show") or None, self._mine.get("status") or None
        mine = stanzas.Presence(from_=self._requests.username, show=show, status=status)  # type: ignore[arg-type]
        await self._requests.tell(mine)

    async def ask(self, user: str) -> Presence:
        """How another user is, contact or not; it hears how we are (U11).

        Raises:
            Refused: 404 there is no such user.
        """
        self._requests.check_open()
        check_user(user)
        promise: Promise[Presence] = Promise(self._network)
        waiting = self._asked.setdefault(user_key(user), [])
        waiting.append(promise)
        try:
            await self._requests.tell(stanzas.Presence(from_=self._requests.username, to=user))
            return await promise.wait_within(ASK_TIMEOUT, TimedOut("the manager didn't say how that user is"))
        finally:
            if promise in waiting:
                waiting.remove(promise)

    def heard(self, presence: stanzas.Presence) -> None:
        """How somebody is, as the manager says it."""
        user = user_of(presence)
        if presence.type == "error":
            self._answer(presence.target or user, Refused(404, "there is no such user"))
        elif (value := presence_of(presence)) is not None:
            if not value.directed or user in self._contacts:
                self._presences.put(value)
            if value.state == "online" and not value.directed:
                self._came_online(user)
            self._answer(user, value)
            self._emit(value)

    def abandon(self, error: ClientError) -> None:
        """The client is over: whoever asked is told ``error``."""
        for promises in self._asked.values():
            for promise in promises:
                promise.settle(error)
        self._asked.clear()

    def _answer(self, user: str, outcome: Presence | ClientError) -> None:
        for promise in self._asked.pop(user_key(user), []):
            promise.settle(outcome)

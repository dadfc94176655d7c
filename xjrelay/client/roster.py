# SPDX-License-Identifier: MIT
"""The user's roster at the manager: got, changed, and kept as others change it (RFC 6121, section 2; U7-U10).

What it knows is in the books of :mod:`contacts`, which the application reads; here is what is asked for and
what is told. Knows no link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xjrelay.client.checks import check_user
from xjrelay.client.contacts import ContactBook, PresenceBook, contact_of, user_of
from xjrelay.client.errors import ClientError, Refused
from xjrelay.client.manager_requests import ManagerRequests
from xjrelay.client.model import Contact, Event, RosterChange, user_key
from xjrelay.client.network import Network
from xjrelay.wire import stanzas


class UserRoster:
    """Whom the user has as contacts.

    Args:
        network: the framework.
        requests: asks the manager.
        contacts: the roster as last heard; written here.
        presences: forgets whoever is no contact any more.
        emit: tells the application.
    """

    def __init__(
        self,
        network: Network,
        requests: ManagerRequests,
        contacts: ContactBook,
        presences: PresenceBook,
        emit: Callable[[Event], None],
    ) -> None:
        self._network = network
        self._requests = requests
        self._contacts = contacts
        self._presences = presences
        self._emit = emit
        self._changes: list[str] = []  # contacts that a request under way is about

    async def get(self) -> list[Contact]:
        """The roster, asked anew."""
        iq = await self._requests.iq("get", {"items": None})
        items = iq.query.get("items") if isinstance(iq.query, dict) else None
        self._contacts.learn(items if isinstance(items, list) else [])
        return list(self._contacts)

    async def add(self, user: str, name: str | None = None) -> Contact:
        """Add a contact, or rename one (U8, U9).

        Raises:
            Refused: 404 there is no such user; 400 it is the user itself.
        """
        check_user(user)
        item = {"jid": user, "subscription": "to"} | ({} if name is None else {"name": name})
        if user_key(user) == user_key(self._requests.username):
            raise Refused(400, "nobody is their own contact")
        with self._changing(user):
            iq = await self._requests.iq("set", {"item": item})
        contact = contact_of(iq.query.get("item")) if isinstance(iq.query, dict) else None
        contact = contact or Contact(user, name)
        if self._contacts.put(contact):
            self._emit(RosterChange(contact))
        return contact

    async def remove(self, user: str) -> None:
        """Remove a contact (U10).

        Raises:
            Refused: 400 it is not in the roster.
        """
        check_user(user)
        item = {"jid": user, "subscription": "to"}
        try:
            with self._changing(user):
                await self._requests.iq("set", {"item": item}, subscription="remove")
        except Refused as error:
            if error.code != 400:
                raise
            raise Refused(400, f"{user} is not a contact") from error
        self._presences.drop(user)
        was = self._contacts.drop(user)
        if was is not None:
            self._emit(RosterChange(was, removed=True))

    @contextmanager
    def _changing(self, user: str) -> Iterator[None]:
        """Meanwhile what is told of that contact is our own doing."""
        self._changes.append(user_key(user))
        try:
            yield
        finally:
            self._changes.remove(user_key(user))

    def told(self, presence: stanzas.Presence) -> None:
        """``subscribed`` or ``unsubscribed``, with the contact as it is now."""
        user, item = user_of(presence), presence.item
        if contact_of(item) is None:
            self._network.spawn(self._look_again())
            return
        change = self._contacts.apply(item, by_other=user_key(user) not in self._changes)
        if change is not None:
            if change.removed:
                self._presences.drop(change.contact.username)
            self._emit(change)

    async def _look_again(self) -> None:
        """Something changed and we weren't told what is left: ask."""
        before = {one.username: one for one in self._contacts}
        try:
            after = {one.username: one for one in await self.get()}
        except ClientError:
            return  # the link went; the next login gets the roster anyway
        for name in before.keys() - after.keys():
            self._presences.drop(name)
            self._emit(RosterChange(before[name], removed=True, by_other=True))
        for name, contact in after.items():
            if before.get(name) != contact:
                self._emit(RosterChange(contact, by_other=True))

# SPDX-License-Identifier: MIT
"""The roster and the presences as the user last heard them: values in, changes out.

No link and no framework here; ``roster.py`` and ``presence.py`` ask and are told, the faces (``tx.py``,
``aio.py``) show these to the application to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xjrelay.client.model import Contact, Presence, RosterChange, user_key
from xjrelay.wire import stanzas

SHOWN = frozenset({"to", "both"})
"""The subscriptions with which somebody is in the roster (protocol, section 6)."""


class ContactBook:
    """The contacts, by key."""

    def __init__(self) -> None:
        self._contacts: dict[str, Contact] = {}

    def __iter__(self) -> Iterator[Contact]:
        return iter(sorted(self._contacts.values(), key=lambda one: one.username))

    def __len__(self) -> int:
        return len(self._contacts)

    def __contains__(self, user: str) -> bool:
        return user_key(user) in self._contacts

    def get(self, user: str) -> Contact | None:
        """A contact by any spelling of its name."""
        return self._contacts.get(user_key(user))

    def learn(self, items: list[Any]) -> None:
        """The whole roster, as the manager told it."""
        contacts = [contact for item in items if (contact := contact_of(item)) is not None]
        self._contacts = {user_key(one.username): one for one in contacts}

    def put(self, contact: Contact) -> bool:
        """One contact as it is now; false when that is nothing new."""
        key = user_key(contact.username)
        if self._contacts.get(key) == contact:
            return False
        self._contacts[key] = contact
        return True

    def drop(self, user: str) -> Contact | None:
        """No longer a contact; what it was."""
        return self._contacts.pop(user_key(user), None)

    def apply(self, item: dict[str, Any] | None, by_other: bool) -> RosterChange | None:
        """An item that came with ``subscribed``; what it changed, if anything.

        A ``from`` in it is the other's contact, not the user's.
        """
        contact = contact_of(item)
        if contact is None:
            return None
        if contact.subscription in SHOWN:
            return RosterChange(contact, by_other=by_other) if self.put(contact) else None
        was = self.drop(contact.username)
        return None if was is None else RosterChange(was, removed=True, by_other=by_other)


def contact_of(item: Any) -> Contact | None:
    """A roster item's value, or None when it lacks what it needs."""
    if not isinstance(item, dict) or not isinstance(item.get("jid"), str):
        return None
    name, subscription = item.get("name"), item.get("subscription")
    return Contact(
        item["jid"],
        # Where no name was given the manager says the username again.
        name if isinstance(name, str) and name and name != item["jid"] else None,
        subscription if isinstance(subscription, str) else "to",
    )


class PresenceBook:
    """The latest presence of each user heard of, by key."""

    def __init__(self) -> None:
        self._presences: dict[str, Presence] = {}

    def __iter__(self) -> Iterator[Presence]:
        return iter(sorted(self._presences.values(), key=lambda one: one.username))

    def __len__(self) -> int:
        return len(self._presences)

    def get(self, user: str) -> Presence | None:
        """A user's, by any spelling of its name."""
        return self._presences.get(user_key(user))

    def put(self, presence: Presence) -> None:
        """The latest."""
        self._presences[user_key(presence.username)] = presence

    def drop(self, user: str) -> None:
        """Its presence is no longer told to us."""
        self._presences.pop(user_key(user), None)


def user_of(stanza: stanzas.Presence) -> str:
    """Whom a presence is about; empty where it is about nobody."""
    return stanza.username or (stanza.from_ or "").partition("/")[0]


def presence_of(stanza: stanzas.Presence) -> Presence | None:
    """A presence's value; None for one that says of nobody how it is."""
    username = user_of(stanza)
    if not username or (stanza.online is None and stanza.type != "unavailable" and stanza.bio is None):
        return None
    online = bool(stanza.online) if stanza.online is not None else stanza.type != "unavailable"
    return Presence(
        username=username,
        online=online,
        bio=stanza.bio,
        show=stanza.show,
        status=stanza.status,
        updated_at=stanza.updated_at,
        directed=bool(stanza.directed_entity),
        resuming=online and stanza.state == "resuming",
    )

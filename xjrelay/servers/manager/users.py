# SPDX-License-Identifier: MIT
"""Who is logged in here, on which link, and what is said of them to others.

A plain registry over :mod:`xjrelay.domain`: a test builds it without a reactor. It must not
read a frame or a store.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from xjrelay.domain.accounts import LiveLogins
from xjrelay.domain.mailbox import Reach
from xjrelay.domain.presence import Availability, Change, Presence, PresenceBoard
from xjrelay.domain.roster import Row, Told
from xjrelay.net.protocol import Link
from xjrelay.storage.interfaces import Profile
from xjrelay.wire import stanzas


@dataclass(eq=False, slots=True)
class User:
    """One device of an account, logged in.

    Args:
        key: the account's.
        username: the registered spelling.
        resource: which device; the empty string for the only one.
        link: its connection.
        session: the highest number it was given for a session on a relay; 0 before the first.
        told: whether it has had its answer to the login; nothing else may reach it before.
    """

    key: str
    username: str
    resource: str
    link: Link
    session: int = 0
    told: bool = field(default=False)

    def send(self, stanza: stanzas.Stanza) -> None:
        """Say something to this device, if it can be said anything yet."""
        if self.told:
            self.link.send(stanza)


class Users:
    """Everybody who is logged in."""

    def __init__(self) -> None:
        self._live: LiveLogins[User] = LiveLogins()
        self._board = PresenceBoard()
        self._profiles: dict[str, Profile] = {}

    def __len__(self) -> int:
        """Accounts logged in."""
        return len(self._live)

    @property
    def online(self) -> int:
        """Accounts whose presence says so."""
        return len(self._board)

    def enter(self, user: User, profile: Profile, *, replace: bool) -> User | None:
        """A device whose password was right; returns the one it replaces, which is out already.

        Raises:
            RemoteError: 409, its resource is logged in and ``replace`` was not said.
        """
        older = self._live.claim(user.key, user.resource, user, replace=replace)
        if older is not None:
            self._board.vanish(older.key, older.resource)
        self._profiles[user.key] = profile
        return older

    def leave(self, user: User) -> Change:
        """A device is gone; says what that changed for its contacts (nothing, if it was out)."""
        if not self._live.release(user.key, user.resource, user):
            return Change.NOTHING
        change = self._board.vanish(user.key, user.resource)
        if user.key not in self._live:
            del self._profiles[user.key]
        return change

    def keys(self) -> Collection[str]:
        """Every account that is logged in."""
        return self._live.keys()

    def appear(self, user: User, availability: Availability) -> Change:
        """A device says it is available."""
        return self._board.appear(user.key, user.resource, availability)

    def is_available(self, user: User) -> bool:
        """Whether this device said so and didn't leave."""
        return self._board.available(user.key, user.resource)

    def is_live(self, user: User) -> bool:
        """Whether this very device is still the one logged in on its resource."""
        return user in self._live.links(user.key)

    def devices(self, key: str) -> list[User]:
        """Every device of an account that is logged in."""
        return self._live.links(key)

    def profile(self, user: User) -> Profile:
        """What others may know of somebody logged in."""
        return self._profiles[user.key]

    def set_profile(self, profile: Profile) -> None:
        """The bio of somebody logged in changed."""
        self._profiles[profile.key] = profile

    def presence(self, profile: Profile) -> Presence:
        """What anybody's contacts see of it now."""
        shown, resuming = self._board.shown(profile.key), self._board.resuming(profile.key)
        return Presence(profile.username, profile.bio, profile.updated_at, shown, resuming)

    def reached(self, key: str, resource: str, reach: Reach) -> Profile | None:
        """Whether a device can be reached; the account's profile where its contacts are to hear of it."""
        change = self._board.reached(key, resource, reach)
        return None if change is Change.NOTHING else self._profiles.get(key)


def presence_stanza(presence: Presence, to: str, *, directed: bool = False) -> stanzas.Presence:
    """A user's presence as it goes to another (protocol, section 6)."""
    shown = presence.shown or Availability()
    return stanzas.Presence(
        from_=presence.username,
        to=to,
        username=presence.username,
        bio=presence.bio,
        online=1 if presence.online else 0,
        updated_at=presence.updated_at,
        show=shown.show,
        status=shown.status,
        state="resuming" if presence.resuming else None,
        directed_entity=True if directed else None,
    )


def roster_item(username: str, row: Row | None) -> dict[str, str]:
    """A contact as it stands on the wire; ``remove`` says that the row is gone (RFC 6121, 2.1.2.5)."""
    if row is None:
        return {"jid": username, "name": username, "subscription": "remove"}
    return {"jid": username, "name": row.name or username, "subscription": row.subscription.value}


def told_stanza(told: Told, contact: str, owner: str, row: Row | None) -> stanzas.Presence:
    """How the owner of a roster is told that its item about a contact changed."""
    return stanzas.Presence(from_=contact, to=owner, type=told.value, item=roster_item(contact, row))

# SPDX-License-Identifier: MIT
"""Who is available, how, and who hears of it (protocol, section 6; RFC 6121, 4).

A user may have several devices (resources) available at once, but contacts see one presence a user:
that of the device that spoke last. The board holds no links and sends nothing: it says what
changed, and the server tells whom. This module must not import a store, a clock or Twisted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from xjrelay.domain.mailbox import Reach

DEFAULT_BIO = "Feel happy using this application! ;D"
"""A new account's bio, unless the operator chose another."""


Show = Literal["away", "chat", "dnd", "xa"]
"""The values of ``show`` (RFC 6121, 4.7.2.1)."""


@dataclass(frozen=True, slots=True)
class Availability:
    """What an available device says of itself (RFC 6121, 4.7.2)."""

    show: Show | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """What a contact sees of a user.

    Args:
        username: the registered spelling.
        bio: the user's own line.
        updated_at: when the bio was last set, in milliseconds since the epoch.
        shown: what its latest available device says; None when the user is offline.
        resuming: whether that device has lost its connection to its relay and may be back any moment.
    """

    username: str
    bio: str
    updated_at: int
    shown: Availability | None = None
    resuming: bool = False

    @property
    def online(self) -> int:
        """1 or 0, as on the wire."""
        return 0 if self.shown is None else 1


class Change(Enum):
    """What a device's coming or going changed in what contacts see."""

    CAME = "came"
    CHANGED = "changed"
    WENT = "went"
    NOTHING = "nothing"


class PresenceBoard:
    """Which devices of which users are available; the latest to speak is the one shown.

    Of them only those that can be reached with a message: one whose session at a relay is over is not
    shown, and one whose session waits for it only where there is no other. A device that never had a
    session is there by its word alone.
    """

    def __init__(self) -> None:
        self._devices: dict[str, dict[str, Availability]] = {}
        self._reach: dict[tuple[str, str], Reach] = {}  # of devices that have, or had, a session

    def appear(self, key: str, resource: str, availability: Availability) -> Change:
        """A device says it is available, for the first time or anew.

        Returns:
            ``CAME`` when the user was offline, else ``CHANGED`` (also for an equal presence: saying
            it again is how a client asks for it to be repeated).
        """
        devices = self._devices.setdefault(key, {})
        change = Change.CHANGED if devices else Change.CAME
        devices.pop(resource, None)  # to the end: the latest is shown
        devices[resource] = availability
        return change

    def vanish(self, key: str, resource: str) -> Change:
        """A device is no longer available.

        Returns:
            ``WENT`` when it was the last, ``CHANGED`` when another is now the one shown, else ``NOTHING``.
        """
        devices = self._devices.get(key)
        if devices is None or resource not in devices:
            return Change.NOTHING
        before = self._shown(key)
        del devices[resource]
        if not devices:
            del self._devices[key]
        if self._reach.get((key, resource)) is Reach.NOWHERE:
            del self._reach[key, resource]
        return self._change(before, key)

    def reached(self, key: str, resource: str, reach: Reach) -> Change:
        """Whether a device can be reached, as its relay knows; says what that changes."""
        before = self._shown(key)
        if reach is Reach.NOWHERE and not self.available(key, resource):
            self._reach.pop((key, resource), None)
        else:
            self._reach[key, resource] = reach
        return self._change(before, key)

    def shown(self, key: str) -> Availability | None:
        """What contacts see of a user, or None when it is offline."""
        shown = self._shown(key)
        return self._devices[key][shown[0]] if shown else None

    def resuming(self, key: str) -> bool:
        """Whether the device shown has lost its connection, and may be back any moment."""
        shown = self._shown(key)
        return shown is not None and shown[1]

    def _shown(self, key: str) -> tuple[str, bool] | None:
        """The device shown, and whether it only may be back."""
        absent = None
        for resource in reversed(self._devices.get(key, {})):
            reach = self._reach.get((key, resource), Reach.HERE)
            if reach is Reach.HERE:
                return resource, False
            if reach is Reach.RESUMING and absent is None:
                absent = resource
        return None if absent is None else (absent, True)

    def _change(self, before: tuple[str, bool] | None, key: str) -> Change:
        after = self._shown(key)
        if before == after:
            return Change.NOTHING
        if after is None:
            return Change.WENT
        return Change.CAME if before is None else Change.CHANGED

    def available(self, key: str, resource: str) -> bool:
        """Whether this very device is available (it then receives presence)."""
        return resource in self._devices.get(key, {})

    def __len__(self) -> int:
        """How many users are online."""
        return len(self._devices)

# SPDX-License-Identifier: MIT
"""Which relay a user gets: the one with the fewest (protocol, section 5).

A user counts where it is connected, and from the moment it is assigned until it arrives or
30 seconds have passed, so that a thousand logins in one second spread instead of all going to
the relay that was emptiest when they began. What relays report is idempotent: a report said
twice, late, or again after a reconnect leaves the same count. Time comes as an argument.
This module must not import a store, a clock or Twisted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

TOLERANCE = 1.1
"""How far above an even share a relay may be, before some of its users are sent elsewhere."""

Device = tuple[str, str]
"""An account's key and a resource."""


@dataclass(slots=True)
class _Relay:
    sessions: dict[Device, int] = field(default_factory=dict)
    awaited: dict[Device, float] = field(default_factory=dict)  # in order of their deadlines
    is_closed: bool = False
    spared_until: float = 0.0

    def takes(self, now: float) -> bool:
        """Whether it is given users, as far as it goes."""
        return not self.is_closed and now >= self.spared_until


class Placement:
    """The relays a manager has, and who is on each.

    Args:
        assign_timeout: seconds an assigned user counts without having arrived.
    """

    def __init__(self, assign_timeout: float = 30.0) -> None:
        self._timeout = assign_timeout
        self._relays: dict[str, _Relay] = {}
        self._awaited_at: dict[Device, str] = {}

    def add(self, name: str) -> None:
        """A relay's link opened. It is known to hold nobody until it has said whom it holds."""
        self.drop(name)
        self._relays[name] = _Relay()

    def drop(self, name: str) -> None:
        """A relay's link ended: nobody is assigned to it from now on."""
        relay = self._relays.pop(name, None)
        if relay is not None:
            for device in relay.awaited:
                if self._awaited_at.get(device) == name:
                    del self._awaited_at[device]

    def close(self, name: str) -> None:
        """A relay takes no more users; those it has it keeps for now."""
        relay = self._relays.get(name)
        if relay is not None:
            relay.is_closed = True
            for device in list(relay.awaited):
                self._arrived(device)

    def is_closed(self, name: str) -> bool:
        """Whether a relay takes no more users."""
        relay = self._relays.get(name)
        return relay is not None and relay.is_closed

    def spare(self, name: str, until: float) -> None:
        """A relay is given nobody before a time, as long as another takes users."""
        if name in self._relays:
            self._relays[name].spared_until = until

    def surplus(self, now: float) -> dict[str, int]:
        """For each relay that is well above an even share, how many users it has too many.

        Well above is over :data:`TOLERANCE`, and a whole user at least. Relays that take none don't count.
        """
        loads = {name: self.load(name, now) for name, relay in self._relays.items() if relay.takes(now)}
        even = sum(loads.values()) / len(loads) if loads else 0.0
        return {
            name: load - ceil(even)
            for name, load in loads.items()
            if load > even * TOLERANCE and load > ceil(even)
        }

    def connected(self, name: str, key: str, resource: str, session: int) -> None:
        """A relay reports a user (``ncir``); an older session than the known one changes nothing."""
        relay = self._relays.get(name)
        if relay is None:
            return
        device = (key, resource)
        self._arrived(device)
        relay.sessions[device] = max(session, relay.sessions.get(device, session))

    def ended(self, name: str, key: str, resource: str, session: int) -> None:
        """A relay reports that a user left (``ecir``); one about an older session changes nothing."""
        relay = self._relays.get(name)
        if relay is not None and relay.sessions.get((key, resource), session + 1) <= session:
            del relay.sessions[key, resource]

    def assign(self, key: str, resource: str, now: float) -> str | None:
        """The relay with the fewest users, the first by name among equals; it now awaits this one.

        Args:
            key: the account.
            resource: the device; it is awaited at one relay at most.
            now: seconds, on the clock every call uses.

        Returns:
            The relay's name, or None when there is none.
        """
        device = (key, resource)
        self._arrived(device)
        names = [name for name, relay in self._relays.items() if relay.takes(now)]
        names = names or [name for name, relay in self._relays.items() if not relay.is_closed]
        if not names:
            return None
        name = min(names, key=lambda name: (self.load(name, now), _natural(name)))
        self._relays[name].awaited[device] = now + self._timeout
        self._awaited_at[device] = name
        return name

    def load(self, name: str, now: float) -> int:
        """Users connected to a relay and on their way to it; 0 for one that is not there."""
        relay = self._relays.get(name)
        if relay is None:
            return 0
        while relay.awaited:
            device, deadline = next(iter(relay.awaited.items()))
            if deadline > now:
                break
            self._arrived(device)
        return len(relay.sessions) + len(relay.awaited)

    def __contains__(self, name: object) -> bool:
        return name in self._relays

    def __iter__(self) -> Iterator[str]:
        return iter(self._relays)

    def __len__(self) -> int:
        return len(self._relays)

    def _arrived(self, device: Device) -> None:
        name = self._awaited_at.pop(device, None)
        if name is not None and name in self._relays:
            self._relays[name].awaited.pop(device, None)


def _natural(name: str) -> tuple[int, str]:
    return len(name), name  # relay2 before relay10

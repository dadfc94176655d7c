# SPDX-License-Identifier: MIT
"""Who is where, for certain: when a message may be stored, and when a mailbox may be handed out.

The manager alone decides this (protocol, section 8), because a message stored for somebody who is
somewhere, or handed out before an older session has given back what it was owed, would be overtaken.
:class:`Whereabouts` is its memory: the sessions that relays have reported, those of relays that are
lost and not given up, and the relays that are still to report. Relays are names, users keys.

Values in, decisions out; it knows no store, clock or link, and imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum


class Reach(Enum):
    """Whether a user's device can be reached with a message."""

    HERE = "here"
    """A session with a connection."""
    RESUMING = "resuming"
    """A session without one, or at a relay that is lost: it may be back any moment."""
    NOWHERE = "nowhere"


@dataclass(slots=True, eq=False)
class Stay:
    """A session at a relay.

    Attributes:
        relay: its name.
        key: the account's.
        username: its registered spelling.
        resource: the device, the empty string for none.
        number: rising an account; higher is newer.
        waits: whether its opening is still to be answered.
        handed: whether its mailbox is being handed out, or has been.
        resuming: whether it has lost its connection.
        is_stale: whether its relay has said hello again and not reported it yet.
        rows: what was handed out to it and not taken.
        last: the highest row handed out to it.
        is_reading: whether more is being read for it.
    """

    relay: str
    key: str
    username: str
    resource: str
    number: int
    waits: bool = False
    handed: bool = False
    resuming: bool = False
    is_stale: bool = False
    rows: set[int] = field(default_factory=set)
    last: int = 0
    is_reading: bool = False


@dataclass(slots=True)
class Report:
    """What follows from a relay's report of a session.

    Attributes:
        stay: the session.
        ends: older sessions of that device, at other relays: to be ended, and so handed over.
        is_old: a newer one is known elsewhere, so this one is to be ended.
    """

    stay: Stay
    ends: list[Stay]
    is_old: bool


@dataclass(slots=True)
class _Relay:
    stays: dict[tuple[str, str], Stay] = field(default_factory=dict)
    is_linked: bool = True


class Whereabouts:
    """Every session that there is or may be."""

    def __init__(self) -> None:
        self._relays: dict[str, _Relay] = {}
        self._by_key: dict[str, list[Stay]] = {}
        self._awaited: set[str] = set()

    # -- relays ------------------------------------------------------------------------------

    def expect(self, names: Iterable[str]) -> None:
        """We have just started: these relays were here before, and may have sessions."""
        self._awaited = {name for name in names if name not in self._relays}

    @property
    def awaited(self) -> frozenset[str]:
        """The relays that are still to report."""
        return frozenset(self._awaited)

    def joined(self, name: str) -> None:
        """A relay's link opened; what it had before is in doubt until it has reported."""
        relay = self._relays.setdefault(name, _Relay())
        relay.is_linked = True
        for stay in relay.stays.values():
            stay.is_stale = True

    def reported(self, name: str) -> list[Stay]:
        """A relay has said each session it has; returns those it has no more, which are over."""
        self._awaited.discard(name)
        return self._drop(name, [stay for stay in self._stays(name) if stay.is_stale])

    def lost(self, name: str) -> bool:
        """A relay's link ended; whether it may have sessions, and is to be given up one day."""
        relay = self._relays.get(name)
        if relay is None:
            return False
        relay.is_linked = False
        if not relay.stays and name not in self._awaited:
            del self._relays[name]
            return False
        return True

    def give_up(self, name: str) -> list[Stay]:
        """A relay is not awaited any more: its sessions are over. Returns them."""
        self._awaited.discard(name)
        gone = self._drop(name, self._stays(name))
        self._relays.pop(name, None)
        return gone

    # -- sessions ----------------------------------------------------------------------------

    def report(
        self, name: str, key: str, username: str, resource: str, number: int, *, waits: bool, resuming: bool
    ) -> Report:
        """A relay says that it has a session."""
        relay = self._relays.setdefault(name, _Relay())
        known = relay.stays.get((key, resource))
        if known is not None and known.number == number and not known.is_stale:
            stay = known
            stay.resuming = resuming
        else:
            self._drop(name, [known] if known is not None else [])
            stay = Stay(name, key, username, resource, number, waits, not waits, resuming)
            relay.stays[key, resource] = stay
            self._by_key.setdefault(key, []).append(stay)
        others = [one for one in self._device(stay) if one is not stay and self._relays[one.relay].is_linked]
        is_old = any(other.number > number for other in others)
        return Report(stay, [] if is_old else [one for one in others if one.number < number], is_old)

    def ended(self, name: str, key: str, resource: str, number: int) -> Stay | None:
        """A relay says that a session is over; None when it was an older one than we know."""
        known = self._relays[name].stays.get((key, resource)) if name in self._relays else None
        if known is None or known.number > number:
            return None
        self._drop(name, [known])
        return known

    def is_ready(self, stay: Stay) -> bool:
        """Whether a session that waits may have its mailbox now: no other of that device is there, which
        would have to be handed over first, or is newer.

        An older one at a relay that is lost can't be waited for; what it is owed fails when that relay
        is gone, and its senders go back.
        """
        if stay.handed or not self._relays[stay.relay].is_linked:
            return False
        others = (one for one in self._device(stay) if one is not stay)
        return not any(self._relays[one.relay].is_linked for one in others)

    def waiting(self, key: str) -> list[Stay]:
        """An account's sessions whose mailbox may be handed out now, and is not."""
        return [stay for stay in self._by_key.get(key, ()) if self.is_ready(stay)]

    def find(self, name: str, key: str) -> list[Stay]:
        """An account's sessions at a relay."""
        return [stay for stay in self._by_key.get(key, ()) if stay.relay == name]

    def is_current(self, stay: Stay) -> bool:
        """Whether a session is still what its relay says it has."""
        relay = self._relays.get(stay.relay)
        return relay is not None and relay.stays.get((stay.key, stay.resource)) is stay

    def may_store(self, name: str, key: str, resource: str) -> bool:
        """Whether a relay's message for a user may be stored now.

        Not where the user is at another relay, or may be: then the message has to go there, now or when
        that is known. A relay is the authority for its own: what it wants to store for a user whom it
        reported, that session has left unacknowledged, and its end follows.

        Args:
            name: the relay's.
            key: the recipient's.
            resource: of a full address, else the empty string.
        """
        if self._awaited:
            return False
        return not any(
            stay.relay != name
            and resource in ("", stay.resource)
            and (stay.handed or stay.is_stale or not self._relays[stay.relay].is_linked)
            for stay in self._by_key.get(key, ())
        )

    def reach(self, key: str, resource: str) -> Reach:
        """Whether a device can be reached."""
        stays = [stay for stay in self._by_key.get(key, ()) if stay.resource == resource]
        if not stays:
            return Reach.NOWHERE
        here = any(
            not (stay.resuming or stay.is_stale) and self._relays[stay.relay].is_linked for stay in stays
        )
        return Reach.HERE if here else Reach.RESUMING

    def devices(self, name: str) -> list[tuple[str, str]]:
        """Key and resource of each session at a relay."""
        return [(stay.key, stay.resource) for stay in self._stays(name)]

    def keys(self) -> Collection[str]:
        """Every account that has a session, or may have one."""
        return self._by_key.keys()

    def stays(self, key: str) -> list[Stay]:
        """An account's sessions."""
        return list(self._by_key.get(key, ()))

    def _stays(self, name: str) -> list[Stay]:
        return list(self._relays[name].stays.values()) if name in self._relays else []

    def _device(self, stay: Stay) -> Iterator[Stay]:
        return (one for one in self._by_key.get(stay.key, ()) if one.resource == stay.resource)

    def _drop(self, name: str, stays: list[Stay]) -> list[Stay]:
        for stay in stays:
            del self._relays[name].stays[stay.key, stay.resource]
            here = self._by_key[stay.key]
            here.remove(stay)
            if not here:
                del self._by_key[stay.key]
        return stays

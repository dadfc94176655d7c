# SPDX-License-Identifier: MIT
"""The sessions that relays report: who is where for certain, and what follows (protocol, section 8).

Carries out what :mod:`xjrelay.domain.mailbox` decides: older sessions are told to end, relays that stay
away are given up and kept out of the mesh, contacts hear who can be reached. It must not read a
frame or a store but the one of relays.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from xjrelay.domain.mailbox import Reach, Stay, Whereabouts
from xjrelay.servers.manager.relays import Relays, Seat
from xjrelay.storage.interfaces import RelayStore, StoreError
from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.stanzas import Ecir, Ncir, Revoke

_log = Logger()

UNNOTICED = 2.0
"""Seconds in which a device may be out of reach, between two sessions, unnoticed by its contacts."""

Spawn = Callable[[str, Coroutine[Deferred[Any], Any, None]], None]


class Sessions:
    """Every session, and the relays that may have more.

    Args:
        relays: those that are here.
        store: remembers which relays were here.
        clock: seconds.
        lease: seconds after which a relay that stays away is given up.
        spawn: runs what no link waits for, and logs its failure.

    Attributes:
        where: who is where.
        ready: called with a session whose mailbox is to be handed out.
        reached: called with key and resource of a device that may be reached, or not, from now on.
    """

    def __init__(
        self, relays: Relays, store: RelayStore, clock: IReactorTime, lease: float, spawn: Spawn
    ) -> None:
        self.where = Whereabouts()
        self.ready: Callable[[Stay], None] = lambda stay: None
        self.reached: Callable[[str, str], None] = lambda key, resource: None
        self._relays = relays
        self._store = store
        self._clock = clock
        self._lease = lease
        self._spawn = spawn
        self._leases: dict[str, IDelayedCall] = {}
        self._out_of_reach: dict[tuple[str, str], None] = {}
        self._noticing: IDelayedCall | None = None
        self._relay_ids: dict[str, str] = {}
        self._recalling = False

    # -- beginning and end -------------------------------------------------------------------

    def start(self) -> None:
        """Recall which relays were here, and wait for them, one lease at the most."""
        self._recalling = True
        self._spawn("recalling the relays", self._recall())

    def stop(self) -> None:
        """Wait for nobody any more."""
        for call in [*self._leases.values(), self._noticing]:
            if call is not None and call.active():
                call.cancel()
        self._leases.clear()
        self._noticing = None

    async def _recall(self) -> None:
        names = await self._store.live()
        self._recalling = False
        self.where.expect(names)
        for name in self.where.awaited:
            if self._relays.seat(name) is None:
                self._await(name)

    # -- what relays say ---------------------------------------------------------------------

    def joined(self, seat: Seat) -> None:
        """A relay is here; it is about to report."""
        self._stop_lease(seat.name)
        self._relay_ids[seat.name] = seat.row.relay_id
        self.where.joined(seat.name)

    def reported(self, seat: Seat) -> None:
        """It has said each session it has."""
        for stay in self.where.reported(seat.name):
            self._changed(stay.key, stay.resource)
        self._relays.have_back(seat.name)

    def report(self, seat: Seat, report: Ncir) -> None:
        """A relay has a session, or has it as it says now."""
        key = address.key(report.username)
        heard = self.where.report(
            *(seat.name, key, report.username, report.resource, report.session),
            waits=report.waits,
            resuming=report.resuming,
        )
        for stay in [heard.stay] if heard.is_old else heard.ends:
            self._end(stay)
        self._changed(key, report.resource)

    def ended(self, seat: Seat, report: Ecir) -> None:
        """A relay has a session no more; what it was owed has been handed over."""
        key = address.key(report.username)
        seat.gate.forget(key)
        if self.where.ended(seat.name, key, report.resource, report.session) is not None:
            self._changed(key, report.resource)

    def lost(self, seat: Seat) -> None:
        """A relay's link ended; it may be back, and meanwhile its users may turn up elsewhere."""
        devices = self.where.devices(seat.name)
        if not self.where.lost(seat.name):
            self._left(seat.name)
            return
        self._await(seat.name)
        for key, resource in devices:
            self._changed(key, resource)

    def may_store(self, seat: Seat, key: str, resource: str) -> bool:
        """Whether a relay's message for a user may be stored now."""
        return not self._recalling and self.where.may_store(seat.name, key, resource)

    # -- what follows ------------------------------------------------------------------------

    def _end(self, stay: Stay) -> None:
        seat = self._relays.seat(stay.relay)
        if seat is not None:
            reason = CloseReason.REPLACED.value
            seat.link.send(Revoke(stay.username, stay.number, reason, stay.resource))

    def _changed(self, key: str, resource: str) -> None:
        for stay in self.where.waiting(key):
            stay.handed = True
            self.ready(stay)
        if self.where.reach(key, resource) is Reach.HERE:
            self.reached(key, resource)
            return
        self._out_of_reach[key, resource] = None
        if self._noticing is None:
            self._noticing = self._clock.callLater(UNNOTICED, self._notice)

    def _notice(self) -> None:
        """Who is out of reach by now has been for a moment."""
        devices, self._out_of_reach, self._noticing = self._out_of_reach, {}, None
        for key, resource in devices:
            self.reached(key, resource)

    def _await(self, name: str) -> None:
        self._stop_lease(name)
        self._leases[name] = self._clock.callLater(self._lease, self._give_up, name)

    def _give_up(self, name: str) -> None:
        _log.warn(
            "{relay} has been away for {seconds} s and is given up",
            event="relay-given-up",
            relay=name,
            seconds=self._lease,
        )
        self._leases.pop(name, None)
        stays = self.where.give_up(name)
        self._relays.give_up(name)
        for stay in stays:
            self._changed(stay.key, stay.resource)
        self._left(name)

    def _left(self, name: str) -> None:
        relay_id = self._relay_ids.pop(name, None)
        if relay_id is not None:
            self._spawn(f"writing that {name} has left", self._write_left(relay_id))

    async def _write_left(self, relay_id: str) -> None:
        try:
            await self._store.left(relay_id)
        except StoreError as error:  # it will be waited for at the next start, and that is all
            _log.warn("a relay that left could not be written: {why}", why=error)

    def _stop_lease(self, name: str) -> None:
        call = self._leases.pop(name, None)
        if call is not None and call.active():
            call.cancel()

    def reach(self, key: str, resource: str) -> Reach:
        """Whether a device can be reached."""
        return self.where.reach(key, resource)

# SPDX-License-Identifier: MIT
"""A component's side of its trackers: to be listed, and to know who else is (section 4).

Managers and relays use it alike. A component registers with every tracker it was given and
takes the union of what they say, so one tracker that is down costs nothing. What a tracker
said last is kept while it is away: its restart must not make anybody forget the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from xjrelay.net.context import Context
from xjrelay.net.proof import Prove, ProvingLink
from xjrelay.net.reconnect import Dialler
from xjrelay.net.tls import IDiallingReactor
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason, RemoteError
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import ComponentHello, GetComponents, Kind, WatchComponents, parse

_log = Logger()

DEFAULT_LEASE = 30.0
"""Seconds a tracker believes a component it hasn't heard of; a third of it is our heartbeat."""

Hello = Callable[[], ComponentHello]


class TrackerLink(ProvingLink):
    """One connection to one tracker; pings it every third of the lease."""

    label = "to-tracker"
    heartbeat = True

    def __init__(self, context: Context, hello: Hello, prove: Prove, seat: _Seat, lease: float) -> None:
        super().__init__(context, hello, prove)
        self.phase = Phase.AT_TRACKER_PROOF
        self.interval = lease / 3
        self._seat = seat

    def proved(self) -> None:
        """From here on arrays come: now, and after each change."""
        self.phase = Phase.AT_TRACKER_OPEN
        self.established()
        self.send(WatchComponents())

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> Any:
        """The array is the one frame that is no object."""
        if kind is not Kind.COMPONENTS:
            return super().receive(kind, value, frame)
        self._seat.heard(_components(value["components"]))
        return None

    def closed(self, reason: CloseReason) -> None:
        """We are no longer listed there."""
        self._seat.lost()


class _Seat:
    """Our place at one tracker: the dialler that keeps it, and what was last said."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.components: list[ComponentHello] = []
        self.listed = False
        self.dialler: Dialler[TrackerLink]
        self._changed = changed

    def heard(self, components: list[ComponentHello]) -> None:
        if not self.listed:
            self.listed = True
            self.dialler.authenticated()
        self.components = components
        self._changed()

    def lost(self) -> None:
        self.listed = False


class Trackers:
    """All the trackers of one component.

    Args:
        reactor: dials and tells the time.
        context: what the program's links share.
        addresses: where each tracker is.
        hello: says who we are, at the moment of connecting.
        prove: starts a proof of the cluster's secret.
        changed: called with the live components, ourselves included, whenever any tracker
            says anything.
        lease: seconds; a third of it is the heartbeat.
    """

    def __init__(
        self,
        reactor: IDiallingReactor,
        context: Context,
        addresses: Sequence[Address],
        hello: Hello,
        prove: Prove,
        changed: Callable[[list[ComponentHello]], None],
        lease: float = DEFAULT_LEASE,
    ) -> None:
        self._tell = changed
        self._seats: list[_Seat] = []
        for address in addresses:
            seat = _Seat(self._changed)
            self._seats.append(seat)
            seat.dialler = Dialler(
                reactor,
                context.random,
                address,
                lambda seat=seat: TrackerLink(context, hello, prove, seat, lease),  # type: ignore[misc]
                context.dialling,
            )

    @property
    def listed(self) -> bool:
        """Whether at least one tracker lists us now."""
        return any(seat.listed for seat in self._seats)

    @property
    def listing(self) -> int:
        """How many trackers list us now."""
        return sum(seat.listed for seat in self._seats)

    @property
    def components(self) -> list[ComponentHello]:
        """Every live component that any tracker told of, once."""
        found = {}
        for seat in self._seats:
            for component in seat.components:
                found[component.component_id or (component.type, component.ip_local, component.port)] = (
                    component
                )
        return list(found.values())

    def start(self) -> None:
        """Dial them all."""
        for seat in self._seats:
            seat.dialler.start()

    def ask(self) -> None:
        """Ask for the components again, where there is a link."""
        for seat in self._seats:
            link = seat.dialler.link
            if link is not None and seat.listed:
                link.send(GetComponents())

    def stop(self) -> Deferred[None]:
        """Leave them all; fires when every link is gone."""
        gone = gatherResults([seat.dialler.stop() for seat in self._seats])
        return gone.addCallback(lambda _: None)

    def _changed(self) -> None:
        self._tell(self.components)


def _components(values: list[Any]) -> list[ComponentHello]:
    """The entries we understand; one we don't is named in the log, not fatal."""
    components = []
    for value in values:
        try:
            component = parse(Kind.COMPONENT_HELLO, value)
        except RemoteError as error:
            _log.warn("the tracker lists something unknown: {why}", why=error.msg)
            continue
        assert isinstance(component, ComponentHello)
        components.append(component)
    return components

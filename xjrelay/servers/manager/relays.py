# SPDX-License-Identifier: MIT
"""The relays that are here: their names, their counts, who is sent where (protocol, section 5).

A seat is a relay's place for as long as its link lives. The name outlives it in the store; the
counts do not, because a relay says whom it has after each hello. This module must not read a
frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from xjrelay.domain.pairs import Gate
from xjrelay.domain.placement import Placement
from xjrelay.net.protocol import Link
from xjrelay.security.tokens import RELAY_LIFETIME, Signer
from xjrelay.storage.interfaces import RelayRow, RelayStore
from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.stanzas import (
    ComponentHello,
    Drain,
    Ecir,
    Gone,
    Keys,
    ManagerWelcome,
    Ncir,
    Revoke,
    Stanza,
)

_log = Logger()

ADDRESS_IN_USE = "IP address and port already registered"


class AddressInUse(RemoteError):
    """Another live relay has this address and port: 409 in the form of section 5."""

    def __init__(self) -> None:
        super().__init__(Code.CONFLICT, ADDRESS_IN_USE, CloseReason.CONFLICT)

    def answer(self, request_id: str | None = None) -> dict[str, Any]:
        """The original's own keys beside the usual ones."""
        return {**super().answer(request_id), "error_msg": True, "error-type": "bad request"}


@dataclass(eq=False, slots=True)
class Seat:
    """A relay whose link is open.

    Args:
        link: its connection.
        row: its identity and name.
        hello: what it said of itself.
        renewal: when its token is renewed.
    """

    link: Link
    row: RelayRow
    hello: ComponentHello
    renewal: IDelayedCall | None = None
    gate: Gate = field(default_factory=Gate)
    """Pairs whose messages it has to begin again (section 8)."""

    def overloaded(self) -> None:
        """More is to be begun again than can be remembered: the link ends, and everything begins again."""
        self.link.close(CloseReason.PROTOCOL)

    @property
    def name(self) -> str:
        """The name the manager gave it."""
        return self.row.name


class Relays:
    """Every relay that is here.

    Args:
        store: remembers names.
        signer: makes the tokens of relays.
        clock: seconds since the epoch.
        assign_timeout: seconds an assigned user counts without having arrived.
    """

    def __init__(
        self, store: RelayStore, signer: Signer, clock: IReactorTime, assign_timeout: float
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._placement = Placement(assign_timeout)
        self._seats: dict[str, Seat] = {}
        self._gone: set[str] = set()

    def __len__(self) -> int:
        return len(self._seats)

    @property
    def gone(self) -> frozenset[str]:
        """Those that were given up and are not back."""
        return frozenset(self._gone)

    def shown(self) -> list[dict[str, Any]]:
        """Each relay that is here as its operator sees it: name, place, users, whether it drains."""
        return [
            {
                "name": name,
                "place": f"{seat.hello.ip_local}:{seat.hello.port}",
                "users": self.count(name),
                "draining": self._placement.is_closed(name),
            }
            for name, seat in self._seats.items()
        ]

    def seat(self, name: str) -> Seat | None:
        """A relay that is here."""
        return self._seats.get(name)

    def seats(self) -> list[Seat]:
        """Those that are here, by name."""
        return [self._seats[name] for name in sorted(self._seats)]

    def give_up(self, name: str) -> None:
        """A relay has been away for too long: nothing is exchanged with it until it is back (section 8)."""
        self._gone.add(name)
        self._push(Gone(sorted(self._gone)))

    def have_back(self, name: str) -> None:
        """A relay that was given up has begun anew."""
        if name in self._gone:
            self._gone.discard(name)
            self._push(Gone(sorted(self._gone)))

    def drains(self, seat: Seat) -> None:
        """A relay takes no more users."""
        _log.info("{relay} takes no more users", relay=seat.name)
        self._placement.close(seat.name)

    def drain(self, name: str, within: float, users: int | None = None) -> bool:
        """Ask a relay to send users elsewhere.

        Args:
            name: the relay's.
            within: seconds.
            users: how many, or None for all: it takes no more then, and stops.

        Returns:
            False when there is no such relay here.
        """
        seat = self._seats.get(name)
        if seat is not None:
            seat.link.send(Drain(int(within * 1000), users))
        return seat is not None

    def spare(self, name: str, seconds: float) -> None:
        """Give a relay nobody for a while, as long as another takes users."""
        self._placement.spare(name, self._clock.seconds() + seconds)

    def takes_users(self) -> list[str]:
        """The relays that have not said that they take no more."""
        return [name for name in self._seats if not self._placement.is_closed(name)]

    def balance(self, within: float) -> None:
        """Ask relays that have more than an even share to send the surplus elsewhere."""
        for name, surplus in self._placement.surplus(self._clock.seconds()).items():
            _log.info("{relay} has {users} users too many", relay=name, users=surplus)
            self.drain(name, within, surplus)

    async def join(self, link: Link, hello: ComponentHello) -> Seat | None:
        """Name a relay that proved itself, seat it, and say welcome.

        Returns:
            Its seat; None when the link was lost meanwhile.

        Raises:
            AddressInUse: another identity is here under that address and port.
            StoreError: the name could not be kept.
        """
        relay_id = hello.relay_id or f"relay@{hello.ip_local}:{hello.port}"
        self._refuse_conflict(relay_id, hello)
        now = self._clock.seconds()
        row = await self._store.name(relay_id, hello.ip_local, hello.port, int(now * 1000))
        if not link.is_open:
            return None
        self._refuse_conflict(relay_id, hello)  # it may have come while we asked the store
        older = self._seats.get(row.name)
        if older is not None:
            self.leave(older)
            older.link.close(CloseReason.REPLACED)
        seat = self._seats[row.name] = Seat(link, row, hello)
        self._placement.add(row.name)
        self._welcome(seat)
        _log.info("{link} is {relay}", event="relay-joined", link=link.name, relay=row.name)
        return seat

    def leave(self, seat: Seat) -> bool:
        """A relay's link ended: it is given nobody from now on.

        Returns:
            False when another link of that relay has taken its place already.
        """
        if seat.renewal is not None and seat.renewal.active():
            seat.renewal.cancel()
        if self._seats.get(seat.name) is seat:
            del self._seats[seat.name]
            self._placement.drop(seat.name)
            return True
        return False

    def connected(self, seat: Seat, report: Ncir) -> None:
        """A relay reports a user."""
        key = self._reported(seat, report)
        self._placement.connected(seat.name, key, report.resource, report.session)

    def ended(self, seat: Seat, report: Ecir) -> None:
        """A relay reports that a user left."""
        self._placement.ended(seat.name, self._reported(seat, report), report.resource, report.session)

    def count(self, name: str) -> int:
        """Users on a relay and on their way to it."""
        return self._placement.load(name, self._clock.seconds())

    def assign(self, key: str, resource: str) -> Seat | None:
        """The relay a device is to use, or None when there is none."""
        name = self._placement.assign(key, resource, self._clock.seconds())
        return None if name is None else self._seats[name]

    def component(self, seat: Seat) -> dict[str, Any]:
        """A relay as others are told of it: ``{"username", "ip_local", "port", "type", "connection"}``."""
        hello = seat.hello
        component: dict[str, Any] = {
            "username": seat.name,
            "ip_local": hello.ip_local,
            "port": hello.port,
            "type": "relay",
            "connection": self.count(seat.name),
        }
        if hello.is_private is not None:
            component["is_private"] = bool(hello.is_private)
        if hello.endpoints:
            component["endpoints"] = hello.endpoints
        return component

    def revoke(self, username: str, session: int, reason: CloseReason, resource: str | None) -> None:
        """Tell every relay to end a user's sessions up to a number; it may be on any by now."""
        self._push(Revoke(username=username, session=session, reason=reason.value, resource=resource))

    def push_keys(self) -> None:
        """Tell every relay the public keys as they now are, with a fresh token."""
        for seat in list(self._seats.values()):
            self._push_keys(seat)

    def _welcome(self, seat: Seat) -> None:
        others = [self.component(other) for other in self._seats.values() if other is not seat]
        seat.link.send(
            ManagerWelcome(
                components=others,
                username=seat.name,
                token=self._signer.for_relay(seat.name),
                keys=list(self._signer.public_keys()),
                gone=sorted(self._gone - {seat.name}),
                fresh=seat.name in self._gone,
            )
        )
        self._renew_later(seat)

    def _renew_later(self, seat: Seat) -> None:
        seat.renewal = self._clock.callLater(RELAY_LIFETIME / 2, self._push_keys, seat)

    def _push_keys(self, seat: Seat) -> None:
        if seat.renewal is not None and seat.renewal.active():
            seat.renewal.cancel()
        seat.link.send(
            Keys(keys=list(self._signer.public_keys()), token=self._signer.for_relay(seat.name))
        )
        self._renew_later(seat)

    def _push(self, stanza: Stanza) -> None:
        for seat in list(self._seats.values()):
            seat.link.send(stanza)

    def _refuse_conflict(self, relay_id: str, hello: ComponentHello) -> None:
        for seat in self._seats.values():
            here = (seat.hello.ip_local, seat.hello.port)
            if seat.row.relay_id != relay_id and here == (hello.ip_local, hello.port):
                raise AddressInUse

    def _reported(self, seat: Seat, report: Ncir | Ecir) -> str:
        if report.username_relay != seat.name:
            raise RemoteError(Code.FORBIDDEN, "a relay reports its own users only")
        return address.key(report.username)

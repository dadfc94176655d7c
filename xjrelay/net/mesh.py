# SPDX-License-Identifier: MIT
"""Which relays to dial, and which of two links to keep: one link a pair, for ever (section 10).

Each relay dials every relay it was told of, so a pair may find itself with two links, one dialled
from either end, and a relay that came back may still have its dead predecessor's. Among links
that answer a ping in time (:data:`PATIENCE`) the one dialled by the lexically smaller name stays,
and of two dialled by the same side the later. Both ends decide alike, each alone. Until it is
decided messages go over the first, and the others stand by.

This is one implementation of a seam: who is on a link, and what is said there, belong to the
relay. Knows no stanza.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from typing import Protocol as Seam

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IConnector, IDelayedCall
from twisted.logger import Logger

from xjrelay.net.context import Context
from xjrelay.net.protocol import Link
from xjrelay.net.reconnect import Dialler
from xjrelay.net.tls import IDiallingReactor
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason

_log = Logger()

PATIENCE = 5.0
"""Seconds that links of one pair have to answer a ping, before one of them is chosen."""

MAX_LINKS = 4
"""Links of one pair that may be open at once, waiting for a choice."""

class MeshLink(Seam):
    """What the mesh asks of a link between relays."""

    def probe(self) -> None:
        """Ping; the relay reports the answer by :meth:`Mesh.answered`."""

    def close(self, reason: CloseReason) -> None:
        """Close; the relay reports the end by :meth:`Mesh.down`."""


LinkType = TypeVar("LinkType", bound=MeshLink)


@dataclass(slots=True, eq=False)
class _Held(Generic[LinkType]):
    """One of a pair's links."""

    link: LinkType
    dialled: bool
    serial: int
    answered: bool = False


@dataclass(slots=True, eq=False)
class _Pair(Generic[LinkType]):
    """What is known of one other relay."""

    name: str
    address: Address
    held: list[_Held[LinkType]] = field(default_factory=list)
    active: LinkType | None = None
    dialler: PeerDialler | None = None
    trial: IDelayedCall | None = None


class PeerDialler(Dialler[Link]):
    """Dials one relay as long as there is no link with it.

    Args:
        wanted: asked after each loss or failure; False ends the dialling for good.
    """

    def __init__(self, *args: Any, wanted: Callable[[PeerDialler], bool]) -> None:
        super().__init__(*args)
        self._wanted = wanted

    def retry(self, connector: IConnector | None = None) -> None:
        """Again, unless the other side has dialled us meanwhile."""
        if self.continueTrying and not self._wanted(self):
            self.continueTrying = 0
        super().retry(connector)


class Mesh(Generic[LinkType]):
    """Every other relay, each with one link where that is possible.

    Args:
        reactor: dials and tells the time.
        context: what the program's links share.
        build: makes the protocol for dialling the relay of a name; the protocol calls
            :meth:`up` when both sides have proved themselves, and its factory's
            ``authenticated``.
        changed: called with a relay's name and the link its messages go over from now on, or
            None when there is none any more.
        patience: seconds that links of one pair have to answer a ping, before one of them is chosen.
        most: links of one pair that may be open at once, waiting for a choice.

    Attributes:
        name: our own, once the manager has given it.
    """

    def __init__(
        self,
        reactor: IDiallingReactor,
        context: Context,
        build: Callable[[str], Link],
        changed: Callable[[str, LinkType | None], None],
        patience: float = PATIENCE,
        most: int = MAX_LINKS,
    ) -> None:
        self.name = ""
        self._patience = patience
        self._most = most
        self._reactor = reactor
        self._context = context
        self._build = build
        self._changed = changed
        self._pairs: dict[str, _Pair[LinkType]] = {}
        self._serial = 0
        self._stopped = False

    def active(self, name: str) -> LinkType | None:
        """The link over which messages go to a relay."""
        pair = self._pairs.get(name)
        return pair.active if pair else None

    def linked(self) -> list[str]:
        """The relays there is a link with, by name."""
        return sorted(name for name, pair in self._pairs.items() if pair.active is not None)

    def places(self) -> set[Address]:
        """Where the relays listen that there is a link with."""
        return {pair.address for pair in self._pairs.values() if pair.active is not None}

    def keep(self, name: str, address: Address) -> None:
        """There is a relay of this name: keep a link with it from now on.

        Known already, its address is changed for the next dial.
        """
        if name == self.name or self._stopped:
            return
        pair = self._pair(name, address)
        if pair.dialler is not None and pair.dialler.address != address:
            pair.dialler.address = address
            pair.dialler.again()
        self._dial(pair)

    def up(self, name: str, link: LinkType, dialled: bool, address: Address) -> bool:
        """A link with a relay is through its handshake.

        Args:
            name: the relay's, proved by its token.
            link: the link.
            dialled: whether we dialled it.
            address: where that relay listens.

        Returns:
            False when there are too many with that relay already, and this one is refused.
        """
        pair = self._pair(name, address)
        if len(pair.held) >= self._most or self._stopped:
            return False
        self._serial += 1
        pair.held.append(_Held(link, dialled, self._serial))
        dialler = pair.dialler
        if not dialled and dialler is not None and dialler.link is None:
            pair.dialler = None
            dialler.stop()
        if pair.active is None:
            self._activate(pair, link)
        else:
            self._try(pair)
        return True

    def answered(self, name: str, link: LinkType) -> None:
        """A link answered a ping."""
        pair = self._pairs.get(name)
        if pair is None or pair.trial is None:
            return
        for held in pair.held:
            held.answered = held.answered or held.link is link
        best = self._best(pair, pair.held)
        if best.answered:
            self._choose(pair, best)

    def down(self, name: str, link: LinkType) -> None:
        """A link ended, for whatever reason; one that was not up is ignored."""
        pair = self._pairs.get(name)
        lost = next((held for held in pair.held if held.link is link), None) if pair else None
        if pair is None or lost is None:
            return
        pair.held.remove(lost)
        if len(pair.held) <= 1:
            self._end_trial(pair)
        if pair.active is link:
            self._activate(pair, self._best(pair, pair.held).link if pair.held else None)
        self._dial(pair)

    def active_places(self) -> list[tuple[str, Address]]:
        """Name and place of each relay that there is a link with."""
        return [(name, self._pairs[name].address) for name in self.linked()]

    def suspend(self, name: str) -> None:
        """Have no link with a relay until :meth:`restore`; those there are end."""
        pair = self._pairs.get(name)
        if pair is not None:
            self._abandon(pair, CloseReason.CONFLICT)

    def restore(self, name: str) -> None:
        """Have links with it again, and dial it where it was known."""
        if name in self._pairs:
            self._dial(self._pairs[name])

    def drop_all(self, reason: CloseReason) -> None:
        """Forget every relay and close every link, to begin anew under another name."""
        for pair in list(self._pairs.values()):
            self._abandon(pair, reason)
        self._pairs.clear()

    def stop(self) -> Deferred[None]:
        """Dial no more and close every link; fires when those that we dialled are gone."""
        self._stopped = True
        gone = []
        for pair in list(self._pairs.values()):
            gone += self._abandon(pair, CloseReason.SHUTDOWN)
        return gatherResults(gone).addCallback(lambda _: None)

    def _pair(self, name: str, address: Address) -> _Pair[LinkType]:
        pair = self._pairs.setdefault(name, _Pair(name, address))
        pair.address = address
        return pair

    def _best(self, pair: _Pair[LinkType], among: list[_Held[LinkType]]) -> _Held[LinkType]:
        ours_first = self.name < pair.name
        return max(among, key=lambda held: (held.dialled == ours_first, held.serial))

    def _dial(self, pair: _Pair[LinkType]) -> None:
        """Begin to dial, unless there is a link, or a dialler that sees to it."""
        if pair.held or pair.dialler is not None or self._stopped:
            return
        pair.dialler = PeerDialler(
            self._reactor,
            self._context.random,
            pair.address,
            lambda: self._build(pair.name),
            self._context.dialling,
            wanted=lambda dialler: self._still_wanted(pair, dialler),
        )
        pair.dialler.start()

    def _still_wanted(self, pair: _Pair[LinkType], dialler: PeerDialler) -> bool:
        if pair.dialler is dialler and not pair.held:
            dialler.address = pair.address
            return True
        if pair.dialler is dialler:
            pair.dialler = None
        return False

    def _activate(self, pair: _Pair[LinkType], link: LinkType | None) -> None:
        pair.active = link
        self._changed(pair.name, link)

    def _try(self, pair: _Pair[LinkType]) -> None:
        self._end_trial(pair)
        pair.trial = self._context.clock.callLater(self._patience, self._time_is_up, pair)
        for held in list(pair.held):
            held.answered = False
            held.link.probe()

    def _time_is_up(self, pair: _Pair[LinkType]) -> None:
        pair.trial = None
        answered = [held for held in pair.held if held.answered]
        # Nobody answered: the latest has had the least time to die.
        chosen = self._best(pair, answered) if answered else max(pair.held, key=lambda held: held.serial)
        self._choose(pair, chosen)

    def _choose(self, pair: _Pair[LinkType], chosen: _Held[LinkType]) -> None:
        self._end_trial(pair)
        losers = [held for held in pair.held if held is not chosen]
        pair.held = [chosen]
        _log.info("one of {count} links with {relay} stays", count=len(losers) + 1, relay=pair.name)
        if any(held.dialled for held in losers) and not chosen.dialled:
            pair.dialler = None  # its link is about to end, and no other is to follow
        if pair.active is not chosen.link:
            self._activate(pair, chosen.link)
        for held in losers:
            held.link.close(CloseReason.DUPLICATE)

    def _end_trial(self, pair: _Pair[LinkType]) -> None:
        if pair.trial is not None and pair.trial.active():
            pair.trial.cancel()
        pair.trial = None

    def _abandon(self, pair: _Pair[LinkType], reason: CloseReason) -> list[Deferred[None]]:
        self._end_trial(pair)
        held, pair.held = pair.held, []
        dialler, pair.dialler = pair.dialler, None
        if pair.active is not None:
            self._activate(pair, None)
        for one in held:
            one.link.close(reason)
        return [dialler.stop()] if dialler is not None else []

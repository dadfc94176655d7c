# SPDX-License-Identifier: MIT
"""What a peer tells whoever shows it: a window, a terminal, a test.

Plain values; whoever subscribes gets each of them, in order, in the reactor's thread. Nothing
here knows a link or a store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger

from xjrelay.domain.peers import Known, Place, Status, fingerprint
from xjrelay.storage.interfaces import PeerMessage

_log = Logger()


@dataclass(frozen=True, slots=True)
class PeerView:
    """Somebody as it may be shown.

    Attributes:
        peer_id: its identity.
        name: what it calls itself, one printable line.
        label: what its user is called here, or empty.
        status: whether it is there.
        plain: whether it is a peer of the original form: nothing is encrypted or proved.
        fingerprint: to be compared by two people; empty for a plain one.
        place: where it listens, as far as known.
        seen_at: when it was last there, milliseconds.
    """

    peer_id: str
    name: str
    label: str
    status: Status
    plain: bool
    fingerprint: str
    place: Place | None
    seen_at: int

    @property
    def shown(self) -> str:
        """The name to show."""
        return self.label or self.name


@dataclass(frozen=True, slots=True)
class Met:
    """Somebody was met for the first time: compare the fingerprint. ``namesake``: another has that name."""

    peer: PeerView
    namesake: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """Somebody came, went, was lost, or has another name; ``why`` in words, where there is a reason."""

    peer: PeerView
    why: str = ""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Somebody is known no more."""

    peer_id: str


@dataclass(frozen=True, slots=True)
class Received:
    """Somebody wrote; it is on disk already."""

    message: PeerMessage


@dataclass(frozen=True, slots=True)
class Settled:
    """Messages of ours have gone: ``sent`` (to a plain peer) or ``delivered``."""

    peer_id: str
    message_ids: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should read: a changed key, a lie, a place that can't be reached."""

    text: str
    peer_id: str | None = None


Event = Met | Changed | Forgotten | Received | Settled | Warned
Listener = Callable[[Event], None]


class Events:
    """Who listens, and the telling."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Be told of everything from now on; call the result to be told no more."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def tell(self, event: Event) -> None:
        """One listener that breaks takes nothing from the others."""
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                _log.failure("a listener broke on {event}", event=type(event).__name__)


def view(peer: Known, status: Status) -> PeerView:
    """Somebody as it may be shown."""
    return PeerView(
        peer.peer_id,
        peer.name,
        peer.label,
        status,
        peer.plain,
        fingerprint(peer.peer_id),
        peer.place,
        peer.seen_at,
    )

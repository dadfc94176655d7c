# SPDX-License-Identifier: MIT
"""What peers say to one another: the original's packets, and the two that ours add (section 11).

A packet is one JSON object a line, with six keys in this order::

    {"type", "sender_id", "sender_name", "timestamp", "data", "target_id"}

On a plain link nothing goes out but what the original had, key for key: its programs may take
``data`` apart strictly. What ours add (``RECEIPT``, and ``id`` beside a text) is said over TLS only,
where the other end is one of ours.

Knows no Twisted and no clock: whoever makes a packet brings its time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Annotated, Any, ClassVar, Final

import msgspec

from xjrelay.wire import codec

MAX_PEER_ID: Final = 128
"""Characters in a peer's id."""
MAX_PEER_NAME: Final = 64
"""Characters of a name that are shown; the rest is cut off."""
MAX_PACKET: Final = 60 * 1024
"""Bytes of a packet that we send: below the 64 KiB that a receiver takes."""
MAX_LISTED: Final = 200
"""Peers named in one PEERS, said or heard."""

PeerId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PEER_ID)]
Host = Annotated[str, msgspec.Meta(max_length=255)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
MessageId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Place(msgspec.Struct):
    """``data`` of JOIN, ``{"host", "port"}``: where the joiner listens."""

    host: Host
    port: Port


class Entry(msgspec.Struct):
    """One peer of a PEERS: ``{"peer_id", "name", "host", "port"}``."""

    peer_id: PeerId
    name: str
    host: Host
    port: Port


class Listing(msgspec.Struct):
    """``data`` of PEERS, ``{"peers": [...], "my_info": {...}}``."""

    peers: list[Any]
    my_info: Entry | None = None

    def entries(self) -> list[Entry]:
        """The first 200 of the peers; one that isn't an entry spoils itself alone."""
        found = []
        for value in self.peers[:MAX_LISTED]:
            try:
                found.append(msgspec.convert(value, Entry))
            except msgspec.ValidationError:
                continue
        return found


class Text(msgspec.Struct, omit_defaults=True):
    """``data`` of MESSAGE and BROADCAST, ``{"text", "id"?}``."""

    text: str
    id: MessageId | None = None


class Reason(msgspec.Struct):
    """``data`` of LEAVE, ``{"reason"}``."""

    reason: str = ""


class Receipts(msgspec.Struct):
    """``data`` of RECEIPT, ``{"ids": [...]}``."""

    ids: Annotated[list[MessageId], msgspec.Meta(max_length=1000)]


class Packet(msgspec.Struct, kw_only=True, tag_field="type", tag=str.upper):
    """The base of all: ``sender_id``, ``sender_name`` and ``timestamp`` (ISO 8601) in each."""

    sender_id: PeerId
    sender_name: str
    timestamp: str = ""
    data: Any = msgspec.field(default_factory=dict)
    target_id: str | None = None


class Join(Packet, kw_only=True):
    """``JOIN``, the dialler's first word: who it is and where it listens. Answered by :class:`Peers`."""

    data: Place


class Peers(Packet, kw_only=True):
    """``PEERS``, the answer to JOIN and to DISCOVERY: whom the sender is linked with, and itself."""

    data: Listing


class Discovery(Packet, kw_only=True):
    """``DISCOVERY``: whom do you know by now? Answered by :class:`Peers`."""


class Message(Packet, kw_only=True):
    """``MESSAGE``: a text for one, ``target_id``."""

    data: Text


class Broadcast(Packet, kw_only=True):
    """``BROADCAST``: a text for all whom the sender is linked with."""

    data: Text


class Leave(Packet, kw_only=True):
    """``LEAVE``: the sender goes, and why."""

    data: Reason = msgspec.field(default_factory=Reason)


class Ping(Packet, kw_only=True):
    """``PING``: are you there? Answered by :class:`Pong`."""


class Pong(Packet, kw_only=True):
    """``PONG``: yes."""


class Receipt(Packet, kw_only=True):
    """``RECEIPT``, of ours, over TLS only: these messages of yours are on my disk."""

    data: Receipts


AnyPacket = Join | Peers | Discovery | Message | Broadcast | Leave | Ping | Pong | Receipt
KINDS: Final[tuple[type[Packet], ...]] = AnyPacket.__args__
"""Every kind of packet."""
OURS: Final = frozenset({Receipt})
"""Those the original doesn't know."""


class PeerPhase(Enum):
    """Where a link between peers stands."""

    JOINING = auto()
    """We were dialled, and nobody has said who it is."""
    JOINED_ASKED = auto()
    """We dialled and have said JOIN."""
    OPEN = auto()
    """Both know each other."""


HEARD: Final[dict[PeerPhase, frozenset[type[Packet]]]] = {
    PeerPhase.JOINING: frozenset({Join, Leave, Ping, Pong}),
    PeerPhase.JOINED_ASKED: frozenset({Peers, Join, Leave, Ping, Pong}),
    PeerPhase.OPEN: frozenset(KINDS),
}
"""What may be heard when. The original's peers may answer JOIN by a JOIN of their own."""


class BadPacket(codec.BadFrame):
    """No packet, or not here. Peers have no word for that, so it is only counted."""


def parse(value: dict[str, Any]) -> AnyPacket:
    """The packet in an object.

    Raises:
        BadPacket: its type is unknown, or a key is missing or wrong.
    """
    if value.get("data", ...) is None:  # as some of the original's write "nothing"
        value = {**value, "data": {}}
    try:
        packet: AnyPacket = msgspec.convert(value, AnyPacket)
    except msgspec.ValidationError as error:
        raise BadPacket(str(error)) from None
    return packet


def check(phase: PeerPhase, packet: Packet, plain: bool) -> None:
    """Nothing, if the packet may be heard now.

    Raises:
        BadPacket: it may not.
    """
    if type(packet) not in HEARD[phase] or (plain and type(packet) in OURS):
        raise BadPacket(f"{type(packet).__name__.upper()} is not expected here")


class Author:
    """Writes one peer's packets.

    Args:
        peer_id: whose.
        name: what it calls itself.
        seconds: the time, since 1970.
    """

    _EMPTY: ClassVar[dict[str, Any]] = {}

    def __init__(self, peer_id: str, name: str, seconds: Callable[[], float]) -> None:
        self.peer_id = peer_id
        self.name = name
        self._seconds = seconds

    def write(
        self, kind: type[Packet], data: Any = None, target: str | None = None, at: float | None = None
    ) -> bytes:
        """A packet as a frame.

        Args:
            kind: one of :data:`KINDS`.
            data: its ``data``; an empty object where there is none.
            target: its ``target_id``.
            at: its time, in seconds since 1970; by default now.
        """
        stamp = timestamp(self._seconds() if at is None else at)
        packet = kind(
            sender_id=self.peer_id,
            sender_name=self.name,
            timestamp=stamp,
            data=self._EMPTY if data is None else data,
            target_id=target,
        )
        return codec.encode(packet)


def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC, with an offset that every version of the original's Python reads."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def seconds_of(stamp: str) -> float | None:
    """A timestamp in seconds since 1970, None where it is none; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(stamp)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def shown_name(text: str) -> str:
    """A name as it may be shown: one line of at most 64 printable characters, ``?`` if none is left."""
    kept = "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_PEER_NAME])
    return " ".join(kept.split())[:MAX_PEER_NAME].strip() or "?"

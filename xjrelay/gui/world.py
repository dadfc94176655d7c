# SPDX-License-Identifier: MIT
"""What the window knows of a network: one seam for both worlds, and the values that cross it.

A world lives in the reactor's thread; the window asks it through a :class:`~xjrelay.gui.bridge.Bridge`
and is told of events. Everything here is plain and frozen. Must not import a toolkit, Twisted or
either world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from xjrelay.gui.words import mark


class Kind(Enum):
    """Which of the two doors was taken."""

    SERVERS = "servers"
    PEERS = "peers"


class State(Enum):
    """Whether somebody is there; the values are words for a person."""

    ONLINE = mark("online")
    RESUMING = mark("coming back")
    OFFLINE = mark("offline")


class Progress(Enum):
    """What has become of a line; the values are words for a person.

    ``SENT`` is the most that is ever known of a line to a peer of the original form.
    """

    SENDING = mark("sending")
    STORED = mark("stored")
    SENT = mark("sent")
    DELIVERED = mark("delivered")
    FAILED = mark("not sent")
    RECEIVED = mark("received")


class Way(Enum):
    """How what we say reaches somebody, where that may be either; the values are words for a person."""

    DIRECT = mark("direct link")
    RELAY = mark("by the relay")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the side bar.

    Attributes:
        key: who it is, for the world.
        name: to be shown.
        address: the username, or where the peer listens.
        state: whether it is there.
        bio: its own line about itself.
        plain: nothing that comes from it is encrypted or proved (a peer of the original form).
        fingerprint: for two people to compare; empty where there is none.
        contact: it was added by us; else it has only written.
        way: how what we say reaches it; None where there is one way only.
        peer: what it is called among the peers that are known on this computer; empty where it is none.
        user: what it is called at the servers, where a peer has proved to be a user; else empty.
        servers: the tracker of those.
    """

    key: str
    name: str
    address: str = ""
    state: State = State.OFFLINE
    bio: str = ""
    plain: bool = False
    fingerprint: str = ""
    contact: bool = True
    way: Way | None = None
    peer: str = ""
    user: str = ""
    servers: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One text of a conversation.

    Attributes:
        key: the other one's.
        id: unique in its direction.
        at: when, milliseconds since 1970.
        why: for ``FAILED``: the reason in the original's words, to be translated when shown.
        number: rises in the order of the conversation, among those of the same ``elsewhere``.
        broadcast: it was said to all.
        elsewhere: the other world, where it was said there; then nothing can be done about it here.
    """

    key: str
    id: str
    text: str = field(repr=False)
    at: int
    incoming: bool
    progress: Progress
    number: int
    why: str = ""
    broadcast: bool = False
    elsewhere: Kind | None = None

    @property
    def may_retry(self) -> bool:
        """Whether it can be tried again."""
        return self.progress is Progress.FAILED and self.elsewhere is None


@dataclass(frozen=True, slots=True)
class Beginning:
    """All that is known when a world has started.

    Attributes:
        me: our own name.
        where: the relay, or the address that others connect to.
        people: everybody.
        last: the last line with each, by key.
        unread: lines that were not read, by key; those without any are left out.
        fingerprint: ours, where there is one.
        bio: ours, where there is one.
    """

    me: str
    where: str
    people: tuple[Person, ...]
    last: dict[str, Line]
    unread: dict[str, int]
    fingerprint: str = ""
    bio: str = ""


# -- the doors -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServersDoor:
    """In through a tracker.

    Attributes:
        direct: have direct links with friends, which show them where this computer is.
    """

    tracker: str
    user: str
    password: str = field(repr=False)
    register: bool = False
    direct: bool = False


@dataclass(frozen=True, slots=True)
class PeersDoor:
    """In without any server: a name, and the port that others connect to.

    Attributes:
        port: 0 lets the system choose.
        nearby: others on the network can connect; else only programs on this computer.
    """

    name: str
    port: int
    nearby: bool = True


Door = ServersDoor | PeersDoor


# -- what is told ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PersonChanged:
    """Somebody is new, came, went, or is called something else; ``why`` where a reason is known."""

    person: Person
    why: str = ""


@dataclass(frozen=True, slots=True)
class PersonGone:
    """Somebody is not in the list any more."""

    key: str


@dataclass(frozen=True, slots=True)
class LineAdded:
    """Somebody wrote; it is on disk already."""

    line: Line


@dataclass(frozen=True, slots=True)
class LineChanged:
    """A line of ours has come further, or failed; ``why`` as in :class:`Line`."""

    key: str
    id: str
    progress: Progress
    why: str = ""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """Our own connection: whether messages go at the moment."""

    up: bool
    where: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence for the person: a marked text and its fields.

    Attributes:
        warning: it asks for attention, and stays until it is dismissed.
        key: whom it is about.
    """

    text: str
    fields: dict[str, str] = field(default_factory=dict)
    warning: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class Missed:
    """More happened than the window could be told: ask for everything again."""


@dataclass(frozen=True, slots=True)
class Over:
    """The session has ended for good."""

    problem: Problem


Happening = PersonChanged | PersonGone | LineAdded | LineChanged | LinkChanged | Said | Missed | Over
Tell = Callable[[Happening], None]


class Problem(Exception):
    """Something that was asked didn't work.

    Args:
        text: a marked sentence; ``{name}`` stands for a field.
        field: beside which input it is shown: ``tracker``, ``user``, ``password``, ``name``,
            ``port``, ``host``; empty for none of them.
        fields: what is put in.
    """

    def __init__(self, text: str, field: str = "", **fields: str) -> None:
        super().__init__(text.format(**fields))
        self.text = text
        self.field = field
        self.fields = fields


class World(Protocol):
    """A network as the window sees it. Every method raises :class:`Problem`."""

    kind: Kind

    async def start(self) -> Beginning:
        """Connect, log in, listen. Nothing is left running where it fails."""

    async def stop(self) -> None:
        """Log out and close everything; what waits is on disk."""

    async def overview(self) -> Beginning:
        """Everything again, as it is now."""

    async def page(self, key: str, before: int | None, most: int, beyond: int | None = None) -> list[Line]:
        """What was said with somebody, oldest first: the last lines, or the last before those here.

        Args:
            key: with whom.
            before: the number of the oldest line here; None where there is none.
            most: how many.
            beyond: the same, of those that were said elsewhere.
        """

    async def send(self, key: str, text: str) -> Line:
        """Say something; returns when it is on disk, and more is told as it comes."""

    async def retry(self, line: Line) -> Line:
        """Say again what failed."""

    async def read(self, key: str, number: int) -> None:
        """A conversation was read up to a line."""

    async def add(self, address: str, name: str) -> Person | None:
        """Add a contact, or connect to a peer at ``host:port``; None where it is told later."""

    async def rename(self, key: str, name: str) -> None:
        """Call somebody something else; empty for its own name."""

    async def remove(self, key: str) -> None:
        """Take somebody off the list, with all that was said."""

    async def set_bio(self, text: str) -> None:
        """Say what others read about us."""

    async def say_to_all(self, text: str) -> list[Line]:
        """Say something to everybody who is there."""


MakeWorld = Callable[[Door, Tell], World]

# SPDX-License-Identifier: MIT
"""The values an application sees. Plain and frozen; imports only the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from xjrelay.wire import address

LinkName = Literal["tracker", "manager", "relay"]
Status = Literal["delivered", "stored", "failed"]
State = Literal["online", "resuming", "offline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message from another user (protocol, section 7).

    Attributes:
        from_: the sender as the relay vouches for it, ``username`` or ``username/resource``.
        body: the text; empty where a message carries none.
        type: ``chat`` unless said otherwise.
        extra: the keys this library doesn't know, as they came.
    """

    from_: str
    to: str
    body: str = ""
    id: str | None = None
    type: str = "chat"
    subject: str | None = None
    thread: str | None = None
    lang: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a sent message (protocol, section 8).

    It comes as an event too, where the outbox is in a file and nobody waits for the outcome any more.

    Attributes:
        id: the message's.
        status: ``delivered``: the recipient's application has it (or, if its session doesn't
            acknowledge, it was written there). ``stored``: on disk in its mailbox. ``failed``: see ``code``.
        code: for ``failed``: 404 no such user or not online, 507 the mailbox is full; another
            code is the relay's refusal. "Not now" (503) is none: the library tries it again, from a
            file for 31 days, and only then says it.
    """

    id: str
    status: Status
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """One line of the roster (protocol, section 6).

    Attributes:
        username: the contact's registered spelling.
        name: what the user calls it; None when nothing was given.
        subscription: ``to`` or ``both``.
    """

    username: str
    name: str | None = None
    subscription: str = "to"


@dataclass(frozen=True, slots=True)
class Presence:
    """How another user is (protocol, section 6).

    Attributes:
        updated_at: when the bio was set, milliseconds since 1970.
        directed: it came for a question, not for a subscription.
        resuming: its connection is lost, and it may be back any moment; ``online`` is true all the same.
    """

    username: str
    online: bool
    bio: str | None = None
    show: str | None = None
    status: str | None = None
    updated_at: int | None = None
    directed: bool = False
    resuming: bool = False

    @property
    def state(self) -> State:
        """The same in one word."""
        if not self.online:
            return "offline"
        return "resuming" if self.resuming else "online"


@dataclass(frozen=True, slots=True)
class Component:
    """A manager or relay as a tracker lists it (protocol, section 4).

    Attributes:
        endpoints: its further ways in, such as ``tls:relay1.example.org:5223``.
    """

    type: str
    host: str
    port: int
    is_private: bool = False
    name: str | None = None
    endpoints: tuple[str, ...] = ()


# -- events besides Message and Presence -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class RosterChange:
    """The roster is no longer what it was.

    Attributes:
        contact: as it is now, or was when ``removed``.
        removed: it is no longer in the roster.
        by_other: the other side's doing, not this user's.
    """

    contact: Contact
    removed: bool = False
    by_other: bool = False


@dataclass(frozen=True, slots=True)
class LinkState:
    """One of the links came up or went down; the library brings it back by itself.

    Attributes:
        detail: who is at the other end, or why it went.
    """

    link: LinkName
    up: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Components:
    """A tracker's answer: who is there."""

    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a server said that answers nothing the library asked."""

    link: LinkName
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Missed:
    """The application read too slowly and this many events, no messages among them, were left out.

    What they told is in ``client.roster`` and ``client.presence`` all the same.
    """

    count: int


@dataclass(frozen=True, slots=True)
class RoadChange:
    """Messages to a user go another way than before (protocol, section 13).

    Attributes:
        user: to whom.
        direct: by a direct link; else by the relay.
        detail: directly: the id of the key at the other end; by the relay: why.
    """

    user: str
    direct: bool
    detail: str = ""


Event = Message | Receipt | Presence | RosterChange | LinkState | Components | Notice | Missed | RoadChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """How direct links to friends are made (protocol, section 13). They show the friend where one is.

    Attributes:
        listen: the address to listen at; empty for all. On loopback, only programs of this machine are
            linked with, and nothing else is dialled.
        port: where; 0 for any.
        hosts: further addresses of this machine, besides the one by which it speaks with the relay.
        public: where others see it, if a router forwards to the port.
        mapping: asks a router to, given the port; the place, or None where it doesn't.
        key: the private key to show, PEM; absent, one is made for this run.
    """

    listen: str = ""
    port: int = 0
    hosts: tuple[str, ...] = ()
    public: tuple[str, int] | None = None
    mapping: Callable[[int], Awaitable[tuple[str, int] | None]] | None = None
    key: bytes | None = field(default=None, repr=False)


def user_key(text: str) -> str:
    """What makes two spellings one user: the username's key, or the text itself when it is none."""
    try:
        return address.key(text.partition("/")[0])
    except address.InvalidAddress:
        return text

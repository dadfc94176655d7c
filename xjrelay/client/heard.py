# SPDX-License-Identifier: MIT
"""What the cores hear, one class each, and how a stanza becomes one.

Apart from the cores, because whoever decides by these needs no machine. They stay inside the library: the
application's events are in :mod:`xjrelay.client.model`. Imports the values and the wire only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xjrelay.client.model import Component, Message
from xjrelay.wire import stanzas

_KNOWN = frozenset({"stanza", "from", "to", "body", "id", "type", "subject", "thread", "lang", "again"})


@dataclass(frozen=True, slots=True)
class ComponentsHeard:
    """The tracker's array."""

    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class ProofWanted:
    """The manager's SCRAM step: answer with ``ManagerCore.prove`` what ``derive`` returns.

    Attributes:
        derive: the client's last step; slow, to be called off the loop's thread. Raises ScramError.
    """

    derive: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Assignment:
    """The relay a manager gives, and the token that opens one session there.

    Attributes:
        host: empty when no relay is up.
    """

    host: str = ""
    port: int = 0
    name: str = ""
    token: str = field(default="", repr=False)
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The login is through.

    Attributes:
        username: the registered spelling, where the manager said it.
        code: 201 for an account just made, else 200.
    """

    username: str | None
    code: int
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Answered:
    """The outcome of a request outside a stanza, or of a hello or login that was refused."""

    error: bool
    code: int
    msg: str
    id: str | None
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class IqHeard:
    """The outcome of an iq."""

    iq: stanzas.Iq


@dataclass(frozen=True, slots=True)
class PresenceHeard:
    """A presence."""

    presence: stanzas.Presence


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The relay's welcome.

    Attributes:
        h: with ``resumed``, how many of our messages it has had.
    """

    relay: str
    session: int
    resume_key: str | None
    resumed: bool
    h: int


@dataclass(frozen=True, slots=True)
class MessageHeard:
    """A message from a user. Counted."""

    message: Message


@dataclass(frozen=True, slots=True)
class ErrorHeard:
    """The relay's error stanza: a message of ours reached nobody. Counted."""

    id: str | None
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class ReceiptHeard:
    """Outcomes. Counted."""

    receipt: stanzas.Receipt


@dataclass(frozen=True, slots=True)
class AckHeard:
    """The relay has had our first ``h`` messages."""

    h: int


@dataclass(frozen=True, slots=True)
class MoveHeard:
    """The relay will not be there for long.

    Attributes:
        within: seconds in which to open a session elsewhere.
    """

    within: float


@dataclass(frozen=True, slots=True)
class Ponged:
    """The answer to a ping of ours."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Strange:
    """Something we can't read, perhaps of a later version.

    Attributes:
        counted: it takes a number all the same.
    """

    why: str
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """The link is of no more use. Nothing follows."""

    why: str


CoreEvent = (
    ComponentsHeard
    | ProofWanted
    | LoggedIn
    | Answered
    | IqHeard
    | PresenceHeard
    | SessionOpened
    | MessageHeard
    | ErrorHeard
    | ReceiptHeard
    | AckHeard
    | MoveHeard
    | Ponged
    | Strange
    | Broken
)


# -- from stanzas to values ------------------------------------------------------------------


def components_of(listed: list[Any]) -> list[Component]:
    """Those of the array that have what is needed to dial them."""
    found = []
    for one in listed:
        if not isinstance(one, dict):
            continue
        kind, host, port = one.get("type"), one.get("ip_local"), one.get("port")
        name = one.get("name")
        if isinstance(kind, str) and isinstance(host, str) and type(port) is int and 0 < port < 65536:
            private = bool(one.get("is_private"))
            name = name if isinstance(name, str) else None
            found.append(Component(kind, host, port, private, name, _endpoints(one)))
    return found


def _endpoints(listed: dict[str, Any]) -> tuple[str, ...]:
    offered = listed.get("endpoints")
    return tuple(one for one in offered if isinstance(one, str)) if isinstance(offered, list) else ()


def assignment_of(answer: stanzas.Answer) -> Assignment:
    """The first relay of ``component`` that can be dialled, with the token."""
    for one in answer.component or []:
        host, port, name = one.get("ip_local"), one.get("port"), one.get("username")
        if isinstance(host, str) and type(port) is int and answer.token:
            name = name if isinstance(name, str) else ""
            return Assignment(host, port, name, answer.token, _endpoints(one))
    return Assignment()


def answered(answer: stanzas.Answer) -> Answered:
    """An answer outside a stanza, with the relay where it gives one."""
    return Answered(answer.error, answer.code, answer.msg, answer.id, assignment_of(answer))


def message_of(stanza: stanzas.Message, value: dict[str, Any]) -> MessageHeard | ErrorHeard:
    """A message from a user, or the relay's word that one of ours reached nobody.

    Args:
        stanza: the message.
        value: the same as it came, with the keys that are the application's own.
    """
    if stanza.error and stanza.from_ == "relay":  # a reserved name, so no user can say this
        return ErrorHeard(stanza.id, stanza.code or 0, stanza.body or "")
    return MessageHeard(
        Message(
            from_=stanza.from_ or "",
            to=stanza.to,
            body=stanza.body or "",
            id=stanza.id,
            type=stanza.type or "chat",
            subject=stanza.subject,
            thread=stanza.thread,
            lang=stanza.lang,
            extra={key: item for key, item in value.items() if key not in _KNOWN},
        )
    )

# SPDX-License-Identifier: MIT
"""What two users say to find a direct link, and on it: queries of iqs of namespace ``jingle`` (section 13).

After Jingle (XEP-0166) and its ICE transport (XEP-0176): one user *initiates* a session with the places
where it can be reached, the other *accepts* with its own; what travels on the link itself begins with
``direct-``. An iq's outcome carries the answer. Beside the iqs there is one message, the *marker*, which
goes by the relay before a conversation leaves it.

Knows no Twisted and no clock. What a class doesn't name is ignored in it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from xjrelay.wire.errors import Code, Condition, RemoteError, StanzaError
from xjrelay.wire.stanzas import Iq

NAMESPACE: Final = "jingle"
MARKER: Final = "direct"
"""The key of a marker: ``{"stanza": "message", "to", "id", "direct": sid}``, without a ``body``."""
MAX_CANDIDATES: Final = 8
"""Places in one offer, said or heard; more are left out."""

Sid = Annotated[str, msgspec.Meta(min_length=16, max_length=64, pattern="^[0-9a-f]+$")]
Nonce = Annotated[str, msgspec.Meta(min_length=32, max_length=64, pattern="^[0-9a-f]+$")]
Key = Annotated[str, msgspec.Meta(pattern="^xj1-[0-9a-f]{40}$")]


class Candidate(msgspec.Struct):
    """A place where a user may be reached: ``{"ip", "port", "type", "priority"}`` (RFC 8445, 5.1).

    ``type`` is ``host`` for an address of its machine, ``srflx`` for one that a router or the user
    itself says others see. Of several, the one with the highest ``priority`` is tried first.
    """

    ip: Annotated[str, msgspec.Meta(max_length=64)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    type: Literal["host", "srflx"] = "host"
    priority: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0


class Query(msgspec.Struct, tag_field="action", kw_only=True):
    """The base: ``{"action", "sid"}``; ``sid`` is the session's, chosen at random by who initiates."""

    sid: Sid


class Offer(Query, kw_only=True):
    """What both sides offer: a key, a nonce, places."""

    key: Key
    nonce: Nonce
    candidates: list[Any] = msgspec.field(default_factory=list)

    def places(self) -> list[Candidate]:
        """The first :data:`MAX_CANDIDATES` of the candidates, best first; what is none is left out."""
        found = []
        for value in self.candidates[:MAX_CANDIDATES]:
            try:
                found.append(msgspec.convert(value, Candidate))
            except msgspec.ValidationError:
                continue
        return sorted(found, key=lambda one: -one.priority)


class Initiate(Offer, tag="session-initiate"):
    """``{"action": "session-initiate", "sid", "key", "nonce", "candidates": [...]}``, by the relay.

    ``key`` is the id (section 11) of the key that this side will show on the link, ``nonce`` what the
    other side has to say there first.
    """


class Accept(Offer, tag="session-accept"):
    """The same of the side that was asked, in the result."""


class Info(Query, tag="session-info"):
    """``{"action": "session-info", "sid"}``, by the relay: is the session that hears this the one?"""


class Hello(Query, tag="direct-hello"):
    """``{"action": "direct-hello", "sid", "nonce"}``, first on the link, by both: the other's nonce."""

    nonce: Nonce


class Use(Query, tag="direct-use"):
    """``{"action": "direct-use", "sid"}``: of the links there are, who initiated has chosen this one."""


class Go(Query, tag="direct-go"):
    """``{"action": "direct-go", "sid"}``: the marker has come; what follows may come on this link."""


KINDS: Final = (Initiate, Accept, Info, Hello, Use, Go)
AnyQuery = Initiate | Accept | Info | Hello | Use | Go


def read(iq: Iq) -> AnyQuery:
    """The query of an iq.

    Raises:
        RemoteError: 400, it is none of these; the message says why.
    """
    if iq.namespace != NAMESPACE:
        raise RemoteError(Code.BAD_REQUEST, "iq: an unknown namespace")
    try:
        query: AnyQuery = msgspec.convert(iq.query, type=AnyQuery)
    except msgspec.ValidationError as error:
        raise RemoteError(Code.BAD_REQUEST, f"iq: {str(error)[:200]}") from error
    return query


def iq(
    query: AnyQuery,
    type: str = "set",
    *,
    to: str | None = None,
    id: str | None = None,
    from_: str | None = None,
) -> Iq:
    """An iq that says it.

    Args:
        query: what.
        type: ``set`` or ``get`` to ask, ``result`` to answer.
        to: whom; None on the link itself, which has one other end.
        id: of the request.
        from_: who says it; the relay fills it in.
    """
    return Iq(namespace=NAMESPACE, from_=from_, to=to, type=type, query=msgspec.to_builtins(query), id=id)


def refusal(asked: Iq, condition: Condition) -> Iq:
    """The error that answers an iq."""
    error = StanzaError(condition).payload()
    return Iq(namespace=NAMESPACE, to=asked.from_, type="error", error=error, id=asked.id)


def marker(from_: str, to: str, message_id: str, sid: str) -> dict[str, Any]:
    """The message after which a pair's messages leave the relay."""
    return {"stanza": "message", "from": from_, "to": to, "id": message_id, MARKER: sid}


def marked(body: str | None, extra: dict[str, Any]) -> str | None:
    """The session whose marker a message is, given its body and the keys no class names; else None."""
    sid = extra.get(MARKER)
    return sid if not body and isinstance(sid, str) else None

# SPDX-License-Identifier: MIT
"""One typed class for each thing that is said, its grammar in the docstring.

The vocabulary is the original middleware's: a stanza names itself by ``stanza``, a notice by
``message``, a request by ``type``, and hellos and answers by the keys they have.
:func:`classify` is the one place that knows; everything else speaks of a :class:`Kind`.

Keys that a class doesn't name are ignored in it. A message is forwarded as the frame it came
in, so its unknown keys travel on. What a class names is checked for type and length by
msgspec; the failure tells the sender which key was wrong.

Encode a stanza with :func:`xjrelay.wire.codec.encode`: keys at their default are left out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from xjrelay.wire.errors import Code, RemoteError
from xjrelay.wire.kinds import Kind as Kind

MAX_ID = 64
"""Characters in a request's or a message's ``id``."""

MAX_ADDRESS = 129
"""Characters in an address as it travels: 64, a slash, 64."""

Id = Annotated[str, msgspec.Meta(max_length=MAX_ID)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Text = Annotated[str, msgspec.Meta(max_length=1024)]
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
AddressText = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ADDRESS)]
ComponentType = Literal["manager", "relay", "client"]
MessageType = Literal["normal", "chat", "groupchat", "headline", "error"]


class Stanza(msgspec.Struct, omit_defaults=True, rename={"from_": "from"}):
    """The base of all: keys at their default are left out of the frame."""


# -- on every link ---------------------------------------------------------------------------


class Ping(Stanza, tag_field="type", tag="ping"):
    """``{"type": "ping", "id"?, "about"?}``: are you there? Answered by :class:`Pong` (section 2).

    With ``about`` true: and which version are you, and what time is it there?
    """

    id: Id | None = None
    about: bool = False


class Pong(Stanza, tag_field="type", tag="pong"):
    """``{"type": "pong", "id"?, "version"?, "clock"?}``: the answer to :class:`Ping`, its id repeated.

    ``version`` of the program and ``clock``, its time in milliseconds since 1970, where ``about``
    asked for them.
    """

    id: Id | None = None
    version: Text | None = None
    clock: Count | None = None


class Auth(Stanza, tag_field="type", tag="auth"):
    """A step of authentication (sections 6 and 9).

    SCRAM: ``{"type": "auth", "mechanism": "SCRAM-SHA-256", "data"}``, both ways, the server's
    last (``v=``) too; the outcome follows it. Plain: ``{"type": "auth", "username",
    "password"}``. ``register`` makes the account, with an ``invitation`` where one is needed;
    ``replace`` ends an older login, ``resource`` names the device. With SCRAM they stand in the
    first step.
    """

    mechanism: str | None = None
    data: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    username: Any = None
    password: Any = None
    register: bool = False
    invitation: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    replace: bool = False
    resource: str = ""
    id: Id | None = None


class Answer(Stanza):
    """``{"error", "code", "msg", "id"?, ...}``: a request's outcome (section 2).

    To a login it carries ``component``, the relay to use in a list of one or none, and the
    ``token`` that opens a session there.
    """

    error: bool
    code: int
    msg: str = ""
    id: str | None = None
    component: list[dict[str, Any]] | None = None
    token: str | None = None
    username: str | None = None


# -- component to tracker --------------------------------------------------------------------


class ComponentHello(Stanza):
    """Who connects, the first frame to a tracker, a manager, or from relay to relay.

    ``{"ip_local", "port", "type": "manager"|"relay"|"client", "is_private"?, "name"?,
    "endpoints"?, "component_id"?, "relay_id"?, "relay_username"?, "version"?}`` (sections 4, 5,
    10).
    ``component_id`` and ``relay_id`` are random and outlive restarts; ``relay_username`` is
    the name the manager gave. ``is_private`` may be a boolean or, as the original sent it,
    a number. ``version`` is the program's.
    """

    ip_local: Host
    port: Port
    type: ComponentType
    is_private: bool | int | None = None
    name: Text | None = None
    endpoints: Annotated[list[Text], msgspec.Meta(max_length=16)] | None = None
    component_id: Id | None = None
    relay_id: Id | None = None
    relay_username: Id | None = None
    version: Text | None = None


class GetComponents(Stanza, tag_field="message", tag="get components"):
    """``{"message": "get components"}``: the array again, please."""


class WatchComponents(Stanza, tag_field="message", tag="watch components"):
    """``{"message": "watch components"}``: the array now and after each change."""


# -- relay to manager ------------------------------------------------------------------------


class ManagerWelcome(Stanza):
    """The manager's answer to a relay that proved itself (section 5).

    ``{"components": [{"username", "ip_local", "port", "type", "connection"}], "username",
    "token", "keys", "gone"?, "fresh"?}``: the relays there are (``connection`` their users),
    the relay's own name, its token for the mesh, and the keys users' tokens are checked with;
    ``gone`` as in :class:`Gone`. ``fresh`` true: the manager had given this relay up, so it
    ends every session before it reports (section 8).
    """

    components: list[dict[str, Any]]
    username: str
    token: str
    keys: list[dict[str, Any]]
    gone: list[str] = []
    fresh: bool = False


class Ncir(Stanza, tag_field="message", tag="ncir"):
    """``{"message": "ncir", "username_relay", "username", "resource", "session", "waits"?,
    "resuming"?}``: a new connection in the relay.

    After its hello a relay says it once for each session it has, then :class:`Reported`: the
    manager starts each link with an empty list, so that the counts can't drift. ``waits`` true
    is an opening, answered by :class:`Mail`. ``resuming`` true: the session has lost its
    connection and waits for its user; said again without it when the user is back.
    """

    username_relay: str
    username: AddressText
    resource: str = ""
    session: Count = 0
    waits: bool = False
    resuming: bool = False


class Ecir(Stanza, tag_field="message", tag="ecir"):
    """``{"message": "ecir", ...}``: the end of a connection in the relay, keys as in
    :class:`Ncir`."""

    username_relay: str
    username: AddressText
    resource: str = ""
    session: Count = 0


class Who(Stanza, tag_field="message", tag="who"):
    """``{"message": "who", "username", "ip", "id"}``: is this user logged in from there?"""

    username: AddressText
    ip: str
    id: Id


class WhoAnswer(Stanza):
    """``{"online", "id", "username"?, "session"?}``: if online, the registered spelling and
    the number of the session to be opened."""

    online: bool
    id: Id
    username: str | None = None
    session: Count = 0


class Revoke(Stanza, tag_field="message", tag="revoke"):
    """``{"message": "revoke", "username", "resource"?, "session", "reason"}``: the relay ends
    that user's sessions numbered ``session`` or lower.

    With ``resource`` only that device's, without it (null) all of them. ``reason`` is a
    close reason's text, such as ``logged out`` or ``replaced``.
    """

    username: AddressText
    session: Count
    reason: str
    resource: str | None = None


class Keys(Stanza, tag_field="message", tag="keys"):
    """``{"message": "keys", "keys", "token"}``: the manager's public keys as they now are,
    and a renewed token for the relay's own name."""

    keys: list[dict[str, Any]]
    token: str


class Reported(Stanza, tag_field="message", tag="reported"):
    """``{"message": "reported"}``: the relay has said each session it has."""


class Mail(Stanza, tag_field="message", tag="mail"):
    """``{"message": "mail", "username", "resource", "session", "rows", "more"?}``: messages out
    of the mailbox for a session that waits (section 8).

    As many messages follow on the link as there are ``rows``, one frame each, as they were
    stored. Without ``more`` these are the last, and the session is open.
    """

    username: AddressText
    resource: str = ""
    session: Count = 0
    rows: list[Count] = []
    more: bool = False


class Taken(Stanza, tag_field="message", tag="taken"):
    """``{"message": "taken", "username", "rows"}``: that user has acknowledged these rows of its
    mailbox, and they leave it."""

    username: AddressText
    rows: list[Count]


class Gone(Stanza, tag_field="message", tag="gone"):
    """``{"message": "gone", "relays"}``: every relay that the manager has given up, by name.

    Nothing is exchanged with them until a later list leaves them out (section 8).
    """

    relays: list[str]


class Drain(Stanza, tag_field="message", tag="drain"):
    """``{"message": "drain", "within"?, "users"?}``: the manager asks a relay to send its users
    elsewhere within so many milliseconds, all of them or (``users``) some.

    From a relay to the manager: it takes no more users.
    """

    within: Count = 0
    users: Count | None = None


# -- user to manager -------------------------------------------------------------------------


class GetRelay(Stanza, tag_field="type", tag="get_relay_less_connection"):
    """``{"type": "get_relay_less_connection"}``: the least loaded relay and a fresh token."""

    id: Id | None = None


class Iq(Stanza, tag_field="stanza", tag="iq"):
    """A question to the manager or its outcome: the roster, the account (section 6, RFC 6121, 2).

    ``{"stanza": "iq", "namespace": "roster", "from", "type": "get"|"set"|"result"|"error",
    "query": {"items"} or {"item": {"jid", "name"?, "subscription"}}, "subscription"?, "id"?}``;
    ``"namespace": "account"`` with ``"query": {"current", "password"}`` or ``{"current",
    "remove": true}``.
    Nothing is checked here, because what is wrong in an iq is answered in an iq.
    """

    namespace: Any = None
    from_: Any = None
    to: Any = None
    type: Any = None
    query: Any = None
    subscription: Any = None
    error: Any = None
    id: Any = None


class Presence(Stanza, tag_field="stanza", tag="presence"):
    """Who is there, and how (section 6, RFC 6121, 4).

    ``{"stanza": "presence", "from"?, "to"?, "type"?, "bio"?, "show"?, "status"?}`` from a user;
    from the manager also ``username``, ``online`` (1 or 0), ``updated_at`` (milliseconds since
    1970), ``item`` (with ``subscribed`` and ``unsubscribed``), ``directed_entity``, ``target``,
    and ``state`` ``resuming`` beside ``online`` 1 where the user's connection is lost and it has
    not been given up yet.
    """

    from_: AddressText | None = None
    to: AddressText | None = None
    type: Literal["unavailable", "subscribed", "unsubscribed", "error"] | None = None
    username: str | None = None
    bio: Text | None = None
    online: Literal[0, 1] | None = None
    updated_at: int | None = None
    show: Literal["away", "dnd", "xa", "chat"] | None = None
    status: Text | None = None
    state: Literal["resuming"] | None = None
    item: dict[str, Any] | None = None
    directed_entity: bool | None = None
    target: str | None = None
    id: Id | None = None


# -- user to relay ---------------------------------------------------------------------------


class UserHello(Stanza, tag_field="message", tag="hello!"):
    """``{"username", "message": "hello!", "token", "resource"?, "ack"?}`` opens a session;
    ``{"username", "message": "hello!", "resume", "h"}`` resumes one (section 7).

    ``h`` counts what the client has had of the relay's counted stanzas. Without token and
    resume key it is the original client's hello, let in by ``--allow-legacy-clients`` only.
    """

    username: AddressText
    token: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    resource: str = ""
    ack: bool = False
    resume: Id | None = None
    h: Count = 0
    id: Id | None = None


class UserWelcome(Stanza, tag_field="message", tag="hello!"):
    """``{"message": "hello!", "relay_username", "session", "resume_key", "resumed"?, "h"?}``.

    ``resume_key`` (128 random bits in hex, for one use) only where the session can be resumed.
    With ``resumed`` true, ``h`` is how many of the client's messages the relay has had.
    """

    relay_username: str
    session: int
    resume_key: str | None = None
    resumed: bool = False
    h: int | None = None


class Message(Stanza, tag_field="stanza", tag="message"):
    """``{"stanza": "message", "from"?, "to", "body"?, "lang"?, "type"?, "subject"?, "id"?,
    "thread"?, "again"?, ...}`` (section 7, RFC 6121, 5).

    ``type`` is ``chat`` when absent. ``again`` true: the sender goes back to this one after a
    503, and everything later to the same user follows it (section 8). From ``relay`` with ``error``
    true and a ``code`` it says that the message with this ``id`` reached nobody.
    """

    to: AddressText
    from_: AddressText | None = None
    body: str | None = None
    lang: Text | None = None
    type: MessageType | None = None
    subject: str | None = None
    id: Id | None = None
    thread: Text | None = None
    error: bool | None = None
    code: int | None = None
    again: bool | None = None


class Ack(Stanza, tag_field="stanza", tag="ack"):
    """``{"stanza": "ack", "h"}``: the first ``h`` of the other side's counted stanzas have been
    taken (section 8, XEP-0198)."""

    h: Count


class Receipt(Stanza, tag_field="stanza", tag="receipt"):
    """``{"stanza": "receipt", "to", "ids", "status": "delivered"|"stored"|"failed", "code"?}``:
    what became of the messages with these ids (section 8).

    ``to`` is the session that sent them; ``code`` says why they failed: 503 not now, 507 the
    mailbox is full; between servers also 404, there is no such user.
    """

    to: AddressText
    ids: list[Id]
    status: Literal["delivered", "stored", "failed"]
    code: int | None = None


class Move(Stanza, tag_field="type", tag="move"):
    """``{"type": "move", "component", "within"}``: this relay will not be there for long; the
    user opens a session elsewhere within so many milliseconds (section 8).

    ``component`` lists relays as an answer to a login does; which one to use, and the token for
    it, are the manager's to say.
    """

    component: list[dict[str, Any]]
    within: Count


# -- relay to relay --------------------------------------------------------------------------


class MeshUser(msgspec.Struct):
    """A session as relays tell one another: ``{"username", "resource", "session"}``."""

    username: AddressText
    resource: str = ""
    session: Count = 0


class MeshWelcome(Stanza):
    """``{"relay_username", "username_users", "users", "token"}``, both ways after the proof
    (section 10).

    ``username_users`` repeats the names as the original sent them. A relay with more users than
    a frame holds tells the rest in :class:`NewUser` frames after it.
    """

    relay_username: str
    username_users: list[str]
    users: list[MeshUser]
    token: str


class NewUser(Stanza, tag_field="message", tag="new user"):
    """``{"message": "new user", "username_user", "relay_username", "resource", "session"}``."""

    username_user: AddressText
    relay_username: str
    resource: str = ""
    session: Count = 0


class EndUser(Stanza, tag_field="message", tag="end user"):
    """``{"message": "end user", ...}``, keys as in :class:`NewUser`; an older ``session`` than
    the one known changes nothing."""

    username_user: AddressText
    relay_username: str
    resource: str = ""
    session: Count = 0


class Activity(Stanza):
    """``{"from", "to", "activity": "message from another relay", "success": 1 | "error": 1,
    "id"?}``: what became of a message that crossed the mesh (section 10).

    ``from`` and ``to`` are the message's own. An error is always told; a success only for a
    message with an ``id`` whose recipient's session doesn't acknowledge.
    """

    from_: AddressText
    to: AddressText
    activity: Literal["message from another relay"]  # no default: what names a stanza is never left out
    success: int | None = None
    error: int | None = None
    id: Id | None = None


# -- from a value to its class ---------------------------------------------------------------

CLASSES: dict[Kind, type[Stanza]] = {
    Kind.PING: Ping,
    Kind.PONG: Pong,
    Kind.AUTH: Auth,
    Kind.ANSWER: Answer,
    Kind.COMPONENT_HELLO: ComponentHello,
    Kind.GET_COMPONENTS: GetComponents,
    Kind.WATCH_COMPONENTS: WatchComponents,
    Kind.MANAGER_WELCOME: ManagerWelcome,
    Kind.NCIR: Ncir,
    Kind.ECIR: Ecir,
    Kind.WHO: Who,
    Kind.WHO_ANSWER: WhoAnswer,
    Kind.REVOKE: Revoke,
    Kind.KEYS: Keys,
    Kind.REPORTED: Reported,
    Kind.MAIL: Mail,
    Kind.TAKEN: Taken,
    Kind.GIVEN_UP: Gone,
    Kind.DRAIN: Drain,
    Kind.GET_RELAY: GetRelay,
    Kind.IQ: Iq,
    Kind.PRESENCE: Presence,
    Kind.USER_HELLO: UserHello,
    Kind.USER_WELCOME: UserWelcome,
    Kind.MESSAGE: Message,
    Kind.ACK: Ack,
    Kind.RECEIPT: Receipt,
    Kind.MOVE: Move,
    Kind.MESH_WELCOME: MeshWelcome,
    Kind.NEW_USER: NewUser,
    Kind.END_USER: EndUser,
    Kind.ACTIVITY: Activity,
}

_BY_STANZA = {kind.value: kind for kind in (Kind.IQ, Kind.PRESENCE, Kind.MESSAGE, Kind.ACK, Kind.RECEIPT)}
_BY_MESSAGE = {
    kind.value: kind
    for kind in (
        Kind.GET_COMPONENTS,
        Kind.WATCH_COMPONENTS,
        Kind.NCIR,
        Kind.ECIR,
        Kind.WHO,
        Kind.REVOKE,
        Kind.KEYS,
        Kind.REPORTED,
        Kind.MAIL,
        Kind.TAKEN,
        Kind.GIVEN_UP,
        Kind.DRAIN,
        Kind.NEW_USER,
        Kind.END_USER,
    )
}
_BY_TYPE = {
    "ping": Kind.PING,
    "pong": Kind.PONG,
    "auth": Kind.AUTH,
    "move": Kind.MOVE,
    "get_relay_less_connection": Kind.GET_RELAY,
    "manager": Kind.COMPONENT_HELLO,
    "relay": Kind.COMPONENT_HELLO,
    "client": Kind.COMPONENT_HELLO,
}
_BY_KEY = {
    "error": Kind.ANSWER,
    "components": Kind.MANAGER_WELCOME,
    "username_users": Kind.MESH_WELCOME,
    "online": Kind.WHO_ANSWER,
}


def classify(value: dict[str, Any]) -> Kind:
    """What kind of thing an object is.

    Raises:
        RemoteError: 400, it is none we know.
    """
    name = value.get("stanza")
    if name is not None:
        return _look_up(_BY_STANZA, name, "stanza")
    if "activity" in value:
        return Kind.ACTIVITY
    name = value.get("message")
    if name == "hello!":
        return Kind.USER_WELCOME if "relay_username" in value else Kind.USER_HELLO
    if name is not None:
        return _look_up(_BY_MESSAGE, name, "message")
    name = value.get("type")
    if name is not None:
        return _look_up(_BY_TYPE, name, "type")
    for key, kind in _BY_KEY.items():
        if key in value:
            return kind
    raise RemoteError(Code.BAD_REQUEST, "neither stanza, message nor type is given")


def parse(kind: Kind, value: dict[str, Any]) -> Stanza:
    """The typed stanza of a classified object.

    Raises:
        RemoteError: 400, a key is missing or has the wrong type; the message names it.
    """
    try:
        return msgspec.convert(value, CLASSES[kind])
    except msgspec.ValidationError as error:
        # shortened, because msgspec repeats an unknown word, however long
        raise RemoteError(Code.BAD_REQUEST, f"{kind.value}: {str(error)[:200]}") from error


def _look_up(table: dict[str, Kind], name: object, what: str) -> Kind:
    kind = table.get(name) if isinstance(name, str) else None
    if kind is None:
        raise RemoteError(Code.BAD_REQUEST, f"unknown {what}")
    return kind

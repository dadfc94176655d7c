# SPDX-License-Identifier: MIT
"""What can go wrong on a link, each with a name.

Three vocabularies live here because every room above needs them and none of them
needs a socket: the codes of answers (HTTP's meaning, protocol section 2), the stanza
conditions (RFC 6120, 8.3), and the reasons for which a link is closed.

An error is either *local* (this program called the library wrongly: a bug, raised at the
caller) or *remote* (the other side said something we can't accept: it gets an answer, and
sometimes a closed connection). The distinction is h11's, and it decides who reads the
message.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any


class Code(IntEnum):
    """The code of an answer; the meaning is HTTP's (protocol, section 2)."""

    OK = 200
    CREATED = 201
    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    NOT_FOUND = 404
    CONFLICT = 409
    TOO_LARGE = 413
    TLS_REQUIRED = 426
    SLOW_DOWN = 429
    NOT_NOW = 503
    FULL = 507


class Condition(Enum):
    """A stanza error's condition, with the error type RFC 6120, 8.3.3 gives it."""

    BAD_REQUEST = ("bad-request", "modify")
    CONFLICT = ("conflict", "cancel")
    FORBIDDEN = ("forbidden", "auth")
    ITEM_NOT_FOUND = ("item-not-found", "cancel")
    NOT_AUTHORIZED = ("not-authorized", "auth")
    POLICY_VIOLATION = ("policy-violation", "modify")
    RESOURCE_CONSTRAINT = ("resource-constraint", "wait")

    @property
    def text(self) -> str:
        """The condition as it stands on the wire."""
        return self.value[0]

    @property
    def type(self) -> str:
        """The error type: what the sender may do about it."""
        return self.value[1]


class CloseReason(Enum):
    """Why a link was closed: one line of a log, one label of a metric."""

    LOST = "connection lost"
    TLS_FAILED = "no TLS"
    DONE = "done"
    SHUTDOWN = "shutting down"
    FRAME_TOO_LONG = "frame too long"
    BAD_FRAMES = "too many bad frames"
    HELLO_TIMEOUT = "no hello in time"
    SILENT = "nothing heard"
    UNFINISHED = "unfinished frame"
    SLOW_READER = "reads too slowly"
    NOT_AUTHENTICATED = "not authenticated"
    CONFLICT = "conflict"
    REPLACED = "replaced"
    DUPLICATE = "duplicate link"
    LOGGED_OUT = "logged out"
    PROTOCOL = "protocol violation"
    TOO_MANY_LINKS = "too many links"
    TOO_MANY_FROM_ADDRESS = "too many links from one address"
    TOO_MANY_HANDSHAKES = "too many handshakes"
    IDLE = "idle"
    PASSWORD_CHANGED = "password changed"
    ACCOUNT_REMOVED = "account removed"
    BANNED = "banned"
    ENDED = "ended by an operator"
    INTERNAL = "internal error"


class WireError(Exception):
    """The base of every error this package raises on purpose."""


class LocalError(WireError):
    """This program misused the library: a bug to be fixed here."""


class RemoteError(WireError):
    """The other side said something we don't accept.

    Args:
        code: what kind of refusal.
        msg: one sentence for a person; goes out on the wire, so it repeats nothing secret.
        close: the reason to close the link after answering, or None to keep it open.
    """

    def __init__(self, code: Code, msg: str, close: CloseReason | None = None) -> None:
        super().__init__(f"{int(code)} {msg}")
        self.code = code
        self.msg = msg
        self.close = close

    def answer(self, request_id: str | None = None) -> dict[str, Any]:
        """The polite answer: ``{"error": true, "code", "msg", "id"?}`` (protocol, section 2)."""
        answer: dict[str, Any] = {"error": True, "code": int(self.code), "msg": self.msg}
        if request_id is not None:
            answer["id"] = request_id
        return answer


class ProofError(WireError):
    """The other side's proof of who it is fails, or can't be read.

    Raised by whatever conversation proves it (``security.scram``), caught by the link that
    carries it. Its text repeats nothing the other side said.
    """


class StanzaError(WireError):
    """An iq the server refuses; its answer is the stanza sent back (RFC 6120, 8.3)."""

    def __init__(self, condition: Condition) -> None:
        super().__init__(condition.text)
        self.condition = condition

    def payload(self) -> dict[str, str]:
        """The ``error`` member of the answer (protocol, section 2)."""
        return {
            "type": self.condition.type,
            "stanza_error": self.condition.text,
            "stanza_error_ns": "xmpp-stanzas",
        }

# SPDX-License-Identifier: MIT
"""Which kind may travel on which link, which way, in which phase.

A link is in one *phase* at a time, named after the program that listens, or ``AT_`` it for
the side that dialled. The table says what may be *heard* in each. Everything else is refused
with 400 before any rule sees it: the legal sequences are data, which a test walks cell by cell.
"""

from __future__ import annotations

from enum import Enum, auto

from xjrelay.wire.errors import Code, RemoteError
from xjrelay.wire.stanzas import Kind


class Phase(Enum):
    """Where a link stands, seen from our side of it."""

    # what a tracker hears
    TRACKER_HELLO = auto()
    TRACKER_PROOF = auto()
    TRACKER_OPEN = auto()
    # what a manager hears
    MANAGER_HELLO = auto()
    MANAGER_PROOF = auto()
    MANAGER_RELAY = auto()
    MANAGER_LOGIN = auto()
    MANAGER_USER = auto()
    # what a relay hears from those who dialled it
    RELAY_HELLO = auto()
    RELAY_USER = auto()
    MESH_PROOF = auto()
    # what both ends of a mesh link hear
    MESH_WELCOME = auto()
    MESH_OPEN = auto()
    # what the side that dialled hears
    AT_TRACKER_PROOF = auto()
    AT_TRACKER_OPEN = auto()
    AT_MANAGER_PROOF = auto()
    AT_MANAGER_WELCOME = auto()
    AT_MANAGER_RELAY = auto()
    AT_MANAGER_LOGIN = auto()
    AT_MANAGER_USER = auto()
    AT_RELAY_HELLO = auto()
    AT_RELAY_USER = auto()
    AT_MESH_PROOF = auto()
    # what both ends of a link between two users hear
    DIRECT = auto()


_ALIVE = frozenset({Kind.PING, Kind.PONG})
_OUTCOME = _ALIVE | {Kind.ANSWER}

HEARD: dict[Phase, frozenset[Kind]] = {
    Phase.TRACKER_HELLO: _ALIVE | {Kind.COMPONENT_HELLO},
    Phase.TRACKER_PROOF: frozenset({Kind.AUTH}),
    Phase.TRACKER_OPEN: _ALIVE | {Kind.GET_COMPONENTS, Kind.WATCH_COMPONENTS},
    Phase.MANAGER_HELLO: _ALIVE | {Kind.COMPONENT_HELLO},
    Phase.MANAGER_PROOF: frozenset({Kind.AUTH}),
    Phase.MANAGER_RELAY: _ALIVE
    | {Kind.NCIR, Kind.ECIR, Kind.WHO, Kind.REPORTED, Kind.MESSAGE, Kind.TAKEN, Kind.DRAIN},
    Phase.MANAGER_LOGIN: _ALIVE | {Kind.AUTH},
    Phase.MANAGER_USER: _ALIVE | {Kind.GET_RELAY, Kind.IQ, Kind.PRESENCE},
    Phase.RELAY_HELLO: _ALIVE | {Kind.USER_HELLO, Kind.COMPONENT_HELLO},
    Phase.RELAY_USER: _ALIVE | {Kind.MESSAGE, Kind.ACK, Kind.IQ},
    Phase.MESH_PROOF: frozenset({Kind.AUTH}),
    Phase.MESH_WELCOME: _OUTCOME | {Kind.MESH_WELCOME},
    Phase.MESH_OPEN: _OUTCOME
    | {Kind.MESSAGE, Kind.NEW_USER, Kind.END_USER, Kind.ACTIVITY, Kind.RECEIPT, Kind.IQ},
    Phase.AT_TRACKER_PROOF: _OUTCOME | {Kind.AUTH},
    Phase.AT_TRACKER_OPEN: _OUTCOME | {Kind.COMPONENTS},
    Phase.AT_MANAGER_PROOF: _OUTCOME | {Kind.AUTH},
    Phase.AT_MANAGER_WELCOME: _OUTCOME | {Kind.MANAGER_WELCOME},
    Phase.AT_MANAGER_RELAY: _OUTCOME
    | {Kind.WHO_ANSWER, Kind.REVOKE, Kind.KEYS, Kind.MAIL, Kind.MESSAGE, Kind.RECEIPT}
    | {Kind.GIVEN_UP, Kind.DRAIN},
    Phase.AT_MANAGER_LOGIN: _OUTCOME | {Kind.AUTH},
    Phase.AT_MANAGER_USER: _OUTCOME | {Kind.IQ, Kind.PRESENCE},
    Phase.AT_RELAY_HELLO: _OUTCOME | {Kind.USER_WELCOME},
    Phase.AT_RELAY_USER: _OUTCOME | {Kind.MESSAGE, Kind.ACK, Kind.RECEIPT, Kind.MOVE, Kind.IQ},
    Phase.AT_MESH_PROOF: _OUTCOME | {Kind.AUTH},
    Phase.DIRECT: _ALIVE | {Kind.MESSAGE, Kind.RECEIPT, Kind.IQ},
}

UNAUTHENTICATED = frozenset(
    {
        Phase.TRACKER_PROOF,
        Phase.MANAGER_PROOF,
        Phase.MESH_PROOF,
    }
)
"""Phases in which whoever says anything but the proof gets 401 and a closed link."""


class NotHere(RemoteError):
    """A known kind on the wrong link or in the wrong phase: 400."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(Code.BAD_REQUEST, f"{kind.value} is not expected here")


def check(phase: Phase, kind: Kind) -> None:
    """Nothing, if ``kind`` may be heard in ``phase``.

    Raises:
        NotHere: it may not.
    """
    if kind not in HEARD[phase]:
        raise NotHere(kind)

# SPDX-License-Identifier: MIT
"""The name of each kind of thing that is said; :mod:`xjrelay.wire.stanzas` has the class of each.

Apart, so that a table of kinds needs no class. Imports nothing.
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """Every kind of stanza, notice, request, hello and answer."""

    PING = "ping"
    PONG = "pong"
    AUTH = "auth"
    ANSWER = "answer"
    COMPONENT_HELLO = "component hello"
    COMPONENTS = "components"
    GET_COMPONENTS = "get components"
    WATCH_COMPONENTS = "watch components"
    MANAGER_WELCOME = "manager welcome"
    NCIR = "ncir"
    ECIR = "ecir"
    WHO = "who"
    WHO_ANSWER = "who answer"
    REVOKE = "revoke"
    KEYS = "keys"
    REPORTED = "reported"
    MAIL = "mail"
    TAKEN = "taken"
    GIVEN_UP = "gone"
    DRAIN = "drain"
    GET_RELAY = "get_relay_less_connection"
    IQ = "iq"
    PRESENCE = "presence"
    USER_HELLO = "user hello"
    USER_WELCOME = "user welcome"
    MESSAGE = "message"
    ACK = "ack"
    RECEIPT = "receipt"
    MOVE = "move"
    MESH_WELCOME = "mesh welcome"
    NEW_USER = "new user"
    END_USER = "end user"
    ACTIVITY = "activity"

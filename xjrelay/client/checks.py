# SPDX-License-Identifier: MIT
"""What an application gives, checked before anything is sent: usernames, addresses, messages.

The servers check the same; here a mistake is an error where it was made. Knows no link and no framework.
"""

from __future__ import annotations

from typing import Any

from xjrelay.client.errors import BadAddress, BadMessage
from xjrelay.wire import address, codec, stanzas
from xjrelay.wire.errors import RemoteError
from xjrelay.wire.framing import DEFAULT_MAX_FRAME


def check_user(user: str) -> None:
    """Nothing, if ``user`` can be a username.

    Raises:
        BadAddress: it can't.
    """
    try:
        address.key(user)
    except address.InvalidAddress as error:
        raise BadAddress(f"{user!r} can't be a username: {error.msg}") from None


def pair_of(to: str) -> str:
    """The key of the user to whom an address leads.

    Raises:
        BadAddress: it is none.
    """
    try:
        return address.parse(to).key
    except address.InvalidAddress as error:
        raise BadAddress(f"{to!r} can't be an address: {error.msg}") from None


def frame_of(value: dict[str, Any]) -> bytes:
    """The message, encoded; checked as the relay will check it.

    Raises:
        BadMessage: it can't be sent as it is.
    """
    message_id = value["id"]
    if not isinstance(message_id, str) or not 0 < len(message_id) <= stanzas.MAX_ID:
        raise BadMessage(f"an id has 1 to {stanzas.MAX_ID} characters")
    try:
        frame = codec.encode(value)
        stanzas.parse(stanzas.Kind.MESSAGE, codec.decode(frame))
    except (RemoteError, ValueError, TypeError) as error:
        raise BadMessage(f"not a message that can be sent: {error}") from None
    if len(frame) > DEFAULT_MAX_FRAME:
        raise BadMessage(f"a message has at most {DEFAULT_MAX_FRAME} bytes, this one has {len(frame)}")
    return frame

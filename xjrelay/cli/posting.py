# SPDX-License-Identifier: MIT
"""One act over HTTP, through a door (``cli.doors``). A token goes nowhere where others could read it."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from typing import Any

from xjrelay.cli.doors import Door, connect, door
from xjrelay.cli.options import Call, UsageError
from xjrelay.client.authority import tls_reason
from xjrelay.client.errors import ClientError
from xjrelay.client.network import DialError, TLSError
from xjrelay.wire.endpoints import is_loopback

PATIENCE = 30.0
"""Seconds for a whole request: deriving a key waits its turn in a storm of logins."""


class NoAdmin(ClientError):
    """Nothing that acts answers there."""


def private_door(text: str) -> Door:
    """A door as it is typed, through which a token may be shown.

    Raises:
        UsageError: it is none, or others could read along.
    """
    found = door(text.replace("tls:", "https://", 1) if text.startswith("tls:") else text)
    if found.host and not (found.tls or is_loopback(found.host)):
        place = f"https://{found.host}:{found.port}"
        raise UsageError(f"--admin {text}: a token goes over TLS, or stays on the machine; say {place}")
    return found


async def post(call: Call, place: Door, path: str, token: str, value: Mapping[str, Any]) -> tuple[int, Any]:
    """Ask, and have status and JSON.

    Raises:
        NoAdmin: nothing answers, or something else does.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await connect(call, place)
            try:
                writer.write(_request(place, path, token, json.dumps(value).encode()))
                answer = await reader.read()
            finally:
                writer.close()
    except TimeoutError:
        raise NoAdmin(f"no answer from {place} in {PATIENCE:g} s") from None
    except ssl.SSLError as error:
        raise NoAdmin(f"no TLS with {place}: {tls_reason(error)}") from error
    except (OSError, DialError, TLSError) as error:
        raise NoAdmin(f"nothing answers at {place}: {_why(error)}") from error
    return _parsed(place, answer)


def _request(place: Door, path: str, token: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {place.host or 'localhost'}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii", "replace") + body


def _parsed(place: Door, answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split()
    try:
        if not words[0].startswith(b"HTTP/1."):
            raise ValueError
        return int(words[1]), json.loads(body)
    except (ValueError, IndexError, RecursionError):
        raise NoAdmin(f"what answers at {place} does not act: no manager or node of this version") from None


def _why(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    number = getattr(error, "errno", None)
    return (os.strerror(number) if number else str(error) or "no connection").lower()

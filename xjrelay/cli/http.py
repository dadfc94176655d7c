# SPDX-License-Identifier: MIT
"""One request over HTTP to a program's admin endpoint: a UNIX socket, loopback, or TLS.

The library that a browser needs is not needed for that. A token goes nowhere where others could read it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xjrelay.cli.options import UsageError
from xjrelay.client.authority import Authority, tls_reason
from xjrelay.client.errors import ClientError
from xjrelay.client.network import DialError
from xjrelay.wire import endpoints
from xjrelay.wire.endpoints import is_loopback

PATIENCE = 30.0
"""Seconds for a whole request: deriving a key waits its turn in a storm of logins."""
MAX_ANSWER = 64 * 2**20
UNIX = "unix:"


class NoAdmin(ClientError):
    """Nothing that acts answers there."""


@dataclass(frozen=True, slots=True)
class Where:
    """An admin endpoint.

    Args:
        path: of a UNIX socket; None for a place on the network.
        address: of a place on the network.
    """

    path: Path | None = None
    address: endpoints.Address | None = None

    def __str__(self) -> str:
        return f"{UNIX}{self.path}" if self.path is not None else str(self.address)


def where(text: str) -> Where:
    """What a person says of an endpoint: ``HOST:PORT``, ``tls:HOST:PORT``, ``unix:PATH``, or a URL.

    Raises:
        UsageError: it is none, or others could read along.
    """
    if text.startswith((UNIX, "/")):
        return Where(path=Path(text.removeprefix(UNIX)))
    plain = text.rstrip("/").replace("https://", "tls:").removeprefix("http://")
    try:
        address = endpoints.parse(plain)
    except ValueError as error:
        raise UsageError(f"--admin {text}: not {error}, nor unix:PATH") from None
    if not (address.tls or is_loopback(address.host)):
        raise UsageError(f"--admin {text}: a token goes over TLS, or stays on the machine; say tls:{plain}")
    return Where(address=address)


async def post(
    place: Where, path: str, token: str, value: Mapping[str, Any], authority: str | None = None
) -> tuple[int, Any]:
    """Ask, and have status and JSON.

    Raises:
        NoAdmin: nothing answers, or something else does.
        UsageError: the authority is none.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await _connect(place, Authority(authority))
            try:
                writer.write(_request(place, path, token, json.dumps(value).encode()))
                answer = await _read(reader)
            finally:
                writer.close()
    except TimeoutError:
        raise NoAdmin(f"no answer from {place} in {PATIENCE:g} s") from None
    except ssl.SSLError as error:
        raise NoAdmin(f"no TLS with {place}: {tls_reason(error)}") from error
    except (OSError, DialError) as error:
        raise NoAdmin(f"nothing answers at {place}: {_why(error)}") from error
    return _parsed(place, answer)


async def _connect(place: Where, authority: Authority) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if place.path is not None:
        return await asyncio.open_unix_connection(str(place.path))
    address = place.address
    assert address is not None
    if not address.tls:
        return await asyncio.open_connection(address.host, address.port)
    context = await authority.context(address.host, address.port, PATIENCE, asyncio.to_thread)
    return await asyncio.open_connection(
        address.host, address.port, ssl=context, server_hostname=address.host
    )


def _request(place: Where, path: str, token: str, body: bytes) -> bytes:
    host = place.address.host if place.address is not None else "localhost"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii", "replace") + body


async def _read(reader: asyncio.StreamReader) -> bytes:
    chunks = bytearray()
    while len(chunks) < MAX_ANSWER and (chunk := await reader.read(1 << 16)):
        chunks += chunk
    return bytes(chunks)


def _parsed(place: Where, answer: bytes) -> tuple[int, Any]:
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
    return (getattr(error, "strerror", None) or str(error) or "no connection").lower()

# SPDX-License-Identifier: MIT
"""Where a program is dialled, as text and as a value: ``host:port``, or ``tls:host:port``.

The second form is how a component says its further ways in (``endpoints``, protocol, section 4),
and how an operator says where to dial. Only the text: nothing is resolved here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

TLS = "tls:"


class Address(NamedTuple):
    """Where to dial.

    Attributes:
        host: a name, or an IP address without brackets.
        port: 1 to 65535.
        tls: whether TLS is spoken there.
    """

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        """As :func:`parse` reads it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{TLS if self.tls else ''}{host}:{self.port}"


def parse(text: str) -> Address:
    """``host:port``, ``[2001:db8::1]:port``, or either with ``tls:`` (or ``tls://``) before it.

    Raises:
        ValueError: it is none of them; the text says what was expected.
    """
    tls = text.startswith(TLS)
    host, _, port = (text.removeprefix(TLS).removeprefix("//") if tls else text).rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or any(char.isspace() or char == "/" for char in host):
        raise ValueError("HOST:PORT")
    if not (port.isascii() and port.isdigit()):
        raise ValueError("HOST:PORT")
    if not 1 <= int(port[:6]) <= 65535:
        raise ValueError("HOST:PORT with a port from 1 to 65535")
    return Address(host, int(port), tls)


def secured(endpoints: Iterable[str] | None) -> list[Address]:
    """The ways in by TLS that a component offers, in its order.

    Args:
        endpoints: its ``endpoints``; those of another form than ours are passed over.
    """
    found = []
    for text in endpoints or ():
        with suppress(ValueError):
            found.append(parse(text))
    return [address for address in found if address.tls]


def way_in(host: str, port: int, endpoints: Iterable[str] | None, tls: bool) -> Address:
    """How a component is dialled.

    Args:
        host: its ``ip_local``.
        port: its ``port``.
        endpoints: its ``endpoints``.
        tls: whether TLS is preferred. A place that is itself offered as TLS is dialled so anyhow:
            nothing else is spoken there.
    """
    offered = secured(endpoints)
    same = Address(host, port, tls=True)
    if same in offered or not (tls and offered):
        return Address(host, port, same in offered)
    return offered[0]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

# SPDX-License-Identifier: MIT
"""Where the trackers are: ``xj://host:port,host:port``, or ``xjs://`` where all is to be TLS.

And where the others are: what a tracker or a manager lists, dialled as safely as it was reached itself.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from xjrelay.client.errors import BadAddress, Insecure
from xjrelay.wire import endpoints
from xjrelay.wire.endpoints import is_loopback

SCHEME = "xj://"
SECURE_SCHEME = "xjs://"
INVITATION = "?invitation="
DEFAULT_PORT = 5000
NOWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses for documentation (RFC 5737, 3849): nobody's, so only the way there is looked up."""


@dataclass(frozen=True, slots=True)
class Place:
    """A host, by name or address, and a port.

    Attributes:
        tls: whether TLS is spoken there.
    """

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def trackers(url: str) -> list[Place]:
    """The trackers of an ``xj://`` or ``xjs://`` address, in the order they are asked.

    Args:
        url: ``xj://host``, ``xj://host:port``, ``xj://[2001:db8::1]:5000``, or several with commas;
            ``xjs://`` for TLS. An invitation may follow (:func:`invitation`).

    Raises:
        BadAddress: it is none; the text says what is wrong.
    """
    url = url.partition(INVITATION)[0]
    for scheme, tls in ((SCHEME, False), (SECURE_SCHEME, True)):
        if url.startswith(scheme):
            return [place(part, tls) for part in url.removeprefix(scheme).rstrip("/").split(",")]
    schemes = f"{SCHEME} or {SECURE_SCHEME}"
    raise BadAddress(f"an address begins with {schemes}, such as xj://127.0.0.1:5000, not {url!r}")


def invitation(url: str) -> str | None:
    """The invitation in a link such as ``xj://host:port?invitation=CODE``; None where there is none."""
    return url.partition(INVITATION)[2] or None


def way_in(program: str, host: str, port: int, offered: Iterable[str], tls: bool) -> Place:
    """Where a listed manager or relay is dialled.

    Args:
        program: which, for the error.
        host: its ``ip_local``.
        port: its ``port``.
        offered: its ``endpoints``.
        tls: whether who lists it was reached over TLS. Then this is too, or it is on this machine.

    Raises:
        Insecure: it offers no TLS.
    """
    address = endpoints.way_in(host, port, offered, tls)
    if tls and not address.tls and not is_loopback(address.host):
        raise Insecure(f"the {program} at {address} offers no TLS, and who told us of it was reached by TLS")
    return Place(*address)


def place(text: str, tls: bool = False) -> Place:
    """One ``host:port``; the port is 5000 when absent.

    Raises:
        BadAddress: no host, or a port that is none.
    """
    host, port = _split(text.strip())
    if not host or any(char.isspace() or char in "/@" for char in host):
        raise BadAddress(f"not a host and port: {text!r}")
    if not port:
        return Place(host, DEFAULT_PORT, tls)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadAddress(f"not a port between 1 and 65535: {port!r}")
    return Place(host, int(port), tls)


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") > 1:
        return text, ""  # a bare IPv6 address
    host, _, port = text.partition(":")
    return host, port


def own_addresses() -> tuple[str, ...]:
    """This machine's addresses on the way out, as far as it has a way out. Nothing is sent."""
    found = []
    for family, nowhere in NOWHERE.items():
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((nowhere, 9))
            found.append(str(probe.getsockname()[0]))
    return tuple(found)

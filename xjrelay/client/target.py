# SPDX-License-Identifier: MIT
"""Where the trackers are: ``xj://host:port,host:port``. Imports only the errors."""

from __future__ import annotations

from dataclasses import dataclass

from xjrelay.client.errors import BadAddress

SCHEME = "xj://"
DEFAULT_PORT = 5000


@dataclass(frozen=True, slots=True)
class Place:
    """A host, by name or address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def trackers(url: str) -> list[Place]:
    """The trackers of an ``xj://`` address, in the order they are asked.

    Args:
        url: ``xj://host``, ``xj://host:port``, ``xj://[2001:db8::1]:5000``, or several with commas.

    Raises:
        BadAddress: it is none; the text says what is wrong.
    """
    if not url.startswith(SCHEME):
        raise BadAddress(f"an address begins with {SCHEME}, such as xj://127.0.0.1:5000, not {url!r}")
    return [place(part) for part in url.removeprefix(SCHEME).rstrip("/").split(",")]


def place(text: str) -> Place:
    """One ``host:port``; the port is 5000 when absent.

    Raises:
        BadAddress: no host, or a port that is none.
    """
    host, port = _split(text.strip())
    if not host or any(char.isspace() or char in "/@" for char in host):
        raise BadAddress(f"not a host and port: {text!r}")
    if not port:
        return Place(host, DEFAULT_PORT)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadAddress(f"not a port between 1 and 65535: {port!r}")
    return Place(host, int(port))


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") > 1:
        return text, ""  # a bare IPv6 address
    host, _, port = text.partition(":")
    return host, port

# SPDX-License-Identifier: MIT
"""``--direct`` and what belongs to it: how ``xj chat`` and ``xj listen`` have direct links with friends."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from xjrelay.cli.options import Call, UsageError
from xjrelay.client.model import Direct
from xjrelay.client.target import own_addresses
from xjrelay.domain.direct import LOWEST_PORT
from xjrelay.security.identity import Identity
from xjrelay.security.private import PrivateFileError, read_private
from xjrelay.servers.peer.router import Router, UpnpRouter
from xjrelay.wire.endpoints import parse


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may follow ``xj chat``."""
    group = parser.add_argument_group("direct links")
    group.add_argument(
        "--direct",
        action="store_true",
        help="talk with friends who want it too without the relay in between, where they can be reached;"
        " it shows them your address",
    )
    group.add_argument("--direct-listen", metavar="ADDRESS", help="where they reach you; default everywhere")
    group.add_argument("--direct-port", type=_port, default=0, metavar="PORT", help="default any")
    group.add_argument(
        "--direct-at", metavar="ADDRESS:PORT", help="where others see that, if a router forwards it"
    )
    group.add_argument("--map-port", action="store_true", help="ask the home router (UPnP) to let them in")
    group.add_argument(
        "--direct-key", type=Path, metavar="FILE", help="who you are to them, such as a peer.key; default new"
    )


@asynccontextmanager
async def direct_links(call: Call, router: Callable[[], Router] = UpnpRouter) -> AsyncIterator[Direct | None]:
    """How direct links are made, as was typed; the router's port is given back at the end.

    Args:
        call: the command.
        router: finds the router.

    Raises:
        UsageError: it can't be so.
    """
    args = call.args
    given = (args.direct_listen, args.direct_port, args.direct_at, args.direct_key, args.map_port)
    if not args.direct:
        if any(given):
            raise UsageError("the options for direct links need --direct")
        yield None
        return
    mapping = Mapping(router)
    try:
        yield Direct(
            listen=_listen(args.direct_listen),
            port=args.direct_port,
            hosts=own_addresses(),
            public=_public(args.direct_at),
            mapping=mapping.open if args.map_port else None,
            key=_key(args.direct_key),
        )
    finally:
        await mapping.close()


class Mapping:
    """A port that a home router is asked for.

    Args:
        router: finds it; blocks.
    """

    def __init__(self, router: Callable[[], Router]) -> None:
        self._make = router
        self._router: Router | None = None
        self._port = 0

    async def open(self, port: int) -> tuple[str, int] | None:
        """Where others find the port; None, and a line, where they don't."""
        try:
            return await asyncio.to_thread(self._open, port)
        except (OSError, ImportError) as error:
            print(f"* the router lets nobody in: {error}", file=sys.stderr)
            return None

    def _open(self, port: int) -> tuple[str, int]:
        router = self._make()
        place = router.open(port)
        self._router, self._port = router, port
        return place

    async def close(self) -> None:
        """Give it back."""
        if self._router is not None:
            with suppress(Exception):  # whatever a router says to that, it ends within the hour
                await asyncio.to_thread(self._router.close, self._port)


def _port(text: str) -> int:
    port = int(text)
    if not LOWEST_PORT <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a number from {LOWEST_PORT} to 65535")
    return port


def _listen(said: str | None) -> str:
    try:
        return str(ip_address(said)) if said else ""
    except ValueError:
        raise UsageError("--direct-listen: an IP address of this machine") from None


def _public(said: str | None) -> tuple[str, int] | None:
    if said is None:
        return None
    try:
        place = parse(said)
        return str(ip_address(place.host)), place.port
    except ValueError:
        raise UsageError("--direct-at: ADDRESS:PORT, an IP address, in brackets for IPv6") from None


def _key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        key = read_private(path)
        Identity(key, str(path))
    except (PrivateFileError, OSError) as error:
        raise UsageError(f"--direct-key: {error}") from None
    return key

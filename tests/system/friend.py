# SPDX-License-Identifier: MIT
"""A user with direct links as a program: lines in, one JSON object an event out.

    python -m tests.system.friend HOST:PORT USER [--map-port] [--listen ADDRESS]

``add NAME`` and ``send NAME TEXT`` on standard input; its end ends the program.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from xjrelay.cli.chat import stdin_lines
from xjrelay.cli.direct import Mapping
from xjrelay.client.aio import Client, connect
from xjrelay.client.model import Direct, LinkState, Message, RoadChange
from xjrelay.servers.peer.router import UpnpRouter


def tell(what: str, **more: Any) -> None:
    """One line."""
    print(json.dumps({"what": what, **more}), flush=True)


async def hear(client: Client) -> None:
    """What a test wants to know."""
    async for event in client.events():
        if isinstance(event, Message):
            tell("message", of=event.from_, body=event.body)
        elif isinstance(event, RoadChange):
            tell("road", to=event.user, direct=event.direct, detail=event.detail)
        elif isinstance(event, LinkState):
            tell("link", link=event.link, up=event.up)


async def obey(client: Client, line: str) -> None:
    """One line of input."""
    verb, name, text = [*line.split(" ", 2), ""][:3]
    if verb == "add":
        await client.roster.add(name)
        tell("added", of=name)
    else:
        receipt = await client.send(name, text, timeout=60)
        tell("sent", body=text, status=receipt.status, direct=client.is_direct(name))


async def main(args: argparse.Namespace) -> None:
    """Until the end of the input."""
    mapping = Mapping(UpnpRouter)

    async def ask_router(port: int) -> tuple[str, int] | None:
        place = await mapping.open(port)
        tell("mapped", place=place)
        return place

    direct = Direct(listen=args.listen, mapping=ask_router if args.map_port else None)
    client = await connect(f"xj://{args.tracker}", args.user, "rahasia-42", register=True, direct=direct)
    tell("here")
    hearing = asyncio.ensure_future(hear(client))
    try:
        async for line in stdin_lines():
            await obey(client, line.rstrip("\n"))
    finally:
        hearing.cancel()
        await client.close()
        await mapping.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("tracker")
    parser.add_argument("user")
    parser.add_argument("--map-port", action="store_true")
    parser.add_argument("--listen", default="")
    asyncio.run(main(parser.parse_args(sys.argv[1:])))

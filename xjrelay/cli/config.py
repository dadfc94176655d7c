# SPDX-License-Identifier: MIT
"""``xj config``: what is wrong with a program's configuration, and what is in force and from where."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from xjrelay.cli.admin import add_where, ask
from xjrelay.cli.options import Call, UsageError, common
from xjrelay.cli.screen import safe, table
from xjrelay.client import aio
from xjrelay.client.errors import ClientError
from xjrelay.client.target import Place
from xjrelay.servers import config
from xjrelay.servers.option_table import ALL
from xjrelay.servers.options import ProgramOptions, in_force
from xjrelay.wire.endpoints import Address

PATIENCE = 5.0
"""Seconds that somebody who is dialled has to answer."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj config``."""
    verbs = parser.add_subparsers(required=True, metavar="WHAT")

    def add(name: str, verb: Callable[[Call], Awaitable[int]], help: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, parents=[common(again=True)], help=help, description=help)
        made.set_defaults(verb=verb)
        return made

    checking = add("check", check, "everything that is wrong with a file, each with its line")
    checking.add_argument("--offline", action="store_true", help="dial nobody")
    checking.add_argument("program", choices=ALL.split(), metavar="PROGRAM", help=", ".join(ALL.split()))
    checking.add_argument("file", type=Path, metavar="FILE", help="what --config names")
    showing = add("show", show, "the options in force, and where each was said")
    showing.add_argument("--config", type=Path, metavar="FILE", help="what --config names")
    showing.add_argument("--running", action="store_true", help="of the manager or node that runs")
    add_where(showing)
    showing.add_argument(
        "program", nargs="?", choices=ALL.split(), metavar="PROGRAM", help=", ".join(ALL.split())
    )
    showing.add_argument("said", nargs=argparse.REMAINDER, metavar="OPTION", help="as twistd gets them")


async def main(call: Call) -> int:
    """The verb."""
    verb: Callable[[Call], Awaitable[int]] = call.args.verb
    return await verb(call)


async def check(call: Call) -> int:
    """A line a problem; 1 when there is one."""
    options, problems = config.read(call.args.program, call.args.file, call.environ)
    problems += config.examine(options, time.time())
    if not call.args.offline:
        problems += await _unreachable(options)
    for problem in _in_order(problems):
        where = re.match(r"(.*?):(\d+): ", problem)
        file, line = (where[1], int(where[2])) if where else (None, None)
        call.screen.show(safe(problem), file=file, line=line, problem=problem)
    if problems:
        return 1
    said = sum(source != "default" for source in options.sources.values())
    call.screen.note(
        f"{call.args.file}: nothing wrong; {said} options are said, the others have their defaults."
    )
    return 0


async def show(call: Call) -> int:
    """A line an option."""
    if call.args.running:
        rows = (await ask(call, "config"))["options"]
    elif call.args.program is None:
        raise UsageError("of which program: " + ", ".join(ALL.split()) + "; or --running")
    else:
        options, problems = config.read(call.args.program, call.args.config, call.environ, call.args.said)
        if problems:
            raise UsageError("; ".join(problems))
        rows = in_force(options)
    if call.screen.as_json:
        for row in rows:
            call.screen.show("", **row)
    else:
        cells = [[f"--{row['name']}", safe(_shown(row["value"])), safe(row["source"])] for row in rows]
        call.screen.note(table([["OPTION", "VALUE", "FROM"], *cells]))
    return 0


async def _unreachable(options: ProgramOptions) -> list[str]:
    """Those whom the program would dial and who don't answer."""
    authority = options.get("tls-authority")
    names = ("tracker", "connect")
    asked = [(name, *each) for name in names for each in enumerate(options.get(name, ()))]
    found = await asyncio.gather(*(_answers(name, one, authority) for name, _, one in asked))
    return [
        f"{config.place(options, name, index)}: {one}: {why}"
        for (name, index, one), why in zip(asked, found, strict=True)
        if why is not None
    ]


async def _answers(name: str, address: Address, authority: Any) -> str | None:
    """Why nobody answers there."""
    try:
        async with asyncio.timeout(PATIENCE):
            if name == "tracker":
                await aio.probe(Place(*address), name, authority)
            else:
                _, writer = await asyncio.open_connection(address.host, address.port)
                writer.close()
    except TimeoutError:
        return f"nothing comes back within {PATIENCE:g} s"
    except ClientError as error:
        return str(error)
    except OSError as error:
        return (os.strerror(error.errno) if error.errno else str(error)).lower()
    return None


def _in_order(problems: list[str]) -> list[str]:
    """By line, those without one at the end."""
    lines = {problem: re.match(r".*?:(\d+): ", problem) for problem in problems}
    return sorted(dict.fromkeys(problems), key=lambda one: int(m[1]) if (m := lines[one]) else 10**9)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

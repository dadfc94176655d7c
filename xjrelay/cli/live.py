# SPDX-License-Identifier: MIT
"""``xj top``: the suite, kept live: how much each program carries a second, and what is wrong.

On a terminal it fills the screen until ``q``; on one that can't move its cursor, or into a pipe, it
prints the table each time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from prompt_toolkit.application import Application
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import FormattedTextControl, Layout, Window

from xjrelay.cli import doors
from xjrelay.cli.options import Call
from xjrelay.cli.screen import safe, table
from xjrelay.cli.status import NO_DOORS, answer, as_value, mesh, queue, state, users
from xjrelay.cli.suite import Seen, Suite, look_at_all
from xjrelay.client.errors import ClientError

HEAD = [
    *("PROGRAM", "NAME", "PLACE", "ANSWERS", "USERS", "MESH", "LINKS"),
    *("HEARD/s", "SAID/s", "TOLD/s", "FAILED/s", "CPU", "FULLEST QUEUE", "STATE"),
]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj top``."""
    doors.add_options(parser)
    parser.add_argument(
        "--interval", type=_seconds, default=2.0, metavar="SECONDS", help="between two looks; default 2"
    )
    parser.add_argument("--once", action="store_true", help="two looks, one table, and the end")


@dataclass(frozen=True)
class Rates:
    """What a program did a second, between two looks.

    Attributes:
        heard: frames.
        said: frames.
        told: outcomes of messages, failed ones too.
        failed: of these.
        cpu: its process's share of a core.
    """

    heard: float
    said: float
    told: float
    failed: float
    cpu: float


def rates(before: Seen, now: Seen) -> Rates | None:
    """None where it doesn't say, or was started again meanwhile."""
    seconds = now.at - before.at
    earlier, later = before.facts, now.facts
    if seconds <= 0 or "received" not in earlier or "received" not in later:
        return None
    if later["received"] < earlier["received"] or now.cpu is None or before.cpu is None:
        return None
    told = [sum(facts["outcomes"].values()) for facts in (earlier, later)]
    failed = [facts["outcomes"].get("failed", 0) for facts in (earlier, later)]
    return Rates(
        heard=(later["received"] - earlier["received"]) / seconds,
        said=(later["sent"] - earlier["sent"]) / seconds,
        told=(told[1] - told[0]) / seconds,
        failed=(failed[1] - failed[0]) / seconds,
        cpu=(now.cpu - before.cpu) / seconds,
    )


@dataclass
class Live:
    """The last looks.

    Attributes:
        suite: the last; None before the first.
        text: what is shown.
    """

    suite: Suite | None = None
    text: str = "looking..."
    _before: dict[tuple[str, str], Seen] = field(default_factory=dict)

    def take(self, suite: Suite, now: float) -> list[tuple[Seen, Rates | None]]:
        """Another look."""
        rows: list[tuple[Seen, Rates | None]] = []
        for one in suite.programs:
            earlier = self._before.get((one.program, one.place))
            rows.append((one, rates(earlier, one) if earlier is not None else None))
        self._before = {(one.program, one.place): one for one in suite.programs}
        self.suite = suite
        self.text = drawn(suite, rows, now)
        return rows


def drawn(suite: Suite, rows: list[tuple[Seen, Rates | None]], now: float) -> str:
    """The head, the table, and what is wrong."""
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    state = f"{len(suite.wrong)} things are wrong" if suite.wrong else "all is well"
    lines = [f"xj top  {clock}  {len(suite.programs)} programs, {state}", ""]
    lines.append(table([HEAD, *([safe(cell) for cell in _cells(*row)] for row in rows)]))
    if suite.wrong:
        lines += ["", *(f"WRONG  {safe(one)}" for one in suite.wrong)]
    if not suite.doors:
        lines += ["", NO_DOORS]
    return "\n".join(lines)


def _cells(one: Seen, rate: Rates | None) -> list[str]:
    speeds = ["-"] * 5
    if rate is not None:
        speeds = [*(f"{speed:,.0f}" for speed in (rate.heard, rate.said, rate.told, rate.failed))]
        speeds.append(f"{rate.cpu:.0%}")
    links = str(one.facts.get("links", "-"))
    return [
        *(one.program, one.name, one.place, answer(one), users(one), mesh(one), links),
        *speeds,
        *(queue(one), state(one)),
    ]


async def top(call: Call) -> int:
    """Look, again and again; with ``--once`` 1 when anything is wrong."""
    live, args = Live(), call.args
    if args.once:
        live.take(await look_at_all(call), time.time())
        await asyncio.sleep(args.interval)
        _print(call, live, live.take(await look_at_all(call), time.time()))
        assert live.suite is not None
        return 1 if live.suite.wrong else 0
    if call.screen.as_json or not _is_screen(call):
        async for rows in _looks(call, live):
            _print(call, live, rows)
        return 0
    await _on_screen(call, live)
    return 0


async def _looks(call: Call, live: Live) -> AsyncIterator[list[tuple[Seen, Rates | None]]]:
    while True:
        try:
            yield live.take(await look_at_all(call), time.time())
        except ClientError as error:  # it may come back while we look
            live.text = f"xj top  {time.strftime('%H:%M:%S')}  {safe(error)}"
            yield []
        await asyncio.sleep(call.args.interval)


def _print(call: Call, live: Live, rows: list[tuple[Seen, Rates | None]]) -> None:
    if not call.screen.as_json:
        call.screen.note(live.text + "\n")
        return
    at = round(time.time(), 3)
    for one, rate in rows:
        speeds = {name: round(speed, 3) for name, speed in vars(rate).items()} if rate is not None else None
        call.screen.show("", time=at, **as_value(one), rates=speeds)
    if live.suite is not None and live.suite.wrong:
        call.screen.show("", time=at, program="suite", wrong=live.suite.wrong)


def _is_screen(call: Call) -> bool:
    dumb = call.environ.get("TERM", "dumb") in ("dumb", "")
    return not dumb and sys.stdin.isatty() and sys.stdout.isatty() and os.name == "posix"


async def _on_screen(call: Call, live: Live) -> None:
    keys = KeyBindings()

    @keys.add("q")
    @keys.add("c-c")
    def leave(event: KeyPressEvent) -> None:
        event.app.exit()

    window = Window(FormattedTextControl(lambda: f"{live.text}\n\nq leaves"), wrap_lines=False)
    screen: Application[None] = Application(Layout(window), key_bindings=keys, full_screen=True)

    async def keep() -> None:
        async for _ in _looks(call, live):
            screen.invalidate()

    looking = asyncio.ensure_future(keep())
    looking.add_done_callback(lambda task: task.cancelled() or screen.exit())
    try:
        await screen.run_async()
    finally:
        looking.cancel()
    if looking.done() and not looking.cancelled():
        looking.result()  # what ended it is the command's end, too


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError("a number of seconds from 0.1 to 3600")
    return value

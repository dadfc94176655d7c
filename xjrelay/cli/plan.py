# SPDX-License-Identifier: MIT
"""``xj plan``: how many users this machine can take, and what runs out first.

Measures for a minute, with a suite of its own on loopback that is gone afterwards, and reckons with what is
said of the users. The measuring is :mod:`xjrelay.prove.measure`'s, the reckoning
:mod:`xjrelay.prove.capacity`'s.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from xjrelay.cli.options import Call, UsageError
from xjrelay.prove.capacity import HOSTED, MONTH, SHARE, Costs, Habits, Machine, Plan, plan
from xjrelay.prove.local import SuiteError
from xjrelay.prove.measure import Measuring, Unmeasurable, machine

MIB = 2**20
LEAST = 3.0
"""Seconds below which nothing is worth telling."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj plan``."""
    usual = Habits()
    parser.add_argument("--seconds", type=float, default=60.0, help="of measuring, default 60")
    parser.add_argument("--size", type=int, default=100, metavar="CHARACTERS", help="of a body, default 100")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="on the disk that will be used; a temporary folder when absent",
    )
    said = parser.add_argument_group("what a user does")
    said.add_argument(
        "--messages",
        type=float,
        default=usual.messages,
        metavar="N",
        help=f"that each sends a day, default {usual.messages:g}",
    )
    said.add_argument(
        "--busiest",
        type=float,
        default=usual.busiest * 100,
        metavar="PERCENT",
        help=f"of a day's messages that its busiest hour has, default {usual.busiest:.0%}".replace(
            "%", " %%"
        ),
    )
    said.add_argument(
        "--away",
        type=float,
        default=usual.away * 100,
        metavar="PERCENT",
        help=f"of messages that are for somebody who is away, default {usual.away:.0%}".replace("%", " %%"),
    )
    said.add_argument(
        "--logins", type=float, default=usual.logins, metavar="N", help=f"a day, default {usual.logins:g}"
    )
    parser.add_argument(
        "--memory",
        type=float,
        metavar="MIB",
        help="reckon with so much free memory; what is free when absent",
    )
    parser.add_argument(
        "--price", type=float, metavar="MONEY", help="of this machine a month: for the cost a message"
    )


async def plan_here(call: Call) -> int:
    """Measure, reckon, tell."""
    args = call.args
    said = habits(args)
    try:
        here = _machine(args.memory)
        costs = await _measure(call)
    except (SuiteError, Unmeasurable) as error:
        call.screen.error(str(error))
        return 1
    show(call, here, costs, plan(here, costs, said))
    return 0


def show(call: Call, here: Machine, costs: Costs, made: Plan) -> None:
    """Tell a person, or a script."""
    args = call.args
    if call.screen.as_json:
        call.screen.show("", **_as_json(here, costs, made, args.price))
    else:
        for line in [*_told(here, costs, args.size), "", *_promised(made), *_paid(made, args.price)]:
            call.screen.note(line)


def habits(args: argparse.Namespace) -> Habits:
    """What was said of the users.

    Raises:
        UsageError: it can't be.
    """
    if args.seconds < LEAST:
        raise UsageError(f"--seconds: {LEAST:.0f} at least")
    if args.messages <= 0 or args.logins < 0:
        raise UsageError("--messages and --logins: above 0")
    if not 0 < args.busiest <= 100 or not 0 <= args.away <= 100:
        raise UsageError("--busiest and --away: a percentage")
    if args.price is not None and args.price < 0:
        raise UsageError("--price: of a month, 0 or more")
    if args.memory is not None and args.memory <= 0:
        raise UsageError("--memory: above 0")
    return Habits(
        messages=args.messages, busiest=args.busiest / 100, away=args.away / 100, logins=args.logins
    )


async def _measure(call: Call) -> Costs:
    args = call.args
    if args.data_dir is not None and not args.data_dir.is_dir():
        raise UsageError(f"--data-dir {args.data_dir}: there is no such folder")
    with tempfile.TemporaryDirectory(prefix="xj-plan-", dir=args.data_dir) as folder:
        call.screen.note(f"measuring for {args.seconds:.0f} s ...")
        return await Measuring(Path(folder).absolute(), args.seconds, args.size, call.screen.note).run()


def _machine(memory: float | None) -> Machine:
    here = machine()
    return here if memory is None else replace(here, memory=int(memory * MIB))


def _told(here: Machine, costs: Costs, size: int) -> list[str]:
    """What was measured, for a person."""
    processors, memory = _count(here.cores, "processor"), here.memory / MIB
    message, stored, stored_relay = (1e6 * one for one in (costs.message, costs.stored, costs.stored_relay))
    login, login_relay, key = (1e3 * one for one in (costs.login, costs.login_relay, costs.new_key))
    each = (costs.memory_manager + costs.memory_relay) / 1024
    rows = {
        "this machine": f"{processors}, {memory:,.0f} MiB of memory free, {here.files:,} files a process",
        "a message": f"{message:,.0f} us of the relay's processor ({size} characters, acknowledged)",
        "one that waits": f"{stored:,.0f} us of the manager's, {stored_relay:,.0f} us of the relay's",
        "a login": f"{login:,.1f} ms of the manager's, {login_relay:,.1f} ms of the others'",
        "a new account": f"{key:,.1f} ms more, for its key",
        "a user at rest": f"{each:,.1f} KiB, and {costs.rest * 1e6:,.0f} us each second",
        "a sync": f"{costs.sync * 1e3:,.2f} ms of the disk",
        "without users": f"{costs.base / MIB:,.0f} MiB for all programs",
    }
    return ["", *(f"{what:16} {value}" for what, value in rows.items())]


def _promised(made: Plan) -> list[str]:
    """The answer, in words."""
    habits, first, relays = made.habits, made.bounds[0], _count(made.relays, "relay")
    lines = [
        f"It can take {_round(made.users):,} users who send {habits.messages:g} messages a day each.",
        f"That is {_round(made.monthly):,} messages a month, {made.rate:,.1f} a second in the busiest hour;",
        f"with {relays}, and {1 - SHARE:.0%} of everything left for what is not foreseen.",
        "",
        f"What runs out first: {first.what}.",
        f"  For more: {first.more}.",
        "Then:",
    ]
    lines += [f"  {_round(bound.users):>13,} users: {bound.what}" for bound in made.bounds[1:]]
    most = f"{relays} can carry {_round(made.most):,} messages a second, one at a time"
    return [*lines, "", f"With nothing else to do, {most}."]


def _paid(made: Plan, price: float | None) -> list[str]:
    if price is None:
        return []
    each = made.price(price)
    lines = [f"At {price:g} a month that is {each:.2g} a message."]
    if each:
        less = _round(HOSTED / each)
        lines.append(
            f"A hosted service's published price is {HOSTED:g} dollars a message: {less:,} times that."
        )
    return lines


def _as_json(here: Machine, costs: Costs, made: Plan, price: float | None) -> dict[str, object]:
    return {
        "machine": asdict(here),
        "costs": asdict(costs),
        "habits": asdict(made.habits),
        "users": made.users,
        "relays": made.relays,
        "messages_a_second": round(made.rate, 3),
        "messages_a_month": round(made.monthly),
        "month": MONTH,
        "most_messages_a_second": round(made.most),
        "first": asdict(made.bounds[0]),
        "bounds": [asdict(bound) for bound in made.bounds],
        "price_a_message": None if price is None else made.price(price),
    }


def _round(number: float) -> int:
    """Two figures: what was measured bears no more."""
    return int(float(f"{number:.2g}"))


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"

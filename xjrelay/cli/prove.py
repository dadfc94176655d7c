# SPDX-License-Identifier: MIT
"""``xj prove``: whether a deployment keeps its promise, by writing under load while things break.

Against any deployment (``--tracker``) with accounts it makes, or against a suite of its own (``--local``).
Breaks connections with the proxy it carries, and servers only where it is given leave.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from xjrelay.cli.options import Call, UsageError
from xjrelay.prove.crowd import Crowd, Plan
from xjrelay.prove.ledger import Ledger
from xjrelay.prove.local import Suite, SuiteError
from xjrelay.prove.machines import MachineError, Machines
from xjrelay.prove.proxy import NEVER, Faults, Proxy
from xjrelay.prove.run import Blow, Course, Proof, Result

KILL_TIMEOUT = 60.0
"""Seconds a command of ``--kill`` may take."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj prove``."""
    load = parser.add_argument_group("the load")
    load.add_argument("--users", type=int, default=100, metavar="N", help="default 100")
    load.add_argument("--rate", type=float, default=500.0, metavar="N", help="messages a second, default 500")
    load.add_argument("--size", type=int, default=100, metavar="CHARACTERS", help="of a body, default 100")
    load.add_argument("--away", type=int, default=0, metavar="N", help="users who come and go")
    load.add_argument("--seconds", type=float, default=None, help="how long, default 30; between blows 2")
    load.add_argument("--prefix", metavar="NAME", help="of the accounts; random when absent")
    load.add_argument("--outboxes", action="store_true", help="every user's outbox is in a file")
    load.add_argument("--seed", type=int, help="of everything random here; printed when absent")
    net = parser.add_argument_group("the network, for each connection (seconds; means are of a random time)")
    net.add_argument("--delay", type=float, default=0.0, help="every byte comes later")
    net.add_argument("--jitter", type=float, default=0.0, help="up to so much later still")
    net.add_argument("--cut", type=float, default=NEVER, metavar="MEAN", help="to a cut in mid-frame")
    net.add_argument("--stall", type=float, default=NEVER, metavar="MEAN", help="to a silence")
    net.add_argument(
        "--stall-for", type=float, default=30.0, help="how long it lasts, default 30; inf for ever"
    )
    servers = parser.add_argument_group("the servers")
    servers.add_argument("--rounds", type=int, default=0, metavar="N", help="how many blows")
    servers.add_argument(
        "--kill",
        action="append",
        metavar="COMMAND",
        help="a shell command that kills a server, which something starts again; one of them a round",
    )
    servers.add_argument("--local", action="store_true", help="a suite of its own, killed a program a round")
    servers.add_argument("--relays", type=int, default=3, metavar="N", help="of it, default 3")
    servers.add_argument(
        "--namespaces", action="store_true", help="each of them on a machine of its own (Linux, as root)"
    )
    servers.add_argument(
        "--partition", type=float, default=0.0, help="part its relays so long, and kill nobody"
    )
    servers.add_argument("--keep", type=Path, metavar="DIR", help="its data and logs; removed when absent")


async def prove(call: Call) -> int:
    """Run it; 1 when anything was lost, doubled or out of order."""
    args = call.args
    _check(args)
    seed = args.seed if args.seed is not None else secrets.randbits(32)
    call.screen.note(f"seed {seed}")
    async with AsyncExitStack() as stack:
        try:
            proof = await _prepare(call, random.Random(seed), stack)
        except (SuiteError, MachineError) as error:
            call.screen.error(str(error))
            return 1
        result = await proof.run()
    _show(call, result, seed)
    return 0 if result.verdict.kept else 1


def _check(args: argparse.Namespace) -> None:
    if args.users < 2:
        raise UsageError("--users: two at least, to write to one another")
    if (args.partition or args.namespaces) and not args.local:
        raise UsageError("--partition and --namespaces are for a suite of its own, say --local")
    if args.rounds and not (args.local or args.kill):
        raise UsageError("--rounds: nothing may be broken, say --local or --kill COMMAND")
    if args.local and args.kill:
        raise UsageError("--local has its own servers: --kill is for others")


async def _prepare(call: Call, rng: random.Random, stack: AsyncExitStack) -> Proof:
    args = call.args
    folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xj-prove-")))
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    outboxes = folder / "outboxes"
    outboxes.mkdir(exist_ok=True)
    suite, blow = await _servers(call, folder, rng, stack)
    faults = Faults(
        delay=args.delay, jitter=args.jitter, cut=args.cut, stall=args.stall, stall_for=args.stall_for
    )
    proxy = Proxy(random.Random(rng.random()), faults)
    stack.push_async_callback(proxy.close)

    async def route(host: str, port: int) -> tuple[str, int]:
        if suite is not None:
            host, port = suite.real(host, port)
        return (host, port) if faults == Faults() else await proxy.place(host, port)

    plan = Plan(
        url=call.url() if suite is None else suite.url,
        prefix=args.prefix or f"prove-{secrets.token_hex(4)}-",
        password=_password(call),
        authority=call.authority(),
        users=args.users,
        rate=args.rate,
        size=args.size,
        outboxes=str(outboxes) if args.outboxes or args.away else None,
    )
    seconds = args.seconds if args.seconds is not None else (2.0 if args.rounds else 30.0)
    course = Course(seconds=seconds, rounds=args.rounds, away=args.away)
    crowd = Crowd(plan, Ledger(), rng, route)
    return Proof(crowd, course, rng, blow if args.rounds else None, proxy, call.screen.note)


async def _servers(
    call: Call, folder: Path, rng: random.Random, stack: AsyncExitStack
) -> tuple[Suite | None, Blow | None]:
    """The suite, if it is our own, and what a round breaks."""
    args = call.args
    if not args.local:
        return None, (lambda: _run(rng.choice(args.kill))) if args.kill else None
    mesh = machines = None
    if args.namespaces:
        machines = Machines()
        stack.push_async_callback(machines.end)
        await machines.begin()
    elif args.partition:
        mesh = Proxy(random.Random(rng.random()))
        stack.push_async_callback(mesh.close)
    suite = Suite(folder, args.relays, rng, mesh, machines)
    stack.push_async_callback(suite.end)
    await suite.start()
    return suite, partial(suite.part, args.partition) if args.partition else suite.strike


async def _run(command: str) -> str:
    """A blow by somebody else's command."""
    process = await asyncio.create_subprocess_shell(command)
    try:
        async with asyncio.timeout(KILL_TIMEOUT):
            status = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{command} (took too long)"
    return command if status == 0 else f"{command} (exit status {status})"


def _password(call: Call) -> str:
    """Random for accounts that are made; given for those there are already."""
    return call.password() if call.args.prefix else secrets.token_hex(16)


def _show(call: Call, result: Result, seed: int) -> None:
    if call.screen.as_json:
        call.screen.show("", seed=seed, **result.as_json())
    else:
        for line in result.lines():
            call.screen.note(line)

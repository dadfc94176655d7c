# SPDX-License-Identifier: MIT
"""What one user, one login, one message cost this machine: measured on a suite of its own, a minute long.

Every figure is the processor time of the program that does it, from the system's accounting, so that what
else the machine does meanwhile, our own users among it, hardly shows. What they come to is :mod:`capacity`'s.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import resource
import secrets
import statistics
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from xjrelay.prove.capacity import SPARE_FILES, Costs, Machine
from xjrelay.prove.crowd import Crowd
from xjrelay.prove.crowd import Plan as Load
from xjrelay.prove.ledger import Ledger
from xjrelay.prove.local import Program, Suite
from xjrelay.prove.sitters import Sitter

COMING, LOGINS, RESTING, WRITING, AWAY = 0.2, 0.15, 0.15, 0.3, 0.2
"""Shares of the time: users come, log in again, rest, write, write to those who are away."""

MOST_SITTERS = 2000
WRITERS = 40
AT_ONCE = 16
KEY_ROUNDS = 15_000
"""Of a new account's key by default (docs/options.md); its users' keys here are cheaper."""

SYNCS = 50
PAGE = 4096


class Unmeasurable(Exception):
    """Nothing can be told of this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Used:
    """What the programs have used up to a moment: seconds of a core, by program; and the moment."""

    seconds: dict[str, float]
    at: float

    def since(self, before: Used, name: str) -> float:
        """What programs whose names begin so have used since."""
        return sum(spent - before.seconds[one] for one, spent in self.seconds.items() if one.startswith(name))


def machine() -> Machine:
    """The machine we are on.

    Raises:
        Unmeasurable: it is no Linux.
    """
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        raise Unmeasurable("only Linux says what a process uses in the form that is read here") from None
    free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(cores=len(os.sched_getaffinity(0)), memory=free * 1024, files=files)


class Measuring:
    """One measurement.

    Args:
        folder: for the suite's data, on the disk that will be used.
        seconds: for everything but starting and ending.
        size: characters of a message's body.
        note: hears how it goes.

    Attributes:
        sitters: users who were there at the most.
    """

    def __init__(self, folder: Path, seconds: float, size: int, note: Callable[[str], None]) -> None:
        self.sitters: list[Sitter] = []
        self._folder = folder
        self._seconds = seconds
        self._size = size
        self._note = note
        self._delivered = 0
        self._random = random.Random(secrets.randbits(32))
        options = {"manager": ["--key-rounds", "4096"]}
        self._suite = Suite(folder, 1, self._random, options=options)

    async def run(self) -> Costs:
        """Do it.

        Raises:
            SuiteError: the suite doesn't start.
            ClientError: its users don't get in.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._suite.end)
            await self._suite.start()
            return await self._measure()

    async def _measure(self) -> Costs:
        begun, base = self._used(), self._resident()
        await self._come(self._until(COMING))
        full = self._resident()
        count = len(self.sitters)
        self._note(f"{count} users came in {self._used().at - begun.at:.0f} s")
        logins, login = await self._log_in_again(self._until(LOGINS))
        self._note(f"{logins} logins")
        rest = await self._rest(RESTING * self._seconds)
        async with AsyncExitStack() as stack:
            crowd = await self._crowd(stack)
            sent, message = await self._write(crowd, WRITING * self._seconds, rest)
            self._note(f"{sent} messages")
            stored, kept = await self._write_away(crowd, AWAY * self._seconds, rest)
            self._note(f"{stored} messages for users who were away")
        # Those who came for their messages logged in, and half of what was sent was for users who were there.
        kept["manager"] -= WRITERS / 2 * login["manager"] / logins
        kept["relay"] -= (self._delivered * message["relay"] / sent) + WRITERS / 2 * login["relay"] / logins
        return Costs(
            message=message["relay"] / sent,
            message_elsewhere=(message["manager"] + message["tracker"]) / sent,
            login=login["manager"] / logins,
            login_relay=(login["relay"] + login["tracker"]) / logins,
            rest=(rest["manager"] + rest["relay"]) / count,
            rest_relay=rest["relay"] / count,
            stored=max(0.0, kept["manager"]) / stored,
            stored_relay=max(0.0, kept["relay"]) / stored,
            new_key=key_time(KEY_ROUNDS),
            sync=sync_time(self._folder),
            memory_manager=max(0.0, full["manager"] - base["manager"]) / count,
            memory_relay=max(0.0, full["relay1"] - base["relay1"]) / count,
            base=sum(base.values()),
        )

    def _until(self, share: float) -> float:
        return asyncio.get_running_loop().time() + share * self._seconds

    # -- users -------------------------------------------------------------------------------

    async def _come(self, end: float) -> None:
        """As many as the time allows, at least as many as come at once."""
        place = next((one.host, one.port) for one in self._suite.programs if one.name == "manager")
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(MOST_SITTERS, (files - SPARE_FILES) // 2 - 2 * WRITERS)

        async def some() -> None:
            while len(self.sitters) < most:
                sitter = Sitter(f"sitter{len(self.sitters)}", "rahasia", place)
                self.sitters.append(sitter)
                await sitter.come(register=True)
                if asyncio.get_running_loop().time() > end:
                    return

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))

    async def _log_in_again(self, end: float) -> tuple[int, dict[str, float]]:
        """Users leave and come back; how many, and what it took."""
        before, count = self._used(), 0
        waiting = list(self.sitters)

        async def some() -> None:
            nonlocal count
            while waiting:
                sitter = waiting.pop()
                await sitter.go()
                await sitter.come()
                count += 1
                if asyncio.get_running_loop().time() > end:
                    return

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        return count, self._spent(before)

    async def _rest(self, seconds: float) -> dict[str, float]:
        """What everybody's saying nothing costs, each second."""
        before = self._used()
        await asyncio.sleep(seconds)
        after = self._used()
        return {name: spent / (after.at - before.at) for name, spent in self._spent(before).items()}

    # -- messages ----------------------------------------------------------------------------

    async def _crowd(self, stack: AsyncExitStack) -> Crowd:
        load = Load(
            url=self._suite.url,
            prefix="writer",
            password="rahasia",
            users=WRITERS,
            rate=200.0,
            size=self._size,
        )

        async def straight(host: str, port: int) -> tuple[str, int]:
            return host, port

        crowd = Crowd(load, Ledger(), self._random, straight)
        stack.push_async_callback(crowd.disperse)
        await crowd.enter()
        return crowd

    async def _write(
        self, crowd: Crowd, seconds: float, rest: dict[str, float]
    ) -> tuple[int, dict[str, float]]:
        """Write for so long; how many were sent, and what it took beside the rest."""
        sent, before = crowd.ledger.verdict().sent, self._used()
        writing = asyncio.create_task(crowd.write())
        await asyncio.sleep(seconds)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        while crowd.ledger.unsettled:
            await asyncio.sleep(0.05)
        spent, took = self._spent(before), self._used().at - before.at
        beside = {name: max(0.0, one - rest[name] * took) for name, one in spent.items()}
        return crowd.ledger.verdict().sent - sent, beside

    async def _write_away(
        self, crowd: Crowd, seconds: float, rest: dict[str, float]
    ) -> tuple[int, dict[str, float]]:
        """The same with half of them away, who then come; how many messages they came for."""
        before = crowd.ledger.verdict().outcomes.get("stored", 0)
        away = crowd.names[::2]
        for name in away:
            await crowd.leave(name)
        sent, spent = await self._write(crowd, seconds, rest)
        stored = crowd.ledger.verdict().outcomes.get("stored", 0) - before
        self._delivered = sent - stored
        began = self._used()
        for name in away:
            await crowd.join(name)
        while crowd.ledger.owed:
            await asyncio.sleep(0.05)
        fetching = self._spent(began)
        return max(1, stored), {name: one + fetching[name] for name, one in spent.items()}

    # -- the system's accounting -------------------------------------------------------------

    def _used(self) -> Used:
        spent = {one.name: processor_time(_pid(one)) for one in self._suite.programs}
        return Used(spent, time.monotonic())

    def _spent(self, before: Used) -> dict[str, float]:
        now = self._used()
        return {name: now.since(before, name) for name in ("tracker", "manager", "relay")}

    def _resident(self) -> dict[str, float]:
        return {one.name: float(resident(_pid(one))) for one in self._suite.programs}


def processor_time(pid: int) -> float:
    """User and system time of a process and all its threads so far, in seconds."""
    return time.clock_gettime((~pid << 3) | 2)  # the clock that clock_getcpuclockid(3) names


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def sync_time(folder: Path) -> float:
    """Seconds that a sync of the disk takes after a small write, the median of some."""
    times = []
    with (folder / "sync").open("wb") as file:
        for _ in range(SYNCS):
            file.write(bytes(PAGE))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def key_time(rounds: int) -> float:
    """Seconds that the key of a new password takes."""
    began = time.process_time()
    hashlib.pbkdf2_hmac("sha256", b"rahasia", bytes(16), rounds)
    return time.process_time() - began


def _pid(program: Program) -> int:
    if program.pid is None:
        raise Unmeasurable(f"{program.name} has ended: see {program.log}")
    return program.pid

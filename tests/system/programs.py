# SPDX-License-Identifier: MIT
"""Real programs for the tests: twistd processes, their ready lines, their ends."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"xjrelay ready (\S+) ([^\s\"]+):(\d+)")
PATIENCE = 30.0
"""Seconds until a wait is a failure: long, because the machine may be busy."""


class ExitedEarly(Exception):
    """A program ended before it served; the text is what it said."""


class Program(ProcessProtocol):
    """One twistd process.

    Args:
        plugin: ``xjtracker`` and its like.
        data: its data folder.
        options: the rest of its command line.
    """

    def __init__(self, plugin: str, data: Path, *options: str) -> None:
        self.plugin = plugin
        self.options = options
        self.log = ""
        self.host = "127.0.0.1"
        self.port = 0
        self._data = data
        self._environment = {**os.environ, "XDG_CONFIG_HOME": str(data.parent), "PYTHONUNBUFFERED": "1"}
        self._ready: Deferred[None] | None = None
        self._ended: Deferred[int] = Deferred()
        self.running = False

    @property
    def address(self) -> str:
        """``host:port`` of its ready line."""
        return f"{self.host}:{self.port}"

    def command(self) -> list[str]:
        """What is run; a second start listens where the first did."""
        return [
            str(Path(sys.executable).with_name("twistd")),
            "--nodaemon",
            "--pidfile=",
            self.plugin,
            "--data-dir",
            str(self._data),
            "--listen",
            f"tcp:{self.port}:interface=127.0.0.1",
            *self.options,
        ]

    def start(self) -> Deferred[None]:
        """Run it; fires when it serves, fails with :class:`ExitedEarly`."""
        self.log = ""
        self._ready, self._ended = Deferred(), Deferred()
        command = self.command()
        self.running = True
        IReactorProcess(reactor).spawnProcess(
            self, command[0], command, env=self._environment, path=str(ROOT)
        )
        ready = self._ready
        ready.addTimeout(PATIENCE, IReactorTime(reactor))
        return ready.addErrback(self._explain)

    def stop(self, signal: str = "TERM") -> Deferred[int]:
        """Signal it; fires with its exit status (negative: the signal that ended it)."""
        if self.running:
            assert self.transport is not None
            self.transport.signalProcess(signal)
        return self._ended

    def outReceived(self, data: bytes) -> None:
        """Its log."""
        self.log += data.decode("utf-8", "replace")
        match = READY.search(self.log)
        if match and self._ready is not None:
            ready, self._ready = self._ready, None
            self.host, self.port = match[2], int(match[3])
            ready.callback(None)

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """It is over."""
        self.running = False
        status = exit_status(reason.value)
        if self._ready is not None:
            ready, self._ready = self._ready, None
            ready.errback(ExitedEarly(f"exit status {status}"))
        self._ended.callback(status)

    def _explain(self, failure: Failure) -> None:
        raise ExitedEarly(f"{self.plugin}: {failure.value!r}; it said:\n{self.log}") from failure.value


def exit_status(ended: BaseException | None) -> int:
    """How a process ended: its exit status, or the signal that ended it, negative."""
    if isinstance(ended, ProcessDone):
        return 0
    assert isinstance(ended, ProcessTerminated)
    return -(ended.signal or 0) if ended.exitCode is None else ended.exitCode


class Suite:
    """A tracker, a manager and relays, each a process of its own.

    Args:
        folder: where each gets its data folder, and where the secret is made.
        relays: how many.
        relay_options: further options of each relay.
    """

    def __init__(self, folder: Path, relays: int = 2, relay_options: tuple[str, ...] = ()) -> None:
        self.folder = folder = folder.absolute()  # the programs run in another folder
        self.tracker = Program("xjtracker", folder / "tracker")
        self.manager = Program("xjmanager", folder / "manager")
        self.relays = [Program("xjrelay", folder / f"relay{n}", *relay_options) for n in range(relays)]

    @property
    def programs(self) -> list[Program]:
        """All, in the order they start."""
        return [self.tracker, self.manager, *self.relays]

    @property
    def url(self) -> str:
        """What a client is given."""
        return f"xj://{self.tracker.address}"

    async def start(self) -> None:
        """Start each when the one before serves."""
        await self.tracker.start()
        for program in self.programs[1:]:
            program.options += ("--tracker", self.tracker.address)
            await program.start()

    async def end(self) -> None:
        """Kill whatever still runs, and wait."""
        for program in self.programs:
            if program.running:
                await program.stop("KILL")


async def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for something that another process brings about.

    Raises:
        TimeoutError: it didn't, in 30 seconds.
    """
    clock = IReactorTime(reactor)
    end = clock.seconds() + patience
    while not condition():
        if clock.seconds() > end:
            raise TimeoutError(f"waited in vain: {what}")
        await deferLater(clock, 0.02)

# SPDX-License-Identifier: MIT
"""A suite of its own: tracker, manager and relays, each a twistd process that may be killed.

Everything is on loopback and in one folder, or each program on a machine of its own (:mod:`machines`).
Where the mesh is to be parted on loopback, relays are told to one another by the addresses of a proxy, which
users go round. Only processes started here are ended here.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from xjrelay.prove.machines import Machine, Machines
from xjrelay.prove.proxy import Proxy

READY = re.compile(rb"xjrelay ready \S+ (\S+):(\d+)")
START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
"""Seconds: a program serves, or has ended, or something is wrong."""

MACHINE_PORT = 5000
"""Everybody's, where each has a machine of its own."""

_CROWDED = ("--address-registrations", "100000")
"""All users come from one address, which is not loopback there."""


class SuiteError(Exception):
    """A program doesn't start; the text says what it said last."""


class Program:
    """One twistd process, and the next one in its place.

    Args:
        plugin: ``xjtracker`` and its like.
        folder: its data folder's parent; the log is there too.
        name: the data folder.
        place: where it listens.
        machine: where it runs; None for here.
        options: the rest of its command line.
    """

    def __init__(
        self,
        plugin: str,
        folder: Path,
        name: str,
        place: tuple[str, int],
        machine: Machine | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.host, self.port = place
        self.machine = machine
        self._folder = folder
        self._command = [
            *(machine.prefix if machine is not None else []),
            *(str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=", plugin),
            *("--data-dir", str(folder / name), "--listen", f"tcp:{self.port}:interface={self.host}"),
            *options,
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._last = b""

    @property
    def log(self) -> Path:
        """All it said, in all its lives."""
        return self._folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> None:
        """Run it until it serves.

        Raises:
            SuiteError: it ends first, or takes too long.
        """
        self._ready = asyncio.Event()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._folder,
            env={**os.environ, "XDG_CONFIG_HOME": str(self._folder), "PYTHONUNBUFFERED": "1"},
        )
        self._reading = asyncio.create_task(self._read(self._process))
        waits = [asyncio.create_task(self._ready.wait()), asyncio.create_task(self._process.wait())]
        try:
            await asyncio.wait(waits, timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._ready.is_set():
            said = self._last.decode("utf-8", "replace").strip()
            raise SuiteError(f"{self.name} doesn't serve; it said: {said}")

    async def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Signal it, and wait; one that doesn't go in time is killed."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(how)
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with self.log.open("ab") as log:
            async for line in process.stdout:
                log.write(line)
                log.flush()
                self._last = line
                if READY.search(line):
                    self._ready.set()


class Suite:
    """All of them.

    Args:
        folder: for everything.
        relays: how many.
        rng: who is struck.
        mesh: the proxy between the relays; None joins them directly.
        machines: gives each program one; None runs them here.
        options: of each program, by the beginning of its name: ``{"relay": ["--resume", "5"]}``.
    """

    def __init__(
        self,
        folder: Path,
        relays: int,
        rng: random.Random,
        mesh: Proxy | None = None,
        machines: Machines | None = None,
        options: dict[str, list[str]] | None = None,
    ) -> None:
        self.programs: list[Program] = []
        self._folder = folder
        self._relays = relays
        self._random = rng
        self._mesh = mesh
        self._machines = machines
        self._options = options or {}
        self._round_the_mesh: dict[tuple[str, int], tuple[str, int]] = {}

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"xj://{self.programs[0].host}:{self.programs[0].port}"

    async def start(self) -> None:
        """Start each when the one before serves.

        Raises:
            SuiteError: one doesn't.
        """
        tracker = await self._add("xjtracker", "tracker")
        known = ["--tracker", f"{tracker.host}:{tracker.port}"]
        await self._add("xjmanager", "manager", *known)
        for number in range(1, self._relays + 1):
            await self._add("xjrelay", f"relay{number}", *known)

    async def _add(self, plugin: str, name: str, *options: str) -> Program:
        machine = await self._machines.add() if self._machines is not None else None
        place = ("127.0.0.1", free_port()) if machine is None else (machine.address, MACHINE_PORT)
        if machine is not None:
            options += ("--allow-plaintext", *(_CROWDED if plugin == "xjmanager" else ()))
        if self._mesh is not None and plugin == "xjrelay":
            shown = await self._mesh.place(*place)
            self._round_the_mesh[shown] = place
            options += ("--advertise", f"{shown[0]}:{shown[1]}")
        for beginning, more in self._options.items():
            if name.startswith(beginning):
                options += tuple(more)
        program = Program(plugin, self._folder, name, place, machine, options)
        self.programs.append(program)
        await program.start()
        return program

    def real(self, host: str, port: int) -> tuple[str, int]:
        """Where a program really listens, for an address that one of them told."""
        return self._round_the_mesh.get((host, port), (host, port))

    async def strike(self) -> str:
        """Kill one of them, whichever, and start it again; its name, when it serves.

        Raises:
            SuiteError: it doesn't.
        """
        program = self._random.choice(self.programs)
        await program.end(signal.SIGKILL)
        await program.start()
        return program.name

    async def part(self, seconds: float) -> str:
        """No relay reaches another for so long; users reach them all."""
        if self._mesh is not None:
            await self._mesh.part(seconds)
        elif self._machines is not None:
            relays = [one.machine for one in self.programs if one.name.startswith("relay")]
            await self._machines.part([one for one in relays if one is not None], seconds)
        return "the mesh parted"

    async def end(self) -> None:
        """Kill them all."""
        await asyncio.gather(*(program.end() for program in self.programs))


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

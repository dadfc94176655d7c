# SPDX-License-Identifier: MIT
"""Machines of their own for the programs: network namespaces on one bridge, gone when the run is.

The process itself goes into a namespace first, so nothing of the host's network is touched, and none has a
name: each lives as long as the process that holds it, which ends when this one does. Needs root and Linux.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from dataclasses import dataclass

CLONE_NEWNET = 0x40000000
NOWHERE = "02:00:00:00:00:0f"
"""A hardware address that nobody has: what is sent there is lost, without anybody being told."""

_HOLD = "import sys; print(flush=True); sys.stdin.read()"


class MachineError(Exception):
    """The network can't be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One namespace.

    Attributes:
        address: its IPv4 address.
        holder: the process that keeps it.
    """

    address: str
    holder: asyncio.subprocess.Process

    @property
    def prefix(self) -> list[str]:
        """What goes before a command to run it there, with the same process id."""
        return ["nsenter", "--target", str(self.holder.pid), "--net"]


class Machines:
    """The bridge and all that hangs on it; this process is 10.99.0.1."""

    def __init__(self) -> None:
        self._machines: list[Machine] = []

    async def begin(self) -> None:
        """Leave the host's network for one of our own.

        Raises:
            MachineError: not root, or no namespaces here.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            why = os.strerror(ctypes.get_errno()).lower()
            raise MachineError(f"no network of our own: {why} (it needs root)")
        await _run("ip", "link", "set", "lo", "up")
        await _run("ip", "link", "add", "br0", "type", "bridge")
        await _run("ip", "address", "add", "10.99.0.1/24", "dev", "br0")
        await _run("ip", "link", "set", "br0", "up")

    async def add(self) -> Machine:
        """Another machine.

        Raises:
            MachineError: it can't be made.
        """
        number = len(self._machines) + 2
        holder = await asyncio.create_subprocess_exec(
            *("unshare", "--net", sys.executable, "-c", _HOLD),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert holder.stdout is not None
        machine = Machine(f"10.99.0.{number}", holder)
        self._machines.append(machine)
        if not await holder.stdout.readline():
            raise MachineError("unshare: no network namespace")
        near, there = f"m{number}", machine.prefix
        await _run("ip", "link", "add", near, "type", "veth", "peer", "eth0", "netns", str(holder.pid))
        await _run("ip", "link", "set", near, "master", "br0", "up")
        await _run(*there, "ip", "address", "add", f"{machine.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            await _run(*there, "ip", "link", "set", device, "up")
        return machine

    async def part(self, machines: list[Machine], seconds: float) -> None:
        """Between any two of them every packet is lost for so long."""
        pairs = [(one, other) for one in machines for other in machines if one is not other]
        try:
            for one, other in pairs:
                await _neighbour(one, "replace", other.address, "lladdr", NOWHERE, "nud", "permanent")
            await asyncio.sleep(seconds)
        finally:
            for one, other in pairs:
                await _neighbour(one, "del", other.address)

    async def end(self) -> None:
        """Let every machine go."""
        for machine in self._machines:
            if machine.holder.stdin is not None:
                machine.holder.stdin.close()
            await machine.holder.wait()


async def _neighbour(machine: Machine, verb: str, address: str, *more: str) -> None:
    await _run(*machine.prefix, "ip", "neighbour", verb, address, *more, "dev", "eth0")


async def _run(*command: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    except OSError as error:
        raise MachineError(f"{command[0]}: {(error.strerror or str(error)).lower()}") from error
    _, said = await process.communicate()
    if process.returncode != 0:
        raise MachineError(f"{' '.join(command)}: {said.decode('utf-8', 'replace').strip()}")

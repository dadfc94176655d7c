# SPDX-License-Identifier: MIT
"""A bad network, carried along: a TCP proxy that delays, cuts, stalls, and parts.

One listening socket a target; every connection through it has its own misfortunes, drawn from the proxy's
random source: bytes that come late, an end in the middle of a frame, a silence in which nothing passes and
nothing is closed. Knows nothing of what is said.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

CHUNK = 16 * 1024
MAX_CHUNKS = 256
"""Held in each direction of a connection; then nothing more is read, as by a real link that is full."""

NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What may go wrong with each connection; seconds, and the default is nothing.

    Attributes:
        delay: every byte comes that much later.
        jitter: and up to this much more.
        cut: mean time to an end in the middle of what is being sent; infinite for none.
        stall: mean time to a silence; infinite for none.
        stall_for: how long one lasts; infinite leaves the connection half open.
    """

    delay: float = 0.0
    jitter: float = 0.0
    cut: float = NEVER
    stall: float = NEVER
    stall_for: float = 30.0


@dataclass(slots=True)
class Toll:
    """How often each happened."""

    connections: int = 0
    cuts: int = 0
    stalls: int = 0


class Proxy:
    """Listens on loopback for each target asked for.

    Args:
        rng: every misfortune.
        faults: what there is of them.

    Attributes:
        toll: what has happened.
        calm: while it is true nothing is cut or silenced; delays stay.
    """

    def __init__(self, rng: random.Random, faults: Faults | None = None) -> None:
        self.toll = Toll()
        self.calm = False
        self.faults = faults or Faults()
        self.random = rng
        self._servers: list[asyncio.Server] = []
        self._places: dict[tuple[str, int], tuple[str, int]] = {}
        self._listening = asyncio.Lock()
        self._pipes: set[asyncio.Task[None]] = set()
        self._together = asyncio.Event()
        self._together.set()

    async def place(self, host: str, port: int) -> tuple[str, int]:
        """Where to dial to get through to a target."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(host, port, reader, writer)

        async with self._listening:
            if (host, port) not in self._places:
                server = await asyncio.start_server(serve, "127.0.0.1", 0)
                self._servers.append(server)
                self._places[host, port] = "127.0.0.1", int(server.sockets[0].getsockname()[1])
        return self._places[host, port]

    async def part(self, seconds: float) -> None:
        """Nothing passes for so long; then what was held does."""
        self._together.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._together.set()

    async def passable(self) -> None:
        """Wait for the end of a parting."""
        await self._together.wait()

    async def close(self) -> None:
        """End every connection and listen no more."""
        for server in self._servers:
            server.close()
        for task in self._pipes:
            task.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        self.toll.connections += 1
        try:
            await self.passable()
            far_reader, far_writer = await asyncio.open_connection(host, port)
            await Connection(self, (reader, writer), (far_reader, far_writer)).run()
        except OSError:
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()  # the end of the proxy: asyncio would log what is raised here
        finally:
            self._pipes.discard(task)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Connection:
    """One connection through the proxy: two directions and its misfortunes.

    Args:
        proxy: whose it is.
        near: towards who dialled.
        far: towards the target.
    """

    def __init__(self, proxy: Proxy, near: Stream, far: Stream) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._flows = asyncio.Event()
        self._flows.set()
        self._cut = False

    async def run(self) -> None:
        """Until either end closes, or it is cut."""
        (near_reader, near_writer), (far_reader, far_writer) = self._near, self._far
        faults = self._proxy.faults
        to = asyncio.create_task(self._carry(near_reader, far_writer))
        fro = asyncio.create_task(self._carry(far_reader, near_writer))
        cut = asyncio.create_task(self._cut_some_time(faults.cut))
        stalls = asyncio.create_task(self._stall_now_and_then(faults))
        try:
            await asyncio.wait([to, fro, cut], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (to, fro, cut, stalls):
                task.cancel()
            await asyncio.gather(to, fro, cut, stalls, return_exceptions=True)
            near_writer.close()
            far_writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction; its end closes that direction behind what is still on its way."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_CHUNKS)
        reading = asyncio.create_task(self._read(reader, queue))
        try:
            await self._write(queue, writer)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Each piece with the moment at which it may pass; an empty one is the end."""
        faults, loop, due, data = self._proxy.faults, asyncio.get_running_loop(), 0.0, b"-"
        while data:
            try:
                data = await reader.read(CHUNK)
            except OSError:
                data = b""
            late = faults.delay + self._proxy.random.uniform(0, faults.jitter)
            due = max(due, loop.time() + late)  # TCP keeps the order
            await queue.put((due, data))

    async def _write(self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            await self._flows.wait()
            await self._proxy.passable()
            if not data:
                with suppress(OSError):
                    writer.write_eof()
                return
            if self._cut and len(data) > 1:
                writer.write(data[: len(data) // 2])
                raise _CutError
            if writer.transport.is_closing():
                raise ConnectionError("the other end is gone")
            writer.write(data)
            await writer.drain()

    async def _cut_some_time(self, mean: float) -> None:
        await self._misfortune(mean)
        self._proxy.toll.cuts += 1
        self._cut = True
        await asyncio.sleep(1.0)  # nobody spoke: then it is cut between two frames

    async def _stall_now_and_then(self, faults: Faults) -> None:
        while True:
            await self._misfortune(faults.stall)
            self._proxy.toll.stalls += 1
            self._flows.clear()
            await _sleep(faults.stall_for)
            self._flows.set()

    async def _misfortune(self, mean: float) -> None:
        """Wait for one; those of a calm time pass by."""
        if mean == NEVER:
            await _sleep(NEVER)
        while True:
            await asyncio.sleep(self._proxy.random.expovariate(1 / mean))
            if not self._proxy.calm:
                return


class _CutError(Exception):
    """This connection ends here."""


async def _sleep(seconds: float) -> None:
    if seconds < NEVER:
        await asyncio.sleep(seconds)
    else:
        await asyncio.get_running_loop().create_future()

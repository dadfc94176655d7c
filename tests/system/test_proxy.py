# SPDX-License-Identifier: MIT
"""The bad network that ``xj prove`` carries, on real sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.prove.proxy import NEVER, Faults, Proxy

Scene = Callable[[Proxy, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The target: says what it hears."""
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


class ProxyTests(SynchronousTestCase):
    """One connection to an echo, through it."""

    def play(self, scene: Scene, faults: Faults | None = None, seed: int = 1) -> Proxy:
        """Connect, and let the scene happen."""
        proxies: list[Proxy] = []

        async def run() -> None:
            proxy = Proxy(random.Random(seed), faults)
            proxies.append(proxy)
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            try:
                place = await proxy.place("127.0.0.1", server.sockets[0].getsockname()[1])
                reader, writer = await asyncio.open_connection(*place)
                try:
                    async with asyncio.timeout(20):
                        await scene(proxy, reader, writer)
                finally:
                    writer.close()
            finally:
                await proxy.close()
                server.close()

        asyncio.run(run())
        return proxies[0]

    def test_without_faults_everything_passes_both_ways(self) -> None:
        data = random.Random(2).randbytes(300_000)

        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(data)
            self.assertEqual(await reader.readexactly(len(data)), data)

        proxy = self.play(scene)
        self.assertEqual((proxy.toll.connections, proxy.toll.cuts, proxy.toll.stalls), (1, 0, 0))

    def test_an_end_passes_behind_what_was_said(self) -> None:
        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"last words")
            self.assertEqual(await reader.readexactly(10), b"last words")
            writer.write_eof()
            self.assertEqual(await reader.read(), b"")

        self.play(scene, Faults(delay=0.02))

    def test_what_comes_late_comes_in_order(self) -> None:
        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            loop = asyncio.get_running_loop()
            began = loop.time()
            for number in range(20):
                writer.write(b"%d " % number)
                await asyncio.sleep(0)
            expected = b"".join(b"%d " % number for number in range(20))
            self.assertEqual(await reader.readexactly(len(expected)), expected)
            self.assertGreaterEqual(loop.time() - began, 0.1)  # there and back

        self.play(scene, Faults(delay=0.05, jitter=0.05))

    def test_a_cut_comes_in_the_middle(self) -> None:
        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard = b""
            with self.assertRaises((ConnectionError, asyncio.IncompleteReadError)):
                while True:
                    writer.write(b"0123456789")
                    await writer.drain()
                    heard += await reader.readexactly(5)
                    heard += await reader.readexactly(5)
            self.assertTrue((b"0123456789" * 10_000).startswith(heard))

        proxy = self.play(scene, Faults(cut=0.05))
        self.assertEqual(proxy.toll.cuts, 1)

    def test_a_quiet_connection_is_cut_too(self) -> None:
        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.assertEqual(await reader.read(), b"")

        self.assertEqual(self.play(scene, Faults(cut=0.01)).toll.cuts, 1)

    def test_a_stall_holds_and_lets_go(self) -> None:
        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while not proxy.toll.stalls:
                await asyncio.sleep(0.005)
            writer.write(b"held")
            self.assertEqual(await reader.readexactly(4), b"held")

        self.play(scene, Faults(stall=0.01, stall_for=0.1))

    def test_half_open_is_a_stall_without_end(self) -> None:
        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while not proxy.toll.stalls:
                await asyncio.sleep(0.005)
            writer.write(b"lost")
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read(1)

        self.play(scene, Faults(stall=0.01, stall_for=NEVER))

    def test_parted_nothing_passes_and_then_everything_does(self) -> None:
        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"before")
            await reader.readexactly(6)
            parting = asyncio.create_task(proxy.part(60.0))
            await asyncio.sleep(0)
            writer.write(b"after")
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await reader.read(1)
            parting.cancel()
            self.assertEqual(await reader.readexactly(5), b"after")

        self.play(scene)

    def test_a_target_that_is_not_there_is_a_closed_connection(self) -> None:
        async def run() -> None:
            proxy = Proxy(random.Random(1))
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            server.close()
            reader, writer = await asyncio.open_connection(*await proxy.place("127.0.0.1", port))
            with self.assertRaises(ConnectionError):
                if not await reader.read():
                    raise ConnectionError
            writer.close()
            await proxy.close()

        asyncio.run(run())

    def test_in_a_calm_time_nothing_happens(self) -> None:
        async def scene(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            proxy.calm = True
            for _ in range(20):
                writer.write(b"x")
                await reader.readexactly(1)
                await asyncio.sleep(0.01)

        proxy = self.play(scene, Faults(cut=0.02, stall=0.02))
        self.assertEqual((proxy.toll.cuts, proxy.toll.stalls), (0, 0))

    def test_the_same_target_has_one_place(self) -> None:
        async def run() -> None:
            proxy = Proxy(random.Random(1))
            places = await asyncio.gather(*(proxy.place("127.0.0.1", 9) for _ in range(5)))
            self.assertEqual(len(set(places)), 1)
            self.assertNotEqual(await proxy.place("127.0.0.1", 10), places[0])
            await proxy.close()

        asyncio.run(run())

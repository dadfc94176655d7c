# SPDX-License-Identifier: MIT
"""``--direct`` and its options: what is typed, what comes of it, what the router is told at the end."""

from __future__ import annotations

import asyncio
import io
from contextlib import redirect_stderr
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli.direct import direct_links
from xjrelay.cli.main import parser
from xjrelay.cli.options import Call, UsageError
from xjrelay.cli.screen import Screen
from xjrelay.client.model import Direct
from xjrelay.client.target import own_addresses
from xjrelay.domain.peers import Place
from xjrelay.security.identity import make_key
from xjrelay.security.private import create_private


class FakeRouter:
    """Maps, or doesn't."""

    def __init__(self, refuses: bool = False) -> None:
        self.open_ports: set[int] = set()
        self._refuses = refuses

    def open(self, port: int) -> Place:
        """Let others in."""
        if self._refuses:
            raise OSError("it refuses")
        self.open_ports.add(port)
        return "203.0.113.5", port

    def close(self, port: int) -> None:
        """Let nobody in any more."""
        self.open_ports.remove(port)


class DirectTests(SynchronousTestCase):
    """``xj chat``'s options."""

    def typed(self, *words: str, router: FakeRouter | None = None, map: bool = False) -> Direct | None:
        """What comes of words; with ``map`` the port is asked for as well."""
        call = Call(parser().parse_args(["chat", *words]), Screen(False), {})

        async def run() -> Direct | None:
            async with direct_links(call, lambda: router or FakeRouter()) as direct:
                if map:
                    assert direct is not None and direct.mapping is not None
                    self.mapped = await direct.mapping(40000)
                    self.while_open = set(router.open_ports) if router is not None else set()
                return direct

        return asyncio.run(run())

    def test_without_it_there_is_none(self) -> None:
        self.assertIsNone(self.typed())

    def test_alone_it_listens_everywhere(self) -> None:
        direct = self.typed("--direct")
        assert direct is not None
        self.assertEqual((direct.listen, direct.port, direct.public, direct.key), ("", 0, None, None))
        self.assertIsNone(direct.mapping)
        self.assertEqual(direct.hosts, own_addresses())

    def test_everything_said(self) -> None:
        path = Path(self.mktemp())
        create_private(path, key := make_key())
        words = (
            "--direct-listen",
            "192.168.1.5",
            "--direct-port",
            "40000",
            "--direct-at",
            "[2001:db8::1]:41000",
        )
        direct = self.typed("--direct", *words, "--direct-key", str(path), "--map-port")
        assert direct is not None
        self.assertEqual((direct.listen, direct.port, direct.key), ("192.168.1.5", 40000, key))
        self.assertEqual(direct.public, ("2001:db8::1", 41000))

    def test_what_can_t_be(self) -> None:
        for words, why in (
            (["--direct-port", "40000"], "need --direct"),
            (["--map-port"], "need --direct"),
            (["--direct", "--direct-listen", "here"], "--direct-listen"),
            (["--direct", "--direct-at", "example.org:5000"], "--direct-at"),
            (["--direct", "--direct-at", "192.0.2.1"], "--direct-at"),
            (["--direct", "--direct-key", "/nowhere"], "--direct-key"),
        ):
            error = self.assertRaises(UsageError, self.typed, *words)
            self.assertIn(why, str(error))

    def test_a_well_known_port_is_not_ours(self) -> None:
        with redirect_stderr(io.StringIO()) as said:
            self.assertRaises(SystemExit, self.typed, "--direct", "--direct-port", "443")
        self.assertIn("1024", said.getvalue())

    def test_the_router_is_asked_and_the_port_given_back(self) -> None:
        router = FakeRouter()
        self.typed("--direct", "--map-port", router=router, map=True)
        self.assertEqual((self.mapped, self.while_open), (("203.0.113.5", 40000), {40000}))
        self.assertEqual(router.open_ports, set())

    def test_a_router_that_refuses_costs_a_line(self) -> None:
        with redirect_stderr(io.StringIO()) as said:
            self.typed("--direct", "--map-port", router=FakeRouter(refuses=True), map=True)
        self.assertIsNone(self.mapped)
        self.assertIn("the router lets nobody in: it refuses", said.getvalue())

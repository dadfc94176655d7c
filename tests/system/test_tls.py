# SPDX-License-Identifier: MIT
"""A suite of real processes over TLS: users of both libraries, a renewed certificate, who is refused.

Certificates are those of ``xj certs``, on loopback. ``tests/sandbox/test_tls.py`` has more, in memory.
"""

from __future__ import annotations

import json
import os
import random
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.system.programs import Program, until
from tests.system.raw import dial, within
from xjrelay.client.errors import ClientError
from xjrelay.client.tx import Client, connect
from xjrelay.net.context import Context, Limits
from xjrelay.net.factory import LinkFactory
from xjrelay.net.protocol import Link
from xjrelay.net.reconnect import Dialler
from xjrelay.net.tls import Dialling
from xjrelay.security.folder import Folder
from xjrelay.security.tls import ClientTLS, ServerTLS
from xjrelay.servers.listening import Listening
from xjrelay.wire.endpoints import Address
from xjrelay.wire.grammar import Phase

PASSWORD = "rahasia"
XJ = str(Path(sys.executable).with_name("xj"))


class TLSProgram(Program):
    """A program that listens with TLS only."""

    def command(self) -> list[str]:
        """As its parent's, with ``tls:`` for ``tcp:``."""
        return [part.replace("tcp:", "tls:") for part in super().command()]


class TLSTestCase(TestCase):
    """Tracker, manager and two relays, mutual TLS between them."""

    timeout = 180

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.folder = Path(self.mktemp()).absolute()
        self.certificates = Folder(self.folder / "certs")
        self.programs: dict[str, Program] = {}
        self.addCleanup(self.end)

    async def end(self) -> None:
        for program in self.programs.values():
            await program.stop("KILL")

    def program(self, plugin: str, name: str, *options: str) -> Program:
        issued = self.certificates.issue(name, ["127.0.0.1", "localhost"], time.time())
        tls = ("--tls-certificate", str(issued.certificate), "--tls-key", str(issued.key))
        trust = ("--tls-authority", str(self.certificates.authority_file))
        made = self.programs[name] = TLSProgram(plugin, self.folder / name, *tls, *trust, *options)
        return made

    async def suite(self, *options: str) -> None:
        """Start everything."""
        tracker = self.program("xjtracker", "tracker", *options)
        await tracker.start()
        where = ("--tracker", f"tls:{tracker.address}", *options)
        for plugin, name in (("xjmanager", "manager"), ("xjrelay", "relay1"), ("xjrelay", "relay2")):
            await self.program(plugin, name, *where).start()
        self.url = f"xjs://{tracker.address}"

    async def hang_up(self, program: Program) -> None:
        """SIGHUP, and wait for what it does."""
        assert program.transport is not None
        program.transport.signalProcess("HUP")
        await until(lambda: "the certificate was read again" in program.log, "a reload")

    async def user(self, name: str, register: bool = True) -> Client:
        authority = self.certificates.authority_file
        connecting = connect(self.url, name, PASSWORD, register=register, authority=authority)
        client: Client = await within(connecting)
        self.addCleanup(client.close)
        return client


class SuiteTests(TLSTestCase):
    """The whole of it."""

    async def test_users_talk_and_a_certificate_is_renewed_under_them(self) -> None:
        await self.suite("--tls-require-client-certificate")
        esa, fajar = await self.user("esa"), await self.user("fajar")
        self.assertNotEqual(esa.relay, fajar.relay)
        heard: list[str] = []

        async def read() -> None:
            async for message in fajar.messages():
                heard.append(message.body)

        Deferred.fromCoroutine(read())
        while (await within(esa.send("fajar", "ada?"))).status == "stored":
            pass  # on a busy machine the relays haven't met yet: until then it goes by the mailbox
        await self.delivered(esa, heard, "halo")
        before = await self.shown("relay1")
        ended = {name: program.log.count(" closed: ") for name, program in self.programs.items()}
        for name, program in self.programs.items():
            self.certificates.issue(name, [], time.time(), renew=True)
            await self.hang_up(program)
        self.assertNotEqual(await self.shown("relay1"), before)
        await self.delivered(esa, heard, "lagi")
        relay1 = self.programs["relay1"]
        await until(lambda: relay1.log.count(" closed: ") == 2, "the end of both looks at it, and no other")
        for name, program in self.programs.items():
            if program is not relay1:
                self.assertEqual(program.log.count(" closed: "), ended[name], program.log)
            self.assertNotIn("Traceback", program.log)
        gita = await self.user("gita")
        self.assertEqual((await within(gita.send("fajar", "baru"))).status, "delivered")

    async def delivered(self, esa: Client, heard: list[str], word: str) -> None:
        receipt = await within(esa.send("fajar", word))
        self.assertEqual((receipt.status, heard[-1:]), ("delivered", [word]))

    async def shown(self, name: str) -> bytes:
        """The certificate a program shows now."""
        address = (self.programs[name].host, self.programs[name].port)
        context = ssl.create_default_context(cafile=self.certificates.authority_file)

        def look() -> bytes | None:
            raw = socket.create_connection(address, 10)
            with context.wrap_socket(raw, server_hostname=address[0]) as tls:
                return tls.getpeercert(binary_form=True)

        certificate: bytes | None = await within(deferToThread(look))
        assert certificate is not None
        return certificate

    async def test_the_asyncio_library_by_file_and_by_fingerprint(self) -> None:
        await self.suite()
        by_file, pinned = str(self.certificates.authority_file), self.certificates.fingerprint()
        _, err, status = await self.xj("register", "esa", authority=by_file)
        self.assertEqual((err, status), ("", 0))
        out, _, status = await self.xj("login", "esa", authority=pinned, as_json=True)
        self.assertEqual((status, json.loads(out)["username"]), (0, "esa"))
        wrong = "sha256:" + "0" * 64
        _, err, status = await self.xj("login", "esa", authority=wrong)
        self.assertEqual(status, 1)
        self.assertIn("no TLS with the tracker", err)
        _, err, status = await self.xj("login", "esa")
        self.assertEqual(status, 1)
        self.assertIn("no TLS with the tracker", err)
        out, err, status = await self.xj("status", authority=pinned)
        self.assertEqual((err, status), ("", 0), out)
        self.assertEqual(out.count(" ms"), 4, out)

    async def xj(
        self, command: str, user: str = "", authority: str = "", as_json: bool = False
    ) -> tuple[str, str, int]:
        environ = {**os.environ, "XJ_PASSWORD": PASSWORD, "HOME": str(self.folder)}
        typed = [command, "--tracker", self.url]
        typed += ["--user", user] if user else []
        typed += ["--authority", authority] if authority else []
        typed += ["--json"] if as_json else []
        result: Any = await within(getProcessOutputAndValue(XJ, typed, environ, reactor=reactor))
        out, err, status = result
        return out.decode(), err.decode(), status


class RefusedTests(TLSTestCase):
    """One tracker, and who may not come in."""

    async def test_plain_and_old_clients_are_closed_with_one_line(self) -> None:
        tracker = self.program("xjtracker", "tracker")
        await tracker.start()
        raw = await dial(tracker.address)
        raw.say({"ip_local": "127.0.0.1", "port": 0, "type": "client"})
        await until(lambda: not raw.is_open, "the end of a plain connection")
        await until(lambda: tracker.log.count("closed: no TLS") == 1, "one line")
        for version, options in ((ssl.TLSVersion.TLSv1_2, 2), (ssl.TLSVersion.TLSv1_1, 3)):
            with self.assertRaises((ssl.SSLError, OSError)):
                await within(deferToThread(self.shake, tracker, version))
            await until(lambda seen=options: tracker.log.count("closed: no TLS") == seen, "one line")  # type: ignore[misc]
        self.assertEqual(await within(deferToThread(self.shake, tracker, ssl.TLSVersion.TLSv1_3)), "TLSv1.3")
        self.assertNotIn("Traceback", tracker.log)

    async def test_tls_1_2_where_it_is_allowed_with_elliptic_curves_and_aes(self) -> None:
        tracker = self.program("xjtracker", "tracker", "--allow-tls12")
        await tracker.start()
        self.assertEqual(await within(deferToThread(self.shake, tracker, ssl.TLSVersion.TLSv1_2)), "TLSv1.2")
        with self.assertRaises((ssl.SSLError, OSError)):
            await within(deferToThread(self.shake, tracker, ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256"))

    def shake(self, program: Program, version: ssl.TLSVersion, ciphers: str = "") -> str | None:
        context = ssl.create_default_context(cafile=self.certificates.authority_file)
        context.minimum_version = context.maximum_version = version
        context.set_ciphers(ciphers or "DEFAULT@SECLEVEL=0")
        raw = socket.create_connection((program.host, program.port), 10)
        with raw, context.wrap_socket(raw, server_hostname=program.host) as tls:
            return tls.version()

    async def test_a_component_without_a_certificate_is_not_listed(self) -> None:
        tracker = self.program("xjtracker", "tracker", "--tls-require-client-certificate")
        await tracker.start()
        bare = Program("xjmanager", self.folder / "manager", "--tracker", f"tls:{tracker.address}")
        bare.options += ("--tls-authority", str(self.certificates.authority_file))
        self.programs["bare"] = bare
        bare.start().addErrback(lambda _: None)  # it never serves
        await until(lambda: "401 a component has to show a certificate here" in bare.log, "a refusal")

    async def test_a_client_of_another_authority_says_nothing(self) -> None:
        tracker = self.program("xjtracker", "tracker")
        await tracker.start()
        other = Folder(self.folder / "other")
        other.authority(time.time())
        with self.assertRaises(ClientError) as caught:
            await within(connect(f"xjs://{tracker.address}", "esa", PASSWORD, authority=other.authority_file))
        self.assertIn(f"no TLS with the tracker at {tracker.address}", str(caught.exception))
        await until(lambda: "closed: no TLS" in tracker.log, "the tracker's line")


class SocketTests(TLSTestCase):
    """What lies under TLS is tuned as it is without."""

    async def test_both_ends_are_tuned(self) -> None:
        issued = self.certificates.issue("relay1", ["127.0.0.1"], time.time())
        limits = Limits(user_timeout=7.5)
        shared = Context(IReactorTime(reactor), random.Random(1), limits)
        shared.dialling = Dialling(ClientTLS(self.certificates.authority_file))
        accepted: Deferred[Link] = Deferred()
        dialled: Deferred[Link] = Deferred()
        factory = LinkFactory(shared, lambda: Telling(shared, accepted))
        tls = ServerTLS(issued.certificate, issued.key)
        listening = Listening(reactor, ["tls:0"], factory, tls=tls)
        listening.startService()
        self.addCleanup(listening.stopService)
        self.addCleanup(factory.close_all)
        address = Address("127.0.0.1", listening.places[0].port, tls=True)
        build = lambda: Telling(shared, dialled)  # noqa: E731
        dialler = Dialler(reactor, shared.random, address, build, shared.dialling)  # type: ignore[arg-type]
        dialler.start()
        for link in (await within(accepted), await within(dialled)):
            handle: socket.socket = link.transport.transport.getHandle()
            self.assertTrue(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            self.assertTrue(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), 7500)
        await within(dialler.stop())


class Telling(Link):
    """Tells that it is there."""

    phase = Phase.AT_TRACKER_OPEN

    def __init__(self, shared: Context, there: Deferred[Link]) -> None:
        super().__init__(shared)
        self.there = there

    def opened(self) -> None:
        self.there.callback(self)


class NodeTests(TLSTestCase):
    """All in one process, with one certificate for a name."""

    async def test_a_node_dials_itself_whatever_its_certificate_is_for(self) -> None:
        issued = self.certificates.issue("node", ["chat.example.org"], time.time())
        tls = ("--tls-certificate", str(issued.certificate), "--tls-key", str(issued.key))
        node = self.programs["node"] = TLSProgram("xjnode", self.folder / "node", *tls)
        await node.start()
        self.url = f"xjs://{node.address}"
        with self.assertRaises(ClientError) as caught:
            await self.user("esa")
        self.assertIn("another name", str(caught.exception))
        self.certificates.issue("node", ["chat.example.org", "127.0.0.1"], time.time())
        await self.hang_up(node)
        esa = await self.user("esa")
        self.assertIn(esa.relay, ("relay1", "relay2"))
        self.assertNotIn("Traceback", node.log)

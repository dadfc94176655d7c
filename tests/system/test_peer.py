# SPDX-License-Identifier: MIT
"""Peers as real processes on real sockets: ``twistd xjpeer``, ``xj peer``, and one of the original."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.servers.original_peer import OriginalPeer, OriginalServer
from tests.system.programs import ROOT, ExitedEarly, Program, until
from tests.system.raw import dial
from xjrelay.storage.history import Proof, open_history


def original(kind: str, data: Any, target: str | None = None) -> bytes:
    """A line as the original's ``json.dumps`` wrote it."""
    packet = {
        "type": kind,
        "sender_id": "Bob_5001",
        "sender_name": "Bob",
        "timestamp": "2024-05-01T10:00:00.123456",
        "data": data,
        "target_id": target,
    }
    return json.dumps(packet).encode() + b"\n"


class Typing(ProcessProtocol):
    """``xj peer --json`` at a pipe.

    Attributes:
        events: what it printed.
        errors: what it printed on standard error.
        over: whether it has ended.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.errors = ""
        self.over = False
        self._rest = b""
        xj = str(Path(sys.executable).with_name("xj"))
        command = [xj, "peer", "--json", "--listen", "tcp:0", "--data-dir", str(folder), *arguments]
        environ = dict(os.environ, XDG_DATA_HOME=str(folder.parent / "home"))
        IReactorProcess(reactor).spawnProcess(self, xj, command, env=environ, path=str(ROOT))

    def type(self, line: str) -> None:
        """A line, and Enter."""
        assert self.transport is not None
        self.transport.write(line.encode() + b"\n")

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind."""
        return [event for event in self.events if event["event"] == kind]

    async def hears(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The last of so many events of a kind."""
        await until(lambda: len(self.of(kind)) >= count, f"{count} {kind}, {self.events} {self.errors}")
        return self.of(kind)[count - 1]

    async def leave(self) -> None:
        """The end of the input."""
        assert self.transport is not None
        self.transport.closeStdin()
        await self.end()

    async def end(self) -> None:
        """Wait until it is over."""
        await until(lambda: self.over, "its end")

    def outReceived(self, data: bytes) -> None:
        """Lines of JSON."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.events += [json.loads(line) for line in lines]

    def errReceived(self, data: bytes) -> None:
        """Complaints."""
        self.errors += data.decode()

    def processEnded(self, reason: Failure) -> None:
        """Over."""
        self.over = True


class PeerProcessTests(TestCase):
    """Each test starts what it needs."""

    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    async def twistd(self, name: str, *options: str) -> Program:
        program = Program("xjpeer", self.folder / name, "--name", name, *options)
        await program.start()
        self.addCleanup(program.stop, "KILL")
        return program

    async def xj(self, name: str, *options: str) -> Typing:
        typing = Typing(self.folder / name, "--name", name, *options)
        self.addCleanup(typing.leave)
        await typing.hears("ready")
        return typing

    async def prove(self, own: str, other: str) -> None:
        """A window of this computer has had a direct link with that key."""
        folder = self.folder / "home" / "xjrelay" / "window" / "bob"
        folder.mkdir(parents=True)
        history = open_history(reactor, folder / "history.sqlite")
        await history.prove(Proof("alice1", other, own, "localhost:5000", 1), "alice1")
        await history.close()

    async def test_two_people_talk_and_one_is_away_for_a_while(self) -> None:
        alice = await self.xj("Alice")
        place = f"127.0.0.1:{alice.of('ready')[0]['port']}"
        bob = await self.xj("Bob", "--connect", place)
        met = await bob.hears("met")
        self.assertEqual(met["fingerprint"], alice.of("ready")[0]["fingerprint"])
        bob.type("Alice: Aku dari Bob")
        self.assertEqual((await alice.hears("message"))["text"], "Aku dari Bob")
        await bob.hears("delivered")
        await self.prove(bob.of("ready")[0]["peer_id"], met["peer_id"])
        bob.type("/peers")
        self.assertEqual((await bob.hears("peer"))["user"], "alice1 at localhost:5000")
        alice.type("halo semua")
        heard = await bob.hears("message")
        self.assertEqual((heard["text"], heard["broadcast"]), ("halo semua", True))
        await alice.leave()
        bob.type("Alice: tunggu")
        again = await self.xj("Alice", "--connect", f"127.0.0.1:{bob.of('ready')[0]['port']}")
        self.assertEqual((await again.hears("message"))["text"], "tunggu")
        self.assertEqual(again.of("ready")[0]["peer_id"], alice.of("ready")[0]["peer_id"])
        self.assertEqual(again.of("met"), [])

    async def test_the_terminal_and_the_daemon_know_each_other(self) -> None:
        daemon = await self.twistd("Daemon")
        bob = await self.xj("Bob", "--connect", daemon.address)
        await bob.hears("met")
        bob.type("Daemon: halo")
        await bob.hears("delivered")
        self.assertNotIn("halo", daemon.log)
        await daemon.stop("KILL")
        bob.type("Daemon: masih?")
        await daemon.start()
        await bob.hears("delivered", 2)
        self.assertIn("over TLS", daemon.log)

    async def test_an_original_peer_byte_for_byte(self) -> None:
        daemon = await self.twistd("Alice")
        link = await dial(daemon.address)
        link.say_bytes(original("JOIN", {"host": "127.0.0.1", "port": 1}))
        answer = await link.hear(type="PEERS")
        self.assertEqual(answer["data"]["my_info"]["name"], "Alice")
        link.say_bytes(original("PING", {}))
        await link.hear(type="PONG")
        xj = await self.xj("Carol", "--connect", daemon.address)
        await xj.hears("met")
        link.say_bytes(original("DISCOVERY", {}))
        listed = await link.hear(type="PEERS")
        self.assertEqual([one["name"] for one in listed["data"]["peers"]], ["Carol"])
        await link.close()

    async def test_an_original_peer_talks_with_a_person(self) -> None:
        server = OriginalServer()
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(server)
        self.addCleanup(port.stopListening)
        bob = await self.xj("Bob", "--connect", f"127.0.0.1:{port.getHost().port}")
        self.assertTrue((await bob.hears("met"))["plain"])
        bob.type("halo")
        bob.type("Orig: rahasia")

        def told() -> list[OriginalPeer]:  # the first connection asked for TLS, and more may have come
            return [one for one in server.accepted if one.texts() == ["halo", "rahasia"]]

        await until(lambda: bool(told()), "both texts")
        [theirs] = told()
        theirs.say("MESSAGE", {"text": "halo juga"}, bob.of("ready")[0]["peer_id"])
        self.assertEqual((await bob.hears("message"))["text"], "halo juga")
        bob.type("/quit")
        await bob.end()
        await until(lambda: theirs.lost, "it hears of the end")

    async def test_a_name_and_a_port_have_a_folder_of_their_own(self) -> None:
        names = {}
        os.environ["XDG_DATA_HOME"] = str(self.folder)
        self.addCleanup(os.environ.pop, "XDG_DATA_HOME")
        for name in ("Alice", "Bob / ☺"):
            program = Program("xjpeer", self.folder, "--name", name)
            program.command = lambda program=program: [  # type: ignore[method-assign, misc]
                part for part in Program.command(program) if part not in ("--data-dir", str(self.folder))
            ]
            await program.start()
            self.addCleanup(program.stop, "KILL")
            names[name] = program
        folders = sorted(folder.name for folder in (self.folder / "xjrelay" / "peer").iterdir())
        self.assertEqual(folders, ["Alice-0", "Bob%20%2F%20%E2%98%BA-0"])
        self.assertEqual((self.folder / "xjrelay/peer/Alice-0/peer.key").stat().st_mode & 0o777, 0o600)

    async def test_what_keeps_it_from_starting_is_one_line(self) -> None:
        daemon = await self.twistd("Alice")
        busy = Program("xjpeer", self.folder / "Bob", "--name", "Bob")
        busy.port = daemon.port
        try:
            await busy.start()
        except ExitedEarly as error:
            self.assertIn("exit status 1", str(error))
            self.assertIn("Address already in use", str(error))
        else:
            self.fail("two peers on one port")
        taken = Typing(self.folder / "Alice", "--name", "Alice")
        await taken.end()
        self.assertIn("is in use by another process", taken.errors)
        self.assertNotIn("Traceback", taken.errors)

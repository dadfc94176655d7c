# SPDX-License-Identifier: MIT
"""The units as systemd's own tools judge them, and the programs under a stand-in for systemd."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.system.programs import ROOT, Program, until
from tests.system.raw import dial

UNITS = ROOT / "deploy" / "systemd"
ANALYZE = shutil.which("systemd-analyze")
WORST_EXPOSURE = 2.0
HARDENED_FROM = "# No MemoryDenyWriteExecute"

ACTIVATE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="xjtracker.socket", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What systemd does between fork and exec: descriptor 3 is the socket, the variables name this process."""


def ours(text: str) -> str:
    """A unit that runs what is installed here."""
    return text.replace("/opt/xjrelay/bin", str(Path(sys.executable).parent))


class UnitTests(SynchronousTestCase):
    """``deploy/systemd``, as text and to systemd's own tools."""

    if ANALYZE is None:
        skip = "systemd-analyze is not installed"

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        for unit in UNITS.iterdir():
            (self.folder / unit.name).write_text(ours(unit.read_text()))
        self.services = sorted(self.folder.glob("*.service"))

    def analyze(self, *arguments: str) -> tuple[str, int]:
        assert ANALYZE is not None
        run = subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False)
        return run.stdout + run.stderr, run.returncode

    def test_verify_prints_nothing(self) -> None:
        units = [str(unit) for unit in sorted(self.folder.iterdir())]
        self.assertEqual(self.analyze("verify", *units), ("", 0))

    def test_verify_would_have_printed_something(self) -> None:
        unit = self.services[0]
        unit.write_text(unit.read_text().replace("UMask=", "UMusk="))
        self.assertIn("UMusk", self.analyze("verify", str(unit))[0])

    def test_every_service_is_exposed_little(self) -> None:
        for unit in self.services:
            said, _ = self.analyze("security", "--offline=true", str(unit))
            found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
            assert found is not None, said
            self.assertLessEqual(float(found[1]), WORST_EXPOSURE, said)

    def test_every_program_is_hardened_alike(self) -> None:
        """But for what a peer needs to find others on its network: multicast, and the interfaces."""
        found = set()
        for text in self.programs().values():
            hardening = text.split(HARDENED_FROM)[1].split("[Install]")[0]
            lines = hardening.replace("AF_NETLINK ", "").replace("IPAddressDeny=multicast\n", "")
            found.add(lines)
        self.assertEqual(len(found), 1)

    def test_every_program_has_readiness_watchdog_and_its_own_state(self) -> None:
        states = set()
        for name, text in self.programs().items():
            self.assertIn("\nWatchdogSec=30\n", text, name)
            states.update(re.findall(r"^StateDirectory=(\S+)$", text, re.MULTILINE))
        plugins = {"xjtracker", "xjmanager", "xjrelay", "xjnode", "xjpeer"}
        self.assertEqual(set(self.programs()), {f"{one}.service" for one in (*plugins, "xjrelay@")})
        self.assertEqual(len(states), len(self.programs()))

    def test_every_server_is_given_the_secret_and_reads_its_certificate_again(self) -> None:
        servers = {name: text for name, text in self.programs().items() if name != "xjpeer.service"}
        for name, text in servers.items():
            self.assertIn("\nLoadCredential=cluster.secret:/etc/xjrelay/cluster.secret\n", text, name)
            self.assertIn("\nExecReload=kill -HUP $MAINPID\n", text, name)

    def programs(self) -> dict[str, str]:
        texts = {unit.name: unit.read_text() for unit in self.services}
        return {name: text for name, text in texts.items() if "Type=notify" in text}


class Watched(Program):
    """A program that tells a socket of the test's how it is."""

    def __init__(self, path: str, *arguments: str) -> None:
        super().__init__("xjtracker", Path(arguments[0]), *arguments[1:])
        self._environment.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="100000")


class Activated(Program):
    """A program whose socket was opened before it."""

    def command(self) -> list[str]:
        command = super().command()
        command[command.index("--listen") + 1] = "systemd:domain=INET:index=0"
        return [sys.executable, "-c", ACTIVATE, *command]


class ProcessTests(TestCase):
    """Real processes."""

    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)

    async def test_tells_that_it_serves_lives_and_stops(self) -> None:
        said: list[bytes] = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            name = f"xjrelay-test-{os.getpid()}"
            systemd.bind(f"\0{name}")
            systemd.setblocking(False)

            def heard(words: bytes) -> bool:
                try:
                    while True:
                        said.append(systemd.recv(4096))
                except BlockingIOError:
                    return any(one.startswith(words) for one in said)

            tracker = Watched(f"@{name}", str(self.folder / "tracker"))
            self.addCleanup(tracker.stop, "KILL")
            await tracker.start()
            await until(lambda: heard(b"READY=1"), "READY=1")
            said.clear()
            await until(lambda: heard(b"WATCHDOG=1"), "the watchdog is fed")
            tracker.stop("HUP")
            said.clear()
            await until(lambda: heard(b"WATCHDOG=1"), "it lives on after SIGHUP")
            self.assertEqual(await tracker.stop(), -15)
            self.assertTrue(heard(b"STOPPING=1"))

    async def test_serves_on_a_socket_it_is_given(self) -> None:
        tracker = Activated("xjtracker", self.folder / "tracker")
        self.addCleanup(tracker.stop, "KILL")
        await tracker.start()
        self.assertNotEqual(tracker.port, 0)
        link = await dial(tracker.address)
        link.say({"ip_local": "127.0.0.1", "port": 0, "type": "client"})
        self.assertEqual(await link.hear(), [])
        await link.close()
        self.assertEqual(await tracker.stop(), -15)

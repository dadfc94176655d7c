# SPDX-License-Identifier: MIT
"""``xj doctor`` where one thing was made wrong on purpose: does it name it, and the cure?"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.system.programs import Program
from tests.system.raw import Raw, dial
from xjrelay.cli.asking import About
from xjrelay.cli.doctor import Asked, behind_nat, clocks, versions
from xjrelay.security.certificates import issue, make_authority
from xjrelay.security.secret import load_secret

XJ = str(Path(sys.executable).with_name("xj"))
DAY = 86400.0

CHANGED = """
import sys
del sys.argv[0]
{change}
from twisted.scripts.twistd import run
run()
"""
AHEAD = CHANGED.format(change="import time; real = time.time; time.time = lambda: real() + 120")
OLD = CHANGED.format(change="import xjrelay; xjrelay.__version__ = '0.0.9'")


def private_mounts() -> bool:
    """Whether this process may mount something that nobody else sees."""
    unshare = shutil.which("unshare")
    command = [unshare or "", "--mount", "true"]
    return unshare is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0


class Altered(Program):
    """A program in which something was changed before it ran."""

    change = ""

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.change, *super().command()]


class DoctorTests(TestCase):
    """A tracker, and one thing wrong."""

    timeout = 120

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).resolve()
        self.home.mkdir(parents=True)
        self.secret = self.home / "xjrelay" / "cluster.secret"

    async def start(self, *options: str, change: str = "") -> Program:
        """A tracker."""
        if change:
            tracker: Program = Altered("xjtracker", self.home / "tracker", *options)
            tracker.change = change  # type: ignore[attr-defined]
        else:
            tracker = Program("xjtracker", self.home / "tracker", *options)
        self.addCleanup(tracker.stop, "KILL")
        await tracker.start()
        return tracker

    async def doctor(self, tracker: str, *options: str, around: tuple[str, ...] = ()) -> dict[str, Any]:
        """What it found, by what was looked at; its exit status is right."""
        command = [*around, XJ, "doctor", "--json", "--tracker", tracker, *options]
        environ = {**os.environ, "XDG_CONFIG_HOME": str(self.home), "XDG_DATA_HOME": str(self.home)}
        out, errors, status = await getProcessOutputAndValue(
            command[0], command[1:], environ, str(self.home), reactor
        )
        self.assertEqual(errors, b"")
        found = {one["what"]: one for one in map(json.loads, out.decode().splitlines())}
        self.assertEqual(status, 0 if all(one["ok"] for one in found.values()) else 1)
        return found

    def wrong(self, finding: dict[str, Any], found: str, remedy: str) -> None:
        self.assertFalse(finding["ok"], finding)
        self.assertIn(found, finding["found"])
        self.assertIn(remedy, finding["remedy"])

    async def list_at(self, tracker: Program, port: int) -> Raw:
        """List a relay there that says it is on that port, for as long as the link is open."""
        link = await dial(tracker.address)
        proof = load_secret(self.secret).client()
        link.say({"ip_local": "127.0.0.1", "port": port, "type": "relay"})
        link.say({"type": "auth", "mechanism": proof.mechanism, "data": proof.first()})
        link.say(
            {"type": "auth", "mechanism": proof.mechanism, "data": proof.final((await link.hear())["data"])}
        )
        proof.finish((await link.hear())["data"])
        await link.hear()
        return link

    async def test_nobody_is_there(self) -> None:
        found = await self.doctor("127.0.0.1:1")
        self.wrong(found["tracker 127.0.0.1:1"], "nothing listens on that port", "start it")
        self.assertNotIn("manager", found)

    async def test_nobody_is_registered(self) -> None:
        found = await self.doctor((await self.start()).address)
        self.wrong(found["manager"], "the tracker knows of none", "twistd -n xjmanager")
        self.wrong(found["relay"], "the tracker knows of none", "twistd -n xjrelay --tracker")

    async def test_a_clock_that_is_wrong(self) -> None:
        tracker = await self.start(change=AHEAD)
        found = await self.doctor(tracker.address)
        self.wrong(found["clocks"], "is 120 s ahead of this machine's", "NTP")

    async def test_a_program_left_behind(self) -> None:
        tracker = await self.start(change=OLD)
        found = await self.doctor(tracker.address)
        self.wrong(found["versions"], f"tracker {tracker.address} (0.0.9), while others are", "install")

    async def test_another_secret(self) -> None:
        tracker = await self.start()
        other = self.home / "other"
        other.write_text("another-secret-altogether\n")
        other.chmod(0o600)
        what = f"cluster secret of tracker {tracker.address}"
        self.assertTrue((await self.doctor(tracker.address))[what]["ok"])
        found = await self.doctor(tracker.address, "--cluster-secret-file", str(other))
        self.wrong(found[what], "another one than here", f"copy the tracker's to {other}")

    async def test_a_secret_for_all_to_see(self) -> None:
        tracker = await self.start()
        self.secret.chmod(0o644)
        found = await self.doctor(tracker.address)
        self.wrong(found["cluster secret"], "can be read by others", f"chmod 600 {self.secret}")

    async def test_a_firewall(self) -> None:
        tracker = await self.start()
        # A queue that is full: the system answers a new connection with nothing, as a firewall does.
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            place = full.getsockname()
            waiting = [socket.socket() for _ in range(3)]
            for one in waiting:
                self.addCleanup(one.close)
                one.setblocking(False)
                one.connect_ex(place)
            link = await self.list_at(tracker, place[1])
            found = await self.doctor(tracker.address)
            await link.close()
        finding = found[f"relay 127.0.0.1:{place[1]}"]
        self.wrong(finding, "nothing comes back", f"open port {place[1]} in the firewall of 127.0.0.1")

    async def test_a_port_where_nothing_listens(self) -> None:
        tracker = await self.start()
        link = await self.list_at(tracker, 1)
        found = await self.doctor(tracker.address)
        await link.close()
        self.wrong(
            found["relay 127.0.0.1:1"], "nothing listens on that port", "--listen and --advertise differ"
        )

    async def test_somebody_else_s_server(self) -> None:
        tracker = await self.start()
        tcp: Any = reactor
        listening = tcp.listenTCP(0, _Other(), interface="127.0.0.1")
        port = listening.getHost().port
        link = await self.list_at(tracker, port)
        found = await self.doctor(tracker.address)
        await link.close()
        await listening.stopListening()
        self.wrong(found[f"relay 127.0.0.1:{port}"], "no program of this suite", "look at the relay's log")

    def certificate(self, age: float) -> tuple[str, ...]:
        """Options of a tracker whose certificate was issued so many days ago."""
        authority = make_authority("test", time.time() - 450 * DAY)
        pair = issue(authority, ["127.0.0.1"], time.time() - age * DAY)
        (self.home / "authority.pem").write_bytes(authority.certificate)
        (self.home / "tls.pem").write_bytes(pair.certificate + pair.key)
        return "--listen", "tls:0", "--tls-certificate", str(self.home / "tls.pem")

    async def test_certificates(self) -> None:
        for age, found, remedy in (
            (1, "good for 396 days", ""),
            (390, "ends in 7 days", "systemctl reload xjtracker"),
            (400, "ended 3 days ago", "systemctl reload xjtracker"),
        ):
            tracker = Secure("xjtracker", self.home / f"tracker{age}", *self.certificate(age))
            self.addCleanup(tracker.stop, "KILL")
            await tracker.start()
            authority = str(self.home / "authority.pem")
            said = await self.doctor(f"xjs://{tracker.address}", "--authority", authority)
            finding = said[f"certificate of tracker {tracker.address}"]
            self.assertEqual(finding["ok"], not remedy, finding)
            self.assertIn(found, finding["found"])
            self.assertIn(remedy, finding["remedy"])
            await tracker.stop()

    async def test_a_certificate_nobody_vouches_for(self) -> None:
        tracker = Secure("xjtracker", self.home / "tracker", *self.certificate(1))
        self.addCleanup(tracker.stop, "KILL")
        await tracker.start()
        said = await self.doctor(f"xjs://{tracker.address}")
        self.wrong(said[f"certificate of tracker {tracker.address}"], "certificate", "--authority FILE")

    async def test_a_disk_nearly_full(self) -> None:
        tracker = await self.start()
        small = self.home / "small"
        small.mkdir()
        mount = f'mount -t tmpfs -o size=1m tmpfs {small} && exec "$@"'
        around = ("/usr/bin/env", "unshare", "--mount", "sh", "-c", mount, "sh")
        found = await self.doctor(tracker.address, "--data-dir", str(small), around=around)
        self.wrong(found["disk"], "1 MiB free of 1", "make room")

    if not private_mounts():
        test_a_disk_nearly_full.skip = "only root may mount a small disk"  # type: ignore[attr-defined]

    async def test_too_few_files(self) -> None:
        tracker = await self.start()
        around = ("/bin/sh", "-c", 'ulimit -Sn 512; ulimit -Hn 512; exec "$@"', "sh")
        found = await self.doctor(tracker.address, around=around)
        self.wrong(found["open files"], "512 may be open", "LimitNOFILE")


class Secure(Program):
    """A program that listens with TLS only."""

    def command(self) -> list[str]:
        command = super().command()
        place = command.index("--listen")
        return command[:place] + command[place + 2 :]


class _Other(Factory):
    """Answers any line as a mail server would."""

    noisy = False

    def buildProtocol(self, addr: Any) -> Protocol:
        class Mail(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(b"500 Command unrecognized\r\n")

        return Mail()


class JudgementTests(SynchronousTestCase):
    """What is concluded from what was seen, where no machine here can be made to look so."""

    def test_addresses_behind_nat(self) -> None:
        for host, seen_from, behind in (
            ("192.168.1.5", "198.51.100.7", False),  # a documentation address counts as private
            ("192.168.1.5", "8.8.8.8", True),
            ("10.0.0.5", "2606:4700::1", True),
            ("fd00::1", "2606:4700::1", True),
            ("192.168.1.5", "192.168.1.9", False),
            ("8.8.4.4", "8.8.8.8", False),
            ("relay.example.org", "8.8.8.8", False),
        ):
            self.assertEqual(behind_nat(host, seen_from), behind, host)

    def asked(self, version: str | None, ahead: float | None = 0.0) -> Asked:
        return Asked(f"relay {version}", About(0.001, version, ahead, "127.0.0.1", None))

    def test_a_program_that_does_not_know_the_question_is_older(self) -> None:
        finding = versions([self.asked("0.1.0"), self.asked(None, None)])
        self.assertIn("relay None (unknown)", finding.found)
        self.assertTrue(finding.remedy)

    def test_versions_are_compared_as_numbers(self) -> None:
        finding = versions([self.asked("9.10.0"), self.asked("9.9.0")])
        self.assertEqual(finding.found, "relay 9.9.0 (9.9.0), while others are 9.10.0")

    def test_clocks_behind_and_clocks_untold(self) -> None:
        self.assertIn("is 40 s behind", clocks([self.asked("1", 3.0), self.asked("2", -40.0)]).found)
        self.assertEqual(clocks([self.asked("1", 3.0)]).remedy, "")
        self.assertEqual(clocks([self.asked(None, None)]).remedy, "")

# SPDX-License-Identifier: MIT
"""``deploy/`` on machines that systemd has started: what the units promise, and two machines over TLS."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.system.booted import Machine, Overlay, possible
from tests.system.programs import ROOT
from tests.system.programs import until as waited
from xjrelay.security.certificates import Pair, issue, make_authority

SYSTEM_PYTHON = "/usr/bin/python3"
THERE = Path("/root/x")
"""Where a machine finds what is installed from."""

PIP = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(THERE / "wheels"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
NOW = time.time()
SERIAL = """
import ssl, sys
from cryptography.x509 import load_pem_x509_certificate as load
host, port = sys.argv[1], int(sys.argv[2])
print(load(ssl.get_server_certificate((host, port)).encode()).serial_number)
"""
DIALS = """
import socket, sys, time
until = time.monotonic() + float(sys.argv[2])
held, refused = [], 0
while time.monotonic() < until:
    try:
        held.append(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20))
    except ConnectionRefusedError:
        refused += 1
    time.sleep(0.01)
print(len(held) > 50, refused)
"""


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something of a whole machine."""
    await waited(condition, what, 120)


@functools.cache
def installed() -> Overlay:
    """This machine with the programs in ``/opt/xjrelay``, by ``install.sh``; made once, nothing is started.

    The wheels come from the package index; the machines have no way out.
    """
    folder = Path(tempfile.mkdtemp(prefix="xjrelay-wheels-"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True
    )
    [wheel] = folder.glob("xjrelay-*.whl")
    subprocess.run([*pip, "--python", SYSTEM_PYTHON, "download", "--dest", folder, wheel], check=True)
    overlay = Overlay(())
    there = overlay.root / THERE.relative_to("/")
    shutil.copytree(folder, there / "wheels")
    shutil.copytree(ROOT / "deploy", there / "deploy")
    shutil.rmtree(folder)
    command: list[str | Path] = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit"]
    command += ["--private-network", "--console=pipe", f"--directory={overlay.root}"]
    command += [f"--setenv={name}={value}" for name, value in PIP.items()]
    command += [THERE / "deploy" / "install.sh", "--from", THERE / "wheels" / wheel.name, "--no-start"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    for made in (overlay.root / "etc" / "xjrelay").iterdir():  # each machine makes its own
        made.unlink()
    overlay.close()
    atexit.register(overlay.remove)
    return overlay


class MachineCase(TestCase):
    """Machines with the programs installed."""

    timeout = 600
    if not possible():
        skip = "only root can have machines, and only with systemd-nspawn"

    def machine(self, name: str) -> Machine:
        made = Machine(f"xj{os.getpid()}{name}", (installed().changes,), PIP)
        self.addCleanup(made.off)
        return made

    def install(self, machine: Machine, script: str, *words: str) -> str:
        [wheel] = (machine.overlay.root / "root" / "x" / "wheels").glob("xjrelay-*.whl")
        return machine.run(THERE / "deploy" / script, *words, "--from", THERE / "wheels" / wheel.name)

    def certificate(self, machine: Machine, authority: Pair, host: str) -> tuple[str, ...]:
        """Give a machine a certificate; the options that say so."""
        pair = issue(authority, [host, "127.0.0.1"], NOW)
        folder = machine.overlay.root / "root" / "x"
        (folder / "certificate.pem").write_bytes(pair.certificate)
        (folder / "key.pem").write_bytes(pair.key)
        (folder / "authority.pem").write_bytes(authority.certificate)
        names = ("certificate", "key", "authority")
        return tuple(word for name in names for word in (f"--{name}", str(THERE / f"{name}.pem")))

    async def active(self, machine: Machine, *units: str) -> None:
        for unit in units:
            await until(lambda unit=unit: machine.shown(unit, "ActiveState") == "active", unit)  # type: ignore[misc]


class OneMachineTests(MachineCase):
    """A node, as on one VPS."""

    async def test_a_node(self) -> None:
        machine = self.machine("n")
        await machine.boot()
        authority = make_authority("test", NOW)
        words = ("--host", "chat.example.org", *self.certificate(machine, authority, "chat.example.org"))
        with (machine.overlay.root / "etc" / "hosts").open("a") as hosts:
            hosts.write("127.0.0.1 chat.example.org\n")
        self.install(machine, "install.sh", *words)
        await self.active(machine, "xjnode")
        self.assertIn("serves at", machine.shown("xjnode", "StatusText"))
        said = machine.run("journalctl", "--unit=xjnode", "--no-pager")
        self.assertIn("xjrelay ready node", said)
        self.assertNotIn("Ctrl-C", said, "what to type is for who started it by hand")
        self.the_secret_is_roots(machine)
        self.doctor_finds_nothing(machine)
        self.install(machine, "install.sh", *words)
        await self.active(machine, "xjnode")
        self.doctor_finds_nothing(machine)
        await self.a_renewed_certificate_is_served(machine, authority)
        await self.what_is_killed_returns(machine)
        await self.what_hangs_is_killed(machine)
        self.a_backup(machine)
        await self.wrong_options_are_not_tried_again(machine)

    def the_secret_is_roots(self, machine: Machine) -> None:
        self.assertEqual(machine.run("stat", "-c", "%U %a", "/etc/xjrelay/cluster.secret"), "root 600\n")
        pid = machine.shown("xjnode", "MainPID")
        self.assertEqual(machine.run("stat", "-c", "%U", f"/proc/{pid}"), "xjrelay\n")
        given = machine.run("cat", f"/proc/{pid}/root/run/credentials/xjnode.service/cluster.secret")
        self.assertEqual(given, machine.run("cat", "/etc/xjrelay/cluster.secret"))

    def doctor_finds_nothing(self, machine: Machine) -> None:
        said = machine.asked(
            "xj", "doctor", "--tracker", "xjs://chat.example.org:5000", "--data-dir", "/var/lib/xjrelay",
            "--authority", "/etc/xjrelay/tls/authority.pem",
            "--cluster-secret-file", "/etc/xjrelay/cluster.secret",
        )  # fmt: skip
        wrong = [line for line in said.splitlines() if not line.startswith("ok")]
        self.assertEqual([line for line in wrong if "WRONG" in line], [], said)
        self.assertIn("ok     relay chat.example.org:5003", said)

    async def a_renewed_certificate_is_served(self, machine: Machine, authority: Pair) -> None:
        pid = machine.shown("xjnode", "MainPID")
        before = {port: self.serial(machine, port) for port in range(5000, 5004)}
        self.certificate(machine, authority, "chat.example.org")
        machine.run("/opt/xjrelay/bin/xj-renewed", THERE / "certificate.pem", THERE / "key.pem")
        for port, old in before.items():
            await until(lambda port=port, old=old: self.serial(machine, port) != old, "the new one")  # type: ignore[misc]
        self.assertEqual(machine.shown("xjnode", "MainPID"), pid)

    def serial(self, machine: Machine, port: int, host: str = "chat.example.org") -> str:
        return machine.run("/opt/xjrelay/bin/python", "-c", SERIAL, host, str(port))

    async def what_is_killed_returns(self, machine: Machine) -> None:
        machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "xjnode")
        await until(lambda: machine.shown("xjnode", "NRestarts") == "1", "it was started again")
        await self.active(machine, "xjnode")

    async def what_hangs_is_killed(self, machine: Machine) -> None:
        """With the unit's watchdog at two seconds instead of thirty."""
        folder = machine.overlay.root / "etc" / "systemd" / "system" / "xjnode.service.d"
        folder.mkdir()
        (folder / "quick.conf").write_text("[Service]\nWatchdogSec=2\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "xjnode")
        pid = machine.shown("xjnode", "MainPID")
        machine.run("kill", "-STOP", pid)
        await until(lambda: machine.shown("xjnode", "NRestarts") == "1", "it was started again")
        await self.active(machine, "xjnode")
        self.assertNotEqual(machine.shown("xjnode", "MainPID"), pid)
        self.assertIn("Watchdog timeout", machine.run("journalctl", "--unit=xjnode", "--no-pager"))

    def a_backup(self, machine: Machine) -> None:
        self.assertEqual(machine.shown("xjbackup.timer", "ActiveState"), "active")
        machine.run("systemctl", "start", "xjbackup")
        [made] = (machine.overlay.root / "var" / "lib" / "xjrelay-backup").iterdir()
        machine.run("xj", "restore", "--check", f"/var/lib/xjrelay-backup/{made.name}")

    async def wrong_options_are_not_tried_again(self, machine: Machine) -> None:
        machine.run("systemctl", "reset-failed", "xjnode")
        config = machine.overlay.root / "etc" / "xjrelay" / "node.toml"
        config.write_text(config.read_text() + 'nosuch = "thing"\n')
        machine.asked("systemctl", "restart", "xjnode")
        await until(lambda: machine.shown("xjnode", "ActiveState") == "failed", "it gave up")
        self.assertEqual(machine.shown("xjnode", "ExecMainStatus"), "2")
        self.assertEqual(machine.shown("xjnode", "NRestarts"), "0")
        self.assertIn("nosuch", machine.run("journalctl", "--unit=xjnode", "--no-pager"))

    async def test_a_socket_that_systemd_holds(self) -> None:
        machine = self.machine("s")
        await machine.boot()
        config = machine.overlay.root / "etc" / "xjrelay" / "tracker.toml"
        config.parent.mkdir(exist_ok=True)
        where = 'tls-certificate = "/etc/xjrelay/tls/certificate.pem"\ntls-key = "/etc/xjrelay/tls/key.pem"\n'
        config.write_text(f'listen = ["tls:systemd:domain=INET6:index=0"]\n{where}')
        words = self.certificate(machine, make_authority("test", NOW), "localhost")
        options = ("--programs", "tracker", "--host", "localhost", "--no-start")
        self.install(machine, "install.sh", *options, *words)
        machine.run("systemctl", "start", "xjtracker.socket")
        self.assertEqual(machine.shown("xjtracker", "ActiveState"), "inactive")
        self.serial(machine, 5000, "localhost")  # the first to connect starts it
        await self.active(machine, "xjtracker")
        machine.run("systemctl", "restart", "--no-block", "xjtracker")
        self.assertEqual(machine.run("/opt/xjrelay/bin/python", "-c", DIALS, "5000", "3"), "True 0\n")
        await self.active(machine, "xjtracker")
        self.serial(machine, 5000, "localhost")


class TwoMachinesTests(MachineCase):
    """``deploy/two-machines`` over TLS, with certificates of an authority of one's own."""

    async def test_the_whole_layout(self) -> None:
        cable = f"xj{os.getpid() % 100000}"
        ends = (f"{cable}a", f"{cable}b")
        subprocess.run(["ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1]], check=True)
        hosts = {"one.example.org": "10.78.0.1", "two.example.org": "10.78.0.2"}
        machines = [self.machine(end[-1]) for end in ends]
        authority = make_authority("test", NOW)
        words = []
        for machine, end, (host, address) in zip(machines, ends, hosts.items(), strict=True):
            await machine.boot()
            machine.plug(end, f"{address}/24")
            with (machine.overlay.root / "etc" / "hosts").open("a") as table:
                table.write("".join(f"{where} {name}\n" for name, where in hosts.items()))
            words.append(self.certificate(machine, authority, host))
        one, two = machines
        self.install(one, "two-machines/one.sh", "one.example.org", *words[0])
        secret = (one.overlay.root / "etc" / "xjrelay" / "cluster.secret").read_bytes()
        (two.overlay.root / "root" / "x" / "secret").write_bytes(secret)
        names = ("two.example.org", "one.example.org", "--secret", str(THERE / "secret"))
        self.install(two, "two-machines/two.sh", *names, *words[1])
        await self.active(one, "xjtracker", "xjrelay")
        await self.active(two, "xjmanager", "xjrelay")
        where = ("--tracker", "xjs://one.example.org:5000", "--authority", "/etc/xjrelay/tls/authority.pem")
        said = two.run("xj", "status", *where)
        for place in ("one.example.org:5000", "two.example.org:5001", "one.example.org:5002"):
            self.assertIn(place, said)
        for machine, name in ((one, "esa"), (two, "fajar")):
            (machine.overlay.root / "root" / "password").write_text("rahasia\n")
            machine.run("xj", "register", "--user", name, "--password-file", "/root/password", *where)
        login = ("--password-file", "/root/password", *where)
        one.run("xj", "send", "--user", "esa", "fajar", "halo", *login)
        self.assertIn("halo", two.run("xj", "listen", "--user", "fajar", "--count", "1", *login))
        stranger = one.run("xj", "send", "--user", "esa", "fajar", "halo", *login[:4], status=1)
        self.assertIn("certificate", stranger)

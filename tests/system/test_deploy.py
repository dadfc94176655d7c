# SPDX-License-Identifier: MIT
"""What is under ``deploy/``, used: installed into a folder, packed, and run on two machines.

The two machines are network namespaces with a cable between them, which needs root.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.system.programs import ROOT, Program
from xjrelay.security.certificates import issue, make_authority
from xjrelay.security.secret import load_secret
from xjrelay.servers.option_table import TABLE
from xjrelay.servers.options import options_for

DEPLOY = ROOT / "deploy"
PASSWORD = "rahasia"


def sh(*words: str | Path, status: int = 0) -> str:
    """Run a script, and see how it ends; what it said."""
    run = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if run.returncode != status:
        raise AssertionError(f"{words}: exit status {run.returncode}: {run.stdout}{run.stderr}")
    return run.stdout + run.stderr


def files(root: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file below a folder."""
    return {
        str(path.relative_to(root)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def options(path: Path) -> Any:
    """What a program makes of its configuration."""
    made = options_for(path.stem.partition("-")[0])()
    made.environ = {}
    made.parseOptions(["--config", str(path)])
    return made


class InstallTests(SynchronousTestCase):
    """``install.sh`` into a folder."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).resolve()
        self.base.mkdir(parents=True)
        self.root = self.base / "root"
        self.etc = self.root / "etc" / "xjrelay"

    def install(self, *words: str | Path, status: int = 0) -> str:
        return sh(DEPLOY / "install.sh", "--root", self.root, *words, status=status)

    def test_a_node_for_this_machine(self) -> None:
        self.assertEqual(self.install(), "")
        made = options(self.etc / "node.toml")
        self.assertEqual((made["listen"], made["relays"], made["advertise"]), (["tcp:5000"], 2, []))
        load_secret(self.etc / "cluster.secret")
        units = {path.name for path in (self.root / "etc/systemd/system").iterdir()}
        self.assertEqual(units, {path.name for path in (DEPLOY / "systemd").iterdir()})

    def test_a_second_time_changes_nothing(self) -> None:
        words = (
            "--programs",
            "tracker manager relay-1 relay-2",
            "--host",
            "h.example.org",
            *self.certificate(),
        )
        self.install(*words)
        before = files(self.root)
        self.install(*words)
        self.assertEqual(files(self.root), before)

    def test_what_is_the_operator_s_stays(self) -> None:
        self.install()
        secret = (self.etc / "cluster.secret").read_bytes()
        (self.etc / "node.toml").write_text('listen = ["tcp:7000"]\n')
        self.install("--host", "h.example.org", "--allow-plaintext")
        self.assertEqual(options(self.etc / "node.toml")["listen"], ["tcp:7000"])
        self.assertEqual((self.etc / "cluster.secret").read_bytes(), secret)

    def certificate(self) -> tuple[str, ...]:
        authority = make_authority("test", 1_700_000_000)
        pair = issue(authority, ["h.example.org"], 1_700_000_000)
        certificate, key = self.base / "certificate.pem", self.base / "key.pem"
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        return "--certificate", str(certificate), "--key", str(key)

    def test_with_a_certificate(self) -> None:
        words = self.certificate()
        self.install("--programs", "node relay-3", "--host", "h.example.org", *words)
        node, relay = options(self.etc / "node.toml"), options(self.etc / "relay-3.toml")
        self.assertEqual(node["listen"], ["tls:5000:interface=0.0.0.0"])
        self.assertEqual([str(one) for one in node["advertise"]], ["h.example.org:5000"])
        self.assertEqual(relay["listen"], ["tls:5004:interface=0.0.0.0"])
        self.assertEqual([str(one) for one in relay["tracker"]], ["tls:h.example.org:5000"])
        self.assertFalse(node["allow-plaintext"])
        key = self.etc / "tls" / "key.pem"
        self.assertEqual(node["tls-key"], Path("/etc/xjrelay/tls/key.pem"))
        self.assertEqual(key.read_bytes(), Path(words[3]).read_bytes())
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o640)
        self.assertEqual({path.name for path in key.parent.iterdir()}, {"certificate.pem", "key.pem"})

    def test_wrong_words(self) -> None:
        for words in (
            ("--nosuch", "x"),
            ("--host",),
            ("--host", "h.example.org"),
            ("--host", "h.example.org", "--certificate", "x"),
            ("--programs", "node nosuch"),
        ):
            said = self.install(*words, status=2)
            self.assertEqual(said.count("\n"), 1)
            self.assertFalse(self.root.exists())

    def test_every_script_is_one(self) -> None:
        scripts = [path for path in DEPLOY.rglob("*") if path.is_file() and path.read_bytes()[:2] == b"#!"]
        self.assertEqual(len(scripts), 8)
        for path in scripts:
            sh("sh", "-n", path)
            self.assertTrue(os.access(path, os.X_OK), path)

    def test_the_container_names_what_there_is(self) -> None:
        text = (DEPLOY / "Containerfile").read_text()
        variables = {option.variable for option in TABLE}
        self.assertEqual(set(re.findall(r"\bXJ_[A-Z_]+", text)) - variables, set())
        self.assertIn('CMD ["xjnode"]', text)

    def test_a_debian_package_of_the_same_files(self) -> None:
        wheel = self.base / "xjrelay-1.2.3-py3-none-any.whl"
        wheel.write_bytes(b"a wheel")
        sh(DEPLOY / "debian" / "build.sh", wheel, self.base)
        package = self.base / "xjrelay_1.2.3_all.deb"
        self.assertIn("Version: 1.2.3", sh("dpkg-deb", "--info", package))
        sh("dpkg-deb", "--extract", package, self.base / "tree")
        share = self.base / "tree" / "usr" / "share" / "xjrelay"
        self.assertEqual((share / wheel.name).read_bytes(), b"a wheel")
        wanted = {name: content for name, (_, content) in files(DEPLOY).items()}
        self.assertEqual({name: content for name, (_, content) in files(share / "deploy").items()}, wanted)
        sh("dpkg-deb", "--control", package, self.base / "control")
        scripts = {path.name for path in (self.base / "control").iterdir()}
        self.assertEqual(scripts, {"control", "postinst", "prerm", "postrm"})
        sh(DEPLOY / "debian" / "build.sh", self.base / "other.whl", self.base, status=1)

    if shutil.which("dpkg-deb") is None:
        test_a_debian_package_of_the_same_files.skip = "dpkg-deb is not installed"  # type: ignore[attr-defined]


def namespaces() -> bool:
    """Whether this process may make network namespaces."""
    name = f"xj{os.getpid()}t"
    if shutil.which("ip") is None:
        return False
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode == 0
    if made:
        sh("ip", "netns", "delete", name)
    return made


class Machine:
    """A network namespace, with files of its own below a folder."""

    def __init__(self, name: str, address: str, root: Path) -> None:
        self.name = f"xj{os.getpid()}{name}"
        self.address = address
        self.root = root
        self.etc = root / "etc" / "xjrelay"
        sh("ip", "netns", "add", self.name)

    def up(self, interface: str) -> None:
        self.ip("address", "add", f"{self.address}/24", "dev", interface)
        self.ip("link", "set", interface, "up")
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str) -> None:
        sh("ip", "-n", self.name, *words)

    def inside(self) -> list[str]:
        """What a command on this machine begins with."""
        return ["ip", "netns", "exec", self.name]

    def gone(self) -> None:
        sh("ip", "netns", "delete", self.name)


class Installed(Program):
    """A program on a machine, from what ``install.sh`` wrote."""

    def __init__(self, plugin: str, machine: Machine, config: str, *options: str) -> None:
        super().__init__(plugin, machine.root / "var" / config, *options)
        self._machine = machine
        self._config = config

    def command(self) -> list[str]:
        etc = self._machine.etc
        started = super().command()
        listen = started.index("--listen")
        words = [*started[:listen], *self.options, "--config", str(etc / f"{self._config}.toml")]
        return [*self._machine.inside(), *words, "--cluster-secret-file", str(etc / "cluster.secret")]


class TwoMachinesTests(TestCase):
    """``deploy/two-machines``: tracker and relay on one, manager and relay on the other."""

    timeout = 240
    if not namespaces():
        skip = "only root can make network namespaces"

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).resolve()
        self.base.mkdir(parents=True)
        self.one = Machine("a", "10.77.0.1", self.base / "one")
        self.addCleanup(self.one.gone)
        self.two = Machine("b", "10.77.0.2", self.base / "two")
        self.addCleanup(self.two.gone)
        sh("ip", "link", "add", "xjc", "netns", self.one.name, "type", "veth",
           "peer", "name", "xjc", "netns", self.two.name)  # fmt: skip
        for machine in (self.one, self.two):
            machine.up("xjc")
            (machine.root / "var").mkdir(parents=True)
        self.tracker = f"{self.one.address}:5000"
        folder = DEPLOY / "two-machines"
        plain = ("--allow-plaintext",)
        sh(folder / "one.sh", self.one.address, "--root", self.one.root, *plain)
        secret = ("--secret", self.one.etc / "cluster.secret")
        sh(folder / "two.sh", self.two.address, self.one.address, "--root", self.two.root, *secret, *plain)

    async def start(self, plugin: str, machine: Machine, config: str, *more: str) -> Program:
        program = Installed(plugin, machine, config, *more)
        self.addCleanup(program.stop, "KILL")
        await program.start()
        return program

    async def xj(self, machine: Machine, *words: str) -> tuple[str, int]:
        xj = str(Path(sys.executable).with_name("xj"))
        command = [*machine.inside(), xj, *words, "--tracker", self.tracker]
        environ = {**os.environ, "HOME": str(machine.root), "XJ_PASSWORD": PASSWORD}
        out, errors, status = await getProcessOutputAndValue(
            shutil.which(command[0]) or "", command[1:], environ, str(self.base), reactor
        )
        return (out + errors).decode(), status

    async def does(self, machine: Machine, *words: str) -> str:
        said, status = await self.xj(machine, *words)
        self.assertEqual(status, 0, said)
        return said

    async def test_the_whole_layout(self) -> None:
        await self.start("xjtracker", self.one, "tracker")
        await self.start("xjmanager", self.two, "manager")
        await self.start("xjrelay", self.one, "relay")
        await self.start("xjrelay", self.two, "relay")
        said = await self.does(self.two, "status")
        for place in (self.tracker, "10.77.0.2:5001", "10.77.0.1:5002", "10.77.0.2:5002"):
            self.assertIn(place, said)
        for name, machine in (("esa", self.one), ("fajar", self.two)):
            await self.does(machine, "register", "--user", name)
        await self.does(self.one, "send", "--user", "esa", "fajar", "halo")
        self.assertIn("halo", await self.does(self.two, "listen", "--user", "fajar", "--count", "1"))
        secret = ("--cluster-secret-file", str(self.two.etc / "cluster.secret"))
        self.assertNotIn("WRONG", await self.does(self.two, "doctor", *secret))

    async def test_an_address_that_means_nothing_elsewhere(self) -> None:
        """The doctor's own fault: a relay that says it is where only its own machine finds it."""
        await self.start("xjtracker", self.one, "tracker")
        await self.start("xjmanager", self.two, "manager")
        nowhere = ("--listen", "tcp:5009", "--advertise", "127.0.0.1:5009")
        await self.start("xjrelay", self.two, "relay", *nowhere)
        said, status = await self.xj(self.one, "doctor")
        self.assertEqual(status, 1)
        self.assertIn("WRONG  relay 127.0.0.1:5009", said)
        self.assertIn("--advertise HOST:5009 of the relay", said)

# SPDX-License-Identifier: MIT
"""Machines that systemd has started: containers over this machine's own files, which they can't change.

Each is an overlay of the root file system, with what it writes in memory, and a network of its own that is
empty but for the cables that are given to it. Needs root, ``systemd-nspawn``, and the kernel's overlay.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.system.programs import until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 120.0
RUNNING = {"running", "degraded"}


class Refused(Exception):
    """A command on a machine failed; the text is what it said."""


def possible() -> bool:
    """Whether this process can have such a machine."""
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None:
        return False
    try:
        Overlay(()).remove()
    except subprocess.CalledProcessError:
        return False
    return True


class Overlay:
    """This machine's files with changes of its own, in memory.

    Args:
        below: changes of others, the uppermost first.

    Attributes:
        root: the files.
        changes: what differs from those below.
    """

    def __init__(self, below: tuple[Path, ...]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="xjrelay-machine-"))
        _mount("-t", "tmpfs", "tmpfs", self._folder)
        self.changes, self.root = self._folder / "changes", self._folder / "root"
        work = self._folder / "work"
        for folder in (self.changes, self.root, work):
            folder.mkdir()
        lower = ":".join(map(str, (*below, "/")))
        options = f"lowerdir={lower},upperdir={self.changes},workdir={work}"
        try:
            _mount("-t", "overlay", "overlay", "-o", options, self.root)
        except subprocess.CalledProcessError:
            self.remove()
            raise

    def close(self) -> None:
        """Keep the changes, for others to start from; the files are gone."""
        subprocess.run(["umount", self.root], check=True)

    def remove(self) -> None:
        """Forget it all."""
        for place in (self.root, self._folder):
            subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
        self._folder.rmdir()


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def _is_first(process: str) -> bool:
    """Whether a process is the first of its own world."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
    [numbers] = (line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
    return len(numbers) > 1 and numbers[-1] == "1"


class Machine:
    """One machine.

    Args:
        name: its host name; given to nobody else on this machine.
        below: changes of others to start from.
        environ: variables for every command on it.
    """

    def __init__(
        self, name: str, below: tuple[Path, ...] = (), environ: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.overlay = Overlay(below)
        self._environ = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", **(environ or {})}
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    async def boot(self) -> None:
        """Start it; returns when systemd is through."""
        words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--boot"]
        words += ["--private-network", f"--machine={self.name}", "--link-journal=no"]
        # No more than a service needs: what else this machine would start at boot is none of the test's.
        words += [f"--directory={self.overlay.root}", "systemd.unit=sysinit.target"]
        self._nspawn = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        os.set_blocking(self._out(), False)
        await until(self._has_leader, "the machine's first process", PATIENCE)
        await until(self._has_started, "systemd is through", PATIENCE)

    def _out(self) -> int:
        assert self._nspawn is not None and self._nspawn.stdout is not None
        return self._nspawn.stdout.fileno()

    def _has_leader(self) -> bool:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise Refused(os.read(self._out(), 65536).decode(errors="replace"))
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        self._leader = next((int(child) for child in children if _is_first(child)), 0)
        return bool(self._leader)

    def _has_started(self) -> bool:
        return self.asked("systemctl", "is-system-running").strip() in RUNNING

    def run(self, *words: str | Path, status: int = 0) -> str:
        """What a command on it says.

        Raises:
            Refused: it ended with another exit status.
        """
        done = self._enter(*words)
        if done.returncode != status:
            raise Refused(f"{words}: exit status {done.returncode}: {done.stdout}")
        return done.stdout

    def asked(self, *words: str | Path) -> str:
        """What a command says, however it ends."""
        return self._enter(*words).stdout

    def _enter(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        variables = [f"{name}={value}" for name, value in self._environ.items()]
        inside = ["nsenter", f"--target={self._leader}", "--all", "--wdns=/root", "env", "-i", *variables]
        return subprocess.run(
            [*inside, *words], check=False, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE * 2,
        )  # fmt: skip

    def plug(self, interface: str, address: str) -> None:
        """Give it one end of a cable, and that an address."""
        subprocess.run(["ip", "link", "set", interface, "netns", str(self._leader)], check=True)
        self.run("ip", "address", "add", address, "dev", interface)
        self.run("ip", "link", "set", interface, "up")

    def shown(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def off(self) -> None:
        """Stop it at once and forget its files."""
        if self._nspawn is not None:
            if self._leader:
                with suppress(ProcessLookupError):
                    os.kill(self._leader, signal.SIGKILL)  # and with the first of them all
            else:
                self._nspawn.kill()
            self._nspawn.wait(PATIENCE)
            os.close(self._out())
        self.overlay.remove()

# SPDX-License-Identifier: MIT
"""Server processes under measurement: started, accounted for by the system, ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xjrelay.security import certificates


@dataclass(frozen=True)
class Certificate:
    """What every server under measurement shows, the same: P-256, of an authority of its own."""

    chain: Path
    key: Path
    authority: Path


def make_certificate(folder: Path) -> Certificate:
    """A new one for this machine, its files in the folder."""
    authority = certificates.make_authority("bench", time.time())
    issued = certificates.issue(authority, ["localhost", "127.0.0.1"], time.time())
    made = Certificate(folder / "chain.pem", folder / "key.pem", folder / "authority.pem")
    made.chain.write_bytes(issued.certificate)
    made.key.write_bytes(issued.key)
    made.authority.write_bytes(authority.certificate)
    return made


def free_port() -> int:
    """A port nobody has at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time: what ``clock_getcpuclockid`` gives on Linux."""
    return (~pid << 3) | 2


class Process:
    """One server process, all its threads.

    Args:
        command: what to run.
        port: where it will listen; waited for.
        cpu: the core it is bound to, or None.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        folder: Path,
        cpu: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        prefix = [] if cpu is None else ["taskset", "-c", str(cpu)]
        self.log = folder / f"{Path(command[0]).name}-{port}.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [*prefix, *command],
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **(environment or {})},
            )
        self._wait()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far, in seconds, as the kernel counts it."""
        return time.clock_gettime(cpu_clock(self.pid))

    def resident(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def last_words(self) -> str:
        """The end of what it has logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def end(self) -> None:
        """End it, and wait."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"ended at once:\n{self.log.read_text()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        self.end()
        raise RuntimeError(f"never listened on {self.port}:\n{self.log.read_text()}")


def twistd(
    plugin: str, folder: Path, *options: str, cpu: int | None = None, package: Path | None = None
) -> Process:
    """One of our own programs, on a free port of loopback.

    Args:
        package: a folder with another build of ours, to be run instead.
    """
    port = free_port()
    command = [
        *(str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=", plugin),
        *("--data-dir", str(folder / f"{plugin}-{port}"), "--listen", f"tcp:{port}"),
        *("--cluster-secret-file", str(folder / "cluster.secret"), *options),
    ]
    return Process(command, port, folder, cpu, {"PYTHONPATH": str(package)} if package else None)

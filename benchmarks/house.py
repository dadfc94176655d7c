# SPDX-License-Identifier: MIT
"""Our own servers, with accounts made before they start, killed and started again in their places.

Where :mod:`benchmarks.ours` drives relays with accounts made as they are needed, this one is for what a
manager does with very many accounts, and after a restart. Accounts and rosters are put into its database as
``xj import`` would, before it starts.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.programs import Process, free_port
from xjrelay.domain.presence import DEFAULT_BIO
from xjrelay.security import scram
from xjrelay.storage import transfer

PASSWORD = "rahasia"
SALT = bytes(scram.SALT_BYTES)
READY_TIMEOUT = 60.0
"""Seconds a program takes at the most until it serves."""


class House:
    """A tracker, a manager and relays.

    Args:
        folder: for their data.
        relays: how many.
        manager: more of the manager's command line.
        relay: more of each relay's.
        cpu: the core all are bound to.
    """

    def __init__(
        self,
        folder: Path,
        relays: int = 1,
        manager: Sequence[str] = (),
        relay: Sequence[str] = (),
        cpu: int | None = None,
    ) -> None:
        self.folder = folder
        self.running: dict[str, Process] = {}
        self._cpu = cpu
        self._ports: dict[str, int] = {}
        self._options: dict[str, tuple[str, Sequence[str]]] = {"tracker": ("xjtracker", ())}
        self._options["manager"] = ("xjmanager", manager)
        for number in range(1, relays + 1):
            self._options[f"relay{number}"] = ("xjrelay", relay)

    @property
    def manager(self) -> Process:
        """The manager's process."""
        return self.running["manager"]

    @property
    def relays(self) -> list[Process]:
        """The relays' processes."""
        return [process for name, process in self.running.items() if name.startswith("relay")]

    def port(self, name: str) -> int:
        """Where a program listens, in all its lives."""
        if name not in self._ports:
            self._ports[name] = free_port()
        return self._ports[name]

    def seed(self, records: Iterable[transfer.Record]) -> None:
        """Put accounts and rosters in the database of a manager that doesn't run."""
        folder = self.folder / "manager"
        folder.mkdir(mode=0o700, exist_ok=True)
        transfer.load(folder / "manager.sqlite3", records)

    def start(self, *names: str) -> None:
        """Start these, or all, each when the one before serves."""
        for name in names or self._options:
            self.running[name] = self._run(name)

    def start_together(self, *names: str) -> None:
        """Start these at once, as a machine does that was switched off, and wait until all serve."""
        with ThreadPoolExecutor(len(names)) as pool:
            self.running.update(zip(names, pool.map(self._run, names), strict=True))

    def kill(self, *names: str) -> None:
        """End these with SIGKILL, at once."""
        struck = [self.running.pop(name) for name in names]
        for process in struck:
            os.kill(process.pid, signal.SIGKILL)
        for process in struck:
            process.end()

    def end(self) -> None:
        """End every process."""
        for process in reversed(list(self.running.values())):
            process.end()

    def _run(self, name: str) -> Process:
        plugin, options = self._options[name]
        port = self.port(name)
        command = [
            *(str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=", plugin),
            *("--data-dir", str(self.folder / name), "--listen", f"tcp:{port}"),
            *("--cluster-secret-file", str(self.folder / "cluster.secret")),
            *(() if name == "tracker" else ("--tracker", f"127.0.0.1:{self.port('tracker')}")),
            *options,
        ]
        process = Process(command, port, self.folder, self._cpu)
        self._wait_until_ready(process)
        return process

    def _wait_until_ready(self, process: Process) -> None:
        end = time.monotonic() + READY_TIMEOUT
        while b"xjrelay ready" not in process.log.read_bytes():
            if time.monotonic() > end:
                raise RuntimeError(f"never ready:\n{process.log.read_text()}")
            time.sleep(0.02)


def accounts(
    names: Sequence[str], rounds: int, contacts: Iterable[tuple[str, str]]
) -> Iterator[transfer.Record]:
    """What :meth:`House.seed` takes: accounts that share one password, and who has whom with ``both``.

    Args:
        names: the accounts', keys of themselves.
        rounds: of the password's key.
        contacts: pairs, each once.
    """
    yield transfer.Head(version=transfer.VERSION, made_by="benchmarks", made_at=0)
    keys = scram.derive(PASSWORD, rounds, SALT)
    counted = transfer.End()
    for name in names:
        counted.accounts += 1
        yield transfer.Account(
            username=name,
            salt=SALT,
            iterations=rounds,
            stored_key=keys.stored_key,
            server_key=keys.server_key,
            bio=DEFAULT_BIO,
            updated_at=0,
            last_session=0,
            revoked=0,
        )
    for one, other in contacts:
        for owner, contact in ((one, other), (other, one)):
            counted.contacts += 1
            yield transfer.Contact(owner=owner, contact=contact, subscription="both", name=contact.title())
    yield counted

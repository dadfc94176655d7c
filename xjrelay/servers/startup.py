# SPDX-License-Identifier: MIT
"""From options to a running program, or to one line that says why not.

What every ``tap`` needs: the data folder, the cluster's secret, the limits of links, listening
sockets, the line that says "ready". Whatever can't be had is a :class:`StartupError`, which ends
the process with exit status 1; nothing here stays up and logs that it can't serve.

A tap's two functions::

    def make_service(options, reactor):         # the node calls this too
        program = Program("tracker", options)
        ...
        return program

    def makeService(options):                   # what twistd calls
        from twisted.internet import reactor
        return starting("tracker", lambda: make_service(options, reactor))
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import select
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

from twisted.application.service import MultiService
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from xjrelay.net.context import Batch, Limits
from xjrelay.net.metrics import Part
from xjrelay.security.certificates import CertificateError
from xjrelay.security.private import PrivateFileError
from xjrelay.security.secret import ClusterSecret, SecretError, default_path, load_secret
from xjrelay.security.tokens import SigningKeyError
from xjrelay.servers.jsonlog import json_observer
from xjrelay.storage.interfaces import StoreError

_log = Logger()

Options = Mapping[str, Any]
Made = TypeVar("Made")


class StartupError(SystemExit, Exception):
    """The program can't start; the text is one sentence for the operator.

    An exit, so that no traceback is shown, and an Exception, so that twistd takes its pid file
    away and, as a daemon, tells its parent.

    Attributes:
        told: whether the operator has been told.
    """

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.code = 1
        self.told = False


KNOWN = (CertificateError, PrivateFileError, SecretError, SigningKeyError, StoreError)
"""Errors whose text is one sentence for the operator already."""


def starting(program: str, make: Callable[[], Made], errors: TextIO | None = None) -> Made:
    """Calls ``make``; what keeps it from starting becomes one line and exit status 1.

    Args:
        program: the plugin's name goes before the line.
        make: makes the service.
        errors: where the line goes: the process's own standard error, which twistd replaces by its
            log once that runs.

    Raises:
        StartupError: the line is written already.
    """
    try:
        return make()
    except (StartupError, *KNOWN) as error:
        if isinstance(error, StartupError) and error.told:
            raise
        told = StartupError(" ".join(str(error).split()))
        told.told = True
        _tell(program, told, errors or sys.__stderr__)
        raise told from None


def _tell(program: str, error: StartupError, stream: TextIO | None) -> None:
    # Both, because a daemon's standard error goes nowhere and its log may not be looked at.
    _log.error("{program} can't start: {why}", event="cannot-start", program=program, why=str(error))
    if stream is not None:
        print(f"{plugin_name(program)}: {error}", file=stream, flush=True)


def collect_seldom() -> None:
    """Lets Python's collector of cycles look less often, and never at what the program is made of.

    A relay keeps each message until it is acknowledged: thousands of small objects in no cycle,
    which the collector by default walks again every 700 allocations. That was half of what
    acknowledgement cost. Of the whole process, so for a tap's ``makeService`` alone.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def quick_reactor() -> None:
    """Makes ``net.reactor`` the process's reactor, on Linux, where nobody has chosen another.

    Before the tap asks for the reactor, and in its ``makeService`` alone.
    """
    if hasattr(select, "epoll"):
        from xjrelay.net.reactor import install  # noqa: PLC0415  # there is none elsewhere

        install()


def batch(reactor: Any) -> Batch:
    """What gathers a relay's writes: the reactor's, where it has one for all the reads of a turn."""
    found = getattr(reactor, "batch", None)
    return found if isinstance(found, Batch) else Batch()


def plugin_name(program: str) -> str:
    """What one types after ``twistd``."""
    return "xjrelay" if program == "relay" else f"xj{program}"


class Program(MultiService):
    """One program's services, started so that a failure ends the process with one line.

    Args:
        program: ``tracker``, ``manager``, ``relay`` or ``node``.
        options: of them ``log-format`` counts here.

    Attributes:
        parts: what its operator can look at; a node has several.
        reloads: what SIGHUP calls.
        pages: what else ``--admin`` serves, by the first part of the path.
        applies: given the options in force when SIGHUP has changed some that may be changed.
    """

    def __init__(self, program: str, options: Options) -> None:
        super().__init__()
        self.setName(program)
        self.program = program
        self.parts: list[Part] = []
        self.reloads: list[Callable[[], None]] = []
        self.pages: dict[bytes, Any] = {}
        self.applies: list[Callable[[Options], None]] = []
        self._options = options

    @property
    def options(self) -> Options:
        """What it was told."""
        return self._options

    def setServiceParent(self, parent: Any) -> None:
        """Chooses the log's format, which twistd asks of its application."""
        if self._options["log-format"] == "json" and isinstance(parent, Componentized):
            twistd = getattr(self._options, "parent", None) or {}
            parent.setComponent(ILogObserver, json_observer(twistd, self.program))
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Opens the listening sockets, as root where the process is root."""
        take_files()
        starting(self.program, super().privilegedStartService)

    def startService(self) -> None:
        """Starts everything else."""
        starting(self.program, super().startService)


def data_folder(program: str, options: Options, environ: Mapping[str, str] = os.environ) -> Path:
    """The program's own folder: made, found writable, and locked for this process.

    ``--data-dir``, or ``$XDG_DATA_HOME/xjrelay/<program>``, or under ``~/.local/share``. The lock
    ends with the process. Two programs in one folder would be one component with two lives.

    Raises:
        StartupError: it can't be made or written, or another process has it.
    """
    folder = options["data-dir"] or _default_data_folder(program, environ)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(f"cannot write in the data folder {folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StartupError(
            f"the data folder {folder} is in use by another process; give this one its own --data-dir"
        ) from error
    _locked.append(descriptor)
    return cast(Path, folder)


def database_file(folder: Path, name: str) -> Path:
    """The path of a database in the data folder, which its owner alone can read.

    SQLite would make it as the umask says; the files it puts beside take after it.

    Raises:
        StartupError: it can't be made.
    """
    path = folder / name
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise StartupError(f"cannot write {path}: {error.strerror}") from error
    return path


def cluster_secret(options: Options, environ: Mapping[str, str] = os.environ) -> ClusterSecret:
    """The cluster's secret, from its file, which is made when there is none.

    Raises:
        SecretError: see :func:`xjrelay.security.secret.load_secret`.
    """
    passed = environ.get("CREDENTIALS_DIRECTORY")
    return load_secret(secret_file(options, environ), credentials=Path(passed) if passed else None)


def secret_file(options: Options, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the cluster's secret is.

    Raises:
        SecretError: nothing says where.
    """
    path: Path = options["cluster-secret-file"] or default_path(environ)
    return path


def limits(options: Options) -> Limits:
    """What one link may cost, from the options of the same names."""
    return Limits(**{name: options[name.replace("_", "-")] for name in Limits.__dataclass_fields__})


def take_files() -> None:
    """Lets this process open as many files as it may at all: a connection is one.

    What a process starts with, often 1,024, is kept low for programs that use ``select``, which can't
    watch more. Twisted's reactors on these systems can.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:  # a system whose limit is said to be none, and isn't
        _log.warn("at most {count} files can be open: {why}", count=soft, why=error)


def announce(program: str, host: str, port: int) -> None:
    """The one line that says: this program serves."""
    _log.info("xjrelay ready {program} {host}:{port}", event="ready", program=program, host=host, port=port)


_locked: list[int] = []
"""Descriptors of the locks this process holds, for as long as it lives."""


def _default_data_folder(program: str, environ: Mapping[str, str]) -> Path:
    if base := environ.get("XDG_DATA_HOME"):
        return Path(base) / "xjrelay" / program
    if home := environ.get("HOME"):
        return Path(home) / ".local" / "share" / "xjrelay" / program
    raise StartupError("no place for the data: set HOME, or say --data-dir")

# SPDX-License-Identifier: MIT
"""The audit log as a file: one entry a line, each on the disk before the act it tells of goes on.

Beside it stands the head (``domain.audit``), replaced after each entry; a lock lets the manager and
commands of its host write to the same file. What is written goes on from the head that was kept, not
from the last line that is there, so that a log that was cut stays cut for everybody to see. A crash
between the two leaves one entry more than the head says, which is taken up again; one that was
half written is removed, for nothing was done on its account. This module must not import Twisted's
reactor: it is called in a thread.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, fail

from xjrelay.domain.audit import Head, Verdict, read, seal, verify
from xjrelay.storage.interfaces import StoreBusy, StoreError, StoreFailed

NAME = "audit.log"
MAX_WAITING = 1000
"""Entries that may wait for the disk."""
_TAIL = 1 << 20


class FileAudit:
    """An :class:`~xjrelay.storage.interfaces.AuditLog`.

    Args:
        folder: where the files are.
        in_thread: runs a function off the reactor's thread.
    """

    def __init__(self, folder: Path, in_thread: Callable[..., Deferred[Any]]) -> None:
        self._folder = folder
        self._in_thread = in_thread
        self._lock = DeferredLock()

    def append(self, act: Mapping[str, Any]) -> Deferred[int]:
        """Keep an act."""
        if len(self._lock.waiting) >= MAX_WAITING:
            return fail(StoreBusy("too much waits for the audit log already"))
        return self._lock.run(self._in_thread, append, self._folder, dict(act))


def append(folder: Path, act: Mapping[str, Any]) -> int:
    """Write one entry, to the disk.

    Returns:
        Its number.

    Raises:
        StoreFailed: it is not there.
    """
    try:
        with _locked(folder, fcntl.LOCK_EX):
            line, head = seal(act, _mended(folder))
            with open(folder / NAME, "ab", opener=_private) as log:
                log.write(line)
                log.flush()
                os.fsync(log.fileno())
            _keep(folder, head)
    except (OSError, ValueError) as error:
        raise StoreFailed(f"the audit log in {folder} can't be written: {error}") from error
    return head.number


def check(folder: Path, expected: Head | None = None) -> Verdict:
    """Whether the log is whole; it may be in use.

    Args:
        folder: where it is.
        expected: a head that was noted.

    Raises:
        StoreError: it can't be read.
    """
    try:
        with still(folder), _lines(folder) as lines:
            return verify(lines, _kept(folder), expected)
    except (OSError, ValueError) as error:
        raise StoreError(f"the audit log in {folder} can't be read: {error}") from error


def entries(folder: Path, most: int) -> list[dict[str, Any]]:
    """The last entries that can be read, oldest first.

    Raises:
        StoreError: the log can't be read.
    """
    found: list[dict[str, Any]] = []
    try:
        with still(folder), _lines(folder) as lines:
            for line in lines:
                one = _entry(line)
                if one is not None:
                    found.append(one)
                    del found[:-most]
    except OSError as error:
        raise StoreError(f"the audit log in {folder} can't be read: {error}") from error
    return found


@contextmanager
def still(folder: Path) -> Iterator[None]:
    """Nothing is written meanwhile."""
    with _locked(folder, fcntl.LOCK_SH):
        yield


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def _lines(folder: Path) -> Iterator[Iterator[bytes]]:
    try:
        log = (folder / NAME).open("rb")
    except FileNotFoundError:
        yield iter(())
        return
    with log:
        yield iter(log)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    _give(descriptor, Path(path).parent)
    return descriptor


def _give(descriptor: int, folder: Path) -> None:
    """What root makes in a program's folder is the program's."""
    owner = os.stat(folder)
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _head_file(folder: Path) -> Path:
    return folder / (NAME + ".head")


def _kept(folder: Path) -> Head | None:
    try:
        return Head.parse(_head_file(folder).read_text("ascii"))
    except FileNotFoundError:
        return None


def _keep(folder: Path, head: Head) -> None:
    temporary = _head_file(folder).with_suffix(".new")
    with open(temporary, "w", encoding="ascii", opener=_private) as file:
        file.write(f"{head}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, _head_file(folder))


def _mended(folder: Path) -> Head:
    """The head to go on from, after whatever a crash may have left."""
    kept = _kept(folder)
    last = _last_line(folder)
    found = read(last) if last.endswith(b"\n") else None
    if last and not last.endswith(b"\n"):
        with (folder / NAME).open("r+b") as log:
            log.truncate(log.seek(0, os.SEEK_END) - len(last))
        return _mended(folder)
    if found is None:
        return kept or Head()
    entry, head = found
    if kept is None or (head.number == kept.number + 1 and entry["before"] == kept.hash):
        return head
    return kept


def _last_line(folder: Path) -> bytes:
    try:
        with (folder / NAME).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL))
            tail = log.read()
    except FileNotFoundError:
        return b""
    return tail[tail.rfind(b"\n", 0, len(tail) - 1) + 1 :]

# SPDX-License-Identifier: MIT
"""What outlives the application: messages without an outcome, and the ids it has had (protocol, section 8).

One file of JSON lines that is only appended to, and written anew, smaller, when most of it is past. The
first line says whose it is, then:

    {"send": {the stanza}, "at": 1800000000.0}        a message to be sent, until its outcome
    {"done": "m1"}                                    the outcome came
    {"had": "m7", "of": "fajar", "at": 1800000000.0}  the application has been given fajar's m7

What is appended outlives the process at once, and the machine once :meth:`Journal.sync` has returned. A
line cut short, by a crash or a full disk, is as if it had never been written. Everything blocks; no
framework is imported.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from xjrelay.client.errors import OutboxBroken
from xjrelay.wire import codec

FORMAT = "xjrelay outbox 1"

REWRITE_BYTES = 1024 * 1024
"""A file smaller than this is not worth writing anew. Above, it is when it has doubled since the last
time, so that the cost a line stays the same; 10,000 lines take about 20 ms."""

Had = tuple[str, str, float]
"""A sender's key, an id of its, and when the application was given that message."""


@dataclass(slots=True)
class Contents:
    """What a file held.

    Attributes:
        unsent: stanzas without an outcome and when each was handed to :meth:`Journal.send`, in order.
        had: in order.
    """

    unsent: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict)
    had: list[Had] = field(default_factory=list)


class Journal:
    """One user's file, held alone by this process while it is open.

    Args:
        path: where; made when it isn't there.
        user: the key of the user it is for.
        had: what to keep of the ids when the file is written anew.
        rewrite_bytes: see :data:`REWRITE_BYTES`.

    Raises:
        OutboxBroken: it can't be opened or read, is another's, or is in use.
    """

    def __init__(
        self,
        path: str,
        user: str,
        had: Callable[[], Iterable[Had]] = list,
        rewrite_bytes: int = REWRITE_BYTES,
    ) -> None:
        self._path = path
        self._user = user
        self._had = had
        self._rewrite_bytes = rewrite_bytes
        self._unsent: dict[str, bytes] = {}
        self._broken: str | None = None
        self._size = 0
        self._fd = self._open()
        try:
            self.contents = self._read()
        except BaseException:
            os.close(self._fd)
            raise
        self._fresh_size = self._size

    @property
    def outgrown(self) -> bool:
        """Whether :meth:`rewrite` is due."""
        return self._size > max(self._rewrite_bytes, 2 * self._fresh_size)

    # -- appending ---------------------------------------------------------------------------

    def send(self, value: dict[str, Any], at: float) -> None:
        """A message is to be sent.

        Raises:
            OutboxBroken: it can't be kept; the file is as it was.
        """
        line = _line({"send": value, "at": at})
        self._append(line)
        self._unsent[value["id"]] = line

    def done(self, message_id: str) -> None:
        """A message has its outcome.

        Raises:
            OutboxBroken: as for :meth:`send`.
        """
        if self._unsent.pop(message_id, None) is not None:
            self._append(_line({"done": message_id}))

    def had(self, sender: str, message_id: str, at: float) -> None:
        """The application has been given a message.

        Raises:
            OutboxBroken: as for :meth:`send`.
        """
        self._append(_had_line((sender, message_id, at)))

    def sync(self) -> None:
        """Whatever was appended before is on the disk when this returns. May run in another thread.

        Raises:
            OutboxBroken: it may not be. Nothing can be appended from then on, because what the disk
                has is no longer known.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._broken = f"can't keep {self._path} on disk: {_why(error)}"
            raise OutboxBroken(self._broken) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, line: bytes) -> None:
        if self._broken is not None:
            raise OutboxBroken(self._broken)
        if self._fd < 0:
            return  # closed: what is told now, the next one to open it finds out again
        try:
            written = os.write(self._fd, line)
            why = "" if written == len(line) else "no space left"
        except OSError as error:
            why = _why(error)
        if why:
            self._cut(self._size)
            raise OutboxBroken(f"can't write {self._path}: {why}")
        self._size += len(line)

    def _cut(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
        except OSError as error:
            self._broken = f"can't mend {self._path}: {_why(error)}"
            raise OutboxBroken(self._broken) from error

    # -- written anew ------------------------------------------------------------------------

    def rewrite(self) -> None:
        """Write what still counts to a new file, and put it in the old one's place.

        Raises:
            OutboxBroken: it didn't work, and the old one is still there.
        """
        new = f"{self._path}.new"
        try:
            fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
            try:
                size = self._fill(fd)
                os.rename(new, self._path)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            with suppress(OSError):
                os.unlink(new)
            self._fresh_size = self._size  # try again when it has doubled
            raise OutboxBroken(f"can't write {new}: {_why(error)}") from error
        os.close(self._fd)
        self._fd, self._size, self._fresh_size = fd, size, size
        self._sync_folder()

    def _fill(self, fd: int) -> int:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        data = b"".join([self._header(), *map(_had_line, self._had()), *self._unsent.values()])
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
        return len(data)

    def _sync_folder(self) -> None:
        """So that the name outlives the machine too; a folder that can't be synced can't be helped."""
        with suppress(OSError):
            fd = os.open(os.path.dirname(os.path.abspath(self._path)), os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _header(self) -> bytes:
        return _line({"format": FORMAT, "user": self._user})

    # -- reading -----------------------------------------------------------------------------

    def _open(self) -> int:
        """The file, locked. One that was replaced while we waited for its lock isn't the file any more."""
        while True:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError as error:
                raise OutboxBroken(f"can't open {self._path}: {_why(error)}") from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(self._path)):
                    return fd
            except BlockingIOError:
                os.close(fd)
                raise OutboxBroken(f"{self._path} is in use by another client") from None
            except OSError as error:
                os.close(fd)
                raise OutboxBroken(f"can't open {self._path}: {_why(error)}") from error
            os.close(fd)

    def _read(self) -> Contents:
        contents = Contents()
        try:
            with os.fdopen(os.dup(self._fd), "rb") as file:
                for number, (line, value) in enumerate(_records(file, self._path), 1):
                    self._take(contents, number, line, value)
                    self._size += len(line)
        except OSError as error:
            raise OutboxBroken(f"can't read {self._path}: {_why(error)}") from error
        self._cut(self._size)
        if not self._size:
            self._append(self._header())
            self._sync_folder()
        return contents

    def _take(self, contents: Contents, number: int, line: bytes, value: dict[str, Any]) -> None:
        if number == 1:
            if value.get("format") != FORMAT:
                raise OutboxBroken(f"{self._path} is no outbox of this version")
            if value.get("user") != self._user:
                raise OutboxBroken(f"{self._path} is {value.get('user')}'s outbox, not {self._user}'s")
            return
        try:
            if "send" in value:
                message_id = str(value["send"]["id"])
                contents.unsent[message_id] = value["send"], float(value["at"])
                self._unsent[message_id] = line
            elif "done" in value:
                contents.unsent.pop(value["done"], None)
                self._unsent.pop(value["done"], None)
            else:
                contents.had.append((str(value["of"]), str(value["had"]), float(value["at"])))
        except (KeyError, TypeError, ValueError) as error:
            raise OutboxBroken(f"{self._path} is damaged: line {number} makes no sense") from error


def _records(file: Iterable[bytes], path: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The lines that can be read. What can't, and is followed by nothing that can, is what a crash left."""
    damaged = 0
    for number, line in enumerate(file, 1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("cut short")
            value = json.loads(line)  # not as strict as the wire, and a level deeper
            if not isinstance(value, dict):
                raise ValueError("no object")
        except ValueError:
            damaged = damaged or number
            continue
        if damaged:
            raise OutboxBroken(f"{path} is damaged: line {damaged} can't be read")
        yield line, value


def _line(value: dict[str, Any]) -> bytes:
    return codec.encode(value) + b"\n"


def _had_line(had: Had) -> bytes:
    sender, message_id, at = had
    return _line({"had": message_id, "of": sender, "at": at})


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()

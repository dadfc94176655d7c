# SPDX-License-Identifier: MIT
"""A data folder as one file, and back: what ``xj backup`` writes and ``xj restore`` reads.

The file is a tar whose first member, ``manifest.json``, names every other with its SHA-256, mode and
owner, and what each database was found to hold. Databases go in through SQLite's own backup, so
programs may run meanwhile; the other files of a data folder are small and replaced whole. Locks, WAL
files and the copies kept at upgrades stay behind. Knows nothing of screens.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import pwd
import re
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from xjrelay import __version__
from xjrelay.storage import audit
from xjrelay.storage.backup import Examined, copy_database, examine, rehearse

MANIFEST = "manifest.json"
VERSION = 1
"""Of the form; a reader refuses a higher one."""
DATABASE = ".sqlite3"
LOCK = "lock"
_LEFT_OUT = re.compile(r"lock|.*\.sqlite3(-wal|-shm|-journal|\.v\d+)")


class ArchiveError(Exception):
    """A backup can't be made, or is no good, or can't be put back; one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a backup.

    Args:
        sha256: of its content, in hexadecimal.
        mode: its permissions.
        owner: the user it belonged to.
        database: what it holds, where it is one.
    """

    sha256: str
    mode: int
    owner: str
    database: Examined | None = None


@dataclass(slots=True)
class Manifest:
    """What a backup says of itself; names are paths below the data folder.

    Args:
        made_at: seconds since the epoch.
        made_by: program and version.
        files: every file.
        folders: mode and owner of every folder, the data folder itself as ``.``.
    """

    made_at: int
    made_by: str = f"xjrelay {__version__}"
    version: int = VERSION
    files: dict[str, Entry] = field(default_factory=dict)
    folders: dict[str, tuple[int, str]] = field(default_factory=dict)


def write(folder: Path, target: Path, now: float) -> Manifest:
    """Back a data folder up, into a file that appears whole or not at all, for its owner alone.

    Args:
        folder: of one program, or of several, each in a folder below.
        target: the file.
        now: seconds since the epoch.

    Raises:
        ArchiveError: there is nothing to back up, or it can't be read or written.
        SchemaError: a database is no good.
    """
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".xjrelay-") as scratch:
            manifest = _collect(folder, Path(scratch) / "files", int(now))
            made = Path(scratch) / "made"
            _pack(manifest, Path(scratch) / "files", made)
            os.replace(made, target)
    except OSError as error:
        raise ArchiveError(f"cannot back {folder} up to {target}: {error}") from error
    return manifest


@contextmanager
def unpacked(source: Path, beside: Path | None = None) -> Iterator[tuple[Path, Manifest]]:
    """A backup's content, in a folder that is gone afterwards, proved good.

    Every file is the one that was backed up, every database is whole, and this version would
    start on it.

    Args:
        source: the backup.
        beside: where the folder is made; by default wherever the system keeps such.

    Raises:
        ArchiveError: it is no backup, or not as it was made.
        SchemaError: a database is damaged, or this version would not start on it.
    """
    try:
        with tempfile.TemporaryDirectory(dir=beside, prefix=".xjrelay-") as scratch:
            content = Path(scratch) / "content"
            manifest = _unpack(source, content)
            for name, entry in manifest.files.items():
                if entry.database is not None:
                    _prove(content / name, entry.database)
            yield content, manifest
    except (OSError, tarfile.TarError) as error:
        raise ArchiveError(f"cannot restore from {source}: {error}") from error


def put_back(content: Path, manifest: Manifest, folder: Path) -> Path | None:
    """Put an unpacked backup in a data folder's place; what was there is kept beside it.

    Args:
        content: as :func:`unpacked` gives it, on the same file system.
        manifest: likewise.
        folder: the data folder, of programs that are stopped.

    Returns:
        Where the former folder is now; None when there was none.

    Raises:
        ArchiveError: a program is running in the folder.
    """
    with locked(folder):
        _own(content, manifest)
        former = None
        if folder.exists():
            former = _free(folder.with_name(f"{folder.name}.before-restore"))
            os.replace(folder, former)
        os.replace(content, folder)
    return former


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the locks that the programs of a data folder would hold.

    Raises:
        ArchiveError: one of them runs.
    """
    with ExitStack() as stack:
        for path in sorted(folder.rglob(LOCK)):
            lock = stack.enter_context(path.open("rb"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ArchiveError(f"a program is running in {path.parent}; stop it first") from error
        yield


def thin_out(folder: Path, pattern: str, keep: int) -> list[Path]:
    """Remove all but the newest backups of a folder; their names sort by time.

    Returns:
        Those that were removed.
    """
    older = sorted(folder.glob(pattern))[:-keep]
    for path in older:
        path.unlink()
    return older


def _collect(folder: Path, copies: Path, now: int) -> Manifest:
    manifest = Manifest(now)
    for here, below, names in os.walk(folder, onerror=_raise):
        relative = Path(here).relative_to(folder)
        (copies / relative).mkdir(parents=True)
        manifest.folders[relative.as_posix()] = _mode_and_owner(Path(here))
        below.sort()
        regular = [
            name
            for name in sorted(names)
            if not _LEFT_OUT.fullmatch(name) and stat.S_ISREG(Path(here, name).lstat().st_mode)
        ]
        with audit.still(Path(here)) if audit.NAME in regular else nullcontext():
            logged = [name for name in regular if name.startswith(audit.NAME)]
            entries = {name: _copy(Path(here, name), copies / relative / name) for name in logged}
        for name in regular:
            entry = entries.get(name) or _copy(Path(here, name), copies / relative / name)
            manifest.files[(relative / name).as_posix()] = entry
    if not manifest.files:
        raise ArchiveError(f"there is nothing to back up in {folder}; say --data-dir")
    return manifest


def _raise(error: OSError) -> None:
    raise error


def _copy(path: Path, copy: Path) -> Entry:
    database = None
    if path.name.endswith(DATABASE):
        database = copy_database(path, copy)
    else:
        shutil.copyfile(path, copy)
    return Entry(_sha256(copy), *_mode_and_owner(path), database)


def _mode_and_owner(path: Path) -> tuple[int, str]:
    status = path.stat()
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return stat.S_IMODE(status.st_mode), owner


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(manifest: Manifest, files: Path, made: Path) -> None:
    said = json.dumps(asdict(manifest), indent=1).encode()
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            head = tarfile.TarInfo(MANIFEST)
            head.size, head.mtime, head.mode = len(said), manifest.made_at, 0o600
            tar.addfile(head, io.BytesIO(said))
            for name in manifest.files:
                tar.add(files / name, name, recursive=False)
        file.flush()
        os.fsync(file.fileno())


def _unpack(source: Path, content: Path) -> Manifest:
    with tarfile.open(source, "r:") as tar:
        manifest = _read_manifest(source, tar)
        for name in sorted(manifest.folders):
            _inside(content, name).mkdir(mode=0o700, parents=True, exist_ok=True)
        members = {member.name: member for member in tar.getmembers() if member.name != MANIFEST}
        if members.keys() != manifest.files.keys():
            raise ArchiveError(f"{source} does not hold the files that its manifest names")
        for name, entry in manifest.files.items():
            stream = tar.extractfile(members[name])
            path = _inside(content, name)
            if stream is None:
                raise ArchiveError(f"{source}: {name} is not a file")
            with path.open("xb") as file:
                shutil.copyfileobj(stream, file)
            if _sha256(path) != entry.sha256:
                raise ArchiveError(f"{source}: {name} is not as it was backed up")
    return manifest


def _read_manifest(source: Path, tar: tarfile.TarFile) -> Manifest:
    try:
        first = tar.next()
        stream = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
        if stream is None:
            raise ArchiveError(f"{source} is not a backup of this suite")
        value: dict[str, Any] = json.loads(stream.read())
        if value["version"] > VERSION:
            raise ArchiveError(f"{source} was made by a newer version, {value['made_by']}")
        value["files"] = {name: _entry(said) for name, said in value["files"].items()}
        return Manifest(**value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(f"{source}: its manifest can't be read: {error!r}") from error


def _entry(said: dict[str, Any]) -> Entry:
    database = said.pop("database")
    return Entry(**said, database=None if database is None else Examined(**database))


def _inside(content: Path, name: str) -> Path:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise ArchiveError(f"the backup names a place outside of it: {name}")
    return content / pure


def _prove(path: Path, expected: Examined) -> None:
    if examine(path) != expected:
        raise ArchiveError(f"{path.name} does not hold what it held when it was backed up")
    rehearse(path, expected.program)


def _own(content: Path, manifest: Manifest) -> None:
    """Modes as they were, and owners where this process may give files away."""
    for name, (mode, owner) in manifest.folders.items():
        _give(content / name, mode, owner)
    for name, entry in manifest.files.items():
        _give(content / name, entry.mode, entry.owner)


def _give(path: Path, mode: int, owner: str) -> None:
    path.chmod(mode)
    if os.geteuid() == 0:
        with suppress(LookupError):  # a user that this machine doesn't have: root keeps it
            shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)


def _free(path: Path) -> Path:
    number = 1
    found = path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found

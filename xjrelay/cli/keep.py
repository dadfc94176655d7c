# SPDX-License-Identifier: MIT
"""``xj backup``, ``restore``, ``export`` and ``import``: what an operator does with the data.

They work on data folders of this machine and ask no server, so none of them needs a tracker or a user.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import msgspec

from xjrelay import __version__
from xjrelay.cli import archive
from xjrelay.cli.archive import Manifest
from xjrelay.cli.options import Call, Command, UsageError
from xjrelay.storage import transfer

MANAGER = "manager.sqlite3"
PATTERN = "xjrelay-*.tar"
"""Names of backups; the stamp in them sorts by time."""

Add = Callable[[str, Command, str], argparse.ArgumentParser]


def add_commands(add: Add) -> None:
    """The four commands, for the parser."""
    backup_ = add("backup", backup, "copy a data folder to one file, while its programs run")
    backup_.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="default: this folder")
    backup_.add_argument("--keep", type=_count, metavar="N", help="remove all but the newest N there")
    restore_ = add("restore", restore, "put a backup back, once it is proved good")
    restore_.add_argument("--check", action="store_true", help="only prove it good; nothing is replaced")
    restore_.add_argument("file", type=Path, help="a backup")
    export_ = add("export", export, "accounts, rosters and mailboxes as JSON Lines")
    export_.add_argument("file", type=Path, nargs="?", help="default: standard output")
    import_ = add("import", import_accounts, "put an export into a manager that is stopped")
    import_.add_argument("file", type=Path, help="an export")
    for one in (backup_, restore_, export_, import_):
        one.add_argument(
            "--data-dir",
            type=Path,
            metavar="DIR",
            help="default: $XDG_DATA_HOME/xjrelay, all programs of this user",
        )


async def backup(call: Call) -> int:
    """Write a backup, and thin the folder out."""
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    target = Path(call.args.to) / f"xjrelay-{stamp}.tar"
    manifest = archive.write(data_dir(call), target, now)
    call.screen.show(f"{target}: {_in_words(manifest)}", file=str(target), **asdict(manifest))
    if call.args.keep is not None:
        for path in archive.thin_out(target.parent, PATTERN, call.args.keep):
            call.screen.note(f"{path}: removed, {call.args.keep} are newer")
    return 0


async def restore(call: Call) -> int:
    """Prove a backup good; then, unless only that was asked, put it in the data folder's place."""
    source: Path = call.args.file
    folder = None if call.args.check else data_dir(call)
    if folder is not None:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with archive.unpacked(source, None if folder is None else folder.parent) as (content, manifest):
        good = _in_words(manifest)
        former = None if folder is None else archive.put_back(content, manifest, folder)
    words = f"{source} is good: {good}" if folder is None else f"{folder}: {good}"
    call.screen.show(words, file=str(source), folder=folder and str(folder), **asdict(manifest))
    if former is not None:
        call.screen.note(f"What was there before is in {former}; remove it when all is well.")
    return 0


async def export(call: Call) -> int:
    """Write every record."""
    records = transfer.export(manager_database(call), f"xjrelay {__version__}", int(time.time() * 1000))
    with _output(call.args.file) as stream:
        for record in records:
            stream.write(transfer.encode(record) + b"\n")
    return 0


async def import_accounts(call: Call) -> int:
    """Read every record into a stopped manager's database."""
    database = manager_database(call)
    with archive.locked(database.parent), _opened(call.args.file) as lines:
        counted = transfer.load(database, transfer.parse(lines))
    words = f"{counted.accounts} accounts, {counted.contacts} contacts, {counted.letters} waiting messages"
    if counted.bans:
        words += f", {counted.bans} bans"
    call.screen.show(f"Imported {words}.", **msgspec.structs.asdict(counted))
    return 0


def data_dir(call: Call) -> Path:
    """``--data-dir``, or where programs of this user keep theirs.

    Raises:
        UsageError: nothing says where.
    """
    said: Path | None = call.args.data_dir
    if said is not None:
        return said.absolute()
    if base := call.environ.get("XDG_DATA_HOME"):
        return Path(base) / "xjrelay"
    if home := call.environ.get("HOME"):
        return Path(home) / ".local" / "share" / "xjrelay"
    raise UsageError("where is the data? Say --data-dir")


def manager_database(call: Call) -> Path:
    """The one database of a manager in the data folder, or below it.

    Raises:
        UsageError: there is none, or several.
    """
    folder = data_dir(call)
    found = sorted(folder.rglob(MANAGER))
    if not found:
        raise UsageError(f"no manager has its data in {folder}; say --data-dir, or start one once")
    if len(found) > 1:
        raise UsageError(f"several managers have data in {folder}; say --data-dir {found[0].parent}")
    return found[0]


@contextmanager
def _output(path: Path | None) -> Iterator[BinaryIO]:
    """A new file for its owner alone, or standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"cannot make {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as stream:
        yield stream


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    with stream:
        yield stream


def _in_words(manifest: Manifest) -> str:
    """What a backup holds, for a person."""
    parts = []
    for name, entry in manifest.files.items():
        if entry.database is not None:
            rows = ", ".join(f"{count} {table}" for table, count in entry.database.rows.items())
            parts.append(f"{name} ({rows})")
    others = len(manifest.files) - len(parts)
    return "; ".join([*parts, f"{others} other file{'' if others == 1 else 's'}"])


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**6):
        raise argparse.ArgumentTypeError("a number above 0")
    return int(text)

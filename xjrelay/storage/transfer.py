# SPDX-License-Identifier: MIT
"""Accounts, rosters and mailboxes as JSON Lines, out of a manager's database and into another.

A record a line (``docs/backup.md`` has the form): first a :class:`Head`, then every account, every
row of a roster, every letter and every ban, last an :class:`End` that counts them, so that half a file is
known as half a file. An import happens whole or not at all. The names of relays, invitations and
keys are not in it: they belong to the one installation. Synchronous, as
:mod:`xjrelay.storage.backup`. This module must not import Twisted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from xjrelay.storage.interfaces import StoreError
from xjrelay.storage.migrate import prepare
from xjrelay.wire import codec
from xjrelay.wire.address import key, resource, username
from xjrelay.wire.errors import RemoteError

VERSION = 2
"""Of the form; a reader refuses a higher one."""

_LOCK_TIMEOUT = 5.0  # seconds to wait for another process that writes

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class TransferError(StoreError):
    """An export that can't be read, or an import that can't be done; one sentence for the operator."""


class _Record(msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    """One line."""


class Head(_Record, tag="xjrelay export"):
    """``made_at`` in milliseconds; ``last_session`` the highest number of any account ever removed."""

    version: Count
    made_by: str
    made_at: Count
    last_session: Count = 0


class Account(_Record, tag="account"):
    """An account; the three keys in base64 (RFC 5802, 3), times in milliseconds."""

    username: str
    salt: bytes
    iterations: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    stored_key: bytes
    server_key: bytes
    bio: str
    updated_at: Count
    last_session: Count
    revoked: Count


class Ban(_Record, tag="ban"):
    """``username`` may not log in, for ``reason``; until it is lifted where ``until`` is null."""

    username: str
    reason: str
    since: Count
    until: Count | None = None


class Contact(_Record, tag="contact"):
    """``owner`` has ``contact`` in its roster, under ``name``."""

    owner: str
    contact: str
    subscription: Literal["to", "from", "both"]
    name: str


class Letter(_Record, tag="letter"):
    """A message that waits; ``frame`` as it came, ``stored_at`` in milliseconds."""

    recipient: str
    resource: str
    sender: str
    id: str
    stored_at: Count
    frame: str


class End(_Record, tag="end"):
    """The last line: how many of each there were."""

    accounts: Count = 0
    contacts: Count = 0
    letters: Count = 0
    bans: Count = 0


Record = Head | Account | Ban | Contact | Letter | End

_decode = msgspec.json.Decoder(Record).decode
encode = msgspec.json.Encoder().encode
"""A record as a line, without its end."""


def export(path: Path, made_by: str, now: int) -> Iterator[Record]:
    """Every record of a manager's database, as it is at one moment; it may be in use.

    Args:
        path: the file, of this version's schema.
        made_by: program and version, for whoever reads the file.
        now: milliseconds since the epoch.

    Raises:
        TransferError: the file can't be read.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")  # one moment for all the queries
            yield from _export(connection, made_by, now)
    except sqlite3.Error as error:
        raise TransferError(f"the database {path} can't be exported: {error}") from error


def parse(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of an export, in order, ended by its last.

    Raises:
        TransferError: a line is none, the first or the last is missing, or something follows it.
    """
    ended = False
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            record = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise TransferError(f"line {number}: {error}") from error
        if isinstance(record, Head) is not (number == 1) or ended:
            raise TransferError(f"line {number}: a {record.__struct_config__.tag} has no place there")
        if isinstance(record, Head) and record.version > VERSION:
            raise TransferError(f"the export is of version {record.version}; this program knows {VERSION}")
        ended = isinstance(record, End)
        yield record
    if not ended:
        raise TransferError(f"the export is cut off after line {number}")


def load(path: Path, records: Iterable[Record]) -> End:
    """Put an export into a manager's database that has none of its accounts.

    Args:
        path: the file, of a manager that is stopped; it is made, or upgraded, where that is needed.
        records: as :func:`parse` gives them.

    Returns:
        How many of each there were.

    Raises:
        TransferError: and nothing was changed.
        SchemaError: the database can't be used.
    """
    prepare(path, "manager")
    try:
        with closing(sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            counted = _load(connection, records)
            connection.execute("COMMIT")
            return counted
    except sqlite3.Error as error:
        raise TransferError(f"the database {path} can't be written: {error}") from error


def _export(connection: sqlite3.Connection, made_by: str, now: int) -> Iterator[Record]:
    ask = connection.execute
    (last,) = ask("SELECT last_session FROM removed").fetchone()
    yield Head(version=VERSION, made_by=made_by, made_at=now, last_session=last)
    counted = End()
    for row in ask(
        "SELECT username, salt, iterations, stored_key, server_key, bio, updated_at, last_session, revoked"
        " FROM accounts ORDER BY key"
    ):
        counted.accounts += 1
        yield Account(**dict(zip(Account.__struct_fields__, row, strict=True)))
    for row in ask("SELECT owner, contact, subscription, name FROM roster ORDER BY owner, contact"):
        counted.contacts += 1
        yield Contact(**dict(zip(Contact.__struct_fields__, row, strict=True)))
    for row in ask("SELECT recipient, resource, sender, id, stored_at, frame FROM mailbox ORDER BY row"):
        counted.letters += 1
        yield Letter(**dict(zip(Letter.__struct_fields__, (*row[:5], row[5].decode()), strict=True)))
    for row in ask("SELECT username, reason, since, until FROM bans JOIN accounts USING (key) ORDER BY key"):
        counted.bans += 1
        yield Ban(**dict(zip(Ban.__struct_fields__, row, strict=True)))
    yield counted


def _load(connection: sqlite3.Connection, records: Iterable[Record]) -> End:
    found = End()
    for record in records:
        try:
            _put(connection, record, found)
        except sqlite3.IntegrityError as error:
            raise TransferError(_clash(record)) from error
        except RemoteError as error:
            raise TransferError(f"{_named(record)}: {error.msg}") from error
    lonely = connection.execute(_LONELY).fetchone()
    if lonely is not None:
        raise TransferError(f"the roster of {lonely[0]} has {lonely[1]}, which does not have it in turn")
    return found


def _put(connection: sqlite3.Connection, record: Record, found: End) -> None:
    if isinstance(record, Head):
        connection.execute("UPDATE removed SET last_session = max(last_session, ?)", (record.last_session,))
    elif isinstance(record, Account):
        found.accounts += 1
        name = username(record.username)
        values = (key(name), name, *msgspec.structs.astuple(record)[1:])
        connection.execute(
            "INSERT INTO accounts (key, username, salt, iterations, stored_key, server_key, bio, updated_at,"
            " last_session, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
    elif isinstance(record, Ban):
        found.bans += 1
        values = (key(record.username), *msgspec.structs.astuple(record)[1:])
        connection.execute("INSERT INTO bans (key, reason, since, until) VALUES (?, ?, ?, ?)", values)
    elif isinstance(record, Contact):
        found.contacts += 1
        connection.execute("INSERT INTO roster VALUES (?, ?, ?, ?)", msgspec.structs.astuple(record))
    elif isinstance(record, Letter):
        found.letters += 1
        codec.decode(record.frame.encode())
        resource(record.resource)
        connection.execute(
            "INSERT INTO mailbox (recipient, resource, sender, id, stored_at, frame)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (*msgspec.structs.astuple(record)[:5], record.frame.encode()),
        )
    elif record != found:
        raise TransferError("the export does not hold what its last line counts")


_LONELY = (
    "SELECT one.owner, one.contact FROM roster one LEFT JOIN roster other"
    " ON other.owner = one.contact AND other.contact = one.owner WHERE other.subscription IS NOT"
    " CASE one.subscription WHEN 'to' THEN 'from' WHEN 'from' THEN 'to' ELSE 'both' END LIMIT 1"
)
"""A row whose mirror is missing or says something else: rosters come in pairs."""


def _named(record: Record) -> str:
    if isinstance(record, Account):
        return f"account {record.username!r}"
    if isinstance(record, Ban):
        return f"ban of {record.username!r}"
    if isinstance(record, Contact):
        return f"contact {record.contact!r} of {record.owner!r}"
    assert isinstance(record, Letter)
    return f"letter {record.id!r} from {record.sender!r} to {record.recipient!r}"


def _clash(record: Record) -> str:
    if isinstance(record, Account):
        return f"{_named(record)}: there is one of that name already"
    return f"{_named(record)}: it is there twice, or an account it names is not there"

# SPDX-License-Identifier: MIT
"""The manager's accounts in SQLite; see :class:`xjrelay.storage.interfaces.AccountStore`.

This module must not judge names or passwords: what reaches it has been judged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from twisted.internet.defer import Deferred

from xjrelay.domain.accounts import Ban, Invitation
from xjrelay.storage.interfaces import (
    Account,
    AccountExists,
    Credentials,
    InvitationSpent,
    Profile,
    Session,
    UnknownAccount,
)
from xjrelay.storage.pool import Cursor, Database


class SqliteAccounts:
    """An :class:`~xjrelay.storage.interfaces.AccountStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, account: Account, invitation: Invitation | None = None) -> Deferred[None]:
        """Keep a new account, and use an invitation for it."""
        profile, credentials = account.profile, account.credentials
        values = (
            profile.key,
            profile.username,
            credentials.salt,
            credentials.iterations,
            credentials.stored_key,
            credentials.server_key,
            profile.bio,
            profile.updated_at,
        )

        def create(cursor: Cursor) -> None:
            if invitation is not None:
                _use(cursor, invitation, profile.updated_at)
            try:
                cursor.execute(
                    "INSERT INTO accounts"
                    " (key, username, salt, iterations, stored_key, server_key, bio, updated_at,"
                    " last_session, revoked)"
                    " SELECT ?, ?, ?, ?, ?, ?, ?, ?, last_session, last_session FROM removed",
                    values,
                )
            except sqlite3.IntegrityError as error:
                raise AccountExists(f"there is an account {profile.key!r} already") from error

        return self._database.write(create)

    def get(self, key: str) -> Deferred[Account | None]:
        """The account, or None."""

        def get(cursor: Cursor) -> Account | None:
            cursor.execute(
                "SELECT accounts.key, username, bio, updated_at, salt, iterations, stored_key, server_key,"
                " reason, since, until"
                " FROM accounts LEFT JOIN bans ON bans.key = accounts.key WHERE accounts.key = ?",
                (key,),
            )
            row = cursor.fetchone()
            if row is None:
                return None
            ban = None if row[8] is None else Ban(*row[8:])
            return Account(Profile(*row[:4]), Credentials(*row[4:8]), ban)

        return self._database.read(get)

    def set_bio(self, key: str, bio: str, now: int) -> Deferred[None]:
        """Change the bio."""
        return self._update(key, "UPDATE accounts SET bio = ?, updated_at = ? WHERE key = ?", (bio, now, key))

    def next_session(self, key: str) -> Deferred[int]:
        """Raise and keep the session counter."""

        def next_session(cursor: Cursor) -> int:
            cursor.execute("UPDATE accounts SET last_session = last_session + 1 WHERE key = ?", (key,))
            return _last_session(cursor, key)

        return self._database.write(next_session)

    def replace_credentials(self, key: str, credentials: Credentials) -> Deferred[int]:
        """Change the password, and end every session for good."""
        one = credentials

        def replace_credentials(cursor: Cursor) -> int:
            last = _last_session(cursor, key)
            cursor.execute(
                "UPDATE accounts SET salt = ?, iterations = ?, stored_key = ?, server_key = ?,"
                " revoked = ? WHERE key = ?",
                (one.salt, one.iterations, one.stored_key, one.server_key, last, key),
            )
            return last

        return self._database.write(replace_credentials)

    def remove(self, key: str) -> Deferred[int]:
        """Remove the account; its roster rows, on both sides, go with it."""

        def remove(cursor: Cursor) -> int:
            last = _last_session(cursor, key)
            cursor.execute("DELETE FROM accounts WHERE key = ?", (key,))
            cursor.execute("UPDATE removed SET last_session = max(last_session, ?)", (last,))
            return last

        return self._database.write(remove)

    def end_sessions(self, key: str) -> Deferred[int]:
        """End every session for good."""
        return self._database.write(lambda cursor: _end_sessions(cursor, key))

    def ban(self, key: str, ban: Ban) -> Deferred[int]:
        """Keep a ban, and end every session for good."""

        def keep(cursor: Cursor) -> int:
            last = _end_sessions(cursor, key)
            cursor.execute(
                "INSERT INTO bans (key, reason, since, until) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"
                " SET reason = excluded.reason, since = excluded.since, until = excluded.until",
                (key, ban.reason, ban.since, ban.until),
            )
            return last

        return self._database.write(keep)

    def lift(self, key: str) -> Deferred[bool]:
        """Remove a ban."""

        def lift(cursor: Cursor) -> bool:
            cursor.execute("DELETE FROM bans WHERE key = ?", (key,))
            return bool(cursor.rowcount)

        return self._database.write(lift)

    def bans(self, now: int, after: str, most: int) -> Deferred[list[tuple[str, Ban]]]:
        """Bans that hold."""

        def bans(cursor: Cursor) -> list[tuple[str, Ban]]:
            cursor.execute("DELETE FROM bans WHERE until <= ?", (now,))
            cursor.execute(
                "SELECT username, reason, since, until FROM bans JOIN accounts USING (key)"
                " WHERE key > ? ORDER BY key LIMIT ?",
                (after, most),
            )
            return [(row[0], Ban(*row[1:])) for row in cursor.fetchall()]

        return self._database.write(bans)

    def ended(self, sessions: Collection[Session]) -> Deferred[list[Session]]:
        """Those of some sessions that were ended for good."""

        def ended(cursor: Cursor) -> list[Session]:
            return [session for session in sessions if _is_ended(cursor, *session)]

        return self._database.read(ended)

    def _update(self, key: str, sql: str, values: tuple[object, ...]) -> Deferred[None]:
        def update(cursor: Cursor) -> None:
            cursor.execute(sql, values)
            if cursor.rowcount == 0:
                raise _unknown(key)

        return self._database.write(update)


def _last_session(cursor: Cursor, key: str) -> int:
    cursor.execute("SELECT last_session FROM accounts WHERE key = ?", (key,))
    row = cursor.fetchone()
    if row is None:
        raise _unknown(key)
    return int(row[0])


def _end_sessions(cursor: Cursor, key: str) -> int:
    last = _last_session(cursor, key)
    cursor.execute("UPDATE accounts SET revoked = ? WHERE key = ?", (last, key))
    return last


def _is_ended(cursor: Cursor, key: str, number: int) -> bool:
    cursor.execute("SELECT revoked FROM accounts WHERE key = ?", (key,))
    row = cursor.fetchone()
    return row is None or number <= int(row[0])


def _use(cursor: Cursor, invitation: Invitation, now: int) -> None:
    cursor.execute("DELETE FROM invitations WHERE expires_at < ?", (now,))
    cursor.execute(
        "INSERT INTO invitations (id, used, expires_at) VALUES (?, 1, ?)"
        " ON CONFLICT (id) DO UPDATE SET used = used + 1",
        (invitation.id, invitation.expires_at),
    )
    cursor.execute("SELECT used FROM invitations WHERE id = ?", (invitation.id,))
    row = cursor.fetchone()
    if row is None or int(row[0]) > invitation.most:
        raise InvitationSpent("the invitation has been used as often as it may")


def _unknown(key: str) -> UnknownAccount:
    return UnknownAccount(f"there is no account {key!r}")

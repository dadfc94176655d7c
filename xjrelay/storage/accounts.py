# SPDX-License-Identifier: MIT
"""The manager's accounts in SQLite; see :class:`xjrelay.storage.interfaces.AccountStore`.

This module must not judge names or passwords: what reaches it has been judged.
"""

from __future__ import annotations

import sqlite3

from twisted.internet.defer import Deferred

from xjrelay.storage.interfaces import Account, AccountExists, Credentials, Profile, UnknownAccount
from xjrelay.storage.pool import Cursor, Database


class SqliteAccounts:
    """An :class:`~xjrelay.storage.interfaces.AccountStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, account: Account) -> Deferred[None]:
        """Keep a new account."""
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
            try:
                cursor.execute(
                    "INSERT INTO accounts"
                    " (key, username, salt, iterations, stored_key, server_key, bio, updated_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
            except sqlite3.IntegrityError as error:
                raise AccountExists(f"there is an account {profile.key!r} already") from error

        return self._database.write(create)

    def get(self, key: str) -> Deferred[Account | None]:
        """The account, or None."""

        def get(cursor: Cursor) -> Account | None:
            cursor.execute(
                "SELECT key, username, bio, updated_at, salt, iterations, stored_key, server_key"
                " FROM accounts WHERE key = ?",
                (key,),
            )
            row = cursor.fetchone()
            return None if row is None else Account(Profile(*row[:4]), Credentials(*row[4:]))

        return self._database.read(get)

    def set_bio(self, key: str, bio: str, now: int) -> Deferred[None]:
        """Change the bio."""
        return self._update(key, "UPDATE accounts SET bio = ?, updated_at = ? WHERE key = ?", (bio, now, key))

    def next_session(self, key: str) -> Deferred[int]:
        """Raise and keep the session counter."""

        def next_session(cursor: Cursor) -> int:
            cursor.execute("UPDATE accounts SET last_session = last_session + 1 WHERE key = ?", (key,))
            cursor.execute("SELECT last_session FROM accounts WHERE key = ?", (key,))
            row = cursor.fetchone()
            if row is None:
                raise _unknown(key)
            return int(row[0])

        return self._database.write(next_session)

    def replace_credentials(self, key: str, credentials: Credentials) -> Deferred[None]:
        """Change the password."""
        return self._update(
            key,
            "UPDATE accounts SET salt = ?, iterations = ?, stored_key = ?, server_key = ? WHERE key = ?",
            (credentials.salt, credentials.iterations, credentials.stored_key, credentials.server_key, key),
        )

    def remove(self, key: str) -> Deferred[None]:
        """Remove the account; its roster rows, on both sides, go with it."""
        return self._update(key, "DELETE FROM accounts WHERE key = ?", (key,))

    def _update(self, key: str, sql: str, values: tuple[object, ...]) -> Deferred[None]:
        def update(cursor: Cursor) -> None:
            cursor.execute(sql, values)
            if cursor.rowcount == 0:
                raise _unknown(key)

        return self._database.write(update)


def _unknown(key: str) -> UnknownAccount:
    return UnknownAccount(f"there is no account {key!r}")

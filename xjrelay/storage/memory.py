# SPDX-License-Identifier: MIT
"""The same stores on dicts: for the sandbox, and for tests of everything above.

Every Deferred has fired when it is returned. The contract tests run against these and against
SQLite alike, so that what passes here holds there. This module must not import SQLite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import Deferred, execute, succeed

from xjrelay.domain.roster import Decision, Pair, Row
from xjrelay.storage.interfaces import (
    Account,
    AccountExists,
    ComponentRow,
    Contact,
    Credentials,
    ManagerStores,
    RelayRow,
    TrackerStores,
    UnknownAccount,
)


class MemoryDirectory:
    """A :class:`~xjrelay.storage.interfaces.DirectoryStore`."""

    def __init__(self) -> None:
        self._rows: dict[str, ComponentRow] = {}

    def reset(self, now: int) -> Deferred[None]:
        """Mark every row as not live."""
        for component_id in self._rows:
            self._left(component_id, now)
        return succeed(None)

    def joined(self, component: ComponentRow) -> Deferred[None]:
        """Write a row over the one it had."""
        self._rows[component.component_id] = component
        return succeed(None)

    def left(self, component_id: str, now: int) -> Deferred[None]:
        """Mark a row as not live."""
        self._left(component_id, now)
        return succeed(None)

    def rows(self) -> Deferred[list[ComponentRow]]:
        """Every row there ever was."""
        return succeed(sorted(self._rows.values(), key=lambda row: (row.joined_at, row.component_id)))

    def _left(self, component_id: str, now: int) -> None:
        row = self._rows.get(component_id)
        if row is not None and row.live:
            self._rows[component_id] = replace(row, live=False, left_at=now)


class MemoryAccounts:
    """An :class:`~xjrelay.storage.interfaces.AccountStore`."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._sessions: dict[str, int] = {}
        self._removed: list[Callable[[str], None]] = []

    def on_remove(self, forget: Callable[[str], None]) -> None:
        """What a foreign key does elsewhere: called with the key of each removed account."""
        self._removed.append(forget)

    def create(self, account: Account) -> Deferred[None]:
        """Keep a new account."""

        def create() -> None:
            key = account.profile.key
            if key in self.accounts:
                raise AccountExists(f"there is an account {key!r} already")
            self.accounts[key] = account

        return execute(create)

    def get(self, key: str) -> Deferred[Account | None]:
        """The account, or None."""
        return succeed(self.accounts.get(key))

    def set_bio(self, key: str, bio: str, now: int) -> Deferred[None]:
        """Change the bio."""

        def set_bio() -> None:
            account = self.require(key)
            self.accounts[key] = replace(
                account, profile=replace(account.profile, bio=bio, updated_at=now)
            )

        return execute(set_bio)

    def next_session(self, key: str) -> Deferred[int]:
        """Raise and keep the session counter."""

        def next_session() -> int:
            self.require(key)
            self._sessions[key] = self._sessions.get(key, 0) + 1
            return self._sessions[key]

        return execute(next_session)

    def replace_credentials(self, key: str, credentials: Credentials) -> Deferred[None]:
        """Change the password."""

        def replace_credentials() -> None:
            self.accounts[key] = replace(self.require(key), credentials=credentials)

        return execute(replace_credentials)

    def remove(self, key: str) -> Deferred[None]:
        """Remove the account; its roster rows, on both sides, go with it."""

        def remove() -> None:
            self.require(key)
            del self.accounts[key]
            self._sessions.pop(key, None)
            for forget in self._removed:
                forget(key)

        return execute(remove)

    def require(self, key: str) -> Account:
        """The account, or :class:`UnknownAccount`."""
        account = self.accounts.get(key)
        if account is None:
            raise UnknownAccount(f"there is no account {key!r}")
        return account


class MemoryRelays:
    """A :class:`~xjrelay.storage.interfaces.RelayStore`."""

    def __init__(self) -> None:
        self._rows: dict[str, RelayRow] = {}

    def name(self, relay_id: str, ip_local: str, port: int, now: int) -> Deferred[RelayRow]:
        """The row of a relay that said hello; insertion order is the order of the numbers."""
        known = self._rows.get(relay_id)
        name = known.name if known is not None else f"relay{len(self._rows) + 1}"
        row = RelayRow(relay_id, name, ip_local, port, now)
        self._rows[relay_id] = row
        return succeed(row)

    def rows(self) -> Deferred[list[RelayRow]]:
        """Every relay ever named."""
        return succeed(list(self._rows.values()))


class MemoryRoster:
    """A :class:`~xjrelay.storage.interfaces.RosterStore`.

    Args:
        accounts: where the contacts' profiles are.
    """

    def __init__(self, accounts: MemoryAccounts) -> None:
        self._accounts = accounts
        self._rows: dict[str, dict[str, Row]] = {}
        accounts.on_remove(self._forget)

    def contacts(self, owner: str) -> Deferred[list[Contact]]:
        """A whole roster."""
        rows = sorted(self._rows.get(owner, {}).items())
        return succeed([Contact(self._accounts.require(key).profile, row) for key, row in rows])

    def listeners(self, owner: str) -> Deferred[list[str]]:
        """Keys of the contacts that hear the owner's presence."""
        rows = sorted(self._rows.get(owner, {}).items())
        return succeed([key for key, row in rows if row.subscription.heard])

    def pair(self, asker: str, target: str) -> Deferred[Pair]:
        """Both rows of a relation as they are."""
        return succeed(self._pair(asker, target))

    def change(self, asker: str, target: str, decide: Callable[[Pair], Decision]) -> Deferred[Decision]:
        """Read a pair, decide, and write what was decided."""

        def change() -> Decision:
            self._accounts.require(asker)
            self._accounts.require(target)
            decision = decide(self._pair(asker, target))
            self._write(asker, target, decision.pair.asker)
            self._write(target, asker, decision.pair.target)
            return decision

        return execute(change)

    def _pair(self, asker: str, target: str) -> Pair:
        return Pair(self._rows.get(asker, {}).get(target), self._rows.get(target, {}).get(asker))

    def _write(self, owner: str, contact: str, row: Row | None) -> None:
        if row is None:
            self._rows.get(owner, {}).pop(contact, None)
        else:
            self._rows.setdefault(owner, {})[contact] = row

    def _forget(self, key: str) -> None:
        self._rows.pop(key, None)
        for rows in self._rows.values():
            rows.pop(key, None)


def memory_manager_stores() -> ManagerStores:
    """The manager's stores, empty."""
    accounts = MemoryAccounts()
    return ManagerStores(accounts, MemoryRelays(), MemoryRoster(accounts), lambda: succeed(None))


def memory_tracker_stores() -> TrackerStores:
    """The tracker's stores, empty."""
    return TrackerStores(MemoryDirectory(), lambda: succeed(None))

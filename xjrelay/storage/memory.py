# SPDX-License-Identifier: MIT
"""The same stores on dicts: for the sandbox, and for tests of everything above.

Every Deferred has fired when it is returned. The contract tests run against these and against
SQLite alike, so that what passes here holds there. This module must not import SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, execute, succeed

from xjrelay.domain.accounts import Ban, Invitation
from xjrelay.domain.audit import Head, seal
from xjrelay.domain.roster import Decision, Pair, Row, gains_a_contact
from xjrelay.storage.interfaces import (
    Account,
    AccountExists,
    ComponentRow,
    Contact,
    Credentials,
    InvitationSpent,
    Kept,
    Letter,
    Mail,
    ManagerStores,
    RelayRow,
    RosterFull,
    Session,
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
        self._ended: dict[str, int] = {}
        self._highest_removed = 0
        self._invitations: dict[bytes, tuple[int, int]] = {}  # how often used, until when kept
        self._removed: list[Callable[[str], None]] = []

    def on_remove(self, forget: Callable[[str], None]) -> None:
        """What a foreign key does elsewhere: called with the key of each removed account."""
        self._removed.append(forget)

    def create(self, account: Account, invitation: Invitation | None = None) -> Deferred[None]:
        """Keep a new account, and use an invitation for it."""

        def create() -> None:
            key = account.profile.key
            if key in self.accounts:
                raise AccountExists(f"there is an account {key!r} already")
            if invitation is not None:
                self._use(invitation, account.profile.updated_at)
            self.accounts[key] = account
            self._sessions[key] = self._ended[key] = self._highest_removed

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
            self._sessions[key] += 1
            return self._sessions[key]

        return execute(next_session)

    def replace_credentials(self, key: str, credentials: Credentials) -> Deferred[int]:
        """Change the password, and end every session for good."""

        def replace_credentials() -> int:
            self.accounts[key] = replace(self.require(key), credentials=credentials)
            self._ended[key] = self._sessions[key]
            return self._sessions[key]

        return execute(replace_credentials)

    def remove(self, key: str) -> Deferred[int]:
        """Remove the account; its roster rows, on both sides, go with it."""

        def remove() -> int:
            self.require(key)
            del self.accounts[key], self._ended[key]
            last = self._sessions.pop(key)
            self._highest_removed = max(self._highest_removed, last)
            for forget in self._removed:
                forget(key)
            return last

        return execute(remove)

    def end_sessions(self, key: str) -> Deferred[int]:
        """End every session for good."""

        def end_sessions() -> int:
            self.require(key)
            self._ended[key] = self._sessions[key]
            return self._sessions[key]

        return execute(end_sessions)

    def ban(self, key: str, ban: Ban) -> Deferred[int]:
        """Keep a ban, and end every session for good."""

        def keep() -> int:
            self.accounts[key] = replace(self.require(key), ban=ban)
            self._ended[key] = self._sessions[key]
            return self._sessions[key]

        return execute(keep)

    def lift(self, key: str) -> Deferred[bool]:
        """Remove a ban."""
        account = self.accounts.get(key)
        if account is None or account.ban is None:
            return succeed(False)
        self.accounts[key] = replace(account, ban=None)
        return succeed(True)

    def bans(self, now: int, after: str, most: int) -> Deferred[list[tuple[str, Ban]]]:
        """Bans that hold."""
        found = []
        for key, account in sorted(self.accounts.items()):
            if account.ban is not None and not account.ban.holds(now):
                self.accounts[key] = replace(account, ban=None)
            elif account.ban is not None and key > after:
                found.append((account.profile.username, account.ban))
        return succeed(found[:most])

    def ended(self, sessions: Collection[Session]) -> Deferred[list[Session]]:
        """Those of some sessions that were ended for good."""
        gone = [(key, n) for key, n in sessions if key not in self._ended or n <= self._ended[key]]
        return succeed(gone)

    def _use(self, invitation: Invitation, now: int) -> None:
        self._invitations = {one: used for one, used in self._invitations.items() if used[1] >= now}
        used, _ = self._invitations.get(invitation.id, (0, 0))
        if used >= invitation.most:
            raise InvitationSpent("the invitation has been used as often as it may")
        self._invitations[invitation.id] = (used + 1, invitation.expires_at)

    def require(self, key: str) -> Account:
        """The account, or :class:`UnknownAccount`."""
        account = self.accounts.get(key)
        if account is None:
            raise UnknownAccount(f"there is no account {key!r}")
        return account


class MemoryAudit:
    """An :class:`~xjrelay.storage.interfaces.AuditLog`.

    Attributes:
        lines: as the file would have them.
        head: of the last.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.head = Head()

    def append(self, act: Mapping[str, Any]) -> Deferred[int]:
        """Keep an act."""
        line, self.head = seal(act, self.head)
        self.lines.append(line)
        return succeed(self.head.number)


class MemoryRelays:
    """A :class:`~xjrelay.storage.interfaces.RelayStore`."""

    def __init__(self) -> None:
        self._rows: dict[str, RelayRow] = {}
        self._live: set[str] = set()

    def name(self, relay_id: str, ip_local: str, port: int, now: int) -> Deferred[RelayRow]:
        """The row of a relay that said hello; insertion order is the order of the numbers."""
        known = self._rows.get(relay_id)
        name = known.name if known is not None else f"relay{len(self._rows) + 1}"
        row = RelayRow(relay_id, name, ip_local, port, now)
        self._rows[relay_id] = row
        self._live.add(relay_id)
        return succeed(row)

    def rows(self) -> Deferred[list[RelayRow]]:
        """Every relay ever named."""
        return succeed(list(self._rows.values()))

    def live(self) -> Deferred[list[str]]:
        """Names of the relays that have not left."""
        return succeed([row.name for row in self._rows.values() if row.relay_id in self._live])

    def left(self, relay_id: str) -> Deferred[None]:
        """A relay is here no more."""
        self._live.discard(relay_id)
        return succeed(None)


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

    def change(
        self, asker: str, target: str, decide: Callable[[Pair], Decision], most: int | None = None
    ) -> Deferred[Decision]:
        """Read a pair, decide, and write what was decided."""

        def change() -> Decision:
            self._accounts.require(asker)
            self._accounts.require(target)
            before = self._pair(asker, target)
            decision = decide(before)
            if most is not None and gains_a_contact(before, decision):
                self._refuse_more(asker, most)
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

    def _refuse_more(self, owner: str, most: int) -> None:
        rows = self._rows.get(owner, {}).values()
        if sum(row.subscription.hears for row in rows) >= most:
            raise RosterFull(f"there are {most} contacts already")

    def _forget(self, key: str) -> None:
        self._rows.pop(key, None)
        for rows in self._rows.values():
            rows.pop(key, None)


class MemoryMailbox:
    """A :class:`~xjrelay.storage.interfaces.MailboxStore`.

    Args:
        accounts: who has a mailbox.
    """

    def __init__(self, accounts: MemoryAccounts) -> None:
        self._accounts = accounts
        self._boxes: dict[str, dict[tuple[str, str], tuple[int, int, Letter]]] = {}
        self._last = 0
        accounts.on_remove(self._forget)

    def store(self, letters: Sequence[Letter], now: int, most: int) -> Deferred[list[Kept]]:
        """Keep letters, in their order."""
        return succeed([self._store(letter, now, most) for letter in letters])

    def mail(self, recipient: str, resource: str, after: int, limit: int) -> Deferred[list[Mail]]:
        """The oldest rows behind ``after``."""
        rows = sorted(self._boxes.get(recipient, {}).values(), key=lambda kept: kept[0])
        fitting = [
            Mail(row, letter.frame)
            for row, _, letter in rows
            if row > after and letter.resource in ("", resource)
        ]
        return succeed(fitting[:limit])

    def taken(self, rows: Iterable[tuple[str, int]]) -> Deferred[None]:
        """Remove rows."""
        gone = set(rows)
        self._keep(lambda recipient, row, _: (recipient, row) not in gone)
        return succeed(None)

    def expire(self, before: int) -> Deferred[int]:
        """Remove rows that were stored before a time."""
        return succeed(self._keep(lambda _, row, stored_at: stored_at >= before))

    def _forget(self, key: str) -> None:
        self._boxes.pop(key, None)

    def _store(self, letter: Letter, now: int, most: int) -> Kept:
        if letter.recipient not in self._accounts.accounts:
            return Kept.UNKNOWN
        box = self._boxes.setdefault(letter.recipient, {})
        name = (letter.sender, letter.id)
        if name not in box:
            if len(box) >= most:
                return Kept.FULL
            self._last += 1
            box[name] = (self._last, now, letter)
        return Kept.STORED

    def _keep(self, wanted: Callable[[str, int, int], bool]) -> int:
        removed = 0
        for recipient, box in self._boxes.items():
            for name, (row, stored_at, _) in list(box.items()):
                if not wanted(recipient, row, stored_at):
                    del box[name]
                    removed += 1
        return removed


def memory_manager_stores() -> ManagerStores:
    """The manager's stores, empty."""
    accounts = MemoryAccounts()
    return ManagerStores(
        accounts,
        MemoryRelays(),
        MemoryRoster(accounts),
        MemoryMailbox(accounts),
        lambda: succeed(None),
    )


def memory_tracker_stores() -> TrackerStores:
    """The tracker's stores, empty."""
    return TrackerStores(MemoryDirectory(), lambda: succeed(None))

# SPDX-License-Identifier: MIT
"""What servers ask of a store: the seam between programs and whatever keeps their data.

Servers know these protocols and values only; which store stands behind them (SQLite, dicts,
one day PostgreSQL) is chosen in ``tap.py``. Stores take and return values, never rows or
cursors, and answer with Deferreds that fire after the data is on disk. User keys are those of
:func:`xjrelay.wire.address.key`; times are milliseconds since the epoch, given by the
caller. This module must not import a concrete store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred

from xjrelay.domain.accounts import Ban, Invitation
from xjrelay.domain.histogram import Histogram
from xjrelay.domain.peers import Known
from xjrelay.domain.roster import Decision, Pair, Row


class StoreError(Exception):
    """The base of what a store refuses or fails at; the text is one sentence, safe to log."""


class StoreBusy(StoreError):
    """The queue of operations is full, or the store is closing: not now, try again."""


class StoreFailed(StoreError):
    """The data could not be read or made durable (disk full, locked, damaged): nothing was changed."""


class AccountExists(StoreError):
    """The key of the new account is taken."""


class UnknownAccount(StoreError):
    """There is no such account (any more)."""


class InvitationSpent(StoreError):
    """The invitation has been used as often as it may."""


class RosterFull(StoreError):
    """The roster holds as many contacts as it may."""


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """A manager or relay a tracker has seen.

    Args:
        component_id: the identity it keeps over restarts and changes of address.
        type: ``manager`` or ``relay``.
        ip_local: the address it says to connect to.
        port: the port there.
        is_private: whether that address is private.
        extra: what else its hello said that the list repeats (``name``, ``endpoints``); JSON values.
        live: its status: True from joining to leaving.
        joined_at: when it last joined, milliseconds.
        left_at: when it last left, milliseconds; None while it never did.
    """

    component_id: str
    type: str
    ip_local: str
    port: int
    is_private: bool
    extra: Mapping[str, Any] = field(default_factory=dict)
    live: bool = True
    joined_at: int = 0
    left_at: int | None = None


class DirectoryStore(Protocol):
    """The tracker's memory of who has been there."""

    def reset(self, now: int) -> Deferred[None]:
        """Mark every row as not live, with ``now`` as the time of leaving where it was live."""

    def joined(self, component: ComponentRow) -> Deferred[None]:
        """Write a row, new or over the one with the same ``component_id``."""

    def left(self, component_id: str, now: int) -> Deferred[None]:
        """Mark a row as not live; one that is not there is no error."""

    def rows(self) -> Deferred[list[ComponentRow]]:
        """Every row there ever was, by the time of joining, then by identity."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A password as it is kept: SCRAM-SHA-256 keys (RFC 5802, 3). Never shown in a log."""

    salt: bytes = field(repr=False)
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """What others may know of an account.

    Args:
        key: what makes spellings one account.
        username: the registered spelling.
        bio: the user's own line.
        updated_at: when the bio was last set, milliseconds.
    """

    key: str
    username: str
    bio: str
    updated_at: int


@dataclass(frozen=True, slots=True)
class Account:
    """An account, how its password is checked, and whether it may log in at all."""

    profile: Profile
    credentials: Credentials
    ban: Ban | None = None


Session = tuple[str, int]
"""An account's key and the number of one of its sessions."""


class AccountStore(Protocol):
    """The manager's accounts."""

    def create(self, account: Account, invitation: Invitation | None = None) -> Deferred[None]:
        """Keep a new account, and use an invitation for it, both or neither.

        Its sessions count on from the highest number that any removed account had. Invitations
        that have expired at the account's ``updated_at`` are forgotten.

        Returns:
            Fails with :class:`AccountExists`, also for one made a moment ago, or with
            :class:`InvitationSpent`.
        """

    def get(self, key: str) -> Deferred[Account | None]:
        """The account, or None."""

    def set_bio(self, key: str, bio: str, now: int) -> Deferred[None]:
        """Change the bio; fails with :class:`UnknownAccount`."""

    def next_session(self, key: str) -> Deferred[int]:
        """Raise and keep the account's session counter; fires with a number from 1 that was never
        given for it before, also over a crash. Fails with :class:`UnknownAccount`.
        """

    def replace_credentials(self, key: str, credentials: Credentials) -> Deferred[int]:
        """Change the password, and end every session for good that there has been.

        Returns:
            The highest number a session was given; fails with :class:`UnknownAccount`.
        """

    def remove(self, key: str) -> Deferred[int]:
        """Remove the account and every roster row about it, and end every session for good.

        Returns:
            The highest number a session was given; fails with :class:`UnknownAccount`.
        """

    def end_sessions(self, key: str) -> Deferred[int]:
        """End every session for good that there has been.

        Returns:
            The highest number a session was given; fails with :class:`UnknownAccount`.
        """

    def ban(self, key: str, ban: Ban) -> Deferred[int]:
        """Keep a ban, new or over the one there was, and end every session for good.

        Returns:
            The highest number a session was given; fails with :class:`UnknownAccount`.
        """

    def lift(self, key: str) -> Deferred[bool]:
        """Remove a ban; fires with whether there was one."""

    def bans(self, now: int, after: str, most: int) -> Deferred[list[tuple[str, Ban]]]:
        """Bans that hold, with the registered spelling of whom they are for, by key.

        Args:
            now: milliseconds; those that ended before are forgotten.
            after: only those of higher keys.
            most: so many at most.
        """

    def ended(self, sessions: Collection[Session]) -> Deferred[list[Session]]:
        """Those of some sessions that were ended for good, whoever still has them."""


@dataclass(frozen=True, slots=True)
class RelayRow:
    """A relay the manager has named.

    Args:
        relay_id: the identity it keeps in its own data folder.
        name: ``relay1``, ``relay2``…, for as long as the identity lives.
        ip_local: where it was last.
        port: the port there.
        seen_at: when it last said hello, milliseconds.
    """

    relay_id: str
    name: str
    ip_local: str
    port: int
    seen_at: int


class RelayStore(Protocol):
    """The manager's names for relays. Whether an address is in use by a live one is not decided here."""

    def name(self, relay_id: str, ip_local: str, port: int, now: int) -> Deferred[RelayRow]:
        """The row of a relay that said hello: its old name, or the first free one for a new identity."""

    def rows(self) -> Deferred[list[RelayRow]]:
        """Every relay ever named, in order of their numbers."""

    def live(self) -> Deferred[list[str]]:
        """Names of the relays that said hello and have not left since."""

    def left(self, relay_id: str) -> Deferred[None]:
        """A relay is here no more, and nothing of it is awaited; one that is not known is no error."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact of a roster, with what its owner may know of it."""

    profile: Profile
    row: Row


class RosterStore(Protocol):
    """Who has whom in which roster. Rows come in pairs, and change in pairs."""

    def contacts(self, owner: str) -> Deferred[list[Contact]]:
        """A whole roster, by the contacts' keys."""

    def listeners(self, owner: str) -> Deferred[list[str]]:
        """Keys of the contacts that hear the owner's presence (its rows ``from`` and ``both``)."""

    def pair(self, asker: str, target: str) -> Deferred[Pair]:
        """Both rows of a relation as they are."""

    def change(
        self, asker: str, target: str, decide: Callable[[Pair], Decision], most: int | None = None
    ) -> Deferred[Decision]:
        """Read a pair, decide, and write what was decided, as one step.

        Nothing else comes between reading and writing, so two users who add each other at the same
        moment end up with ``both``.

        Args:
            asker: key of the account that asks.
            target: key of the contact.
            decide: a pure function; what it raises fails the Deferred and changes nothing.
            most: how many contacts (rows ``to`` and ``both``) the asker may come to have.

        Returns:
            The decision; fails with :class:`UnknownAccount` when either account is not there, with
            :class:`RosterFull` when a contact would be one too many.
        """


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to be kept for a user who is on no relay.

    Args:
        recipient: key of the account.
        resource: of a full address, else the empty string.
        sender: key of the sending user.
        id: the message's own.
        frame: the message as it came.
    """

    recipient: str
    resource: str
    sender: str
    id: str
    frame: bytes


class Kept(Enum):
    """What became of a letter."""

    STORED = "stored"
    """It is on disk, or was already."""
    FULL = "full"
    UNKNOWN = "unknown"
    """There is no such account."""


class Mail(NamedTuple):
    """One row of a mailbox: its number, rising in the order stored, and the message."""

    row: int
    frame: bytes


class AuditLog(Protocol):
    """What operators did, one entry after the other (``domain.audit``)."""

    def append(self, act: Mapping[str, Any]) -> Deferred[int]:
        """Keep an act.

        Returns:
            Fires with its number when it is on disk; fails with :class:`StoreFailed` or
            :class:`StoreBusy`, and then it is not there.
        """


class MailboxStore(Protocol):
    """Messages kept for those who are on no relay: one row a (recipient, sender, id), in order.

    What is asked of it is done in the order in which it was asked.
    """

    def store(self, letters: Sequence[Letter], now: int, most: int) -> Deferred[list[Kept]]:
        """Keep letters, in their order, all in one transaction.

        Args:
            letters: from anybody to anybody.
            now: the time, milliseconds.
            most: messages that one mailbox holds.

        Returns:
            Fires after the disk's sync with what became of each; fails with :class:`StoreFailed` or
            :class:`StoreBusy` when nothing was kept.
        """

    def mail(self, recipient: str, resource: str, after: int, limit: int) -> Deferred[list[Mail]]:
        """The oldest rows behind row ``after`` that are for any device or for this one."""

    def taken(self, rows: Iterable[tuple[str, int]]) -> Deferred[None]:
        """Remove rows, each given by its recipient and number; one that is not there is no error."""

    def expire(self, before: int) -> Deferred[int]:
        """Remove rows that were stored before a time, oldest first, not all of them at once.

        Returns:
            Fires with how many; with 0 when none is left.
        """


@dataclass(slots=True)
class StoreLoad:
    """How a store is doing, as its operator sees it.

    Attributes:
        writes: operations that wait for the disk.
        reads: queries that wait or run.
        most: how many of each may.
        commits: how long transactions took, from their beginning to the disk's sync.
        failures: transactions of which nothing was committed.
        failing: why the last one failed; empty when it didn't.
    """

    writes: int = 0
    reads: int = 0
    most: int = 1
    commits: Histogram = field(default_factory=Histogram)
    failures: int = 0
    failing: str = ""


@dataclass(frozen=True, slots=True)
class ManagerStores:
    """What a manager is given at its start."""

    accounts: AccountStore
    relays: RelayStore
    roster: RosterStore
    mailbox: MailboxStore
    close: Callable[[], Deferred[None]]
    load: Callable[[], StoreLoad] = StoreLoad


@dataclass(frozen=True, slots=True)
class TrackerStores:
    """What a tracker is given at its start."""

    directory: DirectoryStore
    close: Callable[[], Deferred[None]]
    load: Callable[[], StoreLoad] = StoreLoad


class OutboxFull(StoreError):
    """Too many messages wait for that peer already."""


MAX_HISTORY = 10_000
"""Messages kept of a peer; the oldest go first, never one that waits."""


@dataclass(frozen=True, slots=True)
class PeerMessage:
    """One text between us and a peer.

    Args:
        peer_id: the other one.
        message_id: unique with that peer, in its direction.
        text: what was said.
        at: when, milliseconds.
        incoming: whether we heard it; else we said it.
        broadcast: whether it was for all.
        state: ``waiting`` until it has gone, then ``sent`` (nobody will tell more) or ``delivered`` (it is
            on the other one's disk); ``received`` for what we heard.
        number: rises in the order of the store; 0 for one that is not in it yet.
    """

    peer_id: str
    message_id: str
    text: str = field(repr=False)
    at: int
    incoming: bool = False
    broadcast: bool = False
    state: str = "waiting"
    number: int = 0


class PeerStore(Protocol):
    """What a peer remembers: whom it knows, what waits for them, what was said."""

    def peers(self) -> Deferred[list[Known]]:
        """Everybody we have met, by id."""

    def keep(self, peer: Known) -> Deferred[None]:
        """Write somebody, new or over the row there was."""

    def forget(self, peer_id: str) -> Deferred[None]:
        """Remove somebody, and all that was said."""

    def say(self, message: PeerMessage) -> Deferred[PeerMessage]:
        """Put a message into the outbox; fires with it numbered, fails with :class:`OutboxFull`."""

    def hear(self, message: PeerMessage, most: int) -> Deferred[PeerMessage | None]:
        """Keep what was heard; fires with it numbered, or with None where that id was heard before.

        Args:
            message: what was heard.
            most: messages to keep of that peer; the oldest go now and then.
        """

    def waiting(self, peer_id: str, after: int, most: int) -> Deferred[list[PeerMessage]]:
        """What waits for a peer, in order.

        Args:
            peer_id: whom.
            after: only those with a higher number.
            most: so many at most.
        """

    def settle(self, peer_id: str, message_ids: Sequence[str], state: str) -> Deferred[list[str]]:
        """Messages that waited have gone; fires with the ids of those that had waited.

        Args:
            peer_id: to whom.
            message_ids: which.
            state: ``sent`` or ``delivered``; ``waiting`` for one that was ``sent`` and didn't go.
        """

    def history(self, peer_id: str, before: int | None, most: int) -> Deferred[list[PeerMessage]]:
        """What was said with a peer, oldest first: the last ones, or the last before a number."""

    def last(self) -> Deferred[dict[str, PeerMessage]]:
        """The last message with each peer."""


@dataclass(frozen=True, slots=True)
class PeerStores:
    """What a peer is given at its start."""

    peers: PeerStore
    close: Callable[[], Deferred[None]]
    load: Callable[[], StoreLoad] = StoreLoad

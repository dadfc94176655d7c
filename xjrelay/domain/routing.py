# SPDX-License-Identifier: MIT
"""Who is where: the map a relay holds of its own sessions and of every other relay's users.

It exists apart from the servers because its rules are all about order: announcements cross
one another between relays, and an old ``end user`` must never remove a newer session
(protocol, sections 7 and 10). Everything here is values in, decisions out; it imports nothing but
:mod:`xjrelay.wire` and knows no link, clock or reactor: a local session's *handle* is opaque.

Cost: :meth:`RoutingTable.find` is one dictionary look-up for an address in its registered
spelling, and one PRECIS mapping (cached) more for any other. A change costs time in the
number of sessions of that one account, never in the number of users.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason, Code, RemoteError

Handle = TypeVar("Handle")


class Superseded(RemoteError):
    """A session opens although a newer one of that user and resource is known: 409, and closed."""

    def __init__(self) -> None:
        super().__init__(Code.CONFLICT, "a newer session is open", CloseReason.REPLACED)


class User(NamedTuple):
    """One session as relays announce it: the registered spelling, the resource, the number."""

    username: str
    resource: str = ""
    session: int = 0


@dataclass(slots=True, eq=False)
class Session(Generic[Handle]):
    """A session somewhere; compared by identity, so that a stale one never stands for its successor.

    Attributes:
        username: the registered spelling, which goes out on the wire.
        key: what makes spellings one account (:func:`xjrelay.wire.address.key`).
        resource: the device, ``""`` for none.
        number: rising an account; a higher one is newer.
        relay: the relay that announced it, ``""`` for this one.
        handle: what the caller opened a local session with; None for a remote one.
    """

    username: str
    key: str
    resource: str
    number: int
    relay: str
    handle: Handle | None

    @property
    def full(self) -> str:
        """The full address, or the bare one of a session without a resource."""
        return f"{self.username}/{self.resource}" if self.resource else self.username

    @property
    def user(self) -> User:
        """The session as it is announced to other relays."""
        return User(self.username, self.resource, self.number)

    def _age(self) -> tuple[int, bool, str]:
        # Equal numbers meet only where a client without a token connects twice: then our own
        # session is preferred, and between two relays every relay chooses the same one.
        return self.number, not self.relay, self.relay


class Opened(NamedTuple, Generic[Handle]):
    """What :meth:`RoutingTable.open` decided: the session, and the older one here to be ended."""

    session: Session[Handle]
    replaced: Session[Handle] | None


@dataclass(slots=True)
class _Account(Generic[Handle]):
    """Every known session of one key, and the exact addresses it occupies in the fast map."""

    sessions: dict[tuple[str, str], Session[Handle]] = field(default_factory=dict)
    spelt: tuple[str, ...] = ()

    def of_resource(self, resource: str) -> Iterator[Session[Handle]]:
        return (session for session in self.sessions.values() if session.resource == resource)


class RoutingTable(Generic[Handle]):
    """Local sessions and remote users, and which of them a message goes to.

    A bare address means the newest session of that account, wherever it is; a full one that
    resource's newest. One relay has at most one session of a user and resource; two relays may
    for a moment claim the same one, and then the higher number is the route.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account[Handle]] = {}
        self._exact: dict[str, Session[Handle]] = {}
        self._local: dict[tuple[str, str], Session[Handle]] = {}
        self._remote: dict[str, dict[tuple[str, str], Session[Handle]]] = {}
        self._spoken: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        """How many sessions are open here."""
        return len(self._local)

    @property
    def elsewhere(self) -> int:
        """How many sessions at other relays are known."""
        return sum(map(len, self._remote.values()))

    @property
    def exact(self) -> Mapping[str, Session[Handle]]:
        """Every address in its registered spelling, and the session it means now; changes with the table."""
        return self._exact

    def find(self, to: str) -> Session[Handle] | None:
        """The session a message to this address goes to, or None where nobody has it.

        Raises:
            InvalidAddress: `to` is in no known spelling and not an address at all.
        """
        return self._exact.get(to) or self._find_mapped(to)

    def find_local(self, to: str) -> Session[Handle] | None:
        """The session here that a message from another relay goes to, or None.

        That relay may have missed a newer session elsewhere; what it sent here stays here.

        Raises:
            InvalidAddress: as for :meth:`find`.
        """
        found = self.find(to)
        if found is None or not found.relay:
            return found
        given = address.parse(to)
        sessions = self._accounts[given.key].sessions.values()
        here = (s for s in sessions if not s.relay and given.resource in ("", s.resource))
        return max(here, key=Session._age, default=None)

    def local(self) -> list[Session[Handle]]:
        """Every session open here, oldest opened first."""
        return list(self._local.values())

    def open(self, username: str, resource: str, number: int, handle: Handle) -> Opened[Handle]:
        """A session opens here.

        Returns:
            The new session, and the older one here of the same user and resource if there was
            one: that is out of the table already, and the caller ends it as ``replaced``. (One on
            another relay is ended by that relay, when it hears of the new one.)

        Raises:
            Superseded: a newer session of that user and resource is known, here or elsewhere.
            InvalidAddress: the username is none.
        """
        key = address.key(username)
        account = self._accounts.get(key)
        if account and any(known.number > number for known in account.of_resource(resource)):
            raise Superseded
        replaced = self._local.get((key, resource))
        if replaced:
            self._take(replaced)
        session = Session(username, key, resource, number, "", handle)
        self._put(session)
        return Opened(session, replaced)

    def close(self, session: Session[Handle]) -> bool:
        """A local session is over; False when it was out of the table already (replaced)."""
        if self._local.get((session.key, session.resource)) is not session:
            return False
        self._take(session)
        return True

    def learn_user(self, relay: str, user: User) -> Session[Handle] | None:
        """A relay announced a user (``new user``).

        Returns:
            The local session that this newer one replaces, or None. It is *not* closed yet: the
            caller ends it as ``replaced`` and calls :meth:`close`.

        Raises:
            InvalidAddress: the username is none.
        """
        key = address.key(user.username)
        known = self._remote.setdefault(relay, {}).get((key, user.resource))
        if known and known.number > user.session:
            return None
        if known:
            self._take(known)
        self._put(Session(user.username, key, user.resource, user.session, relay, None))
        mine = self._local.get((key, user.resource))
        return mine if mine and mine.number < user.session else None

    def end_user(self, relay: str, user: User) -> bool:
        """A relay said that a user left (``end user``); False when it has a newer session, or none.

        Raises:
            InvalidAddress: the username is none.
        """
        known = self._remote.get(relay, {}).get((address.key(user.username), user.resource))
        if known is None or known.number > user.session:
            return False
        self._take(known)
        return True

    def learn(self, relay: str, users: Iterable[User]) -> list[Session[Handle]]:
        """A relay's whole list, in place of all that was known from it (R4, R18, R25).

        Returns:
            The local sessions that newer ones replace, as for :meth:`learn_user`.

        Raises:
            InvalidAddress: one of the usernames is none; nothing has changed then.
        """
        listed = list(users)
        for user in listed:
            address.key(user.username)
        self.forget(relay)
        self._remote[relay] = {}
        replaced = (self.learn_user(relay, user) for user in listed)
        return [session for session in replaced if session]

    def forget(self, relay: str) -> int:
        """A relay's link ended: nobody is behind it any more (R25). Returns how many were."""
        gone = list(self._remote.get(relay, {}).values())
        for session in gone:
            self._take(session)
        self._remote.pop(relay, None)
        self._spoken.pop(relay, None)
        return len(gone)

    def speaks_for(self, relay: str, sender: str) -> bool:
        """Whether a relay announced this user, so that a message from it may be `sender`'s.

        An address that isn't one is nobody's: False.
        """
        if sender in self._spoken.get(relay, ()):
            return True
        try:
            given = address.parse(sender)
            account = self._accounts.get(given.key)
        except address.InvalidAddress:
            return False
        sessions = account.sessions.values() if account else ()
        return any(s.relay == relay and given.resource in ("", s.resource) for s in sessions)

    def sessions_of(self, username: str) -> list[Session[Handle]]:
        """The sessions that an account has here.

        Raises:
            InvalidAddress: the username is none.
        """
        account = self._accounts.get(address.key(username))
        return [s for s in account.sessions.values() if not s.relay] if account else []

    def users_of(self, relay: str) -> list[User]:
        """What is known from a relay, in the order it was learnt."""
        return [session.user for session in self._remote.get(relay, {}).values()]

    def _find_mapped(self, to: str) -> Session[Handle] | None:
        given = address.parse(to)
        account = self._accounts.get(given.key)
        if account is None:
            return None
        sessions = account.of_resource(given.resource) if given.resource else account.sessions.values()
        return max(sessions, key=Session._age, default=None)

    def _put(self, session: Session[Handle]) -> None:
        place = (session.key, session.resource)
        if session.relay:
            self._remote.setdefault(session.relay, {})[place] = session
            spoken = self._spoken.setdefault(session.relay, {})
            for text in {session.username, session.full}:
                spoken[text] = spoken.get(text, 0) + 1
        else:
            self._local[place] = session
        account = self._accounts.setdefault(session.key, _Account())
        account.sessions[session.relay, session.resource] = session
        self._index(account)

    def _take(self, session: Session[Handle]) -> None:
        place = (session.key, session.resource)
        if session.relay:
            del self._remote[session.relay][place]
            spoken = self._spoken[session.relay]
            for text in {session.username, session.full}:
                spoken[text] -= 1
                if not spoken[text]:
                    del spoken[text]
        else:
            del self._local[place]
        account = self._accounts[session.key]
        del account.sessions[session.relay, session.resource]
        self._index(account)
        if not account.sessions:
            del self._accounts[session.key]

    def _index(self, account: _Account[Handle]) -> None:
        # Oldest first, so that the newest is what each address means in the end. Relays that know
        # an account by different spellings (it was removed and registered again) mean the same one.
        for text in account.spelt:
            del self._exact[text]
        routes: dict[str, Session[Handle]] = {}
        spellings = {session.username for session in account.sessions.values()}
        for session in sorted(account.sessions.values(), key=Session._age):
            for spelling in spellings:
                routes[spelling] = session
                if session.resource:
                    routes[f"{spelling}/{session.resource}"] = session
        account.spelt = tuple(routes)
        self._exact.update(routes)

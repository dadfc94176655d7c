# SPDX-License-Identifier: MIT
"""The client library for Twisted: everything returns a Deferred, which can be awaited too.

In short::

    client = await connect("xj://127.0.0.1:5000", "esa", password)
    receipt = await client.send("fajar", "halo")
    async for message in client.messages():
        print(message.from_, message.body)

The reactor is an argument; only where none is given is the global one taken. Must not import asyncio or
:mod:`xjrelay.client.aio`.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

from twisted.internet.defer import Deferred

from xjrelay.client.core import Login
from xjrelay.client.errors import BadAddress
from xjrelay.client.model import Contact, Direct, Event, Message, Presence, Receipt
from xjrelay.client.session import SEND_TIMEOUT, Session, Settings
from xjrelay.client.target import invitation, trackers
from xjrelay.client.tx_network import IClientReactor as IClientReactor
from xjrelay.client.tx_network import TwistedNetwork
from xjrelay.security.certificates import CertificateError
from xjrelay.security.tls import ClientTLS


def connect(  # noqa: PLR0913  # what an application may choose
    url: str,
    username: str,
    password: str,
    *,
    register: bool = False,
    resource: str = "",
    outbox: str | os.PathLike[str] | None = None,
    authority: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    direct: Direct | None = None,
    reactor: IClientReactor | None = None,
    rng: random.Random | None = None,
) -> Deferred[Client]:
    """Log in, or register first, and be online.

    Args:
        url: the trackers: ``xj://host:port``, or ``xjs://host:port`` for TLS; several with commas.
            To register by invitation, the link one was given: ``xj://host:port?invitation=...``.
        username: as whom.
        password: kept in memory to log in again; only with ``register`` is it sent, otherwise proven.
        register: make the account.
        resource: the name of this device; the same user and resource logged in twice ends the older.
        outbox: a file that outlives the application: messages without an outcome are sent again from it,
            and what the application was given is not given again. One a user, and one client at a time.
        authority: who has to have signed the servers' certificates: a PEM file, or the fingerprint of
            its certificate, ``sha256:...``; the system's authorities when absent.
        settings: what to leave out.
        direct: have direct links with friends who want it too, which shows them where this machine is.
        reactor: the global one when absent.
        rng: jitter and message ids.

    Returns:
        A Deferred that fires with the :class:`Client`, or fails with a
        :class:`~xjrelay.client.errors.ClientError`.
    """

    async def connecting() -> Client:
        network = TwistedNetwork(_reactor_or_global(reactor), rng or random.Random(), _trust(authority))
        login = Login(username, password, resource, register, invitation(url))
        session = Session(network, trackers(url), login, settings, outbox, direct=direct)
        await session.start()
        return Client(session)

    return Deferred.fromCoroutine(connecting())


class Client:
    """One user, online. Made by :func:`connect`.

    Attributes:
        account: what its owner can do with it.
        roster: the contacts, and how to change them.
        presence: how others are, and how to say how we are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.account = Account(session)
        self.roster = Roster(session)
        self.presence = PresenceBoard(session)

    def __repr__(self) -> str:
        return f"<Client {self.username}>"

    @property
    def username(self) -> str:
        """The registered spelling."""
        return self._session.username

    @property
    def relay(self) -> str:
        """The name of the relay we are at."""
        return self._session.relay

    def send(self, to: str, body: str, *, timeout: float = SEND_TIMEOUT, **keys: Any) -> Deferred[Receipt]:
        """Send a message; fires with its outcome. See :meth:`Session.send` for the keys and the failures."""
        return Deferred.fromCoroutine(self._session.send(to, body, timeout=timeout, **keys))

    def messages(self) -> AsyncIterator[Message]:
        """Every message, until the client is closed."""
        return self._session.messages()

    def events(self) -> AsyncIterator[Event]:
        """Everything that happens, messages included; one stream with :meth:`messages`."""
        return self._session.events()

    def is_direct(self, user: str) -> bool:
        """Whether messages to a user go by a direct link at this moment."""
        return self._session.is_direct(user)

    def close(self) -> Deferred[None]:
        """Log out and close; fires when that is done."""
        return Deferred.fromCoroutine(self._session.close())


class Account:
    """The account, changed by its owner; the password one logged in with is proved once more."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def change_password(self, new: str) -> Deferred[None]:
        """Another password. Every other session ends. See :meth:`UserAccount.change_password`."""
        return Deferred.fromCoroutine(self._session.account.change_password(new))

    def remove(self) -> Deferred[None]:
        """No account any more; this client is closed. See :meth:`UserAccount.remove`."""
        return Deferred.fromCoroutine(self._session.account.remove())


class Roster:
    """The contacts: iterate, :meth:`get`, ``in``; changed by what returns a Deferred."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __iter__(self) -> Iterator[Contact]:
        return iter(self._session.contacts)

    def __len__(self) -> int:
        return len(self._session.contacts)

    def __contains__(self, user: str) -> bool:
        return user in self._session.contacts

    def get(self, user: str) -> Contact | None:
        """A contact by any spelling of its name."""
        return self._session.contacts.get(user)

    def refresh(self) -> Deferred[list[Contact]]:
        """The roster, asked anew (U7)."""
        return Deferred.fromCoroutine(self._session.roster.get())

    def add(self, user: str, name: str | None = None) -> Deferred[Contact]:
        """Add a contact (U8); fails with Refused 404 where there is no such user."""
        return Deferred.fromCoroutine(self._session.roster.add(user, name))

    def rename(self, user: str, name: str) -> Deferred[Contact]:
        """Call a contact something else (U9)."""
        return Deferred.fromCoroutine(self._session.roster.add(user, name))

    def remove(self, user: str) -> Deferred[None]:
        """Remove a contact (U10)."""
        return Deferred.fromCoroutine(self._session.roster.remove(user))


class PresenceBoard:
    """How others are, as last heard: iterate, :meth:`get`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __iter__(self) -> Iterator[Presence]:
        return iter(self._session.presences)

    def __len__(self) -> int:
        return len(self._session.presences)

    def get(self, user: str) -> Presence | None:
        """A user's, by any spelling of its name."""
        return self._session.presences.get(user)

    def set(
        self, *, bio: str | None = None, show: str | None = None, status: str | None = None
    ) -> Deferred[None]:
        """Say how we are (U12). See :meth:`UserPresence.set`."""
        return Deferred.fromCoroutine(self._session.presence.set(bio=bio, show=show, status=status))

    def ask(self, user: str) -> Deferred[Presence]:
        """How another user is, contact or not (U11); fails with Refused 404 where there is none."""
        return Deferred.fromCoroutine(self._session.presence.ask(user))


def _trust(authority: str | os.PathLike[str] | None) -> ClientTLS:
    try:
        return ClientTLS.of(authority)
    except CertificateError as error:
        raise BadAddress(str(error)) from error


def _reactor_or_global(reactor: IClientReactor | None) -> IClientReactor:
    if reactor is not None:
        return reactor
    from twisted.internet import reactor as installed  # noqa: PLC0415  # importing it installs it

    return cast(IClientReactor, installed)

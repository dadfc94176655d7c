# SPDX-License-Identifier: MIT
"""The client library for asyncio.

In short::

    client = await connect("xj://127.0.0.1:5000", "esa", password)
    receipt = await client.send("fajar", "halo")
    async for message in client.messages():
        print(message.from_, message.body)

Must not import Twisted's reactor or :mod:`xjrelay.client.tx`.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any

from xjrelay.client.aio_network import AsyncioNetwork
from xjrelay.client.core import Login
from xjrelay.client.model import Component, Contact, Direct, Event, Message, Presence, Receipt
from xjrelay.client.session import SEND_TIMEOUT, Session, Settings
from xjrelay.client.target import Place, invitation, trackers
from xjrelay.client.trackers import Trackers
from xjrelay.client.trackers import probe as _probe


async def connect(  # noqa: PLR0913  # what an application may choose
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
    rng: random.Random | None = None,
) -> Client:
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
        rng: jitter and message ids.

    Raises:
        ClientError: see :mod:`xjrelay.client.errors`.
    """
    network = AsyncioNetwork(asyncio.get_running_loop(), rng or random.Random(), authority)
    login = Login(username, password, resource, register, invitation(url))
    session = Session(network, trackers(url), login, settings, outbox, direct=direct)
    try:
        await session.start()
    except asyncio.CancelledError:
        await session.close()
        raise
    return Client(session)


async def components(
    url: str, authority: str | os.PathLike[str] | None = None
) -> tuple[Component, ...]:
    """Who is there, from the first tracker that answers.

    Raises:
        NoTracker: none does.
    """
    network = AsyncioNetwork(asyncio.get_running_loop(), random.Random(), authority)
    return await Trackers(network, trackers(url)).components()


async def probe(place: Place, program: str, authority: str | os.PathLike[str] | None = None) -> float:
    """Ping whatever listens at a place; seconds to its answer.

    Raises:
        ClientError: nobody answers.
    """
    network = AsyncioNetwork(asyncio.get_running_loop(), random.Random(), authority)
    return await _probe(network, place, program)


class Client:
    """One user, online. Made by :func:`connect`; ``async with`` closes it.

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

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def username(self) -> str:
        """The registered spelling."""
        return self._session.username

    @property
    def relay(self) -> str:
        """The name of the relay we are at."""
        return self._session.relay

    @property
    def manager(self) -> Place | None:
        """Where the manager we are logged in at is."""
        return self._session.manager

    async def send(self, to: str, body: str, *, timeout: float = SEND_TIMEOUT, **keys: Any) -> Receipt:
        """Send a message and wait for its outcome. See :meth:`Session.send` for the keys and the errors."""
        return await self._session.send(to, body, timeout=timeout, **keys)

    def messages(self) -> AsyncIterator[Message]:
        """Every message, until the client is closed."""
        return self._session.messages()

    def events(self) -> AsyncIterator[Event]:
        """Everything that happens, messages included; one stream with :meth:`messages`."""
        return self._session.events()

    def is_direct(self, user: str) -> bool:
        """Whether messages to a user go by a direct link at this moment."""
        return self._session.is_direct(user)

    async def close(self) -> None:
        """Log out and close."""
        await self._session.close()


class Account:
    """The account, changed by its owner; the password one logged in with is proved once more."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def change_password(self, new: str) -> None:
        """Another password. Every other session ends. See :meth:`UserAccount.change_password`."""
        await self._session.account.change_password(new)

    async def remove(self) -> None:
        """No account any more; this client is closed. See :meth:`UserAccount.remove`."""
        await self._session.account.remove()


class Roster:
    """The contacts: iterate, :meth:`get`, ``in``; changed by coroutines."""

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

    async def refresh(self) -> list[Contact]:
        """The roster, asked anew (U7)."""
        return await self._session.roster.get()

    async def add(self, user: str, name: str | None = None) -> Contact:
        """Add a contact (U8). Raises Refused 404 where there is no such user."""
        return await self._session.roster.add(user, name)

    async def rename(self, user: str, name: str) -> Contact:
        """Call a contact something else (U9)."""
        return await self._session.roster.add(user, name)

    async def remove(self, user: str) -> None:
        """Remove a contact (U10)."""
        await self._session.roster.remove(user)


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

    async def set(
        self, *, bio: str | None = None, show: str | None = None, status: str | None = None
    ) -> None:
        """Say how we are (U12). See :meth:`UserPresence.set`."""
        await self._session.presence.set(bio=bio, show=show, status=status)

    async def ask(self, user: str) -> Presence:
        """How another user is, contact or not (U11). Raises Refused 404 where there is none."""
        return await self._session.presence.ask(user)

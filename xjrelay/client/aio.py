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
import logging
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar, cast

import txaio.aio

from xjrelay.client.authority import Authority, tls_reason
from xjrelay.client.core import Login
from xjrelay.client.model import Component, Contact, Direct, Event, Message, Presence, Receipt
from xjrelay.client.network import Cancellable, Connection, DialError, Listening, Receiver, TLSError
from xjrelay.client.session import SEND_TIMEOUT, Session, Settings
from xjrelay.client.target import Place, invitation, trackers
from xjrelay.client.trackers import Trackers
from xjrelay.client.trackers import probe as _probe

_log = logging.getLogger(__name__)

T = TypeVar("T")


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
        """Another password. Every other session ends. See :meth:`Session.change_password`."""
        await self._session.change_password(new)

    async def remove(self) -> None:
        """No account any more; this client is closed. See :meth:`Session.remove_account`."""
        await self._session.remove_account()


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
        return await self._session.get_roster()

    async def add(self, user: str, name: str | None = None) -> Contact:
        """Add a contact (U8). Raises Refused 404 where there is no such user."""
        return await self._session.add(user, name)

    async def rename(self, user: str, name: str) -> Contact:
        """Call a contact something else (U9)."""
        return await self._session.add(user, name)

    async def remove(self, user: str) -> None:
        """Remove a contact (U10)."""
        await self._session.remove(user)


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
        """Say how we are (U12). See :meth:`Session.set_presence`."""
        await self._session.set_presence(bio=bio, show=show, status=status)

    async def ask(self, user: str) -> Presence:
        """How another user is, contact or not (U11). Raises Refused 404 where there is none."""
        return await self._session.ask(user)


# -- the framework ---------------------------------------------------------------------------


class AsyncioNetwork:
    """asyncio, as :class:`xjrelay.client.network.Network` wants it.

    Args:
        loop: the running loop.
        rng: jitter and message ids.
        authority: whom to believe where TLS is spoken, as :func:`connect` takes it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        rng: random.Random,
        authority: str | os.PathLike[str] | None = None,
    ) -> None:
        self.txaio: Any = txaio.aio.with_config(loop=loop)
        self.random = rng
        self._loop = loop
        self._authority = Authority(authority)
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references only

    def seconds(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def wall(self) -> float:
        """The system's clock: a loop's time begins anywhere."""
        return time.time()

    def call_later(self, delay: float, call: Callable[[], object]) -> Cancellable:
        """A timer of the loop."""
        return self._loop.call_later(max(0.0, delay), call)

    def dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool = False
    ) -> Awaitable[Connection]:
        """Connect."""
        return self._dial(host, port, receiver, timeout, tls)

    def listen(
        self, host: str, port: int, accept: Callable[[Connection], Receiver]
    ) -> Awaitable[Listening]:
        """Let others connect."""
        return self._listen(host, port, accept)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Cancellable:
        """Run in the background."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def compute(self, work: Callable[[], T]) -> Awaitable[T]:
        """Run in the loop's thread pool."""
        return self._loop.run_in_executor(None, work)

    def log(self, text: str, **fields: object) -> None:
        """A line of the log ``xjrelay.client.aio``."""
        _log.info("%s", text.format(**fields))

    async def _dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool
    ) -> Connection:
        try:
            async with asyncio.timeout(timeout):
                context = await self._authority.context(host, port, timeout, self.compute) if tls else None
                _, stream = await self._loop.create_connection(
                    lambda: _Stream(receiver), host, port, ssl=context
                )
        except TimeoutError:
            raise DialError(f"no answer in {timeout:.0f} s") from None
        except ssl.SSLError as error:
            raise TLSError(tls_reason(error)) from error
        except OSError as error:
            raise DialError("" if isinstance(error, ConnectionRefusedError) else _reason(error)) from error
        return stream

    async def _listen(
        self, host: str, port: int, accept: Callable[[Connection], Receiver]
    ) -> Listening:
        where = host or "0.0.0.0"
        try:
            server = await self._loop.create_server(lambda: _Accepted(accept), where, port)
        except OSError as error:
            raise DialError(_reason(error)) from error
        return _Port(server)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the client broke", exc_info=error)


class _Stream(asyncio.Protocol):
    """A TCP connection as the session's connection."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio has set NODELAY already."""
        self._transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._receiver.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._receiver.lost(str(exc) if exc is not None else "closed by the other end")

    def write(self, data: bytes) -> None:
        """Send. On a connection that has just failed asyncio would log each attempt."""
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what was written, then close."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        assert self._transport is not None
        self._transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        assert self._transport is not None
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        assert self._transport is not None
        self._transport.resume_reading()

    def local(self) -> tuple[str, int]:
        """Our end."""
        assert self._transport is not None
        name = self._transport.get_extra_info("sockname")
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)

    def certificate(self) -> bytes | None:
        """The other end's."""
        assert self._transport is not None
        tls = self._transport.get_extra_info("ssl_object")
        return None if tls is None else cast(bytes | None, tls.getpeercert(binary_form=True))


class _Accepted(_Stream):
    """A connection that somebody else made.

    Args:
        accept: says who hears it.
    """

    def __init__(self, accept: Callable[[Connection], Receiver]) -> None:
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask who hears it."""
        super().connection_made(transport)
        self._receiver = self._accept(self)


class _Port:
    """A listening port as the session's."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Let nobody in any more."""
        self._server.close()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()

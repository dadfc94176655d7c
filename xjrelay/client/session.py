# SPDX-License-Identifier: MIT
"""One user's session, for both frameworks: found, logged in, kept, until closed (U1-U15).

Composes the parts: :mod:`trackers` find a manager, :mod:`manager_side` keeps the login, through which
:mod:`roster`, :mod:`presence` and :mod:`account` ask, :mod:`relay_side` keeps the messages, :mod:`stream`
brings everything to the application. Their ``async`` methods await futures made by txaio's API object and so
run under Twisted and under asyncio; they know neither.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xjrelay.client.account import UserAccount
from xjrelay.client.checks import check_user, frame_of, pair_of
from xjrelay.client.contacts import ContactBook, PresenceBook
from xjrelay.client.core import Login
from xjrelay.client.errors import ClientError, Disconnected, NoTracker
from xjrelay.client.manager_requests import ManagerRequests
from xjrelay.client.manager_side import ManagerSide
from xjrelay.client.model import Direct, Event, Message, Receipt, RosterChange
from xjrelay.client.network import Backoff, Cancellable, Network
from xjrelay.client.presence import UserPresence
from xjrelay.client.relay_side import RelaySide
from xjrelay.client.roster import UserRoster
from xjrelay.client.stream import Stream
from xjrelay.client.target import Place
from xjrelay.client.trackers import Trackers
from xjrelay.security.scram import random_nonce
from xjrelay.wire import stanzas

if TYPE_CHECKING:
    from xjrelay.client.direct_side import DirectSide

SEND_TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
"""Seconds to a message's outcome, and for a manager and a relay to turn up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a session may leave out.

    Attributes:
        available: tell contacts that the user is online, and hear of them.
        messages: open a session at a relay.
        connect_timeout: seconds for a manager and a relay to turn up at the start.
    """

    available: bool = True
    messages: bool = True
    connect_timeout: float = CONNECT_TIMEOUT


class Session:
    """One user, logged in.

    Args:
        network: the framework.
        trackers: where the trackers are.
        login: as whom.
        settings: what to leave out.
        outbox: the file of what is under way and of the ids had; None keeps them in memory.
        nonce: the source of SCRAM nonces.
        direct: how direct links to friends are made; None for none.

    Attributes:
        contacts: the roster as last heard.
        presences: the presences as last heard.
        roster: how the contacts are changed.
        presence: how the user says how it is, and asks how others are.
        account: what its owner can do with it.
    """

    def __init__(
        self,
        network: Network,
        trackers: Sequence[Place],
        login: Login,
        settings: Settings | None = None,
        outbox: str | os.PathLike[str] | None = None,
        nonce: Callable[[], str] = random_nonce,
        direct: Direct | None = None,
    ) -> None:
        check_user(login.username)
        self.contacts = ContactBook()
        self.presences = PresenceBook()
        self._network = network
        self._settings = settings or Settings()
        self._stream = Stream(network, self._room)
        self._manager = ManagerSide(network, Trackers(network, trackers, self.emit), login, self, nonce)
        requests = ManagerRequests(self._manager, self._check_open)
        self.roster = UserRoster(network, requests, self.contacts, self.presences, self.emit)
        self.presence = UserPresence(
            network, requests, self.contacts, self.presences, self.emit, self._came_online
        )
        self.account = UserAccount(requests, self._manager, self.close)
        path = None if outbox is None else os.fspath(outbox)
        self._relay = RelaySide(network, self._manager, login.resource, self._stream, path)
        self._direct = None if direct is None else self._direct_side(direct)
        self._user = login.username
        self._tasks: list[Cancellable] = []
        self._over = False
        self._error: ClientError | None = None

    @property
    def username(self) -> str:
        """The registered spelling, once logged in."""
        return self._manager.username

    @property
    def relay(self) -> str:
        """The name of the relay we are at, or the empty string."""
        return self._relay.relay

    @property
    def manager(self) -> Place | None:
        """Where the manager we are logged in at is."""
        return self._manager.place

    # -- beginning and end -------------------------------------------------------------------

    async def start(self) -> None:
        """Log in, open the session at a relay, get the roster, say that we are here (U1-U6).

        A manager or relay that isn't there yet, or whose link is lost meanwhile, is tried again, up to
        ``connect_timeout``; a tracker isn't.

        Raises:
            NoTracker, NoManager, NoRelay, Refused, OutboxBroken: it didn't work; nothing is left running.
        """
        deadline = self._network.seconds() + self._settings.connect_timeout
        try:
            await self._relay.load(self._user)
            await self._until(deadline, self._manager.log_in)
            self._tasks.append(self._network.spawn(self._manager.keep()))
            if self._settings.messages:
                await self._until(deadline, self._relay.open)
                self._tasks.append(self._network.spawn(self._relay.keep()))
                if self._direct is not None:
                    await self._direct.start()
        except ClientError:
            await self.close()
            raise

    async def _until(self, deadline: float, attempt: Callable[[], Any]) -> None:
        backoff = Backoff(self._network)
        while True:
            try:
                await attempt()
                return
            except NoTracker:
                raise
            except ClientError as error:
                if not error.retryable or self._network.seconds() >= deadline:
                    raise
            await backoff.wait()

    async def close(self) -> None:
        """Acknowledge what was taken, log out, close every link (U13). Sends under way end Disconnected.

        One that has ended by itself is closed too, for the outbox's file to be free.
        """
        if self._over:
            self._relay.forget()
            return
        self._over = True
        self._cancel_tasks()
        self._relay.close()
        self._close_direct()
        await self._manager.log_out()
        self._finish(None)
        self._relay.forget()

    def end(self, error: ClientError) -> None:
        """Over for good: replaced by a newer login, or the login is refused from now on."""
        if self._over:
            return
        self._over, self._error = True, error
        self._relay.close()
        self._close_direct()
        self._finish(error)
        # Not at once: one of the tasks may be what is calling.
        self._network.call_later(0, self._cancel_tasks)

    def _finish(self, error: ClientError | None) -> None:
        self._manager.abandon()
        gone = error or Disconnected("the client is closed")
        self._relay.abandon(gone)
        self.presence.abandon(gone)
        self._stream.end(error)

    def _cancel_tasks(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()

    # -- messages (U14, U15) -----------------------------------------------------------------

    async def send(
        self,
        to: str,
        body: str,
        *,
        id: str | None = None,
        timeout: float = SEND_TIMEOUT,
        **keys: Any,
    ) -> Receipt:
        """Send a message and wait for its outcome.

        Args:
            to: ``username``, or ``username/resource`` for one device.
            body: the text.
            id: at most 64 characters; random when absent. The recipient's library drops a repeated one.
            timeout: seconds. "Not now" is tried again until then.
            keys: further keys of the stanza: ``type`` (``normal``, ``chat``, ``groupchat`` or ``headline``;
                ``chat`` when absent), ``subject``, ``thread``, ``lang``, or the application's own, which
                reach the recipient as they are. One that is None is left out.

        Returns:
            What became of it; see :class:`Receipt`.

        Raises:
            BadAddress: ``to`` can't be an address.
            BadMessage: it can't be sent as it is.
            OutboxFull: too much is under way.
            OutboxBroken: the outbox's file can't take it.
            TimedOut: no outcome came in ``timeout`` seconds. It may still arrive; sent again with the same
                ``id`` it is shown once.
            Disconnected: the client was closed before there was an outcome.
        """
        self._check_open()
        value = self._message(to, body, id, keys)
        pair = pair_of(to)
        if self._direct is not None:
            self._direct.about_to_send(to)
        return await self._relay.send(value, frame_of(value), pair, timeout)

    def _message(self, to: str, body: str, id: str | None, keys: dict[str, Any]) -> dict[str, Any]:
        """The stanza; its own keys win over the application's."""
        return {
            **{key: item for key, item in keys.items() if item is not None},
            "stanza": "message",
            "from": self.username,
            "to": to,
            "body": body,
            "id": id if id is not None else f"{self._network.random.getrandbits(96):024x}",
        }

    def events(self) -> AsyncIterator[Event]:
        """Everything that happens, messages included, until the client is closed.

        There is one stream: what was read here is not read by :meth:`messages`.
        """
        return self._stream.iterate()

    def messages(self) -> AsyncIterator[Message]:
        """Every message, until the client is closed; other events are passed over."""
        return self._stream.iterate_messages()

    def _room(self) -> None:
        self._relay.room()

    def _check_open(self) -> None:
        if self._over:
            raise self._error or Disconnected("the client is closed")

    # -- direct links ------------------------------------------------------------------------

    def _direct_side(self, direct: Direct) -> DirectSide:
        # Who doesn't want it doesn't pay for what it needs.
        from xjrelay.client.direct_side import DirectSide  # noqa: PLC0415

        side = DirectSide(self._network, direct, _House(self, self._relay))
        self._relay.direct = side
        return side

    def _close_direct(self) -> None:
        if self._direct is not None:
            self._direct.close()

    def is_direct(self, user: str) -> bool:
        """Whether messages to a user go by a direct link at this moment."""
        return self._direct is not None and self._direct.on_link(user)

    # -- what the manager's side tells -------------------------------------------------------

    def emit(self, event: Event) -> None:
        """For the application."""
        self._stream.put(event)
        if isinstance(event, RosterChange) and self._direct is not None:
            self._direct.contact_changed(event.contact.username)

    async def greet(self) -> None:
        """After each login: the roster, then the initial presence (U6)."""
        if not self._settings.available:
            return
        await self.roster.get()
        await self.presence.say()

    def presence_heard(self, presence: stanzas.Presence) -> None:
        """A presence from the manager: what became of a contact, or how somebody is."""
        if presence.type in ("subscribed", "unsubscribed"):
            self.roster.told(presence)
        else:
            self.presence.heard(presence)

    def _came_online(self, user: str) -> None:
        if self._direct is not None:
            self._direct.presence_heard(user)


class _House:
    """What the direct links ask of the rest."""

    def __init__(self, session: Session, relay: RelaySide) -> None:
        self._session = session
        self._relay = relay
        self.sending = relay.sending
        self.say_iq = relay.say_iq
        self.deliver = relay.deliver
        self.tell: Callable[[Event], None] = session.emit

    @property
    def username(self) -> str:
        """The user."""
        return self._session.username

    def relay_host(self) -> str:
        """Our own address on the way to the relay."""
        return self._relay.local_host

    def is_mutual(self, user: str) -> bool:
        """Whether each is the other's contact."""
        contact = self._session.contacts.get(user)
        return contact is not None and contact.subscription == "both"

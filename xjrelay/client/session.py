# SPDX-License-Identifier: MIT
"""One user's session, for both frameworks: found, logged in, kept, until closed (U1-U15).

Composes the parts: :mod:`trackers` find a manager, :mod:`manager_side` keeps the login,
:mod:`relay_side` keeps the messages, :mod:`stream` brings everything to the application. Its ``async``
methods await futures made by txaio's API object and so run under Twisted and under asyncio; it knows neither.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xjrelay.client.contacts import ContactBook, PresenceBook, contact_of, presence_of
from xjrelay.client.core import Login
from xjrelay.client.errors import (
    BadAddress,
    BadMessage,
    ClientError,
    Disconnected,
    NoTracker,
    Refused,
    TimedOut,
)
from xjrelay.client.manager_side import ManagerSide
from xjrelay.client.model import Contact, Direct, Event, Message, Presence, Receipt, RosterChange, user_key
from xjrelay.client.network import Backoff, Cancellable, Network, Promise
from xjrelay.client.relay_side import RelaySide
from xjrelay.client.stream import Stream
from xjrelay.client.target import Place
from xjrelay.client.trackers import Trackers
from xjrelay.security.scram import random_nonce
from xjrelay.wire import address, codec, stanzas
from xjrelay.wire.errors import RemoteError
from xjrelay.wire.framing import DEFAULT_MAX_FRAME

if TYPE_CHECKING:
    from xjrelay.client.direct_side import DirectSide

SEND_TIMEOUT = 30.0
ASK_TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
"""Seconds to a message's outcome, to a manager's answer, and for a manager and a relay to turn up."""


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
        path = None if outbox is None else os.fspath(outbox)
        self._relay = RelaySide(network, self._manager, login.resource, self._stream, path)
        self._direct = None if direct is None else self._direct_side(direct)
        self._user = login.username
        self._mine: dict[str, str] = {}  # show and status as the application set them
        self._asked: dict[str, list[Promise[Presence]]] = {}
        self._changes: list[str] = []  # contacts that a request under way is about
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
        for promises in self._asked.values():
            for promise in promises:
                promise.settle(gone)
        self._asked.clear()
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
        message_id = id if id is not None else f"{self._network.random.getrandbits(96):024x}"
        value: dict[str, Any] = {
            **{key: item for key, item in keys.items() if item is not None},
            "stanza": "message",
            "from": self.username,
            "to": to,
            "body": body,
            "id": message_id,
        }
        pair = _pair(to)
        if self._direct is not None:
            self._direct.about_to_send(to)
        return await self._relay.send(value, _frame(value), pair, timeout)

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

    # -- roster (U7-U10) ---------------------------------------------------------------------

    async def get_roster(self) -> list[Contact]:
        """The roster, asked anew."""
        iq = await self._iq("get", {"items": None})
        items = iq.query.get("items") if isinstance(iq.query, dict) else None
        self.contacts.learn(items if isinstance(items, list) else [])
        return list(self.contacts)

    async def add(self, user: str, name: str | None = None) -> Contact:
        """Add a contact, or rename one (U8, U9).

        Raises:
            Refused: 404 there is no such user; 400 it is the user itself.
        """
        check_user(user)
        item = {"jid": user, "subscription": "to"} | ({} if name is None else {"name": name})
        if user_key(user) == user_key(self.username):
            raise Refused(400, "nobody is their own contact")
        with self._changing(user):
            iq = await self._iq("set", {"item": item})
        contact = contact_of(iq.query.get("item")) if isinstance(iq.query, dict) else None
        contact = contact or Contact(user, name)
        if self.contacts.put(contact):
            self.emit(RosterChange(contact))
        return contact

    async def remove(self, user: str) -> None:
        """Remove a contact (U10).

        Raises:
            Refused: 400 it is not in the roster.
        """
        check_user(user)
        item = {"jid": user, "subscription": "to"}
        try:
            with self._changing(user):
                await self._iq("set", {"item": item}, subscription="remove")
        except Refused as error:
            if error.code != 400:
                raise
            raise Refused(400, f"{user} is not a contact") from error
        self.presences.drop(user)
        was = self.contacts.drop(user)
        if was is not None:
            self.emit(RosterChange(was, removed=True))

    @contextmanager
    def _changing(self, user: str) -> Iterator[None]:
        """Meanwhile what is told of that contact is our own doing."""
        self._changes.append(user_key(user))
        try:
            yield
        finally:
            self._changes.remove(user_key(user))

    async def _iq(
        self, type: str, query: dict[str, Any], subscription: str | None = None, namespace: str = "roster"
    ) -> stanzas.Iq:
        self._check_open()
        answer = await self._manager.request(
            lambda request_id: stanzas.Iq(
                namespace=namespace,
                from_=self.username,
                type=type,
                query=query,
                subscription=subscription,
                id=request_id,
            ),
            ASK_TIMEOUT,
        )
        if not isinstance(answer, stanzas.Iq):
            raise Refused(400, "the manager answered something else")
        return answer

    # -- the account -------------------------------------------------------------------------

    async def change_password(self, new: str) -> None:
        """Another password for the account.

        Every session of the account ends, on every relay; this client's own is opened again by itself.

        Args:
            new: no white space, at most 1,024 characters.

        Raises:
            Refused: 400 it can't be a password; 401 the one we know isn't the account's any more; 426
                somebody could read it on the way; 429 too many wrong ones lately.
            Disconnected, TimedOut: perhaps it was changed all the same; a new login with each will tell.
        """
        await self._iq("set", {"current": self._manager.password, "password": new}, namespace="account")
        self._manager.learn_password(new)

    async def remove_account(self) -> None:
        """Remove the account, with its contacts and all that waits for it, and close.

        Raises:
            Refused, Disconnected, TimedOut: as for :meth:`change_password`.
        """
        await self._iq("set", {"current": self._manager.password, "remove": True}, namespace="account")
        await self.close()

    # -- presence (U6, U11, U12) -------------------------------------------------------------

    async def set_presence(
        self, *, bio: str | None = None, show: str | None = None, status: str | None = None
    ) -> None:
        """Tell contacts how the user is.

        Args:
            bio: the user's line, kept at the manager (U12).
            show: ``away``, ``chat``, ``dnd``, ``xa``, or the empty string for plainly there.
            status: a line for now; the empty string for none.

        Raises:
            Refused: a text too long, or a ``show`` that is none.
        """
        self._check_open()
        if bio is not None:
            await self._tell(stanzas.Presence(from_=self.username, bio=bio))
        if show is None and status is None:
            return
        for key, text in (("show", show), ("status", status)):
            if text is not None:
                self._mine[key] = text
        await self._tell(self._own_presence())

    async def ask(self, user: str) -> Presence:
        """How another user is, contact or not; it hears how we are (U11).

        Raises:
            Refused: 404 there is no such user.
        """
        self._check_open()
        check_user(user)
        promise: Promise[Presence] = Promise(self._network)
        waiting = self._asked.setdefault(user_key(user), [])
        waiting.append(promise)
        try:
            await self._tell(stanzas.Presence(from_=self.username, to=user))
            return await promise.wait_within(ASK_TIMEOUT, TimedOut("the manager didn't say how that user is"))
        finally:
            if promise in waiting:
                waiting.remove(promise)

    async def _tell(self, presence: stanzas.Presence) -> None:
        def build(request_id: str) -> stanzas.Stanza:
            presence.id = request_id
            return presence

        await self._manager.tell(build, ASK_TIMEOUT)

    def _own_presence(self) -> stanzas.Presence:
        show, status = self._mine.get("show") or None, self._mine.get("status") or None
        return stanzas.Presence(from_=self.username, show=show, status=status)  # type: ignore[arg-type]

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
        await self.get_roster()
        await self._tell(self._own_presence())

    def presence_heard(self, presence: stanzas.Presence) -> None:
        """A presence from the manager."""
        user = presence.username or (presence.from_ or "").partition("/")[0]
        if presence.type == "error":
            self._answer_ask(presence.target or user, Refused(404, "there is no such user"))
        elif presence.type in ("subscribed", "unsubscribed"):
            self._roster_told(user, presence.item)
        elif (value := presence_of(presence)) is not None:
            if not value.directed or user in self.contacts:
                self.presences.put(value)
            if self._direct is not None and value.state == "online" and not value.directed:
                self._direct.presence_heard(user)
            self._answer_ask(user, value)
            self.emit(value)

    def _roster_told(self, user: str, item: dict[str, Any] | None) -> None:
        """``subscribed`` or ``unsubscribed``, with the contact as it is now."""
        if contact_of(item) is None:
            self._network.spawn(self._look_again())
            return
        change = self.contacts.apply(item, by_other=user_key(user) not in self._changes)
        if change is not None:
            if change.removed:
                self.presences.drop(change.contact.username)
            self.emit(change)

    async def _look_again(self) -> None:
        """Something changed and we weren't told what is left: ask."""
        before = {one.username: one for one in self.contacts}
        try:
            after = {one.username: one for one in await self.get_roster()}
        except ClientError:
            return  # the link went; the next login gets the roster anyway
        for name in before.keys() - after.keys():
            self.presences.drop(name)
            self.emit(RosterChange(before[name], removed=True, by_other=True))
        for name, contact in after.items():
            if before.get(name) != contact:
                self.emit(RosterChange(contact, by_other=True))

    def _answer_ask(self, user: str, outcome: Presence | ClientError) -> None:
        for promise in self._asked.pop(user_key(user), []):
            promise.settle(outcome)


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


def check_user(user: str) -> None:
    """Nothing, if ``user`` can be a username.

    Raises:
        BadAddress: it can't.
    """
    try:
        address.key(user)
    except address.InvalidAddress as error:
        raise BadAddress(f"{user!r} can't be a username: {error.msg}") from None


def _pair(to: str) -> str:
    try:
        return address.parse(to).key
    except address.InvalidAddress as error:
        raise BadAddress(f"{to!r} can't be an address: {error.msg}") from None


def _frame(value: dict[str, Any]) -> bytes:
    """The message, encoded; checked as the relay will check it."""
    message_id = value["id"]
    if not isinstance(message_id, str) or not 0 < len(message_id) <= stanzas.MAX_ID:
        raise BadMessage(f"an id has 1 to {stanzas.MAX_ID} characters")
    try:
        frame = codec.encode(value)
        stanzas.parse(stanzas.Kind.MESSAGE, codec.decode(frame))
    except (RemoteError, ValueError, TypeError) as error:
        raise BadMessage(f"not a message that can be sent: {error}") from None
    if len(frame) > DEFAULT_MAX_FRAME:
        raise BadMessage(f"a message has at most {DEFAULT_MAX_FRAME} bytes, this one has {len(frame)}")
    return frame

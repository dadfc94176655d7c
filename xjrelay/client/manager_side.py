# SPDX-License-Identifier: MIT
"""The user's link to the manager: found, logged in, and kept (protocol, section 6; U2-U4).

Messages don't need this link, so its loss is mended in the background. A login that is refused for good
(a changed password, a removed account) or replaced by another ends the whole client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from xjrelay.client.channel import Channel
from xjrelay.client.core import Login, ManagerCore
from xjrelay.client.errors import ClientError, Disconnected, NoManager, Refused, Replaced, TimedOut
from xjrelay.client.heard import (
    Answered,
    Assignment,
    CoreEvent,
    IqHeard,
    LoggedIn,
    Ponged,
    PresenceHeard,
    ProofWanted,
)
from xjrelay.client.model import Event, LinkState, Notice
from xjrelay.client.network import Backoff, Network, Promise
from xjrelay.client.target import Place
from xjrelay.client.trackers import Trackers
from xjrelay.security.scram import ScramError, random_nonce
from xjrelay.wire.stanzas import GetRelay, Iq, Presence, Stanza

Answer = Answered | Iq | None

LOGIN_TIMEOUT = 120.0
"""Seconds for a login: after a restart a manager works on some at a time, and shows others that it lives."""

ASK_EVERY = 3
"""Tries of which the last asks the trackers: where the manager was is where it mostly comes back, and after a
restart of everything the trackers have the relays to serve."""

FRESH = 30.0
"""Seconds in which a login's relay and token are worth using: the manager keeps the place as long."""


class ManagerListener(Protocol):
    """Who hears what the manager says unasked."""

    def emit(self, event: Event) -> None:
        """For the application."""

    def presence_heard(self, presence: Presence) -> None:
        """A presence."""

    def greet(self) -> Awaitable[None]:
        """A login is through: get the roster, say how we are."""

    def end(self, error: ClientError) -> None:
        """It is over for good."""


class ManagerSide:
    """Keeps one login alive.

    Args:
        network: the framework.
        trackers: who knows where the managers are.
        login: as whom; with ``register`` the first time only.
        listener: hears the rest.
        nonce: the source of SCRAM nonces.

    Attributes:
        username: the registered spelling once the manager said it, until then as typed.
        place: where the manager is, once found.
    """

    def __init__(
        self,
        network: Network,
        trackers: Trackers,
        login: Login,
        listener: ManagerListener,
        nonce: Callable[[], str] = random_nonce,
    ) -> None:
        self.username = login.username
        self.place: Place | None = None
        self._network = network
        self._trackers = trackers
        self._login = login
        self._listener = listener
        self._nonce = nonce
        self._channel: Channel[ManagerCore] | None = None
        self._assigned = Assignment()
        self._assigned_at = 0.0
        self._outcome: Promise[LoggedIn] | None = None
        self._requests: dict[str, Promise[Answer]] = {}
        self._waiting: list[Promise[None]] = []
        self._serial = 0
        self._told_up = False
        self._misses = 0  # tries in a row without a login
        self._backoff = Backoff(network)

    @property
    def is_up(self) -> bool:
        """Whether we are logged in at this moment."""
        return self._channel is not None and self._channel.is_open and self._outcome is None

    @property
    def password(self) -> str:
        """What the next login proves to know."""
        return self._login.password

    def learn_password(self, password: str) -> None:
        """It was changed: the next login needs another."""
        self._login = replace(self._login, password=password)

    # -- logging in --------------------------------------------------------------------------

    async def log_in(self) -> None:
        """One try: dial where the manager was, or ask the trackers and dial each they know; log in, greet.

        Raises:
            NoTracker, NoManager, Refused, Disconnected, ProtocolError: it didn't work.
        """
        for place in await self._places():
            try:
                await self._log_in_at(place)
                break
            except Refused:
                raise
            except ClientError as error:
                last = error
        else:
            raise NoManager(str(last)) from last
        self._misses = 0
        self._backoff.reset()
        self._told_up = True
        self._listener.emit(LinkState("manager", True, str(self.place)))
        while self._waiting:
            self._waiting.pop().settle(None)
        await self._listener.greet()

    async def _places(self) -> list[Place]:
        """Where a manager may be: one place at least."""
        misses, self._misses = self._misses, self._misses + 1  # a login begins the count anew
        if self.place is not None and misses % ASK_EVERY < ASK_EVERY - 1:
            return [self.place]
        places = await self._trackers.managers()
        if not places:
            raise NoManager("the tracker knows of no manager: is one running?")
        return places

    async def keep(self) -> None:
        """Log in again whenever the link is lost, until it is over."""
        while True:
            if self._channel is not None and self._told_up:
                await self._channel.gone.wait()
                self._told_up = False
                self._listener.emit(LinkState("manager", False, self._channel.why or ""))
            await self._backoff.wait()
            try:
                await self.log_in()
            except Refused as error:
                if not error.retryable:
                    self._listener.end(error)
                    return
            except ClientError as error:
                self._network.log("no login yet: {why}", why=str(error))

    async def _log_in_at(self, place: Place) -> None:
        self._outcome = Promise(self._network)
        channel: Channel[ManagerCore] = Channel(self._network, "manager", self._heard)
        self._channel = channel
        try:
            await channel.open(place, lambda local: self._core(local, channel.certificate))
            logged_in = await channel.answer(self._outcome, LOGIN_TIMEOUT)
        finally:
            self._outcome = None
        self.place = place
        self.username = logged_in.username or self.username
        self._assigned, self._assigned_at = logged_in.assignment, self._network.seconds()
        self._login = replace(self._login, register=False)

    def _core(self, local: tuple[str, int], certificate: bytes | None) -> ManagerCore:
        try:
            return ManagerCore(local, self._login, self._nonce, certificate)
        except ScramError as error:
            raise Refused(400, str(error)) from None

    async def _prove(self, channel: Channel[ManagerCore], wanted: ProofWanted) -> None:
        try:
            proof = await self._network.compute(wanted.derive)
        except ScramError as error:
            channel.close(str(error))
            return
        if channel.is_open:
            channel.core.prove(proof)
            channel.flush()

    # -- asking ------------------------------------------------------------------------------

    async def assignment(self) -> Assignment:
        """The relay to use, with a token that has not been used: the login's, or a fresh one.

        Raises:
            NoManager: we are not logged in now.
            ClientError: as for :meth:`request`.
        """
        assigned, self._assigned = self._assigned, Assignment()
        if assigned.host and self._network.seconds() - self._assigned_at < FRESH:
            return assigned
        if not self.is_up:
            raise NoManager("the manager is away, and only it can give a relay")
        answer = await self.request(lambda request_id: GetRelay(id=request_id))
        assert isinstance(answer, Answered)
        return answer.assignment

    async def request(self, build: Callable[[str], Stanza], timeout: float = 30.0) -> Answer:
        """Ask, and wait for the answer; while the manager is away, wait for it first.

        Args:
            build: makes the request, given its id.
            timeout: seconds for everything.

        Raises:
            Refused: the manager said no.
            Disconnected: the link was lost before the answer.
            TimedOut: neither came in time.
        """
        deadline = self._network.seconds() + timeout
        channel = await self._wait_up(timeout)
        request_id = self._next_id()
        promise: Promise[Answer] = Promise(self._network)
        self._requests[request_id] = promise
        channel.expect(promise)
        try:
            channel.core.say(build(request_id))
            channel.flush()
            left = max(0.0, deadline - self._network.seconds())
            return await promise.wait_within(left, TimedOut(f"the manager gave no answer in {timeout:.0f} s"))
        finally:
            self._requests.pop(request_id, None)

    async def tell(self, build: Callable[[str], Stanza], timeout: float = 30.0) -> None:
        """Say something that is answered only when it is refused.

        A ping goes behind it; requests of one link are answered in order, so the pong means that it
        was taken.

        Raises:
            Refused, Disconnected, TimedOut: as for :meth:`request`.
        """
        channel = await self._wait_up(timeout)
        request_id, ping_id = self._next_id(), self._next_id()
        promise: Promise[Answer] = Promise(self._network)
        self._requests[request_id] = self._requests[ping_id] = promise
        channel.expect(promise)
        try:
            channel.core.say(build(request_id))
            channel.core.ping(ping_id)
            channel.flush()
            await promise.wait_within(timeout, TimedOut(f"the manager gave no answer in {timeout:.0f} s"))
        finally:
            self._requests.pop(request_id, None)
            self._requests.pop(ping_id, None)

    async def log_out(self, timeout: float = 2.0) -> None:
        """Say that we are unavailable, and wait for the manager to close (U13)."""
        channel = self._channel
        if channel is None:
            return
        if self.is_up:
            gone: Promise[None] = Promise(self._network)
            channel.expect(gone)
            channel.core.say(Presence(from_=self.username, type="unavailable"))
            channel.flush()
            with suppress(ClientError):  # gone, or too slow to be waited for: either way we leave
                await gone.wait_within(timeout, TimedOut("the manager doesn't close"))
        channel.close("logged out")

    async def _wait_up(self, timeout: float) -> Channel[ManagerCore]:
        if not self.is_up:
            promise: Promise[None] = Promise(self._network)
            self._waiting.append(promise)
            await promise.wait_within(timeout, TimedOut(f"no manager for {timeout:.0f} s"))
        channel = self._channel
        if channel is None or not channel.is_open:
            raise Disconnected("the link to the manager is lost")
        return channel

    def abandon(self) -> None:
        """The client is over: whoever waits for the manager waits no longer."""
        while self._waiting:
            self._waiting.pop().settle(Disconnected("the client is closed"))
        if self._channel is not None:
            self._channel.close("closed")

    def _next_id(self) -> str:
        self._serial += 1
        return f"q{self._serial}"

    # -- hearing -----------------------------------------------------------------------------

    def _heard(self, event: CoreEvent) -> None:
        if isinstance(event, ProofWanted) and self._channel is not None:
            self._network.spawn(self._prove(self._channel, event))
        elif isinstance(event, LoggedIn) and self._outcome is not None:
            self._outcome.settle(event)
        elif isinstance(event, Answered):
            self._answered(event)
        elif isinstance(event, IqHeard):
            self._iq_heard(event.iq)
        elif isinstance(event, PresenceHeard):
            self._listener.presence_heard(event.presence)
        elif isinstance(event, Ponged) and event.id in self._requests:
            self._requests[event.id].settle(None)

    def _answered(self, answer: Answered) -> None:
        if self._outcome is not None:
            self._outcome.settle(Refused(answer.code, answer.msg))
            return
        promise = self._requests.get(answer.id or "")
        if promise is not None:
            promise.settle(Refused(answer.code, answer.msg) if answer.error else answer)
        elif answer.error and answer.code == 409:
            self._listener.end(Replaced("this user has logged in elsewhere"))
        else:
            self._listener.emit(Notice("manager", answer.code, answer.msg))

    def _iq_heard(self, iq: Iq) -> None:
        promise = self._requests.get(iq.id) if isinstance(iq.id, str) else None
        if promise is None:
            self._listener.emit(Notice("manager", 200, "an iq that answers nothing"))
        else:
            promise.settle(_refusal(iq) if iq.type == "error" else iq)


_CODES = {
    "bad-request": 400,
    "not-authorized": 401,
    "policy-violation": 426,
    "forbidden": 403,
    "item-not-found": 404,
    "conflict": 409,
    "resource-constraint": 429,
}
"""A stanza error's condition (RFC 6120, 8.3.3) as a code, so that an application knows one vocabulary."""

_SENTENCES = {
    400: "the request was not understood, or not allowed for this contact",
    401: "not logged in, or not the password",
    403: "not allowed",
    404: "there is no such user",
    409: "in conflict with something there already",
    426: "not over a connection that others can read",
    429: "too much, try again later",
}


def _refusal(iq: Iq) -> Refused:
    condition = iq.error.get("stanza_error") if isinstance(iq.error, dict) else None
    code = _CODES.get(condition, 400) if isinstance(condition, str) else 400
    return Refused(code, _SENTENCES[code])

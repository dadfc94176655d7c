# SPDX-License-Identifier: MIT
"""The client's side of each link without a link: bytes in, events out, frames to send beside them.

One machine a kind of connection: :class:`TrackerCore`, :class:`ManagerCore`, :class:`RelayCore`, and
:class:`ProbeCore` which only pings. Each is fed what arrives (:meth:`LinkCore.receive`) and asked what to
write (:meth:`LinkCore.to_send`). Pings are answered here. Knows no framework, no clock and no counting:
what is acknowledged is decided above.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xjrelay.client.heard import (
    AckHeard,
    Broken,
    ComponentsHeard,
    CoreEvent,
    IqHeard,
    LoggedIn,
    MoveHeard,
    Ponged,
    PresenceHeard,
    ProofWanted,
    ReceiptHeard,
    SessionOpened,
    Strange,
    answered,
    assignment_of,
    components_of,
    message_of,
)
from xjrelay.security.scram import PLUS, ScramClient, ScramError, random_nonce
from xjrelay.wire import codec, stanzas
from xjrelay.wire.errors import Code, RemoteError
from xjrelay.wire.framing import DEFAULT_MAX_FRAME, LF, Framer
from xjrelay.wire.grammar import Phase, check
from xjrelay.wire.stanzas import Kind

MAX_FRAME = 16 * 1024 * 1024
"""What is accepted from a server we chose, in bytes: a roster of 10,000 is one frame."""

MAX_STRANGE = 10
"""Frames in a row that can't be understood before the link is given up."""


class LinkCore:
    """What every link has: frames, grammar, pings.

    Args:
        phase: where the link begins.
        max_frame: the longest frame accepted, in bytes.
    """

    def __init__(self, phase: Phase, max_frame: int = MAX_FRAME) -> None:
        self.phase = phase
        self._framer = Framer(max_frame, LF)
        self._out: list[bytes] = []
        self._strange = 0
        self._broken = False

    def receive(self, data: bytes) -> list[CoreEvent]:
        """What the bytes mean, in order; after a :class:`Broken` nothing more."""
        events: list[CoreEvent] = []
        frames = [] if self._broken else self._framer.feed(data)
        for frame in frames:
            event = self._read(frame)
            if event is None:
                continue
            events.append(event)
            if isinstance(event, Broken):
                break
        else:
            if self._framer.too_long and not self._broken:
                events.append(self._break("a frame longer than any we accept"))
        return events

    def to_send(self) -> bytes:
        """What is to be written now; each byte is given once."""
        out, self._out = self._out, []
        return b"".join(frame + LF for frame in out)

    def say(self, value: stanzas.Stanza | dict[str, Any]) -> None:
        """Queue a frame."""
        self._out.append(codec.encode(value))

    def say_frame(self, frame: bytes) -> None:
        """Queue an encoded frame."""
        self._out.append(frame)

    def ping(self, ping_id: str | None = None) -> None:
        """Queue a ping."""
        self.say(stanzas.Ping(ping_id))

    def _read(self, frame: bytes) -> CoreEvent | None:
        kind: Kind | None = None
        try:
            value = codec.decode_value(frame)
            if isinstance(value, list):
                kind, value = Kind.COMPONENTS, {"components": value}
            elif isinstance(value, dict):
                kind = stanzas.classify(value)
            else:
                raise codec.BadFrame("a frame must hold a JSON object")
            check(self.phase, kind)
            event = self._heard(kind, value)
        except RemoteError as error:
            return self._odd(error.msg, kind)
        self._strange = 0
        return event

    def _odd(self, why: str, kind: Kind | None) -> CoreEvent:
        """Not ours to answer: an error said to an error would go on for ever."""
        self._strange += 1
        if self._strange >= MAX_STRANGE:
            return self._break(f"too many frames that can't be understood, the last: {why}")
        counted = self.phase is Phase.AT_RELAY_USER and kind in (Kind.MESSAGE, Kind.RECEIPT)
        return Strange(why, counted)

    def _break(self, why: str) -> Broken:
        self._broken = True
        return Broken(why)

    def _heard(self, kind: Kind, value: dict[str, Any]) -> CoreEvent | None:
        if kind is Kind.COMPONENTS:
            return ComponentsHeard(tuple(components_of(value["components"])))
        stanza = stanzas.parse(kind, value)
        if isinstance(stanza, stanzas.Ping):
            self.say(stanzas.Pong(stanza.id))
            return None
        if isinstance(stanza, stanzas.Pong):
            return Ponged(stanza.id)
        return self._understood(stanza, value)

    def _understood(self, stanza: stanzas.Stanza, value: dict[str, Any]) -> CoreEvent | None:
        if isinstance(stanza, stanzas.Answer):
            return answered(stanza)
        raise AssertionError(f"the grammar lets {stanza!r} through")  # a bug of ours, never the peer's


class ProbeCore(LinkCore):
    """Asks whoever listens whether it is alive."""

    def __init__(self) -> None:
        super().__init__(Phase.AT_TRACKER_OPEN)
        self.ping("probe")


class TrackerCore(LinkCore):
    """Asks a tracker who is there (section 4)."""

    def __init__(self, local: tuple[str, int]) -> None:
        super().__init__(Phase.AT_TRACKER_OPEN)
        self.say(_hello(local))


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in.

    Attributes:
        register: make the account first; the one time the password itself is sent.
        invitation: where one is needed to register.
    """

    username: str
    password: str = field(repr=False)
    resource: str = ""
    register: bool = False
    invitation: str | None = field(default=None, repr=False)


class ManagerCore(LinkCore):
    """Logs in at a manager, then asks and hears (section 6).

    Args:
        local: our address and port, for the hello.
        login: as whom.
        nonce: the source of SCRAM nonces.
        certificate: what the manager showed, in DER, to which the proof is bound; None without TLS.

    Raises:
        ScramError: the username or password holds a character SASLprep forbids.
    """

    def __init__(
        self,
        local: tuple[str, int],
        login: Login,
        nonce: Callable[[], str] = random_nonce,
        certificate: bytes | None = None,
    ) -> None:
        super().__init__(Phase.AT_MANAGER_LOGIN)
        self._login = login
        self._nonce = nonce
        self._certificate = certificate
        self._scram: ScramClient | None = None
        self._proven = False
        self._derived = False
        self.say(_hello(local))
        if login.register:
            self.say(
                stanzas.Auth(
                    username=login.username,
                    password=login.password,
                    register=True,
                    invitation=login.invitation,
                    resource=login.resource,
                )
            )
        else:
            self._challenge()

    def prove(self, proof: str) -> None:
        """Queue the SCRAM step that a :class:`ProofWanted` asked for."""
        assert self._scram is not None
        self.say(stanzas.Auth(mechanism=self._scram.mechanism, data=proof))

    def _challenge(self, bound: bool = True) -> None:
        login = self._login
        scram = self._scram = ScramClient(
            login.username, login.password, self._nonce, certificate=self._certificate, bound=bound
        )
        first = scram.first()
        self.say(stanzas.Auth(scram.mechanism, first, replace=True, resource=login.resource))

    def _understood(self, stanza: stanzas.Stanza, value: dict[str, Any]) -> CoreEvent | None:
        if isinstance(stanza, stanzas.Auth):
            return self._scram_step(stanza.data or "")
        if isinstance(stanza, stanzas.Answer) and self.phase is Phase.AT_MANAGER_LOGIN:
            return self._outcome(stanza)
        if isinstance(stanza, stanzas.Iq):
            return IqHeard(stanza)
        if isinstance(stanza, stanzas.Presence):
            return PresenceHeard(stanza)
        return super()._understood(stanza, value)

    def _is_bound(self) -> bool:
        """Whether we have said the first step, bound to the certificate, and nothing more."""
        return self._scram is not None and self._scram.mechanism == PLUS and not self._derived

    def _scram_step(self, data: str) -> CoreEvent | None:
        scram = self._scram
        if scram is None or self._proven:
            return self._break("a SCRAM step that nobody asked for")
        if not self._derived:
            self._derived = True
            return ProofWanted(lambda: scram.final(data))
        try:
            scram.finish(data)
        except ScramError as error:
            return self._break(str(error))
        self._proven = True
        return None

    def _outcome(self, answer: stanzas.Answer) -> CoreEvent | None:
        if answer.error and answer.code == Code.BAD_REQUEST and self._is_bound():
            # Perhaps it stands behind somebody who does its TLS. If it doesn't, and somebody else
            # said this, it will notice: the next try tells it that we know of binding.
            self._challenge(bound=False)
            return None
        if answer.error:
            return answered(answer)
        if self._scram is not None and not self._proven:
            return self._break("the manager has not proved that it knows the password")
        self.phase = Phase.AT_MANAGER_USER
        return LoggedIn(answer.username, answer.code, assignment_of(answer))


class DirectCore(LinkCore):
    """One end of a link between two users (section 13).

    Attributes:
        frames: how many have come.
    """

    def __init__(self) -> None:
        super().__init__(Phase.DIRECT, DEFAULT_MAX_FRAME)
        self.frames = 0

    def _read(self, frame: bytes) -> CoreEvent | None:
        self.frames += 1
        return super()._read(frame)

    def _understood(self, stanza: stanzas.Stanza, value: dict[str, Any]) -> CoreEvent | None:
        if isinstance(stanza, stanzas.Iq):
            return IqHeard(stanza)
        if isinstance(stanza, stanzas.Message):
            return message_of(stanza, value)
        if isinstance(stanza, stanzas.Receipt):
            return ReceiptHeard(stanza)
        return super()._understood(stanza, value)


class RelayCore(LinkCore):
    """One connection of a session at a relay (section 7)."""

    def __init__(self) -> None:
        super().__init__(Phase.AT_RELAY_HELLO)

    def open(self, username: str, token: str, resource: str) -> None:
        """Queue the hello of a new session."""
        self.say(stanzas.UserHello(username=username, token=token, resource=resource, ack=True))

    def resume(self, username: str, key: str, h: int) -> None:
        """Queue the hello that resumes a session.

        Args:
            h: how many of the relay's counted frames we have taken.
        """
        self.say(stanzas.UserHello(username=username, resume=key, h=h))

    def acknowledge(self, h: int) -> None:
        """Queue an acknowledgement."""
        self.say(stanzas.Ack(h))

    def _understood(self, stanza: stanzas.Stanza, value: dict[str, Any]) -> CoreEvent | None:
        if isinstance(stanza, stanzas.UserWelcome):
            self.phase = Phase.AT_RELAY_USER
            return SessionOpened(
                stanza.relay_username, stanza.session, stanza.resume_key, stanza.resumed, stanza.h or 0
            )
        if isinstance(stanza, stanzas.Message):
            return message_of(stanza, value)
        if isinstance(stanza, stanzas.Iq):
            return IqHeard(stanza)
        if isinstance(stanza, stanzas.Receipt):
            return ReceiptHeard(stanza)
        if isinstance(stanza, stanzas.Ack):
            return AckHeard(stanza.h)
        if isinstance(stanza, stanzas.Move):
            return MoveHeard(stanza.within / 1000)
        return super()._understood(stanza, value)


def _hello(local: tuple[str, int]) -> stanzas.ComponentHello:
    host, port = local
    return stanzas.ComponentHello(ip_local=host or "0.0.0.0", port=port, type="client", is_private=True)

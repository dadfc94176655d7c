# SPDX-License-Identifier: MIT
"""A manager on dicts and a fake clock, and those who talk to it over in-memory pipes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.context import Context, Limits
from xjrelay.net.pipe import Pipe
from xjrelay.security.scram import MECHANISM, ScramClient
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Claims, Signer, Verifier
from xjrelay.servers.manager.protocol import ManagerFactory, ManagerProtocol
from xjrelay.servers.manager.state import InThread, Manager, Policy
from xjrelay.storage.interfaces import ManagerStores
from xjrelay.storage.memory import memory_manager_stores
from xjrelay.wire.framing import LF, Framer

NOW = 1_800_000_000.0
SECRET = ClusterSecret("a secret of the tests", random_bytes=lambda size: b"s" * size)
PASSWORD = "rahasia"
HELLO = {"ip_local": "10.0.0.9", "port": 0, "type": "client"}

Frame = dict[str, Any]


class Wire(Protocol):
    """The other end of a manager's link: says frames, keeps what it hears.

    Args:
        rig: whose clock moves when something is said.
        delimiter: which framing it speaks.
    """

    def __init__(self, rig: Rig, delimiter: bytes = LF) -> None:
        self.rig = rig
        self.heard: list[Any] = []
        self.open = True
        self.pipe: Pipe
        self.link: ManagerProtocol
        self._delimiter = delimiter
        self._framer = Framer(2**24, delimiter)

    def dataReceived(self, data: bytes) -> None:
        """Keep every frame but pings."""
        for frame in self._framer.feed(data):
            value = msgspec.json.decode(frame)
            if value == {"type": "ping"}:
                continue
            self.heard.append(value)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The manager closed, or the network did."""
        self.open = False

    def say_bytes(self, data: bytes) -> None:
        """Bytes as they are."""
        assert self.transport is not None
        self.transport.write(data)
        self.rig.settle()

    def say(self, *values: Mapping[str, Any]) -> None:
        """Frames, in one write."""
        frames = [msgspec.json.encode(value) + self._delimiter for value in values]
        self.say_bytes(b"".join(frames))

    def take(self) -> list[Any]:
        """What was heard since the last time."""
        self.rig.settle()
        heard, self.heard = self.heard, []
        return heard

    def ask(self, value: Mapping[str, Any]) -> Frame:
        """Say one thing and hear one thing."""
        self.say(value)
        heard = self.take()
        assert len(heard) == 1, heard
        answer: Frame = heard[0]
        return answer

    def hang_up(self) -> None:
        """Close from this side."""
        assert self.transport is not None
        self.transport.loseConnection()
        self.rig.settle()


class Rig:
    """One manager.

    Args:
        stores: what it remembers; by default nothing yet.
        policy: its operator's decisions.
        limits: of its links.
        in_thread: where keys are derived.
    """

    def __init__(
        self,
        stores: ManagerStores | None = None,
        policy: Policy | None = None,
        limits: Limits | None = None,
        in_thread: InThread = execute,
    ) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.stores = stores or memory_manager_stores()
        self.random = random.Random(7)
        self.signer = Signer(
            [Ed25519PrivateKey.from_private_bytes(b"k" * 32)],
            self.clock.seconds,
            lambda: self.random.randbytes(8).hex(),
        )
        self.manager = Manager(
            context=Context(self.clock, self.random, limits or Limits()),
            stores=self.stores,
            secret=SECRET,
            signer=self.signer,
            in_thread=in_thread,
            policy=policy or Policy(key_rounds=4096),
            random_bytes=self.random.randbytes,
        )
        self.factory = ManagerFactory(self.manager)
        self.verifier = Verifier(self.clock.seconds)
        self.verifier.set_keys(self.signer.public_keys())
        self._port = 40000

    def settle(self) -> None:
        """Let everything arrive that is under way now."""
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)

    def advance(self, seconds: float) -> None:
        """Time passes, a second at a time so that timers come in turn."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.settle()
        self.clock.advance(seconds - int(seconds))
        self.settle()

    def dial(self, host: str = "127.0.0.1", delimiter: bytes = LF) -> Wire:
        """A connection from an address."""
        self._port += 1
        near = IPv4Address("TCP", host, self._port)
        pipe = Pipe(self.clock, near, IPv4Address("TCP", "127.0.0.1", 5001))
        wire = Wire(self, delimiter)
        link = self.factory.buildProtocol(near)
        assert link is not None
        wire.pipe, wire.link = pipe, link
        pipe.connect(wire, link)
        return wire

    def client(self, host: str = "127.0.0.1", delimiter: bytes = LF) -> Wire:
        """A user's connection, its hello said."""
        wire = self.dial(host, delimiter)
        wire.say(HELLO)
        assert wire.take() == []
        return wire

    def register(self, name: str, **extra: Any) -> Wire:
        """A new account, logged in."""
        wire = self.client()
        answer = wire.ask({"type": "auth", "username": name, "password": PASSWORD, "register": True, **extra})
        assert answer["code"] == 201, answer
        return wire

    def log_in(self, name: str, *, wire: Wire | None = None, **extra: Any) -> tuple[Wire, Frame]:
        """A login by plain password, whatever comes of it."""
        wire = wire or self.client()
        return wire, wire.ask({"type": "auth", "username": name, "password": PASSWORD, **extra})

    def scram(self, wire: Wire, name: str, password: str = PASSWORD, **extra: Any) -> list[Frame]:
        """A login by SCRAM; what was heard after the last step."""
        proof = ScramClient(name, password, lambda: self.random.randbytes(16).hex())
        first = wire.ask({"type": "auth", "mechanism": MECHANISM, "data": proof.first(), **extra})
        if first.get("error"):
            return [first]
        wire.say({"type": "auth", "mechanism": MECHANISM, "data": proof.final(first["data"])})
        heard: list[Frame] = wire.take()
        if not heard[0].get("error"):
            proof.finish(heard[0]["data"])
        return heard

    def online(self, *names: str) -> list[Wire]:
        """New accounts, logged in and available."""
        wires = []
        for name in names:
            wire = self.register(name)
            wire.say({"stanza": "presence"})
            wire.take()
            wires.append(wire)
        return wires

    def add(self, wire: Wire, asker: str, target: str, **item: Any) -> list[Frame]:
        """A contact added or renamed; what the asker heard."""
        wire.say(roster_set(asker, {"jid": target, "subscription": "to", **item}))
        heard: list[Frame] = wire.take()
        return heard

    def befriend(self, one: Wire, name: str, other: Wire, other_name: str) -> None:
        """Two users who have each other with ``both``."""
        self.add(one, name, other_name)
        self.add(other, other_name, name)
        one.take()
        other.take()

    def roster(self, wire: Wire, name: str) -> dict[str, str]:
        """A user's contacts with their subscriptions."""
        answer = wire.ask(roster_get(name))
        assert answer["type"] == "result", answer
        return {item["jid"]: item["subscription"] for item in answer["query"]["items"]}

    def dial_relay(self, relay_id: str, port: int, secret: ClusterSecret = SECRET) -> Wire:
        """A relay's connection up to and with the last step of its proof."""
        wire = self.dial("10.0.0.5")
        proof = secret.client()
        hello = {**HELLO, "ip_local": "10.0.0.5", "port": port, "type": "relay", "is_private": True}
        hello["relay_id"] = relay_id
        wire.say(hello, {"type": "auth", "mechanism": MECHANISM, "data": proof.first()})
        (challenge,) = wire.take()
        wire.say({"type": "auth", "mechanism": MECHANISM, "data": proof.final(challenge["data"])})
        return wire

    def relay(self, relay_id: str, port: int = 5002) -> tuple[Wire, Frame]:
        """A relay that is let in, and its welcome."""
        wire = self.dial_relay(relay_id, port)
        final, welcome = wire.take()
        assert final["data"].startswith("v="), final
        return wire, welcome

    def claims(self, answer: Frame) -> Claims:
        """What the token of an answer says, at the relay the answer names."""
        return self.verifier.user(answer["token"], answer["component"][0]["username"])


class ManagerCase(SynchronousTestCase):
    """A test with one manager."""

    def setUp(self) -> None:
        self.rig = Rig()

    def assert_condition(self, answer: Frame, condition: str) -> None:
        """An iq that was refused."""
        self.assertEqual(
            (answer["stanza"], answer["type"], answer["error"]["stanza_error"]), ("iq", "error", condition)
        )
        self.assertEqual(answer["error"]["stanza_error_ns"], "xmpp-stanzas")


class Slow:
    """Derivations that end when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[Any], Any, tuple[Any, ...]]] = []

    def __call__(self, function: Any, *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append((done, function, args))
        return done

    def finish(self) -> None:
        """The oldest one ends."""
        done, function, args = self.waiting.pop(0)
        done.callback(function(*args))


def roster_get(name: str, **extra: Any) -> Frame:
    """The question for a roster."""
    return {
        "stanza": "iq",
        "namespace": "roster",
        "from": name,
        "type": "get",
        "query": {"items": None},
        **extra,
    }


def roster_set(name: str, item: Any, **extra: Any) -> Frame:
    """A change of a roster."""
    return {
        "stanza": "iq",
        "namespace": "roster",
        "from": name,
        "type": "set",
        "query": {"item": item},
        **extra,
    }


def roster_remove(name: str, target: str, **extra: Any) -> Frame:
    """A removal from a roster."""
    return roster_set(name, {"jid": target, "subscription": "to"}, subscription="remove", **extra)


def said(frames: list[Frame], **keys: Any) -> list[Frame]:
    """The frames that have these values."""
    return [frame for frame in frames if all(frame.get(key) == value for key, value in keys.items())]



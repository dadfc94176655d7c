# SPDX-License-Identifier: MIT
"""The servers, in memory and without cryptography, one link at a time in whatever state a target wants.

What would be slow or can't be guessed is taken for granted: derivations give one answer, a proof is said
to have been made, a token is signed once. Everything behind it is the real thing.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tests.net.lines import Line, lose
from xjrelay.domain.routing import User as RelayUser
from xjrelay.net.context import Context, Limits
from xjrelay.net.protocol import Link
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Signer
from xjrelay.servers.listening import Place
from xjrelay.servers.manager.protocol import ManagerFactory, ManagerProtocol
from xjrelay.servers.manager.state import Manager, Policy
from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.protocol import RelayProtocol
from xjrelay.servers.relay.service import Relay
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.servers.tracker.protocol import TrackerFactory, TrackerProtocol
from xjrelay.servers.tracker.rendezvous import Rendezvous
from xjrelay.storage.interfaces import Account, AccountExists, Credentials, Profile
from xjrelay.storage.memory import MemoryDirectory, memory_manager_stores
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import ComponentHello, MeshUser, MeshWelcome

NOW = 1_800_000_000.0
PEER = IPv4Address("TCP", "127.0.0.1", 40000)
"""Loopback: no limit by address hides what is behind it."""
CREDENTIALS = Credentials(b"salt" * 4, 4096, b"s" * 32, b"k" * 32)
OPEN = Limits(max_stanzas=10**6, max_bytes=2**30)
HELLO = ComponentHello("10.0.0.5", 5002, "relay", relay_id="f" * 32, relay_username="relay9")


class Rig:
    """One program's clock and context, and its links."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.random = random.Random(1)
        self.context = Context(self.clock, self.random, OPEN)
        self.secret = ClusterSecret("a-secret-of-the-fuzzer", random_bytes=self.random.randbytes)

    def settle(self) -> None:
        """Let come what comes without waiting."""
        for _ in range(100):
            calls = self.clock.getDelayedCalls()
            if not any(call.getTime() <= self.clock.seconds() for call in calls):
                return
            self.clock.advance(0)
        raise AssertionError("it goes on and on without any time passing")

    def join(self, link: Link) -> Line:
        """Connect a link to a line."""
        line = Line()
        line.peerAddr = PEER
        link.makeConnection(line)
        return line

    def leave(self, link: Link) -> None:
        """The connection ends."""
        lose(link)
        self.settle()


class TrackerRig(Rig):
    """A tracker that lists a manager."""

    def __init__(self) -> None:
        super().__init__()
        self.rendezvous = Rendezvous(self.clock, MemoryDirectory(), 1e9)
        self.factory = TrackerFactory(self.context, self.rendezvous, self.secret.server)
        self.admit(ComponentHello("10.0.0.4", 5001, "manager", component_id="m"))

    def link(self) -> tuple[TrackerProtocol, Line]:
        """A stranger's link."""
        link = self.factory.buildProtocol(PEER)
        assert link is not None
        return link, self.join(link)

    def admit(self, hello: ComponentHello) -> tuple[TrackerProtocol, Line]:
        """A component's link."""
        link, line = self.link()
        link._hello = hello
        link.admitted()
        line.frames()
        return link, line


class ManagerRig(Rig):
    """A manager with the accounts Esa, Fajar (who has Esa in his roster and is online) and Gita."""

    def __init__(self) -> None:
        super().__init__()
        self.stores = memory_manager_stores()
        self.manager = Manager(
            context=self.context,
            stores=self.stores,
            secret=self.secret,
            signer=Signer([Ed25519PrivateKey.from_private_bytes(bytes(32))], self.clock.seconds),
            in_thread=self._derived,
            policy=Policy(allow_plaintext=True, address_registrations=10**6, login_failures=10**6),
            random_bytes=self.random.randbytes,
        )
        self.factory = ManagerFactory(self.manager)
        self.fajar, self.fajar_line = self.user("Fajar")
        self.fajar.dataReceived(
            b'{"stanza":"iq","namespace":"roster","from":"Fajar","type":"set",'
            b'"query":{"item":{"jid":"Esa","subscription":"to"}}}\n{"stanza":"presence"}\n'
        )
        self.fajar_line.frames()

    def _derived(self, function: Any, *args: Any) -> Deferred[Any]:
        """Every password is right, and its keys are always the same."""
        return succeed(True if function.__name__ == "verify" else CREDENTIALS)

    def link(self) -> tuple[ManagerProtocol, Line]:
        """A stranger's link."""
        link = self.factory.buildProtocol(PEER)
        assert link is not None
        return link, self.join(link)

    def user(self, name: str) -> tuple[ManagerProtocol, Line]:
        """A user's link, logged in; it may have removed its account the last time."""
        for one in ("Esa", "Fajar", "Gita"):
            made = Account(Profile(one.lower(), one, "a bio", 0), CREDENTIALS)
            self.stores.accounts.create(made).addErrback(lambda failure: failure.trap(AccountExists))
        link, line = self.link()
        link.dataReceived(
            b'{"ip_local":"10.0.0.9","port":0,"type":"client"}\n'
            b'{"type":"auth","username":"%s","password":"x","replace":true}\n' % name.encode()
        )
        self.settle()
        assert link.phase is Phase.MANAGER_USER, line.frames()
        line.frames()
        return link, line

    def relay(self) -> tuple[ManagerProtocol, Line]:
        """A relay's link, welcomed."""
        link, line = self.link()
        link._hello = HELLO
        run(link.admitted())
        assert link.phase is Phase.MANAGER_RELAY
        line.frames()
        return link, line


class RelayRig(Rig):
    """A relay named relay1, with Fajar on it and Hadi on relay9."""

    def __init__(self) -> None:
        super().__init__()
        signer = Signer([Ed25519PrivateKey.from_private_bytes(bytes(32))], self.clock.seconds)
        nowhere: Any = _Nowhere(self.clock)
        made = (nowhere, self.context, RelaySettings(), self.secret, "0" * 32)
        self.relay = Relay(*made, [], random_bytes=self.random.randbytes)
        identity = self.relay.identity
        identity.place, identity.name, identity.token = Place("127.0.0.1", 5002), "relay1", "x"
        self.relay.peers.named("relay1")
        self.relay.upstream._verifier.set_keys(signer.public_keys())
        self.token = signer.for_relay("relay9")
        self.numbers = 0
        self.fajar, self.fajar_line = self.user("Fajar", ack=False)

    def link(self) -> tuple[RelayProtocol, Line]:
        """A stranger's link."""
        link = self.relay.factory.buildProtocol(PEER)
        assert link is not None
        return link, self.join(link)

    def user(self, name: str, ack: bool) -> tuple[RelayProtocol, Line]:
        """A user's link, its session open."""
        link, line = self.link()
        self.numbers += 1
        link._become(self.relay.switch.open(link, RelayUser(name, "", self.numbers), ack))
        line.frames()
        return link, line

    def leave(self, link: Link) -> None:
        """The connection ends, and the session that would wait for its user."""
        super().leave(link)
        for route in self.relay.switch.table.local():
            if route.handle is not None and route.handle.link is None:
                self.relay.switch.end(route.handle, CloseReason.LOST)
        self.settle()

    def mesh(self) -> tuple[RelayProtocol, Line]:
        """The link of relay9, its list said."""
        link, line = self.link()
        place = Address("10.0.0.5", 5002)
        link._mesh_end = MeshEnd(link, self.relay.peers, "relay9", dialled=False, place=place)
        link.admitted()
        users = [MeshUser("Hadi", "", 1)]
        link.receive(*_heard(MeshWelcome("relay9", ["Hadi"], users, self.token)))
        assert link.phase is Phase.MESH_OPEN
        line.frames()
        return link, line


class _Nowhere:
    """A reactor on which nobody answers."""

    def __init__(self, clock: Clock) -> None:
        self.seconds = clock.seconds
        self.callLater = clock.callLater

    def connectTCP(self, *args: Any, **keys: Any) -> Any:
        """Dial; nothing ever comes of it."""
        return self

    def disconnect(self) -> None:
        """Nothing was connected."""

    stopConnecting = disconnect


def run(work: Coroutine[Deferred[Any], Any, Any] | None) -> None:
    """What has to be done at once, is."""
    if work is not None:
        failed: list[Any] = []
        Deferred.fromCoroutine(work).addErrback(failed.append)
        if failed:
            failed[0].raiseException()


def _heard(stanza: Any) -> tuple[Any, dict[str, Any], bytes]:
    from xjrelay.wire import codec
    from xjrelay.wire.stanzas import classify

    frame = codec.encode(stanza)
    value = codec.decode(frame)
    return classify(value), value, frame

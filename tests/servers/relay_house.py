# SPDX-License-Identifier: MIT
"""A small suite in memory for the relay's tests: a tracker, a manager, relays, raw users.

Everything is the real thing on a ``task.Clock``; only users are bytes. A user's token is signed
here with the manager's key, because how one logs in is not what these tests are about.
"""

from __future__ import annotations

import json
import random
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import execute
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from xjrelay.net.context import Context, Limits
from xjrelay.net.pipe import End
from xjrelay.sandbox.network import Machine, Network
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Signer
from xjrelay.servers.listening import Place
from xjrelay.servers.manager.protocol import ManagerFactory
from xjrelay.servers.manager.service import ManagerService
from xjrelay.servers.manager.state import Manager, Policy
from xjrelay.servers.relay.service import Relay
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.servers.tracker.protocol import TrackerFactory
from xjrelay.servers.tracker.rendezvous import Rendezvous
from xjrelay.storage.interfaces import Account, AccountExists, Credentials, Mail, Profile
from xjrelay.storage.memory import MemoryDirectory, memory_manager_stores
from xjrelay.wire import address
from xjrelay.wire.endpoints import Address
from xjrelay.wire.framing import LF, Framer

SECRET = "the-secret-of-this-cluster"
TRACKER, MANAGER = "10.0.0.1", "10.0.0.2"
TRACKER_PORT, MANAGER_PORT, RELAY_PORT = 5000, 5001, 5002


class Line(Protocol):
    """Somebody's end of a connection, as frames.

    Attributes:
        heard: every frame that came and was not taken yet.
        ended: whether the connection is gone.
        answers: whether it answers pings, as a client with acknowledgement does.
    """

    transport: End
    answers = False

    def __init__(self, house: House, delimiter: bytes = LF) -> None:
        self.heard: list[dict[str, Any]] = []
        self.ended = False
        self._house = house
        self._delimiter = delimiter
        self._framer = Framer(16 * 1024 * 1024, delimiter)

    def dataReceived(self, data: bytes) -> None:
        heard = [json.loads(frame) for frame in self._framer.feed(data)]
        self.heard += heard
        if self.answers and {"type": "ping"} in heard:
            self.transport.write(b'{"type":"pong"}' + self._delimiter)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.ended = True

    def write(self, *frames: bytes) -> None:
        """Send frames, and wait for what comes of it."""
        self.transport.write(self._delimiter.join([*frames, b""]))
        self._house.settle()

    def say(self, *values: dict[str, Any]) -> None:
        """Send stanzas, and wait for what comes of it."""
        self.write(*(json.dumps(value).encode() for value in values))

    def take(self) -> list[dict[str, Any]]:
        """What came since the last look."""
        heard, self.heard = self.heard, []
        return heard

    def leave(self) -> None:
        """Close the connection."""
        self.transport.loseConnection()
        self._house.settle()

    def vanish(self) -> None:
        """The connection breaks: the other end sees a reset."""
        self.transport.abortConnection()
        self._house.settle()


class _Dialling(ClientFactory):
    noisy = False

    def __init__(self, line: Line) -> None:
        self._line = line

    def buildProtocol(self, addr: object) -> Line:
        return self._line


class House:
    """The suite.

    Args:
        settings: of every relay.
        limits: of every relay's links.
    """

    def __init__(self, settings: RelaySettings | None = None, limits: Limits | None = None) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000.0)
        self.network = Network(self.clock, random.Random(1))
        self.users = self.network.machine("10.0.9.9")
        self.signer = Signer([Ed25519PrivateKey.from_private_bytes(bytes(32))], self.clock.seconds)
        self.relays: dict[str, Relay] = {}
        self.stores = memory_manager_stores()
        self.manager: Manager
        self.rendezvous: Rendezvous
        self._settings = settings or RelaySettings()
        self._limits = limits or Limits()
        self._session = 0

    # -- programs ----------------------------------------------------------------------------

    def start_tracker(self) -> None:
        """Bring the tracker up, again or for the first time."""
        machine = self.network.machine(TRACKER)
        self.rendezvous = Rendezvous(machine, MemoryDirectory(), 30.0)
        context = Context(machine, random.Random(2))
        self.rendezvous.start()
        machine.listenTCP(TRACKER_PORT, TrackerFactory(context, self.rendezvous, self._secret().server))

    def start_manager(self, address: str = MANAGER) -> None:
        """Bring the manager up, again or for the first time; its stores outlive it."""
        machine = self.network.machine(address)
        self.manager = Manager(
            context=Context(machine, random.Random(3)),
            stores=self.stores,
            secret=self._secret(),
            signer=self.signer,
            in_thread=execute,
            policy=Policy(key_rounds=4096, allow_plaintext=True),
        )
        service = ManagerService(
            machine,
            self.manager,
            [f"tcp:{MANAGER_PORT}:interface={address}"],
            [Address(TRACKER, TRACKER_PORT)],
            "the-manager",
        )
        assert isinstance(service.factory, ManagerFactory)
        service.startService()

    def start_relay(self, address: str, relay_id: str | None = None) -> Relay:
        """Bring a relay up on a machine of its own."""
        machine = self.network.machine(address)
        relay = Relay(
            cast(Any, machine),
            Context(machine, random.Random(address), self._limits),
            self._settings,
            self._secret(),
            relay_id or address,
            [Address(TRACKER, TRACKER_PORT)],
            random_bytes=random.Random(address).randbytes,
        )
        machine.listenTCP(RELAY_PORT, relay.factory)
        relay.start(Place(address, RELAY_PORT))
        self.relays[address] = relay
        return relay

    def kill(self, address: str) -> None:
        """kill -9 for the program on a machine."""
        self.machine(address).kill()

    def machine(self, address: str) -> Machine:
        """A machine of the network."""
        return self.network.machine(address)

    # -- users -------------------------------------------------------------------------------

    def dial(self, address: str, port: int = RELAY_PORT, delimiter: bytes = LF) -> Line:
        """A connection that has said nothing."""
        line = Line(self, delimiter)
        self.users.connectTCP(address, port, _Dialling(line))
        self.settle()
        return line

    def token(self, relay: Relay, username: str, resource: str = "", number: int | None = None) -> str:
        """A token as the manager would give it, for the next session or a given one; the account is
        there from now on."""
        self._session = number if number is not None else self._session + 1
        profile = Profile(address.key(username), username, "", 0)
        made = self.stores.accounts.create(Account(profile, Credentials(b"", 4096, b"", b"")))
        made.addErrback(lambda failure: failure.trap(AccountExists))
        return self.signer.for_user(username, relay.identity.name, resource, self._session)

    def user(
        self,
        relay: Relay,
        username: str,
        resource: str = "",
        ack: bool = False,
        number: int | None = None,
        delimiter: bytes = LF,
    ) -> Line:
        """A user with an open session; its welcome is still to be taken."""
        line = self.dial(relay.identity.place.host, delimiter=delimiter)
        line.answers = ack
        hello = {"username": username, "message": "hello!", "resource": resource, "ack": ack}
        line.say({**hello, "token": self.token(relay, username, resource, number)})
        return line

    def joined(
        self,
        relay: Relay,
        username: str,
        resource: str = "",
        ack: bool = False,
        number: int | None = None,
        delimiter: bytes = LF,
    ) -> Line:
        """A user with an open session, its welcome taken."""
        line = self.user(relay, username, resource, ack, number, delimiter)
        [welcome] = line.take()
        assert welcome["message"] == "hello!", welcome
        return line

    def mailbox(self, username: str) -> list[str]:
        """The bodies of what is kept for a user."""
        return [json.loads(row.frame)["body"] for row in self._rows(username)]

    def empty(self, username: str) -> None:
        """Nothing is kept for a user any more."""
        key = address.key(username)
        self.stores.mailbox.taken((key, row.row) for row in self._rows(username))

    def _rows(self, username: str) -> list[Mail]:
        found: list[Mail] = []
        self.stores.mailbox.mail(address.key(username), "", 0, 1000).addCallback(found.extend)
        return found

    # -- time --------------------------------------------------------------------------------

    def settle(self) -> None:
        """Long enough for a few round trips, too short for any timer that matters."""
        self.wait(0.1)

    def wait(self, seconds: float) -> None:
        """Let time pass in small steps."""
        steps = max(1, round(seconds / 0.01))
        self.clock.pump([seconds / steps] * steps)

    def _secret(self) -> ClusterSecret:
        source = random.Random(4)
        return ClusterSecret(
            SECRET, nonce=lambda: source.randbytes(8).hex(), random_bytes=source.randbytes
        )


def house_with(relays: int, settings: RelaySettings | None = None, limits: Limits | None = None) -> House:
    """A suite with a tracker, a manager, and some relays that have found one another."""
    house = House(settings, limits)
    house.start_tracker()
    house.start_manager()
    house.wait(1.0)
    for number in range(relays):
        house.start_relay(f"10.0.1.{number + 1}")
        house.wait(1.0)
    house.wait(2.0)
    return house


def message(to: str, body: str, **more: Any) -> dict[str, Any]:
    """A message stanza."""
    return {"stanza": "message", "to": to, "body": body, **more}

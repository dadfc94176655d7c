# SPDX-License-Identifier: MIT
"""The whole suite against strangers, changed passwords, removed accounts and a new cluster secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.sandbox.test_suite import Reader
from xjrelay.client.errors import Disconnected, Refused
from xjrelay.client.tx import Client
from xjrelay.sandbox.suite import MANAGER_PORT, RELAY_PORT, TRACKER_PORT, Sandbox
from xjrelay.security.scram import MECHANISM, ScramClient
from xjrelay.security.secret import CLUSTER_USER, ClusterSecret

OLD, NEW = "the-old-secret-of-this-cluster", "the-new-secret-of-this-cluster"


class Stranger(Protocol):
    """A connection of somebody who isn't of the cluster, as frames."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.ended = False
        self._rest = b""

    def dataReceived(self, data: bytes) -> None:
        """Keep the frames."""
        *frames, self._rest = (self._rest + data).split(b"\n")
        self.heard += [json.loads(frame) for frame in frames]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It was closed."""
        self.ended = True

    def say(self, *values: dict[str, Any]) -> None:
        """Frames, in one write."""
        assert self.transport is not None
        self.transport.write(b"".join(json.dumps(value).encode() + b"\n" for value in values))


class _Dialling(ClientFactory):
    noisy = False

    def __init__(self, stranger: Stranger) -> None:
        self._stranger = stranger

    def buildProtocol(self, addr: object) -> Stranger:
        return self._stranger


class SuiteCase(SynchronousTestCase):
    """Two relays and some users."""

    def start(self, *users: str, relays: int = 2) -> None:
        self.sandbox = Sandbox(5, relays)
        self.sandbox.start()
        self.sandbox.advance(2)
        self.users = {name: self.sandbox.user(name) for name in users}
        self.readers = {name: Reader(client) for name, client in self.users.items()}

    def write(self, sender: Client, to: str, body: str) -> str:
        """What becomes of a message."""
        return self.sandbox.run(sender.send(to, body)).status

    def sessions(self, username: str) -> dict[str, list[int]]:
        """An account's session numbers on each relay."""
        found = {}
        for name in self.sandbox.programs:
            if name.startswith("relay"):
                table = self.sandbox.server(name).relay.switch.table
                found[name] = [route.number for route in table.sessions_of(username)]
        return found


class StrangerTests(SuiteCase):
    """Whoever says ``relay`` or ``manager`` and can't prove it."""

    def setUp(self) -> None:
        self.start("esa", "fajar")
        self.before = self.state()

    def state(self) -> tuple[Any, ...]:
        """Who is listed, named, meshed with and assigned."""
        tracker, manager = self.sandbox.server("tracker"), self.sandbox.server("manager")
        relays = [self.sandbox.server(name).relay for name in ("relay1", "relay2")]
        named = self.sandbox.run(self.sandbox._manager_stores.relays.rows())
        return (
            sorted((one.type, one.ip_local) for one in tracker.rendezvous.directory.live()),
            sorted(row.name for row in named),
            len(manager._manager.relays),
            [relay.peers.linked for relay in relays],
            [len(relay.switch.table) for relay in relays],
        )

    def dial(self, host: str, port: int) -> Stranger:
        stranger = Stranger()
        self.sandbox.machine("stranger").connectTCP(host, port, _Dialling(stranger))
        self.sandbox.advance(0.1)
        return stranger

    def test_a_stranger_is_told_401_and_is_nobody(self) -> None:
        places = (("10.0.0.1", TRACKER_PORT), ("10.0.0.2", MANAGER_PORT), ("10.0.1.1", RELAY_PORT))
        tries: dict[str, Callable[[Stranger], None]] = {
            "says nothing of it": lambda stranger: stranger.say({"message": "get components"}),
            "announces a user": lambda stranger: stranger.say(
                {"message": "new user", "username_user": "esa", "relay_username": "relay9", "session": 99}
            ),
            "reports a user": lambda stranger: stranger.say(
                {"message": "ncir", "username_relay": "relay9", "username": "esa", "session": 99}
            ),
            "speaks for a user": lambda stranger: stranger.say(
                {"stanza": "message", "from": "esa", "to": "fajar", "body": "x"}
            ),
            "welcomes itself": lambda stranger: stranger.say(
                {"relay_username": "relay9", "username_users": [], "users": [], "token": "x"}
            ),
            "another secret": lambda stranger: self.prove(stranger, ScramClient(CLUSTER_USER, "x" * 32)),
            "another user": lambda stranger: self.prove(stranger, ScramClient("esa", "rahasia")),
            "no proof at all": lambda stranger: stranger.say(
                {"type": "auth", "mechanism": MECHANISM, "data": "c=biws,r=x,p=AAAA"}
            ),
            "another mechanism": lambda stranger: stranger.say(
                {"type": "auth", "mechanism": "PLAIN", "data": "cluster"}
            ),
            "a plain password": lambda stranger: stranger.say(
                {"type": "auth", "username": "cluster", "password": "x" * 32}
            ),
            "the server's own proof": self.reflect,
        }
        for host, port in places:
            for kind in ("relay", "manager"):
                if kind == "manager" and port != TRACKER_PORT:
                    continue  # nobody else takes managers: 400, tested where they listen
                for what, attempt in tries.items():
                    stranger = self.dial(host, port)
                    hello = {"ip_local": "10.9.9.9", "port": 5002, "type": kind, "is_private": True}
                    stranger.say({**hello, "relay_id": "9" * 32, "relay_username": "relay9"})
                    attempt(stranger)
                    self.sandbox.advance(0.5)
                    case = (host, port, kind, what, stranger.heard)
                    self.assertEqual(stranger.heard[-1].get("code"), 401, case)
                    self.assertTrue(stranger.ended, case)
                    self.assertEqual(self.state(), self.before, case)
        self.assertEqual(self.write(self.users["esa"], "fajar", "still here"), "delivered")
        self.assertEqual(self.readers["fajar"].bodies, ["still here"])

    def prove(self, stranger: Stranger, client: ScramClient) -> None:
        """Try to, with what one has."""
        stranger.say({"type": "auth", "mechanism": MECHANISM, "data": client.first()})
        self.sandbox.advance(0.2)
        if "data" in stranger.heard[-1]:
            final = client.final(stranger.heard[-1]["data"])
            stranger.say({"type": "auth", "mechanism": MECHANISM, "data": final})

    def reflect(self, stranger: Stranger) -> None:
        """Say a server's own words back to it."""
        stranger.say({"type": "auth", "mechanism": MECHANISM, "data": "n,,n=cluster,r=abcdefgh"})
        self.sandbox.advance(0.2)
        stranger.say({"type": "auth", "mechanism": MECHANISM, "data": stranger.heard[-1].get("data", "")})

    def test_a_server_that_does_not_hold_the_secret_is_left(self) -> None:
        """The proof goes both ways: a relay doesn't believe a manager that only says it is one."""
        self.sandbox.kill("manager")
        rightful, self.sandbox.secret = self.sandbox.secret, ClusterSecret("somebody-else-s-secret")
        self.sandbox.restart("manager")
        self.sandbox.advance(60)
        self.assertFalse(self.sandbox.server("relay1").relay.upstream.linked)
        self.sandbox.kill("manager")
        self.sandbox.secret = rightful
        self.sandbox.restart("manager")
        self.sandbox.until(lambda: bool(self.sandbox.server("relay1").relay.upstream.linked))


class RotationTests(SuiteCase):
    """The cluster's secret, changed one program after the other."""

    def test_users_talk_all_the_while(self) -> None:
        self.sandbox = Sandbox(5)
        self.sandbox.secret = ClusterSecret(OLD)
        self.sandbox.start()
        self.sandbox.advance(2)
        esa, fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        reader = Reader(fajar)
        sent = 0
        # The new one is accepted everywhere before anybody shows it, and the old one until nobody does.
        for shown in ((OLD, NEW), (NEW, OLD), (NEW,)):
            for name in self.sandbox.programs:
                self.sandbox.secret = ClusterSecret(*shown)
                self.sandbox.stop(name)
                self.sandbox.restart(name)
                self.sandbox.until(self.whole)
                sent += 1
                status = self.sandbox.run(esa.send("fajar", f"{sent}"), patience=300).status
                self.assertIn(status, ("delivered", "stored"), (shown, name))
        self.sandbox.until(lambda: len(reader.bodies) == sent)
        self.assertEqual(sorted(reader.bodies, key=int), [str(number + 1) for number in range(sent)])

    def whole(self) -> bool:
        """Every program serves and every relay is linked with the other."""
        if not all(self.sandbox.ready(name) for name in self.sandbox.programs):
            return False
        relays = [self.sandbox.server(name).relay for name in ("relay1", "relay2")]
        return all(relay.peers.linked and relay.upstream.linked for relay in relays)

    def test_one_that_was_left_out_is_let_in_no_more(self) -> None:
        self.start()
        self.sandbox.kill("relay2")
        self.sandbox.secret = ClusterSecret(OLD)
        self.sandbox.restart("relay2")
        self.sandbox.advance(30)
        self.assertFalse(self.sandbox.ready("relay2"))
        self.assertEqual(self.sandbox.server("relay1").relay.peers.linked, [])


class EndingTests(SuiteCase):
    """A password changed, an account removed: what ends, where, and how soon."""

    def setUp(self) -> None:
        self.start("fajar", "esa", "gita", relays=3)
        self.phone = self.sandbox.run(self.sandbox.connect("esa", resource="phone"))
        self.sandbox.advance(1)
        self.old = self.sessions("esa")
        self.assertEqual(sum(map(len, self.old.values())), 2, "on two relays")
        self.highest = max(number for numbers in self.old.values() for number in numbers)

    def older(self) -> int:
        """Sessions of esa that there were before."""
        return sum(number <= self.highest for numbers in self.sessions("esa").values() for number in numbers)

    def test_a_changed_password_ends_every_session_within_a_second(self) -> None:
        changed = self.users["esa"].account.change_password("gunung-api")
        self.sandbox.run(changed)
        self.assertLess(self.sandbox.until(lambda: not self.older()), 1.0)
        ended = Reader(self.phone).ended
        self.sandbox.until(lambda: bool(ended.called))
        self.failureResultOf(ended, Refused)
        self.assertEqual(self.refusal("rahasia"), 400)
        self.sandbox.run(self.sandbox.connect("esa", "gunung-api", resource="desk"))

    def test_who_changed_it_goes_on(self) -> None:
        esa = self.users["esa"]
        self.sandbox.run(esa.account.change_password("gunung-api"))
        self.assertIn(self.write(self.users["fajar"], "esa", "halo"), ("delivered", "stored"))
        self.sandbox.until(lambda: self.readers["esa"].bodies == ["halo"])
        self.sandbox.kill("manager")
        self.sandbox.restart("manager")
        self.sandbox.advance(30)
        self.sandbox.run(esa.presence.set(bio="still here"))

    def test_a_removed_account_ends_within_a_second_and_nothing_of_it_comes_back(self) -> None:
        esa = self.users["esa"]
        self.sandbox.run(esa.account.remove())
        self.assertLess(self.sandbox.until(lambda: not self.older()), 1.0)
        self.assertEqual(self.refusal("rahasia"), 404)
        other = self.sandbox.run(self.sandbox.connect("esa", "another", register=True, resource="mine"))
        reader = Reader(other)
        self.sandbox.advance(30)
        self.assertEqual(self.write(self.users["fajar"], "esa", "for the new one"), "delivered")
        self.assertEqual(reader.bodies, ["for the new one"])
        self.assertEqual((self.older(), self.readers["esa"].bodies), (0, []))
        self.failureResultOf(esa.send("fajar", "x"), Disconnected)

    def test_a_relay_that_was_out_of_reach_ends_them_when_it_is_back(self) -> None:
        [away] = [name for name, numbers in self.old.items() if self.phone.relay == name and numbers]
        self.sandbox.partition("manager", away)
        self.sandbox.run(self.users["esa"].account.change_password("gunung-api"))
        self.assertEqual(self.older(), 1)
        self.sandbox.advance(5)
        self.sandbox.heal()
        self.sandbox.until(lambda: not self.older())

    def refusal(self, password: str) -> int:
        """The code a login is refused with."""
        login = self.sandbox.connect("esa", password, resource="elsewhere")
        return int(self.assertRaises(Refused, self.sandbox.run, login).code)

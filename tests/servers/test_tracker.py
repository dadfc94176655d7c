# SPDX-License-Identifier: MIT
"""The tracker's seven functions, in memory: bytes in, bytes out, a clock that is moved by hand."""

from __future__ import annotations

import json
import random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from xjrelay import __version__
from xjrelay.net.context import Limits
from xjrelay.net.pipe import Pipe
from xjrelay.security.secret import ClusterSecret
from xjrelay.servers.tracker.protocol import TrackerProtocol
from xjrelay.servers.tracker.service import TrackerConfig, TrackerService
from xjrelay.storage.interfaces import ComponentRow, StoreFailed, TrackerStores
from xjrelay.storage.memory import MemoryDirectory
from xjrelay.wire.errors import CloseReason

SECRET = "the-secret-of-this-cluster"
CLIENT = {"ip_local": "10.0.0.9", "port": 1, "type": "client", "is_private": True}
RELAY = {"ip_local": "10.0.0.5", "port": 5002, "type": "relay", "is_private": True, "component_id": "r1"}
MANAGER = {"ip_local": "10.0.0.6", "port": 5001, "type": "manager", "is_private": True, "component_id": "m1"}
LISTED_RELAY = RELAY
LISTED_MANAGER = MANAGER


class Ear(Protocol):
    """Keeps the bytes that come."""

    def __init__(self) -> None:
        self.bytes = b""

    def dataReceived(self, data: bytes) -> None:
        self.bytes += data


class Peer:
    """The other end of a link, as bytes."""

    def __init__(self, reactor: Any, service: TrackerService, delimiter: bytes = b"\n") -> None:
        self.reactor = reactor
        self.protocol: TrackerProtocol = service.factory.buildProtocol(None)  # type: ignore[assignment]
        self.delimiter = delimiter
        self.ear = Ear()
        addresses = IPv4Address("TCP", "127.0.0.1", 40000), IPv4Address("TCP", "127.0.0.1", 5000)
        self.pipe = Pipe(reactor, *addresses)
        self.pipe.connect(self.ear, self.protocol)

    def say(self, *values: Any) -> None:
        frames = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
        self.write(self.delimiter.join([*frames, b""]))

    def write(self, data: bytes) -> None:
        self.pipe.near.write(data)
        self.reactor.pump([0] * 4)

    def heard(self) -> list[Any]:
        """What came since the last look."""
        self.reactor.pump([0] * 4)
        *frames, rest = self.ear.bytes.split(self.delimiter)
        self.ear.bytes = rest
        return [json.loads(frame) for frame in frames]

    def prove(self, hello: dict[str, Any], secret: str = SECRET) -> list[Any]:
        """Hello and the whole proof; what came after the server's last step."""
        client = ClusterSecret(secret).client()
        self.say(hello, step(client.first()))
        [challenge] = self.heard()
        self.say(step(client.final(challenge["data"])))
        final, *rest = self.heard()
        if "data" in final:
            client.finish(final["data"])
            return rest
        return [final, *rest]

    @property
    def closed(self) -> CloseReason | None:
        return self.protocol.close_reason

    def lose(self) -> None:
        self.pipe.cut()


def step(data: str) -> dict[str, Any]:
    return {"type": "auth", "mechanism": "SCRAM-SHA-256", "data": data}


class TrackerTestCase(SynchronousTestCase):
    """One tracker on a reactor in memory."""

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.store = MemoryDirectory()
        self.service = self.start()

    def start(self, **config: Any) -> TrackerService:
        stores = TrackerStores(self.store, lambda: Deferred.fromCoroutine(nothing()))
        chosen = TrackerConfig(**config)
        service = TrackerService(self.reactor, random.Random(1), ClusterSecret(SECRET), stores, chosen)
        service.startService()
        return service

    def peer(self, delimiter: bytes = b"\n") -> Peer:
        return Peer(self.reactor, self.service, delimiter)

    def array(self) -> list[Any]:
        """What a client that connects now is told."""
        client = self.peer()
        client.say(CLIENT)
        [array] = client.heard()
        client.lose()
        return list(array)

    def rows(self) -> list[ComponentRow]:
        return self.successResultOf(self.store.rows())


class DiagnosisTests(TrackerTestCase):
    """What an operator's tool asks."""

    def test_tells_its_version_and_its_clock_to_whoever_asks(self) -> None:
        self.reactor.advance(12.5)
        peer = self.peer()
        peer.say({"type": "ping", "id": "d1", "about": True}, {"type": "ping", "id": "d2"})
        about, plain = peer.heard()
        self.assertEqual(about, {"type": "pong", "id": "d1", "version": __version__, "clock": 12500})
        self.assertEqual(plain, {"type": "pong", "id": "d2"})

    def test_repeats_a_component_s_version(self) -> None:
        self.peer().prove({**RELAY, "version": "0.0.1"})
        self.assertEqual([one["version"] for one in self.array()], ["0.0.1"])
        self.assertEqual(self.rows()[0].extra, {"version": "0.0.1"})

    def test_who_could_not_be_dialled_proves_itself_and_is_not_listed(self) -> None:
        self.peer().prove(RELAY)
        tool, wrong = self.peer(), self.peer()
        hello = {"ip_local": "0.0.0.0", "port": 0, "type": "relay"}
        self.assertEqual(tool.prove(hello), [[LISTED_RELAY]])
        self.assertEqual([row.component_id for row in self.rows()], ["r1"])
        self.assertEqual(self.array(), [LISTED_RELAY])
        [answer] = wrong.prove(hello, "another-secret-altogether")
        self.assertEqual(answer["code"], 401)


async def nothing() -> None:
    """A store in memory has nothing to close."""


class FunctionTests(TrackerTestCase):
    """T1 to T7."""

    def test_T1_accepts_every_connection(self) -> None:
        [(port, factory, _, interface)] = self.reactor.tcpServers
        self.assertEqual((port, interface), (5000, "127.0.0.1"))
        self.assertIs(factory, self.service.factory)
        peers = [self.peer() for _ in range(50)]
        self.assertEqual([peer.closed for peer in peers], [None] * 50)
        self.assertEqual(self.service.context.counters.links_open, 50)

    def test_T2_tells_components_apart_by_their_hello(self) -> None:
        client, relay, manager = self.peer(), self.peer(), self.peer()
        client.say(CLIENT)
        self.assertEqual(client.heard(), [[]])
        self.assertEqual(relay.prove(RELAY), [[LISTED_RELAY]])
        self.assertEqual(manager.prove(MANAGER), [[LISTED_RELAY, LISTED_MANAGER]])

    def test_T2_refuses_a_hello_that_lacks_something(self) -> None:
        for key in ("ip_local", "port", "type"):
            peer = self.peer()
            peer.say({name: value for name, value in RELAY.items() if name != key})
            [answer] = peer.heard()
            self.assertEqual((answer["error"], answer["code"], peer.closed), (True, 400, None))

    def test_T3_records_managers_and_relays_and_no_client(self) -> None:
        self.peer().say(CLIENT)
        self.peer().prove(RELAY | {"name": "west", "endpoints": ["tls:west.example.org:5223"]})
        self.peer().prove(MANAGER)
        rows = {row.component_id: row for row in self.rows()}
        self.assertEqual(set(rows), {"r1", "m1"})
        extra = {"name": "west", "endpoints": ["tls:west.example.org:5223"]}
        self.assertEqual(
            rows["r1"], ComponentRow("r1", "relay", "10.0.0.5", 5002, True, extra, True, 0, None)
        )

    def test_T3_lists_nobody_who_did_not_prove_the_secret(self) -> None:
        stranger = self.peer()
        [answer] = stranger.prove(RELAY, "another-secret-altogether")
        self.assertEqual((answer["code"], stranger.closed), (401, CloseReason.NOT_AUTHENTICATED))
        self.assertEqual((self.array(), self.rows()), ([], []))

    def test_T3_gets_401_for_anything_but_the_proof(self) -> None:
        plain = {"type": "auth", "username": "a", "password": "b"}
        for said in ({"message": "get components"}, plain, {"type": "ping"}):
            stranger = self.peer()
            stranger.say(MANAGER, said, {"message": "watch components"})
            [answer] = stranger.heard()
            self.assertEqual((answer["code"], stranger.closed), (401, CloseReason.NOT_AUTHENTICATED))
        self.assertEqual(self.array(), [])

    def test_T3_refuses_a_second_manager(self) -> None:
        self.peer().prove(MANAGER)
        second = self.peer()
        [answer] = second.prove(MANAGER | {"component_id": "m2", "port": 6001})
        self.assertEqual((answer["code"], second.closed), (409, CloseReason.CONFLICT))
        self.assertEqual(self.array(), [LISTED_MANAGER])
        self.assertEqual([row.component_id for row in self.rows()], ["m1"])

    def test_T4_gives_the_live_components_to_whoever_just_connected(self) -> None:
        self.peer().prove(RELAY)
        self.peer().prove(MANAGER)
        self.assertEqual(self.array(), [LISTED_RELAY, LISTED_MANAGER])

    def test_T4_speaks_the_original_framing(self) -> None:
        client = self.peer("\x80\x81\x82".encode())
        self.peer().prove(RELAY)
        client.say(CLIENT)
        self.assertEqual(client.heard(), [[LISTED_RELAY]])

    def test_T4_shows_privacy_as_a_boolean(self) -> None:
        self.peer().prove(RELAY | {"is_private": 1})
        self.assertIs(self.array()[0]["is_private"], True)

    def test_T5_answers_get_components_at_any_time(self) -> None:
        client = self.peer()
        client.say(CLIENT)
        client.heard()
        self.peer().prove(RELAY)
        client.say({"message": "get components"})
        self.assertEqual(client.heard(), [[LISTED_RELAY]])

    def test_T5_tells_watchers_now_and_after_each_change(self) -> None:
        client = self.peer()
        client.say(CLIENT, {"message": "watch components"})
        self.assertEqual(client.heard(), [[], []])
        relay = self.peer()
        relay.prove(RELAY)
        self.reactor.advance(1)
        self.assertEqual(client.heard(), [[LISTED_RELAY]])
        relay.lose()
        self.reactor.advance(1)
        self.assertEqual(client.heard(), [[]])

    def test_T5_gathers_changes_that_come_together(self) -> None:
        client = self.peer()
        client.say(CLIENT, {"message": "watch components"})
        client.heard()
        for port in range(6000, 6020):
            self.peer().prove(RELAY | {"port": port, "component_id": str(port)})
        self.reactor.advance(1)
        self.assertEqual([len(array) for array in client.heard()], [20])

    def test_T5_a_watcher_that_left_is_told_no_more(self) -> None:
        client = self.peer()
        client.say(CLIENT, {"message": "watch components"})
        client.lose()
        client.heard()
        self.peer().prove(RELAY)
        self.reactor.advance(1)
        self.assertEqual(client.heard(), [])

    def test_T6_marks_who_left_by_closed_link(self) -> None:
        relay = self.peer()
        relay.prove(RELAY)
        self.reactor.advance(5)
        relay.lose()
        self.assertEqual(self.array(), [])
        [row] = self.rows()
        self.assertEqual((row.live, row.left_at), (False, 5000))

    def test_T6_marks_who_is_not_heard_within_the_lease(self) -> None:
        relay = self.peer()
        relay.prove(RELAY)
        self.reactor.pump([1] * 29)
        self.assertEqual(self.array(), [LISTED_RELAY])
        self.reactor.advance(1)
        self.assertEqual(relay.closed, CloseReason.SILENT)
        relay.lose()
        self.assertEqual(self.array(), [])
        self.assertFalse(self.rows()[0].live)

    def test_T6_a_heartbeat_every_third_keeps_it(self) -> None:
        relay = self.peer()
        relay.prove(RELAY)
        for _ in range(30):
            self.reactor.pump([1] * 10)
            relay.say({"type": "ping"})
        self.assertEqual(self.array(), [LISTED_RELAY])

    def test_T6_one_that_comes_back_takes_its_row_again(self) -> None:
        first = self.peer()
        first.prove(RELAY)
        first.lose()
        self.reactor.advance(7)
        self.peer().prove(RELAY | {"port": 6002})
        [row] = self.rows()
        self.assertEqual((row.live, row.port, row.joined_at), (True, 6002, 7000))

    def test_T6_one_that_is_back_before_its_old_link_is_found_dead(self) -> None:
        dead, alive = self.peer(), self.peer()
        dead.prove(RELAY)
        alive.prove(RELAY)
        self.assertEqual(dead.closed, CloseReason.REPLACED)
        dead.lose()
        self.assertEqual(self.array(), [LISTED_RELAY])
        self.assertTrue(self.rows()[0].live)

    def test_T6_at_the_start_all_rows_are_down(self) -> None:
        self.peer().prove(RELAY)
        self.reactor.advance(3)
        self.service = self.start(listen=["tcp:5010"])
        self.assertEqual(self.array(), [])
        [row] = self.rows()
        self.assertEqual((row.live, row.left_at), (False, 3000))

    def test_T7_survives_any_message_in_any_phase(self) -> None:
        nonsense = [b"", b"null", b"7", b"[]", b"{}", b"\xff", b"{", b'{"type": "nosuch"}', b"[" * 10_000]
        ports: list[Any] = [-1, "x", 2**70, None, []]
        nonsense += [json.dumps(CLIENT | {"port": port}).encode() for port in ports]
        hosts: list[Any] = ["", 5, [], "x" * 9999]
        nonsense += [json.dumps(RELAY | {"ip_local": host}).encode() for host in hosts]
        nonsense += [b'{"message": ["get components"]}', b'{"stanza": "message", "to": "esa"}']
        for prelude in ([], [CLIENT], [RELAY]):
            for frame in nonsense:
                self.peer().say(*prelude, frame)
        admitted = self.peer()
        admitted.prove(RELAY)
        for frame in nonsense[:9]:
            admitted.say(frame, {"type": "ping"})
        self.assertIsNone(admitted.closed)
        self.assertEqual(self.array(), [LISTED_RELAY])

    def test_T7_repeats_nothing_unchecked(self) -> None:
        self.peer().prove(RELAY | {"surprise": "x" * 1000, "relay_username": "somebody"})
        self.assertEqual(self.array(), [LISTED_RELAY])

    def test_T7_a_frame_too_long_is_413_and_the_end(self) -> None:
        peer = self.peer()
        peer.write(b"x" * 70_000)
        self.assertEqual((peer.heard()[0]["code"], peer.closed), (413, CloseReason.FRAME_TOO_LONG))

    def test_T7_who_says_nothing_is_closed(self) -> None:
        silent, half = self.peer(), self.peer()
        half.write(b'{"ip_lo')
        unproved = self.peer()
        unproved.say(RELAY)
        self.reactor.advance(10)
        closed = {silent.closed, half.closed, unproved.closed}
        self.assertEqual(closed, {CloseReason.HELLO_TIMEOUT})


class ServiceTests(TrackerTestCase):
    """Starting, stopping, and a record that fails."""

    def test_is_ready_while_it_runs(self) -> None:
        self.assertTrue(self.service.is_ready)
        self.successResultOf(self.service.stopService())
        self.assertFalse(self.service.is_ready)

    def test_stopping_closes_every_link_and_records_it(self) -> None:
        relay = self.peer()
        relay.prove(RELAY)
        stopped = self.service.stopService()
        self.assertEqual(relay.closed, CloseReason.SHUTDOWN)
        self.assertNoResult(stopped)
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertFalse(self.rows()[0].live)

    def test_a_record_that_fails_stops_nobody(self) -> None:
        self.store.joined = lambda component: fail(StoreFailed("disk full"))  # type: ignore[method-assign]
        self.peer().prove(RELAY)
        self.assertEqual(self.array(), [LISTED_RELAY])
        self.assertEqual(len(self.flushLoggedErrors(StoreFailed)), 1)

    def test_more_links_than_allowed_are_refused(self) -> None:
        self.service = self.start(listen=["tcp:5010"], limits=Limits(max_links=1))
        self.peer()
        self.assertIsNone(self.service.factory.buildProtocol(None))

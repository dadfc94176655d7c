# SPDX-License-Identifier: MIT
"""A friend who lies, a stranger who knocks: nobody else's link, nobody's ports, nothing without a bound."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.sandbox.friends import Friends
from xjrelay.client import direct_link
from xjrelay.client.core import DirectCore
from xjrelay.client.direct_link import MAX_UNREAD, STANZAS, DirectLink
from xjrelay.client.sealed import Sealed
from xjrelay.domain.direct import LINK_WITHIN, MAX_SESSIONS, OFFERS, ROUNDS
from xjrelay.sandbox.network import Machine
from xjrelay.security.identity import Identity, make_key
from xjrelay.wire import codec, direct

DONE = Failure(ConnectionDone())


class Knock(Protocol):
    """Somebody at a port: counts who comes, says what it is told to."""

    def __init__(self) -> None:
        self.ended = False

    def connectionLost(self, reason: Failure = DONE) -> None:
        self.ended = True


class Count(Factory):
    """A port of a third party, which counts connections."""

    noisy = False

    def __init__(self) -> None:
        self.knocks: list[Knock] = []

    def buildProtocol(self, addr: object) -> Knock:
        self.knocks.append(Knock())
        return self.knocks[-1]


class _Dialling(ClientFactory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Protocol:
        return self._protocol


class _Stranger(Protocol):
    """Speaks TLS with a key of its own to whoever listens for direct links."""

    transport: Any

    def __init__(self) -> None:
        self.ended = False
        identity = Identity(make_key())
        self.sealed = Sealed(identity.clientConnectionForTLS(None), lambda sealed: None)  # type: ignore[arg-type]

    def connectionMade(self) -> None:
        self.sealed.begin(self)  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def abort(self) -> None:
        """Stay, and see what the other end does."""

    def dataReceived(self, data: bytes) -> None:
        self.sealed.received(data)

    def connectionLost(self, reason: Failure = DONE) -> None:
        self.ended = True


class Hostile(SynchronousTestCase):
    """Esa is honest; Fajar is a friend, and isn't."""

    def setUp(self) -> None:
        self.world = Friends("esa", "fajar")
        self.esa, self.fajar = self.world.applications["esa"], self.world.applications["fajar"]

    def still_talking(self) -> None:
        """Nothing was lost by it."""
        before = len(self.esa.bodies)
        self.assertEqual(self.fajar.say("esa", "still"), ["delivered"])
        self.assertEqual(self.esa.say("fajar", "here"), ["delivered"])
        self.assertEqual(self.esa.bodies[before:], ["still"])

    def machine(self, name: str) -> Machine:
        return self.world.machine(name)


class WhoTests(Hostile):
    """Keys and nonces."""

    def test_a_key_that_is_not_the_one_of_the_offer(self) -> None:
        """Somebody else at the place that was offered, as where an address has a new owner."""
        self.fajar.side._identity.peer_id = Identity(make_key()).peer_id
        self.fajar.say("esa", "hello")
        self.world.advance(2 * LINK_WITHIN)
        self.assertEqual((self.esa.roads, self.fajar.roads), ([], []))
        self.still_talking()

    def test_the_right_key_and_the_wrong_nonce(self) -> None:
        say = DirectLink.say

        def wrong(link: DirectLink, query: direct.AnyQuery) -> None:
            if isinstance(query, direct.Hello):
                query = direct.Hello(sid=query.sid, nonce="0" * 32)
            say(link, query)

        self.patch(DirectLink, "say", wrong)
        self.fajar.say("esa", "hello")
        self.world.advance(2 * LINK_WITHIN)
        self.assertEqual((self.esa.roads, self.fajar.roads), ([], []))
        self.still_talking()

    def test_strangers_at_the_port(self) -> None:
        listening = self.esa.side.door._listening
        assert listening is not None
        self.world.linked("esa", "fajar")
        strangers = [_Stranger() for _ in range(MAX_SESSIONS)]
        silent = [Knock() for _ in range(3 * MAX_SESSIONS)]
        for one in [*strangers, *silent]:
            self.machine("stranger").connectTCP(
                self.machine("user esa").address, listening.port, _Dialling(one)
            )
        self.world.advance(0.5)
        self.assertTrue(all(one.ended for one in strangers))
        self.assertGreater(sum(one.ended for one in silent), MAX_SESSIONS)
        self.assertLessEqual(len(self.esa.side.door._accepted), MAX_SESSIONS)
        self.world.advance(LINK_WITHIN)
        self.assertTrue(all(one.ended for one in silent))
        self.assertEqual(self.esa.side.door._accepted, {})
        self.assertTrue(self.world.are_direct("esa", "fajar"))

    def test_nobody_comes_in_while_nobody_is_expected(self) -> None:
        listening = self.esa.side.door._listening
        assert listening is not None
        knock = Knock()
        self.machine("stranger").connectTCP(
            self.machine("user esa").address, listening.port, _Dialling(knock)
        )
        self.world.advance(0.5)
        self.assertTrue(knock.ended)


class PlaceTests(Hostile):
    """Offers that point elsewhere."""

    def offer(self, *places: tuple[str, int]) -> None:
        """Fajar says that it can be reached there."""
        candidates = [direct.Candidate(*place) for place in places]
        self.fajar.side.door.candidates = lambda: candidates  # type: ignore[method-assign]
        listening = self.fajar.side.door._listening
        assert listening is not None
        listening.close()
        self.esa.side.door.candidates = list  # type: ignore[method-assign]

    def port(self, machine: str, port: int) -> Count:
        count = Count()
        self.machine(machine).listenTCP(port, count)  # type: ignore[arg-type]
        return count

    def test_this_machine_s_own_ports(self) -> None:
        database = self.port("user esa", 5432)
        own = self.machine("user esa").address
        self.offer(("127.0.0.1", 5432), ("::1", 5432), (own, 5432), (f"::ffff:{own}", 5432))
        self.fajar.say("esa", "hello")
        self.world.advance(3 * LINK_WITHIN)
        self.assertEqual(database.knocks, [])
        self.still_talking()

    def test_a_third_party_s_ports_are_not_looked_through(self) -> None:
        counts = [self.port("third", 2000 + number) for number in range(100)]
        third = self.machine("third").address
        self.offer(*((third, 2000 + number) for number in range(100)))
        self.fajar.say("esa", "hello")
        for _ in range(60):
            self.fajar.side._tries.came("esa")
            self.fajar.say("esa", "and again")
            self.world.advance(0.5)
        knocks = sum(len(count.knocks) for count in counts)
        rate, burst = OFFERS
        self.assertGreater(knocks, 0)
        self.assertLessEqual(knocks, (burst + 30 * rate) * direct.MAX_CANDIDATES * ROUNDS)
        self.assertEqual({number for number, count in enumerate(counts) if count.knocks}, set(range(8)))
        self.still_talking()

    def test_an_offer_of_a_stranger_makes_nobody_dial(self) -> None:
        gita = self.world.applications["gita"] = self.world.application("gita")
        gita.side._house.is_mutual = lambda user: True  # type: ignore[method-assign]
        third = self.port("third", 4000)
        gita.side.door.candidates = lambda: [direct.Candidate(self.machine("third").address, 4000)]  # type: ignore[method-assign]
        gita.say("esa", "hello")
        self.world.advance(LINK_WITHIN)
        self.assertEqual(third.knocks, [])


class LinkTests(Hostile):
    """What is said on the link."""

    def setUp(self) -> None:
        super().setUp()
        self.world.linked("esa", "fajar")

    def link(self) -> DirectLink:
        """Fajar's end."""
        session = self.fajar.side._sessions["esa"]
        assert session._chosen is not None
        return session._chosen

    def core(self) -> DirectCore:
        return self.link()._channel.core

    def say(self, *values: dict[str, Any]) -> None:
        for value in values:
            self.core().say(value)
        self.link()._channel.flush()
        self.world.advance(1)

    def ping(self, times: int) -> None:
        """So often, in one write."""
        for _ in range(times):
            self.core().say({"type": "ping"})
        self.link()._channel.flush()

    def test_a_message_of_somebody_else_or_to_somebody_else(self) -> None:
        for more in ({"from": "gita"}, {"to": "gita"}, {"id": None}, {"from": None}):
            said = {"stanza": "message", "from": "fajar", "to": "esa", "body": "false", "id": "x1", **more}
            self.say({key: item for key, item in said.items() if item is not None})
            self.assertFalse(self.world.clients["esa"].is_direct("fajar"), more)
            self.assertNotIn("false", self.esa.bodies)
            self.world.advance(10)
            self.world.linked("esa", "fajar")

    def test_a_receipt_for_what_went_to_somebody_else(self) -> None:
        gita = self.world.applications["gita"] = self.world.application("gita", direct=None)
        gita.dawdle()
        gita.events.clear()
        warm = self.esa.send("gita", "warm")
        [sent] = self.esa.send("gita", "secret", id="s1")
        self.say({"stanza": "receipt", "to": "esa", "ids": ["s1", "never"], "status": "delivered"})
        self.assertFalse(sent.called)
        gita.hurry()
        self.assertEqual([self.world.run(one).status for one in [*warm, sent]], ["delivered"] * 2)

    def test_what_makes_no_sense_ends_the_link_and_nothing_more(self) -> None:
        dance = {"stanza": "iq", "namespace": "jingle", "type": "set", "query": {"action": "dance"}}
        for nonsense in ([dance], [{"type": "auth", "mechanism": "x"}] * 10):
            self.say(*nonsense)
            self.assertFalse(self.world.clients["esa"].is_direct("fajar"))
            self.still_talking()
            self.world.advance(10)
            self.world.linked("esa", "fajar")

    def test_a_flood_is_read_no_faster_than_so(self) -> None:
        reads = 60
        for _ in range(reads):
            self.ping(int(6 * STANZAS / reads))
        self.world.advance(0.5)
        session = self.esa.side._sessions["fajar"]
        assert session._chosen is not None
        self.assertLess(session._chosen._channel.core.frames, 4 * STANZAS)
        self.assertIn("rate", session._chosen._stopped)
        self.world.advance(4)
        self.assertGreaterEqual(session._chosen._channel.core.frames, 6 * STANZAS)
        self.assertTrue(self.world.are_direct("esa", "fajar"))

    def test_who_reads_nothing_is_cut_off(self) -> None:
        self.patch(direct_link, "MAX_UNREAD", MAX_UNREAD // 32)
        link = self.link()
        assert link._channel._tick_timer is not None
        link._channel._tick_timer.cancel()  # it minds no silence
        link.stop_reading("malice")
        sent = self.esa.send("fajar", *["x" * 1000] * 60)
        for _ in range(10):
            self.ping(1)
            self.world.advance(1)
        self.assertTrue(self.world.clients["esa"].is_direct("fajar"))
        for _ in range(MAX_UNREAD // 32 // 20 // 1000 + 1):
            self.ping(1000)
            self.world.advance(1)
        self.assertFalse(self.world.clients["esa"].is_direct("fajar"))
        self.world.advance(60)
        self.assertEqual({self.world.run(one).status for one in sent}, {"delivered"})

    def test_a_marker_of_another_session_is_nobody_s(self) -> None:
        value = direct.marker("fajar", "esa", "m-of-nothing", "f" * 32)
        self.world.clients["fajar"]._session._relay._write([codec.encode(value)])
        self.world.advance(1)
        self.assertEqual([message.id for message in self.esa.messages if message.id == "m-of-nothing"], [])
        self.assertTrue(self.world.are_direct("esa", "fajar"))


class CrowdTests(SynchronousTestCase):
    """More friends than links."""

    def test_so_many_links_at_a_time_and_the_rest_by_the_relay(self) -> None:
        friends = [f"f{number}" for number in range(MAX_SESSIONS + 4)]
        world = Friends("esa")
        for name in friends:
            world.applications[name] = world.application(name)
            world.befriend("esa", name)
            world.befriend(name, "esa")
        for name in friends:
            world.applications[name].say("esa", "hello")
        world.advance(5)
        side = world.applications["esa"].side
        self.assertEqual([one.is_linked for one in side._sessions.values()], [True] * MAX_SESSIONS)
        for name in friends:
            self.assertEqual(world.applications["esa"].say(name, "x"), ["delivered"])

# SPDX-License-Identifier: MIT
"""Rows of acknowledged messages between users of two relays: what is said in a row crosses as one.

Everything is said as our encoder writes it, so that the fast lane takes it; where it must not, the
test says so.
"""

from __future__ import annotations

import json
from typing import Any

from tests.servers.relay_house import Line
from tests.servers.test_relay_delivery import ONE, TWO, Delivery, ack, bodies, outcomes, receipt
from xjrelay.net.protocol import Link
from xjrelay.net.trace import Trace
from xjrelay.servers.relay.in_flight import InFlight
from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.outcomes import Origin
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.wire import fast


def plain(from_: str, to: str, message_id: str, **more: Any) -> bytes:
    """A message with an id that is its body, too, as our encoder writes it."""
    value = {"stanza": "message", "to": to, "from": from_, "body": message_id, "id": message_id, **more}
    return json.dumps(value, separators=(",", ":")).encode()


class Across(Delivery):
    """The base: Esa at one relay, Fajar at the other, both acknowledging; how many went singly is counted."""

    settings = RelaySettings(resume=60.0, max_queue=20)

    def setUp(self) -> None:
        super().setUp()
        self.singly: list[str] = []
        for owner, name, at in ((MeshEnd, "carried", 3), (InFlight, "send", 0)):
            self.count(owner, name, at)
        self.esa, _ = self.acked(self.one, "Esa")
        self.fajar, self.key = self.acked(self.two, "Fajar")
        self.house.wait(1.0)

    def count(self, owner: Any, name: str, at: int) -> None:
        """Note each call of a method that carries one message."""
        method = getattr(owner, name)

        def noted(one: Any, *arguments: Any) -> Any:
            self.singly.append(name)
            return method(one, *arguments)

        self.patch(owner, name, noted)

    def say(self, *ids: str, to: str = "Fajar", line: Line | None = None, from_: str = "Esa") -> None:
        """Messages in one read."""
        (line or self.esa).write(*(plain(from_, to, one) for one in ids))

    def begin_again(self, ids: str) -> None:
        """Messages in one read, the first of which begins the pair again."""
        frames = [plain("Esa", "Fajar", one) for one in ids]
        frames[0] = plain("Esa", "Fajar", ids[0], again=True)
        self.esa.write(*frames)

    def told(self, line: Line | None = None) -> dict[tuple[str, int | None], list[str]]:
        """Ids by their outcome."""
        found: dict[tuple[str, int | None], list[str]] = {}
        for frame in outcomes(line or self.esa):
            found.setdefault((frame["status"], frame.get("code")), []).extend(frame["ids"])
        return found

    @property
    def in_flight(self) -> int:
        """How many messages of the first relay's have no outcome yet."""
        return self.one.peers.in_flight


class RowTests(Across):
    """While nothing goes wrong."""

    def test_a_row_crosses_and_is_delivered_in_one_receipt(self) -> None:
        heard: list[tuple[str, list[str]]] = []
        settle = InFlight.settle

        def noted(one: InFlight, from_: str, ids: list[str], *outcome: Any) -> None:
            heard.append((from_, ids))
            settle(one, from_, ids, *outcome)

        self.patch(InFlight, "settle", noted)
        self.say("1", "2", "3")
        self.say("4", "5")
        self.assertEqual((bodies(self.fajar), outcomes(self.esa)), (["1", "2", "3", "4", "5"], []))
        self.assertEqual(self.in_flight, 5)
        self.fajar.say(ack(5))
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "delivered", "1", "2", "3", "4", "5")])
        self.assertEqual(heard, [("Esa", ["1", "2", "3", "4", "5"])])
        self.assertEqual((self.singly, self.in_flight), ([], 0))

    def test_an_acknowledgement_may_end_within_a_row(self) -> None:
        self.say("1", "2", "3", "4", "5")
        for h, expected in ((2, ["1", "2"]), (3, ["3"]), (5, ["4", "5"])):
            self.fajar.say(ack(h))
            self.assertEqual(outcomes(self.esa), [receipt("Esa", "delivered", *expected)])
        self.assertEqual((self.singly, self.in_flight), ([], 0))

    def test_rows_of_several_pairs_keep_apart(self) -> None:
        gita, _ = self.acked(self.two, "Gita")
        hadi, _ = self.acked(self.one, "Hadi")
        self.house.wait(1.0)
        said = (("Fajar", "1"), ("Fajar", "2"), ("Gita", "3"))
        self.esa.write(*(plain("Esa", to, one) for to, one in said))
        self.say("1", "2", line=hadi, from_="Hadi")
        gita.say(ack(1))
        self.assertEqual((self.told(), self.told(hadi)), ({("delivered", None): ["3"]}, {}))
        self.fajar.say(ack(3))
        self.assertEqual(self.told(), {("delivered", None): ["1", "2"]})
        self.assertEqual(self.told(hadi), {("delivered", None): ["1"]})
        self.assertEqual(self.singly, [])

    def test_to_a_recipient_without_acknowledgement_each_has_its_activity(self) -> None:
        self.house.joined(self.two, "Gita")
        self.say("1", "2", to="Gita")
        self.assertEqual(self.told(), {("delivered", None): ["1", "2"]})
        self.assertEqual((self.singly, self.in_flight), (["carried"] * 2, 0))

    def test_receipts_between_rows_keep_nothing_from_crossing_as_a_row(self) -> None:
        self.say("1", "2", line=self.fajar, from_="Fajar", to="Esa")
        end = self.one.switch.way_to("relay2")
        assert isinstance(end, MeshEnd)
        assert isinstance(end._link, Link)
        came = [
            *(plain("Fajar", "Esa", one) for one in "34"),
            json.dumps(receipt("Esa", "delivered", "8", "9"), separators=(",", ":")).encode(),
            *(plain("Fajar", "Esa", one) for one in "567"),
        ]
        self.say("8", "9")
        rows: list[int] = []
        lane = self.one.peers.lane
        runs = lane._runs

        def read(lines: bytes) -> tuple[list[fast.Run | fast.PlainAck], bool]:
            rows.append(lines.count(b"\n"))
            return runs(lines)

        self.patch(lane, "_runs", read)
        end._link.dataReceived(b"".join(one + b"\n" for one in came))
        self.assertEqual((rows, self.singly), ([2, 3], []))
        self.house.settle()
        heard = [frame for frame in self.esa.take() if "stanza" in frame]
        self.assertEqual([frame.get("body", frame.get("ids")) for frame in heard], [*"1234567", ["8", "9"]])

    def test_of_a_sender_without_acknowledgement_those_with_ids_are_known_one_by_one(self) -> None:
        gita = self.house.joined(self.one, "Gita")
        self.say("1", "2", line=gita, from_="Gita")
        self.assertEqual((bodies(self.fajar), self.in_flight), (["1", "2"], 2))
        self.house.network.cut(ONE, TWO)
        self.house.settle()
        self.assertEqual([(frame["code"], frame["id"]) for frame in gita.take()], [(503, "1"), (503, "2")])

    def test_a_resumed_recipient_is_sent_the_rest_of_a_row(self) -> None:
        self.say("1", "2", "3")
        self.fajar.vanish()
        self.say("4", "5")
        again = self.resume(TWO, "Fajar", self.key, 1)
        self.assertEqual(bodies(again), ["2", "3", "4", "5"])
        again.say(ack(5))
        self.assertEqual(self.told(), {("delivered", None): ["1", "2", "3", "4", "5"]})
        self.assertEqual(self.singly, [])

    def test_each_relay_remembers_a_row(self) -> None:
        traces = []
        for relay in (self.one, self.two):
            trace = relay.context.trace = Trace(self.house.clock.seconds, 100)
            traces.append(trace)
        self.say("1", "2")
        [sent], [came] = ([note[1:] for note in trace.find("2")] for trace in traces)
        self.assertEqual(sent, ("accepted", "Esa", "Fajar", ["1", "2"], "relay2"))
        self.assertEqual(came, ("arrived", "Esa", "Fajar", ["1", "2"], "relay1"))

    def test_one_of_a_row_is_timed_by_the_way_it_went(self) -> None:
        timings = self.one.switch.timings
        timings.refill()
        self.two.switch.timings.refill()
        self.say("1", "2", "3")
        self.house.wait(1.0)
        self.fajar.say(ack(3))
        self.assertEqual((len(timings.mesh), len(timings.here)), (1, 0))
        self.assertGreater(timings.mesh.total, 1.0)
        self.assertEqual([len(one) for one in self.two.switch.timings.by_way.values()], [0, 0, 0])

    def test_one_that_was_handed_over_is_not_timed_as_another_that_crosses(self) -> None:
        timings = self.one.switch.timings
        gita, _ = self.acked(self.one, "Gita")
        self.house.wait(1.0)
        timings.refill()
        self.say("1", "2", to="Gita")
        gita.leave()
        self.house.wait(61.0)
        self.assertEqual(self.told(), {("stored", None): ["1", "2"]})
        gita = self.house.user(self.two, "Gita", ack=True)
        self.house.wait(1.0)
        self.say("3", "4", to="Gita")
        gita.say(ack(4))
        self.assertEqual(self.told(), {("delivered", None): ["3", "4"]})
        self.assertEqual((len(timings.mesh), len(timings.here)), (1, 0))


class AgainTests(Across):
    """Ids that come more than once."""

    def test_an_id_twice_in_a_row_has_one_outcome(self) -> None:
        self.say("1", "1", "2")
        self.assertEqual(bodies(self.fajar), ["1", "1", "2"])
        self.assertEqual(self.in_flight, 2)
        self.fajar.say(ack(3))
        self.assertEqual(self.told(), {("delivered", None): ["1", "2"]})
        self.settled()

    def test_one_that_is_on_its_way_takes_the_place_of_the_other(self) -> None:
        self.say("1", "2")
        self.say("2", "3")
        self.assertEqual((bodies(self.fajar), self.in_flight), (["1", "2", "2", "3"], 3))
        self.fajar.say(ack(4))
        self.assertEqual(self.told(), {("delivered", None): ["1", "2", "3"]})
        self.settled()

    def settled(self) -> None:
        """Nothing of the pair is counted as under way any more: it may take another route."""
        self.assertEqual(self.in_flight, 0)
        self.fajar.leave()
        self.house.wait(61.0)
        self.say("9")
        self.assertEqual(self.told(), {("stored", None): ["9"]})

    def test_a_cut_link_fails_a_whole_row_and_it_begins_again_in_order(self) -> None:
        self.say("1", "2", "3")
        self.say("4")
        self.assertEqual(bodies(self.fajar), ["1", "2", "3", "4"])
        self.house.network.cut(ONE, TWO)
        self.house.settle()
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "failed", "1", "2", "3", "4", code=503)])
        self.house.wait(3.0)
        self.say("5", "6")  # not before the pair is begun again
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "failed", "5", "6", code=503)])
        self.begin_again("123456")
        self.assertEqual(bodies(self.fajar), list("123456"))
        self.fajar.say(ack(10))  # both times
        self.assertEqual(self.told(), {("delivered", None): list("123456")})

    def test_a_link_that_is_closing_takes_none_of_a_row(self) -> None:
        end = self.one.switch.way_to("relay2")
        assert isinstance(end, MeshEnd)
        self.patch(end._link, "send_lines", lambda lines, count: False)
        self.say("1", "2")
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "failed", "1", "2", code=503)])
        self.assertEqual((bodies(self.fajar), self.in_flight), ([], 0))


class BoundTests(Across):
    """Five messages may be on their way over a link."""

    settings = RelaySettings(resume=60.0, max_queue=20, max_in_flight=5)

    def test_the_bound_counts_messages_and_what_follows_goes_back(self) -> None:
        self.say("1", "2", "3")
        self.say("4", "5", "6", "7")
        self.assertEqual((bodies(self.fajar), self.in_flight), (list("12345"), 5))
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "failed", "6", "7", code=503)])
        self.fajar.say(ack(5))
        self.assertEqual(self.told(), {("delivered", None): list("12345")})
        self.say("8")
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "failed", "8", code=503)])
        self.begin_again("678")
        self.assertEqual(bodies(self.fajar), ["6", "7", "8"])


class EndingTests(Across):
    """The recipient's session ends with a part of a row unacknowledged."""

    def test_what_is_left_of_a_row_is_handed_over(self) -> None:
        self.say("1", "2", "3", "4", "5")
        self.fajar.say(ack(2))
        self.assertEqual(self.told(), {("delivered", None): ["1", "2"]})
        self.fajar.leave()
        self.house.wait(61.0)
        self.assertEqual(self.told(), {("stored", None): ["3", "4", "5"]})
        self.assertEqual((self.house.mailbox("Fajar"), self.in_flight), (["3", "4", "5"], 0))

    def test_what_follows_goes_back_over_that_link(self) -> None:
        self.say("1", "2", "3")
        self.fajar.say(ack(1))
        self.assertEqual(self.told(), {("delivered", None): ["1"]})
        self.house.network.partition("10.0.0.2", TWO)  # the manager's answer will take its time
        line = self.house.user(self.two, "Fajar", ack=True)
        line.take()
        self.say("4", "5")
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "failed", "4", "5", code=503)])
        self.house.network.heal()
        self.house.settle()
        self.assertEqual(bodies(line), ["2", "3"])
        self.assertEqual(self.told(), {("stored", None): ["2", "3"]})
        self.begin_again("45")
        self.assertEqual(bodies(line), ["4", "5"])

    def test_a_gate_that_is_closed_to_one_pair_lets_rows_of_others_pass(self) -> None:
        gita, _ = self.acked(self.one, "Gita")
        hadi, _ = self.acked(self.two, "Hadi")
        self.house.wait(1.0)
        self.say("1", line=gita, from_="Gita")
        self.house.network.partition("10.0.0.2", TWO)
        self.house.user(self.two, "Fajar", ack=True)  # in place of one that had not acknowledged
        self.singly.clear()  # what is handed over goes one by one
        self.say("2", "3", line=gita, from_="Gita")
        self.assertEqual((self.told(gita), self.singly), ({("failed", 503): ["2", "3"]}, ["carried"] * 2))
        self.singly.clear()
        self.say("1", "2", to="Hadi")
        self.assertEqual((bodies(hadi), self.singly), (["1", "2"], []))
        hadi.say(ack(2))
        self.assertEqual(self.told(), {("delivered", None): ["1", "2"]})

    def test_an_account_that_is_gone_is_an_error_for_each(self) -> None:
        self.say("1", "2")
        self.house.stores.accounts.remove("fajar")
        self.fajar.leave()
        self.house.wait(61.0)
        told = outcomes(self.esa)
        self.assertEqual([(one["code"], one["id"]) for one in told], [(404, "1"), (404, "2")])
        self.assertEqual(self.in_flight, 0)

    def test_a_queue_that_holds_only_a_part_of_a_row_takes_that(self) -> None:
        self.say(*(str(number) for number in range(18)))
        bodies(self.fajar)
        self.say("18", "19", "20", "21")
        self.assertEqual(
            self.told(),
            {("failed", 503): ["20", "21"], ("stored", None): [str(number) for number in range(20)]},
        )
        self.assertTrue(self.fajar.ended)

    def test_what_finds_no_room_behind_a_mailbox_keeps_back_what_follows(self) -> None:
        self.house.network.partition("10.0.0.2", TWO)
        gita = self.house.user(self.two, "Gita", ack=True)
        self.say(*map(str, range(22)), to="Gita")
        self.assertEqual(self.told(), {("failed", 503): ["20", "21"]})
        self.house.network.heal()
        self.house.settle()
        gita.take()
        gita.say(ack(20))
        self.assertEqual(self.told(), {("delivered", None): [str(number) for number in range(20)]})
        found, way = self.one.switch.table.find_local("Esa"), self.one.switch.way_to("relay2")
        assert found is not None and found.handle is not None and way is not None
        way.forward(plain("Esa", "Gita", "x"), Origin(found.handle, "Esa", "Gita", "x"))  # was under way
        self.house.settle()
        self.assertEqual((bodies(gita), self.told()), ([], {("failed", 503): ["x"]}))

    def test_what_waits_behind_a_mailbox_goes_when_it_is_out(self) -> None:
        self.house.network.partition("10.0.0.2", TWO)
        gita = self.house.user(self.two, "Gita", ack=True)
        gita.take()
        self.say("1", "2", to="Gita")
        self.assertEqual(bodies(gita), [])
        self.house.network.heal()
        self.house.settle()
        self.assertEqual(bodies(gita), ["1", "2"])
        gita.say(ack(2))
        self.assertEqual(self.told(), {("delivered", None): ["1", "2"]})

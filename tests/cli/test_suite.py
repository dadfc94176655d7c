# SPDX-License-Identifier: MIT
"""The suite on a screen: what is put together, what is wrong, how fast it goes."""

from __future__ import annotations

import io
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli import live, status
from xjrelay.cli.doors import Door, door
from xjrelay.cli.options import UsageError
from xjrelay.cli.screen import Screen
from xjrelay.cli.suite import Seen, Suite, Told, joined, troubles

HERE = Door(socket="/x/admin.sock")


def facts(program: str, kind: str, place: str, **more: Any) -> dict[str, Any]:
    """What a program says of itself when all is well."""
    return {
        **{"program": program, "kind": kind, "place": place, "missing": [], "broken": []},
        **{"links": 3, "received": 0, "sent": 0, "limited": {}, "outcomes": {}, "queues": {}},
        **more,
    }


def node(**relay2: Any) -> Told:
    """A node that says how it is."""
    relays = [
        {"name": f"relay{n}", "place": f"127.0.0.1:500{n + 1}", "users": n, "draining": False} for n in (1, 2)
    ]
    manager = facts("manager", "manager", "127.0.0.1:5001", online=3, relays=relays, given_up=[])
    mesh = {"mesh": ["relay2"], "unlinked": [], "draining": False}
    relay1 = facts("relay1", "relay", "127.0.0.1:5002", name="relay1", sessions=1, **mesh)
    other = facts("relay2", "relay", "127.0.0.1:5003", name="relay2", sessions=2, **(mesh | relay2))
    tracker = facts("tracker", "tracker", "127.0.0.1:5000", components=[{}, {}, {}])
    return Told(HERE, "0.1.0", 1.0, 100.0, [tracker, manager, relay1, other])


def answering() -> list[Seen]:
    """Everybody who is listed, answering."""
    programs = ("tracker", "manager", "relay", "relay")
    return [
        Seen(program, f"127.0.0.1:500{n}", "", 0.001, version="0.1.0") for n, program in enumerate(programs)
    ]


class SuiteTests(SynchronousTestCase):
    """Values in, a suite out."""

    def test_a_suite_that_is_well(self) -> None:
        programs = joined(answering(), [node()])
        self.assertEqual([one.name for one in programs], ["", "", "relay1", "relay2"])
        self.assertEqual(troubles(programs), [])
        rows = [" ".join(status.cells(one)) for one in programs]
        self.assertEqual(
            rows,
            [
                "tracker 127.0.0.1:5000  0.1.0 1.0 ms 3 listed - empty serves",
                "manager 127.0.0.1:5001  0.1.0 1.0 ms 3 online - empty serves",
                "relay 127.0.0.1:5002 relay1 0.1.0 1.0 ms 1 1 of 1 empty serves",
                "relay 127.0.0.1:5003 relay2 0.1.0 1.0 ms 2 1 of 1 empty serves",
            ],
        )

    def test_a_relay_without_a_door_is_as_the_manager_knows_it(self) -> None:
        told = node()
        programs = joined(answering(), [Told(HERE, "0.1.0", 1.0, 100.0, told.programs[1:2])])
        shown = [(one.name, status.users(one)) for one in programs[2:]]
        self.assertEqual(shown, [("relay1", "1"), ("relay2", "2")])
        self.assertEqual(troubles(programs), [])

    def test_each_thing_that_is_wrong_is_said(self) -> None:
        self.wrong(
            "relay2 127.0.0.1:5003: the manager is away",
            node(missing=["the manager is away"]),
        )
        self.wrong(
            "relay2 127.0.0.1:5003 is not linked with the relay at 10.0.0.7:5002",
            node(unlinked=["10.0.0.7:5002"]),
        )
        self.wrong("relay2 127.0.0.1:5003: links, 90% full", node(queues={"links": [90, 100], "x": [1, 9]}))
        full = "the store: the disk is full"
        self.wrong(f"relay2 127.0.0.1:5003: {full}", node(broken=[full]))
        told = node()
        told.programs[1]["given_up"] = ["relay7"]
        self.wrong("manager 127.0.0.1:5001 has given up relay7", told)
        told = node()
        told.programs[1]["relays"].pop()
        self.wrong("relay2 127.0.0.1:5003 is not at the manager", told)

    def wrong(self, what: str, told: Told) -> None:
        self.assertEqual(troubles(joined(answering(), [told])), [what])

    def test_who_does_not_answer_is_wrong_and_so_is_who_is_missing(self) -> None:
        programs = answering()[:2]
        programs[1] = Seen("manager", "127.0.0.1:5001", "", None, "nobody answers")
        wrong = troubles(joined(programs, []))
        self.assertEqual(
            wrong,
            [
                "manager 127.0.0.1:5001 does not answer: nobody answers",
                "there is no relay: nobody can send a message",
            ],
        )

    def test_a_program_left_behind_is_wrong(self) -> None:
        programs = answering()
        programs[2] = Seen("relay", "127.0.0.1:5002", "relay1", 0.001, version="0.0.9")
        self.assertEqual(troubles(programs), ["relay1 127.0.0.1:5002 is 0.0.9, others are 0.1.0"])

    def test_who_is_not_listed_and_says_why_is_shown(self) -> None:
        away = facts("relay", "relay", "10.0.0.9:5002", name="", missing=["no tracker lists it"])
        programs = joined(answering(), [Told(HERE, "0.1.0", 1.0, 100.0, [away])])
        self.assertEqual((programs[-1].place, status.state(programs[-1])), ("10.0.0.9:5002", "not ready"))
        self.assertEqual(troubles(programs), ["relay 10.0.0.9:5002: no tracker lists it"])

    def test_peers_alone_need_no_manager(self) -> None:
        peer = facts("peer", "peer", "10.0.0.9:5000", linked=2)
        programs = joined([], [Told(HERE, "0.1.0", 1.0, 100.0, [peer])])
        self.assertEqual((troubles(programs), status.users(programs[0])), ([], "2 linked"))

    def test_what_a_terminal_would_obey_is_spelt_out(self) -> None:
        programs = [Seen("relay", "127.0.0.1:5002", "\x1b[2J", None, "\x07")]
        text = status.drawn(Suite(programs, troubles(programs), []))
        self.assertNotIn("\x1b", text)
        self.assertNotIn("\x07", text)
        self.assertIn(status.NO_DOORS, text)


class LiveTests(SynchronousTestCase):
    """What happens between two looks."""

    def at(self, seconds: float, received: int, cpu: float, **more: Any) -> Seen:
        said = facts("relay", "relay", "127.0.0.1:5002", received=received, sent=2 * received, **more)
        return Seen("relay", "127.0.0.1:5002", "relay1", 0.001, "", "0.1.0", said, cpu, seconds)

    def test_rates_are_of_the_time_between(self) -> None:
        before = self.at(100.0, 50, 1.0, outcomes={"delivered": 10})
        now = self.at(104.0, 90, 3.0, outcomes={"delivered": 14, "failed": 4})
        rate = live.rates(before, now)
        self.assertEqual(rate, live.Rates(heard=10.0, said=20.0, told=2.0, failed=1.0, cpu=0.5))

    def test_a_program_that_was_started_again_has_none(self) -> None:
        self.assertIsNone(live.rates(self.at(100.0, 50, 1.0), self.at(104.0, 3, 0.5)))
        self.assertIsNone(live.rates(self.at(100.0, 50, 1.0), Seen("relay", "127.0.0.1:5002", "", 0.001)))

    def test_the_second_look_shows_them(self) -> None:
        shown = live.Live()
        for seconds, received in ((100.0, 0), (102.0, 3000)):
            shown.take(Suite([self.at(seconds, received, seconds / 100)], [], [HERE]), 0.0)
        self.assertIn("1 programs, all is well", shown.text)
        self.assertRegex(shown.text, r"1,500 +3,000 +0 +0 +1% +empty +serves")


class DoorTests(SynchronousTestCase):
    """Where programs are asked."""

    def test_what_may_be_typed(self) -> None:
        for text, meant in (
            ("127.0.0.1:9500", Door(host="127.0.0.1", port=9500)),
            ("http://[::1]:9500", Door(host="::1", port=9500)),
            ("https://chat.example.org:9500", Door(host="chat.example.org", port=9500, tls=True)),
            ("/var/lib/xjrelay/node/admin.sock", Door(socket="/var/lib/xjrelay/node/admin.sock")),
            ("unix:/x/admin.sock", Door(socket="/x/admin.sock")),
        ):
            self.assertEqual(door(text), meant)

    def test_what_may_not(self) -> None:
        for text in ("", "nowhere", "host:port", "ftp://a:1", "http://a"):
            with self.assertRaises(UsageError):
                door(text)


class ScreenTests(SynchronousTestCase):
    """For scripts."""

    def test_a_program_is_an_object(self) -> None:
        out = io.StringIO()
        for one in joined(answering(), [node()]):
            Screen(True, out).show("", **status.as_value(one))
        self.assertEqual(out.getvalue().count("\n"), 4)
        self.assertIn('"program": "relay"', out.getvalue())
        self.assertIn('"state": "serves"', out.getvalue())

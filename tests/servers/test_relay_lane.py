# SPDX-License-Identifier: MIT
"""The fast lane and the slow one cannot be told apart by anybody who listens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.relay_house import Line, house_with
from xjrelay.servers.relay.lane import Lane

USERS = {
    **{"Esa": (0, False), "fajar": (0, False), "gita": (1, False)},
    **{"hadi": (0, True), "indra": (1, True), "joko": (1, True)},
}
"""Name: which relay, and whether the session acknowledges."""

AWAY = "kartika"
"""Who has an account, and is at no relay."""

NAMES = st.sampled_from([*USERS, *USERS, AWAY, "esa", "nobody", "Esa/hp", "a b", ""])
BODIES = st.sampled_from(["halo", "halo", "", "a:b", 'say "hi"', "é", "\x80\x81\x82", "x" * 200])
IDS = st.none() | st.sampled_from(["1", "2", "3"])


@st.composite
def frames(draw: st.DrawFn, sender: str) -> bytes:
    """One frame of a sender: mostly an ordinary message."""
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return json.dumps({"stanza": "ack", "h": draw(st.integers(0, 3))}, separators=(",", ":")).encode()
    if kind == 1:
        return draw(st.sampled_from([b"{", b"[]", b'{"type":"ping","id":"7"}', b"\xff", b'{"stanza":"iq"}']))
    value: dict[str, Any] = {"stanza": "message", "to": draw(NAMES), "from": sender, "body": draw(BODIES)}
    message_id = draw(IDS)
    if message_id is not None:
        value["id"] = message_id
    if kind == 2:
        value["from"] = draw(NAMES)
    if kind == 3:
        value["lang"] = "id"
    if kind == 4:
        return json.dumps(value).encode()
    frame = json.dumps(value, separators=(",", ":"), ensure_ascii=draw(st.booleans())).encode()
    return frame[:-1] + b',"body":"twice"}' if kind == 5 else frame


def rows(sender: str, *others: str) -> st.SearchStrategy[list[bytes]]:
    """Ordinary messages with ids, mostly different ones, to one of the others."""
    ids = st.lists(st.sampled_from("123456789abcdefghijk"), min_size=2, max_size=6)
    return st.builds(lambda to, ids: [ordinary(sender, to, one) for one in ids], st.sampled_from(others), ids)


Part = TypeVar("Part")
Read = tuple[str, list[bytes] | int]
"""Who says what in one read; a number: acknowledges all it was sent but so many; nobody: the relays lose one
another, and what is under way."""


def reads_of(name: str) -> st.SearchStrategy[Read]:
    """What a user says in one read."""
    one = frames(name).map(lambda frame: [frame])
    mixed = st.lists(one | rows(name, *USERS, AWAY, "nobody"), min_size=1, max_size=5)
    return st.tuples(st.just(name), mixed.map(joined))


def talk(names: Sequence[str]) -> st.SearchStrategy[list[Read]]:
    """What one of two says in rows, the other's acknowledgements, and perhaps an accident."""
    one, other = names
    said: st.SearchStrategy[Read] = st.tuples(st.just(one), rows(one, other, other, AWAY))
    had: st.SearchStrategy[Read] = st.tuples(st.just(other), st.integers(0, 3))
    lost: st.SearchStrategy[Read] = st.just(("", 0))
    return st.lists(said | said | had | had | lost, min_size=2, max_size=6)


def joined(parts: list[list[Part]]) -> list[Part]:
    """All of them in order."""
    return [one for part in parts for one in part]


TWO = [("hadi", "indra"), ("indra", "hadi"), ("joko", "hadi"), ("indra", "joko")]
TALKS = st.sampled_from(TWO).flatmap(talk)
ANYBODY = st.sampled_from(list(USERS)).flatmap(reads_of).map(lambda read: [read])
READS = st.lists(ANYBODY | TALKS, max_size=6).map(joined)


def ordinary(sender: str, to: str, message_id: str) -> bytes:
    """A message as our encoder writes it."""
    value = {"stanza": "message", "to": to, "from": sender, "body": "halo", "id": message_id}
    return json.dumps(value, separators=(",", ":")).encode()


def play(reads: list[Read]) -> dict[str, list[Any]]:
    """What everybody hears when these things are said and done, and what is kept for who is away."""
    house = house_with(2)
    relays = list(house.relays.values())
    lines: dict[str, Line] = {
        name: house.joined(relays[at], name, ack=ack) for name, (at, ack) in USERS.items()
    }
    house.token(relays[0], AWAY)
    acknowledged = dict.fromkeys(USERS, 0)
    house.wait(1.0)
    for name, said in reads:
        if not name:
            house.network.cut(*house.relays)
            house.wait(3.0)
        elif lines[name].ended:
            continue
        elif isinstance(said, int):
            sent = sum(frame.get("stanza") in ("message", "receipt") for frame in lines[name].heard)
            acknowledged[name] = max(acknowledged[name], sent - said)
            lines[name].write(b'{"stanza":"ack","h":%d}' % acknowledged[name])
        else:
            lines[name].write(*said)
    house.wait(1.0)
    heard: dict[str, list[Any]] = {name: line.take() for name, line in lines.items()}
    return {**heard, AWAY: [house.mailbox(AWAY)]}


class LaneTests(SynchronousTestCase):
    """The same things said to two suites, one without the lane."""

    def slow(self, reads: list[Read]) -> dict[str, list[Any]]:
        original = Lane.said, Lane.crossed
        nothing: Any = lambda *_: (0, False)  # noqa: E731  # both methods, replaced by one
        Lane.said = Lane.crossed = nothing  # type: ignore[method-assign]
        try:
            return play(reads)
        finally:
            Lane.said, Lane.crossed = original  # type: ignore[method-assign]

    @settings(max_examples=40, deadline=None)
    @given(READS)
    def test_both_lanes_are_heard_alike(self, reads: list[Read]) -> None:
        self.assertEqual(play(reads), self.slow(reads))

    def counted(self) -> list[int]:
        """How many frames the lane is done with, each time that it is shown some."""
        done: list[int] = []
        for name in ("said", "crossed"):
            method: Any = getattr(Lane, name)

            def counted(*arguments: Any, method: Any = method) -> tuple[int, bool]:
                taken: tuple[int, bool] = method(*arguments)
                done.append(taken[0])
                return taken

            self.patch(Lane, name, counted)
        return done

    def test_an_ordinary_conversation_takes_the_lane(self) -> None:
        """Otherwise the property above would hold of a lane that does nothing."""
        done = self.counted()
        said = [ordinary("Esa", to, to) for to in ("fajar", "gita", "hadi", "indra")]
        heard = play([("Esa", said)])
        self.assertEqual(sum(done), 6)  # four said, two of them crossed
        self.assertTrue(all(len(heard[to]) == 1 for to in ("fajar", "gita", "hadi", "indra")), heard)

    def test_messages_to_nobody_take_it_too(self) -> None:
        """Those of a session with acknowledgement are kept, those of another have an error each."""
        done = self.counted()
        said = [ordinary("hadi", AWAY, "1"), ordinary("hadi", AWAY, "2"), ordinary("hadi", "nobody", "3")]
        bare = [ordinary("Esa", "nobody", "4"), ordinary("Esa", AWAY, "5")]
        heard = play([("hadi", said), ("Esa", bare)])
        self.assertEqual(sum(done), 5)
        self.assertEqual(heard[AWAY], [["halo", "halo"]])
        told = [(one["stanza"], one.get("status"), one.get("ids"), one.get("code")) for one in heard["hadi"]]
        self.assertIn(("receipt", "stored", ["1", "2"], None), told)
        self.assertIn(("message", None, None, 404), told)
        self.assertEqual([(one["id"], one["code"]) for one in heard["Esa"]], [("4", 404), ("5", 404)])

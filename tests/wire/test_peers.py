# SPDX-License-Identifier: MIT
"""The peers' packets: what is one, which may be heard when, and ours in the original's form."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import vectors
from xjrelay.wire import codec
from xjrelay.wire.peers import (
    HEARD,
    KINDS,
    MAX_LISTED,
    MAX_PEER_NAME,
    OURS,
    Author,
    BadPacket,
    Entry,
    Join,
    Listing,
    Message,
    Packet,
    PeerPhase,
    Peers,
    Ping,
    Place,
    Receipt,
    Receipts,
    Text,
    check,
    parse,
    seconds_of,
    shown_name,
    timestamp,
)

AUTHOR = Author("xj1-00", "Alice", lambda: 1_800_000_000.25)


class VectorTests(SynchronousTestCase):
    """The vectors for other implementations."""

    def test_accepted(self) -> None:
        seen = set()
        for case in vectors("peers")["accepted"]:
            packet = parse(case["value"])
            self.assertEqual(type(packet).__name__.upper(), case["type"], case["name"])
            check(PeerPhase[case["phase"]], packet, case["plain"])
            seen.add(type(packet))
        self.assertEqual(seen, set(KINDS))

    def test_refused(self) -> None:
        for case in vectors("peers")["refused"]:
            with self.assertRaises(BadPacket, msg=case["name"]) as caught:
                check(PeerPhase[case["phase"]], parse(case["value"]), case["plain"])
            self.assertIn(case["says"], caught.exception.msg, case["name"])


class GrammarTests(SynchronousTestCase):
    """Every cell of the table."""

    def test_every_cell(self) -> None:
        for phase in PeerPhase:
            for kind in KINDS:
                packet = kind(sender_id="a", sender_name="A", data={})
                for plain in (True, False):
                    allowed = kind in HEARD[phase] and not (plain and kind in OURS)
                    try:
                        check(phase, packet, plain)
                    except BadPacket:
                        self.assertFalse(allowed, (phase, kind, plain))
                    else:
                        self.assertTrue(allowed, (phase, kind, plain))


class FormTests(SynchronousTestCase):
    """What we say is what the original's programs read."""

    def test_the_six_keys_in_their_order_whatever_the_kind(self) -> None:
        keys = ["type", "sender_id", "sender_name", "timestamp", "data", "target_id"]
        for kind in KINDS:
            self.assertEqual(list(json.loads(AUTHOR.write(kind))), keys)

    def test_a_join_and_a_list_have_the_original_s_keys_and_no_others(self) -> None:
        join = json.loads(AUTHOR.write(Join, Place("10.0.0.1", 5000)))
        self.assertEqual(join["data"], {"host": "10.0.0.1", "port": 5000})
        bob = Entry("b", "Bob", "10.0.0.2", 5000)
        data = json.loads(AUTHOR.write(Peers, Listing([bob], bob)))["data"]
        one = {"peer_id": "b", "name": "Bob", "host": "10.0.0.2", "port": 5000}
        self.assertEqual(data, {"peers": [one], "my_info": one})

    def test_a_text_without_an_id_has_no_id(self) -> None:
        self.assertEqual(json.loads(AUTHOR.write(Message, Text("halo")))["data"], {"text": "halo"})

    def test_times(self) -> None:
        stamp = json.loads(AUTHOR.write(Ping))["timestamp"]
        self.assertEqual((stamp, seconds_of(stamp)), (timestamp(1_800_000_000.25), 1_800_000_000.25))
        self.assertEqual(seconds_of("2024-05-01T10:00:00"), seconds_of("2024-05-01T17:00:00+07:00"))
        for wrong in ("", "yesterday", "2024-13-01T00:00:00", "1"):
            self.assertIsNone(seconds_of(wrong), wrong)

    def test_what_is_written_is_read(self) -> None:
        for kind, data in ((Receipt, Receipts(["a"])), (Message, Text("é\n\u0080\u0081\u0082", "1"))):
            frame = AUTHOR.write(kind, data, "b", 5.0)
            self.assertNotIn(b"\n", frame)
            packet = parse(codec.decode(frame))
            self.assertEqual((type(packet), packet.data, packet.target_id), (kind, data, "b"))

    def test_a_bad_entry_spoils_itself_alone_and_a_long_list_is_cut(self) -> None:
        good = {"peer_id": "b", "name": "B", "host": "h", "port": 1}
        entries = Listing([1, {}, good, {**good, "port": -1}, None]).entries()
        self.assertEqual(entries, [Entry("b", "B", "h", 1)])
        self.assertEqual(len(Listing([good] * 10_000).entries()), MAX_LISTED)


class NameTests(SynchronousTestCase):
    """Names are shown to people."""

    @given(st.text())
    def test_a_shown_name_is_one_printable_line_and_stays_so(self, text: str) -> None:
        shown = shown_name(text)
        assert shown.isprintable() and 1 <= len(shown) <= MAX_PEER_NAME
        assert shown_name(shown) == shown

    def test_what_could_move_a_cursor_is_gone(self) -> None:
        self.assertEqual(shown_name("A\x1b[2J\u202el\nice "), "A [2J l ice")
        self.assertEqual(shown_name(" \n"), "?")


class AnyPacketTests(SynchronousTestCase):
    """Whatever is sent."""

    @given(
        st.dictionaries(
            st.sampled_from(["type", "sender_id", "sender_name", "timestamp", "data", "target_id"]),
            st.recursive(
                st.none() | st.integers() | st.text() | st.sampled_from(["JOIN", "PEERS", "MESSAGE"]),
                lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["host", "peers"]), inner),
            ),
        )
    )
    def test_it_is_a_packet_or_it_is_refused(self, value: dict[str, object]) -> None:
        try:
            packet = parse(value)
        except BadPacket:
            return
        assert isinstance(packet, Packet)

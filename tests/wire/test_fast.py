# SPDX-License-Identifier: MIT
"""Both lanes say the same of every frame; the fast one may only say nothing."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import frame_of, vectors
from xjrelay.wire import codec, fast
from xjrelay.wire.errors import RemoteError
from xjrelay.wire.stanzas import Ack, Message, classify, parse

ORDINARY = b'{"stanza":"message","to":"fajar","from":"esa","body":"halo"}'
KEYS = st.sampled_from(["stanza", "to", "from", "body", "id", "type", "x"])
TEXTS = st.sampled_from(
    ['"message"', '"esa"', '"fajar"', '""', '"a:b"', '"\\u0066"', '"\\""', '"é"', "1", "{}"]
)
SPACES = st.sampled_from(["", "", "", " "])


def slow(frame: bytes) -> Message | Ack | None:
    """What the slow lane makes of a frame; None where it is neither message nor acknowledgement."""
    try:
        value = codec.decode(frame)
        kind = classify(value)
        message = parse(kind, value)
    except RemoteError:
        return None
    if isinstance(message, Message) and codec.forwardable(frame, value) is frame:
        return message
    return message if isinstance(message, Ack) else None


class FastLaneTests(SynchronousTestCase):
    """Agreement."""

    def assertAgrees(self, frame: bytes) -> bool:
        read = fast.read([frame])
        if not read or not read[0].is_whole(len(frame)):
            return False
        plain, message = read[0], slow(frame)
        assert message is not None, frame
        if isinstance(plain, fast.PlainAck):
            self.assertEqual(plain.h, message.h if isinstance(message, Ack) else None)
            return True
        assert isinstance(message, Message)
        self.assertEqual(
            (plain.to, plain.from_, plain.body, plain.id),
            (message.to, message.from_, message.body, message.id),
        )
        return True

    def test_the_ordinary_message_is_recognised(self) -> None:
        for frame in (
            ORDINARY,
            ORDINARY[:-1] + b',"id":"1"}',
            b'{"body":"a:b, \'c\'","stanza":"message","from":"esa","to":"fajar"}',
            b'{"stanza":"ack","h":0}',
            b'{"h":9007199254740991,"stanza":"ack"}',
            b'{"to":"fajar/hp","id":"","stanza":"message","body":"","from":"esa/pc"}',
        ):
            self.assertTrue(self.assertAgrees(frame), frame)

    def test_what_is_not_certain_is_left_to_the_slow_lane(self) -> None:
        for frame in (
            ORDINARY.replace(b",", b", "),
            ORDINARY[:-1] + b',"body":""}',
            ORDINARY[:-1] + b',"body":"halo"}',
            ORDINARY[:-1] + b',"\\u0066rom":"esa"}',
            ORDINARY[:-1] + b',"lang":"id"}',
            ORDINARY.replace(b"halo", b"\\u0061"),
            ORDINARY.replace(b"halo", "é".encode()),
            ORDINARY.replace(b"halo", b"\xff"),
            ORDINARY.replace(b'"halo"', b"1"),
            ORDINARY.replace(b'"fajar"', b'""'),
            ORDINARY.replace(b"fajar", b"x" * 130),
            b'{"to":"fajar","from":"esa","body":"the other","body":"halo"}',
            b'{"stanza":"ack","h":-1}',
            b'{"stanza":"ack","h":1,"h":2}',
            b'{"stanza":"ack","h":1.0}',
            b'{"stanza":"ack","h":1e1}',
            b"",
            b"[" * 10000,
        ):
            self.assertFalse(self.assertAgrees(frame), frame)

    def test_every_vector(self) -> None:
        frames = [frame_of(case) for group in vectors("codec").values() for case in group]
        frames += [codec.encode(case["value"]) for group in vectors("stanzas").values() for case in group]
        self.assertGreater(len(frames), 50)
        self.assertIn(True, [self.assertAgrees(frame) for frame in frames])

    @given(st.lists(st.tuples(KEYS, SPACES, SPACES, TEXTS), max_size=7))
    def test_whatever_is_recognised_the_slow_lane_reads_alike(
        self, members: list[tuple[str, str, str, str]]
    ) -> None:
        text = ",".join(f'"{key}"{before}:{after}{value}' for key, before, after, value in members)
        self.assertAgrees(b"{" + text.encode() + b"}")

    @given(st.text(max_size=30), st.none() | st.text(max_size=30))
    def test_any_body_and_id(self, body: str, message_id: str | None) -> None:
        value = {"stanza": "message", "to": "fajar", "from": "esa", "body": body}
        if message_id is not None:
            value["id"] = message_id
        for frame in (
            codec.encode(value),
            json.dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass"),
        ):
            self.assertAgrees(frame)

    def test_many_at_once_as_far_as_they_are_plain(self) -> None:
        ack, odd = b'{"stanza":"ack","h":12}', b'{"type":"ping"}'
        for frames, count in (
            ([ORDINARY, ack, ORDINARY], 3),
            ([ORDINARY, odd, ORDINARY], 1),
            ([odd, ORDINARY], 0),
            ([ORDINARY, b"\xff"], 1),
            ([ORDINARY, "é".encode(), ORDINARY], 1),
            ([ORDINARY, b"{", ORDINARY], 1),
            ([ORDINARY + b"\n" + ORDINARY, ORDINARY], 0),
            ([b" ", ORDINARY], 0),
            ([b" " * len(ORDINARY), ORDINARY + b"\n" + ORDINARY], 0),
        ):
            read = fast.read(frames)
            self.assertEqual(len(read), count, frames)
            self.assertTrue(all(one.is_whole(len(frame)) for one, frame in zip(read, frames, strict=False)))

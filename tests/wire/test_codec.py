# SPDX-License-Identifier: MIT
"""Frames to values: what passes means one thing, what could mean two is refused."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import frame_of, vectors
from xjrelay.wire import codec
from xjrelay.wire.codec import BadFrame, FrameTooLong
from xjrelay.wire.errors import CloseReason, Code
from xjrelay.wire.framing import LF, ORIGINAL
from xjrelay.wire.stanzas import Ack, Answer, Message

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["\x80\x81\x82", '":', '" :', "{[", "\n", "\u2028"])
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["from", "\x80\x81\x82"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)


class VectorTests(SynchronousTestCase):
    """``codec.json``."""

    def test_accepted(self) -> None:
        for case in vectors("codec")["accepted"]:
            self.assertEqual(codec.decode(frame_of(case)), case["value"], case["name"])

    def test_refused(self) -> None:
        for case in vectors("codec")["refused"]:
            try:
                value = codec.decode(frame_of(case))
            except BadFrame as error:
                self.assertEqual((error.code, error.close), (case["code"], None), case["name"])
            else:
                self.fail(f"{case['name']}: accepted as {value!r:.80}")

    def test_forwarded(self) -> None:
        for case in vectors("codec")["accepted"]:
            frame = frame_of(case)
            expected = case["forwarded"].encode() if "forwarded" in case else frame
            sent = codec.forwardable(frame, codec.decode(frame))
            self.assertEqual(sent, expected, case["name"])
            self.assertEqual(codec.decode(sent), case["value"], case["name"])

    def test_forwarded_as_it_came_is_the_same_object(self) -> None:
        frame = b'{"to": "fajar",  "x": [1]}'
        self.assertIs(codec.forwardable(frame, codec.decode(frame)), frame)


class DecodeTests(SynchronousTestCase):
    """What vectors can't say."""

    def test_a_list_is_a_value_but_no_object(self) -> None:
        self.assertEqual(codec.decode_value(b'[{"type":"relay"}]'), [{"type": "relay"}])
        self.assertRaises(BadFrame, codec.decode, b'[{"type":"relay"}]')

    def test_a_list_is_held_to_the_depth_too(self) -> None:
        self.assertEqual(codec.decode_value(b"[" * 32 + b"]" * 32), eval("[" * 32 + "]" * 32))
        self.assertRaises(BadFrame, codec.decode_value, b"[" * 33 + b"]" * 33)

    def test_the_answer_to_a_bad_frame(self) -> None:
        error = self.assertRaises(BadFrame, codec.decode, b"?")
        self.assertEqual(error.answer(), {"error": True, "code": 400, "msg": "not JSON in UTF-8"})

    def test_the_answer_to_a_long_frame(self) -> None:
        error = FrameTooLong(65536)
        self.assertEqual((error.code, error.close), (Code.TOO_LARGE, CloseReason.FRAME_TOO_LONG))
        self.assertIn("65536", error.msg)

    def test_a_number_at_the_edge_of_a_double_wherever_it_stands(self) -> None:
        largest = 2**1024 - 2**970
        for before in range(0, 40):
            good = b'{"%s":%d}' % (b"k" * before, largest - 1)
            self.assertEqual(codec.decode(good), {"k" * before: largest - 1})
            bad = b'{"%s":%d}' % (b"k" * before, largest)
            self.assertRaises(BadFrame, codec.decode, bad)


class EncodeTests(SynchronousTestCase):
    """Values to frames."""

    def test_keys_at_their_default_are_left_out(self) -> None:
        self.assertEqual(codec.encode(Ack(h=3)), b'{"stanza":"ack","h":3}')
        self.assertEqual(
            codec.encode(Message(from_="esa", to="fajar", body="halo")),
            b'{"stanza":"message","to":"fajar","from":"esa","body":"halo"}',
        )

    def test_false_without_default_stays(self) -> None:
        self.assertEqual(codec.encode(Answer(False, 200, "ok")), b'{"error":false,"code":200,"msg":"ok"}')

    def test_the_six_bytes_are_escaped(self) -> None:
        frame = codec.encode(Message(to="fajar", body="a\x80\x81\x82b"))
        self.assertNotIn(ORIGINAL, frame)
        self.assertEqual(codec.decode(frame)["body"], "a\x80\x81\x82b")


class PropertyTests(SynchronousTestCase):
    """Round trips, and the fast checks against exact ones."""

    @settings(deadline=None)
    @given(OBJECTS)
    def test_what_is_encoded_decodes_to_itself(self, value: dict[str, Any]) -> None:
        frame = codec.encode(value)
        self.assertEqual(codec.decode(frame), value)
        self.assertNotIn(LF, frame)
        self.assertNotIn(ORIGINAL, frame)

    @settings(deadline=None)
    @given(st.data())
    def test_repeated_keys_are_found_as_exactly_as_by_a_slow_parser(self, data: st.DataObject) -> None:
        keys = data.draw(st.lists(st.sampled_from(["a", "b", "c", '"', '":', "from", "\x80"]), max_size=5))
        text = "{" + ",".join(self.written(data, key) for key in keys) + "}"
        repeated = len(set(keys)) != len(keys)
        try:
            value = codec.decode(text.encode())
        except BadFrame as error:
            self.assertTrue(repeated, text)
            self.assertIn("twice", error.msg)
        else:
            self.assertFalse(repeated, text)
            self.assertEqual(value, json.loads(text))

    def written(self, data: st.DataObject, key: str) -> str:
        """A key and some value, with odd white space and spellings."""
        space = st.sampled_from(["", "", " ", "\t", "\r", "\n", " \n "])
        if data.draw(st.booleans()):
            spelt = '"' + "".join(f"\\u{ord(char):04x}" for char in key) + '"'
        else:
            spelt = json.dumps(key, ensure_ascii=False)
        value = json.dumps(data.draw(VALUES), ensure_ascii=data.draw(st.booleans()))
        before, colon, after, end = (data.draw(space) for _ in range(4))
        return f"{before}{spelt}{colon}:{after}{value}{end}"

    @settings(deadline=None)
    @given(
        digits=st.integers(295, 325),
        first=st.sampled_from("123456789"),
        pad=st.integers(0, 33),
        spelt=st.sampled_from(["%s", "-%s", "[1,%s]", '{"a":%s}', '"%s"', "1e-%s", "0.%s", "%s.5"]),
    )
    def test_numbers_beyond_a_double_are_found(self, digits: int, first: str, pad: int, spelt: str) -> None:
        text = f'{{"{"k" * pad}":{spelt % (first * digits)}}}'
        value = json.loads(text, parse_int=float)
        try:
            decoded = codec.decode(text.encode())
        except BadFrame:
            self.assertTrue(self.holds_infinity(value), text)
        else:
            self.assertFalse(self.holds_infinity(value), text)
            self.assertEqual(decoded, json.loads(text))

    def holds_infinity(self, value: object) -> bool:
        if isinstance(value, dict):
            return any(self.holds_infinity(child) for child in value.values())
        if isinstance(value, list):
            return any(self.holds_infinity(child) for child in value)
        return isinstance(value, float) and math.isinf(value)

    @given(st.binary(max_size=60))
    def test_any_bytes_are_an_object_or_a_bad_frame(self, data: bytes) -> None:
        try:
            self.assertIsInstance(codec.decode(data), dict)
        except BadFrame as error:
            self.assertEqual(error.code, Code.BAD_REQUEST)

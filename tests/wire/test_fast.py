# SPDX-License-Identifier: MIT
"""Both lanes say the same of every frame; the fast one may only say nothing.

Where the fast one is compiled, that form is held to it, and to the pure one (``make compiled``).
"""

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
        runs, is_all = fast.Reader().runs(frame + b"\n")
        self.assertEqual(len(runs), is_all)
        if not runs:
            return False
        (run,), message = runs, slow(frame)
        assert message is not None, frame
        if isinstance(run, fast.PlainAck):
            self.assertEqual(run.h, message.h if isinstance(message, Ack) else None)
            return True
        assert isinstance(message, Message) and isinstance(message.body, str)
        self.assertEqual((run.to, run.from_, run.count), (message.to, message.from_, 1))
        self.assertEqual((run.ids, run.lines), ([] if message.id is None else [message.id], frame + b"\n"))
        return True

    def test_the_ordinary_message_is_recognised(self) -> None:
        for frame in (
            ORDINARY,
            ORDINARY[:-1] + b',"id":"1"}',
            b'{"body":"a:b, \'c\'","stanza":"message","from":"esa","to":"fajar"}',
            b'{"stanza":"ack","h":0}',
            b'{"h":9007199254740991,"stanza":"ack"}',
            b'{"to":"fajar/hp","id":"","stanza":"message","body":"","from":"esa/pc"}',
            ORDINARY.replace(b"halo", b'a \\"b\\" \\\\ \\n\\t\\b\\f\\r\\u0000\\u001f'),
            ORDINARY.replace(b"halo", "h\xe9 \u20ac \U0001f600 \x7f \x80\x81".encode()),
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
            ORDINARY.replace(b"halo", b"\\/"),
            ORDINARY.replace(b"halo", b"\\u00e9"),
            ORDINARY.replace(b"halo", b"\\ud800"),
            ORDINARY.replace(b"halo", b"\xed\xa0\x80"),
            ORDINARY.replace(b"halo", "\x80\x81\x82".encode()),
            ORDINARY[:-1] + b',"id":null}',
            ORDINARY + b"\r",
            b" " + ORDINARY,
            ORDINARY.replace(b",", b"\n", 1),
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
            ([b" ", ORDINARY], 0),
            ([ORDINARY, b"", ORDINARY], 1),
        ):
            runs, is_all = fast.Reader().runs(b"".join(frame + b"\n" for frame in frames))
            self.assertEqual((len(runs), is_all), (count, count == len(frames)), frames)

    def test_what_stands_in_a_row_from_one_to_one_other_is_one(self) -> None:
        named = ORDINARY[:-1] + b',"id":"%d"}'
        other = ORDINARY.replace(b"fajar", b"gita")
        lines = [ORDINARY] * 3 + [named % 1, named % 2, other, b'{"stanza":"ack","h":0}', ORDINARY, other]
        runs, is_all = fast.Reader().runs(b"\n".join(lines) + b"\n")
        told = [
            run.h if isinstance(run, fast.PlainAck) else (run.to, run.count, run.ids, run.lines.count(b"\n"))
            for run in runs
        ]
        self.assertTrue(is_all)
        self.assertEqual(
            told,
            [
                *(("fajar", 3, [], 3), ("fajar", 2, ["1", "2"], 2), ("gita", 1, [], 1), 0),
                *(("fajar", 1, [], 1), ("gita", 1, [], 1)),
            ],
        )
        said = b"".join(b"ack\n" if isinstance(run, fast.PlainAck) else run.lines for run in runs)
        self.assertEqual(said, (b"\n".join(lines) + b"\n").replace(b'{"stanza":"ack","h":0}', b"ack"))

    def test_no_frame_slips_through_where_lines_end_elsewhere(self) -> None:
        """The decoder takes any white space for the end of a line; so as many bytes can be other lines."""
        two = ORDINARY + b"\n" + ORDINARY + b"\n"
        for lines in (
            ORDINARY + b" " + ORDINARY + b"\n",
            ORDINARY + b"\r" + ORDINARY + b"\n",
            ORDINARY + ORDINARY + b"\n\n",
            b"\n" + ORDINARY + ORDINARY + b"\n",
            b"{\n" + ORDINARY[1:] + ORDINARY + b"\n",
            ORDINARY.replace(b",", b"\n,", 1) + ORDINARY + b"\n",
            ORDINARY + b" " + two,
            two + ORDINARY.replace(b",", b",\n", 1) + ORDINARY + b"\n",
        ):
            runs, is_all = fast.Reader().runs(lines)
            self.assertFalse(is_all, lines)
            first = lines.split(b"\n")[:2]
            self.assertEqual(sum(1 for run in runs), first == [ORDINARY, ORDINARY], lines)

    @given(
        st.lists(
            st.sampled_from([ORDINARY, ORDINARY[:-1], b"{", b"}", b"\n", b" ", b"\r", b"}\n{"]), max_size=9
        )
    )
    def test_whatever_is_cut_into_frames_is_what_was_read(self, pieces: list[bytes]) -> None:
        lines = b"".join(pieces) + b"\n"
        runs, is_all = fast.Reader().runs(lines)
        frames = lines.split(b"\n")[:-1]
        done = sum(run.count for run in runs if isinstance(run, fast.Run))
        self.assertEqual(frames[:done], [ORDINARY] * done)
        self.assertEqual(is_all, done == len(frames))


if fast.FORM == "compiled":

    class CompiledTests(SynchronousTestCase):
        """The compiled form recognises no less, no more, and nothing else."""

        def told(self, runs: list[fast.Run | fast.PlainAck]) -> list[object]:
            """Line for line, however they stand in rows."""
            told: list[object] = []
            for run in runs:
                if isinstance(run, fast.PlainAck):
                    told.append(run.h)
                else:
                    ids: list[str | None] = [*run.ids] or [None] * run.count
                    lines = run.lines.split(b"\n")[:-1]
                    self.assertEqual((len(ids), len(lines)), (run.count, run.count))
                    told += [(run.to, run.from_, *one) for one in zip(ids, lines, strict=True)]
            return told

        @given(
            st.lists(st.lists(st.tuples(KEYS, SPACES, SPACES, TEXTS), max_size=7), max_size=4),
            st.binary(max_size=9),
        )
        def test_both_forms_say_the_same(
            self, frames: list[list[tuple[str, str, str, str]]], tail: bytes
        ) -> None:
            lines = b""
            for members in frames:
                text = ",".join(f'"{key}"{before}:{after}{value}' for key, before, after, value in members)
                lines += ORDINARY + b"\n{" + text.encode() + b"}\n"
            for more in (b"", tail + b"\n", ORDINARY.replace(b"halo", tail) + b"\n"):
                if lines + more:
                    (one, whole), (other, also) = fast.pure(lines + more), fast.compiled(lines + more)
                    self.assertEqual((self.told(one), whole), (self.told(other), also))

        def test_every_line_cut_anywhere(self) -> None:
            named = ORDINARY[:-1] + b',"id":"1"}\n{"stanza":"ack","h":12}\n'
            for lines in (
                named,
                b'{"h":9007199254740992,"stanza":"ack"}\n',
                named.replace(b'"body"', b'"to"'),
            ):
                for at in range(len(lines)):
                    for cut in (
                        lines[:at] + b"\n",
                        lines[:at] + lines[at + 1 :],
                        lines[:at] + b"\\" + lines[at:],
                    ):
                        if cut:
                            (one, whole), (other, also) = fast.pure(cut), fast.compiled(cut)
                            self.assertEqual((self.told(one), whole), (self.told(other), also), cut)

        def test_it_asks_for_bytes(self) -> None:
            self.assertRaises(TypeError, fast.compiled, "text")

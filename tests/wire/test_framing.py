# SPDX-License-Identifier: MIT
"""Bytes to frames: every cut, both delimiters, the limit, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import vectors
from xjrelay.wire.framing import LF, ORIGINAL, Framer

FRAMING = {"lf": LF, "original": ORIGINAL, "undecided": LF}
SLACK = len(ORIGINAL) - 1
"""Bytes over the limit that may be held: they may be most of a delimiter."""


def cut(framer: Framer, pieces: Iterable[bytes]) -> list[bytes]:
    """All frames of a stream fed in pieces."""
    return [frame for piece in pieces for frame in framer.feed(piece)]


def single_bytes(stream: bytes) -> list[bytes]:
    return [stream[index : index + 1] for index in range(len(stream))]


class VectorTests(SynchronousTestCase):
    """``framing.json``, fed in every way that matters."""

    def check(self, case: dict[str, object], pieces: Iterable[bytes]) -> None:
        framer = Framer(max_frame=int(str(case["max_frame"])))
        frames = [frame.hex() for frame in cut(framer, pieces)]
        self.assertEqual((frames, framer.too_long), (case["frames"], case["too_long"]), case["name"])
        self.assertEqual(framer.delimiter, FRAMING[str(case["framing"])], case["name"])
        self.assertEqual(framer.original, case["framing"] == "original")

    def test_in_one_piece(self) -> None:
        for case in vectors("framing")["streams"]:
            self.check(case, [bytes.fromhex(case["stream"])])

    def test_cut_in_two_at_every_byte(self) -> None:
        for case in vectors("framing")["streams"]:
            stream = bytes.fromhex(case["stream"])
            for at in range(len(stream) + 1):
                if self.decided_early(case, stream[:at]):
                    continue
                self.check(case, [stream[:at], stream[at:]])

    def test_byte_by_byte(self) -> None:
        for case in vectors("framing")["streams"]:
            stream = bytes.fromhex(case["stream"])
            if not self.decided_early(case, stream[:-1]):
                self.check(case, single_bytes(stream))

    def decided_early(self, case: dict[str, object], first: bytes) -> bool:
        """Whether the limit is seen to be passed before the delimiter that would name the framing:
        the frames are the same, the framing is then still undecided."""
        framer = Framer(max_frame=int(str(case["max_frame"])))
        return case["framing"] == "original" and cut(framer, [first]) == [] and framer.too_long


class SplitTests(SynchronousTestCase):
    """A stream cut at every pair of places."""

    def check_every_cut(self, stream: bytes, frames: list[bytes], delimiter: bytes) -> None:
        size = len(stream)
        for first in range(size + 1):
            for second in range(first, size + 1):
                framer = Framer()
                pieces = (stream[:first], stream[first:second], stream[second:])
                self.assertEqual(cut(framer, pieces), frames, (first, second))
                self.assertEqual((framer.delimiter, framer.pending), (delimiter, 0))

    def test_lines(self) -> None:
        stream = b'{"a":1}\r\n\n{"b":"' + ORIGINAL + b'"}\n'
        self.check_every_cut(stream, [b'{"a":1}', b'{"b":"' + ORIGINAL + b'"}'], LF)

    def test_original(self) -> None:
        stream = b'{"a":1}' + ORIGINAL + b'{"b":\n"' + ORIGINAL[:5] + b'"}' + ORIGINAL
        self.check_every_cut(stream, [b'{"a":1}', b'{"b":\n"' + ORIGINAL[:5] + b'"}'], ORIGINAL)

    def test_a_known_delimiter_is_not_decided_again(self) -> None:
        framer = Framer(delimiter=LF)
        self.assertEqual(framer.feed(b"a" + ORIGINAL + b"b\n"), [b"a" + ORIGINAL + b"b"])
        self.assertFalse(framer.original)
        framer = Framer(delimiter=ORIGINAL)
        self.assertEqual(framer.feed(b"a\nb" + ORIGINAL), [b"a\nb"])
        self.assertTrue(framer.original)


class LimitTests(SynchronousTestCase):
    """The longest frame, and what is held for it."""

    def test_exactly_at_the_limit_and_one_over(self) -> None:
        for delimiter in (LF, ORIGINAL, b"\r\n"):
            for body, frames in ((b"x" * 100, [b"x" * 100]), (b"x" * 101, [])):
                for pieces in ([body + delimiter], single_bytes(body + delimiter)):
                    framer = Framer(max_frame=100)
                    self.assertEqual(cut(framer, pieces), frames)
                    self.assertEqual(framer.too_long, not frames)

    def test_nothing_is_returned_or_held_after_a_long_frame(self) -> None:
        framer = Framer(max_frame=4)
        self.assertEqual(framer.feed(b"ab\nabcde\nab\n"), [b"ab"])
        self.assertTrue(framer.too_long)
        self.assertEqual((framer.feed(b"ab\n"), framer.pending), ([], 0))

    def test_what_is_held_never_passes_the_limit(self) -> None:
        framer = Framer(max_frame=1000)
        framer.feed(b"{}\n")
        held = []
        for _ in range(300):
            framer.feed(b"x" * 7)
            held.append(framer.pending)
        self.assertLessEqual(max(held), 1000 + SLACK)
        self.assertGreaterEqual(max(held), 1000)
        self.assertTrue(framer.too_long)
        self.assertEqual(framer.pending, 0)

    def test_a_read_beyond_the_limit_is_not_kept(self) -> None:
        framer = Framer(max_frame=1000)
        self.assertEqual(framer.feed(b"{}\n" + b"x" * 1_000_000), [b"{}"])
        self.assertEqual((framer.too_long, framer.pending), (True, 0))


class CountingBuffer(bytearray):
    """A buffer that counts the bytes searched and copied in it."""

    searched = 0
    copied = 0

    def find(self, sub: object, start: object = None, end: object = None) -> int:
        assert isinstance(sub, bytes) and isinstance(start, int) and end is None
        self.searched += len(self) - start
        return super().find(sub, start)

    def __iadd__(self, data: object) -> CountingBuffer:
        assert isinstance(data, bytes)
        self.copied += len(data)
        self.extend(data)
        return self

    def __bytes__(self) -> bytes:
        self.copied += len(self)
        return bytes(memoryview(self))


class CostTests(SynchronousTestCase):
    """Linear in the bytes, whatever the reads: counted, not timed."""

    def cost(self, stream: bytes, size: int, delimiter: bytes | None) -> tuple[int, int, int]:
        """Frames, bytes searched and bytes copied when ``stream`` comes in reads of ``size``."""
        framer = Framer(delimiter=delimiter)
        buffer = CountingBuffer()
        framer._buffer = buffer
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        return len(cut(framer, pieces)), buffer.searched, buffer.copied

    def test_a_long_frame_in_small_reads(self) -> None:
        for delimiter in (LF, ORIGINAL, None):
            stream = b"x" * 60_000 + (delimiter or LF)
            for size in (1, 2, 7, 100, 4096):
                frames, searched, copied = self.cost(stream, size, delimiter)
                reads = len(stream) // size + 1
                searches = 3 if delimiter is None else 1  # while undecided: LF, the six bytes, the winner
                self.assertEqual(frames, 1)
                self.assertLessEqual(searched, searches * (len(stream) + SLACK * reads))
                self.assertLessEqual(copied, 2 * len(stream))

    def test_many_frames_in_large_reads(self) -> None:
        stream = b'{"stanza":"message","to":"fajar","body":"halo"}\n' * 2000
        frames, searched, copied = self.cost(stream, 4096, LF)
        self.assertEqual(frames, 2000)
        self.assertLessEqual(searched, 2 * len(stream))
        self.assertLessEqual(copied, 2 * len(stream))

    def test_whole_frames_are_never_copied_to_the_buffer(self) -> None:
        frames, searched, copied = self.cost(b"{}\n" * 1000, 3000, LF)
        self.assertEqual((frames, searched, copied), (1000, 0, 0))


FRAMES = st.lists(
    st.binary(min_size=1, max_size=40).filter(
        lambda b: LF not in b and ORIGINAL not in b and not b.endswith(b"\r")
    ),
    max_size=8,
)


def reads(data: st.DataObject, stream: bytes) -> list[bytes]:
    """A stream, cut anywhere."""
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


class PropertyTests(SynchronousTestCase):
    """Any cutting of any stream gives the same frames."""

    @settings(deadline=None)
    @given(
        data=st.data(),
        stream=st.lists(st.sampled_from([b"{", b"xyz", b"\r", LF, ORIGINAL, ORIGINAL[:3], ORIGINAL[3:]])),
    )
    def test_any_cutting_gives_the_same_frames(self, data: st.DataObject, stream: list[bytes]) -> None:
        whole = b"".join(stream)
        one, many = Framer(max_frame=20), Framer(max_frame=20)
        self.assertEqual(cut(many, reads(data, whole)), one.feed(whole))
        self.assertEqual(many.too_long, one.too_long)

    @given(
        data=st.data(),
        stream=st.lists(st.sampled_from([LF, b"\r\n", b"\r", b"a", b"bb", b"c" * 9, ORIGINAL]), max_size=30),
        known=st.sampled_from([None, LF, ORIGINAL]),
    )
    @settings(max_examples=300, deadline=None)
    def test_what_is_ordinary_is_had_at_once(
        self, data: st.DataObject, stream: list[bytes], known: bytes | None
    ) -> None:
        """Where a read is taken as it is, that is what the long way gives, and leaves the same behind."""
        quick, framer = Framer(12, known), Framer(12, known)
        for piece in filter(None, reads(data, b"".join(stream))):
            at_once = quick.at_once(piece)
            whole = framer.take(piece)
            expected = framer.split(whole) if whole else []
            if at_once:
                self.assertEqual((at_once, framer.pending, framer.delimiter), (whole, 0, LF))
                self.assertEqual(at_once, Framer(12, LF).lines(whole))
            else:
                self.assertEqual(quick.feed(piece), expected)
            self.assertEqual((quick.pending, quick.too_long), (framer.pending, framer.too_long))

    def test_nearly_every_read_is_had_at_once(self) -> None:
        framer = Framer(12)
        self.assertEqual(framer.at_once(b"a\n"), b"")  # nothing is decided yet
        self.assertEqual(framer.feed(b"a\n"), [b"a"])
        self.assertEqual(framer.at_once(b"bb\nc\n"), b"bb\nc\n")
        for other in (b"bb", b"b\r\n", b"b" * 12 + b"\n"):
            self.assertEqual(framer.at_once(other), b"")
        self.assertEqual(framer.feed(b"bb"), [])
        self.assertEqual(framer.at_once(b"c\n"), b"")  # it ends what waits
        self.assertEqual(framer.feed(b"c\n"), [b"bbc"])
        self.assertEqual(framer.at_once(b"d\n"), b"d\n")
        self.assertEqual((framer.feed(b"e" * 13 + b"\n"), framer.at_once(b"d\n")), ([], b""))

    @given(frames=FRAMES, size=st.integers(1, 30))
    def test_what_is_joined_with_lf_is_cut_again(self, frames: list[bytes], size: int) -> None:
        stream = LF + b"".join(frame + LF for frame in frames)  # the first LF decides
        framer = Framer()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        self.assertEqual(cut(framer, pieces), frames)

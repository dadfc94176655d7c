# SPDX-License-Identifier: MIT
"""What is known by how it is spelt says what decoding it says, and nothing else is known so."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.wire import fast
from xjrelay.wire.spelling import MAX_KNOWN, Spelling, Spellings

ORDERS = (
    ("stanza", "to", "from", "body"),
    ("stanza", "to", "from", "body", "id"),
    ("stanza", "from", "to", "id", "body"),
    ("body", "id", "stanza", "from", "to"),
    ("id", "to", "body", "from", "stanza"),
    ("body", "stanza", "to", "from"),
)
NAMES = st.sampled_from(["esa", "fajar", "ésa", "body", "id", 'a"b', "x" * 40])
PIECES = (b"", b'"', b'","', b'":"', b"}", b"{", b"\n", b"\\", b"a", b"\x1f", b"\xc3", b" ")
LETTERS = st.text("abc {}[]:,'}", max_size=40)


def line(order: tuple[str, ...], to: str, from_: str, body: str, message_id: str) -> bytes:
    """A message with its keys in this order."""
    value = {"stanza": "message", "to": to, "from": from_, "body": body, "id": message_id}
    ordered = {key: value[key] for key in order}
    return json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def rows(order: tuple[str, ...], to: str = "fajar", from_: str = "esa", count: int = 3) -> bytes:
    """Some of these, of different texts."""
    return b"".join(line(order, to, from_, f"text {n}" * n, f"id{n}") for n in range(count))


def told(said: tuple[list[fast.Run | fast.PlainAck], bool]) -> tuple[list[object], bool]:
    """Line for line, however they stand in rows."""
    found: list[object] = []
    for run in said[0]:
        if isinstance(run, fast.PlainAck):
            found.append(run.h)
            continue
        lines = run.lines.split(b"\n")[:-1]
        ids: list[str | None] = [*run.ids] or [None] * run.count
        found += [(run.to, run.from_, *one) for one in zip(ids, lines, strict=True)]
    return found, said[1]


def spelling(order: tuple[str, ...]) -> Spelling:
    """What is learnt of one line."""
    return Spelling(line(order, "fajar", "esa", "halo", "7"), "fajar", "esa")


class SpellingTests(SynchronousTestCase):
    """One spelling, and rows of lines."""

    def test_a_row_is_known_in_any_order_of_keys(self) -> None:
        for order in ORDERS:
            known = spelling(order)
            for count in (1, 2, 3, 40):
                ids = [f"id{n}" for n in range(count)] if "id" in order else []
                self.assertEqual(known.read(rows(order, count=count)), (count, ids), order)

    def test_what_varies_must_be_letters_when_it_is_learnt(self) -> None:
        for body in ('a"b', "é", "a\\b", "a\nb", "\x7f"):
            with self.assertRaises(ValueError):
                Spelling(line(ORDERS[0], "fajar", "esa", body, ""), "fajar", "esa")
        with self.assertRaises(ValueError):
            Spelling(line(ORDERS[1], "fajar", "esa", "halo", "é"), "fajar", "esa")

    def test_a_stranger_anywhere_in_a_row_is_found(self) -> None:
        for order in ORDERS:
            known, ours = spelling(order), rows(order, count=1)
            for stranger in (
                line(order, "gita", "esa", "halo", "1"),
                line(order, "fajar", "esa", "é", "1"),
                line(order, "fajar", "esa", 'a"b', "1"),
                ours.replace(b"}", b',"lang":"id"}'),
                ours.replace(b"}", b',"body":""}'),
                ours.replace(b":", b": ", 1),
                b"\n",
                b'{"stanza":"ack","h":1}\n',
                ours.replace(b"text", b"te\x00t") if b"text" in ours else b"{}\n",
                ours[:-2] + b"\n",
                ours[1:],
            ):
                for row in (ours + stranger + ours, stranger + ours, ours + stranger):
                    self.assertIsNone(known.read(row), row)

    def test_every_byte_put_in_or_left_out_or_changed(self) -> None:
        """Whatever is still known is what decoding proves, too."""
        for order in ORDERS:
            known, ours = spelling(order), rows(order, count=2)
            for at in range(len(ours)):
                for piece in PIECES:
                    for row in (ours[:at] + piece + ours[at:], ours[:at] + piece + ours[at + 1 :]):
                        read = known.read(row)
                        if read is None:
                            continue
                        (run,), is_all = fast.pure(row)
                        assert isinstance(run, fast.Run)
                        self.assertEqual((run.count, run.ids, is_all), (*read, True), row)

    def test_an_id_that_is_too_long(self) -> None:
        for order in ORDERS[1:5]:
            row = b"".join(line(order, "fajar", "esa", "halo", "7" * size) for size in (64, 65))
            self.assertIsNone(spelling(order).read(row))

    def test_where_a_row_ends(self) -> None:
        known = spelling(ORDERS[1])
        other = line(ORDERS[1], "gita", "esa", "halo", "1")
        for count in (1, 2, 3, 7, 8, 9, 40, 40, 1, 8, 8, 7, 2):
            ours = rows(ORDERS[1], count=count)
            for before in (b"", other * 2):
                for after in (b"", other, other * 30, b"{}\n"):
                    ends = known.extent(before + ours + after, len(before))
                    self.assertEqual(ends, len(before + ours), (count, before, after))

    def test_what_is_long_before_its_texts_come_is_not_learnt(self) -> None:
        with self.assertRaises(ValueError):
            Spelling(line(ORDERS[0], "é" * 129, "é" * 129, "halo", ""), "é" * 129, "é" * 129)


class SpellingsTests(SynchronousTestCase):
    """Those that are known."""

    def test_they_are_found_by_the_first_line(self) -> None:
        known = Spellings()
        for order in ORDERS[:4]:
            known.learn(line(order, "fajar", "esa", "halo", "7"), "fajar", "esa")
        for order in ORDERS[1:4]:
            found = known.find(b"\n" + rows(order), 1)
            assert found is not None
            self.assertEqual((found.to, found.from_), ("fajar", "esa"))
        for lines in (b"\n", b"{}\n", rows(ORDERS[1], to="gita"), b'"body":"\n', b'"id":""body":"\n'):
            self.assertIsNone(known.find(lines))

    def test_they_are_bounded(self) -> None:
        known = Spellings()
        for number in range(MAX_KNOWN + 10):
            known.learn(line(ORDERS[0], f"u{number}", "esa", "halo", ""), f"u{number}", "esa")
        self.assertEqual(len(known), 10)


class ReaderTests(SynchronousTestCase):
    """A reader that knows much says what one says that knows nothing."""

    @settings(max_examples=300)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(ORDERS),
                NAMES,
                NAMES,
                st.lists(st.tuples(LETTERS, LETTERS), min_size=1, max_size=30),
                st.sampled_from([b"", b"", b"", b'{"stanza":"ack","h":3}\n', b"{}\n", b" \n"]),
            ),
            min_size=1,
            max_size=4,
        ),
        st.tuples(st.integers(0, 4000), st.sampled_from([b"", b'"', b"x", b"\\", b"\n"])),
    )
    def test_whatever_it_has_read_before(
        self,
        said: list[tuple[tuple[str, ...], str, str, list[tuple[str, str]], bytes]],
        change: tuple[int, bytes],
    ) -> None:
        reader = fast.Reader()
        lines = b""
        for order, to, from_, texts, odd in said:
            reader.runs(rows(order, to, from_, 20))
            lines += b"".join(line(order, to, from_, *one) for one in texts) + odd
        at, piece = change
        for read in (lines, lines[:at] + piece + lines[at + 1 :]):
            if read.endswith(b"\n"):
                for _ in range(2):
                    self.assertEqual(told(reader.runs(read)), told(fast.pure(read)), read)

    def test_it_learns(self) -> None:
        """Else all of the above would hold of one that never knows anything."""
        if fast.FORM == "compiled":
            return
        for order in ORDERS:
            reader, row = fast.Reader(), rows(order, count=20)
            self.assertGreaterEqual(len(row), fast.FEW)
            self.assertEqual(reader._spelt(row), ([], 0))
            reader.runs(row)
            (run,), size = reader._spelt(row)
            self.assertEqual((size, told(([run], True))), (len(row), told(fast.pure(row))))

    def test_a_row_that_the_last_read_has_cut_stops_nothing(self) -> None:
        if fast.FORM == "compiled":
            return
        reader = fast.Reader()
        first, second = (rows(ORDERS[0], to, count=20) for to in ("fajar", "gita"))
        reader.runs(first + second)
        end = first[first.rindex(b'{"stanza') :]
        found, size = reader._spelt(end + second)
        self.assertEqual((len(found), size), (2, len(end + second)))
        self.assertEqual(told((found, True)), told(fast.pure(end + second)))
        odd = end.replace(b"text", b"te\\u0078t")  # spelt longer than it need be: for the slow lane
        self.assertEqual(reader._spelt(odd + second), ([], 0))

    def test_rows_of_several_pairs_are_known_each(self) -> None:
        if fast.FORM == "compiled":
            return
        reader = fast.Reader()
        row = b"".join(rows(ORDERS[0], to, count=20) for to in ("fajar", "gita", "hadi"))
        reader.runs(row)
        found, size = reader._spelt(row)
        self.assertEqual((len(found), size), (3, len(row)))


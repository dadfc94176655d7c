# SPDX-License-Identifier: MIT
"""What a window remembers: each line once, in order, bounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.gui.histories import open_directly
from xjrelay.storage import history
from xjrelay.storage.history import History, Proof, StoredLine


class HistoryTests(SynchronousTestCase):
    """One account's."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.history = self.open()

    def open(self) -> History:
        opened = open_directly(self.file)
        self.addCleanup(lambda: self.successResultOf(opened.close()))
        return opened

    def add(self, number: int, contact: str = "bob", incoming: bool = True) -> StoredLine | None:
        state = "received" if incoming else "sending"
        line = StoredLine(contact, f"m{number}", f"text {number}", number, incoming, state)
        return self.successResultOf(self.history.add(line, contact.capitalize()))

    def texts(self, before: int | None = None, most: int = 100) -> list[str]:
        return [one.text for one in self.successResultOf(self.history.page("bob", before, most))]

    def test_pages_go_backwards(self) -> None:
        numbers = [line.number for number in range(10) if (line := self.add(number))]
        self.add(99, "carol")
        self.assertEqual(self.texts(most=3), ["text 7", "text 8", "text 9"])
        self.assertEqual(self.texts(numbers[7], 3), ["text 4", "text 5", "text 6"])
        self.assertEqual(self.texts(numbers[0]), [])

    def test_a_message_that_comes_twice_is_one_line(self) -> None:
        self.assertIsNotNone(self.add(1))
        self.assertIsNone(self.add(1))
        self.assertIsNotNone(self.add(1, incoming=False), "an id counts in its direction")
        self.assertEqual(len(self.texts()), 2)

    def test_an_outcome_is_kept_over_a_restart(self) -> None:
        for number in (1, 2, 3):
            self.add(number, incoming=False)
        settled = self.successResultOf(self.history.settle("m1", "delivered"))
        assert settled is not None
        self.assertEqual((settled.state, settled.contact), ("delivered", "bob"))
        self.successResultOf(self.history.settle("m2", "failed", "The mailbox over there is full."))
        self.assertIsNone(self.successResultOf(self.history.settle("unknown", "stored")))
        again = self.open()
        states = [(one.state, one.why) for one in self.successResultOf(again.page("bob", None, 9))]
        self.assertEqual(
            states, [("delivered", ""), ("failed", "The mailbox over there is full."), ("sending", "")]
        )
        self.assertEqual([one.message_id for one in self.successResultOf(again.under_way())], ["m3"])

    def test_what_is_unread_is_counted_from_where_it_was_read(self) -> None:
        lines = [self.add(number) for number in range(5)]
        self.add(6, incoming=False)
        assert lines[1] is not None
        self.assertEqual(self.successResultOf(self.history.unread()), {"bob": 5})
        self.successResultOf(self.history.mark("bob", lines[1].number))
        self.successResultOf(self.history.mark("bob", 0))  # an older mark changes nothing
        self.assertEqual(self.successResultOf(self.history.unread()), {"bob": 3})
        self.assertEqual(self.successResultOf(self.history.marks()), {"bob": lines[1].number})

    def test_the_last_line_with_each_and_how_they_are_written(self) -> None:
        self.add(1)
        self.add(2, "carol")
        self.add(3)
        last = self.successResultOf(self.history.last())
        self.assertEqual({key: one.text for key, one in last.items()}, {"bob": "text 3", "carol": "text 2"})
        self.successResultOf(self.history.mark("dewi", 7))
        self.assertEqual(self.successResultOf(self.history.spellings()), {"bob": "Bob", "carol": "Carol"})

    def test_somebody_forgotten_leaves_nothing(self) -> None:
        self.add(1)
        self.successResultOf(self.history.forget("bob"))
        self.assertEqual((self.texts(), self.successResultOf(self.history.spellings())), ([], {}))

    def test_the_last_key_that_somebody_has_proved_is_kept_until_it_is_forgotten(self) -> None:
        first = Proof("bob", "xj1-1", "xj1-9", "localhost:5000", 1)
        for proof in (first, replace(first, peer_id="xj1-2", at=2), replace(first, contact="carol")):
            self.successResultOf(self.history.prove(proof, proof.contact.capitalize()))
        again = self.open()
        self.assertEqual(self.successResultOf(again.spellings()), {"bob": "Bob", "carol": "Carol"})
        proofs = {one.contact: one.peer_id for one in self.successResultOf(again.proofs())}
        self.assertEqual(proofs, {"bob": "xj1-2", "carol": "xj1-1"})
        self.successResultOf(again.forget("bob"))
        self.assertEqual([one.contact for one in self.successResultOf(again.proofs())], ["carol"])

    def test_the_oldest_make_room_but_never_one_that_is_on_its_way(self) -> None:
        with mock.patch.multiple(history, MAX_LINES=10, _TRIM_EVERY=5):
            self.add(0, incoming=False)
            for number in range(1, 40):
                self.add(number)
        texts = self.texts()
        self.assertEqual(texts[0], "text 0")
        self.assertLessEqual(len(texts), 16)
        self.assertEqual(texts[-1], "text 39")

    def test_a_text_is_never_in_a_log(self) -> None:
        self.assertNotIn("rahasia", repr(replace(StoredLine("bob", "m1", "", 1), text="rahasia")))

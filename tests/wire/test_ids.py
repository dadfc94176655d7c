# SPDX-License-Identifier: MIT
"""Ids kept as the text of their receipt: none is lost, changed or cut, whatever it is made of."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.wire import codec
from xjrelay.wire.framing import LF
from xjrelay.wire.ids import Ids, joined, lines_of, names_of
from xjrelay.wire.stanzas import MAX_ID, Receipt

ANY_ID = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_ID)
ONE_LENGTH = st.integers(0, 9999).map("m{:04}".format)
SOME = st.lists(ANY_ID | ONE_LENGTH, min_size=1, max_size=40) | st.lists(ONE_LENGTH, min_size=1, max_size=40)


class IdsTests(SynchronousTestCase):
    """Written, joined, cut, told."""

    @given(SOME, st.data())
    @settings(max_examples=300, deadline=None)
    def test_what_is_cut_or_joined_is_what_it_was(self, ids: list[str], data: st.DataObject) -> None:
        whole = Ids.of(ids)
        count = data.draw(st.integers(0, len(ids)))
        first, rest = whole.cut(count)
        self.assertEqual((list(first), list(rest)), (ids[:count], ids[count:]))
        self.assertEqual((len(first), len(rest)), (count, len(ids) - count))
        self.assertEqual(joined([first, rest]), whole)

    @given(SOME)
    @settings(max_examples=300, deadline=None)
    def test_they_are_told_as_a_list_of_texts(self, ids: list[str]) -> None:
        whole = Ids.of(ids)
        self.assertEqual(json.loads(bytes(whole.array)), ids)
        told = codec.encode(Receipt("esa", whole.array, "delivered"))  # type: ignore[arg-type]
        self.assertEqual(told, codec.encode(Receipt("esa", ids, "delivered")))
        self.assertNotIn(LF, told)
        self.assertEqual([one in whole for one in [*ids, ""]], [True] * len(ids) + [False])

    def test_ids_that_look_like_what_stands_between_them(self) -> None:
        ids = ["a,", ",", '","', '",\n"', "\\", "[", "]", "\t", " "]
        whole = Ids.of(ids)
        self.assertEqual((list(whole), json.loads(bytes(whole.array))), (ids, ids))
        self.assertEqual([list(whole.cut(at)[1]) for at in range(9)], [ids[at:] for at in range(9)])

    def test_none_at_all(self) -> None:
        self.assertEqual((lines_of([]), names_of(b"")), (b"", []))

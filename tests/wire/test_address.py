# SPDX-License-Identifier: MIT
"""Names and what makes two of them one account."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import vectors
from xjrelay.wire import address
from xjrelay.wire.address import RESERVED, Address, InvalidAddress
from xjrelay.wire.errors import Code

LETTERS = st.text(
    st.characters(categories=["Lu", "Ll", "Lo", "Lt", "Mn", "Nd", "Pd", "Po", "So"]), max_size=70
)
WIDE = st.text(
    st.characters(min_codepoint=0xFF00, max_codepoint=0xFFEF) | st.sampled_from("aZİÅßΣς\u0308"), max_size=8
)
NAMES = LETTERS | WIDE


class VectorTests(SynchronousTestCase):
    """``addresses.json``."""

    def test_usernames(self) -> None:
        for case in vectors("addresses")["usernames"]:
            text = case["input"]
            self.assertEqual(address.username(text), case["username"], case["name"])
            self.assertEqual(address.key(text), case["key"], case["name"])

    def test_refused_usernames(self) -> None:
        for case in vectors("addresses")["refused_usernames"]:
            error = self.assertRaises(InvalidAddress, address.username, case["input"])
            self.assertEqual(error.code, Code.BAD_REQUEST, case["name"])

    def test_addresses(self) -> None:
        for case in vectors("addresses")["addresses"]:
            parsed = address.parse(case["input"])
            self.assertEqual(parsed, Address(case["username"], case["resource"]))
            self.assertEqual(str(parsed), case["input"])

    def test_refused_addresses(self) -> None:
        for case in vectors("addresses")["refused_addresses"]:
            self.assertRaises(InvalidAddress, address.parse, case["input"])

    def test_one_account_or_several(self) -> None:
        for case in vectors("addresses")["one_account"]:
            keys = {address.key(text) for text in case["inputs"]}
            self.assertEqual(len(keys), 1 if case["same"] else len(case["inputs"]), case)

    def test_reserved(self) -> None:
        keys = {address.key(text) for text in vectors("addresses")["reserved"]}
        self.assertEqual(keys, RESERVED)


class NameTests(SynchronousTestCase):
    """What vectors can't say."""

    def test_a_lone_surrogate_is_refused(self) -> None:
        for text in ("\ud800", "esa\udfff"):
            self.assertRaises(InvalidAddress, address.username, text)
            self.assertRaises(InvalidAddress, address.key, text)
            self.assertRaises(InvalidAddress, address.resource, text)

    def test_the_absurdly_long_is_refused_before_it_costs(self) -> None:
        self.assertRaises(InvalidAddress, address.key, "x" * 1_000_000)

    def test_an_address_keeps_its_spelling_and_knows_its_key(self) -> None:
        parsed = address.parse("Esa/Phone")
        self.assertEqual((parsed.username, parsed.resource, parsed.key), ("Esa", "Phone", "esa"))

    def test_no_resource_is_the_empty_one(self) -> None:
        self.assertEqual(address.resource(""), "")


class PropertyTests(SynchronousTestCase):
    """Mapping once is mapping for good."""

    @settings(deadline=None, max_examples=300)
    @given(NAMES)
    def test_the_key_is_its_own_key(self, text: str) -> None:
        try:
            key = address.key(text)
        except InvalidAddress:
            assume(False)
        self.assertEqual(address.key(key), key)

    @settings(deadline=None, max_examples=300)
    @given(NAMES)
    def test_a_registered_spelling_is_stable_and_has_the_key_of_what_was_typed(self, text: str) -> None:
        try:
            spelling = address.username(text)
        except InvalidAddress:
            assume(False)
        self.assertEqual(address.username(spelling), spelling)
        self.assertEqual(address.key(spelling), address.key(text))
        self.assertEqual(address.parse(spelling), Address(spelling))
        self.assertLessEqual(len(spelling), address.MAX_NAME)

    @settings(deadline=None)
    @given(st.text(max_size=80))
    def test_any_text_is_an_address_or_invalid(self, text: str) -> None:
        try:
            parsed = address.parse(text)
        except InvalidAddress:
            return
        self.assertEqual(address.parse(str(parsed)), parsed)

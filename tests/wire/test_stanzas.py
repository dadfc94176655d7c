# SPDX-License-Identifier: MIT
"""Values to stanzas: each kind recognised, each class held to its grammar."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import vectors
from xjrelay.wire import codec
from xjrelay.wire.errors import Code, RemoteError
from xjrelay.wire.stanzas import CLASSES, Kind, Stanza, classify, parse

WRONG: Any = [[]]
"""A list in a list: the wrong type for every key that has one."""


def examples() -> list[tuple[Kind, dict[str, Any]]]:
    """The accepted vectors as kind and value."""
    return [(Kind(case["kind"]), case["value"]) for case in vectors("stanzas")["accepted"]]


def fullest(kind: Kind) -> dict[str, Any]:
    """The example of a kind with the most keys."""
    return max((value for one, value in examples() if one is kind), key=len)


def fields(cls: type[Stanza]) -> list[msgspec.structs.FieldInfo]:
    return list(msgspec.structs.fields(cls))


class VectorTests(SynchronousTestCase):
    """``stanzas.json``."""

    def test_accepted(self) -> None:
        for kind, value in examples():
            self.assertIs(classify(value), kind, value)
            self.assertIsInstance(parse(kind, value), CLASSES[kind])

    def test_refused(self) -> None:
        for case in vectors("stanzas")["refused"]:
            try:
                stanza = parse(classify(case["value"]), case["value"])
            except RemoteError as error:
                self.assertEqual((error.code, error.close), (case["code"], None), case["name"])
                self.assertIn(case["says"], error.msg, case["name"])
            else:
                self.fail(f"{case['name']}: accepted as {stanza!r:.80}")

    def test_every_kind_but_the_array_has_a_class_and_an_example(self) -> None:
        self.assertEqual(set(CLASSES), set(Kind) - {Kind.COMPONENTS})
        self.assertEqual({kind for kind, _ in examples()}, set(CLASSES))


class ClassTests(SynchronousTestCase):
    """Each class, key by key."""

    def test_round_trip(self) -> None:
        for kind, value in examples():
            stanza = parse(kind, value)
            again = codec.decode(codec.encode(stanza))
            self.assertIs(classify(again), kind)
            self.assertEqual(parse(kind, again), stanza)

    def test_nothing_that_is_not_at_its_default_is_lost(self) -> None:
        for kind, value in examples():
            again = codec.decode(codec.encode(parse(kind, value)))
            for field in fields(CLASSES[kind]):
                name = field.encode_name
                if name in value and (field.required or value[name] != field.default):
                    self.assertEqual(again[name], value[name], (kind, name))

    def test_each_required_key_is_asked_for_by_name(self) -> None:
        for kind, cls in CLASSES.items():
            for field in fields(cls):
                if field.required:
                    value = {k: v for k, v in fullest(kind).items() if k != field.encode_name}
                    error = self.assertRaises(RemoteError, parse, kind, value)
                    self.assertEqual((error.code, error.close), (Code.BAD_REQUEST, None))
                    self.assertIn(f"`{field.encode_name}`", error.msg)
                    self.assertTrue(error.msg.startswith(f"{kind.value}: "))

    def test_each_typed_key_of_the_wrong_type_is_named(self) -> None:
        checked = 0
        for kind, cls in CLASSES.items():
            for field in fields(cls):
                if field.type is not Any:
                    value = {**fullest(kind), field.encode_name: WRONG}
                    error = self.assertRaises(RemoteError, parse, kind, value)
                    self.assertEqual(error.code, Code.BAD_REQUEST)
                    self.assertIn(f"$.{field.encode_name}", error.msg)
                    checked += 1
        self.assertGreater(checked, 80)

    def test_nothing_in_an_iq_is_refused_here(self) -> None:
        wrong = {field.encode_name: WRONG for field in fields(CLASSES[Kind.IQ])}
        parse(Kind.IQ, {"stanza": "iq", **wrong})

    def test_unknown_keys_are_let_be(self) -> None:
        for kind, value in examples():
            self.assertEqual(parse(kind, {**value, "x-ext": WRONG}), parse(kind, value))


class ClassifyTests(SynchronousTestCase):
    """Which key names a thing when several could."""

    def test_a_stanza_is_named_by_stanza_first(self) -> None:
        value = {"stanza": "ack", "message": "ncir", "type": "ping", "error": True, "activity": "a"}
        self.assertIs(classify(value), Kind.ACK)
        del value["stanza"]
        self.assertIs(classify(value), Kind.ACTIVITY)
        del value["activity"]
        self.assertIs(classify(value), Kind.NCIR)
        del value["message"]
        self.assertIs(classify(value), Kind.PING)
        del value["type"]
        self.assertIs(classify(value), Kind.ANSWER)

    def test_a_hello_with_a_relay_name_is_the_relay_s(self) -> None:
        self.assertIs(classify({"message": "hello!", "relay_username": "relay-1"}), Kind.USER_WELCOME)
        self.assertIs(classify({"message": "hello!", "username": "esa"}), Kind.USER_HELLO)

    def test_an_unknown_name_is_not_repeated_to_the_sender(self) -> None:
        error = self.assertRaises(RemoteError, classify, {"stanza": "x" * 60000})
        self.assertLess(len(error.msg), 100)

    def test_the_answer_to_a_long_word_is_short(self) -> None:
        value = {"stanza": "message", "to": "fajar", "type": "x" * 60000}
        error = self.assertRaises(RemoteError, parse, Kind.MESSAGE, value)
        self.assertLess(len(error.msg), 300)

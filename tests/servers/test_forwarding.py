# SPDX-License-Identifier: MIT
"""What one user says means one thing to whoever hears it, whichever JSON parser that is.

The vectors of the codec, said again as messages over a relay's real links: on one relay, and across two.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.relay_house import Line, house_with
from tests.vectors import frame_of, vectors
from xjrelay.wire.framing import LF, ORIGINAL

HEAD = b'{"stanza": "message", "to": "Fajar", '
NAMED = {"stanza", "to", "from", "body", "type", "id", "lang", "subject", "thread", "error", "code"}
"""Keys that mean something to a relay: a vector that has one is not carried as it is."""


def as_message(frame: bytes) -> bytes | None:
    """A vector's object with a message's keys before its own; None where there is no object to add to."""
    body = frame.strip()
    if not body.startswith(b"{") or body == b"{}":
        return None
    return HEAD + body[1:]


def twice(raw: bytes) -> dict[str, Any]:
    """The value of a frame, as two parsers read it."""
    seen: list[list[tuple[str, Any]]] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen.append(pairs)
        return dict(pairs)

    value: dict[str, Any] = json.loads(raw, object_pairs_hook=once)
    names = [name for name, _ in seen[-1]]  # the outermost object is finished last
    assert len(names) == len(set(names)), "a key twice: parsers differ in which they take"
    assert msgspec.json.decode(raw) == value
    return value


class ForwardingTests(SynchronousTestCase):
    """Esa writes to Fajar on the same relay, and from another."""

    def setUp(self) -> None:
        self.house = house_with(2)
        self.one, self.two = self.house.relays.values()

    def lines(self, delimiter: bytes, across: bool) -> tuple[Line, Line]:
        """Esa's line and Fajar's, whose bytes are kept."""
        fajar = self.house.joined(self.one, "Fajar", delimiter=delimiter)
        esa = self.house.joined(self.two if across else self.one, "Esa")
        return esa, fajar

    def heard(self, esa: Line, fajar: Line, frame: bytes) -> tuple[list[bytes], list[dict[str, Any]]]:
        """What Fajar gets of a frame, as bytes, and what Esa is answered."""
        raw: list[bytes] = []
        self.patch(fajar, "dataReceived", raw.append)
        esa.write(frame)
        self.house.settle()
        delimiter = ORIGINAL if b"".join(raw).endswith(ORIGINAL) else LF
        return [one for one in b"".join(raw).split(delimiter) if one], esa.take()

    def test_what_is_accepted_arrives_meaning_the_same(self) -> None:
        carried = 0
        for delimiter in (LF, ORIGINAL):
            for across in (False, True):
                esa, fajar = self.lines(delimiter, across)
                for case in vectors("codec")["accepted"]:
                    frame = as_message(frame_of(case))
                    if frame is None or b"\n" in frame or ORIGINAL in frame or NAMED & set(case["value"]):
                        continue
                    got, answers = self.heard(esa, fajar, frame)
                    self.assertEqual((len(got), answers), (1, []), case["name"])
                    expected = {"stanza": "message", "to": "Fajar", "from": "Esa", **case["value"]}
                    self.assertEqual(twice(got[0]), expected, case["name"])
                    carried += 1
                for line in (esa, fajar):
                    line.leave()
        self.assertGreater(carried, 60)

    def test_what_is_refused_reaches_nobody(self) -> None:
        refused = 0
        for across in (False, True):
            for case in vectors("codec")["refused"]:
                frame = as_message(frame_of(case))
                if frame is None or b"\n" in frame or ORIGINAL in frame or len(frame) > 60000:
                    continue
                esa, fajar = self.lines(LF, across)
                got, answers = self.heard(esa, fajar, frame)
                self.assertEqual(([answer["code"] for answer in answers], got), ([400], []), case["name"])
                for line in (esa, fajar):
                    line.leave()
                refused += 1
        self.assertGreater(refused, 60)

    def test_keys_a_relay_reads_can_not_stand_twice_however_they_are_spelt(self) -> None:
        esa, fajar = self.lines(LF, across=True)
        for key in ("to", "from", "stanza", "body", "id"):
            for spelt in (key, "".join(f"\\u{ord(char):04x}" for char in key)):
                frame = b'{"stanza":"message","to":"Fajar","from":"Esa","body":"1","id":"i","%s":"x"}'
                got, answers = self.heard(esa, fajar, frame % spelt.encode())
                self.assertEqual(([answer["code"] for answer in answers], got), ([400], []), spelt)

    def test_an_escaped_key_is_the_key(self) -> None:
        esa, fajar = self.lines(LF, across=True)
        got, answers = self.heard(esa, fajar, b'{"stanza":"message","to":"Fajar","\\u0066rom":"Gita"}')
        self.assertEqual(([answer["code"] for answer in answers], got), ([403], []))

    def test_delimiters_inside_a_message_do_not_end_it_for_the_receiver(self) -> None:
        for to_delimiter, frame in (
            (ORIGINAL, HEAD + b'"body": "\xc2\x80\xc2\x81\xc2\x82{\\"stanza\\":1}"}'),
            (LF, HEAD + b'\n"body": "1"\n}'),
        ):
            for across in (False, True):
                fajar = self.house.joined(self.one, "Fajar", delimiter=to_delimiter)
                other = LF if to_delimiter == ORIGINAL else ORIGINAL
                esa = self.house.joined(self.two if across else self.one, "Esa", delimiter=other)
                got, answers = self.heard(esa, fajar, frame)
                self.assertEqual((len(got), answers), (1, []))
                self.assertEqual(twice(got[0]), {**json.loads(frame), "from": "Esa"})
                for line in (esa, fajar):
                    line.leave()

# SPDX-License-Identifier: MIT
"""What two users say to find a direct link: the vectors, there and back, and the marker."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import vectors
from xjrelay.wire import codec, direct
from xjrelay.wire.errors import RemoteError
from xjrelay.wire.stanzas import Iq, Kind, Message, parse

VECTORS = vectors("direct")


def heard(query: object) -> Iq:
    return Iq(namespace="jingle", type="set", query=query)


class QueryTests(SynchronousTestCase):
    """Queries."""

    def test_accepted(self) -> None:
        seen = set()
        for case in VECTORS["accepted"]:
            query = direct.read(heard(case["query"]))
            self.assertEqual(query.__struct_config__.tag, case["action"])
            if isinstance(query, direct.Initiate | direct.Accept):
                self.assertEqual([[one.ip, one.port] for one in query.places()], case["places"])
            seen.add(type(query))
        self.assertEqual(seen, set(direct.KINDS))

    def test_refused(self) -> None:
        for case in VECTORS["refused"]:
            error = self.assertRaises(RemoteError, direct.read, heard(case["query"]))
            self.assertIn(case["says"], error.msg, case["name"])
        self.assertRaises(RemoteError, direct.read, Iq(namespace="roster", query={}))

    def test_what_is_said_is_read_again(self) -> None:
        for case in VECTORS["accepted"]:
            query = direct.read(heard(case["query"]))
            said = codec.encode(direct.iq(query, "set", to="fajar", id="d1"))
            back = parse(Kind.IQ, codec.decode(said))
            assert isinstance(back, Iq)
            self.assertEqual(direct.read(back), query)
            self.assertEqual((back.to, back.id, back.from_), ("fajar", "d1", None))


class MarkerTests(SynchronousTestCase):
    """The message that is none to anybody's application."""

    def test_there_and_back(self) -> None:
        value = direct.marker("esa", "fajar/desk", "m1", "9b1deb4d3b7d4bad")
        message = parse(Kind.MESSAGE, value)
        assert isinstance(message, Message)
        self.assertEqual(direct.marked(message.body, value), "9b1deb4d3b7d4bad")

    def test_an_application_s_own_key_of_that_name_is_its_own(self) -> None:
        self.assertIsNone(direct.marked("halo", {"direct": "9b1deb4d3b7d4bad"}))
        self.assertIsNone(direct.marked(None, {"direct": True}))
        self.assertIsNone(direct.marked(None, {}))

# SPDX-License-Identifier: MIT
"""What the manager's benchmark makes of what it recorded."""

from __future__ import annotations

from pathlib import Path
from xml.parsers.expat import ExpatError

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.crowd import Keys
from benchmarks.house import PASSWORD, SALT
from benchmarks.manager import Row, deflated, reading_time, write
from benchmarks.xmpp import login, message, registration
from xjrelay.security.scram import Credentials, ScramServer, derive

STANZA = b'{"stanza":"presence","from":"esa","to":"fajar","username":"esa","online":1}\n'
HEADER = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://s' id='1'>"


class FigureTests(SynchronousTestCase):
    """Bytes and times of recorded traffic."""

    def test_a_connection_keeps_its_dictionary(self) -> None:
        self.assertLess(deflated([STANZA] * 10), 10 * deflated([STANZA]) / 3)

    def test_both_kinds_of_answers_are_read_whole(self) -> None:
        self.assertGreaterEqual(reading_time(STANZA * 100), 0)
        features = b"<stream:features><bind/></stream:features>"
        self.assertGreaterEqual(reading_time(HEADER + features + HEADER + b"<iq id='1'><query/></iq>"), 0)
        with self.assertRaises(ExpatError):
            reading_time(b"<iq><query></iq>")

    def test_the_table_takes_the_older_one_s_place(self) -> None:
        page = Path(self.mktemp())
        page.write_text("before\n<!-- table -->\nolder\n<!-- /table -->\nafter\n", "utf-8")
        write(page, [Row("xjrelay", "add", 1000, 600.4, 700.0, 169, 474, 21, 40, 4.0)])
        text = page.read_text("utf-8")
        self.assertIn(
            "| add | 1000 | xjrelay | 600 | 700 | 169 | 474 | 21 + 40 | 4 |\n<!-- /table -->\nafter", text
        )
        self.assertNotIn("older", text)
        self.assertTrue(text.startswith("before\n<!-- table -->\n20"))


class WordTests(SynchronousTestCase):
    """What is said to the servers."""

    def test_a_proof_made_of_one_derivation_is_taken(self) -> None:
        made = derive(PASSWORD, 4096, SALT)
        server = ScramServer(Credentials(SALT, 4096, made.stored_key, made.server_key))
        first = "n=esa,r=abcdefgh"
        challenge = server.first(f"n,,{first}")
        self.assertTrue(server.final(Keys(4096).final(first, challenge)).startswith("v="))

    def test_xmpp_stanzas_are_whole(self) -> None:
        said = [registration("esa"), message("fajar", 100), *(step for step, _ in login("esa")[1::2])]
        self.assertEqual([reading_time(one) >= 0 for one in said], [True] * len(said))
        self.assertIn(b"#!#", message("fajar", 100))

# SPDX-License-Identifier: MIT
"""Who a relay is: the id that it keeps, and what it says of itself."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.security.private import PrivateFileError
from xjrelay.servers.listening import Place
from xjrelay.servers.relay.identity import Identity, load_relay_id
from xjrelay.servers.startup import StartupError
from xjrelay.wire.errors import Code, RemoteError


class RelayIdTests(SynchronousTestCase):
    """The file in the data folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "relay_id"

    def test_it_is_made_once_and_kept(self) -> None:
        made = load_relay_id(self.folder, random.Random(1).randbytes)
        self.assertEqual(made, random.Random(1).randbytes(16).hex())
        self.assertEqual(load_relay_id(self.folder), made)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["relay_id"])

    def test_two_folders_are_two_relays(self) -> None:
        other = self.folder / "other"
        self.assertNotEqual(load_relay_id(self.folder), load_relay_id(other))

    def test_a_damaged_one_is_refused_in_one_sentence_that_names_the_file(self) -> None:
        for content in (b"", b"short\n", b"\xff" * 32, b"0" * 33, b"G" * 32):
            self.path.write_bytes(content)
            self.path.chmod(0o600)
            error = self.assertRaises(StartupError, load_relay_id, self.folder)
            self.assertIn(str(self.path), str(error))

    def test_one_that_others_can_read_is_refused(self) -> None:
        load_relay_id(self.folder)
        self.path.chmod(0o644)
        self.assertRaises(PrivateFileError, load_relay_id, self.folder)


class IdentityTests(SynchronousTestCase):
    """The three hellos."""

    def test_each_names_what_the_other_side_knows_it_by(self) -> None:
        identity = Identity("the-id")
        identity.place = Place("10.0.0.5", 5002)
        identity.name = "relay7"
        hellos = identity.to_tracker(), identity.to_manager(), identity.to_relay()
        places = {(h.ip_local, h.port, h.type, h.is_private) for h in hellos}
        self.assertEqual(places, {("10.0.0.5", 5002, "relay", True)})
        names = [(h.component_id, h.relay_id, h.relay_username) for h in hellos]
        self.assertEqual(names, [("the-id", None, None), (None, "the-id", None), (None, None, "relay7")])

    def test_without_a_manager_it_has_no_name(self) -> None:
        error = self.assertRaises(RemoteError, Identity("the-id").require_name)
        self.assertEqual(error.code, Code.NOT_NOW)

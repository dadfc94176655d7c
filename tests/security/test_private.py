# SPDX-License-Identifier: MIT
"""Files only their owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.security.private import PrivateFileError, create_private, read_private, replace_private


class PrivateFileTests(SynchronousTestCase):
    """Real files in a temporary folder."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "deep" / "secret"

    def test_is_made_with_its_folder_for_the_owner_alone(self) -> None:
        self.assertTrue(create_private(self.path, b"one"))
        self.assertEqual(read_private(self.path), b"one")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)

    def test_the_umask_makes_no_difference(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        create_private(self.path, b"one")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_the_first_to_make_it_wins(self) -> None:
        create_private(self.path, b"one")
        self.assertFalse(create_private(self.path, b"two"))
        self.assertEqual(read_private(self.path), b"one")

    def test_is_replaced_in_one_step(self) -> None:
        create_private(self.path, b"one")
        replace_private(self.path, b"two")
        self.assertEqual(read_private(self.path), b"two")
        self.assertEqual([file.name for file in self.path.parent.iterdir()], ["secret"])

    def test_is_refused_when_group_or_others_can_read_it(self) -> None:
        create_private(self.path, b"hidden")
        for mode in (0o640, 0o604, 0o660, 0o620):
            self.path.chmod(mode)
            error = self.assertRaises(PrivateFileError, read_private, self.path)
            self.assertIn("chmod 600", str(error))
            self.assertNotIn("hidden", str(error))

    def test_a_credential_of_systemd_s_may_show_a_right_of_the_group_and_no_other(self) -> None:
        create_private(self.path, b"hidden")
        passed, elsewhere = self.path.parent, self.path.parent.parent
        self.path.chmod(0o440)
        self.assertEqual(read_private(self.path, passed), b"hidden")
        self.assertRaises(PrivateFileError, read_private, self.path, elsewhere)
        for mode in (0o444, 0o460, 0o404):
            self.path.chmod(mode)
            self.assertRaises(PrivateFileError, read_private, self.path, passed)

    def test_a_folder_and_a_pipe_are_not_files(self) -> None:
        self.path.parent.mkdir(parents=True)
        self.assertRaises(PrivateFileError, read_private, self.path.parent)
        os.mkfifo(self.path, 0o600)
        self.assertIn("not a file", str(self.assertRaises(PrivateFileError, read_private, self.path)))

    def test_a_huge_file_is_named_by_mistake(self) -> None:
        create_private(self.path, b"x" * 70_000)
        self.assertIn("too large", str(self.assertRaises(PrivateFileError, read_private, self.path)))

    def test_a_place_that_is_no_folder_is_an_error_that_names_it(self) -> None:
        create_private(self.path, b"one")
        inside = self.path / "below"
        self.assertIn(str(inside), str(self.assertRaises(PrivateFileError, create_private, inside, b"x")))
        self.assertIn(str(inside), str(self.assertRaises(PrivateFileError, replace_private, inside, b"x")))

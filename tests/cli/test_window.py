# SPDX-License-Identifier: MIT
"""``xj gui`` where something is missing: one line that says what, and how to get it."""

from __future__ import annotations

import io
import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.gui.display import missing
from xjrelay.cli.main import WRONG_USAGE, main


class WindowCommandTests(SynchronousTestCase):
    """What a person reads."""

    def said(self, *argv: str) -> str:
        errors = io.StringIO()
        with mock.patch.object(sys, "stderr", errors):
            self.assertEqual(main(["gui", *argv]), WRONG_USAGE)
        self.assertEqual(errors.getvalue().count("\n"), 1)
        return errors.getvalue()

    def test_without_the_extra(self) -> None:
        with mock.patch.dict(sys.modules, {"customtkinter": None}):
            self.assertIn("pip install 'xjrelay[gui]'", self.said())

    def test_without_tkinter(self) -> None:
        with mock.patch.dict(sys.modules, {"tkinter": None}):
            self.assertIn("python3-tk", self.said())

    def test_without_a_display(self) -> None:
        with mock.patch.dict("os.environ", {"DISPLAY": "127.0.0.1:9999"}):
            self.assertIn("no window can be opened", self.said("--light"))

    if missing():
        test_without_a_display.skip = missing()  # type: ignore[attr-defined]

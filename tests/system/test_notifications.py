# SPDX-License-Identifier: MIT
"""A message reaches a real desktop's bus; without a desktop nothing breaks (G9)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.gui.display import has_notifier
from tests.system.programs import PATIENCE, ROOT

WITHOUT = """
from xjrelay.gui.notify import Notifier
notifier = Notifier()
for number in range(3):
    notifier("Bob", str(number))
notifier.join()
"""


class NotificationTests(SynchronousTestCase):
    """By desktop-notifier."""

    if not has_notifier():
        skip = "no desktop-notifier"
    elif shutil.which("dbus-run-session") is None:
        skip = "no dbus-run-session"

    def test_G9_the_desktop_is_asked_to_show_it(self) -> None:
        command = ["dbus-run-session", "--", sys.executable, "-m", "tests.system.desktop"]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=3 * PATIENCE
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), ["xjrelay", "Bob", "Aku dari Bob"])

    def test_without_a_desktop_there_is_no_traceback(self) -> None:
        environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=3 * PATIENCE,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

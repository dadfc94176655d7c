# SPDX-License-Identifier: MIT
"""A node's ports, and what it tells a person. That it serves is shown by ``tests/system``."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.servers.listening import Place
from xjrelay.servers.node.service import endpoints
from xjrelay.servers.node.tap import MAKERS, what_next
from xjrelay.servers.option_table import TABLE
from xjrelay.servers.startup import StartupError


class PortTests(SynchronousTestCase):
    """The tracker's port, then the next ones."""

    def test_follow_each_other(self) -> None:
        self.assertEqual(endpoints(["tcp:5000"], 4), ["tcp:5000", "tcp:5001", "tcp:5002", "tcp:5003"])

    def test_keep_the_rest_of_the_endpoint(self) -> None:
        made = endpoints(["tcp:70:interface=0.0.0.0:backlog=5"], 2)
        self.assertEqual(made[1], "tcp:71:interface=0.0.0.0:backlog=5")

    def test_keep_tls_before_them(self) -> None:
        self.assertEqual(endpoints(["tls:5223"], 2), ["tls:5223", "tls:5224"])
        self.assertEqual(endpoints(["tls:tcp6:1:a=b"], 2), ["tls:tcp6:1:a=b", "tls:tcp6:2:a=b"])

    def test_are_all_free_ones_for_0(self) -> None:
        self.assertEqual(endpoints(["tcp:0"], 3), ["tcp:0"] * 3)

    def test_are_refused_where_there_are_none(self) -> None:
        for listen in (["unix:/x"], ["ssl:1:privateKey=a"], ["tcp:1", "tcp:2"], ["tcp:x"]):
            self.assertIn("one TCP endpoint", str(self.assertRaises(StartupError, endpoints, listen, 4)))
        self.assertIn("65535", str(self.assertRaises(StartupError, endpoints, ["tcp:65533"], 4)))


class OptionTests(SynchronousTestCase):
    """A node hands its options on."""

    def test_it_has_every_option_of_its_programs_or_decides_it(self) -> None:
        decided = {"tracker"}
        for option in TABLE:
            if any(option.belongs_to(program) for program in MAKERS):
                self.assertTrue(option.belongs_to("node") or option.name in decided, option.name)


class ScreenTests(SynchronousTestCase):
    """What to type next."""

    def setUp(self) -> None:
        ports = {"tracker": 5000, "manager": 5001, "relay1": 5002, "relay2": 5003}
        self.places = {name: Place("127.0.0.1", port) for name, port in ports.items()}

    def test_says_where_everything_is(self) -> None:
        text = what_next(self.places, Path("/data"), Path("/nowhere/twistd"))
        for shown in ("127.0.0.1:5000", "127.0.0.1:5001", "127.0.0.1:5002, 127.0.0.1:5003", "/data"):
            self.assertIn(shown, text)

    def test_names_the_tracker_only_where_xj_would_not_find_it(self) -> None:
        self.assertNotIn("--tracker", what_next(self.places, Path("/data"), Path("twistd")))
        self.places["tracker"] = Place("::1", 7000)
        self.assertIn("--tracker [::1]:7000", what_next(self.places, Path("/data"), Path("twistd")))

    def test_says_that_the_tracker_is_to_be_reached_by_tls(self) -> None:
        self.places["tracker"] = Place("127.0.0.1", 5000, tls=True)
        self.assertIn("--tracker xjs://127.0.0.1:5000", what_next(self.places, Path("/data"), Path("twistd")))

    def test_names_xj_by_the_path_twistd_was_run_by(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "xj").touch()
        self.assertIn(f"  {folder}/xj chat", what_next(self.places, Path("/data"), folder / "twistd"))
        self.assertIn("  xj chat", what_next(self.places, Path("/data"), Path("/nowhere/twistd")))

# SPDX-License-Identifier: MIT
"""Holds ``newsfragments/`` and ``NEWS.md`` to the form that ``make news`` needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay import __version__

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "newsfragments"
README = "README.md"


def types() -> list[str]:
    """What a fragment may be, of ``pyproject.toml``."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return [one["directory"] for one in config["tool"]["towncrier"]["type"]]


def wrong(name: str, text: str) -> str | None:
    """What is wrong with a fragment, or None."""
    if not re.fullmatch(rf"\+[a-z0-9]+(-[a-z0-9]+)*\.({'|'.join(types())})\.md", name):
        return "its name is +SOME-NAME.TYPE.md"
    if text != text.strip() + "\n" or not text.strip():
        return "it is some text and one line feed"
    if not re.search(r"[.!)`]$", text.strip()):
        return "it ends as a sentence does"
    return None


class NewsTests(SynchronousTestCase):
    """Fragments, and what was made of them."""

    def test_every_fragment_is_one(self) -> None:
        found = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir() if path.name != README}
        bad = {name: why for name, text in found.items() if (why := wrong(name, text))}
        self.assertEqual(bad, {})

    def test_what_is_no_fragment_is_found(self) -> None:
        self.assertIsNone(wrong("+a-name.feature.md", "It is new.\n"))
        for name in (
            "123.feature.md",
            "+a-name.md",
            "+a.novelty.md",
            "+A.feature.md",
            "+a.feature.rst",
            "notes",
        ):
            self.assertIsNotNone(wrong(name, "It is new.\n"), name)
        for text in ("", "\n", "It is new", "It is new.", "It is new.\n\n"):
            self.assertIsNotNone(wrong("+a.feature.md", text), repr(text))

    def test_the_types_are_explained(self) -> None:
        explained = re.findall(r"^\| (\w+) \| ", (FOLDER / README).read_text("utf-8"), re.MULTILINE)
        self.assertEqual(explained, ["type", *types()])

    def test_the_releases_go_down_to_the_first(self) -> None:
        text = (ROOT / "NEWS.md").read_text("utf-8")
        found = re.findall(r"^## (\d+)\.(\d+)\.(\d+), \d{4}-\d\d-\d\d$", text, re.MULTILINE)
        releases = [tuple(map(int, one)) for one in found]
        self.assertEqual(releases, sorted(releases, reverse=True))
        self.assertEqual(releases[-1], (0, 1, 0))
        self.assertLessEqual(releases[0], tuple(int(part) for part in __version__.split(".")))

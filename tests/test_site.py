# SPDX-License-Identifier: MIT
"""Holds what the site is put together from, and the pictures to the code they are drawn out of."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from tests.test_architecture import MAY_IMPORT
from tools import pictures, site
from xjrelay.client.outbox import State
from xjrelay.wire.grammar import Phase

DOCS = Path(__file__).resolve().parent.parent / "docs"


class SiteTests(SynchronousTestCase):
    """``tools/site.py``."""

    def test_every_room_has_its_page_and_every_module_its_place(self) -> None:
        self.assertEqual(set(site.ROOMS), set(MAY_IMPORT))
        for room in site.ROOMS:
            page = site.api(room)
            for name in site.modules(room):
                self.assertIn(f".. automodule:: {name}\n", page)

    def test_the_side_bar_is_the_index(self) -> None:
        text = "# All\n\n## One\n\n- [A](a.md): a.\n- [B](c/b.md): b.\n\n## Two\n\n- [News](news.md): n.\n"
        self.assertEqual(site.sections(text), {"One": ["a.md", "c/b.md"], "Two": ["news.md"]})
        made = site.index(text)
        self.assertIn(":caption: One\n\na.md\nc/b.md\n```", made)
        self.assertIn(":caption: API\n\napi/client\n", made)

    def test_links_lead_to_the_site_s_own_pages(self) -> None:
        said = "[n](../NEWS.md) [s](../SECURITY.md#x) [i](README.md) [o](options.md)"
        self.assertEqual(
            site.linked(said, 0), "[n](news.md) [s](reporting.md#x) [i](index.md) [o](options.md)"
        )
        self.assertEqual(
            site.linked("[n](../../NEWS.md) [i](../README.md)", 1), "[n](../news.md) [i](../index.md)"
        )

    def test_what_is_not_on_the_site_is_no_link(self) -> None:
        said = "[secure.py](../../xjrelay/net/secure.py) and [here](../options.md) and [out](https://example.org)"
        kept = "secure.py and [here](../options.md) and [out](https://example.org)"
        self.assertEqual(site.linked(said, 1), kept)

    def test_put_together_it_has_every_page(self) -> None:
        into = Path(self.mktemp())
        site.assemble(into)
        for path in DOCS.rglob("*.md"):
            if path != DOCS / "README.md":
                self.assertTrue((into / path.relative_to(DOCS)).is_file(), path)
        listed = re.findall(r"^([\w/-]+)(?:\.md)?$", (into / "index.md").read_text("utf-8"), re.MULTILINE)
        for page in listed:
            self.assertTrue((into / f"{page}.md").is_file(), page)
        self.assertEqual({path.stem for path in (into / "api").iterdir()}, set(MAY_IMPORT))


class PictureTests(SynchronousTestCase):
    """``tools/pictures.py``."""

    def test_they_are_what_the_code_says(self) -> None:
        for name, drawn in pictures.PICTURES.items():
            shown = (DOCS / "images" / name).read_text("utf-8")
            self.assertEqual(shown, drawn(), f"{name}: draw it again with python -m tools.pictures")
            ElementTree.fromstring(shown)

    def test_no_room_is_missing(self) -> None:
        shown = pictures.rooms()
        for room in MAY_IMPORT:
            self.assertIn(f">{room}</text>", shown)

    def test_no_phase_of_who_listens_is_missing(self) -> None:
        shown = {name for _, names in pictures.GROUPS for name in names}
        self.assertEqual(shown, {phase.name for phase in Phase if not phase.name.startswith("AT_")})

    def test_no_state_of_a_message_is_missing(self) -> None:
        named = {name for one, other, _ in pictures.TURNS for name in (one, other)}
        self.assertEqual(named, {state.name for state in State})
        self.assertEqual(set(pictures.meanings()), named)

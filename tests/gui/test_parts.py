# SPDX-License-Identifier: MIT
"""The window's small parts without a display: words, texts, settings, shapes, the bridge."""

from __future__ import annotations

import gettext
import json
import string
import struct
import threading
import zlib
from datetime import UTC
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.gui import catalogs
from tests.gui.display import has_notifier
from tests.gui.fakes import line
from xjrelay.client import errors
from xjrelay.gui import bridge as bridges
from xjrelay.gui import settings, shapes
from xjrelay.gui.bridge import Bridge
from xjrelay.gui.notify import MAX_WAITING, Notifier
from xjrelay.gui.problems import problem_at_door
from xjrelay.gui.texts import Calendar, clean, links, one_line
from xjrelay.gui.words import Words, languages
from xjrelay.gui.world import (
    Door,
    Happening,
    LineAdded,
    LinkChanged,
    Missed,
    PeersDoor,
    Problem,
    ServersDoor,
    State,
)

PO = catalogs.LOCALE / "id" / "LC_MESSAGES" / "xjrelay.po"


class WordsTests(SynchronousTestCase):
    """English and Indonesian (G8)."""

    def test_G8_every_text_of_the_window_has_a_translation(self) -> None:
        catalog = catalogs.read(PO)
        texts = catalogs.texts()
        self.assertGreater(len(texts), 90)
        self.assertEqual({text for text in texts if not catalog.get(text)}, set())
        self.assertEqual(set(catalog) - texts, {""}, "texts that nobody says any more")

    def test_a_translation_has_the_fields_of_its_text(self) -> None:
        def fields(text: str) -> set[str | None]:
            return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

        for text, translated in catalogs.read(PO).items():
            self.assertEqual(fields(text), fields(translated), text)

    def test_the_compiled_catalog_is_this_one(self) -> None:
        """Made by ``python -m tests.gui.catalogs``."""
        compiled = PO.with_suffix(".mo").read_bytes()
        self.assertEqual(compiled, catalogs.compiled(catalogs.read(PO)))
        with PO.with_suffix(".mo").open("rb") as file:
            self.assertEqual(gettext.GNUTranslations(file).gettext("Today"), "Hari ini")

    def test_the_language_is_the_system_s(self) -> None:
        self.assertEqual(languages({"LANG": "id_ID.UTF-8"}), ["id_ID.UTF-8"])
        self.assertEqual(languages({"LANGUAGE": "de:id", "LANG": "en_GB.UTF-8"}), ["de", "id"])
        self.assertEqual(languages({"LANG": "C"}), [])
        self.assertEqual(Words(["id_ID.UTF-8"])("Today"), "Hari ini")
        self.assertEqual(Words(["de_DE"])("{name} is online", name="Bob"), "Bob is online")


class TextTests(SynchronousTestCase):
    """Texts from the network, and when."""

    def test_nothing_unseen_is_shown(self) -> None:
        self.assertEqual(clean("a\x00b\r\nc\u202ed"), "a\N{REPLACEMENT CHARACTER}b\ncd")
        self.assertEqual(one_line("  two\n lines  "), "two lines")
        self.assertLess(len(clean("x" * 60_000)), 21_000)
        self.assertEqual(clean("👋🏽 e\u0301"), "👋🏽 e\u0301")

    def test_links_are_found_without_what_follows(self) -> None:
        found = links("(see https://example.org/a?b=c, or HTTP://x.example.) javascript:alert(1)")
        self.assertEqual([one.url for one in found], ["https://example.org/a?b=c", "HTTP://x.example"])

    def test_days_as_a_person_says_them(self) -> None:
        calendar = Calendar(Words(), UTC)
        now = 1_800_000_000_000  # 2027-01-15 08:00
        day = 86_400_000
        self.assertEqual(
            [calendar.day(now - n * day, now) for n in (0, 1, 2)], ["Today", "Yesterday", "13 January 2027"]
        )
        self.assertEqual((calendar.short(now, now), calendar.short(now - day, now)), ("08:00", "14 Jan"))
        self.assertFalse(calendar.same_day(now, now - day))
        self.assertEqual(Calendar(Words(["id"]), UTC).day(now - 200 * day, now), "29 Juni 2026")
        calendar.day(10**18, now)  # a time from nowhere breaks nothing


class SettingsTests(SynchronousTestCase):
    """What is remembered (G8)."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp()) / "xjrelay" / "window.json"

    def test_what_was_saved_is_there_again_and_no_password_is(self) -> None:
        made = settings.Settings(geometry="900x600+10+20", side=280, dark=False, user="esa", port="6000")
        settings.save(self.file, made)
        self.assertEqual(settings.load(self.file), made)
        self.assertNotIn("password", self.file.read_text())

    def test_nonsense_is_as_nothing(self) -> None:
        for text in ("", "[1]", "{", json.dumps({"geometry": "; rm", "side": -5, "dark": "yes", "x": 1})):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(text)
            found = settings.load(self.file)
            self.assertEqual((found.geometry, found.dark), ("1080x720", True))
            self.assertGreaterEqual(found.side, 200)

    def test_each_account_has_a_folder_of_its_own(self) -> None:
        home = {"XDG_DATA_HOME": "/data"}
        doors: list[Door] = [
            ServersDoor("127.0.0.1:5000", "esa", "x"),
            ServersDoor("127.0.0.1:5001", "esa", "x"),
            ServersDoor("127.0.0.1:5000", "../../etc", "x"),
            PeersDoor("esa", 5000),
        ]
        folders = [settings.account_folder(home, door) for door in doors]
        self.assertEqual(len(set(folders)), len(doors))
        self.assertEqual({folder.parent for folder in folders}, {Path("/data/xjrelay/window")})
        again = ServersDoor(" 127.0.0.1:5000", "Esa", "other")
        self.assertEqual(settings.account_folder(home, again), folders[0])


class ShapeTests(SynchronousTestCase):
    """Signs that are told apart without colour (G2)."""

    def test_G2_each_sign_has_a_form_of_its_own(self) -> None:
        forms = []
        for state in State:
            pixels = _alpha(shapes.png(16, 16, (9, 9, 9), shapes.sign(state, 16)))
            forms.append([value > 127 for value in pixels])
        for one in range(3):
            for other in range(one):
                different = sum(a is not b for a, b in zip(forms[one], forms[other], strict=True))
                self.assertGreater(different, 30, (one, other))

    def test_edges_are_smooth(self) -> None:
        alpha = _alpha(shapes.png(20, 20, (1, 2, 3), shapes.disc(20)))
        self.assertEqual((alpha[0], alpha[10 * 20 + 10]), (0, 255))
        self.assertTrue(any(0 < value < 255 for value in alpha))


def _alpha(png: bytes) -> list[int]:
    """How solid each pixel of a picture of ours is."""
    width, height = struct.unpack(">II", png[16:24])
    at = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[at - 4 : at])
    rows = zlib.decompress(png[at + 4 : at + 4 + length])
    stride = 1 + 4 * width
    return [rows[y * stride + 1 + 4 * x + 3] for y in range(height) for x in range(width)]


class _Threads:
    """A reactor whose thread is this one."""

    def callFromThread(self, call: Any, *args: Any) -> None:
        call(*args)


class BridgeTests(SynchronousTestCase):
    """Between the threads (G6)."""

    def setUp(self) -> None:
        self.bridge = Bridge(_Threads())  # type: ignore[arg-type]
        self.heard: list[Happening] = []
        self.bridge.listen(self.heard.append)

    def test_answers_wait_until_they_are_fetched(self) -> None:
        async def work() -> int:
            return 7

        got: list[int] = []
        self.bridge.run(work, got.append, self.fail)
        self.assertEqual(got, [])
        self.assertEqual(self.bridge.drain(), 1)
        self.assertEqual(got, [7])

    def test_problems_and_breakages_are_told(self) -> None:
        async def refuse() -> None:
            raise Problem("The password is wrong.", "password")

        async def bug() -> None:
            raise ZeroDivisionError("oops")

        got: list[Problem] = []
        self.bridge.run(refuse, self.fail, got.append)
        self.bridge.run(bug, self.fail, got.append)
        self.bridge.drain()
        self.assertEqual([one.text for one in got], ["The password is wrong.", bridges.BROKEN])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_flood_is_bounded_and_ends_in_a_look_at_everything(self) -> None:
        for number in range(bridges.MAX_TOLD + 500):
            self.bridge.tell(LineAdded(line(number)))
        self.bridge.tell(LinkChanged(False))
        turns = 0
        while self.bridge.drain():
            turns += 1
        self.assertGreaterEqual(turns, bridges.MAX_TOLD // bridges.MAX_DRAINED)
        self.assertEqual(len(self.heard), bridges.MAX_TOLD + 2)
        self.assertEqual(self.heard[-2:], [Missed(), LinkChanged(False)])
        self.bridge.tell(LineAdded(line(1)))
        self.bridge.drain()
        self.assertEqual(self.heard[-1], LineAdded(line(1)))

    def test_one_happening_that_breaks_the_window_leaves_the_next(self) -> None:
        def listener(happening: Happening) -> None:
            if isinstance(happening, Missed):
                raise RuntimeError("drawn wrongly")
            self.heard.append(happening)

        self.bridge.listen(listener)
        self.bridge.tell(Missed())
        self.bridge.tell(LinkChanged(True))
        self.bridge.drain()
        self.assertEqual(self.heard, [LinkChanged(True)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class _Desktop:
    """Remembers what it was to show."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.asked = threading.Event()
        self.may = threading.Event()

    def send(self, title: str, message: str) -> None:
        self.asked.set()
        self.may.wait(10)
        self.shown.append((title, message))
        if title == "end":
            self.over.set()
        if title == "broken":
            raise OSError("no desktop")

    over = threading.Event()


class NotifierTests(SynchronousTestCase):
    """Outside the window (G9)."""

    def test_shown_in_order_and_never_waited_for(self) -> None:
        desktop = _Desktop()
        notifier = Notifier(desktop=desktop)
        notifier("broken", "1")
        self.assertTrue(desktop.asked.wait(10))
        notifier("Bob", "halo")
        for _ in range(MAX_WAITING + 5):
            notifier("end", "x")
        desktop.may.set()
        self.assertTrue(desktop.over.wait(10))
        self.assertEqual(desktop.shown[:2], [("broken", "1"), ("Bob", "halo")])

    def test_off_is_off(self) -> None:
        desktop = _Desktop()
        Notifier(False, desktop)("Bob", "halo")
        self.assertFalse(desktop.asked.is_set())

    def test_the_library_takes_what_we_give(self) -> None:
        import inspect

        from desktop_notifier.sync import DesktopNotifierSync

        inspect.signature(DesktopNotifierSync.send).bind(None, title="a", message="b")
        inspect.signature(DesktopNotifierSync).bind(app_name="xjrelay")

    if not has_notifier():
        test_the_library_takes_what_we_give.skip = "no desktop-notifier"  # type: ignore[attr-defined]


class ProblemTests(SynchronousTestCase):
    """What the library says, beside the right field (G1)."""

    def test_G1_each_refusal_at_the_door_has_its_field(self) -> None:
        cases: list[tuple[errors.ClientError, bool, str]] = [
            (errors.NoTracker("nobody answers at 127.0.0.1:1"), False, "tracker"),
            (errors.NoManager("none"), False, "tracker"),
            (errors.BadAddress("no"), False, "tracker"),
            (errors.Refused(404, "User not found"), False, "user"),
            (errors.Refused(400, "Wrong password"), False, "password"),
            (errors.Refused(401, "Unknown user or wrong password"), False, "password"),
            (errors.Refused(409, "Username used"), True, "user"),
            (errors.Refused(400, "Password with white space"), True, "password"),
            (errors.Refused(403, "closed"), True, "user"),
        ]
        for error, register, field in cases:
            self.assertEqual(problem_at_door(error, "x:1", register).field, field, error)

    def test_a_banned_user_reads_why(self) -> None:
        banned = problem_at_door(errors.Refused(403, "Banned: spam"), "x:1", False)
        self.assertEqual((str(banned), banned.field), ("It didn't work: Banned: spam", "user"))

# SPDX-License-Identifier: MIT
"""What is drawn, on a display: only what can be seen, where it was, in both themes, by keyboard too."""

from __future__ import annotations

import os
import random
import re
import tkinter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.gui.display import display, missing, shoot
from tests.gui.fakes import NOON, FakeWorld, House, line, person
from xjrelay.gui.settings import Settings
from xjrelay.gui.world import (
    LineAdded,
    LineChanged,
    LinkChanged,
    PersonChanged,
    Problem,
    Progress,
    Said,
    State,
)
from xjrelay.storage.history import MAX_LINES

if not missing():
    from xjrelay.gui import theme
    from xjrelay.gui.bubbles import MARKS
    from xjrelay.gui.listing import ROW
    from xjrelay.gui.sidebar import ADD, CONNECT
    from xjrelay.gui.window import TICK, Window

MANY_PEOPLE, MANY_LINES = 1000, 10_000
SHOTS = os.environ.get("XJ_SHOTS")
"""A folder for pictures; none are made where it isn't said."""
MOST_ITEMS = 400
"""Items on both canvases together; a window of this size shows about ten people and ten lines."""


class _Nothing:
    """A bridge with nothing in it, and an alarm."""

    enabled = True

    def drain(self) -> int:
        return 0


class Drawing(SynchronousTestCase):
    """One window on a fake world."""

    skip = missing()

    def setUp(self) -> None:
        before = os.environ.get("DISPLAY")
        self.addCleanup(lambda: os.environ.__setitem__("DISPLAY", before) if before else None)
        os.environ["DISPLAY"] = display()

    def open(self, world: FakeWorld, **settings: Any) -> Window:
        self.house = House(world)
        self.saved: list[Settings] = []
        nothing = _Nothing()
        window = Window(self.house.presenter, nothing, Settings(**settings), nothing, self.saved.append)
        self.addCleanup(window.end)
        self.house.enter()
        self.draw(window)
        return window

    def draw(self, window: Window) -> None:
        """All that waits to be drawn."""
        window.refresh()
        window.root.update()

    def crowd(self) -> FakeWorld:
        """A thousand contacts, and ten thousand lines with one of them, of every length."""
        rng = random.Random(6)
        states = list(State)
        people = [person(f"p{n:04}", states[n % 3], name=f"Person {n:04}") for n in range(MANY_PEOPLE)]
        world = FakeWorld(*people)
        world.lines["p0500"] = [
            line(n, "p0500", f"{n}: " + "kata " * rng.choice([1, 3, 40, 200]), incoming=n % 3 > 0)
            for n in range(1, MANY_LINES + 1)
        ]
        return world

    def items(self, window: Window) -> int:
        assert window.side is not None and window.chat is not None
        canvases = (window.side.people.canvas, window.chat.transcript.canvas)
        return sum(len(canvas.find_all()) for canvas in canvases)

    def seen(self, window: Window) -> list[str]:
        """Texts of lines that can be seen, from above."""
        assert window.chat is not None
        canvas = window.chat.transcript.canvas
        found = [
            (canvas.bbox(item)[1], canvas.itemcget(item, "text")) for item in canvas.find_withtag("text")
        ]
        return [text for _, text in sorted(found)]

    def typed(self, window: Window) -> str:
        """What stands in the line one types in."""
        assert window.chat is not None
        return window.chat.typed

    def numbers(self, window: Window) -> list[int]:
        return [int(text.partition(":")[0]) for text in self.seen(window)]


class DrawingTests(Drawing):
    """What is drawn, and where."""

    # -- a crowd -----------------------------------------------------------------------------

    def test_G6_a_thousand_people_and_ten_thousand_lines_cost_what_is_seen(self) -> None:
        window = self.open(self.crowd())
        widgets = _count(window.root)
        self.house.presenter.conversations.select("p0500")
        self.draw(window)
        assert window.chat is not None
        transcript = window.chat.transcript
        most = self.items(window)
        chat = self.house.presenter.chat
        assert chat is not None
        while not chat.complete:
            self.house.presenter.conversations.older()
            transcript.to_oldest()
            most = max(most, self.items(window))
        transcript.canvas.event_generate("<Home>")
        self.draw(window)
        self.assertEqual((len(chat), self.numbers(window)[0]), (MANY_LINES, 1))
        for pixels in (400, 5000, -300):
            transcript.scroll(pixels)
            most = max(most, self.items(window))
        self.assertLess(most, MOST_ITEMS)
        self.assertLess(_count(window.root) - widgets, 5, "no widget a person or a line")

    def test_drawing_asks_only_for_what_is_seen(self) -> None:
        """However many there are: counted, not timed."""
        window = self.open(self.crowd())
        assert window.side is not None
        calls: list[str] = []
        people = window.side.people
        original = people._row

        def row(one: Any, top: int) -> None:
            calls.append(one.key)
            original(one, top)

        people._row = row  # type: ignore[method-assign,assignment]
        for name in ("p0001", "p0400"):
            self.house.presenter.happened(PersonChanged(person(name, State.OFFLINE)))
        self.draw(window)
        self.assertLessEqual(len(calls), people.canvas.winfo_height() // window.look.px(ROW) + 2)

    def test_news_of_a_flood_is_drawn_once_a_turn(self) -> None:
        window = self.open(self.crowd())
        assert window.chat is not None
        self.house.presenter.conversations.select("p0500")
        self.draw(window)
        drawn: list[int] = []
        original = window.chat.transcript.draw
        window.chat.transcript.draw = lambda **_: drawn.append(1) or original()  # type: ignore[method-assign,func-returns-value]
        for number in range(MANY_LINES + 1, MANY_LINES + 301):
            self.house.presenter.happened(LineAdded(line(number, "p0500", f"{number}: x")))
        window.refresh()
        self.assertEqual(len(drawn), 1)
        self.assertEqual(self.numbers(window)[-1], MANY_LINES + 300)

    # -- the place ---------------------------------------------------------------------------

    def test_G3_who_reads_above_stays_there(self) -> None:
        """Through new lines, older pages, another width, and another conversation between."""
        window = self.open(self.crowd())
        presenter = self.house.presenter
        presenter.conversations.select("p0500")
        self.draw(window)
        assert window.chat is not None
        transcript = window.chat.transcript
        self.assertTrue(transcript.at_end)
        transcript.scroll(-3000)
        self.assertFalse(transcript.at_end)
        bottom = self.numbers(window)[-1]
        presenter.happened(LineAdded(line(MANY_LINES + 1, "p0500", "10001: new")))
        self.draw(window)
        self.assertEqual(self.numbers(window)[-1], bottom)
        presenter.conversations.older()
        self.draw(window)
        self.assertEqual(self.numbers(window)[-1], bottom)
        window.root.geometry("800x720")
        self.draw(window)
        self.assertEqual(self.numbers(window)[-1], bottom)
        presenter.conversations.select("p0001")
        self.draw(window)
        presenter.conversations.select("p0500")
        self.draw(window)
        transcript.to_end()
        self.assertEqual(self.numbers(window)[-1], MANY_LINES + 1)

    def test_at_the_end_the_newest_is_seen(self) -> None:
        window = self.open(self.crowd())
        self.house.presenter.conversations.select("p0500")
        self.draw(window)
        self.house.presenter.happened(LineAdded(line(MANY_LINES + 1, "p0500", "10001: new")))
        self.draw(window)
        self.assertEqual(self.numbers(window)[-1], MANY_LINES + 1)

    def test_a_short_conversation_can_not_be_scrolled_away(self) -> None:
        world = FakeWorld(person("bob"))
        world.lines["bob"] = [line(n, text=f"{n}: x") for n in (1, 2, 3)]
        window = self.open(world)
        self.house.presenter.conversations.select("bob")
        self.draw(window)
        assert window.chat is not None
        for pixels in (-500, 900, -50):
            window.chat.transcript.scroll(pixels)
            self.assertEqual(self.numbers(window), [1, 2, 3])
        window.chat.transcript.canvas.event_generate("<Home>")
        self.draw(window)
        self.assertEqual(self.numbers(window), [1, 2, 3])

    # -- lines -------------------------------------------------------------------------------

    def test_G3_days_names_states_and_a_retry(self) -> None:
        world = FakeWorld(person("bob"))
        day = 86_400_000
        world.lines["bob"] = [
            line(1, at=NOON - day),
            line(2, incoming=False, at=NOON, progress=Progress.DELIVERED),
            line(3, incoming=False, at=NOON + 1, progress=Progress.FAILED, why="No answer came in time."),
        ]
        window = self.open(world)
        self.house.presenter.conversations.select("bob")
        self.draw(window)
        assert window.chat is not None
        canvas = window.chat.transcript.canvas
        self.assertEqual(_texts(canvas, "day"), ["Yesterday", "Today"])
        self.assertEqual(_texts(canvas, "name"), ["Bob", "Alice"])
        feet = " ".join(_texts(canvas, "foot"))
        for wanted in ("✓✓ delivered", "! not sent: No answer came in time.", "Try again"):
            self.assertIn(wanted, feet)
        box = canvas.bbox("retry")
        x, y = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
        canvas.event_generate("<Motion>", x=x, y=y)
        window.root.update()
        canvas.event_generate("<Button-1>", x=x, y=y)
        self.assertIn(("retry", "m3"), world.asked)

    def test_the_keyboard_goes_from_line_to_line_copies_and_opens(self) -> None:
        world = FakeWorld(person("bob"))
        world.lines["bob"] = [line(1, text="lihat https://example.org/a."), line(2)]
        window = self.open(world)
        self.house.presenter.conversations.select("bob")
        self.draw(window)
        assert window.chat is not None
        opened: list[str] = []
        transcript = window.chat.transcript
        transcript.open_link = opened.append
        transcript.canvas.focus_force()
        window.root.update()
        for key in ("<Up>", "<Up>", "<Return>", "<Control-c>"):
            transcript.canvas.event_generate(key)
        self.assertEqual(opened, ["https://example.org/a"])
        self.assertEqual(window.root.clipboard_get(), "lihat https://example.org/a.")

    def test_G4_enter_sends_and_shift_enter_does_not(self) -> None:
        world = FakeWorld(person("bob"))
        window = self.open(world)
        self.house.presenter.conversations.select("bob")
        self.draw(window)
        assert window.chat is not None
        chat = window.chat
        text = next(one for one in chat.entry.winfo_children() if isinstance(one, tkinter.Text))
        text.focus_force()
        window.root.update()
        text.insert("end", "satu")
        text.event_generate("<Shift-Return>")
        text.insert("end", "dua")
        text.event_generate("<Return>")
        self.draw(window)
        self.assertIn(("send", "bob", "satu\ndua"), world.asked)
        self.assertEqual((chat.typed, self.seen(window)), ("", ["satu\ndua"]))

    def test_what_was_being_typed_stays_with_its_conversation(self) -> None:
        window = self.open(FakeWorld(person("bob"), person("carol")))
        for key, text in (("bob", "untuk bob"), ("carol", "")):
            self.house.presenter.conversations.select(key)
            self.draw(window)
            assert window.chat is not None
            window.chat.entry.insert("end", text)
        self.assertEqual(self.typed(window), "")
        self.house.presenter.conversations.select("bob")
        self.draw(window)
        self.assertEqual(self.typed(window), "untuk bob")
        window.change_theme()
        self.draw(window)
        self.assertEqual(self.typed(window), "untuk bob")

    def test_a_line_of_sixty_kilobytes_is_drawn(self) -> None:
        world = FakeWorld(person("bob"))
        world.lines["bob"] = [line(1, text="x" * 60_000), line(2, text="2: y")]
        window = self.open(world)
        self.house.presenter.conversations.select("bob")
        self.draw(window)
        assert window.chat is not None
        window.chat.transcript.scroll(-400)
        self.house.presenter.happened(LineChanged("bob", "m9", Progress.SENT))
        self.draw(window)
        self.assertTrue(self.seen(window)[0].startswith("xxx"))

    # -- the whole ---------------------------------------------------------------------------

    def test_G8_keys_lead_everywhere(self) -> None:
        window = self.open(FakeWorld(person("bob"), person("carol")))
        root = window.root
        root.focus_force()
        root.update()
        root.event_generate("<Control-Down>")
        self.draw(window)
        self.assertEqual(self.house.presenter.selected, "bob")
        root.event_generate("<F2>")
        sheet = window.dialogs.sheet
        assert sheet is not None
        self.assertEqual(sheet.fields["name"].value, "Bob")
        root.update()
        root.event_generate("<Escape>")
        self.assertIsNone(window.dialogs.sheet)
        root.event_generate("<Control-n>")
        self.assertIsNotNone(window.dialogs.sheet)
        root.event_generate("<Escape>")

    def test_G8_sizes_are_remembered(self) -> None:
        window = self.open(FakeWorld(person("bob")), geometry="900x600+30+40", side=260)
        window.close()
        self.assertEqual(len(self.saved), 1)
        self.assertEqual(self.saved[0].geometry, "900x600+30+40")
        self.assertLess(abs(self.saved[0].side - 260), 4)

    def test_the_menu_turns_theme_and_notifications(self) -> None:
        window = self.open(FakeWorld(person("bob")))
        for label, wanted in (
            ("Light theme", "Dark theme"),
            ("Turn notifications off", "Turn notifications on"),
        ):
            assert window.side is not None
            menu = window.side.menu()
            end = menu.index("end")
            assert end is not None
            labels = [
                menu.entrycget(at, "label") if menu.type(at) == "command" else "" for at in range(end + 1)
            ]
            menu.invoke(labels.index(label))
            self.draw(window)
            again = window.side.menu() if window.side else menu
            self.assertIn(wanted, [again.entrycget(at, "label") for at in (1, 2)])
        self.assertEqual((window.settings.dark, window.settings.notify), (False, False))


class BusyTests(Drawing):
    """Much at once: every sign, counts, a warning, what failed. Pictures of it, where they are wanted."""

    def busy(self) -> FakeWorld:
        minute = 60_000
        world = FakeWorld(
            person("bob", name="Bob", bio="di pantai"),
            person("carol", State.RESUMING),
            person("dewi", State.OFFLINE),
            person("eko", State.OFFLINE, contact=False),
            *(person(f"p{n}", list(State)[n % 3], name=f"Teman {n}") for n in range(1, 20)),
        )
        said = [
            ("Selamat siang! Sudah lihat https://example.org/jadwal?", True, Progress.RECEIVED),
            ("Belum, sebentar ya", False, Progress.DELIVERED),
            (
                "Sudah. Rapatnya jam tiga, di ruang yang kemarin, dan semua orang diminta membawa catatannya "
                "sendiri. 📝",
                False,
                Progress.DELIVERED,
            ),
            ("Siap 👍", True, Progress.RECEIVED),
            ("Sampai nanti", False, Progress.STORED),
            ("Ini tidak sampai", False, Progress.FAILED),
        ]
        world.lines["bob"] = [
            line(
                n,
                "bob",
                text,
                incoming,
                progress=progress,
                at=NOON - (6 - n) * minute - (86_400_000 if n == 0 else 0),
                why="The mailbox over there is full." if progress is Progress.FAILED else "",
            )
            for n, (text, incoming, progress) in enumerate(said)
        ]
        world.lines["carol"] = [line(20, "carol", "Nanti aku telepon", at=NOON - 7_200_000)]
        world.lines["dewi"] = [line(21, "dewi", "terima kasih", incoming=False, at=NOON - 90_000_000)]
        world.unread = {"carol": 2, "p12": 120}
        return world

    def test_everything_at_once(self) -> None:
        window = self.open(self.busy())
        presenter = self.house.presenter
        presenter.conversations.select("bob")
        self.draw(window)
        presenter.happened(PersonChanged(person("bob", State.RESUMING, name="Bob", bio="di pantai")))
        presenter.happened(PersonChanged(person("bob", name="Bob", bio="di pantai")))
        presenter.happened(Said("{name} is offline", {"name": "Somebody"}, warning=True))
        self.draw(window)
        assert window.side is not None and window.chat is not None
        self.assertEqual(_texts(window.side.people.canvas, "badge"), ["2", "99+"])
        self.assertTrue(window.chat.understood.winfo_ismapped())
        self.assertIn("di pantai", window.chat.state.cget("text"))
        self.pictures(window, "busy")
        window.chat.understood.invoke()
        self.draw(window)
        self.assertFalse(window.chat.understood.winfo_ismapped())
        presenter.happened(LinkChanged(False))
        self.draw(window)
        self.assertIn("Reconnecting", window.chat.warning.cget("text"))
        self.pictures(window, "reconnecting")

    def test_nobody_is_chosen(self) -> None:
        window = self.open(self.busy())
        self.pictures(window, "nobody")
        self.assertEqual(self.seen(window), [])

    def test_G5_sheets(self) -> None:
        window = self.open(self.busy())
        self.house.presenter.conversations.select("eko")
        self.draw(window)
        assert window.chat is not None
        self.assertTrue(window.chat.add.winfo_ismapped(), "who only wrote can be added")
        window.chat.add.invoke()
        assert window.dialogs.sheet is not None
        self.assertEqual(window.dialogs.sheet.fields["user"].value, "eko")
        window.dialogs.remove()
        self.pictures(window, "remove", window.dialogs.remove)
        self.house.world.problem = Problem("No answer came in time.")
        window.dialogs.sheet.press()
        self.assertIn("No answer", window.dialogs.sheet.error)
        window.dialogs.sheet.press()
        self.assertIsNone(window.dialogs.sheet)
        self.assertIn(("remove", "eko"), self.house.world.asked)

    def pictures(self, window: Window, name: str, again: Callable[[], None] = lambda: None) -> None:
        for theme_name in ("dark", "light") if SHOTS else ():
            self.draw(window)
            shoot(window.root, f"{SHOTS}/{name}-{theme_name}.png")
            window.change_theme()
            again()
            self.draw(window)


class ContrastTests(SynchronousTestCase):
    """Text can be read in both themes (WCAG 2, 1.4.3 and 1.4.11)."""

    skip = missing()

    def test_text_and_signs_stand_out(self) -> None:
        for name in ("DARK", "LIGHT"):
            palette = getattr(theme, name)
            grounds = [palette.window, palette.side, palette.chosen, palette.theirs, palette.raised]
            pairs = [(palette.text, ground, 4.5) for ground in grounds]
            pairs += [
                (palette.faint, ground, 4.5) for ground in (palette.window, palette.side, palette.chosen)
            ]
            pairs += [(palette.on_mine, palette.mine, 4.5), (palette.faint_on_mine, palette.mine, 4.5)]
            pairs += [(palette.link, palette.theirs, 4.5), (palette.link_on_mine, palette.mine, 4.5)]
            pairs += [(palette.on_warning, palette.warning, 4.5), (palette.danger, palette.side, 4.5)]
            pairs += [(palette.on_accent, palette.accent, 4.5), (palette.faint, palette.theirs, 4.5)]
            for state in State:
                pairs += [(palette.state(state), ground, 3.0) for ground in (palette.side, palette.chosen)]
            for ink, ground, wanted in pairs:
                self.assertGreaterEqual(_contrast(ink, ground), wanted, (name, ink, ground))


class PageTests(SynchronousTestCase):
    """docs/gui.md says what is so."""

    skip = missing()

    def test_numbers_keys_and_pictures(self) -> None:
        page = (Path(__file__).parents[2] / "docs" / "gui.md").read_text(encoding="utf-8")
        for number in (MANY_PEOPLE, MANY_LINES, MOST_ITEMS, MAX_LINES):
            self.assertIn(f"{number:,}", page)
        self.assertIn(f"once in {TICK} ms", page)
        for text in (CONNECT, ADD, *(state.value for state in State)):
            self.assertIn(text, page)
        for progress, sign in MARKS.items():
            if sign:
                self.assertIn(f"{sign} {progress.value}", page)
        pictures = re.findall(r"\((images/[^)]*)\)", page)
        folder = Path(__file__).parents[2] / "docs"
        self.assertEqual(
            {path.name for path in (folder / "images").glob("*-dark.png")},
            {Path(one).name for one in pictures if "-dark" in one},
        )
        for picture in pictures:
            self.assertEqual((folder / picture).read_bytes()[:4], b"\x89PNG", picture)


def _texts(canvas: tkinter.Canvas, tag: str) -> list[str]:
    found = [(canvas.bbox(item)[1], canvas.itemcget(item, "text")) for item in canvas.find_withtag(tag)]
    return [text for _, text in sorted(found)]


def _count(widget: tkinter.Misc) -> int:
    """Widgets, of widgets."""
    return 1 + sum(_count(child) for child in widget.winfo_children())


def _contrast(one: str, other: str) -> float:
    """WCAG's, between two colours."""

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)

# SPDX-License-Identifier: MIT
"""The list of people on a canvas, where only the rows that can be seen are drawn.

A thousand contacts cost what twelve cost: rows have one height, so which are seen is a division.
Imports the presenter, never the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xjrelay.gui.presenter import Presenter
from xjrelay.gui.texts import Calendar, one_line
from xjrelay.gui.theme import Look, fitting, scrolled_canvas
from xjrelay.gui.words import mark
from xjrelay.gui.world import Kind, Person, Progress

ROW: Final = 66
NOT_ENCRYPTED = mark("not encrypted")
YOU = mark("You: {said}")
NOT_A_CONTACT = mark("not a contact")


class PeopleList:
    """Rows of people: a picture with the state's sign, the name, the last line, the unread count.

    Args:
        parent: where.
        look: the theme.
        presenter: the state.
        opened: called when somebody was chosen by Enter or a click.

    Attributes:
        offset: pixels of rows above what is seen.
    """

    def __init__(
        self, parent: Any, look: Look, presenter: Presenter, calendar: Calendar, opened: Callable[[], None]
    ) -> None:
        self._look = look
        self._presenter = presenter
        self._calendar = calendar
        self._opened = opened
        self.offset = 0
        self._hover: str | None = None
        self.frame, self.canvas, self._bar = scrolled_canvas(
            parent, look, look.palette.side, self._scrolled, width=1
        )
        self._bind()

    def _bind(self) -> None:
        canvas = self.canvas
        canvas.bind("<Configure>", lambda *_: self.draw())
        canvas.bind("<Button-1>", self._clicked)
        canvas.bind("<Motion>", self._moved)
        canvas.bind("<Leave>", lambda *_: self._hover_on(None))
        canvas.bind("<Button-4>", lambda *_: self._scroll_by(-1))
        canvas.bind("<Button-5>", lambda *_: self._scroll_by(1))
        canvas.bind("<MouseWheel>", lambda event: self._scroll_by(-1 if event.delta > 0 else 1))
        steps = {"<Up>": -1, "<Down>": 1, "<Prior>": -8, "<Next>": 8, "<Home>": -(10**9), "<End>": 10**9}
        for key, step in steps.items():
            canvas.bind(key, lambda *_, step=step: self.choose(step))
        for key in ("<Return>", "<KP_Enter>", "<space>"):
            canvas.bind(key, lambda *_: self._opened())

    # -- choosing ----------------------------------------------------------------------------

    def choose(self, step: int) -> str:
        """Open the conversation so many rows further."""
        rows = self._presenter.people.rows()
        if rows:
            keys = [one.key for one in rows]
            selected = self._presenter.selected
            at = keys.index(selected) + step if selected in keys else (0 if step > 0 else len(rows) - 1)
            at = min(max(at, 0), len(rows) - 1)
            self._presenter.conversations.select(keys[at])
            self.show(at)
        return "break"

    def show(self, at: int) -> None:
        """Scroll so that a row can be seen."""
        height, row = self.canvas.winfo_height(), self._look.px(ROW)
        self.offset = min(max(self.offset, (at + 1) * row - height), at * row)
        self.draw()

    def _clicked(self, event: Any) -> None:
        self.canvas.focus_set()
        person = self._at(event.y)
        if person is not None:
            self._presenter.conversations.select(person.key)
            self._opened()

    def _at(self, y: int) -> Person | None:
        rows = self._presenter.people.rows()
        index = (y + self.offset) // self._look.px(ROW)
        return rows[index] if 0 <= index < len(rows) else None

    def _moved(self, event: Any = None) -> None:
        if event is None:  # so Tk calls now and then; another call follows
            return
        person = self._at(event.y)
        self._hover_on(None if person is None else person.key)

    def _hover_on(self, key: str | None) -> None:
        if key != self._hover:
            self._hover = key
            self.draw()

    # -- scrolling ---------------------------------------------------------------------------

    def _scroll_by(self, rows: int) -> str:
        self.offset += rows * self._look.px(ROW)
        self.draw()
        return "break"

    def _scrolled(self, action: str, value: str, what: str = "") -> None:
        if action == "moveto":
            total = len(self._presenter.people.rows()) * self._look.px(ROW)
            self.offset = int(float(value) * total)
            self.draw()
        else:
            self._scroll_by(int(float(value)) * (8 if what == "pages" else 1))

    # -- drawing -----------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw what can be seen, anew."""
        canvas, row = self.canvas, self._look.px(ROW)
        height = canvas.winfo_height()
        rows = self._presenter.people.rows()
        total = max(1, len(rows) * row)
        self.offset = min(max(self.offset, 0), max(0, total - height))
        canvas.delete("all")
        first = self.offset // row
        last = min(len(rows), (self.offset + height) // row + 1)
        for index in range(first, last):
            self._row(rows[index], index * row - self.offset)
        self._bar.set(self.offset / total, min(1.0, (self.offset + height) / total))
        if total <= height:
            self._bar.grid_remove()
        else:
            self._bar.grid()

    def _row(self, person: Person, top: int) -> None:
        canvas, look, px = self.canvas, self._look, self._look.px
        colours, width = look.palette, canvas.winfo_width()
        chosen = person.key == self._presenter.selected
        if chosen or person.key == self._hover:
            fill = colours.chosen if chosen else colours.hover
            canvas.create_rectangle(0, top, width, top + px(ROW), fill=fill, width=0)
        if chosen:
            canvas.create_rectangle(0, top, px(4), top + px(ROW), fill=colours.accent, width=0)
        self._picture(person, top, colours.chosen if chosen else colours.side)
        chat = self._presenter.people.chat(person.key)
        right = width - px(12)
        if chat.last is not None:
            when = self._calendar.short(chat.last.at, self._presenter.clock())
            item = canvas.create_text(
                right, top + px(14), text=when, anchor="ne", font=look.font(12), fill=colours.faint
            )
            room = canvas.bbox(item)[0] - px(8)
        else:
            room = right
        left = px(66)
        name = fitting(one_line(person.name, 80), look.font(15, True), room - left)
        canvas.create_text(
            left, top + px(12), text=name, anchor="nw", font=look.font(15, True), fill=colours.text
        )
        if chat.unread:
            right = self._badge(chat.unread, right, top)
        text = fitting(self._second(person), look.font(13), right - left)
        canvas.create_text(left, top + px(36), text=text, anchor="nw", font=look.font(13), fill=colours.faint)

    def _picture(self, person: Person, top: int, behind: str) -> None:
        canvas, look, px = self.canvas, self._look, self._look.px
        x, y = px(14), top + px(12)
        canvas.create_image(x, y, image=look.disc(look.avatar(person.key), 42), anchor="nw")
        initial = one_line(person.name, 1).upper() or "?"
        canvas.create_text(x + px(21), y + px(21), text=initial, font=look.font(18, True), fill="#ffffff")
        canvas.create_image(x + px(26), y + px(26), image=look.disc(behind, 18), anchor="nw")
        canvas.create_image(x + px(28), y + px(28), image=look.sign(person.state, 14), anchor="nw")

    def _badge(self, unread: int, right: int, top: int) -> int:
        canvas, look, px = self.canvas, self._look, self._look.px
        text = str(unread) if unread < 100 else "99+"
        font = look.font(12, True)
        wide = max(px(20), font.measure(text) + px(12))
        y = top + px(35)
        disc = look.disc(look.palette.accent, 20)
        canvas.create_image(right - wide, y, image=disc, anchor="nw")
        canvas.create_image(right, y, image=disc, anchor="ne")
        middle = right - wide + px(10), y, right - px(10), y + px(20)
        canvas.create_rectangle(*middle, fill=look.palette.accent, width=0)
        canvas.create_text(
            right - wide / 2, y + px(10), text=text, font=font, fill=look.palette.on_accent, tags="badge"
        )
        return right - wide - px(8)

    def _second(self, person: Person) -> str:
        """The last line; where there is none, whether somebody is there."""
        words, last = self._look.words, self._presenter.people.chat(person.key).last
        if last is None:
            state = words(person.state.value)
            if self._presenter.kind is Kind.PEERS and person.plain:
                return f"{state} · {words(NOT_ENCRYPTED)}"
            return state if person.contact else f"{state} · {words(NOT_A_CONTACT)}"
        text = one_line(last.text)
        if last.incoming:
            return text
        if last.progress is Progress.FAILED:
            return f"! {words(Progress.FAILED.value)}: {text}"
        return words(YOU, said=text)

# SPDX-License-Identifier: MIT
"""The items of a conversation on a canvas: each is drawn above a height, and tells how high it is.

Text that wraps is measured by drawing it, so that both are one thing. Knows neither what is seen of the
conversation nor what is clicked; :mod:`xjrelay.gui.transcript` does.
"""

from __future__ import annotations

import tkinter
from typing import Final

from xjrelay.gui.chats import Chat, Item, Note
from xjrelay.gui.presenter import Presenter
from xjrelay.gui.texts import Calendar, clean, links, one_line
from xjrelay.gui.theme import CORNER, Corner, Look, fitting
from xjrelay.gui.words import mark
from xjrelay.gui.world import Kind, Line, Progress, State

GROUP: Final = 5 * 60_000
"""Milliseconds within which lines of one person are one group, with the name on the first."""
MAX_LINKS: Final = 5
"""Links of one text that are listed below it."""

RETRY = mark("Try again")
WAITS = mark("waits until {name} is back")
TO_ALL = mark("to everybody")
ELSEWHERE = {Kind.SERVERS: mark("by the servers"), Kind.PEERS: mark("as peers")}
EMPTY = mark("No messages yet. Say something.")
MARKS: Final = {
    Progress.SENDING: "…",
    Progress.STORED: "✓",
    Progress.SENT: "✓",
    Progress.DELIVERED: "✓✓",
    Progress.FAILED: "!",
    Progress.RECEIVED: "",
}


class Bubbles:
    """Draws on a canvas what stands in a conversation.

    All of an item has the tag ``row`` with its position; what can be pressed has ``retry``, or ``link`` with
    its place among the links of the text.

    Args:
        canvas: where.
        look: the theme.
        presenter: the state.
        calendar: says when.
    """

    def __init__(self, canvas: tkinter.Canvas, look: Look, presenter: Presenter, calendar: Calendar) -> None:
        self._canvas = canvas
        self._look = look
        self._presenter = presenter
        self._calendar = calendar

    def draw(self, chat: Chat, position: int, bottom: int, marked: bool = False) -> int:
        """Draw an item above a height.

        Args:
            chat: the conversation.
            position: of the item in it.
            bottom: the item's lower edge, in pixels under the canvas's upper one.
            marked: whether a line around it shows that the keyboard is there.

        Returns:
            How high it is, in pixels; with the day, where that begins with it.
        """
        item = chat.get(position)
        assert item is not None
        before = chat.get(position - 1)
        if isinstance(item, Note):
            high = self._draw_words(position, item.text, bottom, 12)
        else:
            high = self._draw_line(position, item, before, bottom, marked)
        if before is None or not self._calendar.same_day(before.at, item.at):
            day = self._calendar.day(item.at, self._presenter.clock())
            high += self._draw_day(position, day, bottom - high)
        return high

    def height(self, chat: Chat, position: int) -> int:
        """How high an item is, in pixels."""
        height = self.draw(chat, position, -(10**5))
        self._canvas.delete(f"row{position}")
        return height

    def draw_empty(self, chat: Chat) -> None:
        """Say that nothing was said, once that is known."""
        if chat.loaded:
            self._canvas.create_text(
                self._canvas.winfo_width() // 2,
                self._canvas.winfo_height() // 2,
                text=self._look.words(EMPTY),
                font=self._look.font(14),
                fill=self._look.palette.faint,
            )

    def _draw_words(self, position: int, text: str, bottom: int, size: int) -> int:
        canvas, look = self._canvas, self._look
        wide = canvas.winfo_width()
        made = canvas.create_text(
            wide // 2,
            bottom - look.px(7),
            text=text,
            anchor="s",
            justify="center",
            width=wide - look.px(60),
            font=look.font(size),
            fill=look.palette.faint,
            tags=(f"row{position}", "note"),
        )
        _, top, _, low = canvas.bbox(made)
        return low - top + look.px(14)

    def _draw_day(self, position: int, day: str, bottom: int) -> int:
        canvas, look = self._canvas, self._look
        high, middle = look.px(38), bottom - look.px(19)
        tags = (f"row{position}", "day")
        made = canvas.create_text(
            canvas.winfo_width() // 2,
            middle,
            text=day,
            font=look.font(12, True),
            fill=look.palette.faint,
            tags=tags,
        )
        left, _, right, _ = canvas.bbox(made)
        gap, colour = look.px(12), look.palette.line
        canvas.create_line(look.px(20), middle, left - gap, middle, fill=colour, tags=tags[:1])
        edge = canvas.winfo_width() - look.px(20)
        canvas.create_line(right + gap, middle, edge, middle, fill=colour, tags=tags[:1])
        return high

    # -- one bubble --------------------------------------------------------------------------

    def _draw_line(self, position: int, line: Line, before: Item | None, bottom: int, marked: bool) -> int:
        look, px, canvas = self._look, self._look.px, self._canvas
        mine, row = not line.incoming, f"row{position}"
        first = not _same_group(before, line)
        base = bottom - px(3)
        room = max(px(120), min(px(560), canvas.winfo_width() * 3 // 4)) - px(28)
        foot = self._draw_foot(position, line, base - px(6))
        parts = self._draw_links(position, line, foot[1] - px(3), room)
        low = canvas.bbox(parts[-1])[1] if parts else foot[1]
        ink = look.palette.on_mine if mine else look.palette.text
        parts.append(
            canvas.create_text(
                0,
                low - px(2),
                text=clean(line.text),
                anchor="sw",
                width=room,
                font=look.font(14),
                fill=ink,
                tags=(row, "text"),
            )
        )
        if first:
            parts.append(self._draw_name(position, line, canvas.bbox(parts[-1])[1]))
        boxes = [canvas.bbox(part) for part in parts]
        wide = max(foot[2] - foot[0], *(box[2] - box[0] for box in boxes)) + px(24)
        x0 = canvas.winfo_width() - px(18) - wide if mine else px(18)
        for part, box in zip(parts, boxes, strict=True):
            canvas.move(part, x0 + px(12) - box[0], 0)
        canvas.move(f"foot{position}", x0 + wide - px(12) - foot[2], 0)
        edges = (x0, boxes[-1][1] - px(7), x0 + wide, base)
        self._draw_box(position, edges, look.palette.mine if mine else look.palette.theirs, marked)
        return bottom - edges[1] + (px(8) if first else 0)

    def _draw_name(self, position: int, line: Line, low: int) -> int:
        look, presenter = self._look, self._presenter
        person = presenter.people.get(line.key)
        name = (person.name if person is not None else line.key) if line.incoming else presenter.me
        return self._canvas.create_text(
            0,
            low - look.px(2),
            text=one_line(name, 60),
            anchor="sw",
            font=look.font(12, True),
            fill=look.palette.link if line.incoming else look.palette.faint_on_mine,
            tags=(f"row{position}", "name"),
        )

    def _draw_links(self, position: int, line: Line, low: int, room: int) -> list[int]:
        """Each link of a text, below it, to be clicked; from the last one upwards."""
        look, made = self._look, []
        ink = look.palette.link if line.incoming else look.palette.link_on_mine
        font = look.font(13)
        for index, link in reversed(list(enumerate(links(line.text)[:MAX_LINKS]))):
            item = self._canvas.create_text(
                0,
                low,
                text=fitting(f"↗ {link.url}", font, room),
                anchor="sw",
                font=look.font(13, underline=True),
                fill=ink,
                tags=(f"row{position}", "link", f"link{index}"),
            )
            low = self._canvas.bbox(item)[1] - look.px(2)
            made.append(item)
        return made

    def _draw_foot(self, position: int, line: Line, low: int) -> tuple[int, int, int, int]:
        """The time, and what has become of it, in a mark and in words."""
        look, canvas = self._look, self._canvas
        tags = (f"row{position}", f"foot{position}", "foot")
        faint = look.palette.faint if line.incoming else look.palette.faint_on_mine
        font = look.font(11)
        made = canvas.create_text(
            0, low, text=self._foot(line), anchor="sw", font=font, fill=faint, tags=tags
        )
        if line.may_retry:
            canvas.create_text(
                canvas.bbox(made)[2] + look.px(8),
                low,
                text=look.words(RETRY),
                anchor="sw",
                font=look.font(11, True, underline=True),
                fill=look.palette.link_on_mine,
                tags=(*tags, "link", "retry"),
            )
        return canvas.bbox(f"foot{position}")

    def _foot(self, line: Line) -> str:
        words, when = self._look.words, self._calendar.time(line.at)
        if line.broadcast:
            when = f"{words(TO_ALL)} · {when}"
        if line.elsewhere is not None:
            when = f"{words(ELSEWHERE[line.elsewhere])} · {when}"
        if line.incoming:
            return when
        person = self._presenter.people.get(line.key)
        if line.progress is Progress.SENDING and person is not None and person.state is not State.ONLINE:
            return f"{when}  {MARKS[line.progress]} {words(WAITS, name=one_line(person.name, 30))}"
        said = f"{when}  {MARKS[line.progress]} {words(line.progress.value)}"
        return f"{said}: {words(line.why)}" if line.why else said

    def _draw_box(self, position: int, box: tuple[int, int, int, int], fill: str, marked: bool) -> None:
        """Four smooth corners and two rectangles, behind the text."""
        canvas, look = self._canvas, self._look
        x0, y0, x1, y1 = box
        r, tags = look.px(CORNER), (f"row{position}", f"box{position}")
        canvas.create_rectangle(x0 + r, y0, x1 - r, y1, fill=fill, width=0, tags=tags)
        canvas.create_rectangle(x0, y0 + r, x1, y1 - r, fill=fill, width=0, tags=tags)
        corners: tuple[tuple[int, int, Corner], ...] = (
            (x0, y0, "nw"),
            (x1, y0, "ne"),
            (x0, y1, "sw"),
            (x1, y1, "se"),
        )
        for x, y, which in corners:
            canvas.create_image(x, y, image=look.corner(fill, which), anchor=which, tags=tags)
        if marked:
            outline = look.palette.focus
            canvas.create_rectangle(x0 - 3, y0 - 3, x1 + 3, y1 + 3, outline=outline, width=2, tags=tags)
        canvas.tag_lower(f"box{position}")


def _same_group(before: Item | None, line: Line) -> bool:
    """Whether a line follows one of the same person, a moment ago."""
    if not isinstance(before, Line) or before.incoming is not line.incoming:
        return False
    return 0 <= line.at - before.at < GROUP

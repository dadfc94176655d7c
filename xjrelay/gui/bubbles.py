# SPDX-License-Identifier: MIT
"""A conversation on a canvas, where only the lines that can be seen are drawn and measured.

Nobody knows how high ten thousand wrapped texts are, and nobody has to: the view hangs on one line, its
anchor, and is drawn upwards from there until the canvas is full. So the place stays when older lines are
put before, when the window changes its width, and when something new comes while one reads above.
"""

from __future__ import annotations

import tkinter
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import customtkinter as ctk

from xjrelay.gui.chats import Chat, Item, Note
from xjrelay.gui.presenter import Presenter
from xjrelay.gui.texts import Calendar, Link, clean, links, one_line
from xjrelay.gui.theme import CORNER, Corner, Look, fitting
from xjrelay.gui.words import mark
from xjrelay.gui.world import Kind, Line, Progress, State

PAD: Final = 12
GROUP: Final = 5 * 60_000
"""Milliseconds within which lines of one person are one group, with the name on the first."""
MAX_LINKS: Final = 5
"""Links of one text that are listed below it."""
NEAR_TOP: Final = 20
"""Items from the oldest at which older ones are fetched."""

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


@dataclass(slots=True)
class _Anchor:
    """The item whose lower edge is ``below`` pixels under the canvas's.

    Attributes:
        end: it is the newest, and stays so as more comes.
    """

    position: int = 0
    below: int = 0
    end: bool = True


class Bubbles:
    """The lines of the open conversation.

    Args:
        parent: where.
        look: the theme.
        presenter: the state.
        open_link: opens a link; the system's browser.
    """

    def __init__(
        self,
        parent: Any,
        look: Look,
        presenter: Presenter,
        calendar: Calendar,
        open_link: Callable[[str], object] = webbrowser.open,
    ) -> None:
        self._look = look
        self._presenter = presenter
        self._calendar = calendar
        self.open_link = open_link
        self._chat: Chat | None = None
        self._anchors: dict[str, _Anchor] = {}
        self._marked: int | None = None  # the position of the line that the keyboard has marked
        self._seen: list[tuple[int, int, int]] = []  # position, top, bottom of what is drawn
        self.frame = ctk.CTkFrame(parent, fg_color="transparent")
        self.frame.grid_rowconfigure(0, weight=1)
        self.frame.grid_columnconfigure(0, weight=1)
        colours = look.palette
        self.canvas = tkinter.Canvas(
            self.frame,
            background=colours.window,
            highlightthickness=2,
            highlightbackground=colours.window,
            highlightcolor=colours.focus,
            borderwidth=0,
            width=1,
            height=1,
            takefocus=1,
        )
        self.canvas.grid(row=0, column=0, sticky="nsew")
        self._bar = ctk.CTkScrollbar(
            self.frame, command=self._scrolled, width=12, button_color=colours.line, fg_color=colours.window
        )
        self._bar.grid(row=0, column=1, sticky="ns")
        self._bind()

    def _bind(self) -> None:
        canvas = self.canvas
        canvas.bind("<Configure>", lambda *_: self.draw())
        canvas.bind("<Button-1>", self._clicked)
        canvas.bind("<Button-3>", self._menu)
        canvas.bind("<Button-4>", lambda *_: self.scroll(-60))
        canvas.bind("<Button-5>", lambda *_: self.scroll(60))
        canvas.bind("<MouseWheel>", lambda event: self.scroll(-60 if event.delta > 0 else 60))
        canvas.bind("<Prior>", lambda *_: self.scroll(-canvas.winfo_height() * 4 // 5))
        canvas.bind("<Next>", lambda *_: self.scroll(canvas.winfo_height() * 4 // 5))
        canvas.bind("<Home>", lambda *_: self.to_oldest())
        canvas.bind("<End>", lambda *_: self.to_end())
        canvas.bind("<Up>", lambda *_: self._mark(-1))
        canvas.bind("<Down>", lambda *_: self._mark(1))
        canvas.bind("<Return>", lambda *_: self._act())
        canvas.bind("<Control-c>", lambda *_: self._copy())
        canvas.tag_bind("link", "<Enter>", lambda *_: canvas.configure(cursor="hand2"))
        canvas.tag_bind("link", "<Leave>", lambda *_: canvas.configure(cursor=""))

    # -- which conversation ------------------------------------------------------------------

    def show(self, chat: Chat | None) -> None:
        """Draw a conversation, at the place where it was left."""
        if chat is not self._chat:
            self._marked = None
        self._chat = chat
        self.draw()

    @property
    def at_end(self) -> bool:
        """Whether the newest line is the last that is seen."""
        return self._anchor.end

    @property
    def _anchor(self) -> _Anchor:
        key = self._chat.key if self._chat is not None else ""
        return self._anchors.setdefault(key, _Anchor())

    def to_end(self) -> str:
        """Back to the newest line."""
        self._anchors[self._chat.key if self._chat is not None else ""] = _Anchor()
        self.draw()
        return "break"

    # -- scrolling ---------------------------------------------------------------------------

    def scroll(self, pixels: int) -> str:
        """Move what is seen; downwards is more."""
        anchor = self._anchor
        if self._chat is not None and len(self._chat):
            self._pin()
            anchor.below -= self._look.px(pixels)
            anchor.end = False
            self.draw()
        return "break"

    def _pin(self) -> None:
        anchor = self._anchor
        if anchor.end and self._chat is not None:
            anchor.position, anchor.below = self._chat.end - 1, -self._look.px(PAD)

    def to_oldest(self) -> str:
        """To the oldest line that is here."""
        if self._chat is not None and len(self._chat):
            anchor = self._anchor
            anchor.position, anchor.end = self._chat.first, False
            self.draw(from_top=True)
        return "break"

    def _scrolled(self, action: str, value: str, what: str = "") -> None:
        chat = self._chat
        if chat is None or not len(chat):
            return
        if action == "moveto":
            position = chat.first + int(min(max(float(value), 0.0), 1.0) * len(chat))
            if position >= chat.end - 1:
                self.to_end()
                return
            anchor = self._anchor
            anchor.position, anchor.below, anchor.end = position, 0, False
            self.draw()
        else:
            page = self.canvas.winfo_height() if what == "pages" else 60
            self.scroll(int(float(value)) * page)

    # -- drawing -----------------------------------------------------------------------------

    def draw(self, from_top: bool = False) -> None:
        """Draw what can be seen, anew.

        Args:
            from_top: the anchor is to be at the upper edge, not at the lower one.
        """
        self.canvas.delete("all")
        self._seen = []
        chat = self._chat
        height = self.canvas.winfo_height()
        if chat is None or height <= 1:
            return
        if not len(chat):
            self._say_empty(chat, height)
            return
        self._settle(chat, height, from_top)
        top = height + self._anchor.below
        position = self._anchor.position
        while position >= chat.first and top > 0:
            item = chat.get(position)
            assert item is not None
            bottom, top = top, top - self._draw_item(chat, position, item, top)
            self._seen.append((position, top, bottom))
            position -= 1
        self._after(chat, top)

    def _after(self, chat: Chat, top: int) -> None:
        """What drawing has shown: where nothing older is here, the oldest belongs to the upper edge."""
        oldest, newest = self._seen[-1][0], self._seen[0][0]
        room = top - self._look.px(PAD)
        if room > 0 and oldest == chat.first and not self._anchor.end:
            self._anchor.below -= room
            self.draw()
            return
        if oldest - chat.first < NEAR_TOP:
            self._presenter.older()
        self._bar.set((oldest - chat.first) / len(chat), (newest + 1 - chat.first) / len(chat))

    def _settle(self, chat: Chat, height: int, from_top: bool) -> None:
        """Bring the anchor to the item that the canvas's lower edge cuts, or to the end."""
        anchor, pad = self._anchor, self._look.px(PAD)
        if not anchor.end:
            anchor.position = min(max(anchor.position, chat.first), chat.end - 1)
            if from_top:
                anchor.below = self._height(chat, anchor.position) - height + pad
            while anchor.below < 0 and anchor.position < chat.end - 1:
                anchor.position += 1
                anchor.below += self._height(chat, anchor.position)
            while anchor.position > chat.first and anchor.below >= self._height(chat, anchor.position):
                anchor.below -= self._height(chat, anchor.position)
                anchor.position -= 1
            if anchor.position == chat.end - 1 and anchor.below <= -pad:
                anchor.end = True
        if anchor.end:
            anchor.position, anchor.below = chat.end - 1, -pad

    def _height(self, chat: Chat, position: int) -> int:
        item = chat.get(position)
        assert item is not None
        height = self._draw_item(chat, position, item, -(10**5))
        self.canvas.delete(f"row{position}")
        return height

    def _say_empty(self, chat: Chat, height: int) -> None:
        if chat.loaded:
            self.canvas.create_text(
                self.canvas.winfo_width() // 2,
                height // 2,
                text=self._look.words(EMPTY),
                font=self._look.font(14),
                fill=self._look.palette.faint,
            )

    def _draw_item(self, chat: Chat, position: int, item: Item, bottom: int) -> int:
        """Draw an item above a height; returns how high it is."""
        before = chat.get(position - 1)
        if isinstance(item, Note):
            high = self._draw_words(position, item.text, bottom, 12)
        else:
            high = self._draw_line(position, item, before, bottom)
        if before is None or not self._calendar.same_day(before.at, item.at):
            day = self._calendar.day(item.at, self._presenter.clock())
            high += self._draw_day(position, day, bottom - high)
        return high

    def _draw_words(self, position: int, text: str, bottom: int, size: int) -> int:
        canvas, look = self.canvas, self._look
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
        canvas, look = self.canvas, self._look
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

    def _draw_line(self, position: int, line: Line, before: Item | None, bottom: int) -> int:
        look, px, canvas = self._look, self._look.px, self.canvas
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
        self._draw_box(position, edges, look.palette.mine if mine else look.palette.theirs)
        return bottom - edges[1] + (px(8) if first else 0)

    def _draw_name(self, position: int, line: Line, low: int) -> int:
        look, presenter = self._look, self._presenter
        person = presenter.people.get(line.key)
        name = (person.name if person is not None else line.key) if line.incoming else presenter.me
        return self.canvas.create_text(
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
            item = self.canvas.create_text(
                0,
                low,
                text=fitting(f"↗ {link.url}", font, room),
                anchor="sw",
                font=look.font(13, underline=True),
                fill=ink,
                tags=(f"row{position}", "link", f"link{index}"),
            )
            low = self.canvas.bbox(item)[1] - look.px(2)
            made.append(item)
        return made

    def _draw_foot(self, position: int, line: Line, low: int) -> tuple[int, int, int, int]:
        """The time, and what has become of it, in a mark and in words."""
        look, canvas = self._look, self.canvas
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

    def _draw_box(self, position: int, box: tuple[int, int, int, int], fill: str) -> None:
        """Four smooth corners and two rectangles, behind the text."""
        canvas, look = self.canvas, self._look
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
        if position == self._marked:
            outline = look.palette.focus
            canvas.create_rectangle(x0 - 3, y0 - 3, x1 + 3, y1 + 3, outline=outline, width=2, tags=tags)
        canvas.tag_lower(f"box{position}")

    # -- what the mouse and the keyboard do --------------------------------------------------

    def _clicked(self, event: Any) -> None:
        self.canvas.focus_set()
        line, pressed = self._line_at(event.y), self.canvas.find_withtag("current")
        if line is None or not pressed:
            return
        tags = self.canvas.gettags(pressed[0])
        if "retry" in tags:
            self._presenter.retry(line)
        for index, link in enumerate(links(line.text)):
            if f"link{index}" in tags:
                self.open_link(link.url)

    def _line_at(self, y: int) -> Line | None:
        for position, top, bottom in self._seen:
            if top <= y < bottom and self._chat is not None:
                item = self._chat.get(position)
                return item if isinstance(item, Line) else None
        return None

    def _follow(self, found: list[Link]) -> None:
        if len(found) == 1:
            self.open_link(found[0].url)
        elif found:
            self._popup(found, None)

    def _menu(self, event: Any) -> None:
        line = self._line_at(event.y)
        if line is not None:
            self._popup(links(line.text), line)

    def _popup(self, found: list[Link], line: Line | None) -> None:
        colours, words = self._look.palette, self._look.words
        menu = tkinter.Menu(
            self.canvas,
            tearoff=False,
            background=colours.raised,
            foreground=colours.text,
            activebackground=colours.chosen,
            activeforeground=colours.text,
        )
        if line is not None:
            menu.add_command(label=words(mark("Copy")), command=lambda: self._copy_text(line.text))
            if line.may_retry:
                menu.add_command(label=words(RETRY), command=lambda: self._presenter.retry(line))
        for link in found:
            url = link.url
            menu.add_command(label=url[:80], command=lambda url=url: self.open_link(url))  # type: ignore[misc]
        menu.tk_popup(self.canvas.winfo_pointerx(), self.canvas.winfo_pointery())

    def _mark(self, step: int) -> str:
        """The keyboard goes from line to line."""
        chat = self._chat
        if chat is None or not len(chat):
            return "break"
        at = (chat.end if step < 0 else chat.end - 1) if self._marked is None else self._marked
        self._marked = min(max(at + step, chat.first), chat.end - 1)
        seen = {position: (top, bottom) for position, top, bottom in self._seen}
        if self._marked not in seen or seen[self._marked][0] < 0:
            anchor = self._anchor
            anchor.position, anchor.below, anchor.end = self._marked, 0, False
            self.draw(from_top=step < 0)
        elif seen[self._marked][1] > self.canvas.winfo_height():
            self.scroll(seen[self._marked][1] - self.canvas.winfo_height() + PAD)
        else:
            self.draw()
        return "break"

    def _act(self) -> str:
        """Enter on a marked line: try it again, or open its link."""
        line = self._marked_line()
        if line is not None and line.may_retry:
            self._presenter.retry(line)
        elif line is not None:
            self._follow(links(line.text))
        return "break"

    def _copy(self) -> str:
        line = self._marked_line()
        if line is not None:
            self._copy_text(line.text)
        return "break"

    def _marked_line(self) -> Line | None:
        if self._chat is None or self._marked is None:
            return None
        item = self._chat.get(self._marked)
        return item if isinstance(item, Line) else None

    def _copy_text(self, text: str) -> None:
        self.canvas.clipboard_clear()
        self.canvas.clipboard_append(text)


def _same_group(before: Item | None, line: Line) -> bool:
    """Whether a line follows one of the same person, a moment ago."""
    if not isinstance(before, Line) or before.incoming is not line.incoming:
        return False
    return 0 <= line.at - before.at < GROUP

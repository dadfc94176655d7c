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

from xjrelay.gui.bubbles import RETRY, Bubbles
from xjrelay.gui.chats import Chat
from xjrelay.gui.presenter import Presenter
from xjrelay.gui.texts import Calendar, Link, links
from xjrelay.gui.theme import Look, scrolled_canvas
from xjrelay.gui.words import mark
from xjrelay.gui.world import Line

PAD: Final = 12
NEAR_TOP: Final = 20
"""Items from the oldest at which older ones are fetched."""


@dataclass(slots=True)
class _Anchor:
    """The item whose lower edge is ``below`` pixels under the canvas's.

    Attributes:
        end: it is the newest, and stays so as more comes.
    """

    position: int = 0
    below: int = 0
    end: bool = True


class Transcript:
    """The lines of the open conversation.

    Args:
        parent: where.
        look: the theme.
        presenter: the state.
        calendar: says when.
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
        self._conversations = presenter.conversations
        self.open_link = open_link
        self._chat: Chat | None = None
        self._anchors: dict[str, _Anchor] = {}
        self._marked: int | None = None  # the position of the line that the keyboard has marked
        self._seen: list[tuple[int, int, int]] = []  # position, top, bottom of what is drawn
        self.frame, self.canvas, self._bar = scrolled_canvas(
            parent, look, look.palette.window, self._scrolled, width=1, height=1
        )
        self._bubbles = Bubbles(self.canvas, look, presenter, calendar)
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
            self._bubbles.draw_empty(chat)
            return
        self._settle(chat, height, from_top)
        top = height + self._anchor.below
        position = self._anchor.position
        while position >= chat.first and top > 0:
            high = self._bubbles.draw(chat, position, top, marked=position == self._marked)
            bottom, top = top, top - high
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
            self._conversations.older()
        self._bar.set((oldest - chat.first) / len(chat), (newest + 1 - chat.first) / len(chat))

    def _settle(self, chat: Chat, height: int, from_top: bool) -> None:
        """Bring the anchor to the item that the canvas's lower edge cuts, or to the end."""
        anchor, pad, high = self._anchor, self._look.px(PAD), self._bubbles.height
        if not anchor.end:
            anchor.position = min(max(anchor.position, chat.first), chat.end - 1)
            if from_top:
                anchor.below = high(chat, anchor.position) - height + pad
            while anchor.below < 0 and anchor.position < chat.end - 1:
                anchor.position += 1
                anchor.below += high(chat, anchor.position)
            while anchor.position > chat.first and anchor.below >= high(chat, anchor.position):
                anchor.below -= high(chat, anchor.position)
                anchor.position -= 1
            if anchor.position == chat.end - 1 and anchor.below <= -pad:
                anchor.end = True
        if anchor.end:
            anchor.position, anchor.below = chat.end - 1, -pad

    # -- what the mouse and the keyboard do --------------------------------------------------

    def _clicked(self, event: Any) -> None:
        self.canvas.focus_set()
        line, pressed = self._line_at(event.y), self.canvas.find_withtag("current")
        if line is None or not pressed:
            return
        tags = self.canvas.gettags(pressed[0])
        if "retry" in tags:
            self._conversations.retry(line)
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
                menu.add_command(label=words(RETRY), command=lambda: self._conversations.retry(line))
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
            self._conversations.retry(line)
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

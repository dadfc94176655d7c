# SPDX-License-Identifier: MIT
"""The real window in a process of its own, driven by lines on its standard input.

Everything is as in ``xj gui``: the toolkit's loop in the first thread, the reactor in another. Each line
is ``{"do": verb, ...}``; each answer is one JSON line. Clicks and keys go through the toolkit as events.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import tkinter
from typing import Any

from twisted.internet import reactor

from tests.gui.display import shoot
from xjrelay.gui.listing import ROW
from xjrelay.gui.settings import Settings
from xjrelay.gui.tap import Program, Wish, log_to, make_window
from xjrelay.gui.window import Window


class Driver:
    """Does what the lines say.

    Args:
        program: the window's.
    """

    def __init__(self, program: Program) -> None:
        self._window: Window = program.window
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self._window.root.after(10, self._look)

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        self._lines.put('{"do": "close"}')  # whoever drove us is gone

    def _look(self) -> None:
        while not self._lines.empty():
            said = json.loads(self._lines.get())
            try:
                answer = getattr(self, f"do_{said.pop('do')}")(**said) or {}
            except Exception as error:
                answer = {"broken": repr(error)}
            print(json.dumps(answer), flush=True)
        self._window.root.after(10, self._look)

    # -- verbs -------------------------------------------------------------------------------

    def do_fill(self, **fields: str) -> None:
        """Type into fields of the first screen, or of the open sheet."""
        for name, value in fields.items():
            entry = self._fields()[name].entry
            entry.delete(0, "end")
            entry.insert(0, value)

    def do_press(self, button: str) -> None:
        """A button, by its attribute's name."""
        window = self._window
        places: list[Any] = [window.dialogs.sheet, window.start, window.side, window.chat]
        for place in places:
            made = getattr(place, button, None)
            for press in ("invoke", "toggle"):
                if hasattr(made, press):
                    getattr(made, press)()
                    return
        raise LookupError(button)

    def do_say(self, text: str) -> None:
        """Type into the chat's line, and press Enter."""
        self._chat().entry.focus_force()
        self._chat().entry.insert("end", text)
        self._window.root.update()
        self._key(self._chat().entry, "<Return>")

    def do_type(self, text: str) -> None:
        """Type, and press nothing."""
        self._chat().entry.insert("end", text)

    def do_key(self, where: str, key: str) -> None:
        """A key in the ``entry``, the ``transcript``, the ``people``, the ``search`` or the ``sheet``."""
        window = self._window
        assert window.side is not None
        places = {
            "entry": lambda: self._chat().entry,
            "transcript": lambda: self._chat().transcript.canvas,
            "people": lambda: window.side and window.side.people.canvas,
            "search": lambda: window.side and window.side.search,
            "sheet": lambda: window.dialogs.sheet and window.dialogs.sheet.frame,
            "root": lambda: window.root,
        }
        widget = places[where]()
        widget.focus_force()
        window.root.update()
        self._key(widget, key)

    def do_click(self, name: str) -> None:
        """A person in the side bar, by the mouse."""
        side = self._window.side
        assert side is not None
        names = [one.name for one in self._window.presenter.people.rows()]
        side.people.show(names.index(name))
        y = names.index(name) * self._window.look.px(ROW) + 20 - side.people.offset
        side.people.canvas.event_generate("<Button-1>", x=100, y=y)

    def do_click_tag(self, tag: str) -> None:
        """Something in the conversation, by the mouse."""
        canvas = self._chat().transcript.canvas
        box = canvas.bbox(tag)
        x, y = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
        canvas.event_generate("<Motion>", x=x, y=y)
        self._window.root.update()
        canvas.event_generate("<Button-1>", x=x, y=y)

    def do_front(self, there: bool) -> None:
        """The window comes to the front, or another takes its place."""
        if there:
            self._window.root.focus_force()
        self._window.presenter.conversations.set_focus(there)

    def do_theme(self) -> None:
        """The other theme."""
        self._window.change_theme()

    def do_shot(self, path: str) -> None:
        """A picture of the window."""
        shoot(self._window.root, path)

    def do_close(self) -> None:
        """As by the window's own cross."""
        self._window.close()

    def do_see(self) -> dict[str, Any]:
        """What is shown."""
        window, presenter = self._window, self._window.presenter
        seen: dict[str, Any] = {
            "screen": presenter.screen.name,
            "title": window.root.title(),
            "status": presenter.status,
            "problem": presenter.explain(presenter.problem) if presenter.problem else "",
            "errors": {name: field.error for name, field in self._fields().items() if field.error},
            "sheet": window.dialogs.sheet is not None,
        }
        if window.side is not None and window.chat is not None:
            seen |= self._see_main(window)
        return seen

    def _see_main(self, window: Window) -> dict[str, Any]:
        presenter, palette, chat = window.presenter, window.look.palette, self._chat()
        assert window.side is not None
        people = [
            {
                "name": one.name,
                "state": presenter.words(one.state.value),
                "colour": _colours(palette)[palette.state(one.state)],
                "unread": presenter.people.chat(one.key).unread,
                "fingerprint": one.fingerprint,
                "plain": one.plain,
                "peer": one.peer,
            }
            for one in presenter.people.rows()
        ]
        return {
            "me": presenter.me,
            "where": presenter.where,
            "fingerprint": presenter.fingerprint,
            "people": people,
            "listed": _texts(window.side.people.canvas),
            "items": len(window.side.people.canvas.find_all()) + len(chat.transcript.canvas.find_all()),
            "with": presenter.person.name if presenter.person else "",
            "head": str(chat.state.cget("text")),
            "said": _texts(chat.transcript.canvas, "text"),
            "notes": _texts(chat.transcript.canvas, "note"),
            "days": _texts(chat.transcript.canvas, "day"),
            "feet": _texts(chat.transcript.canvas, "foot"),
            "typed": chat.typed,
            "warnings": presenter.warnings,
            "link_up": presenter.link_up,
        }

    # -- small things ------------------------------------------------------------------------

    def _key(self, widget: Any, key: str) -> None:
        """To the toolkit's widget within one of customtkinter."""
        inside = [one for one in widget.winfo_children() if isinstance(one, tkinter.Entry | tkinter.Text)]
        target = inside[0] if inside else widget
        target.event_generate(key)

    def _fields(self) -> Any:
        window = self._window
        if window.dialogs.sheet is not None:
            return window.dialogs.sheet.fields
        return window.start.fields if window.start is not None else {}

    def _chat(self) -> Any:
        assert self._window.chat is not None
        return self._window.chat


def _texts(canvas: tkinter.Canvas, tag: str = "all") -> list[str]:
    """Texts on a canvas from above to below, those that can be seen."""
    found = []
    for item in canvas.find_withtag(tag):
        if str(canvas.type(item)) == "text":
            found.append((canvas.bbox(item)[1], canvas.itemcget(item, "text")))
    return [text for _, text in sorted(found)]


def _colours(palette: Any) -> dict[str, str]:
    return {palette.online: "green", palette.resuming: "amber", palette.offline: "red"}


def main() -> None:
    """Run a window; the first argument is its place, as in ``+0+0``, the second where it has direct links."""
    log_to(sys.stderr)
    listen = sys.argv[2] if len(sys.argv) > 2 else ""
    program = make_window(Wish(notify=False, direct_listen=listen), reactor, os.environ)
    program.window.root.geometry(f"{Settings().geometry.partition('+')[0]}{sys.argv[1]}")
    Driver(program)
    program.run()


if __name__ == "__main__":
    main()

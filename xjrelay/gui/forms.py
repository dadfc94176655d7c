# SPDX-License-Identifier: MIT
"""Inputs with their name above and what is wrong with them below, and the sheets made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import customtkinter as ctk

from xjrelay.gui.theme import Look, button, entry, label
from xjrelay.gui.words import mark
from xjrelay.gui.world import Problem

CANCEL = mark("Cancel")
WIDTH: Final = 310
"""Pixels of a field, before the screen's scale."""


class Field:
    """One input.

    Args:
        parent: where; the field packs itself.
        look: the theme.
        title: what is asked for.
        value: what stands there at first.
        secret: whether it is shown as dots.
    """

    def __init__(self, parent: Any, look: Look, title: str, value: str = "", secret: bool = False) -> None:
        self.frame = ctk.CTkFrame(parent, fg_color="transparent")
        self.frame.pack(fill="x", pady=(0, 2))
        label(self.frame, look, title, 13, faint=True).pack(fill="x")
        self.entry = entry(self.frame, look, show="●" if secret else "")
        self.entry.pack(fill="x")
        danger = look.palette.danger
        self._error = label(self.frame, look, "", 12, ink=danger, justify="left", height=18, wraplength=WIDTH)
        self._error.pack(fill="x")
        if value:
            self.entry.insert(0, value)

    @property
    def value(self) -> str:
        """What was typed."""
        return str(self.entry.get())

    @property
    def error(self) -> str:
        """What is said to be wrong."""
        return str(self._error.cget("text"))

    def say(self, error: str) -> None:
        """What is wrong with it, or nothing."""
        self._error.configure(text=f"! {error}" if error else "")


@dataclass(frozen=True, slots=True)
class Ask:
    """One input of a sheet.

    Attributes:
        name: as a :class:`Problem` names it.
        title: in the person's language.
    """

    name: str
    title: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a sheet is about.

    Attributes:
        text: more of that; may be empty.
        verb: what the button says.
        danger: whether the button takes something away.
    """

    title: str
    text: str = ""
    asks: tuple[Ask, ...] = ()
    verb: str
    danger: bool = False


Submit = Callable[[dict[str, str], Callable[[], None], Callable[[Problem], None]], None]


class Sheet:
    """Something asked over the window: a few inputs, yes or no. The window behind goes on.

    Args:
        parent: the window; the sheet covers it.
        look: the theme.
        question: what is asked.
        submit: called with what was typed, and whom to tell how it ended.
        closed: called when the sheet is gone.
    """

    def __init__(
        self,
        parent: Any,
        look: Look,
        question: Question,
        submit: Submit,
        closed: Callable[[], None],
    ) -> None:
        self._look = look
        self._submit = submit
        self._closed = closed
        colours = look.palette
        self.frame = ctk.CTkFrame(parent, fg_color=colours.window, corner_radius=0)
        self.frame.place(relx=0, rely=0, relwidth=1, relheight=1)
        card = ctk.CTkFrame(
            self.frame, fg_color=colours.side, corner_radius=14, border_width=1, border_color=colours.line
        )
        card.place(relx=0.5, rely=0.45, anchor="center")
        inside = ctk.CTkFrame(card, fg_color="transparent", width=400)
        inside.pack(padx=28, pady=24)
        label(inside, look, question.title, 20, bold=True, width=400).pack(fill="x", pady=(0, 10))
        if question.text:
            said = label(inside, look, question.text, 14, faint=True, justify="left", wraplength=400)
            said.pack(fill="x", pady=(0, 14))
        self.fields = {ask.name: Field(inside, look, ask.title, ask.value) for ask in question.asks}
        self._error = label(
            inside, look, "", 13, ink=colours.danger, justify="left", wraplength=400, height=18
        )
        self._error.pack(fill="x")
        self._buttons(inside, question)
        self.frame.bind("<Escape>", lambda *_: self.close())
        for field in self.fields.values():
            field.entry.bind("<Escape>", lambda *_: self.close())
            field.entry.bind("<Return>", lambda *_: self.press())
        if not self.fields and not question.danger:  # nothing is taken away by a key pressed too often
            self.frame.bind("<Return>", lambda *_: self.press())

    def _buttons(self, inside: Any, question: Question) -> None:
        row = ctk.CTkFrame(inside, fg_color="transparent")
        row.pack(fill="x", pady=(10, 0))
        kind = "danger" if question.danger else "main"
        self.button = button(row, self._look, question.verb, self.press, kind)
        self.button.pack(side="right")
        self.cancel = button(row, self._look, self._look.words(CANCEL), self.close)
        self.cancel.pack(side="right", padx=(0, 10))

    @property
    def error(self) -> str:
        """What is said to be wrong, of no field."""
        return str(self._error.cget("text"))

    def focus(self) -> None:
        """Where one types first."""
        first = next(iter(self.fields.values()), None)
        if first is None:
            self.frame.focus_set()
        else:
            first.entry.focus_set()

    def press(self) -> None:
        """The button."""
        self._error.configure(text="")
        for field in self.fields.values():
            field.say("")
        self.button.configure(state="disabled")
        self._submit({name: field.value for name, field in self.fields.items()}, self.close, self._failed)

    def close(self) -> None:
        """Away with it."""
        if self.frame.winfo_exists():
            self._closed()  # the focus goes elsewhere first: Tk may crash where its widget is destroyed
            self.frame.destroy()

    def _failed(self, problem: Problem) -> None:
        if not self.frame.winfo_exists():
            return
        self.button.configure(state="normal")
        text = self._look.words(problem.text, **problem.fields)
        field = self.fields.get(problem.field)
        if field is None:
            self._error.configure(text=f"! {text}")
        else:
            field.say(text)
            field.entry.focus_set()

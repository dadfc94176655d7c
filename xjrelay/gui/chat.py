# SPDX-License-Identifier: MIT
"""The right side: with whom, what was said, and where one types (G3, G4)."""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import customtkinter as ctk

from xjrelay.gui.changes import Part
from xjrelay.gui.listing import NOT_A_CONTACT, NOT_ENCRYPTED
from xjrelay.gui.presenter import RECONNECTING, Presenter
from xjrelay.gui.texts import Calendar, one_line
from xjrelay.gui.theme import Look, button, label
from xjrelay.gui.transcript import Transcript
from xjrelay.gui.words import mark

NOBODY = mark("Choose somebody on the left, or add the first one.")
SEND = mark("Send")
RENAME, REMOVE, ADD = mark("Rename"), mark("Remove"), mark("Add contact")
FINGERPRINT = mark("fingerprint {digits}")
KNOWN_AS = mark("the peer {name} you know")
USER_AT = mark("the user {name} at {servers}")
UNDERSTOOD = mark("Understood")
HINT = mark("Enter sends, Shift+Enter begins a new line")
MAX_ROWS: Final = 6
"""Lines the entry grows to."""


@dataclass(frozen=True, slots=True)
class ChatActions:
    """What the head's buttons open."""

    rename: Callable[[], None]
    remove: Callable[[], None]
    add: Callable[[], None]


class ChatArea:
    """The right side.

    Args:
        parent: where.
        look: the theme.
        presenter: the state.
        actions: what its buttons open.
    """

    def __init__(
        self, parent: Any, look: Look, presenter: Presenter, calendar: Calendar, actions: ChatActions
    ) -> None:
        self._look = look
        self._presenter = presenter
        self._shown: str | None = None
        colours = look.palette
        self.frame = ctk.CTkFrame(parent, fg_color=colours.window, corner_radius=0)
        self.frame.grid_columnconfigure(0, weight=1)
        self.frame.grid_rowconfigure(2, weight=1)
        self._make_head(actions)
        self._make_banner()
        self.transcript = Transcript(self.frame, look, presenter, calendar)
        self.transcript.frame.grid(row=2, column=0, sticky="nsew")
        self._make_entry()
        self._nobody = label(self.frame, look, look.words(NOBODY), 15, faint=True, anchor="center")
        self.refresh()

    def _make_head(self, actions: ChatActions) -> None:
        look, words = self._look, self._look.words
        self._head = head = ctk.CTkFrame(self.frame, fg_color=look.palette.side, corner_radius=0, height=66)
        head.grid(row=0, column=0, sticky="ew")
        head.grid_columnconfigure(1, weight=1)
        self._sign = tkinter.Label(head, background=look.palette.side, borderwidth=0)
        self._sign.grid(row=0, column=0, rowspan=2, padx=(look.px(18), look.px(10)), pady=look.px(18))
        self.name = label(head, look, "", 17, bold=True, height=24)
        self.name.grid(row=0, column=1, sticky="sew", pady=(8, 0))
        self.state = label(head, look, "", 13, faint=True, height=20)
        self.state.grid(row=1, column=1, sticky="new", pady=(0, 8))
        self.add = button(head, look, words(ADD), actions.add, "main", width=80, height=32)
        self.rename = button(head, look, words(RENAME), actions.rename, width=80, height=32)
        self.rename.grid(row=0, column=3, rowspan=2, padx=4)
        self.remove = button(head, look, words(REMOVE), actions.remove, "danger", width=80, height=32)
        self.remove.grid(row=0, column=4, rowspan=2, padx=(4, 14))

    def _make_banner(self) -> None:
        look = self._look
        self._banner = ctk.CTkFrame(self.frame, fg_color=look.palette.warning, corner_radius=0)
        self._banner.grid_columnconfigure(0, weight=1)
        self.warning = label(self._banner, look, "", 13, ink=look.palette.on_warning, justify="left")
        self.warning.grid(row=0, column=0, sticky="ew", padx=18, pady=8)
        self.warning.bind("<Configure>", self._wrap)
        self.understood = button(
            self._banner, look, look.words(UNDERSTOOD), self._presenter.dismiss, height=30
        )

    def _wrap(self, event: Any = None) -> None:
        if event is None:  # so Tk calls now and then; another call follows
            return
        width = max(120, int(event.width / self._look.scale) - 8)
        if width != self.warning.cget("wraplength"):
            self.warning.configure(wraplength=width)

    def _make_entry(self) -> None:
        look, colours = self._look, self._look.palette
        self._foot = foot = ctk.CTkFrame(self.frame, fg_color="transparent")
        foot.grid(row=3, column=0, sticky="ew", padx=16, pady=(8, 4))
        foot.grid_columnconfigure(0, weight=1)
        self.entry = ctk.CTkTextbox(
            foot,
            height=44,
            wrap="word",
            fg_color=colours.raised,
            text_color=colours.text,
            border_color=colours.line,
            border_width=2,
            corner_radius=10,
            font=look.ctk_font(14),
            activate_scrollbars=False,
            undo=True,
        )
        self.entry.grid(row=0, column=0, sticky="ew")
        self.send_button = button(foot, look, look.words(SEND), self.send, "main", width=90, height=44)
        self.send_button.grid(row=0, column=1, padx=(10, 0), sticky="s")
        label(foot, look, look.words(HINT), 11, faint=True, height=16).grid(
            row=1, column=0, sticky="ew", padx=8
        )
        self.entry.bind("<Return>", self._enter)
        self.entry.bind("<KP_Enter>", self._enter)
        self.entry.bind("<Tab>", lambda *_: self._go_on(self.send_button))
        self.entry.bind("<Shift-Tab>", lambda *_: self._go_on(self.transcript.canvas))
        self.entry.bind("<Prior>", lambda *_: self.transcript.scroll(-self._page()))
        self.entry.bind("<Next>", lambda *_: self.transcript.scroll(self._page()))
        self.entry.bind("<KeyRelease>", lambda *_: self._grow())
        self.entry.bind("<FocusIn>", lambda *_: self.entry.configure(border_color=colours.focus))
        self.entry.bind("<FocusOut>", lambda *_: self.entry.configure(border_color=colours.line))

    def _page(self) -> int:
        return int(self.transcript.canvas.winfo_height() * 4 // 5)

    @staticmethod
    def _go_on(widget: Any) -> str:
        """Tab goes on; it is no part of a text."""
        inside = [child for child in widget.winfo_children() if isinstance(child, tkinter.Canvas)]
        (inside[0] if inside else widget).focus_set()
        return "break"

    # -- typing ------------------------------------------------------------------------------

    @property
    def typed(self) -> str:
        """What stands in the entry."""
        return str(self.entry.get("1.0", "end-1c"))

    def send(self) -> None:
        """Say it."""
        if self._presenter.conversations.send(self.typed.strip("\n")):
            self.entry.delete("1.0", "end")
            self._grow()
            self.transcript.to_end()
        self.entry.focus_set()

    def focus(self) -> None:
        """Where one types."""
        self.entry.focus_set()

    def _enter(self, event: Any) -> str | None:
        if event.state & 0x1:  # Shift
            return None
        self.send()
        return "break"

    def _grow(self) -> None:
        lines = min(MAX_ROWS, self.typed.count("\n") + 1 + len(self.typed) // 90)
        high = 44 + 20 * (lines - 1)
        if self.entry.cget("height") != high:
            self.entry.configure(height=high)

    # -- drawing -----------------------------------------------------------------------------

    def refresh(self, changes: Part = Part.ALL) -> None:
        """What has changed."""
        if self._presenter.selected != self._shown:
            self._change()
        if changes & (Part.HEAD | Part.PEOPLE):
            self._refresh_head()
        if changes & Part.STATUS:
            self._refresh_banner()
        if changes & (Part.CHAT | Part.HEAD):
            self.transcript.show(self._presenter.chat)

    def _change(self) -> None:
        """Another conversation: what was being typed stays with its own."""
        before = self._presenter.people.get(self._shown)
        if before is not None and self._shown is not None:
            self._presenter.people.chat(self._shown).draft = self.typed
        self._shown = self._presenter.selected
        self.entry.delete("1.0", "end")
        chat = self._presenter.chat
        if chat is not None:
            self.entry.insert("1.0", chat.draft)
        self._grow()

    def _refresh_head(self) -> None:
        person = self._presenter.person
        if person is None:
            for one in (self._head, self._foot):
                one.grid_remove()
            self._nobody.place(relx=0.5, rely=0.48, anchor="center")
            return
        self._nobody.place_forget()
        for one in (self._head, self._foot):
            one.grid()
        chat = self._presenter.chat
        if chat is not None and chat.draft and not self.typed:
            self.entry.insert("1.0", chat.draft)
            chat.draft = ""
        self._sign.configure(image=self._look.sign(person.state, 16))
        self.name.configure(text=one_line(person.name, 60))
        self.state.configure(text=self._about())
        if person.contact:
            self.add.grid_forget()
            self.rename.grid()
        else:
            self.rename.grid_remove()
            self.add.grid(row=0, column=2, rowspan=2, padx=4)

    def _about(self) -> str:
        """Whether somebody is there, in words, and what else is known."""
        words, person = self._look.words, self._presenter.person
        assert person is not None
        said = [words(person.state.value)]
        if not person.contact:
            said.append(words(NOT_A_CONTACT))
        if person.way is not None:
            said.append(words(person.way.value))
        if person.peer:
            said.append(words(KNOWN_AS, name=one_line(person.peer, 40)))
        if person.user:
            fields = {"name": one_line(person.user, 40), "servers": one_line(person.servers, 40)}
            said.append(words(USER_AT, **fields))
        if person.plain:
            said.append(words(NOT_ENCRYPTED))
        if person.address and person.address != person.name:
            said.append(person.address)
        if person.fingerprint:
            said.append(words(FINGERPRINT, digits=person.fingerprint))
        if person.bio:
            said.append(one_line(person.bio, 120))
        return "  ·  ".join(said)

    def _refresh_banner(self) -> None:
        presenter = self._presenter
        if not presenter.link_up:
            self.warning.configure(text=f"… {self._look.words(RECONNECTING)}")
            self.understood.grid_forget()
        elif presenter.warnings:
            self.warning.configure(text=f"⚠ {presenter.warnings[0]}")
            self.understood.grid(row=0, column=1, padx=(0, 14))
        else:
            self._banner.grid_forget()
            return
        self._banner.grid(row=1, column=0, sticky="ew")

# SPDX-License-Identifier: MIT
"""The left side: who we are, search, everybody, and how somebody is added (G2, G5)."""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import customtkinter as ctk

from xjrelay.gui.listing import PeopleList
from xjrelay.gui.presenter import Presenter
from xjrelay.gui.texts import Calendar, one_line
from xjrelay.gui.theme import Look, button, entry, label
from xjrelay.gui.words import mark
from xjrelay.gui.world import Kind

CONNECT = mark("+ Connect to Peer")
ADD = mark("+ Add contact")
TO_ALL = mark("Say to all")
SEARCH = mark("Search")
MENU = mark("Menu")
AT_RELAY = mark("at {where}")
AT_PORT = mark("listening at {where}")
BIO = mark("Your bio ...")
FINGERPRINT = mark("Your fingerprint ...")
LIGHT, DARK = mark("Light theme"), mark("Dark theme")
NOTIFY_ON, NOTIFY_OFF = mark("Turn notifications on"), mark("Turn notifications off")
LEAVE = mark("Log out")


@dataclass(frozen=True, slots=True)
class SideActions:
    """What the side bar's buttons open."""

    add: Callable[[], None]
    to_all: Callable[[], None]
    bio: Callable[[], None]
    fingerprint: Callable[[], None]
    theme: Callable[[], None]
    notify: Callable[[], None]
    notifies: Callable[[], bool]
    leave: Callable[[], None]
    opened: Callable[[], None]


class SideBar:
    """The left side.

    Args:
        parent: where.
        look: the theme.
        presenter: the state.
        actions: what its buttons open.
    """

    def __init__(
        self, parent: Any, look: Look, presenter: Presenter, calendar: Calendar, actions: SideActions
    ) -> None:
        self._look = look
        self._presenter = presenter
        self._actions = actions
        colours = look.palette
        self.frame = ctk.CTkFrame(parent, fg_color=colours.side, corner_radius=0)
        self.frame.grid_columnconfigure(0, weight=1)
        self.frame.grid_rowconfigure(2, weight=1)
        self._head()
        self.people = PeopleList(self.frame, look, presenter, calendar, actions.opened)
        self.search = entry(self.frame, look, placeholder_text=look.words(SEARCH), height=36)
        self.search.grid(row=1, column=0, sticky="ew", padx=14, pady=(0, 10))
        self.search.bind("<KeyRelease>", lambda *_: presenter.search(self.search.get()))
        self.search.bind("<Escape>", lambda *_: self.clear_search())
        self.search.bind("<Down>", lambda *_: self.people.canvas.focus_set())
        self.search.bind("<Return>", lambda *_: self._take_first())
        self.people.frame.grid(row=2, column=0, sticky="nsew")
        self._foot()
        self.refresh()

    def _head(self) -> None:
        look = self._look
        head = ctk.CTkFrame(self.frame, fg_color="transparent")
        head.grid(row=0, column=0, sticky="ew", padx=14, pady=(14, 10))
        head.grid_columnconfigure(0, weight=1)
        self._name = label(head, look, "", 18, bold=True, height=26)
        self._name.grid(row=0, column=0, sticky="ew")
        self._where = label(head, look, "", 12, faint=True, height=18)
        self._where.grid(row=1, column=0, sticky="ew")
        self.menu_button = button(head, look, "☰", self.open_menu, width=40)
        self.menu_button.grid(row=0, column=1, rowspan=2, sticky="e")

    def _foot(self) -> None:
        look, words = self._look, self._look.words
        foot = ctk.CTkFrame(self.frame, fg_color="transparent")
        foot.grid(row=3, column=0, sticky="ew", padx=14, pady=12)
        foot.grid_columnconfigure(0, weight=1)
        peers = self._presenter.kind is Kind.PEERS
        self.add_button = button(foot, look, words(CONNECT if peers else ADD), self._actions.add, "main")
        self.add_button.grid(row=0, column=0, sticky="ew")
        self.all_button = button(foot, look, words(TO_ALL), self._actions.to_all, width=90)
        self.all_button.grid(row=0, column=1, padx=(8, 0))
        self.status = label(foot, look, "", 12, faint=True, justify="left", height=18)
        self.status.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(8, 0))
        self.status.bind("<Configure>", self._wrap)

    def _wrap(self, event: Any = None) -> None:
        if event is None:  # so Tk calls now and then; another call follows
            return
        width = max(80, int(event.width / self._look.scale) - 6)
        if width != self.status.cget("wraplength"):
            self.status.configure(wraplength=width)

    # -- drawing -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Who we are, and what happened last."""
        presenter, words = self._presenter, self._look.words
        self._name.configure(text=one_line(presenter.me, 40))
        where = AT_PORT if presenter.kind is Kind.PEERS else AT_RELAY
        self._where.configure(text=words(where, where=presenter.where) if presenter.where else "")
        self.status.configure(text=presenter.status)

    def refresh_people(self) -> None:
        """Everybody."""
        self.people.draw()

    # -- what is typed -----------------------------------------------------------------------

    def clear_search(self) -> str:
        """Everybody again."""
        self.search.delete(0, "end")
        self._presenter.search("")
        return "break"

    def _take_first(self) -> str:
        """Enter in the search opens the first that was found."""
        rows = self._presenter.people.rows()
        if rows:
            self._presenter.conversations.select(rows[0].key)
            self._actions.opened()
        return "break"

    def open_menu(self) -> None:
        """The rest."""
        menu = self.menu()
        at = self.menu_button
        menu.tk_popup(at.winfo_rootx(), at.winfo_rooty() + at.winfo_height())

    def menu(self) -> tkinter.Menu:
        """The entries."""
        colours, words, actions = self._look.palette, self._look.words, self._actions
        menu = tkinter.Menu(
            self.frame,
            tearoff=False,
            title=words(MENU),
            background=colours.raised,
            foreground=colours.text,
            activebackground=colours.chosen,
            activeforeground=colours.text,
            font=self._look.font(14),
        )
        if self._presenter.kind is Kind.PEERS:
            menu.add_command(label=words(FINGERPRINT), command=actions.fingerprint)
        else:
            menu.add_command(label=words(BIO), command=actions.bio)
        menu.add_command(label=words(LIGHT if self._look.dark else DARK), command=actions.theme)
        menu.add_command(label=words(NOTIFY_OFF if actions.notifies() else NOTIFY_ON), command=actions.notify)
        menu.add_separator()
        menu.add_command(label=words(LEAVE), command=actions.leave)
        return menu

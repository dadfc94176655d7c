# SPDX-License-Identifier: MIT
"""The first screen: two doors, with servers and without (G1)."""

from __future__ import annotations

from typing import Any

import customtkinter as ctk

from xjrelay.gui.forms import CANCEL, Field
from xjrelay.gui.presenter import Presenter, Screen
from xjrelay.gui.problems import BAD_PORT
from xjrelay.gui.settings import Settings
from xjrelay.gui.theme import Look, button, label, reachable
from xjrelay.gui.words import mark
from xjrelay.gui.world import Door, PeersDoor, ServersDoor

TITLE = mark("Messages, with servers or without")
WITH = mark("With servers")
WITH_TEXT = mark("An account that reaches everybody, wherever they are.")
WITHOUT = mark("Without servers")
WITHOUT_TEXT = mark("Your computer talks to others directly. A name is enough.")
TRACKER, USER, PASSWORD = mark("Tracker"), mark("User name"), mark("Password")
NAME, PORT = mark("Name"), mark("Port")
LOG_IN, REGISTER, BEGIN = mark("Log in"), mark("Register"), mark("Start")
NEARBY = mark("Others on the network can connect")
DIRECT = mark("Direct links: friends see my address")
ENTERING = mark("Connecting ...")


class Start:
    """Both doors.

    Args:
        parent: the window.
        look: the theme.
        presenter: the state.
        settings: what was typed last.
    """

    def __init__(self, parent: Any, look: Look, presenter: Presenter, settings: Settings) -> None:
        self._look = look
        self._presenter = presenter
        self._settings = settings
        words = look.words
        self.frame = ctk.CTkFrame(parent, fg_color=look.palette.window, corner_radius=0)
        middle = ctk.CTkFrame(self.frame, fg_color="transparent")
        middle.place(relx=0.5, rely=0.48, anchor="center")
        label(middle, look, "xjrelay", 34, bold=True, anchor="center").pack()
        label(middle, look, words(TITLE), 15, faint=True, anchor="center").pack(pady=(0, 18))
        doors = ctk.CTkFrame(middle, fg_color="transparent")
        doors.pack()
        self._with(self._door(doors, 0, words(WITH), words(WITH_TEXT)))
        self._without(self._door(doors, 1, words(WITHOUT), words(WITHOUT_TEXT)))
        self._status = label(middle, look, "", 14, anchor="center", wraplength=640)
        self._status.pack(pady=(14, 0))
        self.cancel = button(middle, look, words(CANCEL), presenter.cancel)
        self.refresh()

    def _door(self, parent: Any, column: int, title: str, text: str) -> Any:
        look = self._look
        card = ctk.CTkFrame(
            parent,
            fg_color=look.palette.side,
            corner_radius=14,
            border_width=1,
            border_color=look.palette.line,
        )
        card.grid(row=0, column=column, sticky="nsew", padx=10)
        inside = ctk.CTkFrame(card, fg_color="transparent", width=310)
        inside.pack(padx=24, pady=22, fill="both", expand=True)
        label(inside, look, title, 20, bold=True, width=310).pack(fill="x")
        said = label(inside, look, text, 13, faint=True, justify="left", wraplength=310, height=40)
        said.pack(fill="x", pady=(2, 12))
        return inside

    def _with(self, parent: Any) -> None:
        look, words, settings = self._look, self._look.words, self._settings
        self.fields = {
            "tracker": Field(parent, look, words(TRACKER), settings.tracker),
            "user": Field(parent, look, words(USER), settings.user),
            "password": Field(parent, look, words(PASSWORD), secret=True),
        }
        for field in self.fields.values():
            field.entry.bind("<Return>", lambda *_: self.log_in())
        self.direct_box = self._tick(parent, words(DIRECT))
        if settings.direct:
            self.direct_box.select()
        row = ctk.CTkFrame(parent, fg_color="transparent")
        row.pack(fill="x", side="bottom", pady=(8, 0))
        self.log_in_button = button(row, look, words(LOG_IN), self.log_in, "main")
        self.log_in_button.pack(side="left", expand=True, fill="x", padx=(0, 8))
        self.register_button = button(row, look, words(REGISTER), self.register)
        self.register_button.pack(side="left", expand=True, fill="x")

    def _without(self, parent: Any) -> None:
        look, words, settings = self._look, self._look.words, self._settings
        self.fields["name"] = Field(parent, look, words(NAME), settings.name)
        self.fields["port"] = Field(parent, look, words(PORT), settings.port)
        for name in ("name", "port"):
            self.fields[name].entry.bind("<Return>", lambda *_: self.begin())
        self.nearby_box = self._tick(parent, words(NEARBY))
        if settings.nearby:
            self.nearby_box.select()
        self.begin_button = button(parent, look, words(BEGIN), self.begin, "main")
        self.begin_button.pack(fill="x", side="bottom", pady=(8, 0))

    def _tick(self, parent: Any, text: str) -> Any:
        look = self._look
        box = ctk.CTkCheckBox(
            parent,
            text=text,
            font=look.ctk_font(13),
            text_color=look.palette.text,
            fg_color=look.palette.accent,
            border_color=look.palette.faint,
            hover_color=look.palette.focus,
            checkbox_width=20,
            checkbox_height=20,
        )
        reachable(box, look, look.palette.faint, box.toggle)
        box.pack(fill="x", pady=(6, 0))
        return box

    def focus(self) -> None:
        """Where one types first: what is not known yet."""
        order = ("name", "port") if self._settings.door == "peers" else ("user", "password")
        empty = [name for name in order if not self.fields[name].value]
        self.fields[(empty or order[-1:])[0]].entry.focus_set()

    def refresh(self) -> None:
        """What the presenter says: waiting, or why not."""
        presenter = self._presenter
        entering = presenter.screen is Screen.ENTERING
        state = "disabled" if entering else "normal"
        for one in (self.log_in_button, self.register_button, self.begin_button):
            one.configure(state=state)
        if entering:
            self.cancel.pack(pady=(8, 0))
        else:
            self.cancel.pack_forget()
        problem, text = presenter.problem, self._look.words(ENTERING) if entering else ""
        if problem is not None:
            said = presenter.explain(problem)
            if problem.field in self.fields:
                self.fields[problem.field].say(said)
                self.fields[problem.field].entry.focus_set()
            else:
                text = f"! {said}"
        self._status.configure(text=text)

    # -- the buttons -------------------------------------------------------------------------

    def log_in(self) -> None:
        """In through the tracker."""
        self._enter_servers(register=False)

    def register(self) -> None:
        """The same with a new account."""
        self._enter_servers(register=True)

    def _enter_servers(self, register: bool) -> None:
        typed = {name: self.fields[name].value for name in ("tracker", "user", "password")}
        settings = self._settings
        settings.door, settings.tracker, settings.user = "servers", typed["tracker"], typed["user"]
        tracker, user = typed["tracker"].strip(), typed["user"].strip()
        settings.direct = bool(self.direct_box.get())
        self._enter(ServersDoor(tracker, user, typed["password"], register, settings.direct))

    def begin(self) -> None:
        """In without servers."""
        name, port = self.fields["name"].value, self.fields["port"].value.strip()
        settings = self._settings
        settings.door, settings.name, settings.port = "peers", name, port
        settings.nearby = bool(self.nearby_box.get())
        if not (port.isascii() and port.isdigit() and len(port) < 6):
            self._say({"port": self._look.words(BAD_PORT)})
            return
        self._enter(PeersDoor(" ".join(name.split()), int(port), settings.nearby))

    def _enter(self, door: Door) -> None:
        wrong = self._presenter.check(door)
        self._say(wrong)
        if not wrong:
            self._presenter.enter(door)

    def _say(self, wrong: dict[str, str]) -> None:
        self._status.configure(text="")
        for name, field in self.fields.items():
            field.say(wrong.get(name, ""))
        for name in wrong:
            self.fields[name].entry.focus_set()
            break

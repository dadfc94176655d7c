# SPDX-License-Identifier: MIT
"""The whole window: the start or the conversations, drawn as the presenter's state changes.

Every 30 ms it takes what the bridge has and draws again what that changed; so a flood of news is drawn
once a turn, and nothing waits for the network. Must not import Twisted or a world.
"""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from typing import Final
from typing import Protocol as Seam

import customtkinter as ctk

from xjrelay.gui.changes import Part
from xjrelay.gui.chat import ChatActions, ChatArea
from xjrelay.gui.dialogs import Dialogs
from xjrelay.gui.presenter import Presenter, Screen
from xjrelay.gui.settings import Settings
from xjrelay.gui.sidebar import SideActions, SideBar
from xjrelay.gui.start import Start
from xjrelay.gui.texts import Calendar
from xjrelay.gui.theme import Look

TICK: Final = 30
"""Milliseconds between two looks at what has come."""
MINUTE: Final = 60_000
PATIENCE: Final = 4000
"""Milliseconds that the log-out may take when the window is closed."""


class Drain(Seam):
    """Where what was told waits."""

    def drain(self) -> int:
        """Hand it out."""


class Alarm(Seam):
    """What shows messages outside the window."""

    enabled: bool


class Window:
    """One window.

    Args:
        presenter: the state.
        bridge: drained here.
        settings: what is remembered; changed here.
        alarm: may be turned on and off.
        save: keeps the settings.

    Attributes:
        root: Tk's window.
        start: the first screen, while it is shown; ``side`` and ``chat`` are the other one.
    """

    def __init__(
        self,
        presenter: Presenter,
        bridge: Drain,
        settings: Settings,
        alarm: Alarm,
        save: Callable[[Settings], None],
    ) -> None:
        self.presenter = presenter
        self.settings = settings
        self._bridge = bridge
        self._alarm = alarm
        self._save = save
        self._closing = False
        ctk.set_appearance_mode("dark" if settings.dark else "light")
        self.root = ctk.CTk(className="xjrelay")
        self.root.title("xjrelay")
        self.root.minsize(780, 560)
        self.root.geometry(settings.geometry)
        self.look = Look(self.root, presenter.words, settings.dark)
        self.calendar = Calendar(presenter.words)
        self.start: Start | None = None
        self.side: SideBar | None = None
        self.chat: ChatArea | None = None
        self._panes: tkinter.PanedWindow | None = None
        self.dialogs = Dialogs(self.root, lambda: self.look, presenter, self._focus)
        self._bind()
        self._build()
        self.root.after(TICK, self._tick)
        self.root.after(MINUTE, self._each_minute)

    def run(self) -> None:
        """Until it is closed."""
        self.root.mainloop()
        self.end()

    def end(self) -> None:
        """Away with it; what was to be done later isn't."""
        for timer in self.root.tk.splitlist(self.root.tk.call("after", "info")):
            self.root.tk.call("after", "cancel", timer)  # of every widget, not only ours
        self.root.destroy()

    # -- keys --------------------------------------------------------------------------------

    def _bind(self) -> None:
        root = self.root
        root.protocol("WM_DELETE_WINDOW", self.close)
        root.bind("<FocusIn>", lambda *_: self.presenter.conversations.set_focus(True), add=True)
        root.bind("<FocusOut>", lambda *_: root.after_idle(self._look_for_focus), add=True)
        keys: dict[str, Callable[[], object]] = {
            "<Control-q>": self.close,
            "<Control-k>": self._on_main(lambda side: side.search.focus_set()),
            "<Control-n>": self._on_main(lambda side: self.dialogs.add()),
            "<F2>": self._on_main(lambda side: self.dialogs.rename()),
            "<F10>": self._on_main(lambda side: side.open_menu()),
            "<Control-Up>": self._on_main(lambda side: side.people.choose(-1)),
            "<Control-Down>": self._on_main(lambda side: side.people.choose(1)),
            "<Escape>": self._escape,
        }
        for key, act in keys.items():
            root.bind(key, lambda *_, act=act: act(), add=True)

    def _on_main(self, act: Callable[[SideBar], object]) -> Callable[[], None]:
        """Something that only the screen with conversations has."""

        def do() -> None:
            if self.side is not None:
                act(self.side)

        return do

    def _escape(self) -> None:
        if self.dialogs.sheet is not None:
            self.dialogs.close()
        else:
            self._focus()

    def _look_for_focus(self) -> None:
        """Whether the window is still in front: focus went elsewhere, or to another widget of ours."""
        if not self._closing:
            self.presenter.conversations.set_focus(self.root.focus_get() is not None)

    def _focus(self) -> None:
        """Where one types."""
        if self.chat is not None and self.presenter.person is not None:
            self.chat.focus()
        elif self.side is not None:
            self.side.search.focus_set()
        elif self.start is not None:
            self.start.focus()

    # -- drawing -----------------------------------------------------------------------------

    def _tick(self) -> None:
        if self._closing:
            self._bridge.drain()
        else:
            self.refresh()
        self.root.after(TICK, self._tick)

    def refresh(self) -> None:
        """Take what has come, and draw what that changed."""
        self._bridge.drain()
        changes = self.presenter.take_changes()
        if not changes:
            return
        if changes & Part.SCREEN:
            self._build()
            return
        if self.start is not None:
            self.start.refresh()
        if self.side is not None and self.chat is not None:
            if changes & (Part.STATUS | Part.HEAD):
                self.side.refresh()
            if changes & Part.PEOPLE:
                self.side.refresh_people()
                self._title()
            self.chat.refresh(changes)

    def _each_minute(self) -> None:
        """Today becomes yesterday."""
        if self.side is not None and self.chat is not None:
            self.side.refresh_people()
            self.chat.transcript.draw()
        self.root.after(MINUTE, self._each_minute)

    def _title(self) -> None:
        unread, me = self.presenter.people.unread(), self.presenter.me
        title = f"{me} – xjrelay" if me else "xjrelay"
        self.root.title(f"({unread}) {title}" if unread else title)

    def _build(self) -> None:
        """The screen anew: another one, or another theme."""
        main = self.presenter.screen is Screen.MAIN
        if not main and self.start is not None and self.start.frame.winfo_exists():
            self.start.refresh()
            return
        self._clear()
        self.root.configure(fg_color=self.look.palette.window)
        if main:
            self._build_main()
        else:
            self.start = Start(self.root, self.look, self.presenter, self.settings)
            self.start.frame.place(relx=0, rely=0, relwidth=1, relheight=1)
        self._title()
        self._focus()

    def _clear(self) -> None:
        self._remember()
        self.dialogs.close()
        self.root.focus_set()
        for child in self.root.winfo_children():
            child.destroy()
        self.start = self.side = self.chat = self._panes = None

    def _build_main(self) -> None:
        look, presenter, dialogs = self.look, self.presenter, self.dialogs
        panes = self._panes = tkinter.PanedWindow(
            self.root, orient="horizontal", sashwidth=4, borderwidth=0, background=look.palette.line
        )
        panes.place(relx=0, rely=0, relwidth=1, relheight=1)
        side = SideActions(
            add=dialogs.add,
            to_all=dialogs.to_all,
            bio=dialogs.bio,
            fingerprint=dialogs.fingerprint,
            theme=self.change_theme,
            notify=self._change_alarm,
            notifies=lambda: self._alarm.enabled,
            leave=self.presenter.leave,
            opened=self._focus,
        )
        chat = ChatActions(dialogs.rename, dialogs.remove, dialogs.add_stranger)
        self.side = SideBar(panes, look, presenter, self.calendar, side)
        self.chat = ChatArea(panes, look, presenter, self.calendar, chat)
        width = look.px(self.settings.side)
        panes.add(self.side.frame, minsize=look.px(230), width=width, stretch="never")
        panes.add(self.chat.frame, minsize=look.px(400), stretch="always")

    # -- what the menu does ------------------------------------------------------------------

    def change_theme(self) -> None:
        """Dark to light, or back."""
        self.settings.dark = self.look.dark = not self.look.dark
        ctk.set_appearance_mode("dark" if self.look.dark else "light")
        if self.chat is not None and self.presenter.chat is not None:
            self.presenter.chat.draft = self.chat.typed
        if self.start is not None:
            self.start.frame.destroy()
        self._build()

    def _change_alarm(self) -> None:
        self.settings.notify = self._alarm.enabled = not self._alarm.enabled

    # -- the end -----------------------------------------------------------------------------

    def _remember(self) -> None:
        if self._panes is not None and self._panes.winfo_exists():
            width = int(self._panes.sash_coord(0)[0] / self.look.scale)
            self.settings.side = width if width > 0 else self.settings.side
        if self.root.winfo_viewable():
            self.settings.geometry = str(self.root.geometry())

    def close(self) -> None:
        """Log out, remember the sizes, and go."""
        if self._closing:
            return
        self._remember()
        self._save(self.settings)
        self._closing = True
        self.root.withdraw()
        self.root.after(PATIENCE, self.root.quit)
        self.presenter.leave(self.root.quit)

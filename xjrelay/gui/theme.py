# SPDX-License-Identifier: MIT
"""How the window looks: colours of both themes, fonts, smooth shapes. And the language it speaks.

Colours were chosen so that text has a contrast of at least 4.5 to 1 on what it stands on; a test
measures it.
"""

from __future__ import annotations

import base64
import tkinter
import tkinter.font
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import customtkinter as ctk

from xjrelay.gui import shapes
from xjrelay.gui.words import Words
from xjrelay.gui.world import State

CORNER: Final = 14
"""Pixels of a bubble's round corner."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a theme, ``#rrggbb``."""

    window: str
    side: str
    raised: str
    chosen: str
    hover: str
    line: str
    text: str
    faint: str
    accent: str
    on_accent: str
    mine: str
    on_mine: str
    faint_on_mine: str
    theirs: str
    link: str
    link_on_mine: str
    online: str
    resuming: str
    offline: str
    warning: str
    on_warning: str
    danger: str
    focus: str

    def state(self, state: State) -> str:
        """The colour of a state's sign."""
        return {State.ONLINE: self.online, State.RESUMING: self.resuming, State.OFFLINE: self.offline}[state]


DARK: Final = Palette(
    window="#16181d",
    side="#1d2027",
    raised="#262a33",
    chosen="#303848",
    hover="#252932",
    line="#343945",
    text="#eceef2",
    faint="#a3abba",
    accent="#3d68e6",
    on_accent="#ffffff",
    mine="#2f58c9",
    on_mine="#ffffff",
    faint_on_mine="#d3defc",
    theirs="#2a2f39",
    link="#8fb4ff",
    link_on_mine="#d6e3ff",
    online="#3ecf7a",
    resuming="#f2b03d",
    offline="#f0686a",
    warning="#4a3a16",
    on_warning="#ffdf9c",
    danger="#ff8a8a",
    focus="#7fa2ff",
)
LIGHT: Final = Palette(
    window="#f5f6f9",
    side="#ffffff",
    raised="#eceef3",
    chosen="#dde6fd",
    hover="#f0f2f7",
    line="#d7dbe4",
    text="#1a1d24",
    faint="#5a6374",
    accent="#2c5be0",
    on_accent="#ffffff",
    mine="#2857d0",
    on_mine="#ffffff",
    faint_on_mine="#e3ebff",
    theirs="#e6e9f0",
    link="#1d4fd0",
    link_on_mine="#ffffff",
    online="#15803d",
    resuming="#b45309",
    offline="#c92a2f",
    warning="#fff1cc",
    on_warning="#6b4700",
    danger="#b4232a",
    focus="#3161e6",
)
Corner = Literal["nw", "ne", "sw", "se"]
AVATARS: Final = ("#5b6ee1", "#2f8f83", "#b0563b", "#8a56b8", "#3f7fb5", "#9a6b1f", "#b54a78", "#4f7f3d")
"""Behind a person's initial, in white; the same person always has the same."""


class Look:
    """The theme, at one window.

    Args:
        root: the window.
        words: the language.
        dark: which theme.
    """

    def __init__(self, root: tkinter.Misc, words: Words, dark: bool = True) -> None:
        self.words = words
        self.dark = dark
        self._root = root
        self._images: dict[tuple[str, str, int, str], tkinter.PhotoImage] = {}
        self._fonts: dict[tuple[int, bool, bool], tkinter.font.Font] = {}
        self.scale = float(ctk.ScalingTracker.get_widget_scaling(root))

    @property
    def palette(self) -> Palette:
        """The colours."""
        return DARK if self.dark else LIGHT

    def px(self, size: float) -> int:
        """Pixels on this screen."""
        return round(size * self.scale)

    def font(self, size: int = 14, bold: bool = False, underline: bool = False) -> tkinter.font.Font:
        """A font for a canvas."""
        font = self._fonts.get((size, bold, underline))
        if font is None:
            family = ctk.ThemeManager.theme["CTkFont"]["family"]
            weight: Any = "bold" if bold else "normal"
            high = -self.px(size)  # below 0: pixels
            font = tkinter.font.Font(self._root, family=family, size=high, weight=weight, underline=underline)
            self._fonts[size, bold, underline] = font
        return font

    def ctk_font(self, size: int = 14, bold: bool = False) -> Any:
        """The same for a widget of customtkinter."""
        return ctk.CTkFont(size=size, weight="bold" if bold else "normal")

    def sign(self, state: State, size: int) -> tkinter.PhotoImage:
        """The sign of a state."""
        return self._image(f"sign {state.name}", self.palette.state(state), self.px(size))

    def disc(self, colour: str, size: int) -> tkinter.PhotoImage:
        """A disc."""
        return self._image("disc", colour, self.px(size))

    def corner(self, colour: str, which: Corner) -> tkinter.PhotoImage:
        """A quarter of a disc.

        Args:
            colour: of the bubble.
            which: ``nw``, ``ne``, ``sw`` or ``se``.
        """
        return self._image("corner", colour, self.px(CORNER), which)

    def _image(self, form: str, ink: str, size: int, which: str = "") -> tkinter.PhotoImage:
        key = (form, ink, size, which)
        image = self._images.get(key)
        if image is None:
            depth = self._depth(form, size, which)
            data = shapes.png(size, size, shapes.colour(ink), depth)
            image = tkinter.PhotoImage(master=self._root, data=base64.b64encode(data))
            self._images[key] = image
        return image

    @staticmethod
    def _depth(form: str, size: int, which: str) -> shapes.Depth:
        if form.startswith("sign "):
            return shapes.sign(State[form.removeprefix("sign ")], size)
        if form == "disc":
            return shapes.disc(size)
        x0 = size if "w" in which else 0
        y0 = size if "n" in which else 0
        whole = shapes.disc(2 * size)
        return lambda x, y: whole(x + size - x0, y + size - y0)

    def avatar(self, key: str) -> str:
        """The colour behind somebody's initial."""
        return AVATARS[sum(key.encode()) % len(AVATARS)]


def button(parent: Any, look: Look, text: str, command: Any, kind: str = "quiet", **options: Any) -> Any:
    """A button that the keyboard reaches.

    Args:
        parent: where.
        look: the theme.
        text: in the person's language.
        command: what it does.
        kind: ``main``, ``quiet`` or ``danger``.
        options: of CTkButton.
    """
    colours = look.palette
    fills = {"main": colours.accent, "quiet": colours.raised, "danger": colours.raised}
    inks = {"main": colours.on_accent, "quiet": colours.text, "danger": colours.danger}
    made = ctk.CTkButton(
        parent,
        text=text,
        command=command,
        fg_color=fills[kind],
        hover_color=colours.focus if kind == "main" else colours.chosen,
        text_color=inks[kind],
        text_color_disabled=colours.faint,
        border_width=2,
        border_color=fills[kind],
        font=look.ctk_font(14, bold=kind == "main"),
        **{"corner_radius": 8, "height": 36, **options},
    )
    reachable(made, look, fills[kind], made.invoke)
    return made


def reachable(made: Any, look: Look, border: str, press: Callable[[], object]) -> None:
    """Tab comes to it, a border shows that, Enter and Space press it."""
    inside = next(child for child in made.winfo_children() if isinstance(child, tkinter.Canvas))
    inside.configure(takefocus=1)
    inside.bind("<FocusIn>", lambda *_: made.configure(border_color=look.palette.focus), add=True)
    inside.bind("<FocusOut>", lambda *_: made.configure(border_color=border), add=True)
    for key in ("<Return>", "<KP_Enter>", "<space>"):
        inside.bind(key, lambda *_: press(), add=True)


def entry(parent: Any, look: Look, **options: Any) -> Any:
    """A line to type in."""
    colours = look.palette
    made = ctk.CTkEntry(
        parent,
        fg_color=colours.window,
        border_color=colours.line,
        text_color=colours.text,
        placeholder_text_color=colours.faint,
        font=look.ctk_font(14),
        **{"corner_radius": 8, "height": 38, "border_width": 2, **options},
    )
    made.bind("<FocusIn>", lambda *_: made.configure(border_color=look.palette.focus), add=True)
    made.bind("<FocusOut>", lambda *_: made.configure(border_color=look.palette.line), add=True)
    return made


def label(parent: Any, look: Look, text: str = "", size: int = 14, **options: Any) -> Any:
    """A text."""
    bold = bool(options.pop("bold", False))
    faint = bool(options.pop("faint", False))
    ink = options.pop("ink", look.palette.faint if faint else look.palette.text)
    return ctk.CTkLabel(
        parent, text=text, text_color=ink, font=look.ctk_font(size, bold), **{"anchor": "w", **options}
    )


def scrolled_canvas(
    parent: Any, look: Look, background: str, scrolled: Callable[..., None], **size: int
) -> tuple[Any, tkinter.Canvas, Any]:
    """A canvas that the keyboard can reach, with a scroll bar, in a frame.

    Args:
        background: its colour.
        scrolled: called as Tk calls a scroll bar's command.
        size: what it asks for, in pixels; it grows with the frame.

    Returns:
        The frame, the canvas and the bar.
    """
    colours = look.palette
    frame = ctk.CTkFrame(parent, fg_color="transparent")
    frame.grid_rowconfigure(0, weight=1)
    frame.grid_columnconfigure(0, weight=1)
    canvas = tkinter.Canvas(
        frame,
        background=background,
        highlightthickness=2,
        highlightbackground=background,
        highlightcolor=colours.focus,
        borderwidth=0,
        takefocus=1,
        **size,  # type: ignore[arg-type]
    )
    canvas.grid(row=0, column=0, sticky="nsew")
    bar = ctk.CTkScrollbar(frame, command=scrolled, width=12, button_color=colours.line, fg_color=background)
    bar.grid(row=0, column=1, sticky="ns")
    return frame, canvas, bar


def fitting(text: str, font: tkinter.font.Font, width: int) -> str:
    """As much of a text as there is room for."""
    if font.measure(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.measure(text[:middle].rstrip() + "…") <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low else ""

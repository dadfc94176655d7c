# SPDX-License-Identifier: MIT
"""``xj gui``: the desktop window, or one line that says what it lacks."""

from __future__ import annotations

import argparse
import importlib

from xjrelay.cli.options import Call, UsageError

NEEDED = {
    "tkinter": "Python's tkinter is missing; on Debian and Ubuntu: apt-get install python3-tk",
    "customtkinter": "the window's parts are missing: pip install 'xjrelay[gui]'",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may follow ``xj gui``."""
    theme = parser.add_mutually_exclusive_group()
    theme.add_argument("--dark", action="store_true", help="the dark theme (what it is at first)")
    theme.add_argument("--light", action="store_true", help="the light theme")
    parser.add_argument("--no-notifications", action="store_true", help="show no message outside the window")
    parser.add_argument(
        "--direct", action="store_true", help="direct links with friends, who see your address"
    )
    parser.add_argument(
        "--direct-listen", default="", metavar="ADDRESS", help="where they reach you; default everywhere"
    )
    parser.add_argument("--language", metavar="CODE", help="en or id; your system's when absent")


def gui(call: Call) -> int:
    """Open the window, until it is closed."""
    check()
    from tkinter import TclError  # noqa: PLC0415  # an extra: the other commands go without

    from xjrelay.gui import tap  # noqa: PLC0415

    args = call.args
    said = args.tracker or "XJ_TRACKER" in call.environ
    tracker = call.url().removeprefix("xj://") if said else None
    user = args.user or call.environ.get("XJ_USER")
    dark = True if args.dark else False if args.light else None
    try:
        notify = False if args.no_notifications else None
        links = True if args.direct else None
        authority, listen = call.authority(), args.direct_listen
        tap.run(tap.Wish(dark, notify, args.language, tracker, user, authority, links, listen))
    except TclError as error:
        raise UsageError(f"no window can be opened: {error}") from None
    return 0


def check() -> None:
    """Nothing, if all that the window needs is there.

    Raises:
        UsageError: something is missing, and how to get it.
    """
    for module, sentence in NEEDED.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UsageError(f"{sentence} ({error})") from None

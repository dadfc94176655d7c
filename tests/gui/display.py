# SPDX-License-Identifier: MIT
"""A display of the tests' own: Xvfb, started by whoever needs it and shared by the whole run."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import subprocess
from typing import Any

SIZE = "2000x900x24"

_display: list[str] = []


def missing() -> str | None:
    """Why there can be no window here, or None."""
    for module in ("tkinter", "customtkinter"):
        try:
            __import__(module)
        except ImportError as error:
            return f"no {module}: {error}"
    if shutil.which("Xvfb") is None:
        return "no Xvfb"
    return None


def display() -> str:
    """Xvfb's, ``:number``; it ends with this process."""
    if not _display:
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", SIZE, "-nolisten", "tcp", "-noreset"]
        null = subprocess.DEVNULL
        server = subprocess.Popen(command, pass_fds=[write], stdout=null, stderr=null)
        os.close(write)
        atexit.register(server.kill)
        with os.fdopen(read) as pipe:  # a line comes when it serves
            number = pipe.readline().strip()
        assert number, "Xvfb ended before it served"
        _display.append(f":{number}")
    return _display[0]


def shoot(root: Any, path: str) -> None:
    """A picture of a window, small; ImageMagick makes it.

    Args:
        root: Tk's window.
        path: of a PNG file.
    """
    root.lift()
    root.update()
    size = f"{root.winfo_width()}x{root.winfo_height()}+{root.winfo_rootx()}+{root.winfo_rooty()}"
    few = ["+dither", "-colors", "64", "-strip", f"PNG8:{path}"]
    subprocess.run(["import", "-window", "root", "-crop", size, "+repage", *few], check=True, timeout=20)


def has_notifier() -> bool:
    """Whether desktop-notifier is installed."""
    return importlib.util.find_spec("desktop_notifier") is not None

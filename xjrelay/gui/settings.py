# SPDX-License-Identifier: MIT
"""What the window remembers of itself: sizes, theme, what was typed at the doors. Never a password."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from xjrelay.gui.world import Door, ServersDoor


@dataclass(slots=True)
class Settings:
    """What is remembered.

    Attributes:
        geometry: the window's size and place, as Tk writes it.
        side: pixels of the side bar.
        dark: which theme.
        notify: whether a message is shown outside the window.
        door: ``servers`` or ``peers``.
        tracker: as typed last, as the others are.
        nearby: whether a peer is reachable from the network.
        direct: whether a user has direct links with friends.
    """

    geometry: str = "1080x720"
    side: int = 320
    dark: bool = True
    notify: bool = True
    door: str = "servers"
    tracker: str = "127.0.0.1:5000"
    user: str = ""
    name: str = ""
    port: str = "5000"
    nearby: bool = True
    direct: bool = False


def load(path: Path) -> Settings:
    """The settings of a file; what isn't there or makes no sense is as at first."""
    try:
        value: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        value = {}
    found = Settings()
    for field in fields(Settings):
        said = value.get(field.name) if isinstance(value, dict) else None
        if isinstance(said, type(getattr(found, field.name))):
            setattr(found, field.name, said)
    if not re.fullmatch(r"\d+x\d+([+-]-?\d+){0,2}", found.geometry):
        found.geometry = Settings().geometry
    found.side = min(max(found.side, 200), 1000)
    return found


def save(path: Path, settings: Settings) -> None:
    """Write them, whole or not at all.

    Raises:
        OSError: they can't be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(asdict(settings), indent=1), "utf-8")
    os.replace(new, path)


def config_file(environ: Mapping[str, str]) -> Path:
    """``$XDG_CONFIG_HOME/xjrelay/window.json``."""
    home = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "xjrelay" / "window.json"


def peer_folders(environ: Mapping[str, str]) -> Path:
    """Where the peers of this computer have their folders, one each."""
    home = Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "xjrelay" / "peer"


def peer_folder(settings: Settings) -> str:
    """The folder among them of the peer that the other door was last for."""
    return f"{quote(settings.name, safe='')}-{settings.port}"


def account_folders(environ: Mapping[str, str]) -> Path:
    """Where the histories of the window are, a folder for each account."""
    home = Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "xjrelay" / "window"


def account_folder(environ: Mapping[str, str], door: Door) -> Path:
    """Where the history of whoever comes in by a door is: one folder an account."""
    if isinstance(door, ServersDoor):
        said = f"{door.user.strip().casefold()}@{door.tracker.strip().casefold()}"
    else:
        said = f"{door.name.strip()}:{door.port}"
    readable = re.sub(r"[^a-z0-9._@-]", "_", said.casefold())[:60]
    digest = hashlib.sha256(said.encode()).hexdigest()[:8]
    return account_folders(environ) / f"{readable}-{digest}"

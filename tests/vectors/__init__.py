# SPDX-License-Identifier: MIT
"""The vectors beside this module, read: the one place in the tests that knows their notation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def vectors(name: str) -> dict[str, list[Any]]:
    """The lists of one file, ``framing`` for ``framing.json``."""
    groups: dict[str, list[Any]] = json.loads((FOLDER / f"{name}.json").read_text(encoding="ascii"))
    return groups


def frame_of(case: dict[str, Any]) -> bytes:
    """The frame of a codec case, from ``text``, ``hex`` or ``pieces``."""
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    pieces = case.get("pieces") or [{"text": case["text"]}]
    return b"".join(str(piece["text"]).encode() * int(piece.get("times", 1)) for piece in pieces)

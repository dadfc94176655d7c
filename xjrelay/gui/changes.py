# SPDX-License-Identifier: MIT
"""What of the window has to be drawn again, so that much that happens at once is drawn once.

Imports no toolkit.
"""

from __future__ import annotations

from enum import Flag, auto


class Part(Flag):
    """What has to be drawn again."""

    NOTHING = 0
    SCREEN = auto()
    PEOPLE = auto()
    CHAT = auto()
    HEAD = auto()
    STATUS = auto()
    ALL = SCREEN | PEOPLE | CHAT | HEAD | STATUS


class Changes:
    """What has changed since it was drawn; at first that is all."""

    def __init__(self) -> None:
        self._parts = Part.ALL

    def add(self, part: Part) -> None:
        """This has changed."""
        self._parts |= part

    def take(self) -> Part:
        """What has to be drawn again since the last time this was asked."""
        parts, self._parts = self._parts, Part.NOTHING
        return parts

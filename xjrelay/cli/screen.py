# SPDX-License-Identifier: MIT
"""What is printed: plain lines or JSON, and nothing from the network that a terminal would obey.

A message may hold escape sequences that repaint the screen, rename the window or type for the user; so
whatever came over a link is shown with its control characters spelt out. JSON needs no such care: its
strings escape them anyway.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

JOINERS = frozenset("\u200c\u200d")
"""Invisible, harmless, and part of ordinary words and emoji."""


def safe(text: object) -> str:
    """A text from the network, on one line, with what a terminal could act on spelt out."""
    return "".join(
        char if char.isprintable() or char in JOINERS else char.encode("unicode_escape").decode()
        for char in str(text)
    )


class Screen:
    """Where a command writes.

    Args:
        as_json: one JSON object a line instead of words.
        out: standard output when absent.
        errors: standard error when absent.
    """

    def __init__(
        self, as_json: bool = False, out: TextIO | None = None, errors: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self._out = out or sys.stdout
        self._errors = errors or sys.stderr

    def show(self, words: str, **value: Any) -> None:
        """One result: the words for a person, or the value for a script."""
        line = json.dumps(value, ensure_ascii=True) if self.as_json else words
        print(line, file=self._out, flush=True)

    def note(self, words: str) -> None:
        """For a person only."""
        if not self.as_json:
            print(words, file=self._out, flush=True)

    def error(self, words: str) -> None:
        """One line of why not."""
        print(f"xj: {safe(words)}", file=self._errors, flush=True)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns, as wide as they need to be; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)

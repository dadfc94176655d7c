# SPDX-License-Identifier: MIT
"""Texts as they are shown: cleaned, dated, with their links found. Imports no toolkit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from xjrelay.gui.words import Words, mark

MAX_SHOWN: Final = 20_000
"""Characters of a text that are drawn; the whole is kept, and copied."""

MONTHS: Final = (
    mark("January"),
    mark("February"),
    mark("March"),
    mark("April"),
    mark("May"),
    mark("June"),
    mark("July"),
    mark("August"),
    mark("September"),
    mark("October"),
    mark("November"),
    mark("December"),
)
TODAY, YESTERDAY = mark("Today"), mark("Yesterday")

_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
"""Characters that turn the writing direction of what follows: a name made of them can lie."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINK = re.compile(r"https?://[^\s<>\"'`{}|\\^\[\]]+", re.IGNORECASE)
_NOT_AT_END = ".,;:!?)'\""


@dataclass(frozen=True, slots=True)
class Link:
    """A link within a text.

    Attributes:
        start: of the text's characters.
        end: one after its last.
    """

    start: int
    end: int
    url: str


def clean(text: str) -> str:
    """A text from the network without what can't be seen but can deceive; lines stay."""
    text = text.replace("\r\n", "\n").translate(_TURNING)
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " …"


def one_line(text: str, most: int = 200) -> str:
    """The same on one line, for a list."""
    return " ".join(clean(text[: 4 * most]).split())[:most]


def links(text: str) -> list[Link]:
    """Links to the web; a full stop after one isn't part of it."""
    found = []
    for match in _LINK.finditer(text):
        url = match[0].rstrip(_NOT_AT_END)
        found.append(Link(match.start(), match.start() + len(url), url))
    return found


class Calendar:
    """Says when.

    Args:
        words: the language.
        zone: the person's; the machine's when absent.
    """

    def __init__(self, words: Words, zone: tzinfo | None = None) -> None:
        self._words = words
        self._zone = zone

    def time(self, at: int) -> str:
        """Hours and minutes.

        Args:
            at: milliseconds since 1970.
        """
        return self._moment(at).strftime("%H:%M")

    def day(self, at: int, now: int) -> str:
        """The day, as a person says it."""
        moment = self._moment(at)
        ago = (self._moment(now).date() - moment.date()).days
        if ago in (0, 1):
            return self._words(YESTERDAY if ago else TODAY)
        return f"{moment.day} {self._words(MONTHS[moment.month - 1])} {moment.year}"

    def short(self, at: int, now: int) -> str:
        """The time today, else the date."""
        moment = self._moment(at)
        if moment.date() == self._moment(now).date():
            return self.time(at)
        return f"{moment.day} {self._words(MONTHS[moment.month - 1])[:3]}"

    def same_day(self, one: int, other: int) -> bool:
        """Whether no midnight lies between."""
        return self._moment(one).date() == self._moment(other).date()

    def _moment(self, at: int) -> datetime:
        return datetime.fromtimestamp(min(max(at, 0) / 1000, 253_370_000_000), self._zone)

# SPDX-License-Identifier: MIT
"""How the text of an option becomes a value, and which sentence says that it can't.

One :class:`Kind` for each kind of value; they know nothing of where the text came from.
Opens nothing, resolves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xjrelay.wire import endpoints


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Args:
        name: as the table of options shows it.
        parse: text to value; raises ValueError with what was expected ("a number of seconds").
    """

    name: str
    parse: Callable[[str], Any]


def _whole(least: int, most: int, what: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        expected = f"{what} from {least} to {most}"
        if not (text.isascii() and text.isdigit() and len(text) < 20) or not least <= int(text) <= most:
            raise ValueError(expected)
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 10**9:
        raise ValueError("a number of seconds above 0")
    return value


def _endpoint(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if not (scheme.isidentifier() and colon and rest) or any(char.isspace() for char in text):
        raise ValueError("an endpoint such as tcp:5000, tls:5223 or tcp:5000:interface=0.0.0.0")
    return text


def _path(text: str) -> Path:
    if not text:
        raise ValueError("a path")
    return Path(text).expanduser()


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("true or false")


def choice(*names: str) -> Kind:
    """One of some words."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(" or ".join(names))
        return text

    return Kind("|".join(names), parse)


def count(least: int, most: int) -> Kind:
    """A whole number in a range."""
    return Kind("number", _whole(least, most, "a number"))


SECONDS = Kind("seconds", _seconds)
BYTES = Kind("bytes", _whole(1, 2**40, "a number of bytes"))
ADDRESS = Kind("[tls:]HOST:PORT", endpoints.parse)
ENDPOINT = Kind("ENDPOINT", _endpoint)
PATH = Kind("path", _path)
TEXT = Kind("text", str)
FLAG = Kind("flag", _flag)

# SPDX-License-Identifier: MIT
"""How the text of an option becomes a value, and which sentence says that it can't.

One :class:`Kind` for each kind of value; they know nothing of where the text came from.
Opens nothing, resolves nothing.
"""

from __future__ import annotations

import math
import re
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


_UNITS = {
    **{"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400},
    **{"second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600},
    **{"day": 86400, "days": 86400},
}
_SIZES = {"b": 1, "k": 2**10, "kb": 2**10, "kib": 2**10, "m": 2**20, "mb": 2**20, "mib": 2**20}
_SIZES |= {"g": 2**30, "gb": 2**30, "gib": 2**30, "byte": 1, "bytes": 1}


def meant(kind: Kind, text: str) -> str | None:
    """The number that somebody meant who wrote a unit; None where that is not clear."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
    if found is None:
        return None
    number, unit = float(found[1]), found[2].lower()
    factor = (_UNITS if kind is SECONDS else _SIZES if kind is BYTES else {}).get(unit)
    if factor is None:
        return found[1] if kind.name == "number" else None
    return f"{number * factor:g}" if kind is SECONDS else str(int(number * factor))


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

# SPDX-License-Identifier: MIT
"""Ids of many messages, kept as the text in which their outcome will be told.

Why it exists: between a message and its receipt stand only its acknowledgement and, for most, two
others' messages; a text object for each id would take more of the processor's caches than all else that
is kept of it, and be cold when the receipt is written. So each is written once, while it is at hand, in
JSON and ended by LF, which stands in no JSON text: what is told together is joined, and cut again, as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from xjrelay.wire.framing import LF

lines_of: Final = msgspec.json.Encoder().encode_lines
"""Each id in JSON, ended by LF."""

_decode_lines: Final = msgspec.json.Decoder(str).decode_lines
_LF: Final = LF[0]


def names_of(lines: bytes) -> list[str]:
    """The ids again."""
    return _decode_lines(lines)


class Ids(msgspec.Struct, gc=False):
    """Some, in order.

    Attributes:
        lines: each in JSON, ended by LF.
        count: how many they are.
    """

    lines: bytes
    count: int

    @classmethod
    def of(cls, ids: list[str]) -> Ids:
        """These."""
        return cls(lines_of(ids), len(ids))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        return iter(names_of(self.lines))

    def __contains__(self, message_id: object) -> bool:
        return message_id in names_of(self.lines)

    @property
    def array(self) -> msgspec.Raw:
        """Them all, as a list in JSON."""
        return msgspec.Raw(b"[" + self.lines[:-1].replace(LF, b",") + b"]")

    def cut(self, count: int) -> tuple[Ids, Ids]:
        """The first of them, and the others."""
        end = end_of(self.lines, count, self.count)
        return Ids(self.lines[:end], count), Ids(self.lines[end:], self.count - count)


def joined(together: list[Ids]) -> Ids:
    """All of them, in order."""
    return Ids(b"".join([ids.lines for ids in together]), sum([ids.count for ids in together]))


def end_of(lines: bytes, count: int, whole: int) -> int:
    """Where the first `count` of so many lines end. Those of one sender are mostly of one length."""
    end = len(lines) * count // whole
    if lines[end - 1] == _LF and lines.count(LF, 0, end) == count:
        return end
    return len(lines) - len(lines.split(LF, count)[count])

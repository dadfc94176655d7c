# SPDX-License-Identifier: MIT
"""The fast lane's reading: ordinary messages, recognised for certain, for a tenth of the cost.

Why it exists: building a dict, classifying it, converting it to its class and looking for repeated
keys costs 3 us a message; a broker written in C spends less than 1 us on everything. Most
messages have just the keys ``stanza``, ``to``, ``from``, ``body`` and perhaps ``id``, written by
a compact encoder, and what stands in one read mostly goes from one user to one other. So a whole
read is decoded by one call, one comparison proves of all of it that it means the same to every
parser, and what stands in a row from one to one other is a :class:`Run`, which goes on as the bytes
it came in:

    Our encoder writes these keys and values in the fewest bytes that there are for them. A frame
    that says the same in as many bytes therefore holds nothing else: no key twice, no longer
    spelling, no white space, no other value. None says it in fewer, so frames that are together as
    long as when they are encoded again each are. What remains: whether each ends where a line
    does, for the decoder cares little what stands between; and the original delimiter, which may
    stand in a text.

There is a compiled form of it (``_scan.c``), where it was built; what follows is the pure one. It cuts out
texts without decoding them, which pays twice over where many messages come in a read.

Whatever isn't recognised takes the slow lane (:mod:`codec`, :mod:`stanzas`), which alone answers
errors. The same vectors are run through both lanes and must agree.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from xjrelay.wire.framing import LF, ORIGINAL
from xjrelay.wire.spelling import Spellings
from xjrelay.wire.stanzas import MAX_ADDRESS, MAX_ID, AddressText, Count, Id

_scan: Any
try:
    from xjrelay.wire import _scan  # type: ignore[attr-defined, no-redef, unused-ignore]
except ImportError:
    _scan = None


class Plain(
    msgspec.Struct,
    tag_field="stanza",
    tag="message",
    forbid_unknown_fields=True,
    rename={"from_": "from"},
    omit_defaults=True,
    gc=False,
):
    """A message with these keys and no others."""

    to: AddressText
    from_: AddressText
    body: str
    id: Id | None = None


class PlainAck(msgspec.Struct, tag_field="stanza", tag="ack", forbid_unknown_fields=True, gc=False):
    """An acknowledgement, which comes between the messages of whoever is written to."""

    h: Count
    to: ClassVar[str] = ""  # nobody's address, so that none is ever in a row with another
    from_: ClassVar[str] = ""
    id: ClassVar[str | None] = None


class Run(msgspec.Struct, gc=False):
    """Messages of one pair that stand in a row, either all with an id or none.

    Attributes:
        to: the recipient's address in all of them, as it is spelt.
        from_: the sender's.
        count: how many there are.
        ids: theirs, empty where they have none.
        lines: they themselves, each ended by LF.
    """

    to: str
    from_: str
    count: int
    ids: list[str]
    lines: bytes


# Of one class alone the decoder would take ``stanza`` for granted, and in its place, to the byte,
# another key could stand twice; a choice makes it ask.
_decode_lines = msgspec.json.Decoder(Plain | PlainAck).decode_lines
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_SEAM = b"}\n{"
FEW: Final = 1024
"""Bytes of a row below which knowing its spelling doesn't pay."""
_NOT_PLAIN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def pure(lines: bytes) -> tuple[list[Run | PlainAck], bool]:
    """What these lines say, as :meth:`Reader.runs` does, each decoded; nothing is known from before."""
    try:
        said = _decode_lines(lines)
    except _NOT_PLAIN:
        said = []
    if len(said) == 1:  # one at a time, as people write
        one = said[0]
        if len(_encode(one)) == len(lines) - 1 and (lines.isascii() or ORIGINAL not in lines):
            if type(one) is PlainAck:
                return [one], True
            return [Run(one.to, one.from_, 1, [] if one.id is None else [one.id], lines)], True
    elif said and _is_proved(said, lines):
        return _in_a_row(said, lines), True
    said, lines = _as_far_as_plain(lines)
    return _in_a_row(said, lines) if said else [], False


def compiled(lines: bytes) -> tuple[list[Run | PlainAck], bool]:
    """:func:`pure`, compiled where it is sure, and from the first line where it isn't as that."""
    found, size = _scan.runs(lines, Run, PlainAck, MAX_ADDRESS, MAX_ID)
    if size == len(lines):
        return found, True
    more, is_all = pure(lines[size:])
    return found + more, is_all


class Reader:
    """Reads what many links hear, and remembers how it is spelt (see ``wire.spelling``)."""

    def __init__(self) -> None:
        self._spellings = Spellings()

    def runs(self, lines: bytes) -> tuple[list[Run | PlainAck], bool]:
        """What the first of these lines say, as far as they are plain, and whether they all are.

        Args:
            lines: frames, each ended by LF.
        """
        if len(lines) < FEW or _scan is not None:
            return without_memory(lines)
        found, size = self._spelt(lines)
        if size == len(lines):
            return found, True
        more, is_all = pure(lines[size:] if size else lines)
        for run in more:
            if isinstance(run, Run) and len(run.lines) >= FEW and (not run.ids or run.lines is lines):
                self._spellings.learn(run.lines[: run.lines.find(LF) + 1], run.to, run.from_)
        return found + more, is_all

    def _spelt(self, lines: bytes) -> tuple[list[Run | PlainAck], int]:
        """What the first of them say that are spelt as others before, and their bytes."""
        found: list[Run | PlainAck] = []
        start, whole = 0, len(lines)
        while start < whole and (spelling := self._spellings.find(lines, start)) is not None:
            end = spelling.extent(lines, start)
            row = lines if end - start == whole else lines[start:end]
            if spelling.middle and row is not lines:
                break  # to find where it ends, and its ids, costs as much as to decode it
            if len(row) < FEW and not start:  # what is left of one that the last read has cut
                first, is_all = pure(row)
                if not is_all:
                    break
                found += first
            elif len(row) < FEW or (said := spelling.read(row)) is None:
                break
            else:
                found.append(Run(spelling.to, spelling.from_, *said, row))
            start = end
        return found, start


without_memory = pure if _scan is None else compiled
"""The form in force, for what is too little for a :class:`Reader`."""

FORM: Final = "pure" if _scan is None else "compiled"
"""Which of the two is in force."""


def _is_proved(said: list[Plain | PlainAck], lines: bytes) -> bool:
    """Whether the lines say this and nothing else, each in a line of its own, to every parser."""
    whole = len(_encode_lines(said)) == len(lines) and _is_one_a_line(lines, len(said))
    return whole and (lines.isascii() or ORIGINAL not in lines)


def _is_one_a_line(lines: bytes, count: int) -> bool:
    """Whether so many objects, without a byte too many, end where the lines do.

    Only a line's end stands between ``}`` and ``{``. Who writes several at a time begins each alike, and a
    long text is found sooner than a short one.
    """
    if count == 1:
        return True
    end = lines.find(LF)
    seam = lines[end - 1 : end + 24]
    return (seam.startswith(_SEAM) and lines.count(seam) == count - 1) or lines.count(_SEAM) == count - 1


def _as_far_as_plain(lines: bytes) -> tuple[list[Plain | PlainAck], bytes]:
    """What the first of them say, and these; perhaps none."""
    plain: list[Plain | PlainAck] = []
    end = 0
    for frame in lines.split(LF):
        line = frame + LF
        try:
            said = _decode_lines(line)
        except _NOT_PLAIN:
            break
        if not said or not _is_proved(said, line):
            break
        plain += said
        end += len(line)
    return plain, lines[:end]


def _in_a_row(said: list[Plain | PlainAck], lines: bytes) -> list[Run | PlainAck]:
    """Them, those of one pair that follow one another together."""
    if _is_one_row(said):
        return [_row(said, lines)]
    starts: list[int] = []
    to = from_ = ""
    nameless = True
    for at, one in enumerate(said):
        if one.to and one.to == to and one.from_ == from_ and (one.id is None) is nameless:
            continue
        to, from_, nameless = one.to, one.from_, one.id is None
        starts.append(at)
    frames = lines.split(LF)
    ends = [*starts[1:], len(said)]
    return [
        _row(said[start:end], LF.join(frames[start:end]) + LF)
        for start, end in zip(starts, ends, strict=True)
    ]


def _is_one_row(said: list[Plain | PlainAck]) -> bool:
    """Whether they are, as they mostly are: without a step of the interpreter a message."""
    count, first = len(said), said[0]
    return count == 1 or (
        bool(first.to)
        and [one.to for one in said].count(first.to) == count
        and [one.from_ for one in said].count(first.from_) == count
        and [one.id for one in said].count(None) == (count if first.id is None else 0)
    )


def _row(said: list[Plain | PlainAck], lines: bytes) -> Run | PlainAck:
    """One acknowledgement, or messages of one pair."""
    first = said[0]
    if type(first) is PlainAck:
        return first
    ids = [] if first.id is None else [one.id for one in said]
    return Run(first.to, first.from_, len(said), ids, lines)  # type: ignore[arg-type]  # all have one

# SPDX-License-Identifier: MIT
"""A frame to a JSON value and back, strictly (protocol, sections 1 and 2).

What one server forwards, every receiver and every JSON parser must read alike. Parsers
differ on repeated keys (first or last wins), on bytes that are not UTF-8, on NaN, on lone
surrogates, on numbers no double holds; all of these are refused here, so that nothing that
passes can mean two things.

Cost of the checks beyond the parse itself: counting one two-byte pattern and looking for four
others, each one pass of memchr over a frame of some hundred bytes, and a search for digits in
a sixteenth of a longer one. The exact checks, which are slow, run only when these can't rule
a fault out.
"""

from __future__ import annotations

import json
import re
from math import isinf
from typing import Any, Final

import msgspec

from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.framing import LF, ORIGINAL

MAX_DEPTH: Final = 32
"""How deep objects and lists may nest."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_SPACE_BEFORE_COLON = (b" :", b"\t:", b"\n:", b"\r:")
_MOST_DIGITS: Final = 308
"""An integer of so many digits surely is within a double's range."""
_STRIDE: Final = 16
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % ((_MOST_DIGITS + 1) // _STRIDE))


class BadFrame(RemoteError):
    """Not UTF-8, not JSON, not an object, too deep, or a key repeated: 400, stays open."""

    def __init__(self, msg: str) -> None:
        super().__init__(Code.BAD_REQUEST, msg)


class FrameTooLong(RemoteError):
    """A frame over the limit: 413 and the link is closed.

    Args:
        limit: the limit in bytes, told to the sender.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            Code.TOO_LARGE, f"a frame may have at most {limit} bytes", CloseReason.FRAME_TOO_LONG
        )


def decode(frame: bytes) -> dict[str, Any]:
    """The object in a frame.

    Raises:
        BadFrame: it is anything else, or could be read in two ways.
    """
    value = decode_value(frame)
    if type(value) is not dict:
        raise BadFrame("a frame must hold a JSON object")
    return value


def decode_value(frame: bytes) -> Any:
    """The object or list in a frame; lists are a tracker's answer (protocol, section 4).

    Raises:
        BadFrame: as for :func:`decode`.
    """
    try:
        value = _decode(frame)
    except _MALFORMED as error:
        raise BadFrame("not JSON in UTF-8") from error
    if frame.count(b"{") + frame.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise BadFrame(f"nested deeper than {MAX_DEPTH}")
    if type(value) is dict and _may_repeat(frame, len(value)) and _repeats(frame, len(value)):
        raise BadFrame("a key stands twice in the object")
    if _may_overflow(frame):
        json.loads(frame, parse_int=_within_a_double)
    return value


def encode(value: Any) -> bytes:
    """One line of JSON, without the delimiter: for a dict, a list or a stanza.

    The six bytes of the original delimiter never stand inside a frame: a value that holds
    them is written with ASCII escapes.
    """
    frame = _encode(value)
    if not frame.isascii() and ORIGINAL in frame:
        return json.dumps(json.loads(frame), separators=(",", ":")).encode("ascii")
    return frame


def forwardable(frame: bytes, value: dict[str, Any]) -> bytes:
    """The frame itself, or its value written again where a delimiter stands inside it."""
    if LF in frame or ORIGINAL in frame:
        return json.dumps(value, separators=(",", ":")).encode("ascii")
    return frame


def _may_repeat(frame: bytes, keys: int) -> bool:
    """False when the object surely has no key twice.

    Every key is followed by a colon, so an object with as many colons as the parser kept keys
    has none twice. Where there are more, texts or nested objects hold some. Then the colons
    straight after a quote are counted, provided that none stands after white space: they are the
    keys, repeated ones included, plus what nested objects and texts add.
    """
    if frame.count(b":") == keys:
        return False
    return frame.count(b'":') != keys or any(space in frame for space in _SPACE_BEFORE_COLON)


def _repeats(frame: bytes, keys: int) -> bool:
    pairs: list[tuple[str, Any]] = json.loads(frame, object_pairs_hook=list)
    return len(pairs) != keys


def _may_overflow(frame: bytes) -> bool:
    """False when the frame surely holds no integer beyond a double.

    Such an integer is a run of at least 309 digits, and every sixteenth byte of the frame shows
    at least 19 in a row of them. Looking at all bytes would cost thirty times the parse.
    """
    return len(frame) > _MOST_DIGITS and _LONG_NUMBER.search(frame[::_STRIDE]) is not None


def _within_a_double(digits: str) -> int:
    if isinf(float(digits)):
        raise BadFrame("a number is larger than a double can hold")
    return int(digits)


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            break
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    return depth

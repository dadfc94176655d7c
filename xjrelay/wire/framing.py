# SPDX-License-Identifier: MIT
"""Bytes to frames: both delimiters, one limit, linear cost (protocol, section 1).

A frame ends with LF, or with the original middleware's six bytes (the UTF-8 encoding of
U+0080 U+0081 U+0082). Whichever comes first in the stream, also when it is cut by a read,
is the connection's delimiter for its whole life.

Cost: every byte is looked at once for a delimiter and copied at most twice, whatever the
sizes of the reads. The ordinary read, whole frames and nothing left over from before, is one
``bytes.split`` and no copy of the rest. Memory: never more than the limit plus one read.

Knows no Twisted and no JSON.
"""

from __future__ import annotations

LF = b"\n"
ORIGINAL = b"\xc2\x80\xc2\x81\xc2\x82"
"""The original middleware's delimiter: U+0080 U+0081 U+0082 in UTF-8."""

_LF, _CR = b"\n\r"

DEFAULT_MAX_FRAME = 64 * 1024


class Framer:
    """Cuts one connection's incoming bytes into frames.

    Args:
        max_frame: the longest frame accepted, in bytes, its delimiter (and a CR before LF) not counted.
        delimiter: set for a connection whose framing is known (an outgoing one); by default
            the stream decides.

    Attributes:
        delimiter: what ends frames on this connection, in both directions. Answers end with
            LF until the stream has decided.
        too_long: true once a frame went over the limit. Nothing is buffered or returned from
            then on; the connection is of no more use.
    """

    __slots__ = ("_buffer", "_decided", "_max", "_ordinary", "_scanned", "delimiter", "too_long")

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME, delimiter: bytes | None = None) -> None:
        self._max = max_frame
        self._buffer = bytearray()
        self._scanned = 0  # bytes of the buffer already searched for the delimiter
        self._decided = delimiter is not None
        self.delimiter = LF if delimiter is None else delimiter
        self.too_long = False
        self._ordinary = max_frame if delimiter == LF else 0  # what at_once may take

    @property
    def original(self) -> bool:
        """True once the stream has chosen the original delimiter."""
        return self.delimiter == ORIGINAL

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame held back."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that ``data`` completes, in order, empty ones left out.

        A frame over the limit sets :attr:`too_long`; those before it are still returned.
        """
        whole = self.take(data)
        return self.split(whole) if whole else []

    def at_once(self, data: bytes) -> bytes:
        """``data`` itself, where it is what :meth:`take` and then :meth:`lines` would give; else nothing.

        So it is with nearly every read: whole frames, ended by LF, none of them over the limit.
        """
        return data if len(data) <= self._ordinary and data[-1] == _LF and _CR not in data else b""

    def take(self, data: bytes) -> bytes:
        """All frames that ``data`` completes, as they came, each with its delimiter; not yet held to
        the limit, which :meth:`split` does."""
        if self.too_long:
            return b""
        if self._buffer or not self._decided:
            data = self._join(data)
        if data.endswith(self.delimiter):
            return data
        last = data.rfind(self.delimiter)
        end = 0 if last < 0 else last + len(self.delimiter)
        if end < len(data):
            self._keep(data[end:])
        return data[:end]

    def split(self, whole: bytes) -> list[bytes]:
        """What :meth:`take` gave, as frames."""
        frames = whole.split(self.delimiter)
        if self.delimiter == LF and b"\r" in whole:
            frames = [frame[:-1] if frame.endswith(b"\r") else frame for frame in frames]
        if len(whole) > self._max:
            frames = self._within_limit(frames)
        return [frame for frame in frames if frame]

    def lines(self, whole: bytes) -> bytes:
        """What :meth:`take` gave, each frame ended by LF alone, for who reads many at once.

        Nothing where one is over the limit, or may hold an LF: then they can't be had like that.
        """
        if len(whole) > self._max and max(map(len, whole.split(self.delimiter))) > self._max:
            return b""
        if self.delimiter == ORIGINAL:
            return b"" if LF in whole else whole.replace(ORIGINAL, LF)
        return whole.replace(b"\r\n", LF) if b"\r" in whole else whole

    def _join(self, data: bytes) -> bytes:
        """What is buffered and ``data``, or nothing while no delimiter is among them."""
        buffer = self._buffer
        buffer += data
        start = self._scanned
        if not self._decided:
            self._decide(start)
        if buffer.find(self.delimiter, start) < 0:
            self._mark()
            return b""
        whole = bytes(buffer)
        buffer.clear()
        self._scanned = 0
        self._ordinary = self._max if self.delimiter == LF else 0
        return whole

    def _decide(self, start: int) -> None:
        lf = self._buffer.find(LF, start)
        original = self._buffer.find(ORIGINAL, start)
        if original >= 0 and (lf < 0 or original < lf):
            self.delimiter = ORIGINAL
        self._decided = lf >= 0 or original >= 0

    def _keep(self, rest: bytes) -> None:
        self._buffer += rest
        self._ordinary = 0
        self._mark()

    def _mark(self) -> None:
        """Remember how far the search went: the tail may be a delimiter's first bytes."""
        size = len(self._buffer)
        self._scanned = max(0, size - len(ORIGINAL) + 1)
        if size > self._max + len(ORIGINAL) - 1:  # even if it ends with most of a delimiter
            self._overflow()

    def _within_limit(self, frames: list[bytes]) -> list[bytes]:
        for index, frame in enumerate(frames):
            if len(frame) > self._max:
                self._overflow()
                return frames[:index]
        return frames

    def _overflow(self) -> None:
        self._buffer.clear()
        self._ordinary = 0
        self.too_long = True

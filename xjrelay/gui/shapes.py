# SPDX-License-Identifier: MIT
"""Round shapes with smooth edges, as PNG: Tk draws circles on a canvas with steps.

Each is drawn once a colour and size, as coverage: a function says how far inside a point is.
Imports no toolkit.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable

from xjrelay.gui.world import State

Depth = Callable[[float, float], float]
"""Pixels from the edge at a point; below 0 it is outside."""
Colour = tuple[int, int, int]


def colour(text: str) -> Colour:
    """``#rrggbb`` in numbers."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def disc(size: int) -> Depth:
    """A disc that fills a square."""
    radius = size / 2
    return lambda x, y: radius - math.hypot(x - radius, y - radius)


def ring(size: int, width: float) -> Depth:
    """A disc with a hole."""
    outside, radius = disc(size), size / 2 - width
    return lambda x, y: min(outside(x, y), math.hypot(x - size / 2, y - size / 2) - radius)


def rounded(size: int, radius: float) -> Depth:
    """A square with round corners."""

    def depth(x: float, y: float) -> float:
        dx = max(radius - x, x - (size - radius), 0.0)
        dy = max(radius - y, y - (size - radius), 0.0)
        if dx and dy:
            return radius - math.hypot(dx, dy)
        return min(x, y, size - x, size - y)

    return depth


def stroke(x0: float, y0: float, x1: float, y1: float, width: float) -> Depth:
    """A line with round ends."""
    length = math.hypot(x1 - x0, y1 - y0)

    def depth(x: float, y: float) -> float:
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / (length * length)
        along = min(1.0, max(0.0, along))
        return width / 2 - math.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))

    return depth


def either(*depths: Depth) -> Depth:
    """Inside any of them."""
    return lambda x, y: max(depth(x, y) for depth in depths)


def without(depth: Depth, hole: Depth) -> Depth:
    """Inside the first, and not in the second."""
    return lambda x, y: min(depth(x, y), -hole(x, y))


def left_half(size: int) -> Depth:
    """The left half of a square."""
    return lambda x, y: size / 2 - x


def sign(state: State, size: int) -> Depth:
    """The sign of a state; each is told by its form alone.

    Somebody who is there is a disc with a tick, who isn't a ring with a bar, and who is coming back half
    a disc in a ring.
    """
    if state is State.ONLINE:
        unit = size / 10
        tick = either(
            stroke(2.8 * unit, 5.2 * unit, 4.4 * unit, 6.8 * unit, 1.3 * unit),
            stroke(4.4 * unit, 6.8 * unit, 7.3 * unit, 3.5 * unit, 1.3 * unit),
        )
        return without(disc(size), tick)
    width = max(1.5, size / 6)
    if state is State.OFFLINE:
        bar = stroke(size * 0.33, size / 2, size * 0.67, size / 2, width)
        return either(ring(size, width), bar)
    half = left_half(size)
    whole = disc(size)
    return either(ring(size, width), lambda x, y: min(whole(x, y), half(x, y)))


def png(width: int, height: int, ink: Colour, depth: Depth) -> bytes:
    """A shape in one colour, its edge half transparent."""
    head = bytes(ink)
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # no filter
        for x in range(width):
            cover = min(1.0, max(0.0, depth(x + 0.5, y + 0.5) + 0.5))
            rows += head
            rows.append(round(255 * cover))
    body = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IDAT", zlib.compress(bytes(rows))) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

# SPDX-License-Identifier: MIT
"""What was aimed at, and whether a run has reached it: pure comparisons of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.curves import ALL_TALK, ALL_TALK_AT_THE_FLOOR
from benchmarks.peers import EJABBERD, FLOOR, MOSQUITTO, NATS, PROSODY
from benchmarks.result import Result
from benchmarks.scenes import (
    ACKNOWLEDGED,
    ACROSS,
    BURST,
    COMPILED,
    NAMED,
    OURS,
    PLAIN,
    SHAPES,
    SPREAD,
    TAIL,
    TLS,
)

FLAT = 1.15
"""What counts as the same along a curve: as much as one figure moves from run to run."""
IDLE_BYTES = 4096
TAIL_TIMES = 5.0


@dataclass(frozen=True)
class Goal:
    """One aim.

    Args:
        text: what was aimed at.
        limit: the most that reaches it.
        measured: what was found, in the limit's unit; None where it wasn't measured.
        strict: it has to be below the limit.
    """

    text: str
    limit: float
    measured: float | None
    unit: str = "times"
    strict: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached; what wasn't measured wasn't."""
        if self.measured is None:
            return False
        return self.measured < self.limit if self.strict else self.measured <= self.limit

    @property
    def line(self) -> str:
        """For a person: what was aimed at, what was found, and the verdict."""
        if self.measured is None:
            return f"goal {self.text}: not measured"
        limit = f"{'below' if self.strict else 'at most'} {self.limit:g} {self.unit}"
        return f"goal {self.text}, {limit}: measured {self.measured:.2f}: {'met' if self.met else 'not met'}"


def goals(result: Result) -> list[Goal]:
    """All of them, in the order they are aimed at."""
    return [
        *_beside_nats(result),
        *_beside_xmpp(result),
        *_beside_floor(result),
        *_two_relays(result),
        *_tls(result),
        *_acknowledged(result),
        _idle(result),
        *_tail(result),
        *_curves(result),
        Goal("messages lost in all of it", 0, float(sum(row.lost for row in result.rows)), "messages"),
    ]


def _ratio(
    result: Result, shape: tuple[int, int], server: str, other: str, scene: str = PLAIN
) -> float | None:
    one, two = result.row(scene, server, *shape), result.row(scene, other, *shape)
    return one.cpu / two.cpu if one and two and two.cpu else None


def name(shape: tuple[int, int]) -> str:
    """Of a shape, in a few letters."""
    return f"P{shape[0]} W{shape[1]}"


def _beside_nats(result: Result) -> Iterator[Goal]:
    for shape in SHAPES:
        text = f"CPU time a message beside {NATS.name}'s at {name(shape)}"
        measured = _ratio(result, shape, OURS, NATS.name)
        yield Goal(text, 1.0, measured, strict=True) if shape[1] == 1 else Goal(text, 1.3, measured)
        if shape[1] > 1:
            compiled = _ratio(result, shape, COMPILED, NATS.name)
            yield Goal(f"{text}, compiled", 1.0, compiled, strict=True)


def _beside_xmpp(result: Result) -> Iterator[Goal]:
    for peer in (PROSODY, EJABBERD):
        for shape in SHAPES:
            limit = 1 / 5 if shape[1] == 1 else 1 / 20
            text = f"CPU time a message beside {peer.name}'s at {name(shape)}"
            yield Goal(text, limit, _ratio(result, shape, OURS, peer.name))


def _beside_floor(result: Result) -> Iterator[Goal]:
    for shape, limit in (((200, 1), 2.5), ((200, 64), 5.0)):
        text = f"CPU time a message beside the C forwarder's at {name(shape)}"
        yield Goal(text, limit, _ratio(result, shape, OURS, FLOOR.name))


def _two_relays(result: Result) -> Iterator[Goal]:
    for server, limit in ((ACROSS, 2.2), (SPREAD, 1.15)):
        for shape in SHAPES:
            text = f"{server}: summed CPU time a message beside one relay's at {name(shape)}"
            yield Goal(text, limit, _ratio(result, shape, server, OURS))


def _tls(result: Result) -> Iterator[Goal]:
    for peer in (NATS, MOSQUITTO):
        for shape in SHAPES:
            text = f"CPU time a message over TLS 1.3 beside {peer.name}'s at {name(shape)}"
            yield Goal(text, 1.0, _ratio(result, shape, OURS, peer.name, TLS))
            yield Goal(f"{text}, compiled", 1.0, _ratio(result, shape, COMPILED, peer.name, TLS))


def _acknowledged(result: Result) -> Iterator[Goal]:
    for shape in SHAPES:
        text = f"CPU time a message with acknowledgement beside the same without at {name(shape)}"
        yield Goal(text, 1.4, _ratio(result, shape, ACKNOWLEDGED, NAMED))


def _idle(result: Result) -> Goal:
    found = [one for one in result.idle if one.server == OURS]
    count = found[0].sessions if found else 0
    text = f"resident memory of each of {count:,} idle authenticated sessions"
    return Goal(text, IDLE_BYTES, found[0].each if found else None, "bytes")


def _tail(result: Result) -> Iterator[Goal]:
    for burst, what in ((1, "one message at a time"), (BURST, f"{BURST} at a time")):
        row = result.row(TAIL, OURS, 200, burst)
        measured = row.p99 / row.p50 if row and row.p50 else None
        yield Goal(f"p99 beside p50 at half of the top rate, {what}", TAIL_TIMES, measured)


def _curves(result: Result) -> Iterator[Goal]:
    """Who is there and silent costs nothing. Who talks fills caches, for everybody alike."""
    grown = {curve: _growth(result, curve) for curve in dict.fromkeys(point.curve for point in result.points)}
    for curve, (least, most, times) in grown.items():
        if curve not in {ALL_TALK, ALL_TALK_AT_THE_FLOOR}:
            yield Goal(f"CPU time a message at {most:,} {curve} beside {least:,}", FLAT, times)
    if ALL_TALK in grown:
        least, most, times = grown[ALL_TALK]
        floor = grown.get(ALL_TALK_AT_THE_FLOOR)
        text = f"growth of CPU time from {least:,} to {most:,} {ALL_TALK} beside the C forwarder's"
        yield Goal(text, FLAT, times / floor[2] if floor else None)


def _growth(result: Result, curve: str) -> tuple[int, int, float]:
    """Where a curve begins and ends, and how many times the first the last costs."""
    points = sorted((point.x, point.cpu) for point in result.points if point.curve == curve)
    (least, first), (most, last) = points[0], points[-1]
    return least, most, last / first

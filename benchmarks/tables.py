# SPDX-License-Identifier: MIT
"""A run as a page of tables; every figure with its ratio to ours of the same run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.goals import goals, name
from benchmarks.measure import Row
from benchmarks.result import Result
from benchmarks.scenes import BODIES, OFFLINE, OURS, PLAIN, TAIL, TLS

WHAT = {
    PLAIN: "Bodies of 100 bytes, no TLS.",
    TLS: "Bodies of 100 bytes over TLS 1.3, the same P-256 certificate for all.",
    BODIES: "Bodies of 1 KiB and 16 KiB. IRC has no lines that long.",
    OFFLINE: "Every other message goes to somebody who is nowhere, and counts. With acknowledgement ours "
    "stores it in the mailbox; without, ours, prosody and ejabberd tell the sender, and the others drop it.",
    TAIL: "200 pairs at half of the rate that the server carried with 200 pairs in the first table: messages "
    "that are due one at a time (W1: half of what it carried at window 1) or 16 of a pair at a time (W16: "
    "half of what it carried at window 64). The latency counts from when a message was due.",
}


def page(result: Result) -> str:
    """The whole page, Markdown."""
    parts = [
        "# What was measured last",
        "This page is written by `make bench-peers`; [README.md](README.md) says how to read it.",
        "\n".join(f"- {line}" for line in [result.date, *result.machine]),
        "\n".join(f"- {server} {version}".rstrip() for server, version in result.versions.items()),
        *(f"**{note}**" for note in result.notes),
        "## The goals",
        table(["goal", "limit", "measured", ""], _goals(result)),
        *_scenes(result),
        "## Sessions at rest",
        table(["server", "sessions", "resident each", "of a core"], _idle(result)),
        "## What grows, and what must not",
        "CPU time of all relays a message, 50 pairs at window 1 (for contacts one pair).",
        table(["", "how many", "us a message", "to the first"], _curves(result)),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, all but the first column to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def figure(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _goals(result: Result) -> Iterable[Sequence[str]]:
    for goal in goals(result):
        limit = f"{'<' if goal.strict else '≤'} {figure(goal.limit)} {goal.unit}"
        measured = "not measured" if goal.measured is None else figure(goal.measured)
        missed = "" if goal.measured is None else "**not met**"
        yield goal.text, limit, measured, "met" if goal.met else missed


def _scenes(result: Result) -> Iterable[str]:
    for scene in dict.fromkeys(row.scene for row in result.rows):
        rows = [row for row in result.rows if row.scene == scene]
        shapes = list(dict.fromkeys(row.shape for row in rows))
        servers = list(dict.fromkeys(row.server for row in rows))
        yield f"## {scene[0].upper()}{scene[1:]}"
        yield WHAT[scene]
        yield "CPU time of the server a message in microseconds, and how many times ours that is:"
        yield table(["", *map(_shape, shapes)], (_costs(rows, server, shapes) for server in servers))
        yield "All of it; latencies in microseconds:"
        head = ["", "", "messages/s", "p50", "p99", "p99.9", "lost", "given back", "MB"]
        yield table(head, map(_details, sorted(rows, key=lambda row: shapes.index(row.shape))))


def _shape(shape: tuple[int, int, int]) -> str:
    pairs, window, size = shape
    return name((pairs, window)) + (f", {size // 1024} KiB" if size >= 1024 else "")


def _costs(rows: list[Row], server: str, shapes: Sequence[tuple[int, int, int]]) -> Sequence[str]:
    costs = {(row.server, row.shape): row.cpu for row in rows}
    cells = [f"**{server}**" if server == OURS else server]
    for shape in shapes:
        cost, mine = costs.get((server, shape)), costs.get((OURS, shape))
        ratio = f" ({figure(cost / mine)})" if cost is not None and mine else ""
        cells.append("" if cost is None else figure(cost) + ratio)
    return cells


def _details(row: Row) -> Sequence[str]:
    times = [f"{time:,.0f}" for time in (row.p50, row.p99, row.p999)]
    return (
        row.server,
        _shape(row.shape),
        f"{row.rate:,.0f}",
        *times,
        str(row.lost),
        str(row.back),
        figure(row.memory / 1e6),
    )


def _idle(result: Result) -> Iterable[Sequence[str]]:
    for one in result.idle:
        yield one.server, f"{one.sessions:,}", f"{one.each / 1024:.2f} KiB", f"{one.share:.2%}"


def _curves(result: Result) -> Iterable[Sequence[str]]:
    first: dict[str, float] = {}
    for point in result.points:
        base = first.setdefault(point.curve, point.cpu)
        yield point.curve, f"{point.x:,}", figure(point.cpu), figure(point.cpu / base)

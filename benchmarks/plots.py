# SPDX-License-Identifier: MIT
"""A run as pictures: ``python -m benchmarks.plots docs/performance``, with matplotlib of the extra ``bench``.

Reads ``results.json`` in that folder, and writes ``cpu.png``, ``latency.png`` and ``curves.png`` beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from benchmarks.goals import name
from benchmarks.result import Result, load
from benchmarks.scenes import ACKNOWLEDGED, COMPILED, OURS, PLAIN, SHAPES, TLS

MINE, OTHERS = "#1f6feb", "#9aa4b2"


def main() -> None:
    """Draw all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    result = load(folder / "results.json")
    _save(_cpu, result, folder / "cpu.png", (11, 10))
    _save(_latency, result, folder / "latency.png", (11, 5))
    _save(_curves, result, folder / "curves.png", (11, 3.6))


def _save(draw: object, result: Result, path: Path, size: tuple[float, float]) -> None:
    assert callable(draw)
    pyplot.figure(figsize=size)
    draw(result)
    pyplot.figtext(0.995, 0.005, f"{result.date} · {result.machine[0]}", ha="right", fontsize=7, color="gray")
    pyplot.tight_layout(rect=(0, 0.02, 1, 1))
    pyplot.savefig(path, dpi=80)
    pyplot.close()


def _bars(axes: Axes, title: str, figures: dict[str, float]) -> None:
    servers = sorted(figures, key=lambda server: -figures[server])
    values = [figures[server] for server in servers]
    colours = [MINE if server in {OURS, ACKNOWLEDGED, COMPILED} else OTHERS for server in servers]
    drawn = axes.barh(servers, values, color=colours)
    axes.bar_label(drawn, [f"{value:.3g}" for value in values], padding=3, fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 2, max(values) * 2)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7)


def _cpu(result: Result) -> None:
    """CPU time a message, a panel a shape, in the clear above and over TLS below."""
    for number, (scene, shape) in enumerate((scene, shape) for scene in (PLAIN, TLS) for shape in SHAPES):
        rows = [row for row in result.rows if row.scene == scene and row.shape == (*shape, 100)]
        axes = pyplot.subplot(4, 2, number + 1)
        _bars(axes, f"{scene}, {name(shape)}: CPU us a message", {row.server: row.cpu for row in rows})


def _latency(result: Result) -> None:
    """p50 and p99 where each user waits for its answer."""
    for number, shape in enumerate(((1, 1), (200, 1))):
        rows = [row for row in result.rows if row.scene == PLAIN and row.shape == (*shape, 100)]
        axes = pyplot.subplot(1, 2, number + 1)
        for row in sorted(rows, key=lambda row: -row.p50):
            colour = MINE if row.server in {OURS, ACKNOWLEDGED, COMPILED} else OTHERS
            axes.plot([row.p50, row.p99], [row.server] * 2, color=colour, marker="|", linewidth=3)
        axes.set_xscale("log")
        axes.set_title(f"plain, {name(shape)}: latency in us, p50 to p99", fontsize=9)
        axes.tick_params(labelsize=7)


def _curves(result: Result) -> None:
    """Each curve from zero on, so that flat looks flat."""
    groups: dict[str, list[str]] = {}
    for point in result.points:
        known = groups.setdefault(point.curve.partition(" ")[0].rstrip(","), [])
        if point.curve not in known:
            known.append(point.curve)
    for number, (what, curves) in enumerate(groups.items()):
        axes = pyplot.subplot(1, len(groups), number + 1)
        for curve in curves:
            points = sorted((point.x, point.cpu) for point in result.points if point.curve == curve)
            label = curve.partition(", ")[2] or curve
            axes.plot([x for x, _ in points], [cpu for _, cpu in points], marker="o", label=label)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title(f"CPU us a message by {what}", fontsize=9)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7, loc="lower left")


if __name__ == "__main__":
    main()

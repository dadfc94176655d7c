# SPDX-License-Identifier: MIT
"""Measures: ``python -m benchmarks.run`` our own relay, ``--peers`` the others beside it.

The figure is the server's CPU time a message (user and system, of all its threads, from the
system's accounting): it hardly moves on a busy machine, where rates and latencies do. Quote it
as a ratio to another row of the same run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks import scenes
from benchmarks.measure import Row, build, measure
from benchmarks.scenes import SCENES, SHAPES, Options

__all__ = ["SHAPES", "build", "measure"]


def tell(row: Row) -> None:
    """A row as a line."""
    print(
        f"{row.scene:14} {row.server:36} P{row.pairs:<4}W{row.window:<3}{row.size:6} B {row.cpu:8.2f} us"
        f"  {row.rate / 1e3:8.1f} k/s  p50 {row.p50:6.0f}  p99 {row.p99:6.0f}  p99.9 {row.p999:6.0f}"
        f"  lost {row.lost}  {row.memory / 1e6:6.1f} MB",
        flush=True,
    )


def play(chosen: Sequence[str], options: Options) -> list[Row]:
    """The scenes, told as they go; the best of each case."""
    rows: list[Row] = []
    for secure in (False, True):
        there = [scene for scene in chosen if (scene == scenes.TLS) == secure]
        if not there:
            continue
        with scenes.stage(options, secure) as found:
            for scene in there:
                for row in scenes.play(scene, found, options, scenes.best(rows)):
                    tell(row)
                    rows.append(row)
    return scenes.best(rows)


def main() -> None:
    """Run, and print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="also the floor and the installed peers")
    parser.add_argument("--only", action="append", help="servers whose name begins so; repeatable")
    parser.add_argument("--scene", action="append", choices=SCENES, help="repeatable; all of them")
    parser.add_argument("--shape", action="append", help="PAIRSxWINDOW; repeatable")
    parser.add_argument("--size", action="append", type=int, help="bytes of the bodies; repeatable")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=2)
    said = parser.parse_args()
    shapes = tuple(
        (int(pairs), int(window)) for pairs, _, window in (one.partition("x") for one in said.shape or [])
    )
    options = Options(
        seconds=said.seconds,
        rounds=said.rounds,
        shapes=shapes or SHAPES,
        sizes=tuple(said.size or scenes.SIZES),
        only=tuple(said.only or ()),
        peers=said.peers,
    )
    build()
    for name in scenes.missing() if said.peers else ():
        print(f"{name}: not installed, not measured", file=sys.stderr)
    play(said.scene or SCENES, options)


if __name__ == "__main__":
    main()

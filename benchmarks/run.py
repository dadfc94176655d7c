# SPDX-License-Identifier: MIT
"""Measures: ``python -m benchmarks.run`` our own relay, ``--peers`` the others beside it.

The figure is the server's CPU time a message (user and system, of all its threads, from the
system's accounting): a busy machine moves it less than rates and latencies. Quote it
as a ratio to another row of the same run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import curves, result, scenes, tables
from benchmarks.curves import Idle, Lengths, Point
from benchmarks.goals import goals
from benchmarks.measure import Row, build
from benchmarks.scenes import SCENES, SHAPES, Options


def tell(row: Row) -> None:
    """A row as a line."""
    size = f"{row.size // 1024}K" if row.size >= 1024 else str(row.size)
    print(
        f"{row.scene:20} {row.server:35} P{row.pairs:<3} W{row.window:<2} {size:>3} {row.cpu:8.2f} us"
        f" {row.rate / 1e3:8.1f} k/s  p50 {row.p50:6.0f}  p99 {row.p99:6.0f}  p99.9 {row.p999:6.0f}"
        f"  lost {row.lost}  back {row.back}  {row.memory / 1e6:5.1f} MB",
        flush=True,
    )


def tell_idle(one: Idle) -> None:
    """Sessions at rest as a line."""
    each = f"{one.each / 1024:.2f} KiB each"
    print(f"{one.server:35} {one.sessions} idle sessions: {each}, {one.share:.2%} of a core", flush=True)


def play(chosen: Sequence[str], options: Options, rows: list[Row]) -> None:
    """The scenes, told and added to the rows as they go."""
    for secure in (False, True):
        there = [scene for scene in chosen if (scene == scenes.TLS) == secure]
        if not there:
            continue
        with scenes.stage(options, secure) as found:
            for scene in there:
                for row in scenes.play(scene, found, options, scenes.best(rows)):
                    tell(row)
                    rows.append(row)


def grow(found: result.Result, lengths: Lengths, options: Options) -> None:
    """The curves and the sessions at rest."""
    for source in (
        curves.users(lengths),
        curves.mesh(lengths),
        curves.rosters(lengths),
        curves.idle_peers(lengths, options.wants) if options.peers else (),
    ):
        for one in source:
            found.take([one])
            if isinstance(one, Point):
                print(f"{one.x:6} {one.curve:40} {one.cpu:8.2f} us", flush=True)
            else:
                tell_idle(one)


def keep(found: result.Result, folder: Path) -> None:
    """The figures and their page."""
    folder.mkdir(parents=True, exist_ok=True)
    result.store(found, folder / "results.json")
    (folder / "results.md").write_text(tables.page(found), encoding="utf-8")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="also the floor and the installed peers")
    parser.add_argument("--only", action="append", help="servers whose name begins so; repeatable")
    parser.add_argument("--scene", action="append", choices=SCENES, help="repeatable; all of them")
    parser.add_argument("--shape", action="append", help="PAIRSxWINDOW; repeatable")
    parser.add_argument("--size", action="append", type=int, help="bytes of the bodies; repeatable")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each lap")
    parser.add_argument("--laps", type=int, default=16, help="of each case, by turns; the best counts")
    parser.add_argument("--curves", action="store_true", help="also what grows, and the sessions at rest")
    parser.add_argument("--idle", type=int, metavar="SESSIONS", help="instead: sessions that say nothing")
    parser.add_argument("--rest", type=float, default=16.0, help="seconds for which those are watched")
    parser.add_argument("--report", type=Path, metavar="DIR", help="where to write results.md and .json")
    return parser.parse_args(arguments)


def main() -> None:
    """Run, and print a line a measurement; then, where others were measured too, the goals."""
    said = parse()
    shapes = tuple(
        (int(pairs), int(window)) for pairs, _, window in (one.partition("x") for one in said.shape or [])
    )
    options = Options(
        seconds=said.seconds,
        laps=said.laps,
        shapes=shapes or SHAPES,
        sizes=tuple(said.size or scenes.SIZES),
        only=tuple(said.only or ()),
        peers=said.peers,
    )
    build()
    if said.idle:
        for one in curves.users(Lengths(sessions=said.idle, rest=said.rest), curves=False):
            assert isinstance(one, Idle)
            tell_idle(one)
        return
    for name in scenes.missing() if said.peers else ():
        print(f"{name}: not installed, not measured", file=sys.stderr)
    found = result.new()
    rows: list[Row] = []
    try:
        play(said.scene or SCENES, options, rows)
        if said.curves:
            grow(found, Lengths(said.seconds, said.laps, rest=said.rest), options)
    except BaseException:
        found.notes.append("This run did not come to its end: what is missing was not measured.")
        raise
    finally:
        found.rows = scenes.best(rows)
        if said.report:
            keep(found, said.report)
    if said.peers:
        print("\n".join(goal.line for goal in goals(found)))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""Measures: ``python -m benchmarks.run`` our own relay, ``--peers`` the others beside it.

The figure is the server's CPU time a message (user and system, of all its threads, from the
system's accounting): it hardly moves on a busy machine, where rates and latencies do. Quote it
as a ratio to another row of the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import ours
from benchmarks.peers import PEERS
from benchmarks.plan import BUILD, Load, Plan
from benchmarks.programs import Process

SHAPES = ((1, 1), (200, 1), (50, 16), (200, 64))
"""Pairs of sender and receiver, and messages in flight a pair."""


@dataclass
class Row:
    """One measurement; microseconds, bytes, messages a second."""

    server: str
    pairs: int
    window: int
    size: int
    cpu: float
    rate: float
    p50: float
    p99: float
    p999: float
    lost: int
    memory: int


def measure(
    name: str, processes: Sequence[Process], plan: Plan, pairs: int, window: int, size: int, seconds: float
) -> Row:
    """One shape on one server, its processes' CPU time summed."""
    load = Load(plan, window, seconds)
    before = sum(process.cpu_seconds() for process in processes)
    result = load.run()
    cpu = sum(process.cpu_seconds() for process in processes) - before
    return Row(
        server=name,
        pairs=pairs,
        window=window,
        size=size,
        cpu=cpu / max(1, result["received"]) * 1e6,
        rate=result["received"] / result["seconds"],
        p50=result["p50"],
        p99=result["p99"],
        p999=result["p999"],
        lost=result["lost"],
        memory=sum(process.resident() for process in processes),
    )


def build() -> None:
    """Compile the two C programs, where they are older than their sources."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, libraries in (("load", ["-lssl", "-lcrypto"]), ("floor", [])):
        source = Path(__file__).with_name(f"{name}.c")
        target = BUILD / name
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["cc", "-O2", "-o", target, source, *libraries], check=True)


def run_ours(report: Callable[[Row], None], options: argparse.Namespace) -> None:
    """Our relay: plain, acknowledged, and across two relays."""
    with tempfile.TemporaryDirectory() as folder:
        suite = ours.Suite(Path(folder))
        try:
            for pairs, window in options.shapes:
                for name, ack in (("xjrelay", False), ("xjrelay, acknowledged", True)):
                    plan = ours.plan(suite, pairs, options.size, ack)
                    report(measure(name, suite.relays, plan, pairs, window, options.size, options.seconds))
        finally:
            suite.end()
    with tempfile.TemporaryDirectory() as folder:
        suite = ours.Suite(Path(folder), relays=2)
        try:
            for pairs, window in options.shapes:
                for name, across in (("two relays, across", True), ("two relays, each its own", False)):
                    plan = ours.plan(suite, pairs, options.size, across=across)
                    report(measure(name, suite.relays, plan, pairs, window, options.size, options.seconds))
        finally:
            suite.end()


def run_peers(report: Callable[[Row], None], options: argparse.Namespace) -> None:
    """The floor, and every peer that is installed."""
    for peer in PEERS:
        if not peer.installed:
            print(f"{peer.name}: not installed", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            process = peer.start(Path(folder), 0)
            try:
                for pairs, window in options.shapes:
                    plan = peer.plan(process.port, pairs, options.size)
                    row = measure(peer.name, [process], plan, pairs, window, options.size, options.seconds)
                    report(row)
            finally:
                process.end()


def run_idle(count: int, seconds: float) -> None:
    """So many authenticated sessions that say nothing: resident memory each, and CPU at rest."""
    with tempfile.TemporaryDirectory() as folder:
        suite = ours.Suite(Path(folder), 1, (0,), "--max-links", str(count + 1000))
        try:
            (relay,) = suite.relays
            plan = Plan()
            for user in suite.users(count):
                plan.conn(user.port, [ours.login(user, ack=False)])
            before = relay.resident()
            load = Load(plan)
            held = relay.resident() - before
            spent = relay.cpu_seconds()
            time.sleep(seconds)
            spent = relay.cpu_seconds() - spent
            load.end()
        finally:
            suite.end()
    each, share = held / count / 1024, spent / seconds
    print(f"{count} idle sessions: {each:.2f} KiB each, {share:.1%} of a core at rest")


def main() -> None:
    """Run, print a row a measurement, and write them all as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="also the floor and the installed peers")
    parser.add_argument("--only", choices=("ours", "peers"), help="one half")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--size", type=int, default=100, help="bytes of a body")
    parser.add_argument("--shape", action="append", help="PAIRSxWINDOW; repeatable")
    parser.add_argument("--idle", type=int, metavar="SESSIONS", help="instead: sessions that say nothing")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    options = parser.parse_args()
    if options.idle:
        build()
        run_idle(options.idle, 10 * options.seconds)
        return
    options.shapes = [tuple(map(int, one.split("x"))) for one in options.shape or []] or SHAPES
    build()
    rows: list[Row] = []

    def report(row: Row) -> None:
        rows.append(row)
        print(
            f"{row.server:26} P{row.pairs:<4}W{row.window:<3} {row.cpu:7.2f} us  {row.rate / 1e3:8.1f} k/s"
            f"  p50 {row.p50:6.0f}  p99 {row.p99:6.0f}  lost {row.lost}  {row.memory / 1e6:6.1f} MB",
            flush=True,
        )

    if options.peers or options.only == "peers":
        run_peers(report, options)
    if options.only != "peers":
        run_ours(report, options)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()

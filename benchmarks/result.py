# SPDX-License-Identifier: MIT
"""All that one run has found, and on what: kept as JSON, read by the tables, the plots and the goals."""

from __future__ import annotations

import os
import platform
import ssl
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.curves import Idle, Point
from benchmarks.measure import Row
from benchmarks.peers import PEERS


@dataclass
class Result:
    """One run.

    Args:
        date: of its end, as YYYY-MM-DD.
        machine: what it ran on, a line each.
        versions: of each server.
        rows: the best of each case.
        points: of the curves.
        idle: sessions at rest.
        notes: what a reader has to know of how these figures came about, where it wasn't one whole run.
    """

    date: str
    machine: list[str]
    versions: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    idle: list[Idle] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, scene: str, server: str, pairs: int, window: int, size: int = 100) -> Row | None:
        """A case's row, or None where it wasn't measured."""
        for row in self.rows:
            if (row.scene, row.server) == (scene, server) and row.shape == (pairs, window, size):
                return row
        return None

    def take(self, found: Iterable[Point | Idle]) -> None:
        """Put points of curves and sessions at rest where they belong."""
        for one in found:
            if isinstance(one, Point):
                self.points.append(one)
            else:
                self.idle.append(one)


def new() -> Result:
    """A run that begins here and now."""
    versions = {"xjrelay": _ours()} | {peer.name: peer.version for peer in PEERS if peer.installed}
    return Result(time.strftime("%Y-%m-%d"), _machine(), versions)


def load(path: Path) -> Result:
    """One that was kept."""
    return msgspec.json.decode(path.read_bytes(), type=Result)


def store(result: Result, path: Path) -> None:
    """Keep it."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")


def _machine() -> list[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = f"load {os.getloadavg()[0]:.1f} when it began"
    return [
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {load}",
        f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')}, Linux {platform.release()}",
        f"CPython {platform.python_version()}, Twisted {version('twisted')}, msgspec {version('msgspec')}, "
        f"{ssl.OPENSSL_VERSION}",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _ours() -> str:
    return f"{version('xjrelay')}, {sys.implementation.name}"

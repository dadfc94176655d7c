# SPDX-License-Identifier: MIT
"""The plan a load generator follows, and the generator as a process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

BUILD = Path(__file__).resolve().parents[1] / "build" / "bench"
MARK = b"#!#"
"""Stands once in every body: by it a receiver knows a message."""


def body(size: int, marked: bool = True) -> bytes:
    """A body of so many bytes, with the mark in it or without."""
    return ((MARK if marked else b"") + b"x" * size)[:size]


def _hex(data: bytes) -> str:
    return data.hex() or "-"


@dataclass
class Plan:
    """Connections, in the words of ``load.c``."""

    lines: list[str] = field(default_factory=list)
    conns: int = 0
    pairs: int = 0

    def conn(self, port: int, steps: list[tuple[bytes, bytes]], tls: int = 0, host: str = "127.0.0.1") -> int:
        """A connection and how it logs in; its number. ``tls``: 1 at once, 2 after a line in the clear."""
        self.lines.append(f"conn {host} {port} {int(tls)}")
        self.lines += [f"step {_hex(send)} {_hex(expect)}" for send, expect in steps]
        self.conns += 1
        return self.conns - 1

    def sends(self, message: bytes) -> None:
        """The connection just made sends this."""
        self.lines.append(f"send {_hex(message)}")

    def receives(self, needle: bytes = MARK, ack: bytes = b"", every: int = 1, counts: bool = True) -> None:
        """The connection just made receives; ``every`` 0: each is acknowledged by the two bytes before it."""
        self.lines.append(f"recv {_hex(needle)} {_hex(ack)} {every} {int(counts)}")

    def answers(self, ping: bytes, pong: bytes) -> None:
        """The connection just made answers this with that."""
        self.lines.append(f"ping {_hex(ping)} {_hex(pong)}")

    def pair(self, sender: int, receiver: int) -> None:
        """Who writes to whom."""
        self.lines.append(f"pair {sender} {receiver}")
        self.pairs += 1

    def text(self, run: Run, clocks: Iterable[int] = ()) -> str:
        """The whole plan, with the processes whose CPU time is counted."""
        return "\n".join([*self.lines, *(f"clock {pid}" for pid in clocks), run.line, ""])


@dataclass(frozen=True)
class Run:
    """How a plan is run.

    Args:
        window: messages in flight a pair.
        seconds: of the measured part of a lap.
        warmup: seconds before it.
        spin: poll without sleeping, as a client elsewhere does: it makes no server pay for waking it.
        rate: messages a second over all pairs, each due at its own time; 0 for as many as go.
        burst: messages of a pair that are due together.
        roving: ``window`` messages in flight in all, and the next one is the next pair's.
        at_once: connections that are being logged in at a time.
    """

    window: int = 1
    seconds: float = 3.0
    warmup: float = 0.5
    spin: bool = True
    rate: float = 0
    burst: int = 1
    roving: bool = False
    at_once: int = 128

    @property
    def line(self) -> str:
        """In the words of ``load.c``."""
        return (
            f"run {self.window} {self.seconds} {self.warmup} {int(self.spin)} "
            f"{self.rate} {self.burst} {int(self.roving)}"
        )


class Load:
    """The load generator, logged in from its construction on.

    Args:
        clocks: the processes whose CPU time is counted while it is measured.

    Raises:
        RuntimeError: it has ended, here or in a lap; it says why on the standard error.
    """

    def __init__(self, plan: Plan, run: Run | None = None, clocks: Iterable[int] = ()) -> None:
        run = run or Run()
        self._process = subprocess.Popen(
            [BUILD / "load", str(plan.conns + 1), str(run.at_once)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(plan.text(run, clocks))
        self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def lap(self) -> dict[str, Any]:
        """The traffic begins, is measured once it is warm, and stops; what the generator says of it."""
        self._say("go\n")
        result: dict[str, Any] = json.loads(self._line())
        return result

    def end(self) -> None:
        """Acknowledge what is left, and close the connections."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended by itself, and has said why
            self._process.stdin.close()
        self._process.wait()

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer that doesn't come tells
            self._process.stdin.write(text)
            self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            self.end()
            raise RuntimeError(f"the load generator ended with status {self._process.returncode}")
        return line

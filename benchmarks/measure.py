# SPDX-License-Identifier: MIT
"""One measurement: a plan run against servers, and what the system counted meanwhile."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plan import BUILD, Load, Plan, Run
from benchmarks.programs import Process


@dataclass(frozen=True)
class Row:
    """One measurement; microseconds, bytes, messages a second.

    ``cpu`` is of the servers alone, all their threads, a message: the best of the rounds, since whatever
    else the machine does can only add to it. Where half of the messages go to nobody (``half offline``)
    those count as messages, too. ``window`` 0 means a rate instead. ``back`` are those of which the sender
    was told to send them again, which our library does and the generator doesn't; ``lost`` are those that
    never came, and of which nothing was said.
    """

    scene: str
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
    back: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pairs, window, bytes of a body."""
        return self.pairs, self.window, self.size


@dataclass(frozen=True)
class Case:
    """What is measured.

    Args:
        scene: the table it belongs to.
        server: its row there.
        pairs: of sender and receiver.
        run: how they talk.
        size: bytes of a body.
        each: messages that stand behind one heard by a receiver: 2 where half go to nobody.
    """

    scene: str
    server: str
    pairs: int
    run: Run
    size: int = 100
    each: int = 1


def observe(case: Case, processes: Sequence[Process], plan: Plan, back: Callable[[], int] = int) -> Row:
    """Run a plan; the CPU time of the processes is summed.

    Args:
        back: how many messages the servers have given back to their senders so far.
    """
    given = back()
    load = Load(plan, case.run)
    before = sum(process.cpu_seconds() for process in processes)
    result = load.run()
    cpu = sum(process.cpu_seconds() for process in processes) - before
    given = back() - given
    count = max(1, result["received"] * case.each)
    return Row(
        scene=case.scene,
        server=case.server,
        pairs=case.pairs,
        window=0 if case.run.rate else case.run.window,
        size=case.size,
        cpu=cpu / count * 1e6,
        rate=result["received"] * case.each / result["seconds"],
        p50=result["p50"],
        p99=result["p99"],
        p999=result["p999"],
        lost=max(0, result["lost"] - given),
        memory=sum(process.resident() for process in processes),
        back=given,
    )


def measure(
    name: str, processes: Sequence[Process], plan: Plan, pairs: int, window: int, size: int, seconds: float
) -> Row:
    """One shape on one server."""
    return observe(Case("", name, pairs, Run(window, seconds), size), processes, plan)


def build() -> None:
    """Compile the two C programs, where they are older than their sources.

    Raises:
        RuntimeError: no compiler, or no OpenSSL to compile with.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, libraries in (("load", ["-lssl", "-lcrypto"]), ("floor", [])):
        source = Path(__file__).with_name(f"{name}.c")
        target = BUILD / name
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        try:
            subprocess.run(["cc", "-O2", "-o", target, source, *libraries], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(
                "the load generator needs a C compiler and OpenSSL; on Debian: apt-get install gcc libssl-dev"
            ) from error

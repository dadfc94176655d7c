# SPDX-License-Identifier: MIT
"""Whether the hot path has become dearer: ``python -m benchmarks.check``, or ``make bench-check``.

The relay's CPU time a message, where it is mostly system calls and where it is mostly ours, each as a ratio
to a calibration loop on the same core in the same run: so that a figure stored on one machine says something
on another. Of several rounds the least counts, since whatever else the machine does can only add to it. Exit
status 1 where a ratio is over 15 % above the stored one.

    python -m benchmarks.check --store     keep what is measured as what is expected
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks import ours
from benchmarks.measure import Case, build, observe
from benchmarks.ours import Suite, Traffic
from benchmarks.plan import Run

STORED = Path(__file__).with_name("baseline.json")
TOLERANCE = 1.15
CORE = 0
LOOPS = 40_000
FORMS = {
    "200 pairs, window 1": (200, 1, False),
    "50 pairs, window 16": (50, 16, False),
    "50 pairs, window 16, acknowledged": (50, 16, True),
}
"""Pairs, window, acknowledgement."""

_LINE = b'{"stanza":"message","from":"esa","to":"fajar","body":"%b"}\n' % (b"x" * 100)


class _Head(msgspec.Struct):
    stanza: str
    to: str


def calibrate(loops: int = LOOPS) -> float:
    """Microseconds of CPU of one turn of a fixed loop: a line sent, received, split, decoded, looked up.

    It has what a relay does most and nothing of ours, so that it costs the same whatever we change.
    """
    one, other = socket.socketpair()
    decode = msgspec.json.Decoder(_Head).decode
    known = {f"user{number}": number for number in range(1000)} | {"fajar": 0}
    found = 0
    with one, other:
        began = time.process_time()
        for _ in range(loops):
            one.send(_LINE)
            for line in other.recv(65536).split(b"\n")[:-1]:
                found += known[decode(line).to]
        spent = time.process_time() - began
    return spent / loops * 1e6


def costs(suite: Suite, seconds: float) -> dict[str, float]:
    """One round: microseconds of the relay's CPU a message, a form each."""
    made = {}
    for name, (pairs, window, ack) in FORMS.items():
        plan = ours.plan(suite, pairs, Traffic(ack=ack))
        made[name] = observe(Case("", "", pairs, Run(window, seconds, 0.3)), suite.relays, plan).cpu
    return made


def least(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The least of each."""
    return {name: min(one[name] for one in rounds) for name in rounds[0]}


def ratios(costs: Mapping[str, float], calibration: float) -> dict[str, float]:
    """Each as so many turns of the calibration loop."""
    return {name: round(cost / calibration, 4) for name, cost in costs.items()}


def dearer(
    stored: Mapping[str, float], measured: Mapping[str, float], tolerance: float = TOLERANCE
) -> list[str]:
    """What is dearer than it may be, a line each; a form that is stored has to be measured.

    Raises:
        KeyError: one that isn't.
    """
    return [
        f"{name}: {measured[name]:.3f} turns of the calibration loop, {measured[name] / expected:.2f} times "
        f"the stored {expected:.3f}; {tolerance:.2f} times is allowed"
        for name, expected in stored.items()
        if measured[name] > tolerance * expected
    ]


@contextmanager
def _bound() -> Iterator[None]:
    """This process on the core that the relay has."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure(seconds: float, rounds: int) -> dict[str, float]:
    """The ratios of this run, each round told."""
    build()
    taken, calibrations = [], []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        suite = Suite(Path(folder))
        try:
            for _ in range(rounds):
                with _bound():
                    calibrations.append(calibrate())
                taken.append(costs(suite, seconds))
                said = ", ".join(f"{name} {cost:.2f} us" for name, cost in taken[-1].items())
                print(f"calibration {calibrations[-1]:.2f} us; {said}", flush=True)
        finally:
            suite.end()
    return ratios(least(taken), min(calibrations))


def main() -> None:
    """Measure, and store or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--store", action="store_true", help="keep what is measured as what is expected")
    parser.add_argument("--baseline", type=Path, default=STORED)
    said = parser.parse_args()
    measured = measure(said.seconds, said.rounds)
    if said.store:
        said.baseline.write_text(json.dumps(measured, indent=1) + "\n")
        return
    stored = json.loads(said.baseline.read_text())
    for name, expected in stored.items():
        print(f"{name}: {measured[name]:.3f} turns of the calibration loop, stored {expected:.3f}")
    if complaints := dearer(stored, measured):
        sys.exit("the hot path has become dearer:\n" + "\n".join(complaints))


if __name__ == "__main__":
    main()

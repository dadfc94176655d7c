# SPDX-License-Identifier: MIT
"""Whether the hot path has become dearer: ``python -m benchmarks.check``, or ``make bench-check``.

The CPU time of the relay's own code a message (:mod:`benchmarks.hot`), in three forms, each as a ratio to a
calibration loop in the same run: so that a figure stored on one machine says something on another. Of many
short rounds the least counts, since whatever else the machine does can only add to it. Exit status 1 where a
ratio is over 15 % above the stored one.

    python -m benchmarks.check --store     keep what is measured as what is expected
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.hot import HotPath

STORED = Path(__file__).with_name("baseline.json")
TOLERANCE = 1.15
LOOPS = 100_000
FORMS = {
    "one at a time": (1, False, 10_000),
    "16 at a time": (16, False, 3_000),
    "16 at a time, acknowledged": (16, True, 2_000),
}
"""Messages in one read, acknowledgement, reads in a round."""

_LINE = b'{"stanza":"message","from":"esa","to":"fajar","body":"%b"}' % (b"x" * 100)


class _Head(msgspec.Struct):
    stanza: str
    to: str


def calibrate(loops: int = LOOPS) -> float:
    """Microseconds of CPU of one turn of a fixed loop: a line split off, decoded, looked up, kept.

    It does what a relay does most, with nothing of ours in it, so that it costs the same whatever we change.
    """
    decode = msgspec.json.Decoder(_Head).decode
    known: dict[str, list[bytes]] = {name: [] for name in ("fajar", *map(str, range(1000)))}
    data = _LINE + b"\n"
    began = time.process_time()
    for _ in range(loops):
        for line in data.split(b"\n")[:-1]:
            known[decode(line).to].append(line)
    return (time.process_time() - began) / loops * 1e6


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


def measure(rounds: int) -> dict[str, float]:
    """The ratios of this run, each round told."""
    paths = {name: (HotPath(window, ack), reads) for name, (window, ack, reads) in FORMS.items()}
    taken, calibrations = [], []
    for _ in range(rounds):
        calibrations.append(calibrate())
        taken.append({name: path.run(reads) for name, (path, reads) in paths.items()})
        said = ", ".join(f"{name} {cost:.3f} us" for name, cost in taken[-1].items())
        print(f"calibration {calibrations[-1]:.3f} us; {said}", flush=True)
    return ratios(least(taken), min(calibrations))


def main() -> None:
    """Measure, and store or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--store", action="store_true", help="keep what is measured as what is expected")
    parser.add_argument("--baseline", type=Path, default=STORED)
    said = parser.parse_args()
    measured = measure(said.rounds)
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

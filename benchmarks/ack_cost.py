# SPDX-License-Identifier: MIT
"""What acknowledgement costs a relay: ``python -m benchmarks.ack_cost``.

The same traffic on one relay twice, in turn, each message with an ``id``: sessions without ``ack``, and
with it, acknowledging as our library does at speed (after 100 messages). The figure is the relay's CPU
time a message, best of the laps: what else runs on the machine can only add to it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import Case, Course, build, cheapest
from benchmarks.plan import Run
from benchmarks.scenes import SHAPES

EVERY = 100
"""Messages an acknowledgement is for: ``ACK_EVERY`` of the client library."""
WARMUP = 0.1


def compare(suite: ours.Suite, pairs: int, window: int, options: argparse.Namespace) -> tuple[float, float]:
    """Microseconds of the relay's CPU a message: without acknowledgement, and with it."""
    with ExitStack() as stack:
        courses = []
        for ack in (False, True):
            plan = ours.plan(suite, pairs, ours.Traffic(options.size, ack, named=True, every=options.every))
            case = Case("", "xjrelay", pairs, Run(window, options.seconds, WARMUP), options.size)
            courses.append(stack.enter_context(Course(case, suite.relays, plan)))
        plain, acked = cheapest(courses, options.laps)
    return plain, acked


def main() -> None:
    """Run, and print a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each lap")
    parser.add_argument("--laps", type=int, default=32, help="of each of both, by turns; the best counts")
    parser.add_argument("--every", type=int, default=EVERY, help="messages an acknowledgement is for")
    parser.add_argument("--size", type=int, default=100, help="bytes of a body")
    parser.add_argument("--shape", action="append", help="PAIRSxWINDOW; repeatable")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    build()
    shapes = [tuple(map(int, one.split("x"))) for one in options.shape or []] or SHAPES
    with tempfile.TemporaryDirectory() as folder:
        suite = ours.Suite(Path(folder))
        try:
            for pairs, window in shapes:
                plain, acked = compare(suite, pairs, window, options)
                ratio = round(acked / plain, 2)
                if options.json:
                    shape = {"pairs": pairs, "window": window}
                    print(json.dumps({**shape, "plain": plain, "acknowledged": acked, "ratio": ratio}))
                else:
                    print(
                        f"P{pairs:<4}W{window:<3} plain {plain:6.2f} us, acknowledged {acked:6.2f} us: "
                        f"{ratio:.2f} times",
                        flush=True,
                    )
        finally:
            suite.end()


if __name__ == "__main__":
    main()

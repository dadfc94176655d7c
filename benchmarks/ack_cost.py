# SPDX-License-Identifier: MIT
"""What acknowledgement costs a relay: ``python -m benchmarks.ack_cost``.

The same traffic on one relay twice, in turn, each message with an ``id``: sessions without ``ack``, and
with it, acknowledging as our library does at speed (after 100 messages). The figure is the relay's CPU
time a message, best of the repetitions: what else runs on the machine can only add to it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks import ours
from benchmarks.run import SHAPES, build, measure

EVERY = 100
"""Messages an acknowledgement is for: ``ACK_EVERY`` of the client library."""


def cost(suite: ours.Suite, pairs: int, window: int, ack: bool, options: argparse.Namespace) -> float:
    """Microseconds of the relay's CPU a message."""
    plan = ours.plan(suite, pairs, ours.Traffic(options.size, ack, named=True, every=options.every))
    row = measure("xjrelay", suite.relays, plan, pairs, window, options.size, options.seconds)
    return row.cpu if row.cpu else float("inf")


def main() -> None:
    """Run, and print a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--repeat", type=int, default=16)
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
                rounds = [
                    [cost(suite, pairs, window, ack, options) for ack in (False, True)]
                    for _ in range(options.repeat)
                ]
                plain, acked = map(min, zip(*rounds, strict=True))
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

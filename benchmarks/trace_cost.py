# SPDX-License-Identifier: MIT
"""What it costs a relay to be seen: ``python -m benchmarks.trace_cost``.

The same traffic with acknowledgement on three relays in turn: one that nobody looks at (no socket, no trace),
one that counts and samples, and one that remembers messages for ``xj trace`` besides. The figure is the
relay's CPU time a message, best of the repetitions: what else runs on the machine can only add to it.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import build, measure

KINDS = {
    "unseen": ("--admin-socket", "off", "--trace", "0"),
    "counted": ("--trace", "0"),
    "remembered": (),
}
"""By name, a relay's options."""


def cost(suite: ours.Suite, pairs: int, window: int, options: argparse.Namespace) -> float:
    """Microseconds of the relay's CPU a message."""
    plan = ours.plan(suite, pairs, ours.Traffic(options.size, ack=True, across=options.across))
    row = measure("xjrelay", suite.relays, plan, pairs, window, options.size, options.seconds)
    return row.cpu if row.cpu else float("inf")


def main() -> None:
    """Run, and print a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", type=int, default=100, help="bytes of a body")
    parser.add_argument("--across", action="store_true", help="sender and receiver on two relays")
    parser.add_argument("--shape", action="append", help="PAIRSxWINDOW; repeatable")
    options = parser.parse_args()
    build()
    shapes = [tuple(map(int, one.split("x"))) for one in options.shape or ["1x1", "50x16", "200x64"]]
    with ExitStack() as stack:
        suites = {}
        for kind, told in KINDS.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            suites[kind] = ours.Suite(folder, ours.Settings(relays=1 + options.across, options=told))
            stack.callback(suites[kind].end)
        for pairs, window in shapes:
            best = {kind: float("inf") for kind in suites}
            for _ in range(options.repeat):
                for kind, suite in suites.items():
                    best[kind] = min(best[kind], cost(suite, pairs, window, options))
            shown = ", ".join(f"{kind} {us:.3f} us" for kind, us in best.items())
            print(f"P{pairs:<4}W{window:<3} {shown}", flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""What it costs a relay to be seen: ``python -m benchmarks.trace_cost``.

The same traffic with acknowledgement on three relays in turn: one that nobody looks at (no socket, no trace),
one that counts and samples, and one that remembers messages for ``xj trace`` besides. The figure is the
relay's CPU time a message, best of the laps: what else runs on the machine can only add to it.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import Case, Course, build, cheapest
from benchmarks.plan import Run

KINDS = {
    "unseen": ("--admin-socket", "off", "--trace", "0"),
    "counted": ("--trace", "0"),
    "remembered": (),
}
"""By name, a relay's options."""
WARMUP = 0.1


def main() -> None:
    """Run, and print a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each lap")
    parser.add_argument("--laps", type=int, default=16, help="of each, by turns; the best counts")
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
            with ExitStack() as users:
                courses = []
                for suite in suites.values():
                    traffic = ours.Traffic(options.size, ack=True, across=options.across)
                    case = Case("", "xjrelay", pairs, Run(window, options.seconds, WARMUP), options.size)
                    plan = ours.plan(suite, pairs, traffic)
                    courses.append(users.enter_context(Course(case, suite.relays, plan)))
                best = dict(zip(suites, cheapest(courses, options.laps), strict=True))
            shown = ", ".join(f"{kind} {us:.3f} us" for kind, us in best.items())
            print(f"P{pairs:<4}W{window:<3} {shown}", flush=True)


if __name__ == "__main__":
    main()

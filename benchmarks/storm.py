# SPDX-License-Identifier: MIT
"""Everybody comes back at once: ``python -m benchmarks.storm --users 10000``.

Users with three contacts each are logged in and at their relays; then manager and relays are killed and
started again. Each user does what the client library does: finds its links lost, waits as the library does
(0.25 s, times 1.6, up to 30 s, full jitter), dials the manager where it was, each third time asks the
tracker where it is, logs in by SCRAM, gets its roster, says its presence, and opens a session at the relay it
was given. Told are how long it took until all were back, every refusal (an answer of 400 or above), and
every setback: a connection that a server closed or did not take, an answer that the library would not have
waited for any longer.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.crowd import Crowd
from benchmarks.house import House, accounts
from xjrelay.security.scram import DEFAULT_ROUNDS


def _crowd(link: Connection, names: list[str], tracker: int, rounds: int, seed: int) -> None:
    """A process of users."""
    Crowd(names, tracker, rounds, seed).run(link)


def storm(users: int, relays: int, rounds: int, processes: int, seed: int) -> dict[str, Any]:
    """One storm; what came of it."""
    names = [f"user{number:05}" for number in range(users)]
    # Each has the two next to it and the one opposite: everybody's contacts have it in turn.
    pairs = {(number, (number + 1) % users) for number in range(users)}
    pairs |= {(number, number + users // 2) for number in range(users // 2)}
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder), relays)
        house.seed(accounts(names, rounds, [(names[one], names[other]) for one, other in sorted(pairs)]))
        house.start()
        crowds = []
        try:
            for number in range(processes):
                ours, theirs = multiprocessing.Pipe()
                args = (theirs, names[number::processes], house.port("tracker"), rounds, seed + number)
                process = multiprocessing.Process(target=_crowd, args=args, daemon=True)
                process.start()
                crowds.append((process, ours))
            began = time.monotonic()
            first = _gathered(began, users, [link.recv() for _, link in crowds], house)
            killed = time.monotonic()
            for _, link in crowds:
                link.send(killed)
            struck = ["manager", *(f"relay{number}" for number in range(1, relays + 1))]
            house.kill(*struck)
            house.start_together(*struck)
            served = time.monotonic() - killed
            back = _gathered(killed, users, [link.recv() for _, link in crowds], house)
        finally:
            for process, link in crowds:
                link.send(None)
                process.join(10)
            house.end()
    return {"users": users, "served": served, "first": first, "back": back}


def _gathered(began: float, users: int, told: list[Any], house: House) -> dict[str, Any]:
    times = sorted(when - began for one in told for when in one[0].values())
    return {
        "back": len(times),
        "lost": users - len(times),
        "all": times[-1] if times else None,
        "median": statistics.median(times) if times else None,
        "refusals": dict(sum((Counter(one[1]) for one in told), Counter())),
        "setbacks": dict(sum((Counter(one[2]) for one in told), Counter())),
        "cpu": {name: process.cpu_seconds() for name, process in house.running.items()},
        "memory": {name: process.resident() for name, process in house.running.items()},
        "users_cpu": sum(one[3] for one in told),
    }


def main() -> None:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--relays", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help="of everybody's password")
    parser.add_argument("--processes", type=int, default=2, help="of users: each opens two files a user")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = storm(options.users, options.relays, options.rounds, options.processes, options.seed)
    if options.json:
        print(json.dumps(result))
        return
    print(f"killed, started again, and serving after {result['served']:.1f} s")
    for what in ("first", "back"):
        _show(what, result[what])


def _show(what: str, one: dict[str, Any]) -> None:
    took = f"half in {one['median']:.1f} s, all in {one['all']:.1f} s"
    print(f"{what}: {one['back']} users, {one['lost']} lost; {took}")
    print(f"  refusals {one['refusals']}, setbacks {one['setbacks']}")
    cpu = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one["cpu"].items())
    memory = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in one["memory"].items())
    print(f"  CPU so far: {cpu}, users {one['users_cpu']:.1f} s; resident: {memory}")


if __name__ == "__main__":
    main()

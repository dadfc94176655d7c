# SPDX-License-Identifier: MIT
"""What a message costs the relay's own code, step by step: ``python -m benchmarks.steps``.

Real sessions of a real relay in one process, on connections that take every write: no kernel, no reactor and
no other process are in the figure, so that it can be had on a busy machine. It is CPU time a message,
the mean of the quickest quarter of the rounds. Each read holds a window of messages with ids; with
acknowledgement the recipient acknowledges after 100, as our library does at speed.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import Any

from tests.servers.relay_house import house_with
from xjrelay.net.context import Limits
from xjrelay.servers.relay.protocol import RelayProtocol
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.wire import fast

EVERY = 100
BODY = "#!#" + "x" * 97
NO_LIMITS = Limits(max_stanzas=10**9, max_bytes=10**12, max_links_address=10**6)


class Sink:
    """A transport that takes everything and keeps nothing."""

    def write(self, data: bytes) -> None:
        """Take it."""


class Pair:
    """A sender and a recipient."""

    def __init__(self, sender: RelayProtocol, recipient: RelayProtocol, ack: bool) -> None:
        self._sender, self._recipient, self._ack = sender, recipient, ack
        self._sent = self._acknowledged = 0

    def say(self, lines: bytes, count: int) -> None:
        """One read of the sender's, and what it is answered with."""
        self._sender.dataReceived(lines)
        self._sent += count
        if self._ack and self._sent - self._acknowledged >= EVERY:
            self._acknowledged = self._sent
            self._recipient.dataReceived(b'{"stanza":"ack","h":%d}\n' % self._sent)


def connected(count: int, ack: bool) -> list[tuple[Pair, str, str]]:
    """Pairs of users at one relay, with their names."""
    house = house_with(1, limits=NO_LIMITS)
    (relay,) = house.relays.values()
    names = [f"u{number:03}" for number in range(2 * count)]
    for name in names:
        house.joined(relay, name, ack=ack)
    house.wait(1.0)
    links: dict[str, RelayProtocol] = {}
    for link in relay.factory.links:
        if isinstance(link.role, UserSession):
            sink: Any = Sink()
            link.transport, links[link.role.username] = sink, link
    couples = zip(names[::2], names[1::2], strict=True)
    return [(Pair(links[one], links[other], ack), one, other) for one, other in couples]


def cost(pairs: int, window: int, ack: bool, rounds: int) -> float:
    """Microseconds a message."""
    users, serial = connected(pairs, ack), 0
    reads = max(1, 200 // (pairs * window))
    times = []
    for _ in range(rounds):
        said = []
        for pair, one, other in users * reads:
            lines = b"".join(_message(one, other, serial + number) for number in range(window))
            said.append((pair, lines))
            serial += window
        began = time.process_time()
        for pair, lines in said:
            pair.say(lines, window)
        times.append((time.process_time() - began) / (len(said) * window))
    quick = sorted(times)[: max(1, rounds // 4)]
    return sum(quick) / len(quick) * 1e6


def _message(sender: str, recipient: str, number: int) -> bytes:
    return (
        f'{{"stanza":"message","from":"{sender}","to":"{recipient}","id":"{number:012}","body":"{BODY}"}}\n'
    ).encode()


def main() -> None:
    """Run, and print a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="times as many rounds")
    options = parser.parse_args()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as servers.startup.collect_seldom
    print(f"the {fast.FORM} form")
    for pairs, window, rounds in ((1, 1, 300), (200, 1, 100), (50, 16, 60), (200, 64, 12)):
        plain, acked = (cost(pairs, window, ack, rounds * options.rounds) for ack in (False, True))
        print(f"P{pairs:<4}W{window:<3} plain {plain:5.2f} us, acknowledged {acked:5.2f} us", flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""What a message costs the relay's own code, step by step: ``python -m benchmarks.steps``.

Real sessions of a real relay in one process, on connections that take every write: no kernel, no reactor and
no other process are in the figure, so that it can be had on a busy machine. It is CPU time a message,
the mean of the quickest quarter of the rounds. Each read holds a window of messages with ids; with
acknowledgement the recipient acknowledges after 100, as our library does at speed. ``--across`` has the
recipients at a second relay, and the figure is what both spend.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from typing import Any

from tests.servers.relay_house import House, house_with
from xjrelay.net.context import Limits
from xjrelay.net.protocol import Link
from xjrelay.servers.relay.mesh_end import MeshEnd
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


class Wire:
    """The two ends of a mesh link, each of whose reads is what the other wrote in one turn."""

    def __init__(self, ends: list[Link]) -> None:
        self._ends = ends
        self._waiting: list[list[bytes]] = [[] for _ in ends]
        for end, waiting in zip(ends, self._waiting[::-1], strict=True):
            end.transport = Sink()  # type: ignore[assignment]
            end.transport.write = waiting.append  # type: ignore[method-assign]

    def carry(self) -> None:
        """Each hears what the other has written."""
        for end, waiting in zip(self._ends, self._waiting, strict=True):
            if waiting:
                data = b"".join(waiting)
                waiting.clear()
                end.dataReceived(data)


class Pair:
    """A sender and a recipient.

    Args:
        sender: its relay's end of its link.
        recipient: likewise.
        ack: whether the recipient acknowledges.
        carry: has the relays hear one another.
    """

    def __init__(
        self, sender: RelayProtocol, recipient: RelayProtocol, ack: bool, carry: Callable[[], None]
    ) -> None:
        self._sender, self._recipient, self._ack, self._carry = sender, recipient, ack, carry
        self._sent = self._acknowledged = 0

    def say(self, lines: bytes, count: int) -> None:
        """One read of the sender's, and what it is answered with."""
        self._sender.dataReceived(lines)
        self._carry()
        self._sent += count
        if self._ack and self._sent - self._acknowledged >= EVERY:
            self._acknowledged = self._sent
            self._recipient.dataReceived(b'{"stanza":"ack","h":%d}\n' % self._sent)
            self._carry()


def connected(count: int, ack: bool, across: bool = False) -> list[tuple[Pair, str, str]]:
    """Pairs of users, each at one relay or (`across`) at two, with their names."""
    house = house_with(1 + across, limits=NO_LIMITS)
    relays = list(house.relays.values())
    names = [f"u{number:03}" for number in range(2 * count)]
    for number, name in enumerate(names):
        house.joined(relays[number % len(relays)], name, ack=ack)
    house.wait(1.0)
    links: dict[str, RelayProtocol] = {}
    for link in (link for relay in relays for link in relay.factory.links):
        if isinstance(link.role, UserSession):
            sink: Any = Sink()
            link.transport, links[link.role.username] = sink, link
    carry = Wire(_mesh_ends(house)).carry
    couples = zip(names[::2], names[1::2], strict=True)
    return [(Pair(links[one], links[other], ack, carry), one, other) for one, other in couples]


def _mesh_ends(house: House) -> list[Link]:
    """Both ends of the link of two relays, or none of one."""
    found: list[Link] = []
    for relay in house.relays.values():
        for name in relay.peers.linked:
            end = relay.switch.way_to(name)
            assert isinstance(end, MeshEnd)
            assert isinstance(end._link, Link)
            found.append(end._link)
    return found


def cost(pairs: int, window: int, ack: bool, rounds: int, across: bool = False) -> float:
    """Microseconds a message."""
    users, serial = connected(pairs, ack, across), 0
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
    parser.add_argument("--across", action="store_true", help="sender and recipient at two relays")
    options = parser.parse_args()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as servers.startup.collect_seldom
    print(f"the {fast.FORM} form")
    for pairs, window, rounds in ((1, 1, 300), (200, 1, 100), (50, 16, 60), (200, 64, 12)):
        plain, acked = (
            cost(pairs, window, ack, rounds * options.rounds, options.across) for ack in (False, True)
        )
        print(f"P{pairs:<4}W{window:<3} plain {plain:5.2f} us, acknowledged {acked:5.2f} us", flush=True)


if __name__ == "__main__":
    main()

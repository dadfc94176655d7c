# SPDX-License-Identifier: MIT
"""What a message costs the relay's own code, step by step: ``python -m benchmarks.steps``.

Real sessions of a real relay in one process, on connections that take every write: no kernel, no reactor and
no other process are in the figure, so that it can be had on a busy machine. It is CPU time a message,
the mean of the quickest quarter of the rounds. Each read holds a window of messages with ids; with
acknowledgement the recipient acknowledges after 100, as our library does at speed. ``--across`` has the
recipients at another relay than the senders, and the figure is what both spend.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import Any

from tests.servers.relay_house import House, house_with
from xjrelay.net.context import Limits
from xjrelay.net.protocol import Link
from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.protocol import RelayProtocol
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.wire import fast

EVERY = 100
READ = 65536
BODY = "#!#" + "x" * 97
NO_LIMITS = Limits(max_stanzas=10**9, max_bytes=10**12, max_links_address=10**6)


class Sink:
    """A transport that takes everything and keeps nothing."""

    def write(self, data: bytes) -> None:
        """Take it."""


class Wire:
    """The two ends of a mesh link, each of which reads what the other has written."""

    def __init__(self, ends: list[Link]) -> None:
        self._ends = ends
        self._waiting: list[list[bytes]] = [[] for _ in ends]
        for end, waiting in zip(ends, self._waiting[::-1], strict=True):
            end.transport = Sink()  # type: ignore[assignment]
            end.transport.write = waiting.append  # type: ignore[method-assign,assignment]

    def carry(self) -> None:
        """What was written is read, as much at once as a socket gives."""
        for end, waiting in zip(self._ends, self._waiting, strict=True):
            data = b"".join(waiting)
            waiting.clear()
            for at in range(0, len(data), READ):
                end.dataReceived(data[at : at + READ])


class Pair:
    """A sender and a recipient.

    Attributes:
        sent: how many messages were said.
    """

    def __init__(self, sender: RelayProtocol, recipient: RelayProtocol, ack: bool) -> None:
        self._sender, self._recipient, self._ack = sender, recipient, ack
        self.sent = self._acknowledged = 0

    def say(self, lines: bytes, count: int) -> None:
        """One read of the sender's."""
        self._sender.dataReceived(lines)
        self.sent += count

    def acknowledge(self, had: int) -> None:
        """The recipient has had so many."""
        if self._ack and had - self._acknowledged >= EVERY:
            self._acknowledged = had
            self._recipient.dataReceived(b'{"stanza":"ack","h":%d}\n' % had)


Said = list[tuple[Pair, bytes]]


class Conversations:
    """Pairs of users, with their names, and what lies between the two relays if there are two."""

    def __init__(self, pairs: list[tuple[Pair, str, str]], wire: Wire, across: bool) -> None:
        self.pairs = pairs
        self._wire = wire
        self._across = across

    def hold(self, said: Said, window: int) -> None:
        """All is said and acknowledged. Across, as much of it at once as makes a read of the mesh link, and
        the receipts of what came before come with it."""
        if not self._across:
            for pair, lines in said:
                pair.say(lines, window)
                pair.acknowledge(pair.sent)
            return
        at_once = max(1, READ // len(said[0][1]))
        before: list[tuple[Pair, int]] = []
        for at in range(0, len(said), at_once):
            now = said[at : at + at_once]
            for pair, lines in now:
                pair.say(lines, window)
            for pair, had in before:
                pair.acknowledge(had)
            self._wire.carry()
            before = [(pair, pair.sent) for pair, _ in now]
        for pair, had in before:
            pair.acknowledge(had)
        self._wire.carry()


def connected(count: int, ack: bool, across: bool) -> Conversations:
    """Pairs of users, each at one relay or (`across`) at two, half of them either way."""
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
    couples = zip(names[::2], names[1::2], strict=True)
    ways = (couple[:: -1 if number % 2 else 1] for number, couple in enumerate(couples))
    pairs = [(Pair(links[one], links[other], ack), one, other) for one, other in ways]
    return Conversations(pairs, Wire(_mesh_ends(house)), across)


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
    reads = max(-(-EVERY // window), 200 // (pairs * window))  # each round has its acknowledgements
    times = []
    for _ in range(rounds):
        said: Said = []
        for pair, one, other in users.pairs * reads:
            lines = b"".join(_message(one, other, serial + number) for number in range(window))
            said.append((pair, lines))
            serial += window
        began = time.process_time()
        users.hold(said, window)
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
    for pairs, window, rounds in ((1, 1, 300), (200, 1, 8), (50, 16, 16), (200, 64, 8)):
        plain, acked = (
            cost(pairs, window, ack, rounds * options.rounds, options.across) for ack in (False, True)
        )
        print(f"P{pairs:<4}W{window:<3} plain {plain:5.2f} us, acknowledged {acked:5.2f} us", flush=True)


if __name__ == "__main__":
    main()

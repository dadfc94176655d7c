# SPDX-License-Identifier: MIT
"""The relay's hot path without sockets: what was read goes in, what would be written is counted.

The same relay, links and sessions as in production, in this process, so that what else runs on the machine
changes neither how much is read at a time nor who is woken: the figure is our own code's alone. The suite is
that of the relay's tests.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.plan import body
from tests.servers.relay_house import House, house_with
from xjrelay.net.context import Limits
from xjrelay.servers.relay.service import Relay

PAIRS = 50
EVERY = 100
"""Messages an acknowledgement is for, as our library does at speed."""


class Sink:
    """Stands where a transport does, and takes whatever is written."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.heard.append(data)

    def count(self, needle: bytes) -> int:
        """How often this was written since the last look."""
        heard, self.heard = b"".join(self.heard), []
        return heard.count(needle)


@dataclass
class Talker:
    """One session: its link at the relay, and what is written to it."""

    link: Any
    sink: Sink
    had: int = 0

    def acknowledge(self) -> None:
        """All that it has had."""
        self.link.dataReceived(b'{"stanza":"ack","h":%d}\n' % self.had)


class HotPath:
    """Pairs of one sender and one receiver at one relay.

    Args:
        window: messages that come in one read.
        ack: sessions with acknowledgement.
    """

    def __init__(self, window: int, ack: bool) -> None:
        self._window = window
        self._ack = ack
        self._serial = 0
        house = house_with(1, limits=Limits(max_stanzas=10**9, max_bytes=10**12))
        (relay,) = house.relays.values()
        self.pairs = [
            (_talker(house, relay, f"s{number}", ack), _talker(house, relay, f"r{number}", ack))
            for number in range(PAIRS)
        ]

    def run(self, reads: int) -> float:
        """So many reads; microseconds of CPU a message.

        Raises:
            RuntimeError: not all came through.
        """
        batches = [(pair, self._lines(pair % PAIRS)) for pair in range(reads)]
        spent, came = 0.0, 0
        for pair, lines in batches:
            sender, receiver = self.pairs[pair % PAIRS]
            began = time.process_time()
            sender.link.dataReceived(lines)
            spent += time.process_time() - began
            came += self._take(receiver, b'"stanza":"message"')
            if self._ack and receiver.had % EVERY < self._window:
                began = time.process_time()
                receiver.acknowledge()
                spent += time.process_time() - began
                self._take(sender, b'"stanza":"receipt"')
                sender.acknowledge()
        if came != reads * self._window:
            raise RuntimeError(f"{came} of {reads * self._window} messages came through")
        return spent / came * 1e6

    def _take(self, talker: Talker, needle: bytes) -> int:
        came = talker.sink.count(needle)
        talker.had += came
        return came

    def _lines(self, number: int) -> bytes:
        lines = []
        for _ in range(self._window):
            self._serial += 1
            identity = b'"id":"%012d",' % self._serial if self._ack else b""
            ends = (number, number, identity, body(100))
            lines.append(b'{"stanza":"message","from":"s%d","to":"r%d",%b"body":"%b"}\n' % ends)
        return b"".join(lines)


def _talker(house: House, relay: Relay, name: str, ack: bool) -> Talker:
    house.joined(relay, name, ack=ack)
    (session,) = [session for session in relay.switch.sessions() if session.username == name]
    sink = Sink()
    link: Any = session.link
    link.transport = sink
    return Talker(link, sink)

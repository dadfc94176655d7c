# SPDX-License-Identifier: MIT
"""How long messages take at this relay, from their arrival to their outcome, by the way they went.

Only so many a second are timed (``domain.histogram.Sampling``), and none while nobody looks: without the
admin pages nothing refills the credit. Knows no message.
"""

from __future__ import annotations

from xjrelay.domain.histogram import Sampling


class Timings:
    """The three ways.

    Attributes:
        here: to a session of this relay.
        mesh: to a session of another relay.
        mailbox: to the disk.
    """

    __slots__ = ("here", "mailbox", "mesh")

    def __init__(self) -> None:
        self.here = Sampling()
        self.mesh = Sampling()
        self.mailbox = Sampling()

    @property
    def by_way(self) -> dict[str, Sampling]:
        """Each by its name."""
        return {"here": self.here, "mesh": self.mesh, "mailbox": self.mailbox}

    def refill(self) -> None:
        """Another second has begun: some more may be timed."""
        for way in (self.here, self.mesh, self.mailbox):
            way.refill()

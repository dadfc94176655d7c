# SPDX-License-Identifier: MIT
"""Which sessions may not be opened any more, though their tokens are still good.

A manager that ends a user's sessions tells every relay; a token handed out just before could
otherwise open one afterwards. What is revoked is remembered for as long as such a token lives.
Times are seconds from any clock that doesn't fall. Imports nothing.
"""

from __future__ import annotations

from collections import OrderedDict

MEMORY = 360.0
"""Seconds: a token's five minutes, and the difference that clocks may have on either side."""


class Revocations:
    """The highest revoked session number of each account's devices, for a while.

    Its size is bounded by what a manager revokes in `memory` seconds.

    Args:
        memory: seconds after which a revocation is forgotten.
    """

    def __init__(self, memory: float = MEMORY) -> None:
        self._memory = memory
        self._floors: OrderedDict[tuple[str, str | None], tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._floors)

    def add(self, key: str, resource: str | None, number: int, now: float) -> None:
        """Sessions up to `number` are revoked, of one device or (None) of all."""
        while self._floors and next(iter(self._floors.values()))[0] <= now:
            self._floors.popitem(last=False)
        _, known = self._floors.pop((key, resource), (now, 0))
        self._floors[key, resource] = (now + self._memory, max(known, number))

    def covers(self, key: str, resource: str, number: int, now: float) -> bool:
        """Whether a session is among those revoked."""
        floors = (self._floors.get((key, device), (now, -1)) for device in (resource, None))
        return any(until > now and number <= floor for until, floor in floors)

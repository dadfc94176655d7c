# SPDX-License-Identifier: MIT
"""How much anybody may ask: rates, back-off, and counts by address.

Plain arithmetic on times that the caller gives (seconds, from any clock that doesn't fall). What
is remembered of strangers is bounded: a table that is full forgets whoever has been quiet for
longest. Imports nothing of ours.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

MAX_REMEMBERED: Final = 65536
"""Addresses or accounts whose failures are remembered at a time: some 10 MB at most."""


_INSTANT = 1e-6  # seconds that only rounding makes


class TokenBucket:
    """A rate with a burst (the leaky bucket as a meter, ITU-T I.371).

    Args:
        rate: units a second that flow in.
        burst: units it holds; it starts full.
    """

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._then: float | None = None

    def take(self, now: float, units: float) -> float:
        """Use ``units``, which have been spent already; the seconds to wait before the next.

        The level may fall below zero: what was read is not dropped, the debt is waited off.
        """
        then = now if self._then is None else self._then
        self._then = now
        self._level = min(self._burst, self._level + max(0.0, now - then) * self._rate) - units
        return -self._level / self._rate if self._level < 0 else 0.0

    def spend(self, now: float, units: float = 1.0) -> bool:
        """Use ``units`` where there are as many; else nothing is used, and there is no debt."""
        self.take(now, 0.0)
        if self._level < units:
            return False
        self._level -= units
        return True


class Rates:
    """What a :class:`Meter` allows.

    Args:
        stanzas: a second.
        size: bytes a second.
        burst: seconds' worth of each that may come at once.
    """

    __slots__ = ("most_size", "most_stanzas", "size", "stanzas")

    def __init__(self, stanzas: float, size: float, burst: float) -> None:
        self.stanzas = stanzas
        self.size = size
        self.most_stanzas = stanzas * burst
        self.most_size = size * burst


class Meter:
    """Two rates at once, of which most looks cost two subtractions and no clock.

    What is left of each burst is counted down; the time is asked for only when one of them has
    run out. What flowed in meanwhile is then credited, at most a whole burst: over any time no more
    than rate x time + two bursts is let through.

    Args:
        rates: what flows in, and what may come at once; it starts with that. Shared by many.
        now: the time.
    """

    __slots__ = ("_rates", "_size", "_stanzas", "_then")

    def __init__(self, rates: Rates, now: float) -> None:
        self._rates = rates
        self._stanzas = rates.most_stanzas
        self._size = rates.most_size
        self._then = now

    def spend(self, stanzas: int, size: int) -> bool:
        """So much was read; False when something has run out, and :meth:`wait` must be asked."""
        self._stanzas -= stanzas
        self._size -= size
        return self._stanzas >= 0 and self._size >= 0

    def wait(self, now: float) -> float:
        """Seconds to read nothing for; 0.0 where what flowed in meanwhile is enough."""
        passed = max(0.0, now - self._then)
        self._then = now
        rates = self._rates
        self._stanzas = min(rates.most_stanzas, self._stanzas + passed * rates.stanzas)
        self._size = min(rates.most_size, self._size + passed * rates.size)
        wait = max(-self._stanzas / rates.stanzas, -self._size / rates.size)
        return wait if wait > _INSTANT else 0.0


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class BackOff:
    """Failures in a row make one wait, twice as long each time.

    Args:
        free: failures that cost nothing.
        first: seconds after the first failure beyond those.
        ceiling: the longest wait, in seconds.
        forget: seconds without a failure after which all is forgiven.
    """

    def __init__(
        self, free: int = 5, first: float = 1.0, ceiling: float = 300.0, forget: float = 3600.0
    ) -> None:
        self._free = free
        self._first = first
        self._ceiling = ceiling
        self._forget = forget
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._failures)

    def wait(self, who: str, now: float) -> float:
        """Seconds until ``who`` may try again; 0.0 for at once."""
        failures = self._failures.get(who)
        if failures is None or failures.count <= self._free:
            return 0.0
        since = now - failures.last
        if since >= self._forget:
            del self._failures[who]
            return 0.0
        exponent = min(failures.count - self._free - 1, 32)
        return max(0.0, min(self._first * 2.0**exponent, self._ceiling) - since)

    def failed(self, who: str, now: float) -> None:
        """One more failure."""
        failures = self._failures.get(who)
        if failures is None or now - failures.last >= self._forget:
            failures = self._failures[who] = _Failures(0, now)
            if len(self._failures) > MAX_REMEMBERED:
                self._failures.popitem(last=False)
        failures.count += 1
        failures.last = now
        self._failures.move_to_end(who)

    def succeeded(self, who: str) -> None:
        """All is forgiven."""
        self._failures.pop(who, None)


class Quota:
    """So many an address in so much time (registrations).

    Args:
        most: how many.
        period: in how many seconds.
    """

    def __init__(self, most: int, period: float) -> None:
        self._period = period
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._buckets)

    def give_back(self, who: str, now: float) -> None:
        """What was taken was not used after all."""
        bucket = self._buckets.get(who)
        if bucket is not None:
            bucket.take(now, -1)

    def take(self, who: str, now: float) -> bool:
        """Use one; False when there is none left, and then nothing was used."""
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = TokenBucket(self._most / self._period, self._most)
            if len(self._buckets) > MAX_REMEMBERED:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(who)
        if bucket.take(now, 1) > 0:
            bucket.take(now, -1)
            return False
        return True


class Seats:
    """How many each address holds at a time (connections).

    Args:
        most: for one address.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    def take(self, who: str) -> bool:
        """One more; False when that would be too many."""
        if self._taken.get(who, 0) >= self._most:
            return False
        self._taken[who] += 1
        return True

    def leave(self, who: str) -> None:
        """One fewer."""
        self._taken[who] -= 1
        if self._taken[who] <= 0:
            del self._taken[who]

    def __len__(self) -> int:
        """How many addresses hold any."""
        return len(self._taken)


def source(host: str, *, limit_loopback: bool = False) -> str | None:
    """Who an IP address is counted as, by the limits by address.

    IPv6 is counted by /64, since whoever has one such address has them all; an IPv4 address that a
    dual-stack socket shows as ``::ffff:...`` is the IPv4 address.

    Returns:
        None for whoever is not limited: this machine itself, unless ``limit_loopback``, and what
        is no IP address (a UNIX socket).
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is None and not address.is_loopback:
            return f"{IPv6Address(int(address) >> 64 << 64)}/64"
        address = mapped or address
    return None if address.is_loopback and not limit_loopback else str(address)

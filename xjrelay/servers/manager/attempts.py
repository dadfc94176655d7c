# SPDX-License-Identifier: MIT
"""Who may guess a password or make an account now: back-off by account, limits by address.

A guess is counted before it is looked at and forgiven when it was right, so that a hundred at once
on as many connections are not a hundred free ones. Whoever guesses at an account makes its next
login wait, except from addresses it has logged in from: so nobody is locked out at home by a
stranger elsewhere. Plain bookkeeping over :mod:`xjrelay.domain.limits`; it must not read a frame
or a store.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

from twisted.internet.interfaces import IReactorTime

from xjrelay.domain.limits import MAX_REMEMBERED, BackOff, Quota, source
from xjrelay.net.context import Context
from xjrelay.wire.errors import Code, RemoteError

HOUR = 3600.0


class SlowDown(RemoteError):
    """429, with ``retry_after``: whole seconds after which another try is worth it.

    Args:
        what: there was too much of.
        wait: seconds.
    """

    def __init__(self, what: str, wait: float) -> None:
        self.retry_after = max(1, math.ceil(wait))
        super().__init__(Code.SLOW_DOWN, f"too many {what}, try again in {self.retry_after} s")

    def answer(self, request_id: str | None = None) -> dict[str, Any]:
        """The usual keys, and ``retry_after``."""
        return {**super().answer(request_id), "retry_after": self.retry_after}


class Attempts:
    """What has been tried lately.

    Args:
        context: the clock, whether loopback is limited, and what counts refusals.
        free: wrong passwords in a row that cost an account nothing.
        ceiling: the longest that an account's next login waits, in seconds.
        failures: wrong passwords an hour from one address.
        registrations: new accounts an hour from one address.
    """

    def __init__(
        self, context: Context, free: int, ceiling: float, failures: int, registrations: int
    ) -> None:
        self._clock: IReactorTime = context.clock
        self._limited = context.counters.limited
        self._limit_loopback = context.limits.limit_loopback
        self._accounts = BackOff(free=free, ceiling=ceiling)
        self._failures = Quota(failures, HOUR)
        self._per_failure = HOUR / failures
        self._registrations = Quota(registrations, HOUR)
        self._per_registration = HOUR / registrations
        self._homes: OrderedDict[tuple[str, str | None], None] = OrderedDict()

    def guess(self, key: str, host: str) -> None:
        """Somebody is about to try a password for an account, which need not exist.

        Raises:
            SlowDown: not now; nothing was counted.
        """
        self.may_guess(key, host)
        now = self._clock.seconds()
        who = self._source(host)
        if who is not None and not self._failures.take(who, now):
            self._limited["address-failures"] += 1
            raise SlowDown("wrong passwords from this address", self._per_failure)
        if not self._is_home(key, host):
            self._accounts.failed(key, now)

    def may_guess(self, key: str, host: str) -> None:
        """Whether somebody may begin to try; counts nothing.

        Raises:
            SlowDown: not now.
        """
        wait = 0.0 if self._is_home(key, host) else self._accounts.wait(key, self._clock.seconds())
        if wait > 0:
            self._limited["login-failures"] += 1
            raise SlowDown("wrong passwords for this account", wait)

    def right(self, key: str, host: str) -> None:
        """It was the password: the guess is forgiven, and the account is at home there."""
        who = self._source(host)
        if who is not None:
            self._failures.give_back(who, self._clock.seconds())
        self._accounts.succeeded(key)
        if who is not None:
            self._homes[key, who] = None
            self._homes.move_to_end((key, who))
            if len(self._homes) > MAX_REMEMBERED:
                self._homes.popitem(last=False)

    def register(self, host: str) -> None:
        """Somebody is about to make an account.

        Raises:
            SlowDown: not now; nothing was counted.
        """
        who = self._source(host)
        if who is not None and not self._registrations.take(who, self._clock.seconds()):
            self._limited["address-registrations"] += 1
            raise SlowDown("registrations from this address", self._per_registration)

    def not_registered(self, host: str) -> None:
        """It made none after all."""
        who = self._source(host)
        if who is not None:
            self._registrations.give_back(who, self._clock.seconds())

    def _source(self, host: str) -> str | None:
        return source(host, limit_loopback=self._limit_loopback)

    def _is_home(self, key: str, host: str) -> bool:
        # An address that is not limited is nobody's home: behind it may be a proxy for everybody.
        return (key, self._source(host)) in self._homes

# SPDX-License-Identifier: MIT
"""How many users a machine can take, from what was measured on it: arithmetic, and nothing else.

A user costs each program a share of a core, some memory, a file. What there is of each, divided by what a
user takes of it, is a bound; the smallest bound is the answer and says what runs out first. Imports nothing
of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

SHARE = 0.7
"""Of a core, of the memory, of the disk: what may be used in the busiest hour. The rest is for what is not
foreseen."""

RETURN = 60.0
"""Seconds in which everybody is to be back after a restart; then all of the processor may be used."""

SPARE_FILES = 200
"""Files a program has open beside its users' connections."""

GROUP = 500
"""Messages that share a sync of the disk at the most."""

DAY = 86400.0
MONTH = 30.4 * DAY
HOSTED = 0.004
"""Dollars a message: the published price of a hosted service (docs/cost.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is.

    Attributes:
        cores: processors.
        memory: bytes that programs may have beside what is used now, our own suite not counted.
        files: that one process may open.
    """

    cores: int
    memory: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What was measured; seconds of a core, bytes, seconds.

    Attributes:
        message: at the relay, acknowledged, one at a time.
        message_elsewhere: of the same at the manager and the tracker.
        login: at the manager: with presence, roster and the opening of a session.
        login_relay: of the same at the relay.
        rest: of a session that says nothing, each second, at the manager and the relay.
        rest_relay: the relay's part of it.
        stored: a message for somebody away, stored and handed out, at the manager.
        stored_relay: of the same at the relay.
        new_key: the derivation of a new account's key.
        sync: of the disk, median.
        memory_manager: of one user there.
        memory_relay: of one session there.
        base: of all programs without users.
    """

    message: float
    message_elsewhere: float
    login: float
    login_relay: float
    rest: float
    rest_relay: float
    stored: float
    stored_relay: float
    new_key: float
    sync: float
    memory_manager: float
    memory_relay: float
    base: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What a user does.

    Attributes:
        messages: that one sends a day.
        busiest: the share of a day's messages and logins that its busiest hour has.
        away: the share of messages whose recipient is away.
        logins: a day.
        max_links: connections a listener takes.
    """

    messages: float = 40.0
    busiest: float = 0.1
    away: float = 0.3
    logins: float = 10.0
    max_links: int = 20_000

    @property
    def rate(self) -> float:
        """Messages a second of one user, in the busiest hour."""
        return self.messages * self.busiest / 3600

    @property
    def login_rate(self) -> float:
        """Logins a second of one user, in the busiest hour."""
        return self.logins * self.busiest / 3600


@dataclass(frozen=True, slots=True)
class Bound:
    """One thing there is not endlessly of.

    Attributes:
        what: it is.
        users: for how many it lasts.
        more: what to do for more.
    """

    what: str
    users: int
    more: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a machine can take.

    Attributes:
        bounds: the one that is reached first, first.
        relays: relay processes it is reckoned with.
        habits: of each user.
        most: messages a second, if the relays did nothing else.
    """

    bounds: tuple[Bound, ...]
    relays: int
    habits: Habits
    most: float

    @property
    def users(self) -> int:
        """How many it can take."""
        return self.bounds[0].users

    @property
    def rate(self) -> float:
        """Messages a second of all of them, in the busiest hour."""
        return self.users * self.habits.rate

    @property
    def monthly(self) -> float:
        """Messages a month of all of them."""
        return self.users * self.habits.messages * MONTH / DAY

    def price(self, monthly: float) -> float:
        """Money a message, where the machine costs so much a month."""
        return monthly / self.monthly if self.users else float("inf")


def plan(machine: Machine, costs: Costs, habits: Habits) -> Plan:
    """What runs out when, with a relay for each core that the manager leaves."""
    relays = max(1, machine.cores - 1)
    bounds = [*_processor(machine, costs, habits, relays), *_room(machine, costs, habits, relays)]
    bounds.append(_disk(costs, habits))
    bounds += _return(machine, costs, relays)
    bounds.sort(key=lambda bound: bound.users)
    return Plan(tuple(bounds), relays, habits, SHARE * relays / costs.message)


def _processor(machine: Machine, costs: Costs, habits: Habits, relays: int) -> list[Bound]:
    present, away = habits.rate * (1 - habits.away), habits.rate * habits.away
    relay = (
        costs.rest_relay
        + present * costs.message
        + away * costs.stored_relay
        + habits.login_rate * costs.login_relay
    )
    manager = (
        costs.rest
        - costs.rest_relay
        + present * costs.message_elsewhere
        + away * costs.stored
        + habits.login_rate * costs.login
    )
    return [
        Bound(
            f"the processor of the {_relays(relays)}",
            _times(SHARE * relays, relay),
            "more relays, on cores or machines of their own (xj status shows how they share the users)",
        ),
        Bound(
            "the processor of the manager",
            _times(SHARE, manager),
            "a faster core: a cluster has one manager; or fewer logins and less for users who are away",
        ),
        Bound(
            "the processors of this machine, all programs together",
            _times(SHARE * machine.cores, relay + manager),
            "more cores, or relays on another machine",
        ),
    ]


def _room(machine: Machine, costs: Costs, habits: Habits, relays: int) -> list[Bound]:
    links = min(machine.files - SPARE_FILES, habits.max_links)
    named = "--max-links" if habits.max_links < machine.files - SPARE_FILES else "files a process may open"
    raised = "--max-links N" if named == "--max-links" else "LimitNOFILE= in the unit, or ulimit -n"
    free = SHARE * machine.memory - costs.base
    return [
        Bound(f"connections of the manager ({named})", max(0, links), f"raise it: {raised}"),
        Bound(
            f"connections of the {_relays(relays)} ({named})", max(0, links * relays), f"raise it: {raised}"
        ),
        Bound("memory", _times(free, costs.memory_manager + costs.memory_relay), "more memory"),
    ]


def _disk(costs: Costs, habits: Habits) -> Bound:
    there = GROUP / costs.sync  # writes a second, where syncs are as full as they get
    writes = habits.rate * habits.away + habits.login_rate  # a login writes its session's number
    return Bound("syncs of the disk (mailbox, logins)", _times(SHARE * there, writes), "a faster disk")


def _return(machine: Machine, costs: Costs, relays: int) -> list[Bound]:
    every = costs.login + costs.login_relay
    return [
        Bound(
            f"logins at the manager, all within {RETURN:.0f} s of a restart",
            _times(RETURN, costs.login),
            "a faster core; or let the return take longer: nobody is refused, they wait",
        ),
        Bound(
            f"the processors, all back within {RETURN:.0f} s of a restart",
            _times(RETURN * machine.cores, every),
            "more cores; or let the return take longer: nobody is refused, they wait",
        ),
    ]


def _relays(count: int) -> str:
    return "relay" if count == 1 else f"{count} relays"


def _times(there: float, each: float) -> int:
    """How often something fits; what costs nothing fits a billion times."""
    return max(0, int(there / max(each, 1e-9 * max(there, 1e-9))))

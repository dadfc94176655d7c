# SPDX-License-Identifier: MIT
"""What grows with the number of users, relays and contacts, and what must not.

The figure of a curve is the relays' CPU time a message: 50 pairs, one message in flight each, bodies of 100
bytes. What the x axis counts is there meanwhile. Idle sessions are measured on the way.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ours
from benchmarks.house import House, accounts
from benchmarks.measure import Case, Course, cheapest
from benchmarks.ours import Settings, Suite, Traffic, User
from benchmarks.peers import FLOOR, MOSQUITTO_ACKNOWLEDGED, PEERS, Peer
from benchmarks.plan import Load, Plan, Run
from benchmarks.programs import Process

CONNECTED = (100, 1_000, 3_000, 10_000)
TALKING = (100, 1_000, 4_000)
ALL_TALK = "users, all of them talking"
ALL_TALK_AT_THE_FLOOR = "users, all of them talking, through the C forwarder"
RELAYS = (1, 3, 6, 12, 20)
CONTACTS = (10, 100, 1_000, 10_000)
PAIRS = 50
WARMUP = 0.1
XMPP_SESSIONS = 500
"""Where each session needs an account of its own, and making one takes time."""


@dataclass(frozen=True)
class Point:
    """One point of a curve; ``cpu`` in microseconds a message."""

    curve: str
    x: int
    cpu: float


@dataclass(frozen=True)
class Idle:
    """Sessions that say nothing: resident bytes of each, and the server's share of a core meanwhile."""

    server: str
    sessions: int
    each: float
    share: float


@dataclass(frozen=True)
class Lengths:
    """How long it takes.

    Args:
        seconds: of each lap.
        laps: of each point; the best counts.
        sessions: the most that are idle.
        rest: seconds for which they are watched: as long as a heartbeat at the least.
    """

    seconds: float = 0.2
    laps: int = 16
    sessions: int = CONNECTED[-1]
    rest: float = 16.0


def _case(lengths: Lengths, roving: bool = False) -> Case:
    return Case("", "", PAIRS, Run(PAIRS if roving else 1, lengths.seconds, WARMUP, roving=roving))


def _cpu(suite_relays: Sequence[Process], lengths: Lengths, plan: Plan) -> float:
    with Course(_case(lengths), suite_relays, plan) as course:
        return cheapest([course], lengths.laps)[0]


# -- users -----------------------------------------------------------------------------------


def users(lengths: Lengths, curves: bool = True) -> Iterator[Point | Idle]:
    """Ours with more and more sessions at rest: what those take, and a message between others beside them.

    A suite each, so that they can be measured by turns.

    Args:
        curves: False for the sessions at rest alone.
    """
    counts = [*(one for one in CONNECTED if curves and one < lengths.sessions), lengths.sessions]
    with ExitStack() as stack:
        courses = []
        for count in counts:
            suite = _suite(stack, count)
            (relay,) = suite.relays
            silent, before = _silent(suite.users(count)), relay.resident()
            stack.callback(Load(silent).end)
            if count == lengths.sessions:
                yield Idle("xjrelay", count, (relay.resident() - before) / count, _share(relay, lengths.rest))
            if curves:
                plan = ours.plan(suite, PAIRS, Traffic())
                courses.append(stack.enter_context(Course(_case(lengths), suite.relays, plan)))
        for count, cpu in zip(counts, cheapest(courses, lengths.laps), strict=False):
            yield Point("users connected, 100 of them talking", count, cpu)
    if curves:
        yield from _all_talk(lengths)


def _all_talk(lengths: Lengths) -> Iterator[Point]:
    """More and more users, all of whom talk; and the same through the floor: what the kernel alone makes
    dearer when more connections are in use than caches have room for."""
    with ExitStack() as stack:
        suite = _suite(stack, sum(TALKING))
        courses, points = [], []
        for count in TALKING:
            floor = FLOOR.start(_folder(stack), 0, None)
            stack.callback(floor.end)
            for name, processes, plan in (
                (ALL_TALK, suite.relays, ours.plan(suite, count // 2, Traffic())),
                (ALL_TALK_AT_THE_FLOOR, [floor], FLOOR.plan([(floor.port, floor.port)], count // 2, 100)),
            ):
                points.append((name, count))
                courses.append(stack.enter_context(Course(_case(lengths, roving=True), processes, plan)))
        found = zip(points, cheapest(courses, lengths.laps), strict=True)
        for (name, count), cpu in sorted(found, key=lambda one: one[0]):
            yield Point(name, count, cpu)


def _folder(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))


def _suite(stack: ExitStack, sessions: int) -> Suite:
    suite = Suite(_folder(stack), Settings(options=("--max-links", str(sessions + 5_000))))
    stack.callback(suite.end)
    return suite


def _silent(tokens: Sequence[User]) -> Plan:
    made = Plan()
    for user in tokens:
        made.conn(user.port, [ours.login(user, ack=False)])
    return made


def _share(process: Process, seconds: float) -> float:
    before = process.cpu_seconds()
    time.sleep(seconds)
    return (process.cpu_seconds() - before) / seconds


def idle_peers(lengths: Lengths, wanted: Callable[[str], bool]) -> Iterator[Idle]:
    """Every installed peer with as many receivers to whom nobody says anything."""
    for peer in PEERS:
        if peer.installed and wanted(peer.name) and peer is not MOSQUITTO_ACKNOWLEDGED:
            yield _idle_peer(peer, lengths)


def _idle_peer(peer: Peer, lengths: Lengths) -> Idle:
    with ExitStack() as stack:
        process = peer.start(_folder(stack), 0, None)
        stack.callback(process.end)
        count = lengths.sessions
        if peer.accounts:
            count = min(count, XMPP_SESSIONS)
            peer.accounts(process, [f"r{number}" for number in range(count)])
        before = process.resident()
        load = Load(peer.idle(process.port, count), Run(at_once=peer.at_once))
        stack.callback(load.end)
        held = process.resident() - before
        return Idle(peer.name, count, held / count, _share(process, lengths.rest / 15))


# -- relays ----------------------------------------------------------------------------------


def mesh(lengths: Lengths) -> Iterator[Point]:
    """More and more relays, all linked: what a message costs on one, and from one to another."""
    with ExitStack() as stack:
        suite = Suite(_folder(stack), Settings(cpus=(0, 1)))
        stack.callback(suite.end)
        for count in RELAYS:
            suite.grow(count)
            here = _cpu(suite.relays, lengths, _between(suite, 0, 0))
            yield Point("relays in the mesh, users of one", count, here)
            if count > 1:
                there = _cpu(suite.relays, lengths, _between(suite, 0, 2))
                yield Point("relays in the mesh, users of two", count, there)


def _between(suite: Suite, sends: int, receives: int) -> Plan:
    """Pairs of these two of the relays, or of one."""
    found: dict[int, list[User]] = {}
    ports = [suite.relays[number].port for number in (sends, receives)]
    enough = 2 * PAIRS if sends == receives else PAIRS
    while any(len(found.get(port, ())) < enough for port in ports):
        for user in suite.users(PAIRS):
            found.setdefault(user.port, []).append(user)
    chosen = [(found[ports[0]].pop(), found[ports[1]].pop()) for _ in range(PAIRS)]
    return ours.plan_of(suite, chosen, Traffic())


# -- contacts --------------------------------------------------------------------------------


def rosters(lengths: Lengths) -> Iterator[Point]:
    """One pair whose rosters grow, both logged in at the manager.

    One message in flight: with more, one pair falls into a rhythm of its own, all in one read or each in two,
    and a message costs twice as much in the one as in the other.
    """
    with ExitStack() as stack:
        names = [f"user{number}" for number in range(CONTACTS[-1])]
        owners = [f"{side}{count}" for count in CONTACTS for side in "rs"]
        contacts = [(f"{side}{count}", name) for count in CONTACTS for side in "rs" for name in names[:count]]
        house = House(_folder(stack), manager=("--max-roster", "20000"))
        stack.callback(house.end)
        house.seed(accounts([*names, *owners], 4096, contacts))
        house.start()
        courses = []
        for count in CONTACTS:
            plan = Plan()
            receives = _roster_session(stack, house, plan, f"r{count}")
            plan.receives()
            sends = _roster_session(stack, house, plan, f"s{count}")
            plan.sends(ours.message(f"s{count}", f"r{count}", Traffic()))
            plan.pair(sends, receives)
            case = Case("", "", 1, Run(1, lengths.seconds, WARMUP))
            courses.append(stack.enter_context(Course(case, house.relays, plan)))
        for count, cpu in zip(CONTACTS, cheapest(courses, lengths.laps), strict=True):
            yield Point("contacts in each roster", count, cpu)


def _roster_session(stack: ExitStack, house: House, plan: Plan, name: str) -> int:
    link = stack.enter_context(ours.login_at_manager(house.manager.port, name))
    link.sendall(b'{"stanza":"presence"}\n')
    for line in link.makefile():
        answer = json.loads(line)
        if "token" in answer:
            (relay,) = answer["component"]
            return plan.conn(
                relay["port"], [ours.login(User(name, answer["token"], relay["port"]), ack=False)]
            )
    raise RuntimeError(f"{name} was not logged in")

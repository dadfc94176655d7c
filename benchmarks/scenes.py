# SPDX-License-Identifier: MIT
"""What is measured of whom: the scenes, each a table, and in each ours beside every peer that can do it.

All servers run at the same time, idle but for the one that is measured, and each runs its laps by turns: what
the machine does meanwhile hits all of them alike.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import Case, Course, Row, in_turn
from benchmarks.ours import Settings, Suite, Traffic
from benchmarks.peers import (
    FLOOR,
    MOSQUITTO,
    MOSQUITTO_ACKNOWLEDGED,
    NATS,
    PEERS,
    Peer,
    Ports,
    routed_nats,
)
from benchmarks.plan import BUILD, Plan, Run
from benchmarks.programs import Process, make_certificate

SHAPES = ((1, 1), (200, 1), (50, 16), (200, 64))
"""Pairs of sender and receiver, and messages in flight a pair."""

SOME = ((200, 1), (50, 16))
"""Where four shapes would say no more than two."""

COMPILED_BUILD = BUILD / "compiled"
"""Where ``make bench-peers`` puts the compiled form; it is passed over where that isn't there."""

SIZES = (1024, 16 * 1024)

OURS, ACKNOWLEDGED, COMPILED = "xjrelay", "xjrelay, acknowledged", "xjrelay, compiled"
NAMED = "xjrelay, with ids"
"""What acknowledgement is compared with: the same messages, of sessions without it."""
ACROSS, ACROSS_ACKNOWLEDGED = "two relays, across", "two relays, across, acknowledged"
SPREAD = "two relays, users spread"
"""Each pair at one of the two; both relays on one core, so that none shares the generator's."""
TWO_CORES, TWO_CORES_ACKNOWLEDGED = "two relays, two cores", "two relays, two cores, acknowledged"

PLAIN, TLS, BODIES, OFFLINE, TAIL = "plain", "TLS 1.3", "bodies", "half offline", "half of the top rate"
TWO_FLOORS, TWO_NATS = "two of the floor, two cores", "two nats-servers, across"
TWO = {ACROSS, ACROSS_ACKNOWLEDGED, SPREAD, TWO_CORES, TWO_CORES_ACKNOWLEDGED, TWO_FLOORS, TWO_NATS}
TAILS = {OURS, ACKNOWLEDGED, FLOOR.name, NATS.name, MOSQUITTO.name}
"""Whose tail is measured."""
SCENES = (PLAIN, TLS, BODIES, OFFLINE, TAIL)

BURST = 16
"""Messages due together in the tail of what came in windows of 64."""

Planner = Callable[[int, int, bool], Plan]
"""Pairs, bytes of a body, whether half go to nobody."""


@dataclass(frozen=True)
class Options:
    """How long, how often, of whom.

    Args:
        seconds: of each lap.
        laps: of each case; the best counts.
        warmup: seconds before each lap.
        shapes: pairs and window.
        sizes: bytes of a body beside 100.
        only: servers whose name begins so; empty for all.
        peers: the others too, or ours alone.
    """

    seconds: float = 0.2
    laps: int = 16
    warmup: float = 0.05
    shapes: tuple[tuple[int, int], ...] = SHAPES
    sizes: tuple[int, ...] = SIZES
    only: tuple[str, ...] = ()
    peers: bool = True

    def wants(self, name: str) -> bool:
        """Whether a server is to be measured."""
        return not self.only or name.startswith(self.only)

    @property
    def some(self) -> tuple[tuple[int, int], ...]:
        """The shapes of the smaller scenes."""
        return tuple(shape for shape in self.shapes if shape in SOME) or self.shapes


@dataclass(frozen=True)
class Subject:
    """A server under measurement.

    Args:
        name: its row.
        processes: whose CPU time counts.
        plan: makes a plan.
        longest: bytes of a body that it can carry.
        at_once: connections logged in at a time.
        back: how many messages it has given back to their senders so far.
    """

    name: str
    processes: list[Process]
    plan: Planner
    longest: int
    at_once: int = 128
    back: Callable[[], int] = int


@contextmanager
def stage(options: Options, secure: bool) -> Iterator[list[Subject]]:
    """Everybody who takes part, running; ``secure``: those that speak TLS, with a certificate."""
    with ExitStack() as stack:
        found = []
        for peer in PEERS if options.peers else ():
            if not options.wants(peer.name) or not peer.installed or (secure and not peer.tls):
                continue
            try:
                found.append(_peer(stack, peer, max(pairs for pairs, _ in options.shapes), secure))
            except RuntimeError as error:
                print(f"{peer.name}: does not start, not measured: {error}", file=sys.stderr)
        mine = _ours(stack, options, secure)
        if not secure:
            found += _controls(stack, options)
        yield [*found[:1], *mine, *found[1:]]


def _folder(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))


def _peer(stack: ExitStack, peer: Peer, pairs: int, secure: bool) -> Subject:
    folder = _folder(stack)
    process = peer.start(folder, 0, make_certificate(folder) if secure else None)
    stack.callback(process.end)
    if peer.accounts:
        peer.accounts(process, [f"{kind}{number}" for kind in "rs" for number in range(pairs)])

    def plan(pairs: int, size: int, offline: bool) -> Plan:
        return peer.plan([(process.port, process.port)], pairs, size, offline, secure)

    return Subject(peer.name, [process], plan, peer.wire.longest, peer.at_once)


def _controls(stack: ExitStack, options: Options) -> list[Subject]:
    """Others as two servers: what that costs whoever does it, on a machine where they share the cores."""
    found = []
    if options.peers and options.wants(TWO_FLOORS):
        floors = []
        for cpu in (0, 1):
            floors.append(FLOOR.start(_folder(stack), cpu, None))
            stack.callback(floors[-1].end)
        found.append(_two(FLOOR, TWO_FLOORS, floors, [(floor.port, floor.port) for floor in floors]))
    if options.peers and options.wants(TWO_NATS) and NATS.installed:
        routed = []
        for process in routed_nats(_folder(stack), 0):
            routed.append(process)
            stack.callback(process.end)
        found.append(_two(NATS, TWO_NATS, routed, [(routed[0].port, routed[1].port)]))
    return found


def _two(peer: Peer, name: str, processes: list[Process], ports: Ports) -> Subject:
    def plan(pairs: int, size: int, offline: bool) -> Plan:
        return peer.plan(ports, pairs, size, offline)

    return Subject(name, processes, plan, peer.wire.longest, peer.at_once)


def _ours(stack: ExitStack, options: Options, secure: bool) -> list[Subject]:
    """Our relay with and without acknowledgement, and its compiled form; in the clear two of them, too."""
    one = [(OURS, Traffic()), (ACKNOWLEDGED, Traffic(ack=True))]
    if not secure:
        one.insert(1, (NAMED, Traffic(named=True)))
    across = [(ACROSS, Traffic(across=True)), (ACROSS_ACKNOWLEDGED, Traffic(across=True, ack=True))]
    one_core = [*across, (SPREAD, Traffic())]
    two_cores = [(TWO_CORES, Traffic()), (TWO_CORES_ACKNOWLEDGED, Traffic(ack=True))]
    found = _forms(stack, one, options, Settings(), secure)
    if COMPILED_BUILD.exists():
        found += _forms(stack, [(COMPILED, Traffic())], options, Settings(package=COMPILED_BUILD), secure)
    if not secure:
        found += _forms(stack, one_core, options, Settings(relays=2), secure)
        found += _forms(stack, two_cores, options, Settings(relays=2, cpus=(0, 1)), secure)
    return found


def _forms(
    stack: ExitStack, forms: list[tuple[str, Traffic]], options: Options, settings: Settings, secure: bool
) -> list[Subject]:
    forms = [(name, traffic) for name, traffic in forms if options.wants(name)]
    if not forms:
        return []
    folder = _folder(stack)
    certificate = make_certificate(folder) if secure else None
    suite = Suite(folder, replace(settings, certificate=certificate, manager=("--mailbox-max", "1000000")))
    stack.callback(suite.end)
    return [_form(suite, name, replace(traffic, tls=secure)) for name, traffic in forms]


def _form(suite: Suite, name: str, traffic: Traffic) -> Subject:
    def plan(pairs: int, size: int, offline: bool) -> Plan:
        return ours.plan(suite, pairs, replace(traffic, size=size, offline=offline))

    return Subject(name, suite.relays, plan, 60_000, back=suite.given_back)


# -- the scenes ------------------------------------------------------------------------------


def play(scene: str, found: list[Subject], options: Options, top: Iterable[Row] = ()) -> Iterator[Row]:
    """A scene's rows, one a measurement: those of the same case are for :func:`best`.

    Args:
        top: rows of the plain scene, from which :data:`TAIL` takes its rates.
    """
    if scene == TAIL:
        yield from _tail(found, options, top)
        return
    if scene in {BODIES, OFFLINE}:
        found = [subject for subject in found if subject.name not in {NAMED, COMPILED, *TWO}]
    if scene == OFFLINE:  # QoS 1 keeps nothing for a topic that nobody has: nothing to compare
        found = [subject for subject in found if subject.name != MOSQUITTO_ACKNOWLEDGED.name]
    for shape in options.shapes if scene in {PLAIN, TLS} else options.some:
        for size in options.sizes if scene == BODIES else (100,):
            yield from _shape(scene, found, shape, size, options)


def _shape(
    scene: str, found: list[Subject], shape: tuple[int, int], size: int, options: Options
) -> Iterator[Row]:
    """All of them in turn, each the best of its laps."""
    offline = scene == OFFLINE
    pairs, window = shape
    run = Run(window, options.seconds, options.warmup)
    with ExitStack() as stack:
        courses = []
        for subject in found:
            if size <= subject.longest:
                mine = replace(run, at_once=subject.at_once)
                case = Case(scene, subject.name, pairs, mine, size, each=2 if offline else 1)
                plan = subject.plan(pairs, size, offline)
                courses.append(stack.enter_context(Course(case, subject.processes, plan, subject.back)))
        yield from best(in_turn(courses, options.laps))


def _tail(found: list[Subject], options: Options, top: Iterable[Row]) -> Iterator[Row]:
    """Latency at half of the rate a server could carry: one message at a time, and in bursts."""
    rates = {(row.server, row.pairs, row.window): row.rate for row in top if row.scene == PLAIN}
    for pairs, window, burst in ((200, 1, 1), (200, 64, BURST)):
        with ExitStack() as stack:
            courses = []
            for subject in found:
                rate = rates.get((subject.name, pairs, window))
                if rate is not None and subject.name in TAILS:
                    run = Run(1, options.seconds, options.warmup, rate=rate / 2, burst=burst)
                    case = Case(TAIL, subject.name, pairs, run)
                    plan = subject.plan(pairs, 100, False)
                    courses.append(stack.enter_context(Course(case, subject.processes, plan, subject.back)))
            yield from (replace(row, window=burst) for row in best(in_turn(courses, options.laps)))


def best(rows: Iterable[Row]) -> list[Row]:
    """A row a case: of its laps the least CPU time, the greatest rate, the calmest times, all the lost.

    The times are of one lap: p99 of one beside p50 of another would say nothing.
    """
    merged: dict[tuple[str, str, tuple[int, int, int]], Row] = {}
    for row in rows:
        key = (row.scene, row.server, row.shape)
        old = merged.get(key)
        merged[key] = row if old is None else _better(old, row)
    return list(merged.values())


def _better(old: Row, new: Row) -> Row:
    calm = min(old, new, key=lambda row: row.p99)
    return replace(
        calm,
        cpu=min(old.cpu, new.cpu),
        rate=max(old.rate, new.rate),
        lost=old.lost + new.lost,
        back=old.back + new.back,
        memory=max(old.memory, new.memory),
    )


def missing() -> list[str]:
    """Peers that aren't installed."""
    return [peer.name for peer in PEERS if not peer.installed]

# SPDX-License-Identifier: MIT
"""What a manager costs beside XMPP servers: ``python -m benchmarks.manager``.

Accounts (registering, logging in), the roster (get, add, rename, remove) and presence, on our manager,
Prosody and ejabberd in turn, each on the same core with its own data on the same disk. For each operation:
the server's CPU time (the system's accounting of the process), the time from the first byte asked to the last
byte answered, and the bytes both ways; these also as zlib makes them of each direction of a connection, with
one dictionary as in XEP-0138, flushed after each operation. Nothing is deflated while times are taken.
"""

from __future__ import annotations

import argparse
import json
import re
import selectors
import statistics
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from xml.parsers import expat

import msgspec

from benchmarks import result, xmpp
from benchmarks.dialects import OWNER, serving
from benchmarks.programs import Process
from benchmarks.xmpp import CHEAP, Stream
from xjrelay.security.scram import DEFAULT_ROUNDS

SIZES = (1_000, 5_000, 10_000)
"""Contacts in the roster that is worked on."""

ACCOUNTS = 100
"""Registered and logged in, one after the other."""

CHANGES = 50
"""Contacts added, renamed and removed."""

GETS = 10
LISTENERS = 500
FANS = 20
"""Changes of presence, each heard by all listeners."""

DEFAULTS = {"ours": DEFAULT_ROUNDS, "prosody": 10_000, "ejabberd": 0}
"""Rounds of a password's key where nobody says anything; ejabberd keeps the password itself then."""


@dataclass
class Row:
    """One operation on one server; microseconds, bytes both ways.

    ``read`` is what a client in Python takes to parse the answer, JSON by msgspec, XML by expat.
    """

    server: str
    what: str
    contacts: int
    cpu: float
    elapsed: float
    sent: int
    heard: int
    sent_deflated: int
    heard_deflated: int
    read: float


@dataclass
class Measured:
    """Repetitions of one operation.

    Args:
        process: whose CPU time.
        apart: whether each is on a connection of its own.
    """

    process: Process
    apart: bool = False
    elapsed: list[float] = field(default_factory=list)
    cpu: float = 0.0
    traffic: list[tuple[bytes, bytes]] = field(default_factory=list)

    def add(self, stream: Stream, work: Callable[[], float | None]) -> None:
        """Do it once more; what it returns is the client's own work, in seconds, which doesn't count."""
        sent, heard = len(stream.sent), len(stream.heard)
        spent, began = self.process.cpu_seconds(), time.perf_counter()
        own = work() or 0.0
        self.elapsed.append(time.perf_counter() - began - own)
        self.cpu += self.process.cpu_seconds() - spent
        self.traffic.append((b"".join(stream.sent[sent:]), b"".join(stream.heard[heard:])))

    def row(self, server: str, what: str, contacts: int) -> Row:
        """What they come to."""
        count = len(self.elapsed)
        sent, heard = ([one[side] for one in self.traffic] for side in (0, 1))
        return Row(
            server,
            what,
            contacts,
            cpu=self.cpu / count * 1e6,
            elapsed=statistics.median(self.elapsed) * 1e6,
            sent=sum(map(len, sent)) // count,
            heard=sum(map(len, heard)) // count,
            sent_deflated=self._deflated(sent) // count,
            heard_deflated=self._deflated(heard) // count,
            read=statistics.median(reading_time(one) for one in heard) * 1e6,
        )

    def _deflated(self, pieces: list[bytes]) -> int:
        return sum(deflated([piece]) for piece in pieces) if self.apart else deflated(pieces)


def deflated(pieces: Iterable[bytes]) -> int:
    """Bytes that zlib makes of one direction of a connection, flushed after each piece."""
    stream = zlib.compressobj()
    return sum(len(stream.compress(piece)) + len(stream.flush(zlib.Z_SYNC_FLUSH)) for piece in pieces)


def reading_time(answer: bytes) -> float:
    """Seconds that parsing an answer takes."""
    began = time.process_time()
    if answer.startswith(b"{"):
        for line in answer.splitlines():
            msgspec.json.decode(line)
    else:
        parser = expat.ParserCreate()
        parser.StartElementHandler = lambda name, attributes: None
        parser.CharacterDataHandler = lambda text: None
        parser.Parse(b"<all xmlns:stream='s'>" + _without_headers(answer) + b"</all>", True)
    return time.process_time() - began


def _without_headers(answer: bytes) -> bytes:
    """The stanzas of a stream; that it begins, and begins again after a login, is left out."""
    return re.sub(rb"<\?xml[^>]*>|<stream:stream[^>]*>", b"", answer)


def run_accounts(kind: str, default: bool, report: Callable[[Row], None]) -> None:
    """Registering and logging in, each on a connection of its own, one after the other."""
    rounds = DEFAULTS[kind] if default else CHEAP
    names = [f"new{number}" for number in range(ACCOUNTS)]
    cost = f"{rounds:,} rounds" if rounds else "password kept"
    with serving(kind, rounds, [OWNER], 0) as server:
        for what, work in (
            ("register", server.register),
            ("log in, password", server.login),
            ("log in, SCRAM", server.prove),
        ):
            measured = Measured(server.process, apart=True)
            for name in names:
                stream = server.connect()
                measured.add(stream, partial(work, stream, name))
                stream.close()
            report(measured.row(server.name, f"{what} ({cost})", 0))


def run_roster(kind: str, contacts: int, report: Callable[[Row], None]) -> None:
    """A roster of so many: get it whole, add to it, rename and remove what was added."""
    names = [OWNER, *(f"contact{number:05}" for number in range(contacts + CHANGES))]
    with serving(kind, CHEAP, names, contacts) as server:
        stream = server.connect()
        server.login(stream, OWNER)
        said, end = server.get()
        measured = Measured(server.process)
        for _ in range(GETS):
            measured.add(stream, partial(_ask, stream, said, end))
        report(measured.row(server.name, "get", contacts))
        for what in ("add", "rename", "remove"):
            measured = Measured(server.process)
            for name in names[-CHANGES:]:
                said, needles = server.operations(name)[what]
                measured.add(stream, partial(stream.ask_all, said, needles))
            report(measured.row(server.name, what, contacts))
        stream.close()


def run_presence(kind: str, report: Callable[[Row], None]) -> None:
    """A change of presence, until every listener has heard it; the figures are for all of them."""
    names = [OWNER, *(f"listener{number}" for number in range(LISTENERS))]
    with serving(kind, CHEAP, names, 0 if kind != "ours" else LISTENERS) as server:
        owner = server.connect()
        server.login(owner, OWNER)
        owner.send(server.presence("first")[0])
        listeners = [server.listen(owner, name) for name in names[1:]]
        audience = _Audience(listeners)
        measured = Measured(server.process)
        for number in range(FANS):
            said, needle = server.presence(f"status {number}")
            measured.add(owner, partial(audience.hear, owner, said, needle))
        row = measured.row(server.name, f"presence to {LISTENERS}", LISTENERS)
        row.heard, row.heard_deflated = audience.heard(FANS)
        report(row)


class _Audience:
    """Connections that all wait for the same."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._selector = selectors.DefaultSelector()
        for stream in streams:
            self._selector.register(stream, selectors.EVENT_READ, stream)

    def hear(self, owner: Stream, said: bytes, needle: bytes) -> None:
        """Say it, and wait until everybody has heard something that ends like this."""
        for stream in self._streams:
            stream.heard.append(b"")
        owner.send(said)
        waiting = {stream.fileno() for stream in self._streams}
        while waiting:
            for key, _ in self._selector.select():
                heard = key.data.heard
                heard[-1] += key.data.read()
                if heard[-1].endswith(needle):
                    waiting.discard(key.fd)

    def heard(self, times: int) -> tuple[int, int]:
        """Bytes that all of them heard, each time; and deflated."""
        pieces = [stream.heard[-times:] for stream in self._streams]
        whole = sum(len(piece) for one in pieces for piece in one)
        return whole // times, sum(deflated(one) for one in pieces) // times


def _ask(stream: Stream, said: bytes, end: bytes) -> None:
    stream.ask(said, end)


def show(rows: Sequence[Row]) -> str:
    """The table, in Markdown: one operation after the other, the servers side by side."""
    lines = [
        "| operation | contacts | server | CPU, us | elapsed, us | asked | answered | deflated | read, us |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.what} | {row.contacts or ''} | {row.server} | {row.cpu:,.0f} | {row.elapsed:,.0f} "
            f"| {row.sent:,} | {row.heard:,} | {row.sent_deflated:,} + {row.heard_deflated:,} "
            f"| {row.read:,.0f} |"
        )
    return "\n".join(lines)


def write(page: Path, rows: Sequence[Row]) -> None:
    """Put the table in a page, with what it was measured on."""
    before, mark, rest = page.read_text("utf-8").partition("<!-- table -->\n")
    _, end, after = rest.partition("<!-- /table -->")
    run = result.new()
    on = "; ".join([run.date, *run.machine])
    page.write_text(f"{before}{mark}{on}.\n\n{show(rows)}\n{end}{after}", "utf-8")


def main() -> None:
    """Run, print a row a measurement, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--server", action="append", choices=("ours", *xmpp.SERVERS))
    parser.add_argument("--part", action="append", choices=("accounts", "roster", "presence"))
    parser.add_argument(
        "--contacts", action="append", type=int, metavar="N", help="default 1000, 5000, 10000"
    )
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--page", type=Path, help="where to write the table, between its two marks")
    options = parser.parse_args()
    parts = options.part or ("accounts", "roster", "presence")
    rows: list[Row] = []

    def report(row: Row) -> None:
        rows.append(row)
        print(f"{row.server:16} {row.what:36} {row.contacts or '':>6} {row.cpu:10.0f} us CPU", flush=True)

    for kind in options.server or ("ours", *filter(xmpp.installed, xmpp.SERVERS)):
        if "accounts" in parts:
            for default in (False, True):
                run_accounts(kind, default, report)
        if "roster" in parts:
            for contacts in options.contacts or SIZES:
                run_roster(kind, contacts, report)
        if "presence" in parts:
            run_presence(kind, report)
    rows.sort(key=lambda row: (row.what, row.contacts))
    print(show(rows))
    if options.page:
        write(options.page, rows)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""What is fuzzed: one function a target, given any bytes, that raises when a promise is broken.

The promises: nothing raises or is logged as a failure; a frame means one thing however it is cut and to
whichever parser; a stranger changes nothing; a user is heard only under its own name; a relay only under
those of users it announced; what is answered can be read; and a link that is gone leaves nothing behind.

Knows nothing of the fuzzer: the corpus is run through these in every test run, and ``__main__`` feeds them
what atheris makes up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from tests.fuzz.programs import ManagerRig, RelayRig, Rig, TrackerRig
from tests.net.lines import Line
from xjrelay.client.core import Login, ManagerCore, RelayCore, TrackerCore
from xjrelay.client.heard import Broken
from xjrelay.net.protocol import Link
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import TokenError, Verifier
from xjrelay.wire import address, codec, fast
from xjrelay.wire.address import InvalidAddress
from xjrelay.wire.errors import ProofError
from xjrelay.wire.framing import LF, ORIGINAL, Framer
from xjrelay.wire.grammar import Phase

Target = Callable[[bytes], None]
RigType = TypeVar("RigType", bound=Rig)

LIFE = 2000
"""Inputs after which a program is made anew: what one input leaves behind may matter to the next, within
bounds, and a crash has to be found again from few."""


TIMERS = 8
"""Timers that a program may have of its own because of somebody who was there: to dial it again, to give it
up. One left behind by each link would soon be more."""

MOMENT = 0.3
"""Seconds that pass after each input: long enough for what is gathered, short for who is silent."""


class Promise(AssertionError):
    """A promise is broken."""


def check(holds: object, what: str, *about: object) -> None:
    """A promise; ``about`` is shown with it."""
    if not holds:
        raise Promise(f"{what}: {about!r}")


# -- the wire --------------------------------------------------------------------------------


def framing(data: bytes) -> None:
    """However a stream is cut, its frames are the same."""
    cut, stream = data[0] if data else 1, data[1:]
    whole, pieces = Framer(64), Framer(64)
    frames = whole.feed(stream)
    size = cut % 7 + 1
    cut_up = [frame for at in range(0, len(stream), size) for frame in pieces.feed(stream[at : at + size])]
    check(cut_up == frames, "cut or whole", cut_up, frames)
    check(pieces.too_long == whole.too_long, "too long or not")
    check(pieces.pending <= 64 + len(ORIGINAL) + size, "what is held back is bounded", pieces.pending)
    for frame in frames:
        check(0 < len(frame) <= 64 and whole.delimiter not in frame, "a frame", frame)


def frames(data: bytes) -> None:
    """What the codec accepts means the same to another parser, and goes on as one line."""
    try:
        value = codec.decode_value(data)
    except codec.BadFrame:
        return
    check(isinstance(value, dict | list | str | int | float | bool | None), "a JSON value", value)
    if not isinstance(value, dict):
        return
    pairs: list[tuple[str, Any]] = json.loads(data.decode("utf-8"), object_pairs_hook=list)
    check(len({name for name, _ in pairs}) == len(pairs), "a key twice", data)
    check(_same(json.loads(data.decode("utf-8")), value), "two parsers", data)
    forwarded = codec.forwardable(data, value)
    check(LF not in forwarded and ORIGINAL not in forwarded, "one line", forwarded)
    check(_same(codec.decode(forwarded), value), "forwarded", forwarded)
    check(_same(codec.decode(codec.encode(value)), value), "encoded", value)


def _same(one: object, other: object) -> bool:
    """Equal, and of the same types all the way down."""
    return repr(one) == repr(other)


def lanes(data: bytes) -> None:
    """What the fast lane recognises of the frames of a read, the slow lane reads alike, frame by frame."""
    framer = Framer()
    lines = framer.lines(framer.take(data))
    if not lines:
        return
    runs, is_all = fast.Reader().runs(lines)
    frames = lines.split(LF)[:-1]
    done = 0
    for run in runs:
        if isinstance(run, fast.PlainAck):
            check(codec.decode(frames[done]) == {"stanza": "ack", "h": run.h}, "lanes differ", frames[done])
            done += 1
            continue
        for at, frame in enumerate(run.lines.split(LF)[:-1]):
            value = codec.decode(frame)
            check(frame == frames[done], "another frame", frame, frames)
            check(codec.forwardable(frame, value) == frame, "forwarded as it came", frame)
            check(isinstance(value.pop("body"), str), "a body", frame)
            named = {"stanza": "message", "to": run.to, "from": run.from_}
            named |= {"id": run.ids[at]} if run.ids else {}
            check(value == named, "lanes differ", frame, frames)
            done += 1
    check(is_all == (done == len(frames)), "all or not", frames)
    reader, many = fast.Reader(), lines * (fast.FEW // len(lines) + 1)
    decoded, known = reader.runs(many), reader.runs(many)
    check(_flat(decoded) == _flat(known), "known by its spelling, and decoded", many)


def _flat(said: tuple[list[fast.Run | fast.PlainAck], bool]) -> tuple[list[object], list[str], bytes, bool]:
    """What was read, however it stands in rows."""
    runs = [run for run in said[0] if isinstance(run, fast.Run)]
    addresses = [one for run in said[0] for one in [(run.to, run.from_)] * getattr(run, "count", 1)]
    ids = [message_id for run in runs for message_id in run.ids]
    return [*addresses], ids, b"".join(run.lines for run in runs), said[1]


def names(data: bytes) -> None:
    """An address that is one has a key that is its own key."""
    with suppress(InvalidAddress, UnicodeDecodeError):
        text = data.decode("utf-8")
        given = address.parse(text)
        check(address.key(given.key) == given.key, "a key's key", text)
        check(0 < len(given.key) <= address.MAX_NAME and "/" not in given.key, "a key", given.key)


def token(data: bytes) -> None:
    """No bytes are a token."""
    verifier = Verifier(lambda: 0.0)
    with suppress(TokenError):
        verifier.user(data.decode("utf-8", "replace"), "relay1")
        raise Promise(f"a token out of nothing: {data!r}")


# -- servers, a link at a time ---------------------------------------------------------------


@implementer(ILogObserver)
class _Failures:
    """Hears of failures that a server logs instead of raising."""

    def __init__(self) -> None:
        self.last: LogEvent | None = None
        globalLogPublisher.addObserver(self)

    def __call__(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.last = event

    def take(self) -> None:
        """Raise what was logged."""
        event, self.last = self.last, None
        if event is not None:
            event["log_failure"].raiseException()


_failures = _Failures()


class Server:
    """A target: one program, and how a link of its kind is made.

    Args:
        make: makes the program.
        enter: a link in the state that is fuzzed, and its line.
        look: raises where a promise is broken, after each input; given what was heard on the line.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        enter: Callable[[Any], tuple[Link, Line]],
        look: Callable[[Any, list[Any]], None],
    ) -> None:
        self._make, self._enter, self._look = make, enter, look
        self._rig: Any = None
        self._left = 0
        self._timers = 0

    def __call__(self, data: bytes) -> None:
        """One input: the first byte says in how many reads the rest arrives."""
        if self._left == 0:
            self._rig, self._left = self._make(), LIFE
            self._timers = len(self._rig.clock.getDelayedCalls()) + TIMERS
        self._left -= 1
        rig = self._rig
        link, line = self._enter(rig)
        try:
            self._feed(rig, link, data)
            self._look(rig, _heard(link, line))
        except BaseException:
            self._left = 0
            raise
        rig.leave(link)
        left = len(rig.clock.getDelayedCalls())
        check(left <= self._timers, "links that are gone leave no timers", left)
        _failures.take()

    def _feed(self, rig: Any, link: Link, data: bytes) -> None:
        _failures.last = None  # in a run of other tests, theirs
        stream, reads = data[1:], (data[0] % 3 if data else 0) + 1
        size = max(1, -(-len(stream) // reads))
        for at in range(0, len(stream), size):
            if link.close_reason is None:
                link.dataReceived(stream[at : at + size])
                rig.settle()
        rig.clock.advance(MOMENT)
        _failures.take()


def _heard(link: Link, line: Line) -> list[Any]:
    """What the link was answered: whole frames that can be read."""
    written, line.writes = b"".join(line.writes), []
    # Before the stream has decided, answers end with LF; after, as it decided.
    if link.original:
        written = written.replace(b"}" + LF, b"}" + ORIGINAL)
    *whole, rest = written.split(ORIGINAL if link.original else LF)
    check(rest == b"", "an answer without its end", rest)
    return [codec.decode_value(frame) for frame in whole]


def _to_fajar(rig: ManagerRig | RelayRig) -> list[Any]:
    """What the bystander has heard since the last look."""
    return [frame for frame in rig.fajar_line.frames() if frame != {"type": "ping"}]


def _no_change(rig: TrackerRig, heard: list[Any]) -> None:
    check(len(rig.rendezvous.directory) == 1, "a stranger is listed", heard)


def _no_relay(rig: ManagerRig, heard: list[Any]) -> None:
    check(len(rig.manager.relays) == 0, "a stranger is a relay", heard)


def _own_name(rig: ManagerRig, heard: list[Any]) -> None:
    _no_relay(rig, heard)
    for frame in _to_fajar(rig):
        check(frame["stanza"] == "presence", "what Fajar hears", frame)
        check(frame["from"] in ("Esa", "Gita"), "who speaks to Fajar", frame)


def _one_relay(rig: ManagerRig, heard: list[Any]) -> None:
    check(len(rig.manager.relays) == 1, "a relay is one relay", heard)
    check(_to_fajar(rig) == [], "a relay speaks to nobody here")


def _nobody_heard(rig: RelayRig, heard: list[Any]) -> None:
    check(len(rig.relay.switch.table) == 1, "a stranger has a session", heard)
    check(rig.relay.peers.linked == [], "a stranger is a relay", heard)
    check(_to_fajar(rig) == [], "a stranger is heard")


def _heard_as(*speakers: str) -> Callable[[RelayRig, list[Any]], None]:
    def look(rig: RelayRig, heard: list[Any]) -> None:
        for frame in _to_fajar(rig):
            check(frame["stanza"] == "message" and frame["from"] in speakers, "who speaks to Fajar", frame)

    return look


def _announced(rig: RelayRig, heard: list[Any]) -> None:
    """Whom a relay speaks for, it has announced; none of them is ours."""
    for frame in _to_fajar(rig):
        if frame.get("error") and frame.get("code") in (401, 409):
            continue  # a newer session elsewhere ends ours: that a relay may say of anybody
        check(frame["stanza"] == "message", "what Fajar hears", frame)
        check(address.key(frame["from"].split("/")[0]) != "fajar", "who speaks to Fajar", frame)
    if not any(route.key == "fajar" for route in rig.relay.switch.table.local()):
        rig.fajar, rig.fajar_line = rig.user("Fajar", ack=False)


def _session(name: str, ack: bool) -> Callable[[RelayRig], tuple[Link, Line]]:
    return lambda rig: rig.user(name, ack)


# -- the client ------------------------------------------------------------------------------


def client(data: bytes) -> None:
    """Whatever a server says, the library's machines survive; the first byte chooses which."""
    which = data[0] % 4 if data else 0
    login = Login("esa", "rahasia")
    make: list[Callable[[], Any]] = [
        lambda: TrackerCore(("10.0.0.9", 1)),
        lambda: ManagerCore(("10.0.0.9", 1), login, lambda: "n" * 16),
        lambda: ManagerCore(("10.0.0.9", 1), login, lambda: "n" * 16),
        RelayCore,
    ]
    core = make[which]()
    if which == 2:
        core.phase = Phase.AT_MANAGER_USER
    elif which == 3:
        core.phase = Phase.AT_RELAY_USER
    events = core.receive(data[1:])
    broken = [event for event in events if isinstance(event, Broken)]
    check(len(broken) <= 1 and (not broken or events[-1] is broken[0]), "nothing follows the end", events)
    for frame in core.to_send().split(LF)[:-1]:
        codec.decode_value(frame)


def proof(data: bytes) -> None:
    """No SCRAM step is a proof of the cluster's secret."""
    first, _, last = data.decode("utf-8", "replace").partition("\n")
    server = _secret.server()
    with suppress(ProofError):
        server.first(first, "SCRAM-SHA-256")
        server.final(last)
        raise Promise(f"a proof out of nothing: {data!r}")


_secret = ClusterSecret("a-secret-of-the-fuzzer", nonce=lambda: "n" * 16, random_bytes=bytes)

TARGETS: dict[str, Target] = {
    "framing": framing,
    "frames": frames,
    "lanes": lanes,
    "names": names,
    "token": token,
    "proof": proof,
    "client": client,
    "tracker": Server(TrackerRig, TrackerRig.link, _no_change),
    "manager": Server(ManagerRig, ManagerRig.link, _no_relay),
    "manager_user": Server(ManagerRig, lambda rig: rig.user("Esa"), _own_name),
    "manager_relay": Server(ManagerRig, ManagerRig.relay, _one_relay),
    "relay": Server(RelayRig, RelayRig.link, _nobody_heard),
    "relay_user": Server(RelayRig, _session("Esa", True), _heard_as("Esa")),
    "relay_plain_user": Server(RelayRig, _session("Esa", False), _heard_as("Esa")),
    "mesh": Server(RelayRig, RelayRig.mesh, _announced),
}
"""Every target by name. A server's is named after its program and the kind of link."""

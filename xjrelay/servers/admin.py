# SPDX-License-Identifier: MIT
"""The operator's HTTP: is it alive, is it ready, what does it count, what became of a message.

``/healthz`` is 200 while the reactor turns and nothing is broken, ``/readyz`` 200 while every program serves
(registered, not draining); else both are 503, a line a reason. ``/metrics`` is Prometheus's text form,
``/status`` what ``xj status`` draws, ``/trace?id=...`` what is remembered of a message. Nothing here changes
anything; what does is the program's own page (``servers.acting``).

Two doors: the endpoint ``--admin``, where that is said, and a UNIX socket in the data folder
(``--admin-socket``), which the folder's owner alone can open.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from xjrelay import __version__
from xjrelay.domain.histogram import Histogram
from xjrelay.net.metrics import CONTENT_TYPE, Metrics, Part, Sample, Samples
from xjrelay.net.secure import Showing
from xjrelay.servers.listening import Listening
from xjrelay.servers.startup import Options, Program, StartupError
from xjrelay.wire.endpoints import is_loopback

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
SOCKET = "admin.sock"
MAX_PATH = 100
"""Bytes of a UNIX socket's path; systems take 104 or 108."""
MAX_BODY = 64 * 1024
"""Bytes of a request's body."""
MAX_CONNECTIONS = 256
"""At all doors together."""
PULSE = 1.0
"""Seconds between two looks at the clock."""

_log = Logger()


class _Page(Resource):
    """One address that answers GET.

    Args:
        answer: code and body, given what stands after the question mark.
        content_type: of a 200.
    """

    isLeaf = True

    def __init__(self, answer: Callable[[Mapping[str, str]], tuple[int, bytes]], content_type: str) -> None:
        super().__init__()
        self._answer = answer
        self._content_type = content_type

    def render(self, request: Request) -> bytes:
        """The answer of now."""
        code, body = 405, b"only GET\n"
        if request.method in (b"GET", b"HEAD"):
            code, body = self._answer(_asked(request))
        request.setResponseCode(code)
        content_type = self._content_type if code == 200 else TEXT
        request.setHeader(b"content-type", content_type.encode("ascii"))
        request.setHeader(b"content-length", b"%d" % len(body))
        return b"" if request.method == b"HEAD" else body


class _Near(_Page):
    """One that tells who wrote to whom, and so only whoever asks on the machine itself."""

    def render(self, request: Request) -> bytes:
        """The answer of now."""
        host = str(getattr(request.getClientAddress(), "host", "") or "")
        if host and not is_loopback(host.removeprefix("::ffff:")):
            request.setResponseCode(403)
            return b"only on the machine itself\n"
        return super().render(request)


class _Root(Resource):
    """The addresses there are; Twisted's own page for the others comes with a deprecation.

    Args:
        pages: those of the program, by the first part of the path; there may be more later.
    """

    def __init__(self, pages: Mapping[bytes, Resource]) -> None:
        super().__init__()
        self._pages = pages

    def getChild(self, path: bytes, request: Request) -> Resource:
        """One of the program's, or an address that is none."""
        if path in self._pages:
            return self._pages[path]
        return _Page(lambda asked: (404, b"not found\n"), TEXT)


class _Small(Request):
    """A request that can't fill the memory or the disk."""

    def handleContentChunk(self, data: bytes) -> None:
        """More of the body; beyond :data:`MAX_BODY` the connection is cut."""
        if self.content is not None and self.content.tell() + len(data) > MAX_BODY:
            transport: Any = self.transport
            transport.abortConnection()
            return
        super().handleContentChunk(data)


class _QuietSite(Site):
    """Health is asked every few seconds: no line of the log for that."""

    requestFactory = _Small

    noisy = False
    displayTracebacks = False

    def log(self, request: HTTPRequest) -> None:
        """Nothing."""


class Few(WrappingFactory):
    """So many connections at a time; the next is closed without a word. Each lasts 30 s without a request."""

    noisy = False

    def buildProtocol(self, addr: Any) -> Any:
        """One more, or None."""
        if len(self.protocols) >= MAX_CONNECTIONS:
            return None
        return super().buildProtocol(addr)


class Pulse(Service):
    """Looks at the clock every second: how late it does tells how busy the process, and its machine, is.

    Args:
        clock: the reactor.
        parts: whose ``pulse`` is called each time.

    Attributes:
        delays: how late.
    """

    def __init__(self, clock: IReactorTime, parts: Sequence[Part]) -> None:
        self.delays = Histogram()
        self._clock = clock
        self._parts = parts
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """From now on."""
        super().startService()
        self._beat()

    def stopService(self) -> None:
        """No more."""
        super().stopService()
        if self._call is not None and self._call.active():
            self._call.cancel()

    def samples(self) -> Samples:
        """What is to be said of the process."""
        yield Sample("xjrelay_reactor_delay_seconds", self.delays)

    def _beat(self) -> None:
        for part in self._parts:
            part.pulse()
        self._call = self._clock.callLater(PULSE, self._late, self._clock.seconds() + PULSE)

    def _late(self, due: float) -> None:
        self.delays.observe(self._clock.seconds() - due)
        self._beat()


def admin_site(
    reactor: Any,
    parts: Sequence[Part],
    process: str = "",
    pulse: Pulse | None = None,
    pages: Mapping[bytes, Resource] | None = None,
) -> Site:
    """The pages.

    Args:
        reactor: times connections out.
        parts: the programs in this process, all of which must be ready for it to be.
        process: what the process is called.
        pulse: how late its timers are.
        pages: what else is served, by the first part of the path.
    """
    metrics = Metrics(parts, (process, pulse.samples) if pulse is not None else None)
    root = _Root(pages if pages is not None else {})
    root.putChild(b"healthz", _Page(lambda asked: _reasons(parts, lambda part: part.broken, "ok"), TEXT))
    root.putChild(b"readyz", _Page(lambda asked: _reasons(parts, lambda part: part.missing, "ready"), TEXT))
    root.putChild(b"metrics", _Page(lambda asked: (200, metrics.text()), CONTENT_TYPE))
    root.putChild(b"status", _Page(lambda asked: (200, _json(status(parts, process))), JSON))
    root.putChild(b"trace", _Near(lambda asked: _traced(parts, asked.get("id", "")), JSON))
    return _QuietSite(root, timeout=30, reactor=reactor)


def add_admin(
    program: Program,
    reactor: Any,
    options: Options,
    tls: Showing | None = None,
    folder: Path | None = None,
) -> None:
    """The doors that are asked for; behind them the program's ``parts`` are seen.

    Args:
        program: gets the services.
        reactor: the real one.
        options: ``admin`` and ``admin-socket`` count here.
        tls: for an ``--admin`` on ``tls:``.
        folder: the data folder, in which the socket is; None for a program within a node.
    """
    doors = _socket(folder) if folder is not None and options["admin-socket"] == "on" else []
    wanted = [options["admin"]] if options["admin"] is not None else []
    if not doors and not wanted:
        return
    pulse = Pulse(reactor, program.parts)
    pulse.setServiceParent(program)
    site = Few(admin_site(reactor, program.parts, program.program, pulse, program.pages))
    Listening(reactor, wanted, site, options["allow-plaintext"], tls).setServiceParent(program)
    _Socket(reactor, doors, site).setServiceParent(program)


class _Socket(Listening):
    """The socket in the data folder. Whoever holds the folder's lock may take the place of an older one;
    a program that can't have it serves all the same, and says so."""

    def privilegedStartService(self) -> None:
        """Opens it, unless it is open."""
        if self.places:
            return
        for endpoint in self._endpoints:
            Path(endpoint.removeprefix("unix:").partition(":")[0]).unlink(missing_ok=True)
        try:
            super().privilegedStartService()
        except (StartupError, OSError) as error:
            _log.warn("no socket for xj status: {why}", why=error)


def _socket(folder: Path) -> list[str]:
    path = str(folder.absolute() / SOCKET)
    if len(os.fsencode(path)) > MAX_PATH or ":" in path or "\\" in path:
        short = _by_descriptor(folder)
        if short is None:
            _log.warn("no socket for xj status: {path} is too long, or has a colon", path=path)
            return []
        path = short
    return [f"unix:{path}:mode=600:lockfile=0"]


def _by_descriptor(folder: Path) -> str | None:
    """A short name for a folder whose own is too long, as long as this process lives."""
    if not Path("/proc/self/fd").is_dir() or not folder.is_dir():
        return None
    return f"/proc/self/fd/{os.open(folder, os.O_PATH | os.O_CLOEXEC)}/{SOCKET}"


def status(parts: Sequence[Part], process: str) -> dict[str, Any]:
    """Everything that ``xj status`` and ``xj top`` draw, for JSON.

    Returns:
        An object:
        ``{"process", "version", "time", "cpu", "programs": [{"program", "missing", "broken", "links",
        "counters", "queues", ...facts}]}``; ``time`` in seconds since the epoch, ``cpu`` in seconds.
    """
    return {
        "process": process,
        "version": __version__,
        "time": time.time(),
        "cpu": time.process_time(),
        "programs": [_seen(part) for part in parts],
    }


def _seen(part: Part) -> dict[str, Any]:
    counters, samples = part.counters, list(part.samples())
    queues: dict[str, list[float]] = {}
    for name, value, labels in samples:
        if name in ("xjrelay_queue_length", "xjrelay_queue_limit") and not isinstance(value, Histogram):
            queues.setdefault(labels[0], []).append(value)
    return {
        "program": part.program,
        "missing": list(part.missing()),
        "broken": list(part.broken()),
        "links": counters.links_open,
        "received": counters.frames_in,
        "sent": counters.frames_out,
        "limited": dict(counters.limited),
        "outcomes": _outcomes(part),
        "queues": queues,
        **part.facts(),
    }


def _outcomes(part: Part) -> dict[str, int]:
    told: dict[str, int] = {}
    for (word, _code), count in part.counters.outcomes.items():
        told[word] = told.get(word, 0) + count
    return told


def _traced(parts: Sequence[Part], message_id: str) -> tuple[int, bytes]:
    if not message_id:
        return 400, b"say of which message: /trace?id=...\n"
    notes = [
        {"program": part.program, "time": note.at, "event": note.event, "from": note.from_, "to": note.to}
        | {"id": message_id, "where": note.where}
        for part in parts
        if part.trace is not None
        for note in part.trace.find(message_id)
    ]
    remembered = sum(len(part.trace) for part in parts if part.trace is not None)
    return 200, _json({"events": notes, "remembered": remembered})


def _reasons(
    parts: Sequence[Part], why: Callable[[Part], Callable[[], Sequence[str]]], good: str
) -> tuple[int, bytes]:
    lines = [f"{part.program}: {reason}" for part in parts for reason in why(part)()]
    return (503, "".join(f"{line}\n" for line in lines).encode()) if lines else (200, f"{good}\n".encode())


def _asked(request: Request) -> dict[str, str]:
    """What stands after the question mark, each name's last value."""
    return {
        name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace")
        for name, values in (request.args or {}).items()
    }


def _json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"

# SPDX-License-Identifier: MIT
"""The operator's HTTP: is it alive, is it ready, what does it count.

``/healthz`` is 200 while the reactor turns, ``/readyz`` 200 while the program serves (registered, not
draining) and 503 otherwise, ``/metrics`` Prometheus's text form. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from xjrelay.net.metrics import CONTENT_TYPE, Metrics, Part
from xjrelay.servers.listening import Listening
from xjrelay.servers.startup import Options, Program

TEXT = "text/plain; charset=utf-8"


class _Page(Resource):
    """One address that answers GET with text."""

    isLeaf = True

    def __init__(self, answer: Callable[[], tuple[int, bytes]], content_type: str) -> None:
        super().__init__()
        self._answer = answer
        self._content_type = content_type

    def render(self, request: Request) -> bytes:
        """The answer of now."""
        code, body = self._answer() if request.method in (b"GET", b"HEAD") else (405, b"only GET\n")
        request.setResponseCode(code)
        request.setHeader(b"content-type", self._content_type.encode("ascii"))
        request.setHeader(b"content-length", b"%d" % len(body))
        return b"" if request.method == b"HEAD" else body


class _Root(Resource):
    """The addresses there are; Twisted's own page for the others comes with a deprecation."""

    def getChild(self, path: bytes, request: Request) -> Resource:
        """An address that is none of them."""
        return _Page(lambda: (404, b"not found\n"), TEXT)


class _QuietSite(Site):
    """Health is asked every few seconds: no line of the log for that."""

    noisy = False
    displayTracebacks = False

    def log(self, request: HTTPRequest) -> None:
        """Nothing."""


def admin_site(reactor: Any, parts: Sequence[Part]) -> Site:
    """The pages.

    Args:
        reactor: times connections out.
        parts: the programs in this process, all of which must be ready for it to be.
    """

    def ready() -> tuple[int, bytes]:
        waiting = [part.program for part in parts if not part.ready()]
        return (503, f"not ready: {', '.join(waiting)}\n".encode()) if waiting else (200, b"ready\n")

    metrics = Metrics(parts)
    root = _Root()
    root.putChild(b"healthz", _Page(lambda: (200, b"ok\n"), TEXT))
    root.putChild(b"readyz", _Page(ready, TEXT))
    root.putChild(b"metrics", _Page(lambda: (200, metrics.text()), CONTENT_TYPE))
    return _QuietSite(root, timeout=30, reactor=reactor)


def add_admin(
    program: Program, reactor: Any, options: Options, tls: IOpenSSLServerConnectionCreator | None = None
) -> None:
    """The service behind ``--admin``, where that is said; it shows the program's ``parts``."""
    if options["admin"] is not None:
        site = admin_site(reactor, program.parts)
        allowed = options["allow-plaintext"]
        Listening(reactor, [options["admin"]], site, allowed, tls).setServiceParent(program)

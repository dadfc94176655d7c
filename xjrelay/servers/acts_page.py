# SPDX-License-Identifier: MIT
"""Acts over HTTP: bytes to :class:`~xjrelay.servers.acting.Asked`, and the answer to bytes. No rules."""

from __future__ import annotations

from typing import Any
from typing import Protocol as Seam

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from xjrelay.servers.acting import Asked
from xjrelay.wire.endpoints import is_loopback

_log = Logger()

JSON = "application/json"


class Performing(Seam):
    """Who lets in, and does it (``servers.acting``)."""

    async def perform(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        """Status and answer."""


class ActsPage(Resource):
    """``/v1/``: a POST to what is below it is an act.

    Args:
        doorkeeper: who lets in.
    """

    isLeaf = True

    def __init__(self, doorkeeper: Performing) -> None:
        super().__init__()
        self._doorkeeper = doorkeeper

    def render(self, request: Request) -> Any:
        """The answer follows."""
        if request.method != b"POST":
            request.setHeader(b"allow", b"POST")
            return _write(request, 405, {"error": True, "code": 405, "msg": "only POST"})
        answer = Deferred.fromCoroutine(self._doorkeeper.perform(_asked(request)))
        gone = [False]
        # The act goes on, whoever still listens.
        request.notifyFinish().addErrback(lambda _: gone.__setitem__(0, True))

        def finish(outcome: tuple[int, dict[str, Any]]) -> None:
            if not gone[0]:
                request.write(_write(request, *outcome))
                request.finish()

        answer.addCallback(finish)
        answer.addErrback(lambda failure: _log.failure("an act's answer broke", failure))
        return NOT_DONE_YET


def _asked(request: Request) -> Asked:
    host = str(getattr(request.getClientAddress(), "host", "") or "")
    path = b"/".join(request.postpath or []).decode("utf-8", "replace")
    content = request.content.read() if request.content is not None else b""
    return Asked(
        act=path,
        authorization=(request.getHeader("authorization") or "")[:4096],
        body=content,
        host=host,
        is_private=request.isSecure() or not host or is_loopback(host.removeprefix("::ffff:")),
    )


def _write(request: Request, code: int, value: dict[str, Any]) -> bytes:
    body = msgspec.json.encode(value) + b"\n"
    request.setResponseCode(code)
    request.setHeader(b"content-type", JSON.encode())
    request.setHeader(b"content-length", b"%d" % len(body))
    request.setHeader(b"cache-control", b"no-store")
    if code == 401:
        request.setHeader(b"www-authenticate", b"Bearer")
    return body

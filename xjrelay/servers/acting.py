# SPDX-License-Identifier: MIT
"""What an operator may do over ``--admin``: by whom, in what order, and written down.

Each act is a POST of a JSON object to ``/v1/<name>`` with ``Authorization: Bearer TOKEN``. Every one,
and every one that was refused, has its place in the audit log; an act that changes something has two, and is
not begun before the first is on disk. Which acts there are is the program's business: this module
must not know a manager.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xjrelay.domain.limits import Quota
from xjrelay.security.admission import AdminToken, TokenBook, TokenRefused
from xjrelay.storage.interfaces import AuditLog, StoreError
from xjrelay.wire.errors import Code, RemoteError

_log = Logger()

MAX_SILENCED = 60
"""Refusals an hour, of all addresses, that the audit log tells singly; of more it gets the count."""
MINUTE, HOUR = 60.0, 3600.0
REFUSED, BEGUN, DONE, FAILED = "refused", "begun", "done", "failed"
SECRETS = ("password",)
"""Arguments that are nobody's to read, the audit log's least of all."""


class Arguments(msgspec.Struct, forbid_unknown_fields=True):
    """What is said with an act; none of its own."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing an operator may do.

    Args:
        scope: what its token must be for.
        doc: one line, for the page.
        takes: its arguments.
        run: does it; what it returns is the answer, a JSON object.
        changes: whether it changes anything.
    """

    scope: str
    doc: str
    takes: type[Arguments]
    run: Callable[[Any], Coroutine[Deferred[Any], Any, dict[str, Any]]]
    changes: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """An act as it came.

    Args:
        act: its name.
        authorization: the header.
        body: the JSON.
        host: the address it came from; empty for a UNIX socket.
        is_private: whether nobody between could read it.
    """

    act: str
    authorization: str
    body: bytes
    host: str
    is_private: bool


class Doorkeeper:
    """Lets operators in, and writes down what they do.

    Args:
        acts: by name.
        tokens: who may.
        audit: where it is written.
        clock: seconds since 1970.
        requests: acts a minute with one token.
        failures: refusals an hour for one address, before it is told nothing but 429.
        limited: counts how often either was reached.
    """

    def __init__(
        self,
        acts: Mapping[str, Act],
        tokens: TokenBook,
        audit: AuditLog,
        clock: IReactorTime,
        requests: int,
        failures: int,
        limited: Counter[str] | None = None,
    ) -> None:
        self._limited = Counter() if limited is None else limited
        self._acts = acts
        self._tokens = tokens
        self._audit = audit
        self._clock = clock
        self._requests = Quota(requests, MINUTE)
        self._failures = Quota(failures, HOUR)
        self._told = Quota(MAX_SILENCED, HOUR)
        self._silenced = 0

    async def perform(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        """Do it, or say why not.

        Returns:
            The status, and the answer: what the act returns, or ``{"error": true, "code", "msg"}``.
        """
        token: AdminToken | None = None
        try:
            token = self._admit(asked)
            act, arguments = self._understood(asked, token)
        except RemoteError as error:
            await self._refused(asked, token, error)
            return _answer(error)
        return await self._perform(asked, token, act, arguments)

    def _admit(self, asked: Asked) -> AdminToken:
        """Whose request it is. One that shows a good token is never held up by those that don't."""
        if not asked.is_private:
            raise RemoteError(Code.TLS_REQUIRED, "a token is shown over TLS, or on the machine itself")
        scheme, _, text = asked.authorization.partition(" ")
        try:
            token = self._tokens.check(text.strip() if scheme.lower() == "bearer" else "")
        except TokenRefused as error:
            if not self._failures.take(asked.host, self._clock.seconds()):
                self._limited["admin-failures"] += 1
                raise RemoteError(Code.SLOW_DOWN, "too many refusals from this address") from None
            raise RemoteError(Code.UNAUTHORIZED, str(error)) from None
        if not self._requests.take(token.id, self._clock.seconds()):
            self._limited["admin-requests"] += 1
            raise RemoteError(Code.SLOW_DOWN, "too many acts a minute with this token")
        return token

    def _understood(self, asked: Asked, token: AdminToken) -> tuple[Act, Any]:
        act = self._acts.get(asked.act)
        if act is None:
            raise RemoteError(Code.NOT_FOUND, "there is no such act")
        if act.scope not in token.scopes:
            raise RemoteError(Code.FORBIDDEN, f"the token is not for {act.scope}")
        try:
            return act, msgspec.json.decode(asked.body or b"{}", type=act.takes)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteError(Code.BAD_REQUEST, str(error)) from None

    async def _perform(
        self, asked: Asked, token: AdminToken, act: Act, arguments: Any
    ) -> tuple[int, dict[str, Any]]:
        entry = self._entry(asked, token.id, _shown(arguments))
        if act.changes:
            try:
                await self._write(entry, outcome=BEGUN)
            except StoreError as error:
                _log.error("{act} was not done: {why}", act=asked.act, why=str(error))
                return _answer(RemoteError(Code.NOT_NOW, "the audit log can't be written; nothing was done"))
        try:
            answer = await act.run(arguments)
        except RemoteError as error:
            await self._outcome(entry, FAILED, code=int(error.code), why=error.msg)
            return _answer(error)
        except StoreError as error:
            _log.error("{act} failed: {why}", act=asked.act, why=str(error))
            await self._outcome(entry, FAILED, code=int(Code.NOT_NOW), why=str(error))
            return _answer(RemoteError(Code.NOT_NOW, "not now, try again"))
        except Exception:
            _log.failure("{act} broke", act=asked.act)
            await self._outcome(entry, FAILED, code=500, why="internal error")
            return 500, {"error": True, "code": 500, "msg": "internal error; see the log"}
        await self._outcome(entry, DONE)
        return int(Code.OK), answer

    async def _refused(self, asked: Asked, token: AdminToken | None, error: RemoteError) -> None:
        """Tell the audit log, unless strangers have given it so much lately that it would only fill."""
        stranger = token is None and not self._told.take("", self._clock.seconds())
        if stranger or error.code is Code.SLOW_DOWN:
            self._silenced += 1
            return
        entry = self._entry(asked, token.id if token is not None else _id_of(asked), {})
        await self._outcome(entry, REFUSED, code=int(error.code), why=error.msg)

    def _entry(self, asked: Asked, who: str, arguments: dict[str, Any]) -> dict[str, Any]:
        act = asked.act if asked.act in self._acts else "?"
        return {"who": who, "from": asked.host or "unix", "act": act, "args": arguments}

    async def _outcome(self, entry: Mapping[str, Any], outcome: str, **more: Any) -> None:
        """What came of it. It has come of it already: a log that can't be written is no reason to deny it."""
        try:
            await self._write(entry, outcome=outcome, **more)
        except StoreError as error:
            _log.error("{act} by {who} is {outcome}: {why}", outcome=outcome, why=str(error), **_named(entry))

    async def _write(self, entry: Mapping[str, Any], **more: Any) -> None:
        silenced, self._silenced = self._silenced, 0
        if silenced:
            more["silenced"] = silenced
        at = int(self._clock.seconds() * 1000)
        try:
            number = await self._audit.append({"at": at, **entry, **more})
        except StoreError:
            self._silenced += silenced
            raise
        _log.info(
            "audit {number}: {act} by {who}: {outcome}",
            number=number,
            outcome=more["outcome"],
            **_named(entry),
        )


def _named(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"act": entry["act"], "who": entry["who"] or "nobody"}


def _shown(arguments: Any) -> dict[str, Any]:
    said = {name: value for name, value in msgspec.to_builtins(arguments).items() if value not in (None, "")}
    return {name: "(not shown)" if name in SECRETS else value for name, value in said.items()}


def _answer(error: RemoteError) -> tuple[int, dict[str, Any]]:
    return int(error.code), error.answer()


def _id_of(asked: Asked) -> str:
    """Which token was shown in vain, so far as it says; nothing of its secret."""
    parts = asked.authorization.split("_")
    id = parts[1] if len(parts) > 2 else ""
    return id if len(id) == 8 and set(id) <= set("0123456789abcdef") else ""

# SPDX-License-Identifier: MIT
"""What every iq has in common: its checks, its result, its error (protocol, section 2; RFC 6120, 8.2).

What is wrong in an iq is answered in an iq: the stanza sent back with its condition. What an iq asks
for is its namespace's module's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger

from xjrelay.servers.manager.presence import is_self
from xjrelay.servers.manager.users import User
from xjrelay.storage.interfaces import StoreError
from xjrelay.wire.errors import Condition, StanzaError
from xjrelay.wire.stanzas import MAX_ID, Iq

_log = Logger()


async def answering(user: User, iq: Iq, carry_out: Callable[[], Awaitable[None]]) -> None:
    """Check what all iqs must be, carry one out, and answer it where that is an error."""
    try:
        _check(user, iq)
        await carry_out()
    except StanzaError as error:
        user.send(_error(user, iq, error))
    except StoreError as error:
        _log.error("{link}: the store failed: {why}", link=user.link.name, why=error)
        user.send(_error(user, iq, StanzaError(Condition.RESOURCE_CONSTRAINT)))


def result(user: User, iq: Iq, query: dict[str, Any] | None) -> Iq:
    """The outcome of an iq that was carried out."""
    return Iq(
        namespace=iq.namespace,
        to=user.username,
        type="result",
        query=query,
        subscription=iq.subscription,
        id=_request_id(iq),
    )


def _check(user: User, iq: Iq) -> None:
    if iq.id is not None and _request_id(iq) is None:
        raise StanzaError(Condition.BAD_REQUEST)
    if not isinstance(iq.from_, str) or not isinstance(iq.query, dict):
        raise StanzaError(Condition.BAD_REQUEST)
    if not is_self(user, iq.from_):
        raise StanzaError(Condition.FORBIDDEN)


def _request_id(iq: Iq) -> str | None:
    return iq.id if isinstance(iq.id, str) and len(iq.id) <= MAX_ID else None


def _error(user: User, iq: Iq, error: StanzaError) -> Iq:
    # An account's query holds passwords: nothing is gained by sending them back.
    query = None if iq.namespace == "account" else iq.query
    return Iq(
        namespace=iq.namespace,
        to=user.username,
        type="error",
        query=query,
        subscription=iq.subscription,
        error=error.payload(),
        id=_request_id(iq),
    )

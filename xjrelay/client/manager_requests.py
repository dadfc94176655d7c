# SPDX-License-Identifier: MIT
"""What a user asks of the manager: iqs that are answered, presences that are taken (RFC 6120, section 8).

Between the roster, the presence and the account, which know what to ask, and :mod:`manager_side`, which has
the link and waits for it. Each request ends within :data:`ASK_TIMEOUT`, and none begins on a closed client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xjrelay.client.errors import Refused
from xjrelay.client.manager_side import ManagerSide
from xjrelay.wire import stanzas

ASK_TIMEOUT = 30.0
"""Seconds to a manager's answer."""


class ManagerRequests:
    """Asks in the user's name.

    Args:
        manager: carries the requests.
        check_open: raises what a request on a closed client ends in.
    """

    def __init__(self, manager: ManagerSide, check_open: Callable[[], None]) -> None:
        self.check_open = check_open
        self._manager = manager

    @property
    def username(self) -> str:
        """The user, in the registered spelling."""
        return self._manager.username

    async def iq(
        self, type: str, query: dict[str, Any], subscription: str | None = None, namespace: str = "roster"
    ) -> stanzas.Iq:
        """Ask by an iq, and wait for its result.

        Raises:
            Refused: the manager said no, or something else.
            Disconnected, TimedOut: there was no answer; what was asked may have been done all the same.
        """
        self.check_open()
        answer = await self._manager.request(
            lambda request_id: stanzas.Iq(
                namespace=namespace,
                from_=self.username,
                type=type,
                query=query,
                subscription=subscription,
                id=request_id,
            ),
            ASK_TIMEOUT,
        )
        if not isinstance(answer, stanzas.Iq):
            raise Refused(400, "the manager answered something else")
        return answer

    async def tell(self, presence: stanzas.Presence) -> None:
        """Say a presence, and wait until it was taken.

        Raises:
            Refused, Disconnected, TimedOut: as for :meth:`iq`.
        """

        def build(request_id: str) -> stanzas.Stanza:
            presence.id = request_id
            return presence

        await self._manager.tell(build, ASK_TIMEOUT)

# SPDX-License-Identifier: MIT
"""The user's account, as its owner changes it at the manager: another password, no account any more.

Both prove the password once more, by the one the login has; nothing else is kept here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from xjrelay.client.manager_requests import ManagerRequests
from xjrelay.client.manager_side import ManagerSide


class UserAccount:
    """The account one is logged in with.

    Args:
        requests: asks the manager.
        manager: has the password, for the next login.
        close: closes the client.
    """

    def __init__(
        self, requests: ManagerRequests, manager: ManagerSide, close: Callable[[], Awaitable[None]]
    ) -> None:
        self._requests = requests
        self._manager = manager
        self._close = close

    async def change_password(self, new: str) -> None:
        """Another password for the account.

        Every session of the account ends, on every relay; this client's own is opened again by itself.

        Args:
            new: no white space, at most 1,024 characters.

        Raises:
            Refused: 400 it can't be a password; 401 the one we know isn't the account's any more; 426
                somebody could read it on the way; 429 too many wrong ones lately.
            Disconnected, TimedOut: perhaps it was changed all the same; a new login with each will tell.
        """
        query = {"current": self._manager.password, "password": new}
        await self._requests.iq("set", query, namespace="account")
        self._manager.learn_password(new)

    async def remove(self) -> None:
        """Remove the account, with its contacts and all that waits for it, and close.

        Raises:
            Refused, Disconnected, TimedOut: as for :meth:`change_password`.
        """
        query = {"current": self._manager.password, "remove": True}
        await self._requests.iq("set", query, namespace="account")
        await self._close()

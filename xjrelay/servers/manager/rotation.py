# SPDX-License-Identifier: MIT
"""Changes the key that tokens are signed with, from time to time and with nobody logged out.

Relays hear of the new key at once and of tokens signed with it a minute later; the old one stays
good for what it signed. It must not read a key.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xjrelay.security.private import PrivateFileError
from xjrelay.servers.manager.state import Manager
from xjrelay.wire.errors import Code, RemoteError

_log = Logger()

DAY = 86400.0
AGAIN = 3600.0
"""Seconds after which a rotation that failed is tried again."""


class Rotation(Service):
    """Rotates while it runs.

    Args:
        manager: whose keys.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """Waits for the newest key to come of age; it may have, while nobody ran."""
        super().startService()
        self._wait(self._manager.policy.signing_key_days * DAY - self._manager.signer.age)

    def stopService(self) -> None:
        """Rotates no more."""
        super().stopService()
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _wait(self, seconds: float) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = self._manager.context.clock.callLater(max(0.0, seconds), self._rotate)

    def rotate(self) -> int:
        """Change the key now; how many are known from then on.

        Raises:
            RemoteError: 503, the new one could not be kept; all is as before.
        """
        try:
            keys = self._manager.signer.rotate()
        except PrivateFileError as error:
            _log.error("the signing key could not be changed: {why}", why=str(error))
            raise RemoteError(Code.NOT_NOW, "the new key could not be kept; see the log") from None
        self._manager.relays.push_keys()
        _log.info("tokens have a new signing key, {count} are known", count=len(keys))
        if self.running:
            self._wait(self._manager.policy.signing_key_days * DAY)
        return len(keys)

    def _rotate(self) -> None:
        try:
            self.rotate()
        except RemoteError:
            self._wait(AGAIN)

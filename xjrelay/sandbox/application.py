# SPDX-License-Identifier: MIT
"""A user's application under faults: it writes, takes what comes, is slow, goes, dies, comes back.

What happens to it is decided by :mod:`checker`; what it was shown it writes into its life in the
:mod:`book`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.client.errors import ClientError
from xjrelay.client.model import Direct, Receipt
from xjrelay.client.tx import Client
from xjrelay.sandbox.book import Book, Life, Name
from xjrelay.sandbox.suite import Sandbox

_log = Logger()

TRY_AGAIN = 2.0
"""Seconds after which an application that could not log in tries again."""

PATIENCE = 1e6
"""Seconds a message waits for its outcome: for ever."""


class Application:
    """One user's, over all its lives.

    Args:
        sandbox: where it runs.
        book: what it sends and is shown.
        name: the user's.
        folder: for its outbox files; without one it has none.
        direct: how it has direct links; None for none.

    Attributes:
        client: while it is online.
        directly: how many messages it wrote while a direct link led to their recipient.
        elsewhere: how many machines it has been on.
    """

    def __init__(
        self, sandbox: Sandbox, book: Book, name: str, folder: Path | None, direct: Direct | None = None
    ) -> None:
        self.name = name
        self.directly = 0
        self._direct = direct
        self.client: Client | None = None
        self.elsewhere = 0
        self._sandbox = sandbox
        self._book = book
        self._folder = folder
        self._outbox: Path | None = folder / f"{name}.0" if folder else None
        self._file = 0
        self._registered = False
        self._clients: list[Client] = []
        self._connecting: list[Deferred[Client]] = []
        self._life: Life | None = None
        self._pause: Deferred[None] | None = None

    @property
    def machine(self) -> str:
        """The machine it is on now."""
        return f"user {self.name}{'+' * self.elsewhere}"

    # -- its lives ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Log in, for as long as it takes, and take what comes; nothing when that is so already."""
        if self._life is not None:
            return
        life = self._life = self._book.life(self.name)
        self._connect(life)

    def _connect(self, life: Life) -> None:
        if self._life is not life:
            return
        register, outbox = not self._registered, str(self._outbox) if self._outbox else None
        connecting = self._sandbox.connect(
            self.name, machine=self.machine, register=register, outbox=outbox, direct=self._direct
        )
        self._connecting.append(connecting)
        connecting.addCallbacks(lambda client: self._online(life, client), lambda f: self._not_yet(life, f))
        connecting.addErrback(lambda failure: _log.failure("an application broke", failure))

    def _online(self, life: Life, client: Client) -> None:
        self._registered = True
        self._clients.append(client)
        if self._life is life:
            self.client = client
            reading = Deferred.fromCoroutine(self._read(life, client))
            reading.addErrback(lambda failure: _log.failure("an application broke", failure))

    def _not_yet(self, life: Life, failure: Failure) -> None:
        if failure.check(CancelledError, ConnectingCancelledError):
            return
        failure.trap(ClientError)
        if getattr(failure.value, "code", None) == 409:  # the answer to the registration was lost
            self._registered = True
        self._sandbox.clock.callLater(TRY_AGAIN, self._connect, life)

    async def _read(self, life: Life, client: Client) -> None:
        try:
            async for message in client.messages():
                if self._life is not life:
                    return
                sender, number = message.body.split()
                life.shown.append((sender, self.name, int(number)))
                if self._pause is not None:
                    await self._pause
                if self._life is not life:
                    return
        except ClientError:  # ended by a newer login of its own, which is another life
            return

    def close(self) -> None:
        """Leave in order: what has no outcome yet is given up, or kept in the file."""
        client, self.client = self.client, None
        self._end()
        if client is not None:
            closing = client.close()
            closing.addErrback(lambda failure: _log.failure("a client didn't close", failure))

    def die(self) -> None:
        """kill -9: of what it knew only its file is left, as the disk has it."""
        self.client = None
        self._end()
        self._sandbox.machine(self.machine).kill()
        if self._folder is not None and self._outbox is not None:
            old, self._file = self._outbox, self._file + 1
            self._outbox = self._folder / f"{self.name}.{self._file}"
            if old.exists():  # the dead process's lock can't be had here, where it is our own
                shutil.copyfile(old, self._outbox)

    def bury(self) -> None:
        """The run is over: end whatever a dead process left undone, lest that be done when its memory is
        freed, in the middle of another run."""
        self._life = None
        for connecting in self._connecting:
            connecting.cancel()
        for client in self._clients:
            client.close().addErrback(lambda failure: failure.trap(ClientError, CancelledError))

    def _end(self) -> None:
        self._life = None
        self.hurry()
        for name in self._book.unsettled(self.name):
            self._book.settle(name, "kept" if self._outbox is not None else "unknown")

    # -- what it does ------------------------------------------------------------------------

    def write(self, to: str) -> None:
        """The next message to somebody."""
        client, life = self.client, self._life
        if client is None or life is None:
            return
        name = self._book.send(self.name, to)
        self.directly += client.is_direct(to)

        def settle(status: str) -> None:
            if self._life is life:
                self._book.settle(name, status)

        sent = client.send(to, f"{self.name} {name[2]}", id=_id(name), timeout=PATIENCE)
        sent.addCallbacks(lambda receipt: settle(_status(receipt)), lambda failure: settle(_why(failure)))
        sent.addErrback(lambda failure: _log.failure("an application broke", failure))

    def dawdle(self) -> None:
        """Take nothing more until :meth:`hurry`."""
        if self._pause is None:
            self._pause = Deferred()

    def hurry(self) -> None:
        """Take what has come."""
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)


def _id(name: Name) -> str:
    return "-".join(map(str, name))


def _status(receipt: Receipt) -> str:
    return receipt.status if receipt.code is None else f"{receipt.status} {receipt.code}"


def _why(failure: Failure) -> str:
    failure.trap(ClientError)
    return type(failure.value).__name__

# SPDX-License-Identifier: MIT
"""What a tracker's links share: the directory, those who watch it, and its record on disk.

The live list is in memory and is the truth; the store remembers who has been there. A store that
fails is logged and stops nobody from finding anybody. Knows no sockets.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from xjrelay.domain.directory import Directory, identify, listed
from xjrelay.storage.interfaces import ComponentRow, DirectoryStore
from xjrelay.wire import codec
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.stanzas import ComponentHello

_log = Logger()

GATHER = 0.05
"""Seconds in which changes become one array to the watchers: a cluster that comes back at once
would otherwise cost the cube of its size."""


class Listener(Protocol):
    """A link, as far as this module sees it."""

    def send_frame(self, frame: bytes) -> bool:
        """Write an encoded frame."""

    def abort(self, reason: CloseReason) -> None:
        """Cut the link."""


class Rendezvous:
    """One tracker's state.

    Args:
        clock: gathers changes, and tells the time in seconds since the epoch.
        store: the record.
        lease: seconds a component stays listed without being heard.
    """

    def __init__(self, clock: IReactorTime, store: DirectoryStore, lease: float) -> None:
        self.directory: Directory[Listener] = Directory(lease)
        self._clock = clock
        self._store = store
        self._watchers: set[Listener] = set()
        self._telling: IDelayedCall | None = None

    @property
    def watchers(self) -> int:
        """How many links are told of each change."""
        return len(self._watchers)

    def start(self) -> None:
        """Nobody is live at the start: whoever was has to come back."""
        self._record(self._store.reset(self._now_ms()), "start")

    def stop(self) -> None:
        """Tells nobody any more."""
        if self._telling is not None and self._telling.active():
            self._telling.cancel()
        self._telling = None

    def array(self) -> bytes:
        """The live components, as a frame."""
        return codec.encode(self.directory.live())

    def join(self, hello: ComponentHello, link: Listener) -> None:
        """Lists a component that proved itself.

        Raises:
            SecondManager: another manager is live.
        """
        older = self.directory.join(hello, link, self._clock.seconds())
        if older is not None:
            older.abort(CloseReason.REPLACED)
        self._record(self._store.joined(_row(hello, self._now_ms())), identify(hello))
        self._changed()

    def leave(self, hello: ComponentHello, link: Listener) -> None:
        """Takes a component off the list, unless it is back by another link."""
        if self.directory.leave(hello, link):
            self._record(self._store.left(identify(hello), self._now_ms()), identify(hello))
            self._changed()

    def watch(self, link: Listener) -> None:
        """The link gets the array again after each change."""
        self._watchers.add(link)

    def forget(self, link: Listener) -> None:
        """The link is gone."""
        self._watchers.discard(link)

    def _changed(self) -> None:
        if self._watchers and self._telling is None:
            self._telling = self._clock.callLater(GATHER, self._tell)

    def _tell(self) -> None:
        self._telling = None
        array = self.array()
        for link in list(self._watchers):
            link.send_frame(array)

    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000)

    def _record(self, written: Deferred[Any], who: str) -> None:
        written.addErrback(lambda failure: _log.failure("{who} was not recorded", failure, who=who))


def _row(hello: ComponentHello, now: int) -> ComponentRow:
    entry = listed(hello)
    extra = {"name": entry.name, "endpoints": entry.endpoints, "version": entry.version}
    return ComponentRow(
        component_id=identify(hello),
        type=entry.type,
        ip_local=entry.ip_local,
        port=entry.port,
        is_private=bool(entry.is_private),
        extra={name: value for name, value in extra.items() if value is not None},
        live=True,
        joined_at=now,
    )

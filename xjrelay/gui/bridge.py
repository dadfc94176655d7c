# SPDX-License-Identifier: MIT
"""Between two threads: the window's, and the reactor's. Neither ever waits for the other.

The window asks (:meth:`Bridge.run`) and looks for answers every few milliseconds (:meth:`Bridge.drain`);
a world tells (:meth:`Bridge.tell`). No widget is touched in the reactor's thread and no socket in the
window's. Must not import a toolkit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar
from typing import Protocol as Seam

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.gui.words import mark
from xjrelay.gui.world import Happening, LineAdded, LineChanged, Missed, PersonChanged, Problem

_log = Logger()

T = TypeVar("T")
Done = Callable[[Any], None]
Failed = Callable[[Problem], None]

MAX_TOLD = 5000
"""Happenings that may wait for the window; beyond, it is told to look at everything again."""
MAX_DRAINED = 500
"""Happenings handed out at a time, so that a flood never stops the window from drawing."""

BROKEN = mark("Something broke here: {why}")
_CAN_BE_MISSED = (PersonChanged, LineAdded, LineChanged)


class Net(Seam):
    """What the window asks of the other thread."""

    def run(self, work: Callable[[], Coroutine[Any, Any, T]], done: Done, failed: Failed) -> None:
        """Do something there; its end is told here."""


class Bridge:
    """Both ends.

    Args:
        reactor: runs in a thread of its own, or in this one.
    """

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._queue: deque[Callable[[], None]] = deque()
        self._told = 0
        self._missed = False
        self._lock = threading.Lock()
        self._listener: Callable[[Happening], None] | None = None

    # -- the window's thread -----------------------------------------------------------------

    def listen(self, listener: Callable[[Happening], None]) -> None:
        """Whom happenings are handed to."""
        self._listener = listener

    def run(self, work: Callable[[], Coroutine[Any, Any, T]], done: Done, failed: Failed) -> None:
        """Run a coroutine in the reactor's thread.

        Args:
            work: makes the coroutine, there.
            done: called here with what it returned.
            failed: called here with the :class:`Problem` it ended in.
        """
        self._reactor.callFromThread(self._begin, work, done, failed)

    def drain(self) -> int:
        """Hand out what has come; returns how much that was."""
        for count in range(MAX_DRAINED):
            with self._lock:
                if not self._queue:
                    return count
                call = self._queue.popleft()
            try:
                call()
            except Exception:
                _log.failure("the window broke on something it was told")
        return MAX_DRAINED

    # -- the reactor's thread ----------------------------------------------------------------

    def tell(self, happening: Happening) -> None:
        """Something happened."""
        with self._lock:
            if isinstance(happening, _CAN_BE_MISSED) and self._told >= MAX_TOLD:
                if self._missed:
                    return
                self._missed, happening = True, Missed()
            self._told += 1
            self._queue.append(partial(self._hand_out, happening))

    def _hand_out(self, happening: Happening) -> None:
        with self._lock:
            self._told -= 1
            if isinstance(happening, Missed):
                self._missed = False
        if self._listener is not None:
            self._listener(happening)

    def _begin(self, work: Callable[[], Coroutine[Any, Any, T]], done: Done, failed: Failed) -> None:
        running = Deferred.fromCoroutine(work())
        running.addCallbacks(partial(self._answer, done), partial(self._fail, failed))

    def _answer(self, done: Done, result: Any) -> None:
        with self._lock:
            self._queue.append(partial(done, result))

    def _fail(self, failed: Failed, failure: Failure) -> None:
        problem = failure.value
        if not isinstance(problem, Problem):
            _log.failure("something the window asked for broke", failure)
            problem = Problem(BROKEN, why=failure.getErrorMessage())
        with self._lock:
            self._queue.append(partial(failed, problem))


class NetworkThread:
    """The thread that the reactor runs in.

    Args:
        reactor: installed, not running.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience: float = 5.0) -> None:
        """End; what is being written is waited for.

        Args:
            patience: seconds.
        """
        self._reactor.callFromThread(self._reactor.stop)
        self._thread.join(patience)

    def _run(self) -> None:
        self._reactor.run(installSignalHandlers=False)

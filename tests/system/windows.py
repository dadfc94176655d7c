# SPDX-License-Identifier: MIT
"""Windows for the tests: each a process with :mod:`tests.system.window_driver` in it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.gui.display import display
from tests.system.programs import PATIENCE, ROOT

Seen = dict[str, Any]


class WindowProcess(ProcessProtocol):
    """One window.

    Args:
        home: its folder: settings, history, keys.
        place: on the display, ``+x+y``.
        language: as in ``LANG``.
        direct: the address at which it has direct links; empty for all.
    """

    def __init__(self, home: Path, place: str = "+0+0", language: str = "C", direct: str = "") -> None:
        self._direct = direct
        self.said = ""
        self.running = False
        self._home = home.absolute()
        self._place = place
        self._language = language
        self._rest = b""
        self._asked: list[Deferred[Any]] = []
        self._ended: Deferred[bool] = Deferred()

    def start(self) -> None:
        """Open it; what is asked from now on waits until it is there."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("XJ_", "LC_"))
        }
        environment |= {
            "DISPLAY": display(),
            "LANG": self._language,
            "LANGUAGE": "",
            "XDG_CONFIG_HOME": str(self._home / "config"),
            "XDG_DATA_HOME": str(self._home / "data"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        self._ended = Deferred()
        self.running = True
        command = [sys.executable, "-m", "tests.system.window_driver", self._place, self._direct]
        IReactorProcess(reactor).spawnProcess(self, command[0], command, env=environment, path=str(ROOT))

    def ask(self, do: str, **fields: Any) -> Deferred[Any]:
        """Have it do something; fires when it has."""
        assert self.transport is not None
        answer: Deferred[Any] = Deferred()
        if not self.running:
            answer.errback(ConnectionError(f"the window is gone; it said:\n{self.said}"))
            return answer
        self._asked.append(answer)
        self.transport.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        return answer.addTimeout(PATIENCE, IReactorTime(reactor))

    async def until(self, condition: Callable[[Seen], Any], what: str) -> Seen:
        """Look until something is shown.

        Raises:
            TimeoutError: it wasn't, in 30 seconds.
        """
        clock = IReactorTime(reactor)
        end = clock.seconds() + PATIENCE
        while True:
            seen: Seen = await self.ask("see")
            if "broken" not in seen and condition(seen):
                return seen
            if clock.seconds() > end:
                raise TimeoutError(f"waited in vain: {what}\nseen: {seen}\nit said:\n{self.said}")
            await deferLater(clock, 0.05)

    async def close(self) -> bool:
        """As by its cross; whether it ended well."""
        self.ask("close").addErrback(lambda _: None)
        return await self._ended.addTimeout(PATIENCE, IReactorTime(reactor))

    async def kill(self) -> None:
        """At once, unless it is gone."""
        if self.running:
            assert self.transport is not None
            self.transport.signalProcess("KILL")
            await self._ended

    def outReceived(self, data: bytes) -> None:
        """Answers, in the order of what was asked."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            waiting = self._asked.pop(0)
            if not waiting.called:
                waiting.callback(answer)

    def errReceived(self, data: bytes) -> None:
        """What it logs."""
        self.said += data.decode("utf-8", "replace")

    def processEnded(self, reason: Failure) -> None:
        """It is over."""
        self.running = False
        asked, self._asked = self._asked, []
        for waiting in asked:
            if not waiting.called:
                waiting.errback(ConnectionError(f"the window ended; it said:\n{self.said}"))
        self._ended.callback(isinstance(reason.value, ProcessDone))

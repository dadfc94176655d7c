# SPDX-License-Identifier: MIT
"""Commands as a person runs them: typed to, read, over a pipe or a terminal of their own."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from tests.system.programs import ROOT, exit_status, until

BIN = Path(sys.executable).parent
XJ = str(BIN / "xj")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")
_WHERE_IS_THE_CURSOR = "\x1b[6n"


def environment(home: Path, **more: str) -> dict[str, str]:
    """A person's who has nothing but a home."""
    kept = {
        key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH", "LANG", "LC_ALL")
    }
    return {**kept, "HOME": str(home), "TERM": "xterm", "PYTHONUNBUFFERED": "1", **more}


async def run(
    command: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT, stdin: str = ""
) -> tuple[str, str, int]:
    """Output, errors and exit status of a command that ends by itself."""
    out, err, status = await getProcessOutputAndValue(
        command[0], command[1:], environ, str(folder), reactor, stdin.encode()
    )
    return out.decode(), err.decode(), status


class Command(ProcessProtocol):
    """A command that goes on.

    Args:
        command: what is run.
        environ: all of its environment.
        terminal: whether it has a terminal of its own, 100 columns wide, or pipes.
        folder: where it is run.

    Attributes:
        raw: all that it wrote, as it wrote it.
        ended: fires with its exit status.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        terminal: bool = False,
        folder: Path = ROOT,
    ) -> None:
        self.raw = ""
        self.ended: Deferred[int] = Deferred()
        self.running = True
        self._terminal = terminal
        self._seen = 0  # of what is read, so far as it was waited for
        IReactorProcess(reactor).spawnProcess(
            self, command[0], command, env=dict(environ), path=str(folder), usePTY=terminal
        )

    @property
    def read(self) -> str:
        """All that it wrote, as a person reads it: without what moves the cursor and colours."""
        return _ESCAPES.sub("", self.raw)

    def connectionMade(self) -> None:
        """A terminal has a size."""
        if self._terminal:
            assert self.transport is not None
            descriptor = self.transport.fileno()  # type: ignore[attr-defined]
            fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))

    def outReceived(self, data: bytes) -> None:
        """It wrote; as a terminal does, say where the cursor is when asked."""
        text = data.decode("utf-8", "replace")
        self.raw += text
        if self._terminal:
            for _ in range(text.count(_WHERE_IS_THE_CURSOR)):
                self.type("\x1b[1;1R")

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """It is over."""
        self.running = False
        self.ended.callback(exit_status(reason.value))

    def type(self, text: str) -> None:
        """Keys."""
        assert self.transport is not None
        self.transport.write(text.encode())

    def enter(self, line: str) -> None:
        """A line, and Enter."""
        self.type(line + ("\r" if self._terminal else "\n"))

    async def says(self, text: str) -> None:
        """Wait until it has written this, after what was waited for before."""

        def look() -> bool:
            index = self.read.find(text, self._seen)
            if index >= 0:
                self._seen = index + len(text)
            return index >= 0 or not self.running

        try:
            await until(look, repr(text))
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it said:\n{self.read}") from error
        assert self.read[: self._seen].endswith(text), f"ended before it said {text!r}:\n{self.read}"

    async def end(self) -> None:
        """Kill it if it still runs, and wait."""
        if self.running:
            assert self.transport is not None
            self.transport.signalProcess("KILL")
            await self.ended

# SPDX-License-Identifier: MIT
"""A client of bytes: says what it is told, keeps what it hears, knows no library of ours."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tests.system.programs import PATIENCE, until

ORIGINAL = b"\xc2\x80\xc2\x81\xc2\x82"


class Raw(Protocol):
    """One connection.

    Args:
        delimiter: what ends the frames it says and expects.
    """

    def __init__(self, delimiter: bytes = b"\n") -> None:
        self.delimiter = delimiter
        self.frames: list[bytes] = []
        self.ended: Deferred[bool] = Deferred()
        self.is_open = False
        self._rest = b""

    def connectionMade(self) -> None:
        """It is there."""
        self.is_open = True

    def dataReceived(self, data: bytes) -> None:
        """Keep the frames."""
        *frames, self._rest = (self._rest + data).split(self.delimiter)
        self.frames += frames

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Fires with whether the end was a clean one."""
        assert reason is not None
        self.is_open = False
        self.ended.callback(reason.check(ConnectionDone) is not None)

    def say(self, value: Any) -> None:
        """A value as a frame, written the way the standard library does."""
        self.say_bytes(json.dumps(value).encode() + self.delimiter)

    def say_bytes(self, data: bytes) -> None:
        """Just these bytes."""
        assert self.transport is not None
        self.transport.write(data)

    async def hear(self, **keys: Any) -> Any:
        """The first frame heard (and not given out before) that holds these keys and values;
        those before it are passed over, pings of the server answered by nobody."""
        found: list[Any] = []

        def look() -> bool:
            for index, frame in enumerate(self.frames):
                value = json.loads(frame)
                matches = isinstance(value, dict) and all(value.get(key) == keys[key] for key in keys)
                if matches or not keys:
                    del self.frames[: index + 1]
                    found.append(value)
                    return True
            return not self.is_open

        await until(look, f"a frame with {keys}, heard {self.frames}")
        if not found:
            raise ConnectionError(f"closed before a frame with {keys}; heard {self.frames}")
        return found[0]

    async def close(self) -> None:
        """Close and wait for it."""
        assert self.transport is not None
        if self.is_open:
            self.transport.loseConnection()
            await self.ended


async def dial(address: str | tuple[str, int], delimiter: bytes = b"\n") -> Raw:
    """Connect to ``host:port``."""
    if isinstance(address, str):
        host, _, port = address.rpartition(":")
        address = (host, int(port))
    endpoint = TCP4ClientEndpoint(reactor, *address, timeout=int(PATIENCE))
    raw: Raw = await connectProtocol(endpoint, Raw(delimiter))
    return raw


def within(deferred: Deferred[Any]) -> Deferred[Any]:
    """The same Deferred, failing after 30 seconds."""
    return deferred.addTimeout(PATIENCE, IReactorTime(reactor))

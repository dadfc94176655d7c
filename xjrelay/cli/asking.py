# SPDX-License-Identifier: MIT
"""A server asked without being believed: whether it answers, how, and as what.

What ``xj doctor`` needs and a client must not do: it looks at certificates that nobody vouches for, and
tells a port that is shut from one where nothing comes back. Each question is one connection of
its own.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from xjrelay.security.secret import ClusterSecret
from xjrelay.wire import codec
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import Code, ProofError, RemoteError
from xjrelay.wire.stanzas import Auth, ComponentHello, Ping

PATIENCE = 5.0
"""Seconds for a whole question; a machine at the other end of the world needs one."""

MAX_LINE = 16 * 2**20
"""Bytes of a tracker's longest array; what a component may hear from a server it dialled."""


class NoAnswer(Exception):
    """A server didn't answer; the text says how.

    Attributes:
        shut: the machine is there, and nothing listens on that port.
        silent: nothing comes back at all: the machine is off, or something between swallows it.
    """

    def __init__(self, why: str, *, shut: bool = False, silent: bool = False) -> None:
        super().__init__(why)
        self.shut = shut
        self.silent = silent


@dataclass(frozen=True, slots=True)
class About:
    """What a server says of itself.

    Args:
        seconds: from the question to the answer.
        version: of the program; None from one that doesn't know the question.
        ahead: seconds by which its clock is ahead of ours; None likewise.
        host: the address that was reached.
        certificate: what it showed, in DER, not checked in any way; None without TLS.
    """

    seconds: float
    version: str | None
    ahead: float | None
    host: str
    certificate: bytes | None


class _Line:
    """One connection, a frame at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        peer = writer.get_extra_info("peername")
        self.host = str(peer[0])
        tls = writer.get_extra_info("ssl_object")
        self.certificate: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None

    def say(self, *stanzas: Any) -> None:
        self._writer.write(b"".join(codec.encode(stanza) + b"\n" for stanza in stanzas))

    async def hear(self) -> Any:
        try:
            line = await self._reader.readuntil(b"\n")
            return codec.decode_value(line)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, RemoteError) as error:
            raise NoAnswer("what answers there is no program of this suite") from error


@asynccontextmanager
async def _dialled(address: Address) -> AsyncIterator[_Line]:
    """A connection to it, closed afterwards.

    Raises:
        NoAnswer: there is none, or it ends early, or takes too long.
    """
    writer = None
    try:
        async with asyncio.timeout(PATIENCE):
            tls = _unchecked() if address.tls else None
            name = address.host if address.tls else None
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=tls, server_hostname=name, limit=MAX_LINE
            )
            yield _Line(reader, writer)
    except TimeoutError as error:
        raise NoAnswer(f"nothing comes back within {PATIENCE:g} s", silent=True) from error
    except ConnectionRefusedError as error:
        raise NoAnswer("nothing listens on that port", shut=True) from error
    except ssl.SSLError as error:
        raise NoAnswer(f"no TLS is spoken there: {error.reason}") from error
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from error
    finally:
        if writer is not None:
            writer.close()


async def about(address: Address) -> About:
    """Ask a server who it is.

    Raises:
        NoAnswer: it doesn't say.
    """
    async with _dialled(address) as line:
        asked, began = time.time(), time.monotonic()
        line.say(Ping("about", about=True))
        pong = await line.hear()
        seconds = time.monotonic() - began
    if not isinstance(pong, dict) or pong.get("type") != "pong":
        raise NoAnswer("what answers there is no program of this suite")
    version, clock = pong.get("version"), pong.get("clock")
    ahead = clock / 1000 - (asked + seconds / 2) if isinstance(clock, int) else None
    return About(seconds, version if isinstance(version, str) else None, ahead, line.host, line.certificate)


async def share_secret(tracker: Address, secret: ClusterSecret) -> bool:
    """Whether a tracker has the same secret; nothing is listed there by asking (protocol, section 4).

    Raises:
        NoAnswer: it doesn't say.
    """
    async with _dialled(tracker) as line:
        proof = secret.client(line.certificate)
        line.say(ComponentHello(line.host, 0, "relay"), Auth(mechanism=proof.mechanism, data=proof.first()))
        try:
            line.say(Auth(mechanism=proof.mechanism, data=proof.final(_data(await line.hear()))))
            proof.finish(_data(await line.hear()))
        except ProofError:
            return False
    return True


def _data(frame: Any) -> str:
    """A step of the proof.

    Raises:
        ProofError: the tracker refuses the last one.
        NoAnswer: it speaks of something else.
    """
    if isinstance(frame, dict) and frame.get("type") == "auth":
        return str(frame.get("data"))
    if isinstance(frame, dict) and frame.get("code") == Code.UNAUTHORIZED:
        raise ProofError("refused")
    raise NoAnswer("what answers there is no tracker")


def _unchecked() -> ssl.SSLContext:
    """TLS that believes anybody: what is shown is looked at, and nothing is entrusted to it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

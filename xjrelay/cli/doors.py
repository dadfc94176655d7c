# SPDX-License-Identifier: MIT
"""The doors by which programs show themselves to their operator: found, and asked over HTTP.

A door is the socket ``admin.sock`` in a data folder, for whoever may open it, or what ``--admin`` says.
Asks and changes nothing; knows no page's meaning.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from xjrelay.cli.keep import data_dir
from xjrelay.cli.options import Call, UsageError
from xjrelay.client.authority import Authority, tls_reason
from xjrelay.client.errors import ClientError
from xjrelay.client.network import DialError, TLSError

SOCKET = "admin.sock"
SYSTEM = Path("/var/lib/xjrelay")
"""Where units keep their data."""
PATIENCE = 5.0
"""Seconds for a question."""
MAX_PATH = 100
"""Bytes of a socket's path; systems take 104 or 108."""
MAX_ANSWER = 64 * 2**20
"""Bytes of the longest answer that is read."""


STRANGER = "what answers there is no program of this suite"


class Shut(ClientError):
    """A door that nobody answers at; the text says why."""


@dataclass(frozen=True, slots=True)
class Door:
    """One way in.

    Attributes:
        socket: the path of a UNIX socket; or
        host: and ``port``, with ``tls`` where that is spoken.
    """

    socket: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False

    def __str__(self) -> str:
        return self.socket or f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where the doors are."""
    parser.add_argument(
        "--admin",
        action="append",
        metavar="WHERE",
        help="a program's --admin: HOST:PORT, https://HOST:PORT, or the path of its admin.sock; may be given"
        " several times (XJ_ADMIN_URL; default: every admin.sock of this user's programs)",
    )
    where = f"where the programs here keep their data; default $XDG_DATA_HOME/xjrelay, and {SYSTEM}"
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help=where)


def doors(call: Call) -> list[Door]:
    """Those that were said, or else those that are there.

    Raises:
        UsageError: one that was said is none.
    """
    said = call.args.admin or call.environ.get("XJ_ADMIN_URL", "").replace(",", " ").split()
    if said:
        return [door(text) for text in said]
    try:
        folders = [data_dir(call)]
    except UsageError:
        folders = []
    if call.args.data_dir is None:
        folders.append(SYSTEM)
    return [Door(socket=str(path)) for path in _sockets(folders)]


def door(text: str) -> Door:
    """A door as it is typed.

    Raises:
        UsageError: it is none.
    """
    if text.startswith(("/", "./", "~", "unix:")) or text.endswith(SOCKET):
        return Door(socket=str(Path(text.removeprefix("unix:")).expanduser()))
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        raise UsageError(f"--admin: HOST:PORT, https://HOST:PORT or a path is needed, not {text!r}")
    return Door(host=parts.hostname, port=port, tls=parts.scheme == "https")


async def ask(call: Call, door: Door, page: str, **query: str) -> Any:
    """What a page says.

    Args:
        call: says whom to believe where TLS is spoken.
        door: where.
        page: as ``status``.
        query: what stands after the question mark.

    Raises:
        Shut: nobody answers, or something else than JSON.
    """
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await _get(call, door, f"/{page}" + (f"?{asked}" if asked else ""))
    except TimeoutError:
        raise Shut(f"nothing comes back within {PATIENCE:g} s") from None
    except (ConnectionRefusedError, FileNotFoundError):
        raise Shut("nobody answers") from None
    except ssl.SSLError as error:
        raise Shut(tls_reason(error)) from None
    except (OSError, DialError, TLSError, asyncio.IncompleteReadError) as error:
        raise Shut(getattr(error, "strerror", None) or str(error) or "the connection ended") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    code = head.split(b" ", 2)[1:2]
    if code != [b"200"]:
        raise Shut(
            body.decode("utf-8", "replace").strip()[:200] or "what answers there is no program of ours"
        )
    try:
        return json.loads(body)
    except ValueError:
        raise Shut(STRANGER) from None


async def _get(call: Call, door: Door, path: str) -> bytes:
    reader, writer = await connect(call, door)
    try:
        host = door.host or "localhost"
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return await reader.read()
    finally:
        writer.close()


async def connect(call: Call, door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a door.

    Raises:
        OSError, DialError, TLSError: there is none.
    """
    if door.socket:
        return await _dial(Path(door.socket))
    context = await _context(call, door) if door.tls else None
    return await asyncio.open_connection(door.host, door.port, ssl=context, limit=MAX_ANSWER)


async def _dial(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a socket, whose path may be longer than the system takes."""
    if len(os.fsencode(socket)) <= MAX_PATH or not Path("/proc/self/fd").is_dir():
        return await asyncio.open_unix_connection(str(socket), limit=MAX_ANSWER)
    folder = os.open(socket.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        short = f"/proc/self/fd/{folder}/{socket.name}"
        return await asyncio.open_unix_connection(short, limit=MAX_ANSWER)
    finally:
        os.close(folder)


async def _context(call: Call, door: Door) -> ssl.SSLContext:
    authority = Authority(call.authority())
    return await authority.context(door.host, door.port, PATIENCE, asyncio.to_thread)


def _sockets(folders: Iterable[Path]) -> list[Path]:
    """Those that this user may open; a peer's is one folder deeper."""
    found: list[Path] = []
    for folder in folders:
        for pattern in (SOCKET, f"*/{SOCKET}", f"*/*/{SOCKET}"):
            try:
                found += sorted(path for path in folder.glob(pattern) if os.access(path, os.R_OK | os.W_OK))
            except OSError:  # a folder of somebody else's
                continue
    return list(dict.fromkeys(found))

# SPDX-License-Identifier: MIT
"""Tokens by which an operator acts: what each may do, until when, and that it is one of ours.

A token is made on the manager's host (``xj admin token``), shown once, and kept as a hash in one
file of mode 0600 in the manager's data folder; the manager looks at that file again whenever it has
changed, so a revoked token is refused at once. Its secret is 256 random bits: one round of SHA-256
hides it as well as any number would. The clock is an argument. Knows no HTTP and no act.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from xjrelay.security.private import PrivateFileError, read_private, replace_private

NAME = "admin-tokens.json"
PREFIX = "xja1"
SCOPES = {
    "read": "list sessions, relays and bans, and what options are in force",
    "sessions": "end sessions",
    "accounts": "ban and lift, reset a password",
    "relays": "drain a relay, move users from one",
    "keys": "change the signing key and the cluster's secret",
    "invitations": "make invitations",
}
"""What a token may be good for, each for itself."""
MAX_DAYS = 3650
DAY = 86400.0
REMEMBERED = 90 * DAY
"""How long one that has ended is still known as that."""


class TokenRefused(Exception):
    """No token of ours, or one that is good no more: 401.

    Attributes:
        id: which one it was, as far as it said.
    """

    def __init__(self, why: str, id: str = "") -> None:
        super().__init__(why)
        self.id = id


class AdminToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token as it is kept; times in seconds since 1970, ``hash`` hexadecimal."""

    id: str
    hash: str
    scopes: list[str]
    made: float
    expires: float
    note: str = ""


_File = dict[str, list[AdminToken]]


class TokenBook:
    """The tokens there are.

    Args:
        path: the file; read again when it has changed.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, AdminToken] = {}

    def check(self, text: str) -> AdminToken:
        """The token that somebody shows.

        Raises:
            TokenRefused: it is none, or it has ended.
        """
        prefix, _, rest = text.partition("_")
        id, _, secret = rest.partition("_")
        if prefix != PREFIX or not secret or not text.isascii():
            raise TokenRefused("not a token of this suite")
        self._read()
        token = self._tokens.get(id)
        # Compared also where there is none, so that the time tells nothing of which ids there are.
        right = hmac.compare_digest(_hash(secret), token.hash if token is not None else _hash(""))
        if token is None or not right:
            raise TokenRefused("unknown or revoked token", id)
        if token.expires <= self._clock():
            raise TokenRefused("expired token", id)
        return token

    def _read(self) -> None:
        try:
            status = os.stat(self._path)
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._tokens = {token.id: token for token in listed(self._path)}
                self._seen = seen
        except (FileNotFoundError, PrivateFileError) as error:
            self._seen, self._tokens = None, {}
            if not isinstance(error, FileNotFoundError):
                raise TokenRefused(str(error)) from error


def listed(path: Path) -> list[AdminToken]:
    """Every token there is, oldest first.

    Raises:
        PrivateFileError: the file can't be read, or holds something else.
    """
    try:
        return msgspec.json.decode(read_private(path), type=_File)["tokens"]
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        raise PrivateFileError(f"{path} is damaged: it holds no tokens") from None


def issue(
    path: Path,
    scopes: Collection[str],
    days: float,
    now: float,
    note: str = "",
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[str, AdminToken]:
    """A new token: as it is shown this once, and as it is kept.

    Args:
        path: the file, which is made where there is none.
        scopes: of :data:`SCOPES`.
        days: until it ends.
        now: seconds since 1970.
        note: who has it, or what for.
        random_bytes: of which it is made.

    Raises:
        ValueError: no scope, one that is none, or days out of their range.
        PrivateFileError: the file can't be read or written.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if not scopes or unknown:
        raise ValueError(
            f"a scope is one of {', '.join(SCOPES)}" + (f", not {unknown[0]}" if unknown else "")
        )
    if not 0 < days <= MAX_DAYS:
        raise ValueError(f"a token is good for up to {MAX_DAYS} days")
    secret = random_bytes(32).hex()
    token = AdminToken(random_bytes(4).hex(), _hash(secret), sorted(set(scopes)), now, now + days * DAY, note)
    with _changed(path) as tokens:
        tokens[:] = [one for one in tokens if one.expires + REMEMBERED > now]
        tokens.append(token)
    return f"{PREFIX}_{token.id}_{secret}", token


def revoke(path: Path, id: str) -> bool:
    """Remove a token; whether there was one of that id.

    Raises:
        PrivateFileError: the file can't be read or written.
    """
    with _changed(path) as tokens:
        before = len(tokens)
        tokens[:] = [one for one in tokens if one.id != id]
        return len(tokens) < before


@contextmanager
def _changed(path: Path) -> Iterator[list[AdminToken]]:
    """The tokens, to be changed and then written; nobody else changes them meanwhile."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        tokens = listed(path)
        yield tokens
        replace_private(path, msgspec.json.format(msgspec.json.encode({"tokens": tokens})) + b"\n")
        owner = os.fstat(descriptor)
        if os.geteuid() == 0 and owner.st_uid != 0:  # what root makes here is the program's
            os.chown(path, owner.st_uid, owner.st_gid)
    finally:
        os.close(descriptor)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

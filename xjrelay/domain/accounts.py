# SPDX-License-Identifier: MIT
"""Who may have an account, and whose login is live (protocol, sections 3 and 6).

A login is live while its link is, and nowhere else: the registry is memory only, so that a
manager that was killed starts with nobody locked out. This module must not import a store,
a clock or Twisted; a link is whatever object the server hands in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from xjrelay.wire import address
from xjrelay.wire.errors import Code, RemoteError

MAX_PASSWORD = 1024
"""Characters in a password; more than this is somebody feeding the key derivation."""

ALREADY_LOGGED_IN = "Already logged in"

LinkT = TypeVar("LinkT")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an invitation says: that so many accounts may be made, until then.

    Args:
        id: random; how often it was used is kept under it.
        most: how many accounts.
        expires_at: milliseconds since 1970; what is kept may be forgotten from then on.
    """

    id: bytes
    most: int
    expires_at: int


MAX_REASON = 200
"""Characters of the reason for a ban."""


@dataclass(frozen=True, slots=True)
class Ban:
    """That an account may not log in.

    Args:
        reason: as its user reads it; may be empty.
        since: milliseconds since 1970.
        until: milliseconds since 1970; None until it is lifted.
    """

    reason: str
    since: int
    until: int | None = None

    def holds(self, now: int) -> bool:
        """Whether it still does."""
        return self.until is None or now < self.until

    def refusal(self) -> str:
        """What its user is told."""
        return f"Banned: {self.reason}" if self.reason else "Banned"


def check_reason(reason: str) -> str:
    """The reason for a ban, if it can be shown to its user.

    Raises:
        RemoteError: 400: over :data:`MAX_REASON`, or with what is not printed.
    """
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise RemoteError(Code.BAD_REQUEST, f"a reason is one line of at most {MAX_REASON} characters")
    return reason


def check_name(username: str) -> str:
    """The key of an account somebody wants to log in to.

    Raises:
        RemoteError: 400: empty, with white space, or otherwise outside the grammar of section 3.
    """
    return address.key(username)


def check_new_name(username: str) -> tuple[str, str]:
    """The key and the spelling a new account gets.

    Raises:
        RemoteError: 400 as for :func:`check_name`; 409 for a name the suite itself speaks under.
    """
    key = address.key(username)
    if key in address.RESERVED:
        raise RemoteError(Code.CONFLICT, "Username used")
    return key, address.username(username)


def check_password(password: str) -> None:
    """Refuse a password that can't be one.

    Raises:
        RemoteError: 400: empty, with white space or a control character, or over :data:`MAX_PASSWORD`.
    """
    if not password:
        raise RemoteError(Code.BAD_REQUEST, "Password is empty")
    if len(password) > MAX_PASSWORD:
        raise RemoteError(Code.BAD_REQUEST, f"Password longer than {MAX_PASSWORD} characters")
    if any(char.isspace() for char in password):
        raise RemoteError(Code.BAD_REQUEST, "Password with white space")
    if not password.isprintable():
        raise RemoteError(Code.BAD_REQUEST, "Password with a character that is not allowed")


class LiveLogins(Generic[LinkT]):
    """One live link an account and resource.

    Every operation costs the same however many are logged in.
    """

    def __init__(self) -> None:
        self._links: dict[str, dict[str, LinkT]] = {}

    def claim(self, key: str, resource: str, link: LinkT, *, replace: bool = False) -> LinkT | None:
        """Make a link the live one; only after its password was right.

        Returns:
            The link it replaces, which the caller has to end; None when there was none.

        Raises:
            RemoteError: 409 ``Already logged in``: another link is live and ``replace`` was not said.
        """
        links = self._links.setdefault(key, {})
        older = links.get(resource)
        if older is not None and older is not link and not replace:
            raise RemoteError(Code.CONFLICT, ALREADY_LOGGED_IN)
        links[resource] = link
        return older if older is not link else None

    def release(self, key: str, resource: str, link: LinkT) -> bool:
        """A link is gone; frees the login unless another link has it by now.

        Returns:
            Whether it was the live one.
        """
        links = self._links.get(key, {})
        if links.get(resource) is not link:
            return False
        del links[resource]
        if not links:
            del self._links[key]
        return True

    def links(self, key: str) -> list[LinkT]:
        """Every live link of an account, oldest first."""
        return list(self._links.get(key, {}).values())

    def items(self, key: str) -> list[tuple[str, LinkT]]:
        """Every live resource of an account with its link."""
        return list(self._links.get(key, {}).items())

    def keys(self) -> Collection[str]:
        """Every account that is logged in."""
        return self._links.keys()

    def __contains__(self, key: object) -> bool:
        return key in self._links

    def __len__(self) -> int:
        """How many accounts are logged in."""
        return len(self._links)

# SPDX-License-Identifier: MIT
"""Usernames, resources and the addresses made of them (protocol, section 3).

Two spellings matter: the one that was registered, which servers emit, and the *key*, which
is what makes ``Esa`` and ``esa`` one account. The key is RFC 8265's UsernameCaseMapped,
taken from a kept library: width mapping, case mapping, NFC and the bidi rule are easy to get
almost right by hand.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from precis_i18n import get_profile

from xjrelay.wire.errors import Code, RemoteError

MAX_NAME = 64
"""Code points in a username after mapping, and characters in a resource."""

RESERVED = frozenset({"relay", "manager", "tracker", "cluster"})
"""Keys nobody can register: the suite itself speaks under these names."""

_PRESERVED = get_profile("UsernameCasePreserved")
_MAPPED = get_profile("UsernameCaseMapped")
_FORBIDDEN = frozenset("/@")


class InvalidAddress(RemoteError):
    """A username, resource or address that the grammar doesn't allow: 400."""

    def __init__(self, msg: str) -> None:
        super().__init__(Code.BAD_REQUEST, msg)


def username(text: str) -> str:
    """The spelling a new account gets: validated, width-mapped, case kept.

    Raises:
        InvalidAddress: empty, white space, ``/``, ``@``, control or surrogate characters, a
            code point RFC 8265 disallows, or more than 64 code points, in this spelling or
            in the key's (mapping the case of some letters makes two of one).
    """
    key(text)
    return _enforce(text, _PRESERVED)


@lru_cache(maxsize=65536)
def key(text: str) -> str:
    """What makes two spellings one account: RFC 8265 UsernameCaseMapped.

    Cached, because a relay asks for every message's recipient and PRECIS costs 12 us.

    Raises:
        InvalidAddress: as for :func:`username`.
    """
    return _enforce(text, _MAPPED)


def resource(text: str) -> str:
    """A resource as it may stand in an address; the empty string means none.

    Raises:
        InvalidAddress: longer than 64 characters, or with control or surrogate characters.
    """
    if len(text) > MAX_NAME:
        raise InvalidAddress("resource longer than 64 characters")
    if not text.isprintable():
        raise InvalidAddress("resource with an unprintable character")
    return text


@dataclass(frozen=True, slots=True)
class Address:
    """A user, or one of its devices: ``username`` or ``username/resource``."""

    username: str
    resource: str = ""

    @property
    def key(self) -> str:
        """The account's key."""
        return key(self.username)

    def __str__(self) -> str:
        return f"{self.username}/{self.resource}" if self.resource else self.username


def parse(text: str) -> Address:
    """An address from the wire, its username valid but spelt as given.

    Raises:
        InvalidAddress: either part breaks its grammar, or a slash is followed by nothing.
    """
    name, slash, device = text.partition("/")
    key(name)
    if slash and not device:
        raise InvalidAddress("empty resource after '/'")
    return Address(name, resource(device))


def _enforce(text: str, profile: object) -> str:
    if not text:
        raise InvalidAddress("empty username")
    if len(text) > 4 * MAX_NAME:  # PRECIS costs time a character: refuse the absurd first
        raise InvalidAddress("username longer than 64 characters")
    if any(char.isspace() or char in _FORBIDDEN for char in text):
        raise InvalidAddress("username with white space, '/' or '@'")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise InvalidAddress("username with a control character")
    try:
        mapped: str = profile.enforce(text)  # type: ignore[attr-defined]
    except UnicodeEncodeError as error:
        raise InvalidAddress("username with a character that is not allowed") from error
    if not _FORBIDDEN.isdisjoint(mapped):  # their full-width forms have become the ASCII ones
        raise InvalidAddress("username with '/' or '@'")
    if len(mapped) > MAX_NAME:
        raise InvalidAddress("username longer than 64 characters")
    return mapped

# SPDX-License-Identifier: MIT
"""Invitations: short codes by which so many accounts may be made until some day.

Whoever has the cluster's secret can make one, with no connection to anything; the manager checks
it with a key made of the same secret, and remembers only how often it was used. A code is 43
characters: a version, 9 random bytes that name it, the count, the expiry, and 16 bytes of
HMAC-SHA256 over these. The clock is an argument. Knows no store and no option.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from xjrelay.domain.accounts import Invitation
from xjrelay.wire.errors import Code, RemoteError

PURPOSE = "xjrelay invitation 1"
"""What the key is derived for (RFC 5869, ``info``)."""
MAX_COUNT = 65535
_FORM = struct.Struct("!B9sHL")  # version, id, count, expiry in seconds since 1970
_VERSION = 1
_MAC = 16
_LENGTH = 43


class InvitationError(RemoteError):
    """403: no invitation, or one that isn't good; ``msg`` says which rule it breaks."""

    def __init__(self, msg: str) -> None:
        super().__init__(Code.FORBIDDEN, msg)


def invite(
    key: bytes, count: int, expires: float, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> str:
    """A new code.

    Args:
        key: of :data:`PURPOSE`, from the cluster's secret.
        count: accounts it is good for, 1 to 65,535.
        expires: seconds since 1970; to the second, at most in 2106.
        random_bytes: names it.

    Raises:
        ValueError: ``count`` or ``expires`` is out of its range.
    """
    if not 1 <= count <= MAX_COUNT or not 0 < expires < 2**32:
        raise ValueError(f"an invitation is good for 1 to {MAX_COUNT} accounts, until 2106 at the latest")
    body = _FORM.pack(_VERSION, random_bytes(9), count, int(expires))
    return _text(body + _mac(key, body))


def check(keys: list[bytes], code: object, now: float) -> Invitation:
    """What a code says, if one of the keys made it and it hasn't expired.

    Args:
        keys: of :data:`PURPOSE`; two while the cluster's secret is being changed.
        code: as it came from the wire.
        now: seconds since 1970.

    Raises:
        InvitationError: it isn't good.
    """
    if not isinstance(code, str) or not code:
        raise InvitationError("an invitation is needed")
    body, mac = _split(code)
    # Each is compared, in the same time whichever fits.
    if not any([hmac.compare_digest(_mac(key, body), mac) for key in keys]):
        raise InvitationError("the invitation is wrong")
    _, name, count, expires = _FORM.unpack(body)
    if now >= expires:
        raise InvitationError("the invitation has expired")
    return Invitation(name, count, expires * 1000)


def _split(code: str) -> tuple[bytes, bytes]:
    try:
        raw = urlsafe_b64decode(code.encode("ascii") + b"=") if len(code) == _LENGTH else b""
    except ValueError:
        raw = b""
    # The last character has two bits to spare: only one spelling is good.
    if len(raw) != _FORM.size + _MAC or raw[0] != _VERSION or _text(raw) != code:
        raise InvitationError("the invitation is wrong")
    return raw[:-_MAC], raw[-_MAC:]


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_MAC]

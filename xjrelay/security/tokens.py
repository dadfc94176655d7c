# SPDX-License-Identifier: MIT
"""What a manager signs and a relay checks alone: JWTs under Ed25519 (RFC 7519, 8037; section 9).

A user's token opens one session at one relay, once, within five minutes. A relay's token says
which name the manager gave it, for a day, as often as it likes. The clock is an argument on
both sides, so PyJWT, which reads the wall clock, checks only the signature here; the times are
checked by :class:`Verifier`.
"""

from __future__ import annotations

import hashlib
import heapq
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from xjrelay.security.private import create_private, read_private, replace_private
from xjrelay.wire.errors import CloseReason, Code, RemoteError

ALGORITHM = "EdDSA"
USER = "user"
RELAY = "relay"
USER_LIFETIME = 300.0
"""Seconds a user has to open a session."""
RELAY_LIFETIME = 24 * 3600.0
"""Seconds a relay's name is good for; it is renewed at half of that."""
LEEWAY = 30.0
"""Seconds by which the clocks of two machines may differ."""
PUBLISHED = 60.0
"""Seconds that a new key is known before it signs: a token must not overtake its key."""
MAX_SPENT = 100_000
"""Tokens a relay remembers as spent: 300 s of 300 logins a second."""
MAX_KEYS = 4
"""Signing keys kept: the one that signs, and those whose tokens may still be about."""
MAX_TOKEN = 4096
"""Bytes; ours have about 400."""

PublicKeys = list[dict[str, str]]
"""``keys`` on the wire: ``[{"kid", "kty": "OKP", "crv": "Ed25519", "x"}]`` (RFC 8037), newest first."""


class TokenError(RemoteError):
    """A token that opens nothing: 401 and a closed connection. ``msg`` says which rule it breaks."""

    def __init__(self, msg: str, code: Code = Code.UNAUTHORIZED) -> None:
        super().__init__(code, msg, CloseReason.NOT_AUTHENTICATED)


class SigningKeyError(Exception):
    """The signing keys' file is no such file; one sentence that names it."""


class Claims(msgspec.Struct, frozen=True):
    """What a token says: ``sub`` may act as ``role`` at ``aud``.

    ``iat`` and ``exp`` are seconds since the epoch, with fractions; ``session`` is the session's
    number, 0 for a relay; ``jti`` is this token's own name.
    """

    sub: str
    role: str
    aud: str
    iat: float
    exp: float
    jti: str
    resource: str = ""
    session: int = 0


class _StoredKey(msgspec.Struct, frozen=True):
    kid: str
    d: str


class _KeyFile(msgspec.Struct, frozen=True):
    keys: list[_StoredKey]
    made: float = 0.0


class Signer:
    """Signs with the newest of its keys that every verifier has had time to learn.

    Args:
        keys: newest first, at least one.
        clock: seconds since the epoch.
        random_id: a name for each token, never the same twice.
        save: called with the keys and the time, after a rotation.
        made: when the newest key was made; now, when absent.
    """

    def __init__(
        self,
        keys: Iterable[Ed25519PrivateKey],
        clock: Callable[[], float],
        random_id: Callable[[], str] = secrets.token_urlsafe,
        save: Callable[[list[Ed25519PrivateKey], float], None] | None = None,
        made: float | None = None,
    ) -> None:
        self._keys = list(keys)
        self._clock = clock
        self._random_id = random_id
        self._save = save
        self._made = clock() if made is None else made

    def __repr__(self) -> str:
        return f"<Signer of {len(self._keys)} keys>"

    @classmethod
    def load(
        cls, path: Path, clock: Callable[[], float], random_id: Callable[[], str] = secrets.token_urlsafe
    ) -> Signer:
        """A signer whose keys are in a file, made with mode 0600 when there is none.

        Raises:
            PrivateFileError: the file can't be made or read, or others can read it.
            SigningKeyError: what is in it is no list of keys.
        """
        try:
            content = read_private(path)
        except FileNotFoundError:
            create_private(path, _dump([Ed25519PrivateKey.generate()], clock()))
            content = read_private(path)

        def save(keys: list[Ed25519PrivateKey], made: float) -> None:
            replace_private(path, _dump(keys, made))

        keys, made = _parse(path, content)
        return cls(keys, clock, random_id, save, made)

    @property
    def age(self) -> float:
        """Seconds since the newest key was made."""
        return self._clock() - self._made

    def public_keys(self) -> PublicKeys:
        """What a verifier needs, newest first."""
        return [_public(key) for key in self._keys]

    def rotate(self) -> PublicKeys:
        """A new key, which signs in :data:`PUBLISHED` seconds; the old ones stay known, up to four.

        Returns:
            The public keys, to be given to every verifier meanwhile. Nobody is logged out.

        Raises:
            PrivateFileError: the file can't be written; the keys are as before.
        """
        keys = [Ed25519PrivateKey.generate(), *self._keys][:MAX_KEYS]
        made = self._clock()
        if self._save is not None:
            self._save(keys, made)
        self._keys, self._made = keys, made
        return self.public_keys()

    def for_user(self, username: str, relay: str, resource: str, session: int) -> str:
        """A token that opens this session at this relay, once, within five minutes."""
        return self._sign(username, USER, relay, USER_LIFETIME, resource, session)

    def for_relay(self, name: str) -> str:
        """A token by which a relay shows its name to other relays, for a day."""
        return self._sign(name, RELAY, RELAY, RELAY_LIFETIME, "", 0)

    def _sign(self, sub: str, role: str, aud: str, lifetime: float, resource: str, session: int) -> str:
        # Fractions are kept: a relay that starts refuses what was issued before, to the second
        # would refuse what was issued just after.
        now = self._clock()
        claims = Claims(sub, role, aud, now, now + lifetime, self._random_id(), resource, session)
        payload = msgspec.to_builtins(claims)
        too_new = len(self._keys) > 1 and 0 <= self.age < PUBLISHED
        key = self._keys[too_new]
        return jwt.encode(payload, key, ALGORITHM, headers={"kid": _kid(key.public_key())})


class Verifier:
    """Checks tokens with the manager's public keys, and remembers those that were spent.

    Args:
        clock: seconds since the epoch.
        started: a user's token issued before this is refused, because the memory of spent ones
            doesn't reach back there; now, when absent. It has no leeway.
        max_spent: how many spent tokens are remembered; above it new ones get 503.
    """

    def __init__(
        self, clock: Callable[[], float], started: float | None = None, max_spent: int = MAX_SPENT
    ) -> None:
        self._clock = clock
        self._started = clock() if started is None else started
        self._max_spent = max_spent
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._spent: set[str] = set()
        self._forget_at: list[tuple[float, str]] = []

    def set_keys(self, keys: Iterable[Mapping[str, Any]]) -> None:
        """Replaces the manager's public keys by these, in the form :class:`Signer` gives them.

        Raises:
            TokenError: 400, one of them is no Ed25519 public key; the keys are as before.
        """
        self._keys = dict(_load_public(key) for key in keys)

    def user(self, token: object, relay: str) -> Claims:
        """The claims of a token that opens a session at this relay, which spends it.

        Args:
            token: as it came from the wire.
            relay: this relay's name.

        Raises:
            TokenError: 401, the token is not a string, malformed, signed by another or by an unknown
                key, altered, expired, from the future, issued before the start, of another
                role, for another relay, or spent; 503, too many are remembered.
        """
        claims = self._check(token, USER, relay)
        if claims.iat < self._started:
            raise TokenError("token issued before this relay started; ask the manager for a new one")
        self._spend(claims)
        return claims

    def relay(self, token: object, name: str | None = None) -> Claims:
        """The claims of a token by which a relay shows its name; good any number of times.

        Args:
            token: as it came from the wire.
            name: the name the relay says it has; not checked when None.

        Raises:
            TokenError: 401, as for :meth:`user`, or it is another's name.
        """
        claims = self._check(token, RELAY, RELAY)
        if name is not None and claims.sub != name:
            raise TokenError("token for another name")
        return claims

    def _check(self, token: object, role: str, aud: str) -> Claims:
        claims = self._signed(token)
        now = self._clock()
        if claims.exp + LEEWAY <= now:
            raise TokenError("token expired")
        if claims.iat - LEEWAY > now:
            raise TokenError("token from the future: the clocks differ by more than 30 s")
        if claims.role != role:
            raise TokenError("token of another role")
        if claims.aud != aud:
            raise TokenError("token for another relay")
        return claims

    def _signed(self, token: object) -> Claims:
        if not isinstance(token, str) or not token:
            raise TokenError("no token")
        if len(token) > MAX_TOKEN or not _is_canonical(token):
            raise TokenError("malformed token")
        try:
            key = self._keys.get(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                raise TokenError("token signed by an unknown key")
            payload = jwt.decode(token, key, algorithms=[ALGORITHM], options=_SIGNATURE_ONLY)
            return msgspec.convert(payload, Claims)
        except (jwt.InvalidSignatureError, InvalidSignature):
            raise TokenError("token with a wrong signature") from None
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, RecursionError):
            raise TokenError("malformed token") from None

    def _spend(self, claims: Claims) -> None:
        now = self._clock()
        while self._forget_at and self._forget_at[0][0] <= now:
            self._spent.discard(heapq.heappop(self._forget_at)[1])
        if claims.jti in self._spent:
            raise TokenError("token already used")
        if len(self._spent) >= self._max_spent:
            raise TokenError("too many sessions opened lately; try again", Code.NOT_NOW)
        self._spent.add(claims.jti)
        heapq.heappush(self._forget_at, (claims.exp + LEEWAY, claims.jti))


_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}


def _kid(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _public(key: Ed25519PrivateKey) -> dict[str, str]:
    public = key.public_key()
    x = _encode(public.public_bytes_raw())
    return {"kid": _kid(public), "kty": "OKP", "crv": "Ed25519", "x": x}


def _load_public(key: Mapping[str, Any]) -> tuple[str, Ed25519PublicKey]:
    try:
        if (key["kty"], key["crv"]) != ("OKP", "Ed25519"):
            raise ValueError
        public = Ed25519PublicKey.from_public_bytes(_decode(key["x"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise TokenError("not an Ed25519 public key", Code.BAD_REQUEST) from None
    return _kid(public), public


def _is_canonical(token: str) -> bool:
    """Whether the signature is spelt the one way it can be; what it signs, it signs as it is spelt."""
    signature = token.rpartition(".")[2]
    try:
        return _encode(_decode(signature)) == signature
    except ValueError:
        return False


def _dump(keys: list[Ed25519PrivateKey], made: float) -> bytes:
    stored = [_StoredKey(_kid(key.public_key()), _encode(key.private_bytes_raw())) for key in keys]
    return msgspec.json.format(msgspec.json.encode(_KeyFile(stored, made))) + b"\n"


def _parse(path: Path, content: bytes) -> tuple[list[Ed25519PrivateKey], float]:
    try:
        stored = msgspec.json.decode(content, type=_KeyFile)
        keys = [Ed25519PrivateKey.from_private_bytes(_decode(one.d)) for one in stored.keys]
    except (msgspec.MsgspecError, ValueError, UnicodeDecodeError):
        raise SigningKeyError(f"the file of signing keys {path} is damaged") from None
    if not keys:
        raise SigningKeyError(f"the file of signing keys {path} holds no key")
    return keys, stored.made


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))

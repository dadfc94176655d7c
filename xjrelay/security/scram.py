# SPDX-License-Identifier: MIT
"""SCRAM-SHA-256, both sides, and passwords kept as its keys (RFC 5802, 7677; protocol section 9).

A thin face over scramp, which has three habits worth hiding: it asks for the credentials inside
the first step (so they are fetched before, by :func:`username_of`), it tells an unknown user
apart from a wrong password (so there is :class:`Decoy`), and its errors repeat what the peer
sent (so there is one error here, with our own words). Knows no reactor: a key derivation costs
about 5 ms at 15,000 rounds, and whoever has a reactor calls :func:`derive`, :func:`verify` and
:meth:`ScramClient.final` in a thread.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from scramp import ScramClient as _Client
from scramp import ScramException, ScramMechanism

from xjrelay.wire.errors import ProofError

MECHANISM = "SCRAM-SHA-256"
PLUS = "SCRAM-SHA-256-PLUS"
"""The same, bound to the TLS connection that carries it (RFC 5802, section 6)."""
MECHANISMS = (MECHANISM, PLUS)
DEFAULT_ROUNDS = 15_000
"""PBKDF2 rounds of a user's password: RFC 7677, section 4, gives around 15,000; 5 ms of one core."""
MIN_ROUNDS = 4096
"""The fewest rounds the RFC and the library allow."""
MAX_ROUNDS = 1_000_000
"""The most a client lets a server ask of it: about 0.3 s of one core."""
SALT_BYTES = 16

_mechanism = ScramMechanism(MECHANISM)
_BINDING = "tls-server-end-point"


def random_nonce() -> str:
    """128 random bits, printable."""
    return secrets.token_hex(16)


class ScramError(ProofError):
    """A conversation that fails, in one sentence without anything the other side said.

    Args:
        msg: what is wrong.
        wrong: True when the steps were well-formed and the proof is not the password's.
    """

    def __init__(self, msg: str, *, wrong: bool = False) -> None:
        super().__init__(msg)
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is kept of a password: enough to check a proof of it, not enough to make one."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"<Credentials iterations={self.iterations}>"


class Kept(Protocol):
    """Credentials from anywhere: a store has its own class of the same shape."""

    @property
    def salt(self) -> bytes:
        """At least 12 bytes."""

    @property
    def iterations(self) -> int:
        """PBKDF2 rounds."""

    @property
    def stored_key(self) -> bytes:
        """What a proof is checked with."""

    @property
    def server_key(self) -> bytes:
        """What the server's own proof is made with."""


def derive(
    password: str,
    rounds: int = DEFAULT_ROUNDS,
    salt: bytes | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Credentials:
    """The credentials of a new password. Slow on purpose: about 0.35 us a round.

    Args:
        password: prepared by SASLprep here; two spellings of it that look alike are one.
        rounds: PBKDF2 rounds, 4,096 to 10,000,000.
        salt: at least 12 bytes; 16 from ``random_bytes`` when absent.

    Raises:
        ScramError: the password holds a character SASLprep forbids.
        ValueError: ``rounds`` or ``salt`` is out of its range.
    """
    if not MIN_ROUNDS <= rounds <= 10_000_000:
        raise ValueError(f"rounds must be between {MIN_ROUNDS} and 10000000")
    salt = random_bytes(SALT_BYTES) if salt is None else salt
    if len(salt) < 12:
        raise ValueError("a salt has at least 12 bytes")
    with _refusing("the password holds a character that is not allowed"):
        salt, stored_key, server_key, iterations = _mechanism.make_auth_info(password, rounds, salt)
    return Credentials(salt, iterations, stored_key, server_key)


def verify(password: str, credentials: Kept) -> bool:
    """Whether a plain password is the one the credentials were made of; as slow as :func:`derive`.

    The comparison takes the same time wherever the two differ. A password that SASLprep forbids
    can't be anybody's: False.
    """
    try:
        offered = derive(password, credentials.iterations, credentials.salt)
    except ScramError:
        return False
    return hmac.compare_digest(offered.stored_key, credentials.stored_key)


class Decoy:
    """Credentials for names that nobody has, so that a stranger can't tell which names exist.

    The salt of a name is always the same, as a real account's is; no password fits.

    Args:
        key: at least 16 secret bytes, kept over restarts.
        rounds: what real accounts have.
    """

    def __init__(self, key: bytes, rounds: int = DEFAULT_ROUNDS) -> None:
        self._key = key
        self._rounds = rounds

    def credentials(self, name: str) -> Credentials:
        """The name's: the same at every call."""
        stored = self._mac(b"stored", name)
        salt = self._mac(b"salt", name)[:SALT_BYTES]
        return Credentials(salt, self._rounds, stored, self._mac(b"server", name))

    def _mac(self, what: bytes, name: str) -> bytes:
        message = what + b"\0" + name.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).digest()


class ScramClient:
    """The side that proves it knows a password: :meth:`first`, :meth:`final`, :meth:`finish`.

    With the server's certificate the conversation is bound to it, so that whoever sits between
    with another one can't pass it on; and where the server seems to know no binding, it is told
    that we do (``y``), so that it notices who made it seem so.

    Args:
        username: as whom.
        password: proved, never sent.
        nonce: the source of the nonce.
        max_rounds: the most a server may ask for.
        certificate: what the server showed, in DER; None without TLS.
        bound: False where the server has refused :data:`PLUS`.

    Attributes:
        mechanism: :data:`PLUS` or :data:`MECHANISM`.

    Raises:
        ScramError: SASLprep forbids the username or the password.
    """

    def __init__(
        self,
        username: str,
        password: str,
        nonce: Callable[[], str] = random_nonce,
        max_rounds: int = MAX_ROUNDS,
        certificate: bytes | None = None,
        bound: bool = True,
    ) -> None:
        self._max_rounds = max_rounds
        binding = _binding(certificate)
        self.mechanism = PLUS if bound and binding is not None else MECHANISM
        with _refusing("the username or the password holds a character that is not allowed"):
            self._client = _Client([self.mechanism], username, password, binding, c_nonce=nonce())

    def first(self) -> str:
        """The client-first message."""
        first: str = self._client.get_client_first()
        return first

    def final(self, server_first: str) -> str:
        """The client-final message, with the proof. Derives the key: slow, runs well in a thread.

        Raises:
            ScramError: malformed, another conversation's nonce, or more rounds than allowed.
        """
        with _refusing("the server's first SCRAM step is malformed"):
            self._client.set_server_first(server_first)
            if int(self._client.iterations) > self._max_rounds:
                raise ScramError("the server asks for too many rounds")
            final: str = self._client.get_client_final()
        return final

    def finish(self, server_final: str) -> None:
        """Checks that the server knows the password's keys too.

        Raises:
            ScramError: it doesn't, or it refused us.
        """
        with _refusing("the server has not proved that it knows the password"):
            self._client.set_server_final(server_final)


class ScramServer:
    """The side that checks: :meth:`first`, then :meth:`final`. Quick, no derivation.

    Args:
        credentials: the account's; more than one set when several passwords are accepted, all
            with the same salt and rounds, because the choice is only known at the end.
        username: when given, the only name that is accepted.
        nonce: the source of the nonce.
        certificate: what we showed, in DER, to which a conversation can be bound; None without TLS.
    """

    def __init__(
        self,
        *credentials: Kept,
        username: str | None = None,
        nonce: Callable[[], str] = random_nonce,
        certificate: bytes | None = None,
    ) -> None:
        if not credentials or len({(one.salt, one.iterations) for one in credentials}) != 1:
            raise ValueError("credentials with one salt and one number of rounds are needed")
        self._username = username
        once = nonce()
        binding = _binding(certificate)
        self._mechanisms = MECHANISMS[:1] if binding is None else MECHANISMS
        self._servers = [_mechanism.make_server(_found(one), binding, once) for one in credentials]

    def first(self, client_first: str, mechanism: str = MECHANISM) -> str:
        """The server-first message.

        Args:
            client_first: what the client said.
            mechanism: what the client called it.

        Raises:
            ScramError: malformed, a mechanism we don't know here, somebody between made the client
                believe that we know no binding, or (``wrong``) not the one username.
        """
        if mechanism not in self._mechanisms:
            raise ScramError(f"the mechanism is {' or '.join(self._mechanisms)}")
        if len(self._mechanisms) > 1 and client_first.startswith("y"):
            raise ScramError("somebody between us hides that this server knows channel binding")
        if (mechanism == PLUS) != client_first.startswith("p="):
            raise ScramError("the first SCRAM step is not its mechanism's")
        if self._username is not None and username_of(client_first) != self._username:
            raise ScramError("not the expected username", wrong=True)
        answers: list[str] = []
        with _refusing("the first SCRAM step is malformed"):
            for server in self._servers:
                server.set_client_first(client_first)
                answers.append(server.get_server_first())
        return answers[0]

    def final(self, client_final: str) -> str:
        """The server-final message (``v=...``), which proves the server to the client.

        Raises:
            ScramError: malformed, out of turn, or (``wrong``) not the password.
        """
        wrong: ScramError | None = None
        for server in self._servers:
            try:
                with _refusing("the last SCRAM step is malformed"):
                    server.set_client_final(client_final)
                    answer: str = server.get_server_final()
                    return answer
            except ScramError as error:
                wrong = error
        assert wrong is not None
        raise wrong


def username_of(client_first: str) -> str:
    """The name in a client-first message, for fetching its credentials.

    Raises:
        ScramError: the message is malformed.
    """
    names: list[str] = []

    def remember(name: str) -> None:
        names.append(name)

    binding = (_BINDING, b"any") if client_first.startswith("p=") else None
    with suppress(ScramException):  # always raised: nobody is found
        _mechanism.make_server(remember, binding).set_client_first(client_first)
    if not names:
        raise ScramError("the first SCRAM step is malformed")
    return names[0]


def _binding(certificate: bytes | None) -> tuple[str, bytes] | None:
    """The channel's name and data (RFC 5929, section 4): the certificate, hashed as it was signed.

    A certificate whose signature has no hash of its own (Ed25519) binds nothing, at both ends.
    """
    if certificate is None:
        return None
    signed_with = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    if signed_with is None:
        return None
    name = "sha256" if signed_with.name in ("md5", "sha1") else signed_with.name
    return _BINDING, hashlib.new(name, certificate).digest()


def _found(one: Kept) -> Callable[[str], tuple[bytes, bytes, bytes, int]]:
    """The look-up scramp asks for, of an account that was looked up before."""
    return lambda _name: (one.salt, one.stored_key, one.server_key, one.iterations)


@contextmanager
def _refusing(msg: str) -> Iterator[None]:
    """Turns the library's errors into ours, which repeat nothing of the peer's."""
    try:
        yield
    except ScramException as error:
        proof = error.server_error is not None and error.server_error.value == "invalid-proof"
        # The cause is dropped on purpose: its text quotes the peer, and a traceback is logged.
        raise ScramError("the password is wrong" if proof else msg, wrong=proof) from None

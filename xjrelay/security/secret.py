# SPDX-License-Identifier: MIT
"""The cluster's secret: what trackers, managers and relays prove to each other that they hold.

It lives in one file of mode 0600, made on first use, so that the programs of one user on one
machine find one another with no configuration. The file's first line is what this program
shows; a second line, while the secret is being changed, is accepted too. Nothing here lets the
secret into a log, an error or a ``repr``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from xjrelay.security.private import PrivateFileError, create_private, read_private, replace_private
from xjrelay.security.scram import MIN_ROUNDS, ScramClient, ScramServer, derive, random_nonce

CLUSTER_USER = "cluster"
"""The SCRAM username of every component (protocol, section 9); no account can have it."""
MAX_ACCEPTED = 2
MIN_LENGTH = 16
"""Characters; a secret of our own making has 64."""


class SecretError(Exception):
    """The secret can't be had; one sentence that names the file and never its content."""


class ClusterSecret:
    """What proves membership, and checks it.

    Args:
        shown: the secret this program proves to others.
        others: further secrets it accepts from others.
        nonce: the source of SCRAM nonces.
        random_bytes: the source of the salt.
    """

    def __init__(
        self,
        shown: str,
        *others: str,
        nonce: Callable[[], str] = random_nonce,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._shown = shown
        self._secrets = (shown, *others)
        self._nonce = nonce
        # Rounds defend a guessable password; 256 random bits need none, so the fewest allowed
        # are taken, which makes a component's login 1.5 ms on the reactor and no thread.
        salt = random_bytes(16)
        self._credentials = [derive(one, MIN_ROUNDS, salt) for one in (shown, *others)]

    def keys(self, purpose: str) -> list[bytes]:
        """A key of 32 bytes made of each secret for one purpose (HKDF-SHA256, RFC 5869), the shown
        one's first. Nothing that uses it tells the secret, or another purpose's key."""
        return [
            HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(one.encode()) for one in self._secrets
        ]

    def become(self, other: ClusterSecret) -> bool:
        """Show and accept what another one does, wherever this one is used already.

        Returns:
            Whether that changed anything.
        """
        changed = self._secrets != other._secrets
        if changed:
            self._shown, self._secrets, self._credentials = other._shown, other._secrets, other._credentials
        return changed

    def __repr__(self) -> str:
        return f"<ClusterSecret accepts {len(self._credentials)}>"

    def client(self, certificate: bytes | None = None) -> ScramClient:
        """A conversation that proves the secret to another component, once.

        Args:
            certificate: what that component showed, in DER; None without TLS.
        """
        return ScramClient(
            CLUSTER_USER, self._shown, self._nonce, max_rounds=MIN_ROUNDS, certificate=certificate
        )

    def server(self, certificate: bytes | None = None) -> ScramServer:
        """A conversation that makes another component prove it, once.

        Args:
            certificate: what we showed, in DER; None without TLS.
        """
        return ScramServer(
            *self._credentials, username=CLUSTER_USER, nonce=self._nonce, certificate=certificate
        )


def default_path(environ: Mapping[str, str]) -> Path:
    """``$XDG_CONFIG_HOME/xjrelay/cluster.secret``, or under ``~/.config``.

    Args:
        environ: the process's environment; of it XDG_CONFIG_HOME and HOME count.

    Raises:
        SecretError: neither says where.
    """
    if base := environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "xjrelay" / "cluster.secret"
    if home := environ.get("HOME"):
        return Path(home) / ".config" / "xjrelay" / "cluster.secret"
    raise SecretError("no place for the cluster secret: set HOME, or say --cluster-secret-file")


def load_secret(
    path: Path,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    credentials: Path | None = None,
) -> ClusterSecret:
    """The secret in the file, which is made when there is none.

    Two programs that start at once agree: one makes the file, the other reads it.

    Args:
        path: the file.
        random_bytes: of which a new secret is made.
        credentials: see :func:`~xjrelay.security.private.read_private`.

    Raises:
        SecretError: the file can't be made or read, others can read it, or what is in it is no
            secret: empty, shorter than 16 characters, not printable ASCII, more than two lines.
    """
    try:
        text = _read_or_make(path, random_bytes, credentials)
    except PrivateFileError as error:
        raise SecretError(f"the cluster secret: {error}") from error
    return ClusterSecret(*_lines(path, text), random_bytes=random_bytes)


def read_secret(path: Path) -> ClusterSecret:
    """The secret in a file that must be there already.

    Raises:
        SecretError: as for :func:`load_secret`, or there is no file.
    """
    try:
        return ClusterSecret(*_lines(path, read_private(path)))
    except FileNotFoundError:
        raise SecretError(f"there is no cluster secret at {path}; its servers make it") from None
    except PrivateFileError as error:
        raise SecretError(f"the cluster secret: {error}") from error


STEPS = ("begin", "switch", "finish")


def rotate(path: Path, step: str, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> int:
    """One step from one secret to another, while nobody is shut out.

    ``begin`` adds a new one, which is accepted and not shown yet; once every machine has that file and
    its programs have read it, ``switch`` has the new one shown; once that is everywhere too, ``finish``
    removes whichever is not shown.

    Args:
        path: the file.
        step: of :data:`STEPS`.
        random_bytes: of which a new secret is made.

    Returns:
        How many are accepted by whoever reads the file now.

    Raises:
        SecretError: the file can't be read or written, or the step is not the next one.
    """
    try:
        lines = _lines(path, read_private(path))
        if (step == "begin") is not (len(lines) == 1):
            raise SecretError("begin comes first" if len(lines) == 1 else "a change has begun already")
        if step == "begin":
            lines = [lines[0], random_bytes(32).hex()]
        else:
            lines = lines[::-1] if step == "switch" else lines[:1]
        replace_private(path, "".join(f"{line}\n" for line in lines).encode())
    except FileNotFoundError:
        raise SecretError(f"there is no cluster secret at {path}") from None
    except PrivateFileError as error:
        raise SecretError(f"the cluster secret: {error}") from error
    return len(lines)


def _read_or_make(path: Path, random_bytes: Callable[[int], bytes], credentials: Path | None) -> bytes:
    try:
        return read_private(path, credentials)
    except FileNotFoundError:
        create_private(path, random_bytes(32).hex().encode() + b"\n")
        return read_private(path)


def _lines(path: Path, content: bytes) -> list[str]:
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if not lines:
        raise SecretError(f"the cluster secret file {path} is empty")
    if len(lines) > MAX_ACCEPTED:
        raise SecretError(f"the cluster secret file {path} holds more than {MAX_ACCEPTED} secrets")
    for line in lines:
        if len(line) < MIN_LENGTH:
            raise SecretError(f"the cluster secret in {path} is shorter than {MIN_LENGTH} characters")
        if any(not 0x21 <= byte <= 0x7E for byte in line):
            raise SecretError(f"the cluster secret in {path} is not printable ASCII without spaces")
    return [line.decode("ascii") for line in lines]

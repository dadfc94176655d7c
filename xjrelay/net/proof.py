# SPDX-License-Identifier: MIT
"""Links on which components prove to each other that they belong to one cluster.

The dialler says its hello and the first step in one write; each side then proves itself in
SCRAM's four messages (protocol, section 9). What a proof is made of comes from outside as an
object with :class:`ClientProof`'s or :class:`ServerProof`'s shape, so that this room knows no
cryptography and a test can do without.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any
from typing import Protocol as Seam

from twisted.logger import Logger

from xjrelay.net.context import TRUSTED_MAX_FRAME, Context
from xjrelay.net.protocol import Link
from xjrelay.net.tls import own_certificate, peer_certificate
from xjrelay.wire.endpoints import secured
from xjrelay.wire.errors import CloseReason, Code, ProofError, RemoteError
from xjrelay.wire.stanzas import Answer, Auth, ComponentHello, Stanza

_log = Logger()

class ClientProof(Seam):
    """The dialler's half of one conversation; each step raises ProofError.

    Attributes:
        mechanism: the name it goes by; ends in ``-PLUS`` where it is bound to the TLS under it.
    """

    mechanism: str

    def first(self) -> str:
        """The client's first message."""

    def final(self, server_first: str) -> str:
        """The client's last message, with its proof."""

    def finish(self, server_final: str) -> None:
        """Checks the server's proof."""


class ServerProof(Seam):
    """The listener's half of one conversation; each step raises ProofError."""

    def first(self, client_first: str, mechanism: str) -> str:
        """The server's first message."""

    def final(self, client_final: str) -> str:
        """Checks the client's proof; the server's own."""


Prove = Callable[[bytes | None], ClientProof]
"""Starts a conversation, bound to the certificate (DER) that the listener showed, if it did."""

Check = Callable[[bytes | None], ServerProof]
"""Likewise for the listener, with its own certificate."""


class ProvingLink(Link):
    """The dialler's end: says hello, proves itself, and checks the other side's proof.

    Args:
        context: what the program's links share.
        hello: says who we are, at the moment of connecting.
        prove: starts a conversation.
    """

    def __init__(
        self,
        context: Context,
        hello: Callable[[], ComponentHello],
        prove: Prove,
    ) -> None:
        super().__init__(context, TRUSTED_MAX_FRAME)
        self._hello = hello
        self._prove = prove
        self._proof: ClientProof | None = None
        self._final_sent = False

    @abstractmethod
    def proved(self) -> None:
        """Both sides have proved themselves. The subclass moves on to its next phase."""

    def refused(self, answer: Answer) -> None:
        """The other side said no. By default a line in the log; it closes the link."""
        _log.warn("{link} was refused: {code} {msg}", link=self.name, code=answer.code, msg=answer.msg)

    def opened(self) -> None:
        """Hello and the first step."""
        proof = self._proof = self._prove(peer_certificate(self.transport))
        self.send(self._hello())
        self.send(Auth(mechanism=proof.mechanism, data=proof.first()))

    def on_auth(self, auth: Stanza) -> None:
        """The server's next step."""
        assert isinstance(auth, Auth) and self._proof is not None
        proof = self._proof
        try:
            if not self._final_sent:
                self._final_sent = True
                self.send(Auth(mechanism=proof.mechanism, data=proof.final(auth.data or "")))
                return
            proof.finish(auth.data or "")
        except ProofError as error:
            _log.warn("{link}: the other side is not of this cluster: {why}", link=self.name, why=error)
            self.close(CloseReason.NOT_AUTHENTICATED)
            return
        self._proof = None
        self.proved()

    def on_answer(self, answer: Stanza) -> None:
        """An answer nobody asked for is a refusal, or nothing."""
        assert isinstance(answer, Answer)
        if answer.error:
            self.refused(answer)


class AdmittingLink(Link):
    """The listener's end: lets in a component that proves the cluster's secret.

    Mixed into the protocol of a server, whose phase is one of ``grammar.UNAUTHENTICATED`` from
    the hello to :meth:`admitted`.
    """

    __slots__ = ("_challenged", "_server_proof")
    metered = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._server_proof: ServerProof | None = None
        self._challenged = False

    @abstractmethod
    def admitted(self) -> Any:
        """The other side has proved itself, and has our proof. The subclass moves on; what takes
        time is returned, and holds the link as any handler's does."""

    def demand_proof(self, check: Check, hello: ComponentHello) -> None:
        """Begin a conversation: the next frames are its steps.

        Raises:
            RemoteError: 401 and close, a certificate is asked of components and this one's is
                missing, or for other hosts than its hello says it is at.
        """
        vouch = self.context.vouch
        why = vouch(peer_certificate(self.transport), _hosts(hello)) if vouch is not None else None
        if why is not None:
            raise RemoteError(Code.UNAUTHORIZED, why, CloseReason.NOT_AUTHENTICATED)
        self._server_proof = check(own_certificate(self.transport))
        self._challenged = False

    def on_auth(self, auth: Stanza) -> Any:
        """The client's next step; anything but the right proof is 401 and the end."""
        assert isinstance(auth, Auth) and self._server_proof is not None
        data = auth.data or ""
        try:
            if not self._challenged:
                self._challenged = True
                first = self._server_proof.first(data, auth.mechanism or "")
                self.send(Auth(mechanism=auth.mechanism, data=first))
                return None
            final = self._server_proof.final(data)
        except ProofError as error:
            raise RemoteError(Code.UNAUTHORIZED, str(error), CloseReason.NOT_AUTHENTICATED) from error
        self._server_proof = None
        self.unmetered()
        self.send(Auth(mechanism=auth.mechanism, data=final))
        return self.admitted()


def _hosts(hello: ComponentHello) -> list[str]:
    """Where a component says that it is reached: by TLS, or else at all."""
    return [address.host for address in secured(hello.endpoints)] or [hello.ip_local]

# SPDX-License-Identifier: MIT
"""Listening sockets as a service, and who may connect to them.

Endpoint strings are Twisted's (``tcp:``, ``ssl:``, ``unix:``, ``systemd:``), with two differences:
without ``interface=`` a TCP endpoint is 127.0.0.1, not the whole world; and ``tls:5223`` is
``tcp:5223`` with the program's own TLS, as ``tls:systemd:index=0`` is that on a socket of
systemd's. All sockets are open when ``privilegedStartService`` returns, or the process ends.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.net.secure import Showing
from xjrelay.net.tls import server_tls
from xjrelay.servers.startup import StartupError, announce
from xjrelay.wire.endpoints import TLS, Address, is_loopback

_log = Logger()

LOOPBACK = {"tcp": "127.0.0.1", "tcp4": "127.0.0.1", "tcp6": "::1", "ssl": "127.0.0.1"}
"""What no ``interface=`` means."""
SECURE = frozenset({"ssl", "unix"})
"""Schemes that may face others: encrypted, or no network at all."""
WILDCARDS = frozenset({"0.0.0.0", "::", ""})
BACKLOG = 4096
"""Connections the system holds until we accept them, where the endpoint doesn't say ``backlog=``. Twisted's
50 overflows when some hundred come at once, and those left over think that they are connected."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program can be reached.

    Attributes:
        tls: whether TLS is spoken there.
        endpoints: the ways in by TLS, as the hello has them.
    """

    host: str
    port: int
    tls: bool = False
    endpoints: tuple[str, ...] = ()

    @property
    def is_private(self) -> bool:
        """Whether the address means nothing to the rest of the internet; a name is taken as public."""
        try:
            return ipaddress.ip_address(self.host).is_private
        except ValueError:
            return self.host == "localhost"


Serving = Callable[[Place], None]
"""Called with the place where others reach a program, when it serves."""


class Listening(Service):
    """Listens with one factory on some endpoints.

    Args:
        reactor: listens.
        endpoints: endpoint strings; port 0 lets the system choose.
        factory: of the protocols.
        allow_plaintext: whether a listener without TLS may leave loopback.
        tls: what listeners on ``tls:`` show.

    Attributes:
        places: where it listens, once it does; a UNIX socket is its path with port 0.
    """

    def __init__(
        self,
        reactor: Any,
        endpoints: Sequence[str],
        factory: IProtocolFactory,
        allow_plaintext: bool = False,
        tls: Showing | None = None,
    ) -> None:
        self._reactor = reactor
        self._endpoints = endpoints
        self._factory = factory
        self._allow_plaintext = allow_plaintext
        self._tls = tls
        self._ports: list[IListeningPort] = []
        self.places: list[Place] = []

    def privilegedStartService(self) -> None:
        """Opens every socket, unless they are open.

        Raises:
            StartupError: an endpoint means nothing, is in use, or is off loopback without TLS.
        """
        if self._ports:
            return
        for text in self._endpoints:
            inner, tls = below_tls(text)
            scheme = inner.partition(":")[0]
            if scheme in LOOPBACK:
                self._check(text, interface(inner))
            port = self._listen(text)
            self._ports.append(port)
            self.places.append(_place(port, tls or scheme == "ssl"))
            if scheme not in LOOPBACK:  # an adopted socket is where systemd put it: seen only now
                self._check(text, self.places[-1].host)

    def startService(self) -> None:
        """Opens every socket, unless that was done before privileges were shed."""
        self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """Closes every socket; fires when they are closed. Connections stay."""
        super().stopService()
        ports, self._ports, self.places = self._ports, [], []
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])

    def _listen(self, text: str) -> IListeningPort:
        outcome: list[IListeningPort | Failure] = []
        inner, tls = below_tls(text)
        factory = self._in_tls(text) if tls else self._factory
        try:
            endpoint = serverFromString(self._reactor, with_backlog(with_interface(inner)))
            endpoint.listen(factory).addBoth(outcome.append)
        except Exception as error:  # each kind of endpoint has its own way to dislike its arguments
            raise StartupError(f"cannot listen on {text}: not a good endpoint: {error}") from error
        if not outcome:
            raise StartupError(f"cannot listen on {text}: it takes its time")
        if isinstance(outcome[0], Failure):
            raise StartupError(f"cannot listen on {text}: {_reason(outcome[0])}")
        return outcome[0]

    def _in_tls(self, text: str) -> IProtocolFactory:
        if self._tls is None:
            raise StartupError(f"cannot listen on {text}: say --tls-certificate and --tls-key")
        return server_tls(self._tls, self._factory)

    def _check(self, text: str, host: str) -> None:
        inner, tls = below_tls(text)
        if tls or inner.partition(":")[0] in SECURE or host.startswith("/") or is_loopback(host):
            return
        if not self._allow_plaintext:
            raise StartupError(f"{text} is off loopback without TLS; say --allow-plaintext if that is meant")
        _log.warn("{endpoint} is off loopback without TLS: what users write can be read", endpoint=text)


def advertised(places: Sequence[Place], wanted: Sequence[Address] = ()) -> Place:
    """Where others are told to connect.

    The place itself is without TLS where the program has one for others, that is: said, or at least as
    far from loopback as those with TLS. An address said without ``tls:`` by a program that listens with
    TLS only can mean nothing else.

    Args:
        places: where the program listens.
        wanted: ``--advertise``.

    Raises:
        StartupError: it listens everywhere or on a UNIX socket only, and nothing was said.
    """
    dialled = [place for place in places if place.port]
    tls_only = bool(dialled) and all(place.tls for place in dialled)
    said = [Address(one.host, one.port, one.tls or tls_only) for one in wanted]
    host = said[0].host if said else None
    plain = [one for one in said if not one.tls] or _ways(dialled, False, host)
    secure = [one for one in said if one.tls] or _ways(dialled, True, host)
    near = all(is_loopback(one.host) for one in plain)
    if near and all(one.tls for one in said) and not all(is_loopback(one.host) for one in secure):
        plain = []
    for one in (*plain, *secure):
        return Place(one.host, one.port, one.tls, tuple(str(way) for way in secure))
    raise StartupError("this listens everywhere or nowhere others could dial; say --advertise HOST:PORT")


def _ways(places: Sequence[Place], tls: bool, host: str | None) -> list[Address]:
    """Ways in where nothing was said of them; ``host`` is what was said of others."""
    found = [
        Address(place.host if place.host not in WILDCARDS else host or "", place.port, tls)
        for place in places
        if place.tls is tls
    ]
    return [address for address in found if address.host]


def announcing(program: str) -> Serving:
    """The line that says where a program serves, for when it does."""
    return lambda place: announce(program, place.host, place.port)


def below_tls(text: str) -> tuple[str, bool]:
    """What is under TLS in an endpoint string, and whether there is TLS at all.

    ``tls:5223`` lies on ``tcp:5223``, ``tls:tcp6:5223`` on ``tcp6:5223``.
    """
    if not text.startswith(TLS):
        return text, False
    inner = text.removeprefix(TLS)
    return (f"tcp:{inner}" if inner[:1].isdigit() else inner), True


def interface(text: str) -> str:
    """The interface a TCP or SSL endpoint string listens on; the empty string is every one."""
    said = _said_interface(text)
    return LOOPBACK[text.partition(":")[0]] if said is None else said


def with_interface(text: str) -> str:
    """The endpoint string, its interface said even where it is loopback by default."""
    scheme = text.partition(":")[0]
    if scheme not in LOOPBACK or _said_interface(text) is not None:
        return text
    return f"{text}:interface=" + LOOPBACK[scheme].replace(":", r"\:")


def with_backlog(text: str) -> str:
    """The endpoint string, its backlog said even where it is ours by default."""
    scheme, *arguments = _UNESCAPED_COLON.split(text)
    positional = [argument for argument in arguments if "=" not in argument]
    said = any(argument.startswith("backlog=") for argument in arguments)
    if scheme not in LOOPBACK or said or (scheme != "ssl" and len(positional) > 2):
        return text
    return f"{text}:backlog={BACKLOG}"


def _said_interface(text: str) -> str | None:
    scheme, *arguments = _UNESCAPED_COLON.split(text)
    for argument in arguments:
        if argument.startswith("interface="):
            return _unescape(argument.partition("=")[2])
    positional = [argument for argument in arguments if "=" not in argument]
    if scheme != "ssl" and len(positional) > 1:
        return _unescape(positional[1])
    return None


_UNESCAPED_COLON = re.compile(r"(?<!\\):")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _place(port: IListeningPort, tls: bool) -> Place:
    address: Any = port.getHost()
    name = getattr(address, "name", None)
    if name is not None:
        return Place(name.decode() if isinstance(name, bytes) else str(name), 0)
    return Place(address.host, address.port, tls)


def _reason(failure: Failure) -> str:
    error = failure.value
    if isinstance(error, CannotListenError):
        return getattr(error.socketError, "strerror", None) or str(error.socketError)
    return failure.getErrorMessage()

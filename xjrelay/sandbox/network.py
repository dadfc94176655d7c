# SPDX-License-Identifier: MIT
"""A network of machines in one process: each has a reactor, all share one clock.

A :class:`Machine` is a reactor as the servers and the client see it (time, ``listenTCP``,
``connectTCP``), so that the very code that runs in production runs here, on ``task.Clock`` and
in-memory pipes. Faults are verbs: :meth:`Network.partition`, :meth:`Network.heal`,
:meth:`Network.cut`, :meth:`Machine.kill`.

Everything that happens is decided by the clock and the seed: the same seed gives the same run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectionLost,
    ConnectionRefusedError,
    NotConnectingError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IListeningPort,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from xjrelay.net.pipe import End, Pipe


class Network:
    """The machines, what connects them, and what is wrong with it.

    Args:
        clock: moved by whoever runs the sandbox.
        rng: latencies.
        latency: seconds a byte takes, at least and at most.
    """

    def __init__(
        self, clock: Clock, rng: random.Random, latency: tuple[float, float] = (0.0005, 0.005)
    ) -> None:
        self.clock = clock
        self.machines: dict[str, Machine] = {}
        self._random = rng
        self._latency = latency
        self._partitions: set[frozenset[str]] = set()
        self._pipes: dict[Pipe, tuple[Machine, Machine]] = {}

    def machine(self, address: str) -> Machine:
        """The machine with this IPv4 address, made when it isn't there."""
        if address not in self.machines:
            self.machines[address] = Machine(self, address)
        return self.machines[address]

    def delay(self) -> float:
        """How long the next bytes take."""
        return self._random.uniform(*self._latency)

    def partition(self, one: str, other: str) -> None:
        """Nothing passes between two machines until :meth:`heal`: bytes wait, dials time out."""
        self._partitions.add(frozenset((one, other)))
        for pipe, ends in self._pipes.items():
            if {end.address for end in ends} == {one, other}:
                pipe.hold()

    def heal(self) -> None:
        """Every partition ends; what waited arrives."""
        self._partitions.clear()
        for pipe in list(self._pipes):
            if pipe.held:
                pipe.release()

    def cut(self, one: str, other: str) -> int:
        """Reset every connection between two machines; how many there were."""
        pipes = [pipe for pipe, ends in self._pipes.items() if {end.address for end in ends} == {one, other}]
        for pipe in pipes:
            pipe.cut()
        return len(pipes)

    def connections(self, one: str, other: str) -> int:
        """How many connections there are between two machines."""
        return sum({end.address for end in ends} == {one, other} for ends in self._pipes.values())

    def reachable(self, one: str, other: str) -> bool:
        """Whether no partition lies between two machines."""
        return frozenset((one, other)) not in self._partitions

    def join(self, dialler: Machine, listener: Machine, port: int) -> Pipe:
        """A new connection between two machines, without protocols yet."""
        near = IPv4Address("TCP", dialler.address, dialler.next_port())
        pipe = Pipe(self.clock, near, IPv4Address("TCP", listener.address, port), self.delay)
        self._pipes[pipe] = (dialler, listener)
        return pipe

    def forget(self, pipe: Pipe) -> None:
        """A connection is over at both ends."""
        self._pipes.pop(pipe, None)

    def reset(self, machine: Machine) -> None:
        """A machine's processes are gone: those connected to it see resets."""
        for pipe, (dialler, listener) in list(self._pipes.items()):
            if machine is dialler:
                pipe.kill(pipe.near)
            elif machine is listener:
                pipe.kill(pipe.far)
            if machine in (dialler, listener):
                self.forget(pipe)


@implementer(IReactorTime, IReactorTCP)
class Machine:
    """One machine's reactor: its own listening ports and timers on the common clock.

    Attributes:
        address: its IPv4 address.
        seconds: the clock's time.
    """

    def __init__(self, network: Network, address: str) -> None:
        self.network = network
        self.address = address
        self.ports: dict[int, Port] = {}
        self._life = 0  # counts kills: a timer of an earlier life does nothing
        self._port = 40000

    # -- IReactorTime ------------------------------------------------------------------------

    def seconds(self) -> float:
        """The common time, in seconds."""
        return self.network.clock.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> IDelayedCall:
        """As a reactor's; a killed machine's calls never come."""
        life = self._life

        def run() -> None:
            if life == self._life:
                callable(*args, **kwargs)

        return self.network.clock.callLater(max(0.0, delay), run)

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """All of the network's: a sandbox asks about the whole of it."""
        return list(self.network.clock.getDelayedCalls())

    # -- IReactorTCP -------------------------------------------------------------------------

    def listenTCP(
        self, port: int, factory: ServerFactory[Any], backlog: int = 50, interface: str = ""
    ) -> Port:
        """Listen; port 0 takes the next free one.

        Raises:
            CannotListenError: somebody already does.
        """
        number = port or self.next_port()
        if number in self.ports:
            raise CannotListenError(interface, number, OSError("Address already in use"))
        listening = Port(self, number, factory, interface.startswith("127."))
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> Connector:
        """Dial another machine of the network, or this one."""
        connector = Connector(self, host, port, factory, timeout)
        connector.connect()
        return connector

    def next_port(self) -> int:
        """A port nobody has used here."""
        self._port += 1
        return self._port

    def kill(self) -> None:
        """kill -9 for all that runs here: timers, ports and connections end without a word."""
        self._life += 1
        self.ports.clear()
        self.network.reset(self)


@implementer(IListeningPort)
class Port:
    """A listening socket of a machine; one on loopback is there for the machine itself alone."""

    def __init__(
        self, machine: Machine, number: int, factory: ServerFactory[Any], loopback: bool = False
    ) -> None:
        self.factory = factory
        self.loopback = loopback
        self._machine = machine
        self._number = number

    def startListening(self) -> None:
        """Be found by those who dial."""
        self._machine.ports[self._number] = self
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Be found no more; connections live on."""
        if self._machine.ports.get(self._number) is self:
            del self._machine.ports[self._number]
            self.factory.doStop()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        """Where it listens."""
        host = "127.0.0.1" if self.loopback else self._machine.address
        return IPv4Address("TCP", host, self._number)


@implementer(IConnector)
class Connector:
    """One attempt to dial, and the connection it led to."""

    def __init__(
        self, machine: Machine, host: str, port: int, factory: ClientFactory[Any], timeout: float
    ) -> None:
        self._machine = machine
        self._host = machine.address if host in ("127.0.0.1", "localhost") else host
        self._port = port
        self._factory = factory
        self._timeout = timeout
        self._pending: IDelayedCall | None = None
        self._end: End | None = None

    def getDestination(self) -> IPv4Address:
        """Whom it dials."""
        return IPv4Address("TCP", self._host, self._port)

    def connect(self) -> None:
        """Try."""
        self._factory.doStart()
        self._factory.startedConnecting(self)
        network = self._machine.network
        if network.reachable(self._machine.address, self._host):
            self._pending = self._machine.callLater(network.delay(), self._arrive)
        else:
            self._pending = self._machine.callLater(self._timeout, self._fail, TimeoutError())

    def stopConnecting(self) -> None:
        """Give up.

        Raises:
            NotConnectingError: there is nothing to give up.
        """
        if self._pending is None:
            raise NotConnectingError
        if self._pending.active():  # else its machine was killed meanwhile
            self._pending.cancel()
        self._fail(ConnectionLost())

    def disconnect(self) -> None:
        """Give up, or close."""
        if self._pending is not None:
            self.stopConnecting()
        elif self._end is not None:
            self._end.loseConnection()

    def _fail(self, reason: Exception) -> None:
        self._pending = None
        self._factory.clientConnectionFailed(self, Failure(reason))
        self._factory.doStop()

    def _arrive(self) -> None:
        network = self._machine.network
        listener = network.machine(self._host)
        port = listener.ports.get(self._port)
        if port is None or (port.loopback and listener is not self._machine):
            self._fail(ConnectionRefusedError())
            return
        self._pending = None
        pipe = network.join(self._machine, listener, self._port)
        far = port.factory.buildProtocol(pipe.near.getHost())
        near = self._factory.buildProtocol(pipe.near.getPeer())
        self._end = pipe.near
        pipe.near.on_end = lambda reason: self._lost(pipe, reason)
        pipe.connect(near or Protocol(), far or Protocol())
        if near is None:
            pipe.near.loseConnection()
        if far is None:
            pipe.far.loseConnection()

    def _lost(self, pipe: Pipe, reason: Failure) -> None:
        self._machine.network.forget(pipe)
        self._end = None
        self._factory.clientConnectionLost(self, reason)
        self._factory.doStop()

# SPDX-License-Identifier: MIT
"""The whole suite in one process, on a fake clock: for our tests and our users'.

In short::

    sandbox = Sandbox(seed=7, relays=2)
    sandbox.start()
    esa, fajar = sandbox.user("esa"), sandbox.user("fajar")
    receipt = sandbox.run(esa.send("fajar", "halo"))
    sandbox.kill("relay1")
    sandbox.advance(2)

Nothing waits for real: :meth:`Sandbox.advance` jumps from event to event. The programs are the
ones that run in production, each on a machine of its own (``tracker``, ``manager``, ``relay1``…,
and one for each user), so that :meth:`Sandbox.partition`, :meth:`Sandbox.cut` and
:meth:`Sandbox.kill` can be as cruel as a real network. What a program has stored survives its
kill. The same seed gives the same run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.application.service import Service
from twisted.internet.defer import Deferred, execute

from xjrelay.client import tx
from xjrelay.net.context import Context, Limits
from xjrelay.net.metrics import Part
from xjrelay.net.tls import Dialling
from xjrelay.net.trace import Note, Trace
from xjrelay.sandbox.network import Machine, Network
from xjrelay.sandbox.timeline import Timeline
from xjrelay.security.folder import Folder
from xjrelay.security.scram import MIN_ROUNDS
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tls import ClientTLS, ServerTLS
from xjrelay.security.tokens import Signer
from xjrelay.servers.listening import Listening
from xjrelay.servers.manager import seen as manager_seen
from xjrelay.servers.manager.service import ManagerService
from xjrelay.servers.manager.state import Manager, Policy
from xjrelay.servers.relay import seen as relay_seen
from xjrelay.servers.relay.service import Relay, RelayService
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.servers.tracker import seen as tracker_seen
from xjrelay.servers.tracker.service import TrackerConfig, TrackerService
from xjrelay.storage.memory import memory_manager_stores, memory_tracker_stores
from xjrelay.wire.endpoints import Address

TRACKER_PORT, MANAGER_PORT, RELAY_PORT = 5000, 5001, 5002

REMEMBERED = 10_000
"""Events of messages that each program remembers for :meth:`Sandbox.trace`."""


class Sandbox(Timeline):
    """A tracker, a manager, relays and users.

    Args:
        seed: of everything random.
        relays: how many relays there are.
        policy: the manager's; by default the cheapest key derivation.
        settings: the relays'.
        limits: of every link.
        lease: seconds the tracker believes a component it doesn't hear.
        tls: a folder for an authority and certificates, and every link is TLS, the users' too; None
            for none. OpenSSL looks at the real clock, and certificates are made by it.

    Attributes:
        clock: the one clock.
        network: what connects the machines.
        clients: the users by name.
        secret: the cluster's.
    """

    def __init__(
        self,
        seed: int = 0,
        relays: int = 2,
        *,
        policy: Policy | None = None,
        settings: RelaySettings | None = None,
        limits: Limits | None = None,
        lease: float = 30.0,
        tls: Path | None = None,
    ) -> None:
        self.random = random.Random(seed)
        super().__init__()
        self.network = Network(self.clock, self.random)
        self.clients: dict[str, tx.Client] = {}
        self._policy = policy or Policy(key_rounds=MIN_ROUNDS, allow_plaintext=True)
        self._settings = settings or RelaySettings()
        self._limits = limits or Limits()
        self._lease = lease
        self._certificates = None if tls is None else Folder(tls)
        self.secret = ClusterSecret(self.random.randbytes(32).hex())
        self._running: dict[str, Service] = {}
        self._make: dict[str, Callable[[], Service]] = {"tracker": self._tracker, "manager": self._manager}
        self._addresses = {"tracker": "10.0.0.1", "manager": "10.0.0.2"}
        for number in range(1, relays + 1):
            self._make[f"relay{number}"] = lambda number=number: self._relay(number)  # type: ignore[misc]
            self._addresses[f"relay{number}"] = f"10.0.1.{number}"
        # What survives a kill: stores, keys, identities.
        self._tracker_stores = memory_tracker_stores()
        self._manager_stores = memory_manager_stores()
        self._signer = Signer([Ed25519PrivateKey.generate()], self.clock.seconds)

    # -- programs ----------------------------------------------------------------------------

    @property
    def authority(self) -> str:
        """The fingerprint of the authority of a suite with TLS."""
        assert self._certificates is not None, "this suite has no TLS"
        return self._certificates.fingerprint()

    @property
    def programs(self) -> list[str]:
        """The names of the servers, in the order in which they start."""
        return list(self._make)

    def start(self) -> None:
        """Start every program, and wait until each serves."""
        for name in self._make:
            self.restart(name)
            self.until(lambda name=name: self.ready(name))  # type: ignore[misc]

    def restart(self, name: str) -> None:
        """Start a program that isn't running; it serves some time later."""
        service = self._running[name] = self._make[name]()
        service.privilegedStartService()
        service.startService()

    def stop(self, name: str) -> None:
        """Stop a program in order, as SIGTERM does, and wait for it."""
        stopped = self._running.pop(name).stopService()
        if stopped is not None:
            self.run(stopped)

    def kill(self, name: str) -> None:
        """End a program as kill -9 does: nothing is said, nothing is written."""
        del self._running[name]
        self.machine(name).kill()

    def server(self, name: str) -> Any:
        """A running program's service, to look into."""
        return self._running[name]

    def ready(self, name: str) -> bool:
        """Whether a program serves."""
        service = self._running.get(name)
        if isinstance(service, RelayService):
            return service.is_ready
        if isinstance(service, ManagerService):
            return service.is_ready
        return service is not None and bool(service.running)

    def machine(self, name: str) -> Machine:
        """The machine of a program or of a user."""
        if name not in self._addresses:
            number = len(self._addresses)
            self._addresses[name] = f"10.1.{number // 250}.{number % 250 + 1}"
        return self.network.machine(self._addresses[name])

    # -- users -------------------------------------------------------------------------------

    def connect(self, name: str, password: str = "rahasia", **options: Any) -> Deferred[tx.Client]:
        """A user's client on a machine of its own; fires when it is logged in.

        Args:
            name: the user.
            password: any that is allowed.
            options: of :func:`xjrelay.client.tx.connect`, such as ``register``; ``url`` for another tracker,
                ``machine`` for another machine.
        """
        url = f"xj://{self._addresses['tracker']}:{TRACKER_PORT}"
        if self._certificates is not None:
            url = url.replace("xj:", "xjs:")
            options.setdefault("authority", self._certificates.authority_file)
        url = options.pop("url", url)
        machine: Any = self.machine(options.pop("machine", f"user {name}"))
        return tx.connect(url, name, password, reactor=machine, rng=self.random, **options)

    def user(self, name: str, **options: Any) -> tx.Client:
        """Register a user and wait until it is online."""
        client = self.clients[name] = self.run(self.connect(name, register=True, **options))
        return client

    # -- what operators see ------------------------------------------------------------------

    def part(self, name: str) -> Part:
        """A running program as its operator sees it: metrics, facts, what is wrong."""
        service = self._running[name]
        if isinstance(service, RelayService):
            return replace(relay_seen.Seen(service).part(), program=name)
        if isinstance(service, ManagerService):
            return manager_seen.Seen(service).part()
        assert isinstance(service, TrackerService)
        return tracker_seen.Seen(service).part()

    def trace(self, message_id: str) -> list[tuple[str, Note]]:
        """A message's life over all programs that run: which program, and what it remembers."""
        parts = [self.part(name) for name in self._running]
        notes = [
            (part.program, note)
            for part in parts
            if part.trace is not None
            for note in part.trace.find(message_id)
        ]
        return sorted(notes, key=lambda one: one[1].at)

    # -- faults ------------------------------------------------------------------------------

    def partition(self, one: str, other: str) -> None:
        """Nothing passes between two machines (programs, or ``user NAME``) until :meth:`heal`."""
        self.network.partition(self.machine(one).address, self.machine(other).address)

    def heal(self) -> None:
        """Every partition ends."""
        self.network.heal()

    def cut(self, one: str, other: str) -> int:
        """Reset the connections between two machines; how many there were."""
        return self.network.cut(self.machine(one).address, self.machine(other).address)

    # -- how each is made --------------------------------------------------------------------

    def _context(self, name: str) -> Context:
        dialling = Dialling()
        if self._certificates is not None:
            dialling = Dialling(ClientTLS(self._certificates.authority_file), allow_plaintext=False)
        trace = Trace(self.machine(name).seconds, REMEMBERED)
        return Context(self.machine(name), self.random, self._limits, dialling=dialling, trace=trace)

    def _endpoint(self, name: str, port: int) -> str:
        scheme = "tcp" if self._certificates is None else "tls"
        return f"{scheme}:{port}:interface={self._addresses[name]}"

    def _tracked(self) -> list[Address]:
        return [Address(self._addresses["tracker"], TRACKER_PORT, self._certificates is not None)]

    def _tls(self, name: str) -> ServerTLS | None:
        if self._certificates is None:
            return None
        issued = self._certificates.issue(name, [self._addresses[name]], time.time())
        return ServerTLS(issued.certificate, issued.key)

    def _tracker(self) -> TrackerService:
        config = TrackerConfig(
            listen=[self._endpoint("tracker", TRACKER_PORT)],
            allow_plaintext=True,
            lease=self._lease,
            limits=self._limits,
            tls=self._tls("tracker"),
        )
        machine = self.machine("tracker")
        return TrackerService(machine, self.random, self.secret, self._tracker_stores, config)

    def _manager(self) -> ManagerService:
        manager = Manager(
            context=self._context("manager"),
            stores=self._manager_stores,
            secret=self.secret,
            signer=self._signer,
            in_thread=execute,
            policy=self._policy,
            random_bytes=self.random.randbytes,
        )
        return ManagerService(
            self.machine("manager"),
            manager,
            [self._endpoint("manager", MANAGER_PORT)],
            self._tracked(),
            "manager",
            tls=self._tls("manager"),
            lease=self._lease,
        )

    def _relay(self, number: int) -> RelayService:
        name = f"relay{number}"
        machine: Any = self.machine(name)
        relay = Relay(
            machine,
            self._context(name),
            self._settings,
            self.secret,
            f"{number:032x}",
            self._tracked(),
            lease=self._lease,
            random_bytes=self.random.randbytes,
        )
        endpoint = self._endpoint(name, RELAY_PORT)
        return RelayService(relay, Listening(machine, [endpoint], relay.factory, True, self._tls(name)))

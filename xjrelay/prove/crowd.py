# SPDX-License-Identifier: MIT
"""Users who write to one another, and tell the ledger everything.

Real clients of the library, one a user, all in this process. Each has a few partners, so that every pair has
a sequence long enough to lose its order. A body says the run, and the message's number in its pair.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from xjrelay.client.aio import Client
from xjrelay.client.aio_network import AsyncioNetwork
from xjrelay.client.core import Login
from xjrelay.client.errors import ClientError, Disconnected, OutboxFull, Refused
from xjrelay.client.model import LinkState, Message, Receipt
from xjrelay.client.network import Connection, Receiver
from xjrelay.client.session import Session
from xjrelay.client.target import trackers
from xjrelay.prove.ledger import Ledger

PARTNERS = 5
"""How many others each user writes to."""

TICK = 0.02
"""Seconds between two handfuls of messages."""

PATIENCE = 3600.0
"""Seconds a message waits for its outcome: longer than any run."""

ENTER_TIMEOUT = 60.0
"""Seconds a user tries to come in."""

AT_ONCE = 10
"""Users who log in at a time: each costs a key derivation."""

Route = Callable[[str, int], Awaitable[tuple[str, int]]]
"""Where to dial, given where a server says it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who they are and what they do.

    Attributes:
        url: the trackers.
        prefix: of their names; a number follows.
        password: everybody's.
        authority: who signed the servers' certificates, where TLS is spoken.
        users: how many.
        rate: messages a second, of all together.
        size: characters a body has at least.
        outboxes: the folder of their outboxes; None keeps them in memory.
    """

    url: str
    prefix: str
    password: str
    authority: str | None = None
    users: int = 100
    rate: float = 500.0
    size: int = 100
    outboxes: str | None = None


@dataclass(slots=True)
class Times:
    """What was measured, in seconds.

    Attributes:
        back: from a lost session at a relay to the next, or the same again.
        login: the same of the login at the manager.
        delivery: from a message's sending to its being shown.
    """

    back: list[float] = field(default_factory=list)
    login: list[float] = field(default_factory=list)
    delivery: list[float] = field(default_factory=list)


class RoutedNetwork(AsyncioNetwork):
    """asyncio, with every address looked up in a table of ways round."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, rng: random.Random, authority: str | None, route: Route
    ) -> None:
        super().__init__(loop, rng, authority)
        self._route = route

    def dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool = False
    ) -> Awaitable[Connection]:
        """Connect to where the way leads."""
        return self._dial_routed(host, port, receiver, timeout, tls)

    async def _dial_routed(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool
    ) -> Connection:
        return await super().dial(*await self._route(host, port), receiver, timeout, tls)


class Crowd:
    """All users of a run.

    Args:
        plan: who they are.
        ledger: hears what is sent, settled and shown.
        rng: who writes to whom, and the clients' own.
        route: where to dial.

    Attributes:
        names: everybody's, present or not.
        times: what was measured.
        down: users without a session at a relay now.
        refusals: messages that no outbox took, or that had no outcome, by the error's name.
    """

    def __init__(self, plan: Plan, ledger: Ledger, rng: random.Random, route: Route) -> None:
        self.plan = plan
        self.times = Times()
        self.down: set[str] = set()
        self.refusals: Counter[str] = Counter()
        self.ledger = ledger
        self._random = rng
        self._route = route
        self.names = [f"{plan.prefix}{number}" for number in range(plan.users)]
        self._run = f"{rng.getrandbits(32):08x}"
        self._clients: dict[str, Client] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._sent_at: dict[tuple[str, str, int], float] = {}
        self._filling = "x" * plan.size

    @property
    def present(self) -> list[str]:
        """Who has a client now."""
        return list(self._clients)

    def relays(self) -> Counter[str]:
        """How many users each relay has."""
        return Counter(client.relay for client in self._clients.values())

    # -- coming and going --------------------------------------------------------------------

    async def enter(self) -> None:
        """Everybody registers, or logs in where the account is there already.

        Raises:
            ClientError: somebody can't.
        """
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                await self.join(name, register=True)

        await asyncio.gather(*(one(name) for name in self.names))

    async def join(self, name: str, register: bool = False) -> None:
        """One user comes, and tries for a minute: the network may be bad from the first moment.

        Raises:
            ClientError: it can't.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + ENTER_TIMEOUT
        while True:
            try:
                return await self._join(name, register)
            except ClientError as error:
                if isinstance(error, Refused) and register and error.code in (403, 409):
                    register = False  # the account is there, perhaps since the last try
                elif not error.retryable or loop.time() > end:
                    raise
            await asyncio.sleep(self._random.uniform(0.0, 1.0))

    async def _join(self, name: str, register: bool) -> None:
        loop = asyncio.get_running_loop()
        network = RoutedNetwork(loop, self._random, self.plan.authority, self._route)
        login = Login(name, self.plan.password, "prove", register)
        path = None if self.plan.outboxes is None else f"{self.plan.outboxes}/{name}"
        session = Session(network, trackers(self.plan.url), login, None, path)
        await session.start()
        client = self._clients[name] = Client(session)
        self._readers[name] = asyncio.create_task(self._read(name, client))

    async def leave(self, name: str) -> None:
        """One user logs out."""
        client, reader = self._clients.pop(name), self._readers.pop(name)
        await client.close()
        self.down.discard(name)
        await asyncio.gather(reader, return_exceptions=True)

    async def disperse(self) -> None:
        """Everybody logs out; what is still being sent is given up."""
        await asyncio.gather(*(self.leave(name) for name in self.present))
        await asyncio.gather(*self._sending)

    # -- writing -----------------------------------------------------------------------------

    async def write(self) -> None:
        """Messages at the rate, until cancelled."""
        loop = asyncio.get_running_loop()
        due, last = 0.0, loop.time()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            due, last = due + (now - last) * self.plan.rate, now
            for _ in range(int(due)):
                self._write_one()
            due -= int(due)

    def _write_one(self) -> None:
        if not self._clients:
            return
        number = self._random.randrange(self.plan.users)
        sender = self.names[number]
        recipient = self.names[(number + self._random.randint(1, PARTNERS)) % self.plan.users]
        client = self._clients.get(sender)
        if client is not None and sender != recipient:
            self._spawn(self._send(client, sender, recipient))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, client: Client, sender: str, recipient: str) -> None:
        number = self.ledger.send(sender, recipient)
        self._sent_at[sender, recipient, number] = asyncio.get_running_loop().time()
        body = f"{self._run} {number} {self._filling}"
        message_id = f"{self._run} {number} {recipient}"
        try:
            receipt = await client.send(recipient, body, id=message_id, timeout=PATIENCE)
        except OutboxFull as error:
            self.ledger.settle(sender, recipient, number, "not taken")
            self.refusals[type(error).__name__] += 1
        except Disconnected:
            self.ledger.leave(sender, recipient, number)  # with a file it is sent again in the next life
        except ClientError as error:
            self.refusals[type(error).__name__] += 1
        else:
            self._settle(sender, receipt)

    def _settle(self, sender: str, receipt: Receipt) -> None:
        run, number, recipient = receipt.id.split(" ", 2)
        if run == self._run:
            status = receipt.status if receipt.code is None else f"{receipt.status} {receipt.code}"
            self.ledger.settle(sender, recipient, int(number), status)

    # -- hearing -----------------------------------------------------------------------------

    async def _read(self, name: str, client: Client) -> None:
        lost: dict[str, float] = {}
        with suppress(ClientError):
            async for event in client.events():
                if isinstance(event, Message):
                    self._shown(name, event)
                elif isinstance(event, LinkState):
                    self._link(name, event, lost)
                elif isinstance(event, Receipt):
                    self._settle(name, event)  # sent in an earlier life of this user's client

    def _shown(self, name: str, message: Message) -> None:
        run, _, rest = message.body.partition(" ")
        if run != self._run:
            return  # of an earlier run, out of the mailbox
        sender, number = message.from_.partition("/")[0], int(rest.partition(" ")[0])
        self.ledger.arrive(sender, name, number)
        sent_at = self._sent_at.pop((sender, name, number), None)
        if sent_at is not None:
            self.times.delivery.append(asyncio.get_running_loop().time() - sent_at)

    def _link(self, name: str, state: LinkState, lost: dict[str, float]) -> None:
        now = asyncio.get_running_loop().time()
        if not state.up:
            lost[state.link] = now
            if state.link == "relay":
                self.down.add(name)
            return
        took = now - lost.pop(state.link, now)
        if state.link == "relay":
            self.down.discard(name)
        if took > 0:
            (self.times.back if state.link == "relay" else self.times.login).append(took)

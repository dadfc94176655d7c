# SPDX-License-Identifier: MIT
"""A network in memory on a fake clock, in both of txaio's flavours, and the three servers, scripted.

The servers say what the protocol says, with as little behind it as the client's tests need. A test may
put any of their answers to other words, cut a link, or take a server away.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import txaio.aio
import txaio.tx
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from xjrelay.client.network import Cancellable, Connection, DialError, Listening, Promise, Receiver
from xjrelay.security.scram import Credentials, ScramError, ScramServer, derive, username_of

T = TypeVar("T")

KNOWN = derive("secret", 4096, b"0123456789abcdef")
"""The credentials of every account here: one derivation is enough."""


class Flavour:
    """How a framework's coroutines are run by hand."""

    txaio: Any

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Running[T]:
        raise NotImplementedError

    def settle(self) -> None:
        """Run whatever is ready."""

    def close(self) -> None:
        """Leave nothing behind."""


class Running(Awaitable[T]):
    """A coroutine started by hand: done, failed or waiting.

    Attributes:
        cancelled: it was, and ended by it.
    """

    def __init__(self) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.cancelled = False
        self._value: T | None = None

    def __await__(self) -> Any:
        raise AssertionError("ask for result")

    @property
    def result(self) -> T:
        """Its value, or its error raised; an error too while it still waits."""
        if self.error is not None:
            raise self.error
        assert self.done, "still waiting"
        return self._value  # type: ignore[return-value]

    def cancel(self) -> object:
        raise NotImplementedError


class _TwistedRunning(Running[T]):
    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._deferred = Deferred.fromCoroutine(coroutine)
        self._deferred.addCallbacks(self._finished, self._failed)

    def _finished(self, value: T) -> None:
        self.done, self._value = True, value

    def _failed(self, failure: Failure) -> None:
        self.done, self.error = True, failure.value
        self.cancelled = bool(failure.check(CancelledError))

    def cancel(self) -> object:
        self._deferred.cancel()
        return None


class TwistedFlavour(Flavour):
    """Deferreds, which run at once."""

    def __init__(self) -> None:
        self.txaio = txaio.tx.with_config()

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Running[T]:
        return _TwistedRunning(coroutine)


class _AsyncioRunning(Running[T]):
    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._task = loop.create_task(coroutine)
        self._task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[T]) -> None:
        self.done, self.cancelled = True, task.cancelled()
        if task.cancelled():
            self.error = asyncio.CancelledError()
        elif (error := task.exception()) is not None:
            self.error = error
        else:
            self._value = task.result()

    def cancel(self) -> object:
        return self._task.cancel()


class AsyncioFlavour(Flavour):
    """A private loop, whose ready callbacks are run by hand and whose clock is never looked at."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.txaio = txaio.aio.with_config(loop=self._loop)

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Running[T]:
        return _AsyncioRunning(self._loop, coroutine)

    def settle(self) -> None:
        for _ in range(10):
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()

    def close(self) -> None:
        self.settle()
        self._loop.close()


class Timer:
    """A clock's call that may be cancelled late."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def cancel(self) -> None:
        if self._call.active():
            self._call.cancel()


class Pipe(Connection):
    """A connection to a scripted server; what is written arrives a turn of the clock later."""

    def __init__(self, network: FakeNetwork, receiver: Receiver, server: FakeServer) -> None:
        self.open = True
        self.paused = False
        self.silent = False  # half-open: nothing arrives, nothing fails
        self.session: dict[str, Any] = {}
        self._network = network
        self._receiver = receiver
        self._server = server
        self._held: list[bytes] = []
        self._rest = b""

    def write(self, data: bytes) -> None:
        if self.open:
            self._network.soon(lambda: self._arrived(data))

    def close(self) -> None:
        self.cut("closed here")

    def abort(self) -> None:
        self.cut("aborted here")

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        held, self._held = self._held, []
        for data in held:
            self._network.soon(lambda data=data: self._receiver.received(data))  # type: ignore[misc]

    def local(self) -> tuple[str, int]:
        return ("10.0.0.9", 40000)

    def certificate(self) -> bytes | None:
        return None

    def cut(self, why: str = "connection lost") -> None:
        """Either end is gone."""
        if self.open:
            self.open = False
            self._network.soon(lambda: self._receiver.lost(why))
            self._network.soon(lambda: self._server.gone(self))

    def tell(self, *values: Any) -> None:
        """The server says these in one read."""
        data = b"".join(json.dumps(value).encode() + b"\n" for value in values)
        if self.open:
            self._network.soon(lambda: self._deliver(data))

    def _deliver(self, data: bytes) -> None:
        if self.paused:
            self._held.append(data)
        elif not self.silent:
            self._receiver.received(data)

    def _arrived(self, data: bytes) -> None:
        if self.silent:
            return
        *frames, self._rest = (self._rest + data).split(b"\n")
        for frame in frames:
            value = json.loads(frame)
            self._server.heard.append(value)
            if value == {"type": "ping"} and not self._server.deaf:
                self.tell({"type": "pong"})
            else:
                self._server.receive(self, value)


class FakeNetwork:
    """A clock and the servers that can be dialled.

    Attributes:
        servers: by host and port.
        dialled: every address dialled, in order.
        logged: the lines of the log.
        held: a list, and what is computed elsewhere waits in it until it is settled.
    """

    def __init__(self, flavour: Flavour, seed: int = 1) -> None:
        self.flavour = flavour
        self.txaio = flavour.txaio
        self.random = random.Random(seed)
        self.clock = Clock()
        self.servers: dict[tuple[str, int], FakeServer] = {}
        self.dialled: list[tuple[str, int]] = []
        self.logged: list[str] = []
        self.tasks: list[Running[None]] = []
        self.held: list[Promise[None]] | None = None

    def seconds(self) -> float:
        return self.clock.seconds()

    def wall(self) -> float:
        return 1_800_000_000.0 + self.clock.seconds()

    def call_later(self, delay: float, call: Callable[[], object]) -> Cancellable:
        return Timer(self.clock.callLater(max(0.0, delay), call))

    async def dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool = False
    ) -> Connection:
        self.dialled.append((host, port))
        server = self.servers.get((host, port))
        if server is None:
            raise DialError("")
        pipe = Pipe(self, receiver, server)
        server.pipes.append(pipe)
        return pipe

    async def listen(self, host: str, port: int, accept: Callable[..., Receiver]) -> Listening:
        raise DialError("nobody dials into a fake")

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Cancellable:
        task = self.flavour.spawn(coroutine)
        self.tasks.append(task)
        return task

    async def compute(self, work: Callable[[], T]) -> T:
        if self.held is not None:
            release: Promise[None] = Promise(self)
            self.held.append(release)
            await release.wait()
        return work()

    def log(self, text: str, **fields: object) -> None:
        self.logged.append(text.format(**fields))

    def soon(self, call: Callable[[], object]) -> None:
        """In the next turn."""
        self.clock.callLater(0, call)

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, timer by timer, and everything that is ready happen."""
        end = self.clock.seconds() + seconds
        self._quiet()
        while (now := self.clock.seconds()) < end:
            due = min((call.getTime() for call in self.clock.getDelayedCalls()), default=end)
            self.clock.advance(max(0.0, min(due, end) - now))
            self._quiet()

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float = 0.0) -> T:
        """A coroutine's result, which must be there after so many seconds."""
        running = self.flavour.spawn(coroutine)
        self.turn(seconds)
        return running.result

    def failures(self) -> list[BaseException]:
        """What background tasks broke with."""
        return [task.error for task in self.tasks if task.error is not None and not task.cancelled]

    def _quiet(self) -> None:
        self.flavour.settle()
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)
            self.flavour.settle()


class FakeServer:
    """What the scripted servers share.

    Attributes:
        heard: every frame, as a value, in order.
        pipes: every connection, the open ones last.
        deaf: pings get no answer.
    """

    def __init__(self, network: FakeNetwork, place: tuple[str, int]) -> None:
        self.place = place
        self.heard: list[dict[str, Any]] = []
        self.pipes: list[Pipe] = []
        self.deaf = False
        self._network = network
        network.servers[place] = self

    @property
    def pipe(self) -> Pipe:
        """The latest connection that is open."""
        return next(pipe for pipe in reversed(self.pipes) if pipe.open)

    def stop(self) -> None:
        """It is killed: every link ends, nobody answers there."""
        self._network.servers.pop(self.place, None)
        for pipe in self.pipes:
            pipe.cut()

    def start(self) -> None:
        """It is back."""
        self._network.servers[self.place] = self

    def said(self, **keys: Any) -> list[dict[str, Any]]:
        """The frames heard that have these keys with these values."""
        return [value for value in self.heard if all(value.get(key) == item for key, item in keys.items())]

    def receive(self, pipe: Pipe, value: dict[str, Any]) -> None:
        raise NotImplementedError

    def gone(self, pipe: Pipe) -> None:
        """A connection ended."""


class FakeTracker(FakeServer):
    """Lists what it is told to."""

    def __init__(
        self, network: FakeNetwork, place: tuple[str, int], components: list[dict[str, Any]]
    ) -> None:
        super().__init__(network, place)
        self.components = components

    def receive(self, pipe: Pipe, value: dict[str, Any]) -> None:
        pipe.tell(self.components)


def component(kind: str, place: tuple[str, int], **more: Any) -> dict[str, Any]:
    """A component as a tracker or a manager tells it."""
    return {"ip_local": place[0], "port": place[1], "type": kind, "is_private": False, **more}


class FakeManager(FakeServer):
    """Accounts with the password ``secret``, a roster without rules, and one relay to give.

    Attributes:
        users: the spellings of those there are.
        relay: what is given; None when there is none.
        mute: requests get no answer.
    """

    def __init__(self, network: FakeNetwork, place: tuple[str, int], users: list[str]) -> None:
        super().__init__(network, place)
        self.users = users
        self.relay: tuple[str, int] | None = None
        self.items: dict[str, dict[str, Any]] = {}
        self.mute = False
        self.session = 0
        self.credentials: Credentials = KNOWN

    def receive(self, pipe: Pipe, value: dict[str, Any]) -> None:
        kind = value.get("stanza") or value.get("type")
        if self.mute and kind != "auth":
            return
        if kind == "auth":
            self._auth(pipe, value)
        elif kind == "get_relay_less_connection":
            pipe.tell({**self.grant(), "code": 200, "msg": "Relay Less Connection", "id": value["id"]})
        elif kind == "ping":
            pipe.tell({"type": "pong", "id": value["id"]})
        elif kind == "iq":
            self._iq(pipe, value)
        elif kind == "presence":
            self._presence(pipe, value)

    def grant(self) -> dict[str, Any]:
        """What a login and a question for a relay are answered with."""
        self.session += 1
        listed = [component("relay", self.relay, username="relay1")] if self.relay else []
        return {"error": False, "component": listed, "token": f"token{self.session}"}

    def _auth(self, pipe: Pipe, value: dict[str, Any]) -> None:
        if value.get("register"):
            if value["username"] in self.users:
                pipe.tell({"error": True, "code": 409, "msg": "Username used"})
                return
            self.users.append(value["username"])
            granted = self.grant()
            pipe.tell({**granted, "code": 201, "msg": "Account created", "username": value["username"]})
        elif "scram" not in pipe.session:
            self._challenge(pipe, value["data"])
        else:
            self._check(pipe, value["data"])

    def _challenge(self, pipe: Pipe, data: str) -> None:
        wanted = username_of(data).lower()
        names = [name for name in self.users if name.lower() == wanted]
        if not names:
            pipe.tell({"error": True, "code": 404, "msg": "User not found"})
            return
        pipe.session["username"] = names[0]
        pipe.session["scram"] = server = ScramServer(self.credentials)
        pipe.tell({"type": "auth", "mechanism": "SCRAM-SHA-256", "data": server.first(data)})

    def _check(self, pipe: Pipe, data: str) -> None:
        try:
            final = pipe.session["scram"].final(data)
        except ScramError:
            pipe.tell({"error": True, "code": 400, "msg": "Wrong password"})
            return
        pipe.tell(
            {"type": "auth", "mechanism": "SCRAM-SHA-256", "data": final},
            {**self.grant(), "code": 200, "msg": "Login successful", "username": pipe.session["username"]},
        )

    def _iq(self, pipe: Pipe, value: dict[str, Any]) -> None:
        answer = {"stanza": "iq", "namespace": "roster", "to": value["from"], "id": value["id"]}
        if value["type"] == "get":
            pipe.tell({**answer, "type": "result", "query": {"items": list(self.items.values())}})
            return
        item = value["query"]["item"]
        jid = item["jid"]
        if jid not in self.users:
            error = {"type": "cancel", "stanza_error": "item-not-found", "stanza_error_ns": "xmpp-stanzas"}
            pipe.tell({**answer, "type": "error", "query": value["query"], "error": error})
        elif value.get("subscription") == "remove":
            self.items.pop(jid)
            gone = {"jid": jid, "subscription": "remove"}
            told = {
                "stanza": "presence",
                "type": "unsubscribed",
                "from": jid,
                "to": value["from"],
                "item": gone,
            }
            pipe.tell(told, {**answer, "type": "result", "query": {"item": item}, "subscription": "remove"})
        else:
            item = {"jid": jid, "name": item.get("name", jid), "subscription": "to"}
            self.items[jid] = item
            told = {
                "stanza": "presence",
                "type": "subscribed",
                "from": jid,
                "to": value["from"],
                "item": item,
            }
            shown = presence(jid, online=1)
            pipe.tell(told, shown, {**answer, "type": "result", "query": {"item": item}})

    def _presence(self, pipe: Pipe, value: dict[str, Any]) -> None:
        if value.get("type") == "unavailable":
            pipe.cut("logged out")
        elif "to" in value:
            known = value["to"] in self.users
            error = {"stanza": "presence", "type": "error", "to": value["from"], "target": value["to"]}
            pipe.tell({**presence(value["to"], online=1), "directed_entity": True} if known else error)
        elif len(value.get("bio", "")) > 1000:
            pipe.tell({"error": True, "code": 400, "msg": "bio too long", "id": value["id"]})


def presence(username: str, online: int, **more: Any) -> dict[str, Any]:
    """A presence as the manager tells it."""
    return {
        "stanza": "presence",
        "from": username,
        "username": username,
        "bio": "Feel happy using this application! ;D",
        "online": online,
        "updated_at": 1700000000000,
        **more,
    }


class FakeRelay(FakeServer):
    """Counts and keeps one session; what becomes of a message, the test says.

    Attributes:
        outcome: called with each message; by default it is delivered.
        received: messages counted.
        owed: what was sent and not acknowledged.
        refuse: answers every hello with this instead.
    """

    def __init__(self, network: FakeNetwork, place: tuple[str, int], name: str = "relay1") -> None:
        super().__init__(network, place)
        self.name = name
        self.outcome: Callable[[dict[str, Any]], None] = self.delivered
        self.received = 0
        self.acked = 0
        self.owed: list[dict[str, Any]] = []
        self.key: str | None = None
        self.keys = 0
        self.refuse: dict[str, Any] | None = None
        self.opened = 0

    def forget(self) -> None:
        """As after a restart: no session can be resumed."""
        self.key = None

    def receive(self, pipe: Pipe, value: dict[str, Any]) -> None:
        if value.get("message") == "hello!":
            self._hello(pipe, value)
        elif value.get("stanza") == "ack":
            self._acknowledged(value["h"])
        elif value.get("stanza") == "message":
            self.received += 1
            self.outcome(value)

    def _hello(self, pipe: Pipe, value: dict[str, Any]) -> None:
        if self.refuse is not None:
            pipe.tell(self.refuse)
            return
        welcome = {"message": "hello!", "relay_username": self.name, "session": 1}
        if "resume" not in value:
            self.opened += 1
            self.received = self.acked = 0
            self.owed.clear()
            pipe.tell({**welcome, "resume_key": self._new_key()})
        elif value["resume"] == self.key:
            self._acknowledged(value.get("h", 0))
            more = {"resumed": True, "h": self.received, "resume_key": self._new_key()}
            pipe.tell({**welcome, **more}, *self.owed)
        else:
            pipe.tell({"error": True, "code": 404, "msg": "nothing to resume"})

    def _new_key(self) -> str:
        self.keys += 1
        self.key = f"key{self.keys}"
        return self.key

    def _acknowledged(self, h: int) -> None:
        assert self.acked <= h <= self.acked + len(self.owed), f"h is {h}"
        del self.owed[: h - self.acked]
        self.acked = h

    def tell(self, value: dict[str, Any]) -> None:
        """A counted frame."""
        self.owed.append(value)
        if any(pipe.open for pipe in self.pipes):
            self.pipe.tell(value)

    def message(self, body: str, sender: str = "fajar", **more: Any) -> None:
        """A message from a user."""
        self.tell({"stanza": "message", "from": sender, "to": "esa", "body": body, **more})

    def delivered(self, message: dict[str, Any]) -> None:
        """The ordinary outcome."""
        self.receipt(message, "delivered")

    def receipt(self, message: dict[str, Any], status: str, **more: Any) -> None:
        """An outcome."""
        self.tell(
            {"stanza": "receipt", "to": message["from"], "ids": [message["id"]], "status": status, **more}
        )

    def nobody(self, message: dict[str, Any]) -> None:
        """The error stanza of section 7."""
        body = "User not found or User not online"
        self.tell(
            {
                "stanza": "message",
                "from": "relay",
                "to": message["from"],
                "error": True,
                "code": 404,
                "id": message["id"],
                "body": body,
            }
        )

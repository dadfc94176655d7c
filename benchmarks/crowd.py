# SPDX-License-Identifier: MIT
"""Users who come back as the client library would, very many in a process, for :mod:`benchmarks.storm`.

The users are a few processes of an epoll loop, because ten thousand real clients would be the limit
themselves: their keys are derived once, since all have one password and one salt.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import json
import random
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.house import PASSWORD, SALT
from xjrelay.client.channel import ANSWER_TIMEOUT, DIAL_TIMEOUT, PING_INTERVAL
from xjrelay.client.manager_side import ASK_EVERY, LOGIN_TIMEOUT
from xjrelay.client.network import Backoff

CONTACTS = 3
"""Of each user, which its roster has to name."""

GIVE_UP = 300.0
"""Seconds after which those who are not back are counted as lost."""

_HELLO = b'{"ip_local":"127.0.0.1","port":0,"type":"client"}\n'


class Keys:
    """What a password's owner proves with (RFC 5802, 3), derived once."""

    def __init__(self, rounds: int) -> None:
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), SALT, rounds)
        self._client = hmac.digest(salted, b"Client Key", "sha256")
        self._stored = hashlib.sha256(self._client).digest()

    def final(self, first_bare: str, server_first: str) -> str:
        """The client-final message."""
        nonce = server_first.partition(",")[0]
        bare = f"c=biws,{nonce}"
        signature = hmac.digest(self._stored, f"{first_bare},{server_first},{bare}".encode(), "sha256")
        proof = bytes(a ^ b for a, b in zip(self._client, signature, strict=True))
        return f"{bare},p={base64.b64encode(proof).decode()}"


class Wire:
    """One connection of a user.

    Args:
        user: whose.
        crowd: has the loop.
        port: where to.
        hello: what is said first.
        heard: called with each line.
        within: seconds until it is given up, once it is connected, unless it is settled.

    Attributes:
        is_settled: whether the answer to its hello has come.
    """

    def __init__(
        self,
        user: User,
        crowd: Crowd,
        port: int,
        hello: bytes,
        heard: Callable[[bytes], None],
        within: float = ANSWER_TIMEOUT,
    ) -> None:
        self.user = user
        self._crowd = crowd
        self._hello = hello
        self._heard = heard
        self._part = b""
        self.is_settled = False
        self._connected = False
        self._heard_at = 0.0
        self._give_up_at = within
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", port))
        crowd.add(self, select.EPOLLOUT)
        crowd.later(DIAL_TIMEOUT, self._undialled)

    def turn(self, events: int) -> None:
        """Something can be done."""
        if not self._connected:
            if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.user.lost(self, "not listening")
                return
            self._connected = True
            self._crowd.change(self, select.EPOLLIN)
            self._heard_at = time.monotonic()
            self._give_up_at += self._heard_at
            self._crowd.later(ANSWER_TIMEOUT, self._look)
            self.say(self._hello)
            return
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.user.lost(self, "closed")
            return
        self._heard_at = time.monotonic()
        *lines, self._part = (self._part + data).split(b"\n")
        for line in lines:
            if line == b'{"type":"ping"}':
                self.say(b'{"type":"pong"}\n')
            else:
                self._heard(line)

    def say(self, data: bytes) -> None:
        """Little enough to be taken whole."""
        with suppress(OSError):  # the loop finds it closed
            self.socket.send(data)

    def close(self) -> None:
        """Without a word."""
        self._crowd.remove(self)
        self.socket.close()

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.socket.fileno() >= 0

    def _undialled(self) -> None:
        if self.is_open and not self._connected:
            self.user.lost(self, "no connection in time")

    def _look(self) -> None:
        """The library gives up what is not answered in time, and what is silent for two looks."""
        if not self.is_open or self.is_settled:
            return
        now = time.monotonic()
        if now >= self._give_up_at:
            self.user.lost(self, "no answer in time")
        elif now - self._heard_at > 2 * PING_INTERVAL:
            self.user.lost(self, "silent")
        else:
            self._crowd.later(1.0, self._look)


class User:
    """One of them, as the library would behave.

    Args:
        name: of an account.
        crowd: everybody.
    """

    def __init__(self, name: str, crowd: Crowd) -> None:
        self.name = name
        self._crowd = crowd
        self._delay = Backoff.FIRST
        self._tracker: Wire | None = None
        self._manager: Wire | None = None
        self._relay: Wire | None = None
        self._first = ""
        self._steps: set[str] = set()
        self._dialled = self._place = 0
        self._tries = 0

    @property
    def is_back(self) -> bool:
        """Logged in, its roster there, at a relay."""
        return self._steps >= {"roster", "relay"}

    def come(self) -> None:
        """Try again, after a while."""
        pause = self._crowd.random.uniform(0, self._delay)
        self._delay = min(self._delay * Backoff.FACTOR, Backoff.CEILING)
        self._crowd.later(pause, self._ask)

    def lost(self, wire: Wire, why: str) -> None:
        """A connection is gone, or was given up."""
        was_back = self.is_back
        if not was_back and wire.is_open:
            self._crowd.setbacks[f"{self._program(wire)}: {why}"] += 1
        for one in (self._tracker, self._manager, self._relay):
            if one is not None and one.is_open:
                one.close()
        self._tracker = self._manager = self._relay = None
        self._steps.clear()
        if was_back:
            self._delay = Backoff.FIRST
        self._crowd.left(self)
        self.come()

    def _program(self, wire: Wire) -> str:
        return "manager" if wire is self._manager else "relay" if wire is self._relay else "tracker"

    def _refused(self, wire: Wire, answer: dict[str, Any]) -> None:
        self._crowd.refusals[f"{self._program(wire)}: {answer.get('code')} {answer.get('msg')}"] += 1
        self.lost(wire, f"refused {answer.get('code')}")

    # -- the tracker -------------------------------------------------------------------------

    def _ask(self) -> None:
        if self._tracker is not None or self._manager is not None:
            return
        tries, self._tries = self._tries, self._tries + 1
        if self._place and tries % ASK_EVERY < ASK_EVERY - 1:
            self._log_in(self._place)
        else:
            self._tracker = Wire(self, self._crowd, self._crowd.tracker, _HELLO, self._listed)

    def _listed(self, line: bytes) -> None:
        assert self._tracker is not None
        self._tracker.is_settled = True
        self._tracker.close()
        self._tracker = None
        managers = [one["port"] for one in json.loads(line) if one["type"] == "manager"]
        if not managers:
            self.come()
        else:
            self._log_in(managers[0])

    def _log_in(self, port: int) -> None:
        self._first = f"n={self.name},r={self._crowd.random.randbytes(16).hex()}"
        auth = {"type": "auth", "mechanism": "SCRAM-SHA-256", "data": f"n,,{self._first}", "replace": True}
        hello = _HELLO + json.dumps(auth).encode() + b"\n"
        self._manager = Wire(self, self._crowd, port, hello, self._told, LOGIN_TIMEOUT)
        self._dialled = port

    # -- the manager -------------------------------------------------------------------------

    def _told(self, line: bytes) -> None:
        if b'"stanza":"presence"' in line:
            self._crowd.presences += 1
            return
        answer = json.loads(line)
        assert self._manager is not None
        if answer.get("error"):
            self._refused(self._manager, answer)
        elif answer.get("data", "").startswith("r="):
            final = self._crowd.keys.final(self._first, answer["data"])
            step = {"type": "auth", "mechanism": "SCRAM-SHA-256", "data": final}
            self._manager.say(json.dumps(step).encode() + b"\n")
        elif answer.get("code") == 200:
            self._assigned(answer)
        elif answer.get("namespace") == "roster":
            assert len(answer["query"]["items"]) == CONTACTS
            self._done("roster")

    def _assigned(self, answer: dict[str, Any]) -> None:
        assert self._manager is not None
        if not self._manager.is_settled:
            self._manager.is_settled = True
            self._place, self._tries = self._dialled, 0
            get = {"stanza": "iq", "namespace": "roster", "from": self.name, "type": "get", "id": "r"}
            roster = json.dumps({**get, "query": {"items": None}}).encode()
            self._manager.say(roster + b'\n{"stanza":"presence"}\n')
        if not answer["component"]:  # no relay yet: ask again after a while, as the library does
            self._crowd.setbacks["manager: no relay yet"] += 1
            self._crowd.later(self._crowd.random.uniform(0, self._delay), self._ask_for_relay)
            return
        hello = {"username": self.name, "message": "hello!", "token": answer["token"], "ack": True}
        port = answer["component"][0]["port"]
        said = json.dumps(hello).encode() + b"\n"
        self._relay = Wire(self, self._crowd, port, said, self._welcomed)

    def _ask_for_relay(self) -> None:
        if self._manager is not None and self._relay is None:
            self._manager.say(b'{"type":"get_relay_less_connection","id":"g"}\n')

    # -- the relay ---------------------------------------------------------------------------

    def _welcomed(self, line: bytes) -> None:
        answer = json.loads(line)
        assert self._relay is not None
        if answer.get("error"):
            self._refused(self._relay, answer)
        elif answer.get("message") == "hello!":
            self._relay.is_settled = True
            self._done("relay")

    def _done(self, step: str) -> None:
        self._steps.add(step)
        if self.is_back:
            self._delay = Backoff.FIRST
            self._crowd.back(self)


class Crowd:
    """The users of one process.

    Args:
        names: theirs.
        tracker: its port.
        rounds: of everybody's password.
        seed: of their jitter.
    """

    def __init__(self, names: list[str], tracker: int, rounds: int, seed: int) -> None:
        self.tracker = tracker
        self.keys = Keys(rounds)
        self.random = random.Random(seed)
        self.refusals: Counter[str] = Counter()
        self.setbacks: Counter[str] = Counter()
        self.presences = 0
        self.times: dict[str, float] = {}
        self._epoll = select.epoll()
        self._wires: dict[int, Wire] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._users = [User(name, self) for name in names]
        self._back: set[User] = set()

    def run(self, link: Connection) -> None:
        """Bring everybody in; then, each time something is said on the link, tell when all were back."""
        for user in self._users:
            user.come()
        self._until_back(time.monotonic() + GIVE_UP, wanted=False)
        self._tell(link)
        while (said := self._until_said(link)) is not None:
            self.times.clear()
            self.refusals.clear()
            self.setbacks.clear()
            self._until_back(said + GIVE_UP, wanted=True)
            self._tell(link)

    def back(self, user: User) -> None:
        """A user is there."""
        self._back.add(user)
        self.times.setdefault(user.name, time.monotonic())

    def left(self, user: User) -> None:
        """A user is not."""
        self._back.discard(user)
        self.times.pop(user.name, None)

    # -- the loop ----------------------------------------------------------------------------

    def add(self, wire: Wire, events: int) -> None:
        """Watch a connection."""
        self._wires[wire.socket.fileno()] = wire
        self._epoll.register(wire.socket.fileno(), events)

    def change(self, wire: Wire, events: int) -> None:
        """Watch it for something else."""
        self._epoll.modify(wire.socket.fileno(), events)

    def remove(self, wire: Wire) -> None:
        """Watch it no more."""
        self._epoll.unregister(wire.socket.fileno())
        del self._wires[wire.socket.fileno()]

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something then."""
        self._serial += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._serial, call))

    def _turn(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        wait = self._timers[0][0] - now if self._timers else 0.1
        for number, events in self._epoll.poll(max(0.0, min(wait, 0.1))):
            wire = self._wires.get(number)
            if wire is not None:
                wire.turn(events)

    def _until_back(self, end: float, wanted: bool) -> None:
        """Until everybody is there; where ``wanted``, since they were not."""
        gone = not wanted
        while time.monotonic() < end and not (gone and len(self._back) == len(self._users)):
            gone = gone or not self._back
            self._turn()

    def _until_said(self, link: Connection) -> float | None:
        """When something is said, while the users go on; None at the end."""
        while not link.poll():
            self._turn()
        said: float | None = link.recv()
        return said

    def _tell(self, link: Connection) -> None:
        link.send((self.times, dict(self.refusals), dict(self.setbacks), time.process_time()))

# SPDX-License-Identifier: MIT
"""Our own suite under load: real processes, real logins, real tokens."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plan import Plan, body
from benchmarks.programs import Process, twistd


@dataclass(frozen=True)
class User:
    """An account with an unspent token, and the relay it is for."""

    name: str
    token: str
    port: int


class Suite:
    """A tracker, a manager, and relays on one core each or all on one.

    Args:
        folder: for their data.
        relays: how many.
        cpus: the cores the relays are bound to, in turn.
    """

    def __init__(self, folder: Path, relays: int = 1, cpus: tuple[int, ...] = (0,), *options: str) -> None:
        self.tracker = twistd("xjtracker", folder)
        at = ("--tracker", f"127.0.0.1:{self.tracker.port}")
        self.manager = twistd("xjmanager", folder, *at, "--key-rounds", "4096")
        self.relays = [
            twistd("xjrelay", folder, *at, *options, cpu=cpus[n % len(cpus)]) for n in range(relays)
        ]
        self._serial = 0
        self._wait_for_relays()

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [self.tracker, self.manager, *self.relays]

    def users(self, count: int) -> list[User]:
        """New accounts, each with a token for the relay it was given."""
        return [self._register() for _ in range(count)]

    def end(self) -> None:
        """End every process."""
        for process in reversed(self.processes):
            process.end()

    def _register(self) -> User:
        self._serial += 1
        name = f"user{self._serial}"
        answer = self._ask({"type": "auth", "username": name, "password": "rahasia", "register": True})
        return User(name, answer["token"], answer["component"][0]["port"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with socket.create_connection(("127.0.0.1", self.manager.port)) as link:
            hello = {"ip_local": "127.0.0.1", "port": 0, "type": "client"}
            link.sendall(f"{json.dumps(hello)}\n{json.dumps(request)}\n".encode())
            answer: dict[str, Any] = json.loads(link.makefile().readline())
            return answer

    def _wait_for_relays(self) -> None:
        """Until each is assigned somebody."""
        seen: set[int] = set()
        while len(seen) < len(self.relays):
            self._serial += 1
            answer = self._ask(
                {"type": "auth", "username": f"probe{self._serial}", "password": "x1", "register": True}
            )
            seen |= {component["port"] for component in answer["component"]}


def plan(
    suite: Suite, pairs: int, size: int, ack: bool = False, across: bool = False, every: int = 8
) -> Plan:
    """Pairs of sender and receiver; ``across``: on different relays, else on the same one."""
    made = Plan()
    for sender, receiver in _couples(suite, pairs, across):
        receives = made.conn(receiver.port, [login(receiver, ack)])
        made.receives(ack=b'{"stanza":"ack","h":%ld}\n' if ack else b"", every=every)
        sends = made.conn(sender.port, [login(sender, ack)])
        identity = b'"id":"@@@@@@@@@@@@",' if ack else b""
        made.sends(
            b'{"stanza":"message","from":"%b","to":"%b",%b"body":"%b"}\n'
            % (sender.name.encode(), receiver.name.encode(), identity, body(size))
        )
        if ack:
            made.receives(b'"stanza":"receipt"', b'{"stanza":"ack","h":%ld}\n', every, counts=False)
        made.pair(sends, receives)
    return made


def login(user: User, ack: bool) -> tuple[bytes, bytes]:
    """What opens a session with the user's token, and what says that it is open."""
    hello = {"username": user.name, "message": "hello!", "token": user.token}
    return json.dumps(hello | ({"ack": True} if ack else {})).encode() + b"\n", b'"hello!"'


def _couples(suite: Suite, pairs: int, across: bool) -> list[tuple[User, User]]:
    by_port: dict[int, list[User]] = {}
    couples: list[tuple[User, User]] = []
    while len(couples) < pairs:
        for user in suite.users(2 * len(suite.relays)):
            by_port.setdefault(user.port, []).append(user)
        if across and len(by_port) > 1:
            one, other = list(by_port.values())[:2]
            couples += [(one.pop(), other.pop()) for _ in range(min(len(one), len(other)))]
        elif not across:
            couples += [(users.pop(), users.pop()) for users in by_port.values() if len(users) > 1]
    return couples[:pairs]

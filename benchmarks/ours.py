# SPDX-License-Identifier: MIT
"""Our own suite under load: real processes, real logins, real tokens."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.plan import Plan, body
from benchmarks.programs import Certificate, Process, free_port, twistd

PASSWORD = "rahasia"
AT_ONCE = 64
"""Registrations under way at a time: the manager works on one while another waits for its disk."""

UNTHROTTLED = ("--max-stanzas", "10000000", "--max-bytes", "1000000000000")
"""Each user's stanzas and bytes are counted as always; but two users alone may use up a relay."""

HELLO = {"ip_local": "127.0.0.1", "port": 0, "type": "client"}


@dataclass(frozen=True)
class User:
    """An account with an unspent token, and the relay it is for."""

    name: str
    token: str
    port: int


@dataclass(frozen=True)
class Settings:
    """What a suite is started with.

    Args:
        relays: how many.
        cpus: the cores that the relays are bound to, in turn.
        options: of each relay, beside those that let a user say as much as it likes.
        manager: options of the manager.
        certificate: what a relay shows at a second door, for users over TLS.
        package: a folder with another build of ours, for the relays.
    """

    relays: int = 1
    cpus: tuple[int, ...] = (0,)
    options: tuple[str, ...] = ()
    manager: tuple[str, ...] = ()
    certificate: Certificate | None = None
    package: Path | None = None


@dataclass(frozen=True)
class Traffic:
    """How the pairs of a plan talk.

    Args:
        size: bytes of a body.
        ack: sessions with acknowledgement, messages with an ``id``.
        named: messages with an ``id`` without it, too.
        every: messages an acknowledgement is for.
        across: sender and receiver at different relays, else at the same one.
        offline: each message to the receiver goes with one to somebody who is nowhere.
        tls: through the relays' second door.
    """

    size: int = 100
    ack: bool = False
    named: bool = False
    every: int = 100
    across: bool = False
    offline: bool = False
    tls: bool = False


@dataclass
class Suite:
    """A tracker, a manager, and relays on one core each or all on one.

    Args:
        folder: for their data.
        settings: how many, where, and what they are told.
    """

    folder: Path
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.processes: list[Process] = []
        self.relays: list[Process] = []
        self.doors: dict[int, int] = {}
        self._serial = 0
        try:
            self._start()
        except BaseException:
            self.end()
            raise

    def _start(self) -> None:
        self.tracker = self._run("xjtracker")
        self._at = ("--tracker", f"127.0.0.1:{self.tracker.port}")
        self.manager = self._run("xjmanager", *self._at, "--key-rounds", "4096", *self.settings.manager)
        self.grow(self.settings.relays)

    def _run(self, plugin: str, *options: str, cpu: int | None = None) -> Process:
        package = self.settings.package if plugin == "xjrelay" else None
        process = twistd(plugin, self.folder, *options, cpu=cpu, package=package)
        self.processes.append(process)
        return process

    def grow(self, relays: int) -> None:
        """Until there are so many relays, and each is assigned users."""
        while len(self.relays) < relays:
            cpu = self.settings.cpus[len(self.relays) % len(self.settings.cpus)]
            door = free_port()
            options = (*UNTHROTTLED, *self.settings.options, *_tls(self.settings.certificate, door))
            relay = self._run("xjrelay", *self._at, *options, cpu=cpu)
            self.relays.append(relay)
            self.doors[relay.port] = door
        seen: set[int] = set()
        while seen != {relay.port for relay in self.relays}:
            seen |= {user.port for user in self.users(1)}

    def users(self, count: int) -> list[User]:
        """New accounts, each with a token for the relay it was given."""
        made: list[User] = []
        while len(made) < count:
            made += self._register(min(AT_ONCE, count - len(made)))
        return made

    def given_back(self) -> int:
        """Messages whose senders were told ``failed``, to be sent again, by all relays so far."""
        return sum(_failed(folder / "admin.sock") for folder in self.folder.glob("xjrelay-*"))

    def end(self) -> None:
        """End every process."""
        for process in reversed(self.processes):
            process.end()

    def _register(self, count: int) -> list[User]:
        names = [f"user{self._serial + number}" for number in range(count)]
        self._serial += count
        links = [login_at_manager(self.manager.port, name, "register") for name in names]
        answers = [json.loads(link.makefile().readline()) for link in links]
        for link in links:
            link.close()
        return [
            User(name, answer["token"], answer["component"][0]["port"])
            for name, answer in zip(names, answers, strict=True)
            if answer["component"]
        ]


def login_at_manager(port: int, name: str, flag: str = "replace") -> socket.socket:
    """A connection that has asked to be logged in (or to ``register``); the answer is yet to be read."""
    link = socket.create_connection(("127.0.0.1", port))
    request = {"type": "auth", "username": name, "password": PASSWORD, flag: True}
    link.sendall(f"{json.dumps(HELLO)}\n{json.dumps(request)}\n".encode())
    return link


def _failed(path: Path) -> int:
    """The counter of that name in what a program counts."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))
        link.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        lines = link.makefile().read().splitlines()
    counted = [line for line in lines if line.startswith("xjrelay_outcomes_total{") and '"failed"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in counted)


def _tls(certificate: Certificate | None, door: int) -> tuple[str, ...]:
    if certificate is None:
        return ()
    return (
        *("--listen", f"tls:{door}", "--tls-certificate", str(certificate.chain)),
        *("--tls-key", str(certificate.key), "--tls-authority", str(certificate.authority)),
    )


def plan(suite: Suite, pairs: int, traffic: Traffic) -> Plan:
    """Pairs of sender and receiver."""
    return plan_of(suite, couples(suite, pairs, traffic.across), traffic)


def plan_of(suite: Suite, chosen: Sequence[tuple[User, User]], traffic: Traffic) -> Plan:
    """These pairs of sender and receiver."""
    made = Plan()
    absent = suite.users(len(chosen)) if traffic.offline else []
    acknowledges = b'{"stanza":"ack","h":%ld}\n'
    for number, (sender, receiver) in enumerate(chosen):
        receives = _session(suite, made, receiver, traffic)
        made.receives(ack=acknowledges if traffic.ack else b"", every=traffic.every)
        sends = _session(suite, made, sender, traffic)
        lines = message(sender.name, receiver.name, traffic)
        if traffic.offline:
            lines += message(sender.name, absent[number].name, traffic, marked=False)
        made.sends(lines)
        if traffic.ack:
            made.receives(b'"stanza":"receipt"', acknowledges, traffic.every, counts=False)
        made.pair(sends, receives)
    return made


def message(sender: str, receiver: str, traffic: Traffic, marked: bool = True) -> bytes:
    """A message's line; ``marked``: it counts as one of its pair where it is heard."""
    identity = b'"id":"@@@@@@@@@@@@",' if traffic.ack or traffic.named else b""
    return b'{"stanza":"message","from":"%b","to":"%b",%b"body":"%b"}\n' % (
        sender.encode(),
        receiver.encode(),
        identity,
        body(traffic.size, marked),
    )


def login(user: User, ack: bool) -> tuple[bytes, bytes]:
    """What opens a session with the user's token, and what says that it is open."""
    hello = {"username": user.name, "message": "hello!", "token": user.token}
    return json.dumps(hello | ({"ack": True} if ack else {})).encode() + b"\n", b'"hello!"'


def _session(suite: Suite, made: Plan, user: User, traffic: Traffic) -> int:
    port = suite.doors[user.port] if traffic.tls else user.port
    number = made.conn(port, [login(user, traffic.ack)], tls=int(traffic.tls))
    made.answers(b'{"type":"ping"}', b'{"type":"pong"}\n')
    return number


def couples(suite: Suite, pairs: int, across: bool = False) -> list[tuple[User, User]]:
    """So many pairs of new users, each at one relay or (``across``) at two."""
    by_port: dict[int, list[User]] = {}
    made: list[tuple[User, User]] = []
    while len(made) < pairs:
        wanted = max(2 * len(suite.relays), 2 * (pairs - len(made)))
        for user in suite.users(wanted):
            by_port.setdefault(user.port, []).append(user)
        if across and len(by_port) > 1:
            one, other = list(by_port.values())[:2]
            made += [(one.pop(), other.pop()) for _ in range(min(len(one), len(other)))]
        elif not across:
            for users in by_port.values():
                while len(users) > 1:
                    made.append((users.pop(), users.pop()))
    return made[:pairs]

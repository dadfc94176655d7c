# SPDX-License-Identifier: MIT
"""The servers one can install from a distribution, each on loopback in its own folder; and the floor in C."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import wires, xmpp
from benchmarks.plan import BUILD, Plan
from benchmarks.programs import Certificate, Process, free_port
from benchmarks.wires import Wire

Start = Callable[[Path, int, Certificate | None], Process]
Ports = Sequence[tuple[int, int]]
"""By turns: where the receiver of a pair logs in, and where its sender does."""


@dataclass(frozen=True)
class Peer:
    """One server and how it is spoken to.

    Args:
        name: in the tables.
        program: what must be installed.
        start: runs it in a folder, on a core, with a certificate or without TLS.
        wire: what is said to it.
        tls: 0 it isn't measured over TLS, 1 TLS from the beginning, 2 after a line in the clear.
        accounts: makes accounts, where it needs them.
        package: the distribution's name of it, where that is not the program's.
        at_once: connections logged in at a time: as many as it has a backlog for, and many where it lets
            each wait.
    """

    name: str
    program: str
    start: Start
    wire: Wire
    tls: int = 0
    accounts: Callable[[Process, Sequence[str]], None] | None = None
    package: str = ""
    at_once: int = 128

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return _which(self.program) is not None

    @property
    def version(self) -> str:
        """The distribution's, or nothing for the floor."""
        asked = ["dpkg-query", "--show", "--showformat=${Version}", self.package or self.program]
        try:
            return subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        except OSError:
            return ""

    def plan(self, ports: Ports, pairs: int, size: int, offline: bool = False, tls: bool = False) -> Plan:
        """Pairs of sender and receiver."""
        made = Plan()
        secure = self.tls if tls else 0
        for number in range(pairs):
            receiving, sending = ports[number % len(ports)]
            receives = made.conn(receiving, self.wire.receive(number), secure)
            made.receives(ack=self.wire.ack, every=0 if self.wire.ack else 1)
            sends = made.conn(sending, self.wire.send(number), secure)
            made.sends(self.wire.line(number, size, offline))
            made.pair(sends, receives)
        return made

    def idle(self, port: int, count: int) -> Plan:
        """So many receivers to whom nobody says anything."""
        made = Plan()
        for number in range(count):
            made.conn(port, self.wire.receive(number))
        return made


def _which(program: str) -> str | None:
    return shutil.which(program, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") or (
        str(BUILD / program) if (BUILD / program).exists() else None
    )


def _run(
    program: str, *arguments: str, tls: Sequence[str] = (), config: tuple[str, str, str] | None = None
) -> Start:
    """Starts a program, with what is in braces filled in.

    Args:
        arguments: its own.
        tls: those that follow with a certificate.
        config: a file's name, its text, and what follows with a certificate.
    """

    def start(folder: Path, cpu: int, certificate: Certificate | None) -> Process:
        port = free_port()
        places = {"{port}": str(port), "{folder}": str(folder)}
        if certificate is not None:
            places |= {
                "{chain}": str(certificate.chain),
                "{key}": str(certificate.key),
                "{authority}": str(certificate.authority),
            }
        if config is not None:
            name, text, secure = config
            (folder / name).write_text(_fill(text + (secure if certificate else ""), places))
        said = [_fill(argument, places) for argument in (*arguments, *(tls if certificate else ()))]
        return Process([_which(program) or program, *said], port, folder, cpu)

    return start


def _fill(text: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        text = text.replace(place, value)
    return text


_NGIRCD = """[Global]
Name = irc.example.org
Info = bench
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = bench
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxPenaltyTime = 0
PingTimeout = 600
PongTimeout = 600
[Options]
DNS = no
Ident = no
PAM = no
"""

_INSPIRCD = """<server name="irc.example.org" description="bench" network="bench" id="0BE">
<admin name="bench" nick="bench" email="bench@example.org">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect name="main" allow="*" timeout="60" pingfreq="600" hardsendq="64M" softsendq="64M" recvq="16M"
 threshold="100000000" commandrate="100000000" fakelag="no" localmax="100000" globalmax="100000"
 resolvehostnames="no" useident="no" limit="100000" maxconnwarn="no">
<class name="none" commands="" privs="">
<performance nouserdns="yes" somaxconn="1024" softlimit="100000" quietbursts="yes" netbuffersize="65534">
<options defaultmodes="" announcets="no">
<execfiles motd="echo bench">
<security announceinvites="none">
<log method="file" type="*" level="default" target="{folder}/ircd.log">
<pid file="{folder}/inspircd.pid">
"""

_MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
"""
_MOSQUITTO_TLS = """certfile {chain}
keyfile {key}
tls_version tlsv1.3
"""


def _mosquitto(folder: Path, cpu: int, certificate: Certificate | None) -> Process:
    """It gives up being root unless told, and then can't read its folder."""
    user = "user root\n"
    config = ("mosquitto.conf", user + _MOSQUITTO, _MOSQUITTO_TLS)
    return _run("mosquitto", "-c", "{folder}/mosquitto.conf", config=config)(folder, cpu, certificate)


def _xmpp(name: str, rounds: int) -> Start:
    """``rounds`` of the passwords' keys: they have nothing to do with what a message costs."""

    def start(folder: Path, cpu: int, _certificate: Certificate | None) -> Process:
        return xmpp.SERVERS[name](folder, cpu, rounds).process

    return start


def _xmpp_accounts(process: Process, names: Sequence[str]) -> None:
    xmpp.XmppServer("the server", process).register(names)


FLOOR = Peer("C on epoll (the floor)", "floor", _run("floor", "{port}"), wires.FLOOR)
_NATS = ("nats-server", "-a", "127.0.0.1", "-p", "{port}")
NATS = Peer(
    "nats-server",
    "nats-server",
    _run(
        *_NATS,
        tls=("--tls", "--tlscert", "{chain}", "--tlskey", "{key}"),
    ),
    wires.NATS,
    tls=2,
)
MOSQUITTO = Peer("mosquitto, QoS 0", "mosquitto", _mosquitto, wires.MQTT, tls=1)
MOSQUITTO_ACKNOWLEDGED = Peer("mosquitto, QoS 1", "mosquitto", _mosquitto, wires.MQTT_ACKNOWLEDGED, tls=1)
REDIS = Peer(
    "redis",
    "redis-server",
    _run(
        *("redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
        *("--dir", "{folder}", "--port", "{port}"),
    ),
    wires.REDIS,
)
NGIRCD = Peer(
    "ngircd",
    "ngircd",
    _run("ngircd", "--nodaemon", "--config", "{folder}/ngircd.conf", config=("ngircd.conf", _NGIRCD, "")),
    wires.IRC,
    at_once=8,
)
INSPIRCD = Peer(
    "inspircd",
    "inspircd",
    _run(
        *("inspircd", "--nofork", "--runasroot", "--config", "{folder}/inspircd.conf"),
        config=("inspircd.conf", _INSPIRCD, ""),
    ),
    wires.IRC,
    at_once=2_000,
)
PROSODY = Peer("prosody", "prosody", _xmpp("prosody", 1), wires.XMPP, accounts=_xmpp_accounts)
EJABBERD = Peer(
    "ejabberd", "ejabberdctl", _xmpp("ejabberd", 0), wires.XMPP, accounts=_xmpp_accounts, package="ejabberd"
)

PEERS = (FLOOR, NATS, MOSQUITTO, MOSQUITTO_ACKNOWLEDGED, REDIS, NGIRCD, INSPIRCD, PROSODY, EJABBERD)
"""In the order of the tables."""


def routed_nats(folder: Path, cpu: int) -> Iterator[Process]:
    """Two nats-servers on one core, each of which passes on what is for users of the other."""
    routes = free_port()
    cluster = (*_NATS, "--cluster_name", "bench", "--cluster")
    yield _run(*cluster, f"nats://127.0.0.1:{routes}")(folder, cpu, None)
    other = f"nats://127.0.0.1:{free_port()}"
    yield _run(*cluster, other, "--routes", f"nats://127.0.0.1:{routes}")(folder, cpu, None)

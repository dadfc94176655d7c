# SPDX-License-Identifier: MIT
"""The peers one can install from a distribution, each in its own dialect; and the floor in C."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plan import BUILD, Plan, body
from benchmarks.programs import Process, free_port

Steps = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Peer:
    """One server and its dialect.

    Args:
        name: in the table.
        program: what must be installed.
        start: runs it in a folder, on a core.
        receive: how the receiver of pair N logs in.
        send: how the sender of pair N logs in, and its message of so many bytes.
    """

    name: str
    program: str
    start: Callable[[Path, int], Process]
    receive: Callable[[int], Steps]
    send: Callable[[int, int], tuple[Steps, bytes]]

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return _which(self.program) is not None

    def plan(self, port: int, pairs: int, size: int) -> Plan:
        """Pairs of sender and receiver."""
        made = Plan()
        for number in range(pairs):
            receives = made.conn(port, self.receive(number))
            made.receives()
            steps, message = self.send(number, size)
            sends = made.conn(port, steps)
            made.sends(message)
            made.pair(sends, receives)
        return made


def _which(program: str) -> str | None:
    return shutil.which(program, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") or (
        str(BUILD / program) if (BUILD / program).exists() else None
    )


def _run(
    program: str, *arguments: str, config: tuple[str, str] | None = None
) -> Callable[[Path, int], Process]:
    """Starts a program with ``{port}`` and ``{folder}`` filled in, and a configuration file."""

    def start(folder: Path, cpu: int) -> Process:
        port = free_port()
        filled = [argument.format(port=port, folder=folder) for argument in arguments]
        if config is not None:
            (folder / config[0]).write_text(
                config[1].replace("{port}", str(port)).replace("{folder}", str(folder))
            )
        return Process([_which(program) or program, *filled], port, folder, cpu)

    return start


# -- the floor -------------------------------------------------------------------------------


def _floor_hello(name: str) -> Steps:
    return [(b'{"username":"%b","message":"hello!"}\n' % name.encode(), b"hello!")]


def _floor_send(number: int, size: int) -> tuple[Steps, bytes]:
    message = b'{"stanza":"message","from":"s%d","to":"r%d","body":"%b"}\n' % (number, number, body(size))
    return _floor_hello(f"s{number}"), message


# -- NATS ------------------------------------------------------------------------------------

_NATS_HELLO = b'CONNECT {"verbose":false,"pedantic":false}\r\n'


def _nats_receive(number: int) -> Steps:
    return [(_NATS_HELLO + b"SUB s.%d 1\r\nPING\r\n" % number, b"PONG")]


def _nats_send(number: int, size: int) -> tuple[Steps, bytes]:
    return [(_NATS_HELLO + b"PING\r\n", b"PONG")], b"PUB s.%d %d\r\n%b\r\n" % (number, size, body(size))


# -- MQTT ------------------------------------------------------------------------------------


def _mqtt(kind: int, content: bytes) -> bytes:
    length, size = b"", len(content)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([kind]) + length + content


def _text(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def _mqtt_hello(name: bytes) -> tuple[bytes, bytes]:
    return _mqtt(0x10, _text(b"MQTT") + b"\x04\x02\x00\x00" + _text(name)), b"\x20\x02\x00\x00"


def _mqtt_receive(number: int) -> Steps:
    topic = _text(b"s/%d" % number)
    return [
        _mqtt_hello(b"r%d" % number),
        (_mqtt(0x82, b"\x00\x01" + topic + b"\x00"), b"\x90\x03\x00\x01\x00"),
    ]


def _mqtt_send(number: int, size: int) -> tuple[Steps, bytes]:
    return [_mqtt_hello(b"s%d" % number)], _mqtt(0x30, _text(b"s/%d" % number) + body(size))


# -- redis -----------------------------------------------------------------------------------


def _redis_receive(number: int) -> Steps:
    return [(b"SUBSCRIBE s%d\r\n" % number, b":1\r\n")]


def _redis_send(number: int, size: int) -> tuple[Steps, bytes]:
    channel = b"s%d" % number
    message = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, size, body(size))
    return [(b"PING\r\n", b"PONG")], message


# -- IRC -------------------------------------------------------------------------------------


def _irc_hello(name: bytes) -> Steps:
    return [(b"NICK %b\r\nUSER %b 0 * :%b\r\n" % (name, name, name), b" 376 ")]


def _irc_receive(number: int) -> Steps:
    return _irc_hello(b"r%d" % number)


def _irc_send(number: int, size: int) -> tuple[Steps, bytes]:
    return _irc_hello(b"s%d" % number), b"PRIVMSG r%d :%b\r\n" % (number, body(size))


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

_MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
set_tcp_nodelay true
"""

PEERS = (
    Peer(
        "C on epoll (the floor)",
        "floor",
        _run("floor", "{port}"),
        lambda n: _floor_hello(f"r{n}"),
        _floor_send,
    ),
    Peer(
        "nats-server",
        "nats-server",
        _run("nats-server", "-a", "127.0.0.1", "-p", "{port}"),
        _nats_receive,
        _nats_send,
    ),
    Peer(
        "mosquitto, QoS 0",
        "mosquitto",
        _run("mosquitto", "-c", "{folder}/mosquitto.conf", config=("mosquitto.conf", _MOSQUITTO)),
        _mqtt_receive,
        _mqtt_send,
    ),
    Peer(
        "redis",
        "redis-server",
        _run("redis-server", "--bind", "127.0.0.1", "--port", "{port}", "--save", "", "--appendonly", "no"),
        _redis_receive,
        _redis_send,
    ),
    Peer(
        "ngircd",
        "ngircd",
        _run("ngircd", "--nodaemon", "--config", "{folder}/ngircd.conf", config=("ngircd.conf", _NGIRCD)),
        _irc_receive,
        _irc_send,
    ),
)

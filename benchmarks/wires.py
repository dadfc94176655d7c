# SPDX-License-Identifier: MIT
"""What is said to servers that carry messages: pure bytes, as the load generator sends and awaits them.

Receiver and sender of pair N are ``rN`` and ``sN``; ``aN`` is somebody who is nowhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import xmpp
from benchmarks.plan import body

Steps = list[tuple[bytes, bytes]]

LONGEST = 1 << 20
IRC_LONGEST = 350
"""Bytes of a body that still fit a line of 512 with what else is in it."""


@dataclass(frozen=True)
class Wire:
    """How one kind of server is spoken to.

    Args:
        receive: how the receiver of pair N logs in.
        send: how the sender of pair N logs in.
        message: from the sender of pair N to ``rN`` or ``aN``, with this body.
        longest: bytes of a body it can carry.
        ack: what a receiver answers each message with, the two bytes before the body behind it.
    """

    receive: Callable[[int], Steps]
    send: Callable[[int], Steps]
    message: Callable[[int, str, bytes], bytes]
    longest: int = LONGEST
    ack: bytes = b""

    def line(self, number: int, size: int, offline: bool) -> bytes:
        """What the sender of a pair says at a time; ``offline``: to somebody who is nowhere as well."""
        said = self.message(number, f"r{number}", body(size))
        return said + self.message(number, f"a{number}", body(size, marked=False)) if offline else said


# -- ours, as the floor speaks it ------------------------------------------------------------


def _floor_hello(name: str) -> Steps:
    return [(b'{"username":"%b","message":"hello!"}\n' % name.encode(), b"hello!")]


def _floor_message(number: int, receiver: str, text: bytes) -> bytes:
    return b'{"stanza":"message","from":"s%d","to":"%b","body":"%b"}\n' % (number, receiver.encode(), text)


FLOOR = Wire(lambda n: _floor_hello(f"r{n}"), lambda n: _floor_hello(f"s{n}"), _floor_message)

# -- NATS ------------------------------------------------------------------------------------

_NATS_HELLO = b'CONNECT {"verbose":false,"pedantic":false}\r\n'


def _nats_message(_number: int, receiver: str, text: bytes) -> bytes:
    return b"PUB %b %d\r\n%b\r\n" % (receiver.encode(), len(text), text)


NATS = Wire(
    lambda n: [(_NATS_HELLO + b"SUB r%d 1\r\nPING\r\n" % n, b"PONG")],
    lambda n: [(_NATS_HELLO + b"PING\r\n", b"PONG")],
    _nats_message,
)

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


def _mqtt_receive(number: int, quality: int) -> Steps:
    name = b"r%d" % number
    subscription = _mqtt(0x82, b"\x00\x01" + _text(name) + bytes([quality]))
    return [_mqtt_hello(name), (subscription, b"\x90\x03\x00\x01" + bytes([quality]))]


def _mqtt_message(_number: int, receiver: str, text: bytes) -> bytes:
    return _mqtt(0x30, _text(receiver.encode()) + text)


def _mqtt_message_acknowledged(_number: int, receiver: str, text: bytes) -> bytes:
    return _mqtt(0x32, _text(receiver.encode()) + b"\x00\x07" + text)


MQTT = Wire(
    lambda n: _mqtt_receive(n, 0),
    lambda n: [_mqtt_hello(b"s%d" % n)],
    _mqtt_message,
)
MQTT_ACKNOWLEDGED = Wire(
    lambda n: _mqtt_receive(n, 1),
    lambda n: [_mqtt_hello(b"s%d" % n)],
    _mqtt_message_acknowledged,
    ack=b"\x40\x02",
)

# -- redis -----------------------------------------------------------------------------------


def _redis_message(_number: int, receiver: str, text: bytes) -> bytes:
    channel = receiver.encode()
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(text), text)


REDIS = Wire(
    lambda n: [(b"SUBSCRIBE r%d\r\n" % n, b":1\r\n")],
    lambda n: [(b"PING\r\n", b"PONG")],
    _redis_message,
)

# -- IRC -------------------------------------------------------------------------------------


def _irc_hello(name: bytes) -> Steps:
    return [(b"NICK %b\r\nUSER %b 0 * :%b\r\n" % (name, name, name), b" 376 ")]


def _irc_message(_number: int, receiver: str, text: bytes) -> bytes:
    return b"PRIVMSG %b :%b\r\n" % (receiver.encode(), text)


IRC = Wire(
    lambda n: _irc_hello(b"r%d" % n), lambda n: _irc_hello(b"s%d" % n), _irc_message, longest=IRC_LONGEST
)

# -- XMPP ------------------------------------------------------------------------------------


def _xmpp_message(_number: int, receiver: str, text: bytes) -> bytes:
    to = f"{xmpp.jid(receiver)}/{xmpp.RESOURCE}".encode()
    return b"<message to='%b' type='chat'><body>%b</body></message>" % (to, text)


XMPP = Wire(lambda n: xmpp.login(f"r{n}"), lambda n: xmpp.login(f"s{n}"), _xmpp_message)

# SPDX-License-Identifier: MIT
"""What a connection over TLS has to do with others, and with the transport below it."""

from __future__ import annotations

import contextlib
import ssl
from functools import partial
from typing import Any, cast

from twisted.internet.protocol import Factory

from tests.net.secure_ends import Above, SecureTestCase
from xjrelay.net.secure import SecureFactory, SecureStream
from xjrelay.net.socket import tune


class OthersTests(SecureTestCase):
    """Connections of a listener share what they are encrypted in, and nothing of one comes to another."""

    def setUp(self) -> None:
        super().setUp()
        self.agreed()
        self.other = (self.stream, self.below, self.above, self.user)
        self.count = 0

    def others_talk(self) -> None:
        """The other connection works, and nothing else comes out of it."""
        stream, below, above, user = self.other
        self.count += 1
        word = b"%d" % self.count
        user.say(word)
        stream.write(word)
        self.assertEqual(len(below.value()), 5 + len(word) + 1 + 16)
        user.hear()
        self.assertEqual((above.heard, user.heard), (word, word))
        above.heard = user.heard = b""
        self.assertEqual(self.left(), (0, 0))

    def left(self) -> tuple[int, int]:
        """Bytes in what they share."""
        buffers = self.listening._buffers
        return buffers.incoming.pending, buffers.outgoing.pending

    def test_they_talk_between_any_two_bytes(self) -> None:
        self.connect()
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.user.tls.do_handshake()
            self.feed_by_bytes(self.user.out.read())
            self.user.hear()
        for word in (b"satu", b"lima"):
            self.user.tls.write(word)
        self.feed_by_bytes(self.user.out.read())
        self.assertEqual(self.above.heard, b"satulima")
        self.stream.write(b"juga")
        self.user.hear()
        self.assertEqual(self.user.heard, b"juga")

    def feed_by_bytes(self, data: bytes) -> None:
        for at in range(len(data)):
            self.stream.dataReceived(data[at : at + 1])
            self.others_talk()

    def test_they_talk_while_one_is_told_of_its_agreement_and_of_what_it_was_sent(self) -> None:
        """What it says first comes in one read with the end of its handshake."""
        self.connect()
        for event in ("handshakeCompleted", "dataReceived"):
            self.patch(self.above, event, self.meanwhile(getattr(self.above, event)))
        with contextlib.suppress(ssl.SSLWantReadError):
            self.user.tls.do_handshake()
        self.user.go()
        self.user.tls.do_handshake()
        self.user.say(b"first")
        self.assertEqual((self.above.heard, self.count), (b"first", 2))
        self.user.say(b"second", b"third")
        self.assertEqual((self.above.heard, self.count), (b"firstsecondthird", 3))

    def meanwhile(self, event: Any) -> Any:
        def told(*said: Any) -> None:
            self.others_talk()
            event(*said)

        return told

    def test_an_end_in_the_middle_of_a_read_leaves_nothing(self) -> None:
        for end in (self.break_a_record, self.say_goodbye, self.speak_http, self.pretend):
            self.connect()
            self.patch(self.above, "dataReceived", self.meanwhile(self.above.dataReceived))
            end()
            self.assertEqual(self.left(), (0, 0), end)
            self.assertTrue(self.below.disconnecting)
            self.others_talk()

    def break_a_record(self) -> None:
        self.user.shake()
        for word in (b"whole", b"broken", b"more"):
            self.user.tls.write(word)
        data = bytearray(self.user.out.read())
        data[-30] ^= 1
        self.stream.dataReceived(bytes(data) * 3)
        self.assertEqual(self.above.heard, b"whole")
        with self.assertRaisesRegex(ssl.SSLError, "(?i)alert bad record mac"):
            self.user.hear()

    def say_goodbye(self) -> None:
        self.user.shake()
        self.user.tls.write(b"bye")
        with self.assertRaises(ssl.SSLWantReadError):
            self.user.tls.unwrap()
        self.stream.dataReceived(self.user.out.read() + b"and much more" * 100)
        self.assertEqual(self.above.heard, b"bye")

    def speak_http(self) -> None:
        self.stream.dataReceived(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n")

    def pretend(self) -> None:
        """A handshake that breaks half-way, with more behind it."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.user.tls.do_handshake()
        self.user.go()
        self.user.tls.do_handshake()
        data = bytearray(self.user.out.read())
        data[-1] ^= 1
        self.stream.dataReceived(bytes(data) + b"more" * 100)

    def test_what_breaks_here_leaves_nothing_either(self) -> None:
        self.agreed()
        broken: Any = Broken(self.stream._raw)
        self.stream._raw = broken
        self.user.say(b"what is in memory then")
        self.assertEqual(self.left(), (0, 0))
        self.others_talk()
        self.end()
        self.assertIn("no memory", self.lost())

    def test_what_tls_answers_to_a_read_goes_out_with_it(self) -> None:
        """As to a new negotiation in TLS 1.2, which is refused in the middle of a read."""
        self.agreed()
        answering: Any = Answering(self.stream._raw, self.listening._buffers.outgoing)
        self.stream._raw = answering
        self.user.tls.write(b"halo")
        self.patch(self.above, "dataReceived", self.meanwhile(self.above.dataReceived))
        self.stream.dataReceived(self.user.out.read())
        self.assertEqual((self.above.heard, self.below.take()), (b"halo", b"no"))


class Broken:
    """Takes a record, and has no memory for what it said."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def read(self, size: int) -> bytes:
        raise MemoryError("no memory")


class Answering:
    """Answers in TLS while it reads."""

    def __init__(self, raw: Any, outgoing: ssl.MemoryBIO) -> None:
        self._outgoing = outgoing
        self.pending = raw.pending
        self._read = raw.read

    def read(self, size: int) -> bytes:
        self._outgoing.write(b"no")
        heard: bytes = self._read(size)
        return heard


class TransportTests(SecureTestCase):
    """What a link asks of its transport is asked of the one below."""

    def test_each_goes_through_as_it_is(self) -> None:
        asked: list[Any] = []

        def note(name: str, *said: Any) -> str:
            asked.append([name, *said])
            return name

        for name, *said in TRANSPORT:
            setattr(self.below, name, partial(note, name))
            answer = getattr(self.stream, name)(*said)
            if name.startswith("getTcp"):
                self.assertIs(answer, True)
            elif name.startswith("get"):
                self.assertEqual(answer, name)
        self.assertEqual(asked, TRANSPORT)

    def test_what_is_no_tcp_below_needs_no_tuning(self) -> None:
        self.assertFalse(hasattr(self.below, "setTcpNoDelay"))
        tune(cast(Any, self.stream), 20.0)
        asked: list[bool] = []
        for name in ("setTcpNoDelay", "setTcpKeepAlive"):
            setattr(self.below, name, asked.append)
        tune(cast(Any, self.stream), 20.0)
        self.assertEqual(asked, [True, True])

    def test_to_stop_producing_is_to_close(self) -> None:
        self.agreed()
        self.stream.stopProducing()
        self.user.hear()
        self.assertTrue(self.user.ended)

    def test_its_attributes_are_found_without_a_detour(self) -> None:
        """A hook for unknown ones, as wrappers of Twisted's have, makes the known ones ten times as dear."""
        self.assertFalse(hasattr(SecureStream, "__getattr__"))
        self.agreed()
        self.user.say(b"halo")
        self.stream.write(b"juga")
        self.assertEqual(vars(self.stream), {})

    def test_a_factory_behind_tls_hears_that_somebody_listens(self) -> None:
        inner = Factory.forProtocol(Above)
        listening = SecureFactory(self.server, inner)
        listening.doStart()
        self.assertEqual((listening.numPorts, inner.numPorts), (1, 1))
        listening.doStop()
        self.assertEqual((listening.numPorts, inner.numPorts), (0, 0))

    def test_a_factory_behind_tls_may_want_no_connection(self) -> None:
        inner = Factory()
        self.patch(inner, "buildProtocol", lambda address: None)
        self.assertIsNone(SecureFactory(self.server, inner).buildProtocol(None))


TRANSPORT: list[Any] = [
    ["getPeer"],
    ["getHost"],
    ["registerProducer", "somebody", True],
    ["pauseProducing"],
    ["resumeProducing"],
    ["unregisterProducer"],
    ["getTcpNoDelay"],
    ["setTcpNoDelay", True],
    ["getTcpKeepAlive"],
    ["setTcpKeepAlive", True],
    ["abortConnection"],
]

# SPDX-License-Identifier: MIT
"""A listener's TLS is safe: held against another implementation, a byte at a time and at every kind of end.

The client is the standard library's own, driven by hand, so that each step can be cut, repeated, left out
or falsified.
"""

from __future__ import annotations

import contextlib
import gc
import ssl
import time
import weakref
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure

from tests.net.secure_ends import HOST, SecureTestCase, key_update
from xjrelay.net.secure import RECORD
from xjrelay.net.tls import is_tls, own_certificate, peer_certificate
from xjrelay.security.certificates import CertificateError
from xjrelay.security.folder import Folder


class BytesTests(SecureTestCase):
    """What is said arrives, however it is cut."""

    def test_a_byte_at_a_time(self) -> None:
        self.user.shake(piece=1)
        self.assertEqual(self.above.events, ["made", "agreed"])
        self.user.tls.write(b"satu")
        self.user.tls.write(b"dua")
        self.user.go(piece=1)
        self.assertEqual((self.above.heard, self.above.events[2:]), (b"satudua", [4, 3]))

    def test_cut_at_every_byte_of_two_records(self) -> None:
        self.agreed()
        size = 0
        while not size or size < 2 * (22 + 4):
            size += 1
            self.above.heard = b""
            self.user.tls.write(b"satu")
            self.user.tls.write(b"lima")
            data = self.user.out.read()
            self.stream.dataReceived(data[:size])
            self.stream.dataReceived(data[size:])
            self.assertEqual(self.above.heard, b"satulima", size)

    def test_records_of_one_read_are_one_piece(self) -> None:
        self.agreed()
        self.user.say(*[b"%03d" % number for number in range(100)])
        self.assertEqual(self.above.events[2:], [300])

    def test_less_may_come_than_the_record_holds_that_it_ends(self) -> None:
        """Nothing of it stays in the decryption, however few bytes it takes to end it."""
        self.agreed()
        word = bytes(range(256)) * (RECORD // 256)
        for size in (1, 2, 17, 40, RECORD // 2, RECORD - 1, RECORD):
            self.above.events.clear()
            self.above.heard = b""
            self.user.tls.write(word)
            data = self.user.out.read()
            self.stream.dataReceived(data[:-size])
            self.assertEqual(self.above.events, [])
            self.stream.dataReceived(data[-size:])
            self.assertEqual((self.above.events, self.above.heard == word), ([RECORD], True), size)

    def test_the_beginning_of_the_next_record_stops_nobody(self) -> None:
        self.agreed()
        self.user.tls.write(b"satu")
        self.user.tls.write(b"lima")
        data = self.user.out.read()
        self.stream.dataReceived(data[: len(data) // 2 + 3])
        self.assertEqual(self.above.heard, b"satu")
        self.stream.dataReceived(data[len(data) // 2 + 3 :])
        self.assertEqual(self.above.heard, b"satulima")

    def test_more_than_a_record_goes_both_ways(self) -> None:
        self.agreed()
        much = bytes(range(256)) * (RECORD * 5 // 256) + b"!"
        self.user.say(much)
        self.assertEqual(self.above.heard, much)
        self.stream.write(much)
        self.stream.writeSequence([b"a", b"", b"b"])
        self.stream.write(b"")
        self.user.hear()
        self.assertEqual(self.user.heard, much + b"ab")

    def test_what_is_written_is_with_the_transport_at_once(self) -> None:
        self.agreed()
        self.stream.write(b"halo")
        self.assertGreater(len(self.below.value()), len(b"halo"))
        self.assertNotIn(b"halo", self.below.value())

    def test_what_is_written_before_the_agreement_waits_for_it(self) -> None:
        self.stream.write(b"early ")
        self.stream.write(b"bird")
        self.assertEqual(self.below.value(), b"")
        self.user.shake()
        self.assertEqual(self.user.heard, b"early bird")

    def test_a_change_of_keys_is_answered(self) -> None:
        """TLS 1.3's KeyUpdate with a request for another, as the first thing the client says."""
        secrets = Path(self.mktemp())
        self.context.keylog_filename = str(secrets)
        self.agreed()
        self.below.clear()
        self.stream.dataReceived(key_update(secrets.read_text()))
        self.stream.write(b"by the new keys")
        self.assertEqual(len(self.below.value()), 5 + 5 + 1 + 16 + 5 + 15 + 1 + 16)  # theirs, then our word
        self.user.hear()
        self.assertEqual(self.user.heard, b"by the new keys")

    def test_who_pauses_pauses_the_transport_and_who_writes_too_much_is_paused_by_it(self) -> None:
        self.agreed()
        producer: Any = object()
        self.stream.registerProducer(producer, True)
        self.assertEqual((self.below.producer, self.below.streaming), (producer, True))
        self.stream.unregisterProducer()
        self.assertIsNone(self.below.producer)
        transport: Any = self.stream
        transport.pauseProducing()
        self.assertEqual(self.below.producerState, "paused")
        transport.resumeProducing()
        self.assertEqual(self.below.producerState, "producing")


class EndTests(SecureTestCase):
    """Every way it can be over."""

    def setUp(self) -> None:
        super().setUp()
        self.agreed()

    def test_we_say_goodbye_and_close_when_it_is_answered(self) -> None:
        self.stream.write(b"last")
        self.stream.loseConnection()
        self.stream.loseConnection()
        self.stream.write(b"too late")
        self.user.hear()
        self.assertEqual((self.user.heard, self.user.ended), (b"last", True))
        self.assertFalse(self.below.disconnecting)
        with self.assertRaises(ssl.SSLError):
            self.user.tls.unwrap()  # answers, and then waits for what has come already
            raise ssl.SSLError("it was answered")
        self.user.go()
        self.assertTrue(self.below.disconnecting)
        self.end()
        self.assertTrue(self.above.reason is not None and self.above.reason.check(ConnectionDone))

    def test_what_comes_after_our_goodbye_is_dropped(self) -> None:
        self.stream.loseConnection()
        self.user.say(b"what?")
        self.assertEqual((self.above.heard, self.above.reason), (b"", None))

    def test_the_other_side_says_goodbye_and_is_answered(self) -> None:
        with self.assertRaises(ssl.SSLWantReadError):
            self.user.tls.unwrap()
        self.user.go()
        self.assertTrue(self.below.disconnecting)
        self.assertTrue(self.user.ended)
        self.end()
        self.assertTrue(self.above.reason is not None and self.above.reason.check(ConnectionDone))

    def test_what_was_said_before_the_goodbye_is_heard(self) -> None:
        self.user.tls.write(b"and bye")
        with self.assertRaises(ssl.SSLWantReadError):
            self.user.tls.unwrap()
        self.user.go()
        self.assertEqual(self.above.heard, b"and bye")

    def test_half_a_goodbye_leaves_the_other_direction_open(self) -> None:
        self.stream.loseWriteConnection()
        self.stream.write(b"too late")
        self.user.hear()
        self.assertEqual((self.user.heard, self.user.ended), (b"", True))
        self.user.say(b"still here")
        self.assertEqual(self.above.heard, b"still here")

    def test_an_end_without_a_goodbye_is_a_loss(self) -> None:
        self.end()
        self.assertTrue(self.above.reason is not None and self.above.reason.check(ConnectionLost))

    def test_a_cut_is_what_the_transport_says(self) -> None:
        self.end(ConnectionLost("reset"))
        self.assertEqual(self.above.events[-1], "lost")
        self.assertIn("reset", str(self.above.reason))

    def test_abort_cuts_and_nothing_is_heard_or_said_any_more(self) -> None:
        self.below.clear()
        self.stream.abortConnection()
        self.user.say(b"what?")
        self.stream.write(b"what?")
        self.stream.loseConnection()
        self.assertEqual((self.below.aborted, self.below.value(), self.above.heard), (True, b"", b""))

    def test_a_handler_may_cut_or_close_in_the_middle_of_a_read(self) -> None:
        for verb in ("abortConnection", "loseConnection"):
            self.agreed()
            end = getattr(self.stream, verb)
            self.patch(self.above, "dataReceived", lambda data, end=end: end())
            self.user.say(b"one", b"two")
            self.user.say(b"three")
            self.assertEqual(self.below.aborted, verb == "abortConnection")

    def test_before_the_agreement_there_is_nothing_to_say_goodbye_to(self) -> None:
        self.connect()
        self.stream.loseConnection()
        self.assertTrue(self.below.aborted)

    def test_what_was_written_before_the_agreement_goes_out_before_the_goodbye(self) -> None:
        self.connect()
        self.stream.write(b"sorry")
        self.stream.loseConnection()
        self.user.shake()
        self.assertEqual((self.user.heard, self.user.ended), (b"sorry", True))

    def test_nothing_is_left_in_a_circle(self) -> None:
        """The collector looks seldom in a server; a connection is some 20 KB."""
        gc.disable()
        self.addCleanup(gc.enable)
        self.patch(Failure, "cleanFailure", _cleaned)
        for size, flipped in ((0, 0), (1 << 10, 0), (30, 0), (1 << 10, 1), (3, 0), (26, 1)):
            self.agreed()
            for word in (b"satu", b"lima"):
                self.user.tls.write(word)
            data = bytearray(self.user.out.read()[:size])
            if data:
                data[-1] ^= flipped
                self.stream.dataReceived(bytes(data))
            self.end()
            gone = weakref.ref(self.stream._tls)
            del self.stream, self.user, self.above.reason
            self.above.transport = None
            self.assertIsNone(gone(), (size, flipped))


def _cleaned(failure: Failure) -> None:
    """What Twisted's own does of it, which pytest-twisted makes do nothing."""
    failure.tb = None
    assert failure.value is not None
    failure.value.__traceback__ = None


class HostileTests(SecureTestCase):
    """Whatever a stranger sends ends its own connection and nothing else."""

    def broken(self) -> str:
        self.assertTrue(self.below.disconnecting)
        self.stream.dataReceived(b"more")
        self.end()
        return self.lost()

    def test_plain_words_are_answered_with_nothing(self) -> None:
        self.stream.dataReceived(b'{"type": "client"}\n')
        self.assertEqual(self.below.value(), b"")
        self.assertEqual(self.broken(), "wrong version number")
        self.assertEqual(self.above.events, ["made", "lost"])

    def test_a_web_browser_is_told_apart(self) -> None:
        self.stream.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(self.broken(), "http request")

    def test_a_changed_byte_is_no_message(self) -> None:
        self.agreed()
        self.user.tls.write(b"send fajar 10")
        record = bytearray(self.user.out.read())
        record[-20] ^= 1
        self.stream.dataReceived(bytes(record))
        self.assertEqual(self.above.heard, b"")
        self.assertIn("mac", self.broken())

    def test_what_was_whole_before_a_changed_byte_is_heard(self) -> None:
        self.agreed()
        self.user.tls.write(b"whole")
        self.user.tls.write(b"broken")
        records = bytearray(self.user.out.read())
        records[-1] ^= 1
        self.stream.dataReceived(bytes(records))
        self.assertEqual(self.above.heard, b"whole")
        self.assertIn("mac", self.broken())

    def test_a_record_said_again_is_no_message(self) -> None:
        self.agreed()
        self.user.tls.write(b"once")
        record = self.user.out.read()
        self.stream.dataReceived(record)
        self.stream.dataReceived(record)
        self.assertEqual(self.above.heard, b"once")
        self.assertIn("mac", self.broken())

    def test_a_record_longer_than_records_are_is_refused_before_it_is_held(self) -> None:
        self.agreed()
        self.stream.dataReceived(b"\x17\x03\x03\xff\xff")
        self.assertIn("length", self.broken())

    def test_every_cut_handshake_is_a_loss_and_no_error_of_ours(self) -> None:
        try:
            self.user.tls.do_handshake()
        except ssl.SSLWantReadError:
            hello = self.user.out.read()
        for size in (0, 1, 5, 6, len(hello) // 2, len(hello) - 1):
            self.connect()
            self.stream.dataReceived(hello[:size])
            self.end()
            self.assertEqual((self.lost(), self.above.events), (LOST, ["made", "lost"]), size)

    def test_old_versions_are_refused(self) -> None:
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.connect()
        with self.assertRaises(ssl.SSLError):
            self.user.shake()
        self.assertEqual(self.broken(), "unsupported protocol")

    def test_a_stranger_s_certificate_is_refused(self) -> None:
        other = Folder(Path(self.mktemp()))
        stranger = other.issue("manager", ["10.0.0.4"], time.time())
        self.context.load_cert_chain(stranger.certificate, stranger.key)
        self.connect()
        with self.assertRaises(ssl.SSLError):
            self.user.shake()
        self.assertEqual(self.above.events, ["made"])
        self.assertEqual(self.broken(), "certificate verify failed")


LOST = "the other side closed the connection"


class CertificateTests(SecureTestCase):
    """What each end knows of the other's certificate."""

    def test_the_one_that_is_shown_is_the_one_that_logins_are_bound_to(self) -> None:
        self.agreed()
        self.assertEqual(own_certificate(self.stream), self.user.tls.getpeercert(binary_form=True))
        self.assertTrue(is_tls(self.stream) and ISSLTransport.providedBy(self.stream))

    def test_a_renewed_one_is_for_the_next_connection(self) -> None:
        self.agreed()
        old, stream, user, above = self.server.certificate, self.stream, self.user, self.above
        renewed = self.folder.issue("again", [HOST], time.time())
        self.issued.certificate.write_bytes(renewed.certificate.read_bytes())
        with self.assertRaises(CertificateError):  # its key isn't there yet
            self.server.reload()
        self.assertEqual(self.server.certificate, old)
        self.issued.key.write_bytes(renewed.key.read_bytes())
        self.server.reload()
        self.agreed()
        self.assertNotEqual(self.server.certificate, old)
        self.assertEqual(own_certificate(self.stream), self.server.certificate)
        self.assertEqual(self.user.tls.getpeercert(binary_form=True), self.server.certificate)
        user.say(b"still here")
        self.assertEqual((above.heard, own_certificate(stream)), (b"still here", old))

    def test_who_shows_one_is_known_by_it_and_who_shows_none_is_let_in(self) -> None:
        self.agreed()
        self.assertIsNone(peer_certificate(self.stream))
        self.assertIsNone(self.stream.getPeerCertificate())
        shown = self.folder.issue("manager", ["10.0.0.4"], time.time())
        self.context.load_cert_chain(shown.certificate, shown.key)
        self.agreed()
        expected = ssl.PEM_cert_to_DER_cert(shown.certificate.read_text().split("-----END")[0] + END)
        self.assertEqual(peer_certificate(self.stream), expected)
        twisted = self.stream.getPeerCertificate()
        assert twisted is not None
        self.assertEqual(twisted.to_cryptography().public_bytes(Encoding.DER), expected)

    def test_it_is_1_3_with_keys_of_the_moment(self) -> None:
        self.agreed()
        self.assertEqual(self.user.tls.version(), "TLSv1.3")


END = "-----END CERTIFICATE-----\n"


class OldVersionTests(SecureTestCase):
    """TLS 1.2 where it is allowed."""

    allow_tls12 = True

    def test_a_new_negotiation_is_refused_at_once(self) -> None:
        for word in (b"", b"halo"):  # which is said before, in the same read
            self.connect()
            client = SSL.Connection(SSL.Context(SSL.TLSv1_2_METHOD), None)
            client.set_connect_state()
            for _ in range(2):
                with contextlib.suppress(SSL.WantReadError):
                    client.do_handshake()
                self.stream.dataReceived(client.bio_read(1 << 16))
                client.bio_write(self.below.take())
            client.do_handshake()
            if word:
                client.send(word)
            client.renegotiate()
            with contextlib.suppress(SSL.WantReadError):
                client.do_handshake()
            self.stream.dataReceived(client.bio_read(1 << 16))
            self.assertEqual(self.above.heard, word)
            client.bio_write(self.below.take())
            with self.assertRaisesRegex(SSL.Error, "no renegotiation"):
                client.do_handshake()

    def test_it_is_spoken_with_the_ciphers_that_are_named(self) -> None:
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.agreed()
        cipher = self.user.tls.cipher()
        assert cipher is not None
        self.assertRegex(cipher[0], "^ECDHE-.*-GCM-")
        self.user.say(b"halo")
        self.stream.write(b"juga")
        self.user.hear()
        self.assertEqual((self.above.heard, self.user.heard), (b"halo", b"juga"))

    def test_nothing_weaker_and_no_new_negotiation(self) -> None:
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_ciphers("ECDHE+CHACHA20:AES256-GCM-SHA384:ECDHE+AES+SHA256")
        self.connect()
        with self.assertRaises(ssl.SSLError):
            self.user.shake()
        self.assertTrue(self.server.context.options & ssl.OP_NO_RENEGOTIATION)
        self.assertTrue(self.server.context.options & ssl.OP_NO_COMPRESSION)

# SPDX-License-Identifier: MIT
"""TLS on any stream: both keys are proved, bytes come through in any pieces, every end is told once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.network import Connection, Receiver
from xjrelay.client.sealed import Sealed
from xjrelay.security.identity import Identity, id_of, make_key


class Wire(Connection):
    """One end of a connection in memory; what is written waits until it is carried over."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.ended = ""
        self.paused = False

    def write(self, data: bytes) -> None:
        self.out.append(data)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def local(self) -> tuple[str, int]:
        return ("10.0.0.9", 40000)

    def certificate(self) -> bytes | None:
        return None


class Heard(Receiver):
    """The upper side."""

    def __init__(self) -> None:
        self.data = b""
        self.lost_for: list[str] = []

    def received(self, data: bytes) -> None:
        self.data += data

    def lost(self, why: str) -> None:
        self.lost_for.append(why)


class End:
    """One end."""

    def __init__(self, dials: bool, admits: bool = True) -> None:
        self.identity = Identity(make_key())
        make = self.identity.clientConnectionForTLS if dials else self.identity.serverConnectionForTLS
        self.wire, self.heard = Wire(), Heard()
        self.agreed = 0
        self.failed: list[str] = []
        self._admits = admits
        self.sealed = Sealed(make(None), self._on_agreed)  # type: ignore[arg-type]
        self.sealed.on_failed = self.failed.append

    def _on_agreed(self, sealed: Sealed) -> Receiver | None:
        self.agreed += 1
        return self.heard if self._admits else None


class SealedTests(SynchronousTestCase):
    """Two ends."""

    def setUp(self) -> None:
        self.one, self.other = End(dials=True), End(dials=False)

    def begin(self) -> None:
        for end in (self.one, self.other):
            end.sealed.begin(end.wire)
        self.carry()

    def carry(self, piece: int = 1 << 20) -> None:
        """Everything that was written, in pieces of so many bytes."""
        while self.one.wire.out or self.other.wire.out:
            for near, far in ((self.one, self.other), (self.other, self.one)):
                data, near.wire.out = b"".join(near.wire.out), []
                for at in range(0, len(data), piece):
                    far.sealed.received(data[at : at + piece])

    def test_each_learns_the_other_s_key(self) -> None:
        self.begin()
        for near, far in ((self.one, self.other), (self.other, self.one)):
            self.assertEqual(near.agreed, 1)
            shown = near.sealed.certificate()
            assert shown is not None
            self.assertEqual(id_of(shown), far.identity.peer_id)
        self.assertEqual(self.one.sealed.local(), ("10.0.0.9", 40000))

    def test_bytes_come_through_in_any_pieces_both_ways(self) -> None:
        for piece in (1, 7, 1 << 20):
            self.setUp()
            self.begin()
            data = bytes(range(256)) * 400
            self.one.sealed.write(data)
            self.other.sealed.write(b"x")
            self.other.sealed.write(b"")
            self.assertNotIn(data[:64], b"".join(self.one.wire.out))
            self.carry(piece)
            self.assertEqual((self.other.heard.data, self.one.heard.data), (data, b"x"))

    def test_what_follows_the_handshake_in_one_read_is_heard(self) -> None:
        for end in (self.one, self.other):
            end.sealed.begin(end.wire)
        self.other.sealed.received(b"".join(self.one.wire.out))
        self.one.wire.out.clear()
        self.one.sealed.received(b"".join(self.other.wire.out))
        self.one.sealed.write(b"first words")
        self.other.sealed.received(b"".join(self.one.wire.out))
        self.assertEqual(self.other.heard.data, b"first words")

    def test_an_end_that_is_said_is_told(self) -> None:
        self.begin()
        self.one.sealed.write(b"last")
        self.one.sealed.close()
        self.assertEqual(self.one.wire.ended, "closed")
        self.carry()
        self.assertEqual(self.other.heard.data, b"last")
        self.assertEqual(self.other.heard.lost_for, ["closed by the other end"])
        self.one.sealed.write(b"more")
        self.assertEqual((self.one.wire.out, self.one.heard.lost_for), ([], []))

    def test_a_connection_that_breaks_is_told_once(self) -> None:
        self.begin()
        self.one.sealed.lost("reset")
        self.one.sealed.lost("reset")
        self.one.sealed.received(b"x")
        self.one.sealed.abort()
        self.assertEqual(self.one.heard.lost_for, ["reset"])

    def test_what_is_no_tls_ends_it_before_anybody_hears(self) -> None:
        self.other.sealed.begin(self.other.wire)
        self.other.sealed.received(b"GET / HTTP/1.1\r\n\r\n" * 10)
        self.assertEqual(
            (self.other.agreed, self.other.wire.ended, len(self.other.failed)), (0, "aborted", 1)
        )

    def test_bytes_changed_on_the_way_end_it(self) -> None:
        self.begin()
        self.one.sealed.write(b"x" * 100)
        data = bytearray(b"".join(self.one.wire.out))
        data[50] ^= 1
        self.other.sealed.received(bytes(data))
        self.assertEqual((self.other.heard.data, len(self.other.heard.lost_for)), (b"", 1))

    def test_whom_nobody_admits_is_cut_off(self) -> None:
        self.other = End(dials=False, admits=False)
        self.begin()
        self.assertEqual((self.other.agreed, self.other.wire.ended), (1, "aborted"))

    def test_pausing_is_the_connection_s(self) -> None:
        self.begin()
        self.one.sealed.pause()
        self.assertTrue(self.one.wire.paused)
        self.one.sealed.resume()
        self.assertFalse(self.one.wire.paused)

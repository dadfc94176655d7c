# SPDX-License-Identifier: MIT
"""The stream in memory shows a protocol what TCP would."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, TimeoutError
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.net.lines import Chatty, context, message
from xjrelay.net.pipe import HIGH_WATER, End, Pipe
from xjrelay.wire.errors import CloseReason

NEAR = IPv4Address("TCP", "10.0.0.9", 40000)
FAR = IPv4Address("TCP", "10.0.0.5", 5002)


@implementer(IPushProducer)
class Recorder(Protocol):
    """Keeps what it hears, and how often it was told to slow down."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: list[type[BaseException] | None] = []
        self.told: list[str] = []

    @property
    def heard(self) -> bytes:
        return b"".join(self.pieces)

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert reason is not None
        self.ended.append(reason.type)

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class PipeTestCase(SynchronousTestCase):
    """Two recorders and what lies between them."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.delays = [0.0]
        self.pipe = Pipe(self.clock, NEAR, FAR, latency=lambda: self.delays[0])
        self.near, self.far = Recorder(), Recorder()
        self.pipe.connect(self.near, self.far)

    def run_for(self, seconds: float = 0.0) -> None:
        for _ in range(10):
            self.clock.advance(seconds / 10)


class StreamTests(PipeTestCase):
    """Bytes in order, some time later."""

    def test_each_end_knows_both_addresses(self) -> None:
        self.assertEqual((self.pipe.near.getHost(), self.pipe.near.getPeer()), (NEAR, FAR))
        self.assertEqual((self.pipe.far.getHost(), self.pipe.far.getPeer()), (FAR, NEAR))

    def test_nothing_arrives_inside_a_write(self) -> None:
        self.pipe.near.write(b"a")
        self.assertEqual(self.far.heard, b"")
        self.run_for()
        self.assertEqual(self.far.heard, b"a")

    def test_both_ways(self) -> None:
        self.pipe.near.writeSequence([b"a", b"b"])
        self.pipe.far.write(b"c")
        self.run_for()
        self.assertEqual((self.near.heard, self.far.heard), (b"c", b"ab"))

    def test_order_is_kept_when_a_later_write_is_faster(self) -> None:
        self.delays[0] = 1.0
        self.pipe.near.write(b"a")
        self.delays[0] = 0.1
        self.pipe.near.write(b"b")
        self.run_for(0.5)
        self.assertEqual(self.far.heard, b"")
        self.run_for(1.0)
        self.assertEqual(self.far.heard, b"ab")

    def test_a_reader_that_stops_gets_it_later(self) -> None:
        self.pipe.far.pauseProducing()
        self.pipe.near.write(b"a")
        self.run_for()
        self.assertEqual(self.far.heard, b"")
        self.pipe.far.resumeProducing()
        self.run_for()
        self.assertEqual(self.far.heard, b"a")

    def test_a_writer_is_told_to_slow_down_and_to_go_on(self) -> None:
        self.pipe.near.registerProducer(self.near, True)
        self.pipe.far.pauseProducing()
        self.pipe.near.write(b"x" * HIGH_WATER)
        self.run_for()
        self.assertEqual(self.near.told, [])
        self.pipe.near.write(b"y")
        self.assertEqual(self.near.told, ["pause"])
        self.pipe.far.resumeProducing()
        self.run_for()
        self.assertEqual(self.near.told, ["pause", "resume"])


class EndTests(PipeTestCase):
    """Every way a stream ends."""

    def ends(self) -> tuple[list[object], list[object]]:
        return list(self.near.ended), list(self.far.ended)

    def test_a_close_lets_what_was_written_arrive_first(self) -> None:
        self.pipe.near.write(b"last words")
        self.pipe.near.loseConnection()
        self.pipe.near.write(b"too late")
        self.run_for()
        self.assertEqual(self.far.heard, b"last words")
        self.assertEqual(self.ends(), ([ConnectionDone], [ConnectionDone]))

    def test_a_half_close_still_reads(self) -> None:
        self.pipe.far.pauseProducing()
        self.pipe.near.loseWriteConnection()
        self.pipe.far.write(b"answer")
        self.run_for()
        self.assertEqual(self.near.heard, b"answer")
        self.assertEqual(self.ends(), ([], []))
        self.pipe.far.resumeProducing()
        self.run_for()
        self.assertEqual(self.ends(), ([ConnectionDone], [ConnectionDone]))

    def test_an_abort_is_a_reset_for_the_other(self) -> None:
        self.pipe.near.write(b"lost")
        self.pipe.near.abortConnection()
        self.run_for()
        self.assertEqual(self.ends(), ([ConnectionAborted], [ConnectionLost]))

    def test_a_cut_is_a_reset_for_both(self) -> None:
        self.pipe.near.write(b"lost")
        self.pipe.cut()
        self.run_for()
        self.assertEqual((self.ends(), self.far.heard), (([ConnectionLost], [ConnectionLost]), b""))

    def test_a_machine_that_dies_says_nothing_to_itself(self) -> None:
        self.pipe.kill(self.pipe.near)
        self.run_for()
        self.assertEqual(self.ends(), ([], [ConnectionLost]))

    def test_nobody_ends_twice(self) -> None:
        self.pipe.near.loseConnection()
        self.pipe.cut()
        self.pipe.near.abortConnection()
        self.run_for()
        self.assertEqual([len(ended) for ended in self.ends()], [1, 1])

    def test_whoever_registers_late_is_told_to_stop(self) -> None:
        self.pipe.cut()
        self.pipe.near.registerProducer(self.near, True)
        self.assertEqual(self.near.told, ["stop"])

    def test_the_end_is_told_once_to_whoever_asked(self) -> None:
        told: list[Failure] = []
        self.pipe.near.on_end = told.append
        self.pipe.cut()
        self.assertEqual([failure.type for failure in told], [ConnectionLost])


class PartitionTests(PipeTestCase):
    """Held bytes wait, for a while."""

    def test_what_is_held_arrives_in_order_after(self) -> None:
        self.pipe.hold()
        self.pipe.near.write(b"a")
        self.run_for(5)
        self.pipe.near.write(b"b")
        self.run_for(5)
        self.assertEqual(self.far.heard, b"")
        self.pipe.release()
        self.pipe.near.write(b"c")
        self.run_for()
        self.assertEqual(self.far.heard, b"abc")

    def test_a_writer_gives_up_after_its_timeout(self) -> None:
        self.pipe.hold()
        self.pipe.near.write(b"a")
        self.run_for(25)
        self.assertEqual((self.near.ended, self.far.ended), ([TimeoutError], []))

    def test_whoever_wrote_nothing_notices_nothing(self) -> None:
        self.pipe.hold()
        self.run_for(1000)
        self.assertEqual((self.near.ended, self.far.ended), ([], []))

    def test_a_machine_that_dies_behind_a_partition_is_not_heard_of(self) -> None:
        self.pipe.hold()
        self.pipe.kill(self.pipe.near)
        self.run_for(1)
        self.assertEqual(self.far.ended, [])


class LinkTests(SynchronousTestCase):
    """Links do not know the difference."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.shared = context(self.clock, max_outgoing=HIGH_WATER)
        self.pipe = Pipe(self.clock, NEAR, FAR)
        self.client, self.link = Recorder(), Chatty(self.shared)
        self.pipe.connect(self.client, self.link)
        self.link.established()

    def run_for(self, seconds: float = 0.0) -> None:
        for _ in range(20):
            self.clock.advance(seconds / 20)

    def write(self, data: bytes) -> End:
        self.pipe.near.write(data)
        self.run_for()
        return self.pipe.near

    def test_a_conversation(self) -> None:
        self.assertEqual(self.link.host, "10.0.0.9")
        self.write(message("1") + message("2"))
        self.assertEqual(self.client.pieces, [b'{"body":"1"}\n{"body":"2"}\n'])

    def test_a_long_frame_hears_why(self) -> None:
        self.write(b"x" * 1_000_000)
        self.assertIn(b'"code":413', self.client.heard)
        self.assertEqual(self.client.ended, [ConnectionDone])
        self.assertEqual(self.link.reasons, [CloseReason.FRAME_TOO_LONG])

    def test_a_reader_that_does_not_read_is_cut(self) -> None:
        self.pipe.near.pauseProducing()
        for _ in range(100):
            self.write(message("x" * 4000))
        self.assertEqual(self.link.close_reason, CloseReason.SLOW_READER)
        self.assertGreater(sum(map(len, self.link.unread)), HIGH_WATER)
        self.assertEqual(
            (self.client.ended, self.link.reasons), ([ConnectionLost], [CloseReason.SLOW_READER])
        )

    def test_a_machine_that_vanished_is_found_by_its_silence(self) -> None:
        self.pipe.hold()
        self.pipe.kill(self.pipe.near)
        for _ in range(3):
            self.clock.advance(self.shared.limits.ping_interval)
        self.run_for()
        self.assertEqual(self.link.reasons, [CloseReason.SILENT])

# SPDX-License-Identifier: MIT
"""What an acknowledged session is owed: rules, bounds, and a naive model."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.delivery import Delivery, Owed, Owing, Settled
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.ids import lines_of, names_of

IDS = lines_of(["a", "bb", "c"])


def whose(settled: list[Settled[Any]]) -> list[Any]:
    """The origin of each frame that was acknowledged."""
    return [origin for origin, frames, _ in settled for _ in range(frames)]


class DeliveryTests(SynchronousTestCase):
    """One session's counters and queue."""

    def setUp(self) -> None:
        self.delivery: Delivery[str] = Delivery(max_count=3, max_bytes=100)

    def owe(self, *frames: bytes) -> None:
        for frame in frames:
            self.assertIs(self.delivery.owe(frame, frame.decode()), Owing.OWED)

    def test_an_acknowledgement_settles_the_oldest_first(self) -> None:
        self.owe(b"1", b"2", b"3")
        self.assertEqual(whose(self.delivery.acknowledge(2)), ["1", "2"])
        self.assertEqual(whose(self.delivery.acknowledge(2)), [])
        self.assertEqual(whose(self.delivery.acknowledge(3)), ["3"])
        self.assertEqual((self.delivery.sent, self.delivery.acknowledged, len(self.delivery)), (3, 3, 0))

    def test_our_own_frames_count_and_settle_nobody(self) -> None:
        self.owe(b"1")
        self.delivery.owe(b"receipt")
        self.assertEqual(whose(self.delivery.acknowledge(2)), ["1"])

    def test_an_h_that_falls_is_refused_and_closes(self) -> None:
        self.owe(b"1", b"2")
        self.delivery.acknowledge(2)
        error = self.assertRaises(RemoteError, self.delivery.acknowledge, 1)
        self.assertEqual((error.code, error.close), (Code.BAD_REQUEST, CloseReason.PROTOCOL))

    def test_an_h_above_what_was_sent_is_refused_and_changes_nothing(self) -> None:
        self.owe(b"1")
        for call in (self.delivery.acknowledge, self.delivery.resume):
            error = self.assertRaises(RemoteError, call, 2)
            self.assertEqual((error.code, error.close), (Code.BAD_REQUEST, CloseReason.PROTOCOL))
        self.assertEqual(whose(self.delivery.acknowledge(1)), ["1"])

    def test_a_full_queue_takes_no_message_and_no_counter_moves(self) -> None:
        self.owe(b"1", b"2", b"3")
        self.assertIs(self.delivery.owe(b"4", "4"), Owing.FULL)
        self.assertEqual(self.delivery.sent, 3)
        self.delivery.acknowledge(1)
        self.owe(b"4")
        self.assertEqual(whose(self.delivery.acknowledge(4)), ["2", "3", "4"])

    def test_the_queue_is_bounded_in_bytes_too(self) -> None:
        self.owe(b"x" * 99, b"y")
        self.assertIs(self.delivery.owe(b"z", "z"), Owing.FULL)

    def test_our_own_frames_have_room_of_their_own_within_bounds(self) -> None:
        self.owe(b"1", b"2", b"3")
        outcomes = [self.delivery.owe(b"receipt") for _ in range(4)]
        self.assertEqual(outcomes, [Owing.OWED] * 3 + [Owing.FULL])

    def test_a_resumed_session_gets_the_rest_again_in_order(self) -> None:
        self.owe(b"1", b"2", b"3")
        settled, again = self.delivery.resume(1)
        self.assertEqual((whose(settled), again), (["1"], [b"2", b"3"]))
        self.assertEqual(self.delivery.resume(1).again, [b"2", b"3"])
        self.assertEqual(whose(self.delivery.acknowledge(3)), ["2", "3"])

    def test_an_expired_session_gives_up_what_is_left(self) -> None:
        self.owe(b"1", b"2")
        self.delivery.owe(b"receipt")
        self.delivery.acknowledge(1)
        self.assertEqual(self.delivery.expire(), [Owed(b"2", "2"), Owed(b"receipt", None)])
        self.assertEqual(self.delivery.expire(), [])

    def test_what_was_received_is_reported_once(self) -> None:
        self.assertIsNone(self.delivery.report())
        self.delivery.received += 1
        self.delivery.received += 1
        self.assertEqual(self.delivery.report(), 2)
        self.assertIsNone(self.delivery.report())
        self.delivery.received += 1
        self.delivery.resume(0)
        self.assertEqual((self.delivery.received, self.delivery.report()), (3, None))

    def test_several_frames_of_one_origin_are_all_owed_or_none(self) -> None:
        delivery: Delivery[str] = Delivery(max_count=4, max_bytes=100)
        self.assertTrue(delivery.owe_all(b"1\n2\n3\n", 3, "run", IDS))
        self.assertFalse(delivery.owe_all(b"4\n5\n", 2, "another", lines_of(["d", "e"])))
        self.assertEqual(len(delivery), 3)
        self.assertEqual(delivery.owe(b"4", "last"), Owing.OWED)
        self.assertEqual(delivery.acknowledge(2), [("run", 2, lines_of(["a", "bb"]))])
        self.assertEqual(delivery.acknowledge(4), [("run", 1, lines_of(["c"])), ("last", 1, b"")])
        self.assertFalse(delivery.owe_all(b"x" * 100 + b"\n", 1, "large", lines_of(["f"])))
        delivery.hold()
        self.assertFalse(delivery.owe_all(b"5\n", 1, "held", lines_of(["g"])))

    def test_an_acknowledgement_may_end_among_frames_that_were_sent_together(self) -> None:
        delivery: Delivery[str] = Delivery(max_count=6, max_bytes=14)
        self.assertTrue(delivery.owe_all(b"1\n2\n3\n", 3, "run", IDS))
        self.owe_more(delivery)
        self.assertEqual(delivery.acknowledge(1), [("run", 1, lines_of(["a"]))])
        again = [b"3", b"4", b"5", b"6"]
        self.assertEqual(delivery.resume(2), ([("run", 1, lines_of(["bb"]))], again))
        self.assertEqual(delivery.acknowledge(4), [("run", 1, lines_of(["c"])), ("more", 1, lines_of(["a"]))])
        self.assertEqual((delivery.sent, len(delivery)), (6, 2))
        self.assertEqual(delivery.expire(), [Owed(b"5", "more", False, "bb"), Owed(b"6", "more", False, "c")])
        self.assertEqual((delivery.acknowledged, len(delivery), delivery.expire()), (6, 0, []))
        self.owe_more(delivery)
        self.assertEqual(delivery.resume(6).again, [b"4", b"5", b"6"])

    def owe_more(self, delivery: Delivery[str]) -> None:
        self.assertTrue(delivery.owe_all(b"4\n5\n6\n", 3, "more", IDS))

    def test_what_is_sent_together_again_and_again_is_settled_as_one(self) -> None:
        delivery: Delivery[str] = Delivery()
        for _ in range(3):
            self.owe_more(delivery)
        self.assertEqual(delivery.acknowledge(8), [("more", 8, 2 * IDS + lines_of(["a", "bb"]))])
        self.assertEqual(delivery.load, (1, 6))

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=60))
    @settings(max_examples=200, deadline=None)
    def test_every_frame_is_settled_once_and_in_order(self, steps: list[tuple[bool, int]]) -> None:
        """One to three frames are sent, those of three together; or some are acknowledged."""
        delivery: Delivery[int] = Delivery(max_count=7)
        sent: list[int] = []
        taken: list[int] = []
        settled: list[int] = []
        ids_of: dict[int, list[str]] = {}
        had: dict[int, list[str]] = {}
        for number, (sends, step) in enumerate(steps):
            if sends and step < 4:
                if delivery.owe(b"%d" % len(sent), number) is Owing.OWED:
                    sent.append(len(sent))
                    taken.append(number)
            elif sends:
                frames = list(range(len(sent), len(sent) + step - 3))
                ids = lines_of([f"{n:x}" for n in frames])
                if delivery.owe_all(b"".join(b"%d\n" % n for n in frames), len(frames), number, ids):
                    ids_of[number] = [f"{n:x}" for n in frames]
                    sent += frames
                    taken += [number] * len(frames)
            elif step <= len(delivery):
                result = delivery.resume(delivery.acknowledged + step)
                settled += whose(result.settled)
                for origin, _, ids in result.settled:
                    had[origin] = had.get(origin, []) + names_of(ids)
                self.assertEqual(result.again, [b"%d" % n for n in sent[len(settled) :]])
                self.assertEqual(len(delivery), len(sent) - len(settled))
        for owed in delivery.expire():
            assert owed.origin is not None
            settled.append(owed.origin)
            had[owed.origin] = had.get(owed.origin, []) + ([owed.id] if owed.id else [])
        self.assertEqual((settled, {number: ids for number, ids in had.items() if ids}), (taken, ids_of))


class SizeTests(SynchronousTestCase):
    """Ten thousand sessions are owed nothing most of the time."""

    def test_what_is_owed_nothing_is_small(self) -> None:
        delivery: Delivery[str] = Delivery()
        delivery.hold()
        delivery.release()
        for _ in range(100):
            delivery.owe(b"x" * 100, "esa")
        delivery.acknowledge(delivery.sent)
        kept = [delivery, *(getattr(delivery, name) for name in Delivery.__slots__)]
        self.assertFalse(hasattr(delivery, "__dict__"))
        self.assertLess(sum(map(sys.getsizeof, kept)), 600)


class HoldTests(SynchronousTestCase):
    """The mailbox goes first."""

    def test_live_messages_wait_behind_mail_and_outcomes_do_not(self) -> None:
        delivery: Delivery[str] = Delivery(max_count=3)
        delivery.hold()
        self.assertIs(delivery.owe(b"live1", "a"), Owing.HELD)
        self.assertIs(delivery.owe(b"receipt"), Owing.OWED)
        delivery.owe_mail(b"mail", "m")
        self.assertIs(delivery.owe(b"live2", "b"), Owing.HELD)
        self.assertEqual((delivery.sent, delivery.holding), (2, True))
        self.assertIs(delivery.owe(b"live3", "c"), Owing.FULL)
        self.assertEqual(delivery.resume(0).again, [b"receipt", b"mail"])
        self.assertEqual(delivery.release(), [b"live1", b"live2"])
        self.assertEqual((delivery.sent, delivery.holding), (4, False))
        self.assertEqual(whose(delivery.acknowledge(3)), ["m", "a"])
        self.assertEqual([owed.frame for owed in delivery.expire()], [b"live2"])

    def test_mail_does_not_count_for_the_bounds(self) -> None:
        delivery: Delivery[str] = Delivery(max_count=2, max_bytes=6)
        for number in range(100):
            delivery.owe_mail(b"mail", f"m{number}")
        self.assertIs(delivery.owe(b"1", "a"), Owing.OWED)
        self.assertIs(delivery.owe(b"2", "b"), Owing.OWED)
        self.assertIs(delivery.owe(b"3", "c"), Owing.FULL)
        self.assertEqual(len(delivery.acknowledge(101)), 101)
        self.assertIs(delivery.owe(b"12345", "c"), Owing.OWED)
        self.assertIs(delivery.owe(b"4", "d"), Owing.FULL)

    def test_what_is_held_is_given_up_in_order_too(self) -> None:
        delivery: Delivery[str] = Delivery(max_count=3)
        delivery.owe(b"1", "a")
        delivery.hold()
        delivery.owe(b"2", "b")
        self.assertEqual([owed.frame for owed in delivery.expire()], [b"1", b"2"])
        self.assertEqual((delivery.acknowledged, delivery.holding), (1, False))

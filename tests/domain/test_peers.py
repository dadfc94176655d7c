# SPDX-License-Identifier: MIT
"""Whom a peer believes, keeps and dials, and which of two links stays."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.peers import (
    KEYED,
    MAX_DIALLED,
    MAX_KNOWN,
    Claim,
    Introduction,
    Known,
    PeerBook,
    Place,
    Refusal,
    Refused,
    fingerprint,
    is_keyed,
    newer_stays,
)

OURS, ALICE, BOB = KEYED + "0" * 40, KEYED + "a" * 40, KEYED + "b" * 40
HERE, THERE = ("10.0.0.1", 5000), ("10.0.0.2", 5000)


def claim(peer_id: str, name: str, place: Place | None = HERE, **more: object) -> Claim:
    """What an honest peer says: keyed ids are proved."""
    proven = peer_id if is_keyed(peer_id) else None
    return Claim(peer_id=peer_id, name=name, place=place, **{"proven": proven, **more})  # type: ignore[arg-type]


class BookTestCase(SynchronousTestCase):
    """One book."""

    def setUp(self) -> None:
        self.book = PeerBook(OURS)
        self.now = 0

    def meet(self, peer_id: str, name: str, place: Place | None = HERE, **more: object) -> Introduction:
        self.now += 1
        return self.book.introduce(claim(peer_id, name, place, **more), self.now)

    def refused(self, peer_id: str, name: str, place: Place | None = HERE, **more: object) -> Refused:
        with self.assertRaises(Refused) as caught:
            self.meet(peer_id, name, place, **more)
        error: Refused = caught.exception
        return error


class IntroductionTests(BookTestCase):
    """Who is let in."""

    def test_the_first_meeting_and_the_next(self) -> None:
        first = self.meet(ALICE, "Alice")
        again = self.meet(ALICE, "Alicia", THERE)
        self.assertEqual((first.first, again.first), (True, False))
        self.assertIs(again.peer, first.peer)
        self.assertEqual((again.peer.name, again.peer.place, again.peer.met_at), ("Alicia", THERE, 1))

    def test_nobody_speaks_for_a_key_without_it(self) -> None:
        self.assertIs(self.refused(ALICE, "Alice", proven=None).why, Refusal.NEEDS_TLS)
        self.assertIs(self.refused(ALICE, "Alice", proven=BOB).why, Refusal.LIAR)
        self.assertIs(self.refused("plain", "Alice", proven=BOB).why, Refusal.LIAR)
        self.assertEqual(len(self.book), 0)

    def test_nobody_is_us(self) -> None:
        self.assertIs(self.refused(OURS, "Us").why, Refusal.ITSELF)
        self.assertIs(self.refused(ALICE, "Us", proven=OURS).why, Refusal.ITSELF)

    def test_another_key_under_the_name_and_at_the_place_of_a_known_one(self) -> None:
        known = self.meet(ALICE, "Alice").peer
        refused = self.refused(BOB, "alice")
        self.assertEqual((refused.why, refused.known), (Refusal.CHANGED_KEY, known))
        self.assertIs(self.refused("plain", "Alice").why, Refusal.CHANGED_KEY)
        self.assertIs(self.refused(BOB, "Alice", THERE, expected=ALICE).why, Refusal.CHANGED_KEY)
        self.book.forget(ALICE)
        self.assertTrue(self.meet(BOB, "Alice").first)

    def test_a_namesake_elsewhere_is_somebody_else_and_said_to_be(self) -> None:
        self.meet(ALICE, "Alice")
        meeting = self.meet(BOB, "Alice", THERE)
        self.assertEqual((meeting.first, meeting.namesake), (True, True))
        self.assertFalse(self.meet(BOB, "Alice", THERE).namesake)

    def test_another_at_the_place_of_a_known_one(self) -> None:
        self.meet(ALICE, "Alice")
        self.assertIs(self.refused(BOB, "Bob", expected=ALICE).why, Refusal.ANOTHER)
        self.assertTrue(self.meet(BOB, "Bob", expected=ALICE, asked=True).first)
        alice = self.book.get(ALICE)
        assert alice is not None
        self.assertIsNone(alice.place)

    def test_a_plain_peer_may_have_a_new_id_each_time(self) -> None:
        self.meet("Bob_1", "Bob")
        self.assertTrue(self.meet("Bob_2", "Bob", expected="Bob_1").first)

    def test_strangers_make_room_for_strangers(self) -> None:
        for number in range(MAX_KNOWN):
            self.meet(f"p{number}", f"P{number}", None)
        kept = self.book.get("p0")
        assert kept is not None
        kept.kept = True
        labelled = self.book.get("p1")
        assert labelled is not None
        labelled.label = "Budi"
        meeting = self.book.introduce(claim("new", "New", None), 10_000, linked={"p2"})
        self.assertEqual(meeting.dropped, ("p3",))
        self.assertEqual(len(self.book), MAX_KNOWN)

    def test_a_book_full_of_friends_takes_no_stranger(self) -> None:
        friends = [Known(f"p{n}", f"P{n}", None, 0, 0, kept=True) for n in range(MAX_KNOWN)]
        self.book = PeerBook(OURS, friends)
        self.assertIs(self.refused("new", "New").why, Refusal.FULL)


class DialTests(BookTestCase):
    """Who is dialled."""

    def test_the_absent_the_latest_seen_first(self) -> None:
        for number in range(MAX_DIALLED + 10):
            self.meet(f"p{number}", f"P{number}", ("10.0.1.1", number + 1))
        self.meet("nowhere", "N", None)
        wanted = self.book.to_dial({"p73"})
        self.assertEqual(len(wanted), MAX_DIALLED)
        self.assertEqual(next(iter(wanted.items())), (("10.0.1.1", 73), "p72"))
        self.assertNotIn("p73", wanted.values())

    def test_what_a_person_named_comes_first_with_whom_we_know_there(self) -> None:
        self.meet(ALICE, "Alice", HERE)
        self.assertEqual(self.book.to_dial([], [THERE, HERE]), {THERE: None, HERE: ALICE})
        self.assertEqual(list(self.book.to_dial([], [THERE])), [THERE, HERE])


class SmallTests(SynchronousTestCase):
    """Ids, fingerprints, links."""

    def test_fingerprints(self) -> None:
        self.assertEqual(fingerprint(KEYED + "0123456789abcdef0123" + "f" * 20), "0123 4567 89ab cdef 0123")
        self.assertEqual(fingerprint("Bob_5001"), "")

    def test_both_ends_keep_the_same_of_two_links(self) -> None:
        for older_ours in (True, False):
            for newer_ours in (True, False):
                ours = newer_stays(OURS, ALICE, older_ours, newer_ours)
                theirs = newer_stays(ALICE, OURS, not older_ours, not newer_ours)
                self.assertEqual(ours, theirs)
        self.assertTrue(newer_stays(OURS, ALICE, False, True))
        self.assertFalse(newer_stays(OURS, ALICE, True, False))
        # Seen in the other order at the other end, the same one of the two stays.
        self.assertEqual(newer_stays(OURS, ALICE, True, False), not newer_stays(OURS, ALICE, False, True))

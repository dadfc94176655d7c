# SPDX-License-Identifier: MIT
"""The mailbox behind a slow disk: nothing overtakes, whichever transaction fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from tests.servers.manager_rig import Frame, ManagerCase, Rig, Wire, said
from xjrelay.servers.manager import post
from xjrelay.storage.interfaces import Kept, Letter, Mail, MailboxStore, StoreFailed
from xjrelay.storage.memory import memory_manager_stores


class SlowMailbox:
    """A mailbox whose writes end when the test says so, in the order asked; reads come in between."""

    def __init__(self, real: MailboxStore) -> None:
        self.real = real
        self.asked: list[str] = []
        self._waiting: list[tuple[Deferred[list[Kept]], Sequence[Letter], int, int]] = []

    def store(self, letters: Sequence[Letter], now: int, most: int) -> Deferred[list[Kept]]:
        done: Deferred[list[Kept]] = Deferred()
        self._waiting.append((done, letters, now, most))
        self.asked.append("store " + " ".join(letter.id for letter in letters))
        return done

    def finish(self) -> None:
        """The oldest write is on disk."""
        done, letters, now, most = self._waiting.pop(0)
        self.real.store(letters, now, most).chainDeferred(done)

    def fail(self, error: Exception | None = None) -> None:
        """The oldest write could not be done."""
        self._waiting.pop(0)[0].errback(error or StoreFailed("the disk is full"))

    def mail(self, recipient: str, resource: str, after: int, limit: int) -> Deferred[list[Mail]]:
        self.asked.append("mail")
        return self.real.mail(recipient, resource, after, limit)

    def taken(self, rows: Iterable[tuple[str, int]]) -> Deferred[None]:
        return self.real.taken(rows)

    def expire(self, before: int) -> Deferred[int]:
        return self.real.expire(before)


class SlowDisk(ManagerCase):
    """Esa writes to Fajar, who is nowhere."""

    def setUp(self) -> None:
        stores = memory_manager_stores()
        self.mailbox = SlowMailbox(stores.mailbox)
        self.rig = Rig(replace(stores, mailbox=self.mailbox))
        self.rig.register("esa")
        self.rig.register("fajar")
        self.relay, welcome = self.rig.relay("r-1")
        self.name = welcome["username"]
        self.relay.say({"message": "reported"})

    def say(self, *ids: str, **keys: Any) -> None:
        """Messages in one read."""
        message = {"stanza": "message", "from": "esa", "to": "fajar", "body": "halo", **keys}
        self.relay.say(*({**message, "id": one} for one in ids))

    def outcomes(self) -> list[tuple[str, list[str]]]:
        receipts: list[Frame] = said(self.relay.take(), stanza="receipt")
        return [(one["status"], one["ids"]) for one in receipts]

    def open(self) -> Wire:
        """Fajar opens a session."""
        ncir = {"message": "ncir", "username_relay": self.name, "username": "fajar", "session": 9}
        self.relay.say({**ncir, "waits": True})
        return self.relay

    def test_what_comes_meanwhile_is_the_next_batch(self) -> None:
        self.say("1", "2")
        self.say("3")
        self.say("4")
        self.assertEqual(self.mailbox.asked, ["store 1 2"])
        self.assertEqual(self.outcomes(), [])
        self.mailbox.finish()
        self.assertEqual(self.outcomes(), [("stored", ["1", "2"])])
        self.assertEqual(self.mailbox.asked, ["store 1 2", "store 3 4"])
        self.mailbox.finish()
        self.assertEqual(self.outcomes(), [("stored", ["3", "4"])])

    def test_nothing_overtakes_what_could_not_be_stored(self) -> None:
        self.say("1", "2")
        self.say("3", "4")
        self.mailbox.fail()
        self.flushLoggedErrors(StoreFailed)
        self.assertEqual(self.outcomes(), [("failed", ["1", "2"]), ("failed", ["3", "4"])])
        self.say("5")
        self.assertEqual(self.outcomes(), [("failed", ["5"])])
        self.say("1", again=True)
        self.say("2", "3", "4", "5")
        self.mailbox.finish()
        self.assertEqual(self.outcomes(), [("stored", ["1"])])
        self.mailbox.finish()
        self.assertEqual(self.outcomes(), [("stored", ["2", "3", "4", "5"])])
        self.assertEqual(self.mailbox.asked, ["store 1 2", "store 1", "store 2 3 4 5"])

    def test_a_fault_of_ours_holds_nobody_up(self) -> None:
        self.say("1")
        self.say("a", **{"from": "fajar", "to": "esa"})
        self.open()
        self.mailbox.fail(KeyError("nobody thought of it"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.mailbox.finish()
        heard = self.relay.take()
        receipts = [(one["status"], one["ids"]) for one in said(heard, stanza="receipt")]
        self.assertEqual(receipts, [("failed", ["1"]), ("stored", ["a"])])
        self.assertEqual(len(said(heard, message="mail")), 1)

    def test_so_many_bytes_wait_for_the_disk_and_no_more(self) -> None:
        self.patch(post, "MAX_BYTES", 1000)
        self.say("1", body="x" * 900)
        self.say("2", body="x" * 900)
        self.assertEqual(self.outcomes(), [])
        self.say("3")
        self.assertEqual(self.outcomes(), [("failed", ["3"])])
        self.mailbox.finish()
        self.assertEqual(self.outcomes(), [("stored", ["1"]), ("failed", ["2"])])  # nothing is overtaken
        self.say("2", again=True)
        self.say("3")
        self.mailbox.finish()
        self.mailbox.finish()
        self.assertEqual(self.outcomes(), [("stored", ["2"]), ("stored", ["3"])])

    def test_another_pair_s_are_stored_all_the_same(self) -> None:
        self.say("1")
        self.say("2")
        self.say("a", **{"from": "fajar", "to": "esa"})
        self.mailbox.fail()
        self.assertEqual(self.mailbox.asked, ["store 1", "store a"])
        self.mailbox.finish()
        self.assertEqual(self.outcomes(), [("failed", ["1"]), ("failed", ["2"]), ("stored", ["a"])])

    def test_a_mailbox_is_handed_out_when_what_had_come_is_stored(self) -> None:
        self.say("1")
        self.say("2")
        self.open()
        self.assertEqual(self.mailbox.asked, ["store 1"])
        self.mailbox.finish()
        self.assertEqual(self.mailbox.asked, ["store 1", "store 2"])
        self.mailbox.finish()
        self.assertEqual(self.mailbox.asked, ["store 1", "store 2", "mail"])
        handed = [frame["id"] for frame in said(self.relay.take(), stanza="message")]
        self.assertEqual(handed, ["1", "2"])

    def test_with_nothing_on_its_way_it_is_handed_out_at_once(self) -> None:
        self.open()
        self.assertEqual(self.mailbox.asked, ["mail"])
        (mail,) = said(self.relay.take(), message="mail")
        self.assertNotIn("more", mail)

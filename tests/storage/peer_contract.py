# SPDX-License-Identifier: MIT
"""What a peer's memory keeps to, whatever it is made of: run against lists and against SQLite."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from xjrelay.domain.peers import Known
from xjrelay.storage.interfaces import OutboxFull, PeerMessage, PeerStores


def said(message_id: str, peer_id: str = "bob", text: str = "halo") -> PeerMessage:
    """A message of ours."""
    return PeerMessage(peer_id, message_id, text, 1000)


def heard(message_id: str, peer_id: str = "bob") -> PeerMessage:
    """A message of theirs."""
    return PeerMessage(peer_id, message_id, "halo juga", 1000, incoming=True, state="received")


class PeerContract(TestCase):
    """:class:`~xjrelay.storage.interfaces.PeerStore`."""

    stores: PeerStores

    async def ids(self, peer_id: str = "bob", after: int = 0, most: int = 100) -> list[str]:
        """What waits, by id."""
        return [one.message_id for one in await self.stores.peers.waiting(peer_id, after, most)]

    async def test_peers_are_kept_changed_and_forgotten(self) -> None:
        store = self.stores.peers
        bob = Known("bob", "Bob", ("2001:db8::1", 5000), 1, 2, label="Budi", kept=True)
        alice = Known("alice", "Alice", None, 3, 4)
        await store.keep(bob)
        await store.keep(alice)
        self.assertEqual(await store.peers(), [alice, bob])
        bob.place, bob.seen_at, bob.label = None, 9, ""
        await store.keep(bob)
        self.assertEqual(await store.peers(), [alice, bob])
        await store.say(said("1"))
        await store.forget("bob")
        self.assertEqual((await store.peers(), await self.ids()), ([alice], []))

    async def test_what_waits_waits_in_order(self) -> None:
        store = self.stores.peers
        numbered = [await store.say(said(f"m{number}")) for number in range(5)]
        await store.say(said("other", "carol"))
        self.assertEqual(await self.ids(), ["m0", "m1", "m2", "m3", "m4"])
        self.assertEqual(await self.ids(after=numbered[1].number, most=2), ["m2", "m3"])

    async def test_what_has_gone_waits_no_more_and_is_said_once(self) -> None:
        store = self.stores.peers
        for message_id in ("1", "2", "3"):
            await store.say(said(message_id))
        self.assertEqual(await store.settle("bob", ["1", "3", "9"], "delivered"), ["1", "3"])
        self.assertEqual(await store.settle("bob", ["1"], "delivered"), [])
        self.assertEqual(await store.settle("carol", ["2"], "delivered"), [])
        self.assertEqual(await self.ids(), ["2"])

    async def test_what_did_not_go_after_all_waits_again(self) -> None:
        store = self.stores.peers
        await store.say(said("1"))
        self.assertEqual(await store.settle("bob", ["1"], "sent"), ["1"])
        self.assertEqual(await store.settle("bob", ["1"], "waiting"), ["1"])
        self.assertEqual(await self.ids(), ["1"])

    async def test_an_outbox_has_an_end(self) -> None:
        store = self.stores.peers
        for number in range(1000):
            await store.say(said(str(number)))
        try:
            await store.say(said("one more"))
        except OutboxFull:
            pass
        else:
            self.fail("the outbox has no end")
        await store.say(said("1", "carol"))
        await store.settle("bob", ["0"], "delivered")
        await store.say(said("one more"))

    async def test_what_is_heard_twice_is_kept_once(self) -> None:
        store = self.stores.peers
        first = await store.hear(heard("1"), 100)
        assert first is not None
        self.assertGreater(first.number, 0)
        self.assertIsNone(await store.hear(heard("1"), 100))
        self.assertIsNotNone(await store.hear(heard("1", "carol"), 100))
        await store.say(said("1"))  # the other direction has ids of its own
        self.assertEqual(await self.ids(), ["1"])

    async def test_the_history_is_both_sides_oldest_first(self) -> None:
        store = self.stores.peers
        await store.say(said("1", text="a"))
        await store.hear(heard("2"), 100)
        last = await store.say(said("3", text="ö\n"))
        history = await store.history("bob", None, 100)
        self.assertEqual([one.message_id for one in history], ["1", "2", "3"])
        self.assertEqual((history[-1], history[1].incoming), (last, True))
        before = await store.history("bob", last.number, 1)
        self.assertEqual([one.message_id for one in before], ["2"])
        await store.say(said("4", "carol"))
        lasts = await store.last()
        self.assertEqual({peer: one.message_id for peer, one in lasts.items()}, {"bob": "3", "carol": "4"})

# SPDX-License-Identifier: MIT
"""What every store keeps to, whatever it is made of: run against dicts and against SQLite alike."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from xjrelay.domain import roster
from xjrelay.domain.accounts import Ban, Invitation
from xjrelay.domain.roster import Decision, Pair, Row, Subscription
from xjrelay.storage.interfaces import (
    Account,
    AccountExists,
    ComponentRow,
    Credentials,
    InvitationSpent,
    Kept,
    Letter,
    MailboxStore,
    ManagerStores,
    Profile,
    RosterFull,
    TrackerStores,
    UnknownAccount,
)
from xjrelay.wire.errors import StanzaError

CREDENTIALS = Credentials(b"salt", 4096, b"stored", b"server")


def account(username: str) -> Account:
    """An account as the server makes one."""
    return Account(Profile(username.casefold(), username, "a bio", 1000), CREDENTIALS)


def letter(name: str, recipient: str = "fajar", resource: str = "", sender: str = "esa") -> Letter:
    """A letter whose id and content are ``name``."""
    return Letter(recipient, resource, sender, name, name.encode())


class DirectoryContract(TestCase):
    """:class:`~xjrelay.storage.interfaces.DirectoryStore`."""

    stores: TrackerStores

    async def test_a_component_joins_and_leaves(self) -> None:
        store = self.stores.directory
        here = ComponentRow("m", "manager", "10.0.0.1", 5001, True, {"name": "one"}, joined_at=5)
        await store.joined(here)
        self.assertEqual(await store.rows(), [here])
        await store.left("m", 9)
        (row,) = await store.rows()
        self.assertEqual((row.live, row.left_at, row.joined_at), (False, 9, 5))
        await store.left("m", 12)
        await store.left("nobody", 12)
        self.assertEqual(await store.rows(), [row])

    async def test_one_that_comes_back_takes_its_row(self) -> None:
        store = self.stores.directory
        await store.joined(ComponentRow("r", "relay", "10.0.0.1", 5002, True, joined_at=5))
        await store.left("r", 6)
        back = ComponentRow(
            "r", "relay", "2001:db8::1", 6000, False, {"endpoints": ["tls:é"]}, joined_at=7, left_at=6
        )
        await store.joined(back)
        self.assertEqual(await store.rows(), [back])

    async def test_a_reset_marks_every_row(self) -> None:
        store = self.stores.directory
        await store.joined(ComponentRow("b", "relay", "10.0.0.1", 5002, True, joined_at=5))
        await store.joined(ComponentRow("a", "relay", "10.0.0.1", 5003, True, joined_at=5))
        await store.left("a", 6)
        await store.reset(9)
        rows = [(row.component_id, row.live, row.left_at) for row in await store.rows()]
        self.assertEqual(rows, [("a", False, 6), ("b", False, 9)])


class AccountContract(TestCase):
    """:class:`~xjrelay.storage.interfaces.AccountStore`."""

    stores: ManagerStores

    async def test_an_account_is_kept(self) -> None:
        await self.stores.accounts.create(account("Esa"))
        self.assertEqual(await self.stores.accounts.get("esa"), account("Esa"))
        self.assertIsNone(await self.stores.accounts.get("Esa"))

    async def test_a_ban_is_kept_over_another_and_lifted(self) -> None:
        store = self.stores.accounts
        await store.create(account("Esa"))
        first, second = Ban("spam", 5, 100), Ban("", 6)
        await store.ban("esa", first)
        self.assertEqual(await store.get("esa"), replace(account("Esa"), ban=first))
        await store.ban("esa", second)
        self.assertEqual(await store.bans(10**9, "", 10), [("Esa", second)])
        self.assertTrue(await store.lift("esa"))
        self.assertFalse(await store.lift("esa"))
        self.assertEqual(await store.get("esa"), account("Esa"))
        with self.assertRaises(UnknownAccount):
            await store.ban("nobody", first)

    async def test_bans_are_listed_in_pages_and_forgotten_when_they_ended(self) -> None:
        store = self.stores.accounts
        for name in ("esa", "fajar", "gita"):
            await store.create(account(name))
            await store.ban(name, Ban(name, 1, 50 if name == "fajar" else None))
        self.assertEqual([name for name, _ in await store.bans(49, "", 2)], ["esa", "fajar"])
        self.assertEqual([name for name, _ in await store.bans(49, "fajar", 2)], ["gita"])
        self.assertEqual([name for name, _ in await store.bans(50, "", 3)], ["esa", "gita"])
        self.assertEqual(await store.get("fajar"), account("fajar"))

    async def test_a_ban_goes_with_its_account(self) -> None:
        store = self.stores.accounts
        await store.create(account("esa"))
        await store.ban("esa", Ban("spam", 1))
        await store.remove("esa")
        self.assertEqual(await store.bans(2, "", 9), [])

    async def test_a_ban_and_an_end_end_every_session_there_has_been(self) -> None:
        store = self.stores.accounts
        for end in (store.end_sessions, lambda key: store.ban(key, Ban("", 1))):
            key = f"user{id(end)}"
            await store.create(account(key))
            numbers = [await store.next_session(key) for _ in range(2)]
            self.assertEqual(await end(key), numbers[-1])
            later = await store.next_session(key)
            sessions = [(key, number) for number in (*numbers, later)]
            self.assertEqual(await store.ended(sessions), sessions[:-1])
        with self.assertRaises(UnknownAccount):
            await store.end_sessions("nobody")

    async def test_a_key_is_taken_once(self) -> None:
        await self.stores.accounts.create(account("esa"))
        with self.assertRaises(AccountExists):
            await self.stores.accounts.create(account("ESA"))
        self.assertEqual(await self.stores.accounts.get("esa"), account("esa"))

    async def test_of_two_at_once_one_is_refused(self) -> None:
        first, second = [self.stores.accounts.create(account(name)) for name in ("esa", "ESA")]
        with self.assertRaises(AccountExists):
            await second
        await first

    async def test_the_bio_changes_with_its_time(self) -> None:
        await self.stores.accounts.create(account("esa"))
        await self.stores.accounts.set_bio("esa", "🎉 new", 2000)
        found = await self.stores.accounts.get("esa")
        assert found is not None
        self.assertEqual(found.profile, Profile("esa", "esa", "🎉 new", 2000))

    async def test_sessions_rise_an_account(self) -> None:
        await self.stores.accounts.create(account("esa"))
        await self.stores.accounts.create(account("fajar"))
        pending = [self.stores.accounts.next_session(key) for key in ("esa", "fajar", "esa", "esa")]
        self.assertEqual(await gatherResults(pending), [1, 1, 2, 3])

    async def test_credentials_are_replaced(self) -> None:
        await self.stores.accounts.create(account("esa"))
        new = Credentials(b"s2", 15000, b"k2", b"v2")
        await self.stores.accounts.replace_credentials("esa", new)
        found = await self.stores.accounts.get("esa")
        assert found is not None
        self.assertEqual(found.credentials, new)

    async def test_a_new_password_ends_the_sessions_there_were(self) -> None:
        accounts = self.stores.accounts
        await accounts.create(account("esa"))
        await gatherResults([accounts.next_session("esa") for _ in range(2)])
        self.assertEqual(await accounts.ended([("esa", 1), ("esa", 2)]), [])
        self.assertEqual(await accounts.replace_credentials("esa", CREDENTIALS), 2)
        self.assertEqual(await accounts.next_session("esa"), 3)
        self.assertEqual(await accounts.ended([("esa", 2), ("esa", 3)]), [("esa", 2)])

    async def test_a_name_registered_again_revives_nothing(self) -> None:
        accounts = self.stores.accounts
        for name in ("esa", "fajar"):
            await accounts.create(account(name))
        await gatherResults([accounts.next_session("esa") for _ in range(5)])
        self.assertEqual(await accounts.remove("esa"), 5)
        self.assertEqual(await accounts.ended([("esa", 5), ("fajar", 5)]), [("esa", 5)])
        await accounts.remove("fajar")  # fewer, and the mark does not fall
        await accounts.create(account("Esa"))
        self.assertEqual(await accounts.ended([("esa", 1), ("esa", 5), ("esa", 6)]), [("esa", 1), ("esa", 5)])
        self.assertEqual(await accounts.next_session("esa"), 6)

    async def test_an_invitation_is_used_so_often(self) -> None:
        accounts, invitation = self.stores.accounts, Invitation(b"one", 2, 5000)
        for name in ("esa", "fajar"):
            await accounts.create(account(name), invitation)
        with self.assertRaises(InvitationSpent):
            await accounts.create(account("gita"), invitation)
        self.assertIsNone(await accounts.get("gita"))
        await accounts.create(account("gita"), Invitation(b"two", 1, 5000))

    async def test_a_name_that_is_taken_uses_no_invitation(self) -> None:
        accounts, invitation = self.stores.accounts, Invitation(b"one", 1, 5000)
        await accounts.create(account("esa"))
        with self.assertRaises(AccountExists):
            await accounts.create(account("esa"), invitation)
        await accounts.create(account("fajar"), invitation)

    async def test_of_two_at_once_one_uses_the_last_of_an_invitation(self) -> None:
        accounts, invitation = self.stores.accounts, Invitation(b"one", 1, 5000)
        first, second = [accounts.create(account(name), invitation) for name in ("esa", "fajar")]
        with self.assertRaises(InvitationSpent):
            await second
        await first

    async def test_what_is_not_there_can_not_change(self) -> None:
        accounts = self.stores.accounts
        for change in (
            accounts.set_bio("esa", "", 0),
            accounts.next_session("esa"),
            accounts.replace_credentials("esa", CREDENTIALS),
            accounts.remove("esa"),
        ):
            with self.assertRaises(UnknownAccount):
                await change

    async def test_a_removed_account_leaves_no_row(self) -> None:
        for name in ("esa", "fajar"):
            await self.stores.accounts.create(account(name))
        await self.stores.roster.change("esa", "fajar", lambda pair: roster.add(pair, None))
        await self.stores.accounts.remove("fajar")
        self.assertIsNone(await self.stores.accounts.get("fajar"))
        self.assertEqual(await self.stores.roster.contacts("esa"), [])
        self.assertEqual(await self.stores.roster.contacts("fajar"), [])


class RelayContract(TestCase):
    """:class:`~xjrelay.storage.interfaces.RelayStore`."""

    stores: ManagerStores

    async def test_names_are_given_in_turn_and_kept(self) -> None:
        relays = self.stores.relays
        names = [
            (await relays.name(relay_id, "10.0.0.1", 5002, now)).name
            for now, relay_id in enumerate(["x", "y", "x", "z", "y"])
        ]
        self.assertEqual(names, ["relay1", "relay2", "relay1", "relay3", "relay2"])

    async def test_the_row_says_where_it_was_last(self) -> None:
        await self.stores.relays.name("x", "10.0.0.1", 5002, 1)
        await self.stores.relays.name("y", "10.0.0.1", 5003, 1)
        row = await self.stores.relays.name("x", "10.0.0.9", 6000, 2)
        self.assertEqual((row.ip_local, row.port, row.seen_at), ("10.0.0.9", 6000, 2))
        rows = await self.stores.relays.rows()
        self.assertEqual([row.name for row in rows], ["relay1", "relay2"])
        self.assertEqual(rows[0], row)

    async def test_those_that_have_not_left_are_known(self) -> None:
        relays = self.stores.relays
        for relay_id in "xyz":
            await relays.name(relay_id, "10.0.0.1", 5002, 1)
        await relays.left("y")
        await relays.left("nobody")
        self.assertEqual(await relays.live(), ["relay1", "relay3"])
        await relays.name("y", "10.0.0.1", 5002, 2)
        self.assertEqual(await relays.live(), ["relay1", "relay2", "relay3"])

    async def test_two_at_once_get_two_names(self) -> None:
        pending = [self.stores.relays.name(relay_id, "10.0.0.1", 1, 1) for relay_id in "abc"]
        rows = await gatherResults(pending)
        self.assertEqual([row.name for row in rows], ["relay1", "relay2", "relay3"])


class MailboxContract(TestCase):
    """:class:`~xjrelay.storage.interfaces.MailboxStore`."""

    stores: ManagerStores

    async def box(self, *names: str) -> MailboxStore:
        for name in names or ("esa", "fajar"):
            await self.stores.accounts.create(account(name))
        return self.stores.mailbox

    async def bodies(self, recipient: str = "fajar", resource: str = "", after: int = 0) -> list[str]:
        rows = await self.stores.mailbox.mail(recipient, resource, after, 100)
        return [row.frame.decode() for row in rows]

    async def test_letters_are_handed_out_in_the_order_stored(self) -> None:
        box = await self.box()
        letters = [letter(f"{number}", sender="ab"[number % 2]) for number in range(5)]
        self.assertEqual(await box.store(letters[:3], 1, 10), [Kept.STORED] * 3)
        self.assertEqual(await box.store(letters[3:], 2, 10), [Kept.STORED] * 2)
        self.assertEqual(await self.bodies(), ["0", "1", "2", "3", "4"])
        rows = await box.mail("fajar", "", 0, 2)
        self.assertEqual([row.frame for row in rows], [b"0", b"1"])
        self.assertEqual(await self.bodies(after=rows[1].row), ["2", "3", "4"])
        self.assertEqual(await self.bodies("esa"), [])

    async def test_reading_sees_what_was_stored_before_it(self) -> None:
        box = await self.box()
        stored = box.store([letter("1")], 1, 10)
        self.assertEqual(await self.bodies(), ["1"])
        await stored

    async def test_an_id_of_a_sender_is_kept_once_and_keeps_its_place(self) -> None:
        box = await self.box()
        await box.store([letter("1"), letter("2")], 1, 10)
        again = [letter("1"), letter("1", sender="gita"), letter("3"), letter("3")]
        self.assertEqual(await box.store(again, 2, 10), [Kept.STORED] * 4)
        self.assertEqual(await self.bodies(), ["1", "2", "1", "3"])

    async def test_a_full_mailbox_takes_no_more_and_what_is_in_it_is_in_it(self) -> None:
        box = await self.box()
        stored, full = Kept.STORED, Kept.FULL
        letters = [letter(name) for name in ("1", "2", "2", "3", "4", "1")]
        self.assertEqual(await box.store(letters, 1, 3), [stored, stored, stored, stored, full, stored])
        self.assertEqual(await box.store([letter("5"), letter("2")], 1, 3), [full, stored])
        self.assertEqual(await box.store([letter("9", recipient="esa")], 1, 3), [stored])
        rows = await box.mail("fajar", "", 0, 1)
        await box.taken([("fajar", rows[0].row)])
        self.assertEqual(await box.store([letter("5"), letter("6")], 1, 3), [stored, full])
        self.assertEqual(await self.bodies(), ["2", "3", "5"])

    async def test_nobody_has_no_mailbox(self) -> None:
        box = await self.box()
        letters = [letter("1", recipient="nobody"), letter("1")]
        self.assertEqual(await box.store(letters, 1, 3), [Kept.UNKNOWN, Kept.STORED])

    async def test_taken_rows_leave_and_their_numbers_never_return(self) -> None:
        box = await self.box()
        await box.store([letter("1"), letter("2")], 1, 10)
        first, second = [row.row for row in await box.mail("fajar", "", 0, 9)]
        await box.taken([("fajar", second), ("esa", first), ("fajar", 99)])
        self.assertEqual(await self.bodies(), ["1"])
        await box.store([letter("3")], 1, 10)
        self.assertGreater((await box.mail("fajar", "", first, 9))[0].row, second)

    async def test_a_device_gets_its_own_and_everybodys(self) -> None:
        box = await self.box()
        await box.store([letter("1"), letter("2", resource="desk"), letter("3", resource="phone")], 1, 10)
        self.assertEqual(await self.bodies(), ["1"])
        self.assertEqual(await self.bodies(resource="phone"), ["1", "3"])

    async def test_the_old_expire(self) -> None:
        box = await self.box()
        for now in (10, 20, 30):
            await box.store([letter(f"{now}")], now, 10)
        self.assertEqual(await box.expire(21), 2)
        self.assertEqual(await box.expire(21), 0)
        self.assertEqual(await self.bodies(), ["30"])

    async def test_a_removed_account_takes_its_mailbox_with_it(self) -> None:
        box = await self.box()
        await box.store([letter("1")], 1, 10)
        await self.stores.accounts.remove("fajar")
        await self.box("fajar")
        self.assertEqual(await self.bodies(), [])


class RosterContract(TestCase):
    """:class:`~xjrelay.storage.interfaces.RosterStore`."""

    stores: ManagerStores

    async def make(self, *names: str) -> None:
        for name in names:
            await self.stores.accounts.create(account(name))

    async def test_a_change_writes_both_rows(self) -> None:
        await self.make("esa", "Fajar")
        decision = await self.stores.roster.change("esa", "fajar", lambda pair: roster.add(pair, "faj"))
        expected = Pair(Row(Subscription.TO, "faj"), Row(Subscription.FROM))
        self.assertEqual(decision.pair, expected)
        self.assertEqual(await self.stores.roster.pair("esa", "fajar"), expected)
        (contact,) = await self.stores.roster.contacts("esa")
        self.assertEqual((contact.profile, contact.row), (account("Fajar").profile, expected.asker))

    async def test_two_who_add_each_other_at_once_have_both(self) -> None:
        await self.make("esa", "fajar")
        pending = [
            self.stores.roster.change(asker, target, lambda pair: roster.add(pair, None))
            for asker, target in (("esa", "fajar"), ("fajar", "esa"))
        ]
        await gatherResults(pending)
        both = Row(Subscription.BOTH)
        self.assertEqual(await self.stores.roster.pair("esa", "fajar"), Pair(both, both))

    async def test_removal_takes_rows_away(self) -> None:
        await self.make("esa", "fajar")
        await self.stores.roster.change("esa", "fajar", lambda pair: roster.add(pair, None))
        await self.stores.roster.change("esa", "fajar", roster.remove)
        self.assertEqual(await self.stores.roster.pair("esa", "fajar"), Pair())
        self.assertEqual(await self.stores.roster.contacts("fajar"), [])

    async def test_a_refused_decision_changes_nothing_and_fails_alone(self) -> None:
        await self.make("esa", "fajar", "gita")
        roster_store = self.stores.roster

        def refuse(pair: Pair) -> Decision:
            return roster.remove(pair)

        refused = roster_store.change("esa", "fajar", refuse)
        granted = roster_store.change("esa", "gita", lambda pair: roster.add(pair, None))
        with self.assertRaises(StanzaError):
            await refused
        await granted
        self.assertEqual(await roster_store.pair("esa", "fajar"), Pair())
        self.assertEqual([contact.profile.key for contact in await roster_store.contacts("esa")], ["gita"])

    async def test_an_unknown_account_on_either_side(self) -> None:
        await self.make("esa")
        for asker, target in (("esa", "nobody"), ("nobody", "esa")):
            with self.assertRaises(UnknownAccount):
                await self.stores.roster.change(asker, target, lambda pair: roster.add(pair, None))

    async def test_a_roster_holds_so_many_contacts(self) -> None:
        await self.make("esa", "fajar", "gita", "hadi")
        store = self.stores.roster
        add = lambda pair: roster.add(pair, "n")  # noqa: E731
        await store.change("hadi", "esa", add, most=1)  # a row "from" is no contact
        await store.change("esa", "fajar", add, most=1)
        with self.assertRaises(RosterFull):
            await store.change("esa", "gita", add, most=1)
        with self.assertRaises(RosterFull):
            await store.change("esa", "hadi", add, most=1)
        self.assertEqual(await store.pair("esa", "gita"), Pair())
        await store.change("esa", "fajar", lambda pair: roster.add(pair, "renamed"), most=1)
        await store.change("esa", "fajar", roster.remove, most=1)
        await store.change("esa", "hadi", add, most=1)

    async def test_room_is_found_again_when_contacts_go(self) -> None:
        names = [f"u{number}" for number in range(6)]
        await self.make("esa", *names)
        add = lambda pair: roster.add(pair, None)  # noqa: E731
        change = self.stores.roster.change
        for name in names[:3]:
            await change("esa", name, add, most=3)
        await self.stores.accounts.remove("u0")
        await change("esa", "u1", roster.remove, most=3)
        for name in names[3:5]:
            await change("esa", name, add, most=3)
        with self.assertRaises(RosterFull):
            await change("esa", "u5", add, most=3)
        await change("esa", "u5", add, most=4)
        with self.assertRaises(RosterFull):
            await change("esa", "u1", add, most=3)

    async def test_listeners_are_those_with_from_and_both(self) -> None:
        await self.make("esa", "hears", "mutual", "heard")
        for asker, target in (("hears", "esa"), ("mutual", "esa"), ("esa", "mutual"), ("esa", "heard")):
            await self.stores.roster.change(asker, target, lambda pair: roster.add(pair, None))
        self.assertEqual(await self.stores.roster.listeners("esa"), ["hears", "mutual"])
        self.assertEqual(
            [contact.profile.key for contact in await self.stores.roster.contacts("esa")],
            ["heard", "hears", "mutual"],
        )


CONTRACTS = (DirectoryContract, AccountContract, RelayContract, RosterContract)

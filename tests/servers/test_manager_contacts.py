# SPDX-License-Identifier: MIT
"""Rosters and presence at a manager (M15 to M28; protocol, section 6)."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail

from tests.servers.manager_rig import (
    NOW,
    Frame,
    ManagerCase,
    Rig,
    roster_get,
    roster_remove,
    roster_set,
    said,
)
from xjrelay.domain.presence import DEFAULT_BIO
from xjrelay.net.context import Limits
from xjrelay.storage.interfaces import StoreFailed


class Adding(ManagerCase):
    """``set`` with subscription ``to``."""

    def setUp(self) -> None:
        super().setUp()
        self.esa, self.fajar = self.rig.online("esa", "Fajar")

    def test_M15_adds_a_contact(self) -> None:
        heard = self.rig.add(self.esa, "esa", "fajar", name="My friend")
        self.assertEqual(heard[-1]["type"], "result")
        answer = self.esa.ask(roster_get("esa", id="5"))
        self.assertEqual(
            answer,
            {
                "stanza": "iq",
                "namespace": "roster",
                "to": "esa",
                "type": "result",
                "query": {"items": [{"jid": "Fajar", "name": "My friend", "subscription": "to"}]},
                "id": "5",
            },
        )

    def test_M15_a_contact_without_a_name_has_its_own(self) -> None:
        self.rig.add(self.esa, "esa", "fajar")
        (item,) = self.esa.ask(roster_get("esa"))["query"]["items"]
        self.assertEqual(item["name"], "Fajar")

    def test_M15_from_may_name_the_users_own_device(self) -> None:
        phone, _ = self.rig.log_in("esa", resource="phone")
        self.assertEqual(phone.ask(roster_get("ESA/phone"))["type"], "result")
        self.assert_condition(self.esa.ask(roster_get("esa/phone")), "forbidden")

    def test_M16_refuses_what_is_not_json(self) -> None:
        self.esa.say_bytes(b'{"stanza":"iq","namespace":"roster",\n')
        (answer,) = self.esa.take()
        self.assertEqual((answer["error"], answer["code"]), (True, 400))
        self.assertEqual(self.rig.roster(self.esa, "esa"), {})

    def test_M16_refuses_what_is_incomplete_or_malformed(self) -> None:
        good = roster_set("esa", {"jid": "fajar", "subscription": "to"})
        changes: list[Frame] = [
            {"namespace": "other"},
            {"namespace": None},
            {"type": None},
            {"type": "result"},
            {"query": None},
            {"query": {}},
            {"query": []},
            {"query": {"item": None}},
            {"query": {"item": {}}},
            {"query": {"item": {"jid": "fajar"}}},
            {"query": {"item": {"jid": "fajar", "subscription": "both"}}},
            {"query": {"item": {"jid": "fajar", "subscription": "from"}}},
            {"query": {"item": {"jid": "fajar", "subscription": {}}}},
            {"query": {"item": {"subscription": "to"}}},
            {"query": {"item": {"jid": 5, "subscription": "to"}}},
            {"query": {"item": {"jid": "", "subscription": "to"}}},
            {"query": {"item": {"jid": "fajar/phone", "subscription": "to"}}},
            {"query": {"item": {"jid": "fa jar", "subscription": "to"}}},
            {"query": {"item": {"jid": "fajar", "subscription": "to", "name": 5}}},
            {"query": {"item": {"jid": "fajar", "subscription": "to", "name": "x" * 257}}},
            {"query": {"item": {"jid": "ESA", "subscription": "to"}}},
            {"from": None},
            {"from": 5},
            {"subscription": "both"},
            {"id": 5},
            {"id": "x" * 65},
        ]
        for change in changes:
            self.assert_condition(self.esa.ask({**good, **change}), "bad-request")
        self.assert_condition(self.esa.ask({**roster_get("esa"), "query": {}}), "bad-request")
        self.assertEqual(self.rig.roster(self.esa, "esa"), {})

    def test_M16_refuses_somebody_elses_roster(self) -> None:
        for sender in ("fajar", "nobody", "", "a b"):
            self.assert_condition(self.esa.ask(roster_get(sender, id="1")), "forbidden")
            change = roster_set(sender, {"jid": "esa", "subscription": "to"})
            self.assert_condition(self.esa.ask(change), "forbidden")
        self.assertEqual(self.rig.roster(self.fajar, "fajar"), {})

    def test_M16_refuses_an_unknown_user(self) -> None:
        answer = self.esa.ask(roster_set("esa", {"jid": "nobody", "subscription": "to"}, id="8"))
        self.assert_condition(answer, "item-not-found")
        self.assertEqual((answer["id"], answer["to"]), ("8", "esa"))
        self.assertEqual(answer["error"]["type"], "cancel")

    def test_M16_a_store_that_fails_is_told_to_wait(self) -> None:
        self.patch(self.rig.stores.roster, "contacts", lambda owner: fail(StoreFailed("disk full")))
        answer = self.esa.ask(roster_get("esa"))
        self.assert_condition(answer, "resource-constraint")
        self.assertEqual(answer["error"]["type"], "wait")

    def test_M17_a_stranger_has_to_and_is_had_with_from(self) -> None:
        self.rig.add(self.esa, "esa", "fajar")
        self.assertEqual(self.rig.roster(self.esa, "esa"), {"Fajar": "to"})
        self.assertEqual(self.rig.roster(self.fajar, "fajar"), {})  # from is not in its own list
        pair = self.successResultOf(self.rig.stores.roster.pair("fajar", "esa"))
        assert pair.asker is not None
        self.assertEqual(pair.asker.subscription.value, "from")
        self.assertEqual(self.fajar.take(), [])

    def test_M17_two_who_add_each_other_have_both(self) -> None:
        self.rig.add(self.esa, "esa", "fajar")
        heard = self.rig.add(self.fajar, "fajar", "esa")
        self.assertEqual(heard[0]["item"]["subscription"], "both")
        self.assertEqual(self.rig.roster(self.fajar, "fajar"), {"esa": "both"})
        (told,) = self.esa.take()
        self.assertEqual(
            told,
            {
                "stanza": "presence",
                "type": "subscribed",
                "from": "Fajar",
                "to": "esa",
                "item": {"jid": "Fajar", "name": "Fajar", "subscription": "both"},
            },
        )
        self.assertEqual(self.rig.roster(self.esa, "esa"), {"Fajar": "both"})

    def test_M18_the_asker_hears_subscribed_then_presence_then_the_result(self) -> None:
        self.fajar.say({"stanza": "presence", "show": "away", "status": "lunch"})
        subscribed, presence, result = self.rig.add(self.esa, "esa", "fajar", name="F")
        self.assertEqual(
            subscribed,
            {
                "stanza": "presence",
                "type": "subscribed",
                "from": "Fajar",
                "to": "esa",
                "item": {"jid": "Fajar", "name": "F", "subscription": "to"},
            },
        )
        self.assertEqual(
            presence,
            {
                "stanza": "presence",
                "from": "Fajar",
                "to": "esa",
                "username": "Fajar",
                "bio": DEFAULT_BIO,
                "online": 1,
                "updated_at": int(NOW * 1000),
                "show": "away",
                "status": "lunch",
            },
        )
        self.assertEqual(
            (result["stanza"], result["type"], result["to"], result["query"]),
            ("iq", "result", "esa", {"item": {"jid": "Fajar", "name": "F", "subscription": "to"}}),
        )

    def test_M18_an_offline_contact_is_shown_offline(self) -> None:
        self.fajar.hang_up()
        self.assertEqual(self.rig.add(self.esa, "esa", "fajar")[1]["online"], 0)

    def test_M18_every_device_of_the_asker_has_the_same_roster(self) -> None:
        phone, _ = self.rig.log_in("esa", resource="phone")
        self.rig.add(self.esa, "esa", "fajar")
        self.assertEqual([frame["stanza"] for frame in phone.take()], ["presence", "presence"])

    def test_M19_a_second_add_renames(self) -> None:
        self.rig.befriend(self.esa, "esa", self.fajar, "fajar")
        for name in ("one", "two"):
            subscribed, _, result = self.rig.add(self.esa, "esa", "FAJAR", name=name)
            self.assertEqual(subscribed["item"], {"jid": "Fajar", "name": name, "subscription": "both"})
            self.assertEqual(result["query"]["item"]["name"], name)
        self.rig.add(self.esa, "esa", "fajar")
        (item,) = self.esa.ask(roster_get("esa"))["query"]["items"]
        self.assertEqual(item, {"jid": "Fajar", "name": "two", "subscription": "both"})
        self.assertEqual(self.fajar.take(), [])


class Removing(ManagerCase):
    """``set`` with subscription ``remove``."""

    def setUp(self) -> None:
        super().setUp()
        self.esa, self.fajar, _ = self.rig.online("esa", "fajar", "gita")

    def test_M20_removes_a_contact(self) -> None:
        self.rig.add(self.esa, "esa", "fajar")
        self.esa.say(roster_remove("esa", "fajar", id="1"))
        _, result = self.esa.take()
        self.assertEqual(
            result,
            {
                "stanza": "iq",
                "namespace": "roster",
                "to": "esa",
                "type": "result",
                "query": {"item": {"jid": "fajar", "subscription": "to"}},
                "subscription": "remove",
                "id": "1",
            },
        )
        self.assertEqual(self.rig.roster(self.esa, "esa"), {})

    def test_M20_remove_inside_the_item_is_understood(self) -> None:
        self.rig.add(self.esa, "esa", "fajar")
        self.esa.say(roster_set("esa", {"jid": "fajar", "subscription": "remove"}))
        _, result = self.esa.take()
        self.assertEqual(result["query"]["item"]["subscription"], "remove")
        self.assertEqual(self.rig.roster(self.esa, "esa"), {})

    def test_M21_refuses_what_is_not_json(self) -> None:
        self.esa.say_bytes(b'{"stanza":"iq","subscription":"remove",}\n')
        self.assertEqual(self.esa.take()[0]["code"], 400)

    def test_M21_refuses_what_is_incomplete(self) -> None:
        self.rig.add(self.esa, "esa", "fajar")
        changes: list[Frame] = [
            {"query": None},
            {"query": {"item": {}}},
            {"from": None},
            {"namespace": None},
        ]
        for change in changes:
            self.assert_condition(self.esa.ask({**roster_remove("esa", "fajar"), **change}), "bad-request")
        self.assertEqual(self.rig.roster(self.esa, "esa"), {"fajar": "to"})

    def test_M21_refuses_anothers_roster(self) -> None:
        self.rig.add(self.fajar, "fajar", "esa")
        self.assert_condition(self.esa.ask(roster_remove("fajar", "esa")), "forbidden")
        self.assertEqual(self.rig.roster(self.fajar, "fajar"), {"esa": "to"})

    def test_M21_refuses_no_such_contact(self) -> None:
        for name in ("gita", "nobody", "esa"):
            self.assert_condition(self.esa.ask(roster_remove("esa", name)), "bad-request")

    def test_M21_refuses_one_who_only_hears_the_asker(self) -> None:
        self.rig.add(self.fajar, "fajar", "esa")
        self.assert_condition(self.esa.ask(roster_remove("esa", "fajar")), "bad-request")
        self.assertEqual(self.rig.roster(self.fajar, "fajar"), {"esa": "to"})

    def test_M22_from_to_both_rows_go(self) -> None:
        self.rig.add(self.esa, "esa", "fajar")
        self.esa.say(roster_remove("esa", "fajar"))
        pair = self.successResultOf(self.rig.stores.roster.pair("esa", "fajar"))
        self.assertEqual((pair.asker, pair.target), (None, None))
        (told,) = self.fajar.take()
        self.assertEqual((told["type"], told["from"], told["to"]), ("unsubscribed", "esa", "fajar"))
        self.assertEqual(told["item"]["subscription"], "remove")

    def test_M22_from_both_the_other_keeps_to(self) -> None:
        self.rig.befriend(self.esa, "esa", self.fajar, "fajar")
        self.esa.say(roster_remove("esa", "fajar"))
        self.esa.take()
        self.assertEqual(self.rig.roster(self.esa, "esa"), {})
        (told,) = self.fajar.take()
        self.assertEqual(told["item"], {"jid": "esa", "name": "esa", "subscription": "to"})
        self.assertEqual(self.rig.roster(self.fajar, "fajar"), {"esa": "to"})

    def test_M22_the_presence_goes_on_one_way(self) -> None:
        self.rig.befriend(self.esa, "esa", self.fajar, "fajar")
        self.esa.say(roster_remove("esa", "fajar"))
        self.esa.take()
        self.fajar.take()
        for wire in (self.esa, self.fajar):
            wire.say({"stanza": "presence", "show": "dnd"})
        self.assertEqual(self.esa.take(), [])
        self.assertEqual([frame["show"] for frame in self.fajar.take()], ["dnd"])

    def test_M23_the_asker_hears_unsubscribed_then_the_result(self) -> None:
        self.rig.befriend(self.esa, "esa", self.fajar, "fajar")
        self.esa.say(roster_remove("esa", "fajar"))
        told, result = self.esa.take()
        self.assertEqual(
            told,
            {
                "stanza": "presence",
                "type": "unsubscribed",
                "from": "fajar",
                "to": "esa",
                "item": {"jid": "fajar", "name": "fajar", "subscription": "from"},
            },
        )
        self.assertEqual(result["type"], "result")


class Presence(ManagerCase):
    """Who hears what."""

    def setUp(self) -> None:
        super().setUp()
        self.esa, self.fajar, self.gita, self.hadi = self.rig.online("esa", "fajar", "gita", "hadi")
        self.rig.befriend(self.esa, "esa", self.fajar, "fajar")
        self.rig.add(self.esa, "esa", "gita")  # esa hears gita
        self.rig.add(self.hadi, "hadi", "esa")  # hadi hears esa
        for wire in (self.esa, self.fajar, self.gita, self.hadi):
            wire.take()

    def test_M24_the_initial_presence_goes_out_and_the_contacts_come_in(self) -> None:
        self.esa.hang_up()
        self.hadi.hang_up()
        for wire in (self.fajar, self.gita):
            wire.take()
        wire, _ = self.rig.log_in("esa")
        self.assertEqual(self.fajar.take(), [])  # logged in is not yet available
        wire.say({"stanza": "presence"})
        heard = wire.take()
        self.assertEqual(
            [(frame["from"], frame["online"], frame["to"]) for frame in heard],
            [("fajar", 1, "esa"), ("gita", 1, "esa")],
        )
        (told,) = self.fajar.take()
        self.assertEqual(
            told,
            {
                "stanza": "presence",
                "from": "esa",
                "to": "fajar",
                "username": "esa",
                "bio": DEFAULT_BIO,
                "online": 1,
                "updated_at": int(NOW * 1000),
            },
        )
        self.assertEqual(self.gita.take(), [])

    def test_M24_offline_contacts_come_in_as_such(self) -> None:
        self.fajar.hang_up()
        self.esa.hang_up()
        wire, _ = self.rig.log_in("esa")
        wire.say({"stanza": "presence", "from": "esa"})
        self.assertEqual([frame["online"] for frame in said(wire.take(), **{"from": "fajar"})], [0])

    def test_M24_a_later_presence_goes_out_only(self) -> None:
        self.esa.say({"stanza": "presence", "from": "ESA", "show": "away", "status": "lunch"})
        self.assertEqual(self.esa.take(), [])
        for wire in (self.fajar, self.hadi):
            (told,) = wire.take()
            self.assertEqual((told["show"], told["status"], told["online"]), ("away", "lunch", 1))
        self.assertEqual(self.gita.take(), [])

    def test_M24_a_roster_of_thousands_is_no_slow_reader(self) -> None:
        self.rig = Rig(limits=Limits(max_outgoing=20_000))
        (esa,) = self.rig.online("esa")
        for number in range(400):
            self.rig.register(f"user{number}").hang_up()
            self.rig.add(esa, "esa", f"user{number}")
        esa.hang_up()
        wire, _ = self.rig.log_in("esa")
        wire.say({"stanza": "presence"})
        self.assertEqual(len(wire.take()), 400)
        self.assertTrue(wire.open)

    def test_M25_the_bio_changes(self) -> None:
        self.rig.advance(5)
        self.esa.say({"stanza": "presence", "from": "esa", "bio": "🎉 new"})
        account = self.successResultOf(self.rig.stores.accounts.get("esa"))
        assert account is not None
        self.assertEqual(account.profile.bio, "🎉 new")
        self.assertEqual(account.profile.updated_at, int(NOW * 1000) + 5000)

    def test_M25_a_bio_too_long_is_refused(self) -> None:
        answer = self.esa.ask({"stanza": "presence", "bio": "x" * 1025, "id": "1"})
        self.assertEqual((answer["code"], answer["id"]), (400, "1"))

    def test_M25_a_bio_that_can_not_be_kept_is_not_told(self) -> None:
        self.patch(self.rig.stores.accounts, "set_bio", lambda *args: fail(StoreFailed("disk full")))
        self.assertEqual(self.esa.ask({"stanza": "presence", "bio": "x"})["code"], 503)
        self.assertEqual(self.fajar.take(), [])

    def test_M25_a_bio_of_one_who_left_meanwhile_is_kept_and_told_to_nobody(self) -> None:
        keeping: Deferred[None] = Deferred()
        self.patch(self.rig.stores.accounts, "set_bio", lambda *args: keeping)
        self.esa.say({"stanza": "presence", "bio": "late"})
        self.esa.pipe.cut()
        self.fajar.take()
        keeping.callback(None)
        self.assertEqual(self.fajar.take(), [])

    def test_M26_contacts_that_hear_a_user_are_told_its_bio(self) -> None:
        self.esa.say({"stanza": "presence", "bio": "new"})
        for wire in (self.fajar, self.hadi):
            (told,) = wire.take()
            self.assertEqual((told["from"], told["bio"], told["online"]), ("esa", "new", 1))
        self.assertEqual((self.gita.take(), self.esa.take()), ([], []))

    def test_M26_a_bio_alone_leaves_what_is_shown(self) -> None:
        self.esa.say({"stanza": "presence", "show": "dnd"}, {"stanza": "presence", "bio": "new"})
        self.assertEqual([frame["show"] for frame in self.fajar.take()], ["dnd", "dnd"])

    def test_M27_a_directed_presence_goes_both_ways(self) -> None:
        self.gita.say({"stanza": "presence", "to": "HADI", "show": "away"})
        (theirs,) = self.gita.take()
        self.assertEqual(
            (theirs["from"], theirs["to"], theirs["online"], theirs["directed_entity"]),
            ("hadi", "gita", 1, True),
        )
        (ours,) = self.hadi.take()
        self.assertEqual(
            (ours["from"], ours["to"], ours["online"], ours["directed_entity"]), ("gita", "hadi", 1, True)
        )

    def test_M27_an_offline_target_is_shown_and_not_told(self) -> None:
        self.hadi.hang_up()
        (theirs,) = [self.gita.ask({"stanza": "presence", "to": "hadi"})]
        self.assertEqual((theirs["online"], theirs["bio"]), (0, DEFAULT_BIO))

    def test_M28_an_unknown_target(self) -> None:
        for target in ("nobody", "no body", "/", "x" * 129):
            self.assertEqual(
                self.gita.ask({"stanza": "presence", "to": target}),
                {"stanza": "presence", "type": "error", "to": "gita", "target": target},
            )

    def test_a_presence_is_from_oneself(self) -> None:
        for sender in ("fajar", "nobody"):
            answer = self.esa.ask({"stanza": "presence", "from": sender, "bio": "x", "id": "1"})
            self.assertEqual((answer["code"], answer["id"]), (403, "1"))
        self.assertEqual(self.fajar.take(), [])

    def test_types_only_a_server_sends_are_refused(self) -> None:
        for kind in ("subscribed", "unsubscribed", "error", "dancing"):
            self.assertEqual(self.esa.ask({"stanza": "presence", "type": kind})["code"], 400)
        directed = {"stanza": "presence", "type": "unavailable", "to": "fajar"}
        self.assertEqual(self.esa.ask(directed)["code"], 400)
        self.assertTrue(self.esa.open)

    def test_what_a_contact_hears_last_is_true(self) -> None:
        """A presence that waits for the store tells of what is when it goes out."""
        waiting: list[Deferred[list[str]]] = []

        def listeners(owner: str) -> Deferred[list[str]]:
            waiting.append(Deferred())
            return waiting[-1]

        self.patch(self.rig.stores.roster, "listeners", listeners)
        self.esa.say({"stanza": "presence", "show": "away"})
        self.esa.pipe.cut()
        for answer in reversed(waiting):
            answer.callback(["fajar"])
        self.assertEqual([frame["online"] for frame in self.fajar.take()], [0, 0])

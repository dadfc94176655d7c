# SPDX-License-Identifier: MIT
"""Who is where: order of announcements, addresses, and the table against a naive model."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.routing import RoutingTable, Session, Superseded, User
from xjrelay.wire.address import InvalidAddress


def where(table: RoutingTable[str], to: str) -> tuple[str, int] | None:
    """The route as relay and session number."""
    found = table.find(to)
    return (found.relay, found.number) if found else None


class FindTests(SynchronousTestCase):
    """Bare and full addresses, in any spelling."""

    def setUp(self) -> None:
        self.table: RoutingTable[str] = RoutingTable()

    def test_nobody_is_nowhere(self) -> None:
        self.assertIsNone(self.table.find("esa"))

    def test_a_bare_address_is_the_newest_session_wherever_it_is(self) -> None:
        self.table.open("Esa", "phone", 3, "a")
        self.table.learn("relay2", [User("Esa", "desk", 5)])
        self.assertEqual(where(self.table, "Esa"), ("relay2", 5))
        self.table.open("Esa", "tablet", 6, "b")
        self.assertEqual(where(self.table, "Esa"), ("", 6))

    def test_a_full_address_is_that_resource(self) -> None:
        self.table.open("Esa", "phone", 3, "a")
        self.table.learn("relay2", [User("Esa", "desk", 5)])
        self.assertEqual(where(self.table, "Esa/phone"), ("", 3))
        self.assertEqual(where(self.table, "Esa/desk"), ("relay2", 5))
        self.assertIsNone(self.table.find("Esa/none"))

    def test_what_another_relay_sent_stays_here_while_anybody_is(self) -> None:
        self.table.learn("relay2", [User("Esa", "desk", 5)])
        self.assertIsNone(self.table.find_local("Esa"))
        self.assertIsNone(self.table.find_local("Fajar"))
        mine = self.table.open("Esa", "phone", 3, "a").session
        self.assertIs(self.table.find_local("esa"), mine)
        self.assertIs(self.table.find_local("Esa/phone"), mine)
        self.assertIsNone(self.table.find_local("Esa/desk"))
        self.assertEqual(self.table.sessions_of("ESA"), [mine])
        self.assertEqual(self.table.sessions_of("Fajar"), [])

    def test_any_spelling_finds_the_account(self) -> None:
        self.table.open("Esa", "phone", 3, "a")
        self.table.open("Esa", "", 4, "b")
        for to in ("esa", "ESA", "Esa"):
            self.assertEqual(where(self.table, to), ("", 4))
        self.assertEqual(where(self.table, "eSA/phone"), ("", 3))
        self.assertIsNone(self.table.find("eSA/Phone"))

    def test_two_spellings_of_one_account_are_one_route(self) -> None:
        self.table.learn("relay2", [User("ESA", "desk", 5)])
        self.table.open("Esa", "phone", 6, "a")
        self.assertEqual(where(self.table, "ESA"), ("", 6))
        self.assertEqual(where(self.table, "ESA/phone"), ("", 6))
        self.assertEqual(where(self.table, "Esa/desk"), ("relay2", 5))

    def test_what_is_no_address_is_refused(self) -> None:
        for to in ("", "a b", "esa/", "x" * 1000, "\ud800"):
            with self.assertRaises(InvalidAddress):
                self.table.find(to)

    def test_the_older_session_is_the_route_again_when_the_newest_closes(self) -> None:
        self.table.learn("relay2", [User("Esa", "desk", 5)])
        newest = self.table.open("Esa", "phone", 6, "a").session
        self.assertTrue(self.table.close(newest))
        self.assertEqual(where(self.table, "Esa"), ("relay2", 5))


class LocalTests(SynchronousTestCase):
    """Sessions opened and closed here."""

    def setUp(self) -> None:
        self.table: RoutingTable[str] = RoutingTable()

    def test_a_newer_session_of_the_same_resource_replaces(self) -> None:
        first = self.table.open("Esa", "phone", 1, "a").session
        second, replaced = self.table.open("esa", "phone", 2, "b")
        self.assertIs(replaced, first)
        self.assertEqual(self.table.local(), [second])

    def test_the_replaced_one_closes_without_effect(self) -> None:
        first = self.table.open("Esa", "phone", 1, "a").session
        self.table.open("Esa", "phone", 2, "b")
        self.assertFalse(self.table.close(first))
        self.assertEqual(where(self.table, "Esa"), ("", 2))
        self.assertEqual(len(self.table), 1)

    def test_another_resource_stays(self) -> None:
        self.table.open("Esa", "phone", 1, "a")
        self.assertIsNone(self.table.open("Esa", "desk", 2, "b").replaced)
        self.assertEqual(len(self.table), 2)

    def test_an_older_session_than_one_here_is_refused(self) -> None:
        self.table.open("Esa", "phone", 2, "a")
        with self.assertRaises(Superseded):
            self.table.open("Esa", "phone", 1, "b")
        self.assertEqual(where(self.table, "Esa"), ("", 2))

    def test_an_older_session_than_one_elsewhere_is_refused(self) -> None:
        self.table.learn("relay2", [User("Esa", "phone", 2)])
        with self.assertRaises(Superseded):
            self.table.open("Esa", "phone", 1, "b")

    def test_the_same_number_again_replaces(self) -> None:
        first = self.table.open("Esa", "", 2, "a").session
        self.assertIs(self.table.open("Esa", "", 2, "b").replaced, first)


class RelayTests(SynchronousTestCase):
    """What other relays announce."""

    def setUp(self) -> None:
        self.table: RoutingTable[str] = RoutingTable()

    def test_an_older_end_never_removes_a_newer_session(self) -> None:
        self.table.learn_user("relay2", User("Esa", "", 2))
        self.assertFalse(self.table.end_user("relay2", User("Esa", "", 1)))
        self.assertEqual(where(self.table, "Esa"), ("relay2", 2))
        self.assertTrue(self.table.end_user("relay2", User("esa", "", 2)))
        self.assertIsNone(self.table.find("Esa"))

    def test_one_relay_cannot_end_anothers_user(self) -> None:
        self.table.learn_user("relay2", User("Esa", "", 2))
        self.assertFalse(self.table.end_user("relay3", User("Esa", "", 9)))
        self.assertEqual(where(self.table, "Esa"), ("relay2", 2))

    def test_an_older_announcement_changes_nothing(self) -> None:
        self.table.learn_user("relay2", User("Esa", "", 2))
        self.table.learn_user("relay2", User("Esa", "", 1))
        self.assertEqual(self.table.users_of("relay2"), [User("Esa", "", 2)])

    def test_a_newer_session_elsewhere_names_the_local_one(self) -> None:
        mine = self.table.open("Esa", "phone", 1, "a").session
        self.assertIsNone(self.table.learn_user("relay2", User("Esa", "desk", 2)))
        self.assertIs(self.table.learn_user("relay2", User("Esa", "phone", 3)), mine)
        self.assertTrue(self.table.close(mine))

    def test_an_older_session_elsewhere_leaves_the_local_one(self) -> None:
        self.table.open("Esa", "phone", 4, "a")
        self.assertIsNone(self.table.learn_user("relay2", User("Esa", "phone", 3)))
        self.assertEqual(where(self.table, "Esa/phone"), ("", 4))

    def test_a_list_replaces_what_was_known(self) -> None:
        self.table.learn("relay2", [User("Esa", "", 1), User("Fajar", "", 1)])
        mine = self.table.open("Gita", "", 1, "a").session
        self.assertEqual(self.table.learn("relay2", [User("Fajar", "", 2), User("Gita", "", 2)]), [mine])
        self.assertIsNone(self.table.find("Esa"))
        self.assertEqual(where(self.table, "Fajar"), ("relay2", 2))

    def test_a_list_with_a_bad_name_changes_nothing(self) -> None:
        self.table.learn("relay2", [User("Esa", "", 1)])
        with self.assertRaises(InvalidAddress):
            self.table.learn("relay2", [User("Fajar", "", 2), User("a b", "", 2)])
        self.assertEqual(self.table.users_of("relay2"), [User("Esa", "", 1)])

    def test_a_forgotten_relay_has_nobody(self) -> None:
        self.table.learn("relay2", [User("Esa", "", 1), User("Esa", "phone", 2)])
        self.table.learn("relay3", [User("Fajar", "", 1)])
        self.assertEqual(self.table.forget("relay2"), 2)
        self.assertEqual(self.table.forget("relay2"), 0)
        self.assertIsNone(self.table.find("Esa"))
        self.assertFalse(self.table.speaks_for("relay2", "Esa"))
        self.assertEqual(where(self.table, "Fajar"), ("relay3", 1))

    def test_a_relay_speaks_only_for_users_it_announced(self) -> None:
        self.table.learn("relay2", [User("Esa", "phone", 1), User("Esa", "desk", 2)])
        self.table.learn("relay3", [User("Fajar", "", 1)])
        for sender in ("Esa", "Esa/phone", "esa", "ESA/desk"):
            self.assertTrue(self.table.speaks_for("relay2", sender), sender)
        for sender in ("Fajar", "Esa/other", "a b", "", "Esa/"):
            self.assertFalse(self.table.speaks_for("relay2", sender), sender)
        self.table.end_user("relay2", User("Esa", "desk", 2))
        self.assertTrue(self.table.speaks_for("relay2", "Esa"))
        self.assertFalse(self.table.speaks_for("relay2", "Esa/desk"))


NAMES = st.sampled_from(["Esa", "esa", "Fajar"])
RESOURCES = st.sampled_from(["", "phone", "desk"])
RELAYS = st.sampled_from(["relay2", "relay3"])


class TableMachine(RuleBasedStateMachine):
    """The table beside a list of (relay, user) in which everything is searched from one end."""

    def __init__(self) -> None:
        super().__init__()
        self.table: RoutingTable[str] = RoutingTable()
        self.numbers = itertools.count(1)
        self.issued = [1]
        self.model: list[tuple[str, User]] = []
        self.sessions: dict[User, Session[str]] = {}

    def known(self, relay: str | None, name: str, resource: str) -> list[tuple[str, User]]:
        """What the model has of a user and resource, on one relay or on all (None)."""
        return [
            (there, user)
            for there, user in self.model
            if user.username.lower() == name.lower() and user.resource == resource and relay in (None, there)
        ]

    def number(self, fresh: bool) -> int:
        """A number never seen, or an old one, as a late announcement has."""
        if fresh:
            self.issued.append(next(self.numbers))
            return self.issued[-1]
        return self.issued[len(self.issued) // 2]

    @rule(name=NAMES, resource=RESOURCES, fresh=st.booleans())
    def open_here(self, name: str, resource: str, fresh: bool) -> None:
        user = User(name, resource, self.number(fresh))
        if any(other.session > user.session for _, other in self.known(None, name, resource)):
            try:
                self.table.open(*user, handle="h")
            except Superseded:
                return
            raise AssertionError("an older session was let in")
        mine = self.known("", name, resource)
        session, replaced = self.table.open(*user, handle="h")
        assert [replaced.user] if replaced else mine == []
        assert not replaced or [("", replaced.user)] == mine
        for entry in mine:
            self.model.remove(entry)
        self.model.append(("", user))
        self.sessions[user] = session

    @rule(name=NAMES, resource=RESOURCES)
    def close_here(self, name: str, resource: str) -> None:
        for entry in self.known("", name, resource):
            assert self.table.close(self.sessions[entry[1]])
            self.model.remove(entry)

    @rule(relay=RELAYS, name=NAMES, resource=RESOURCES, fresh=st.booleans())
    def hear_new(self, relay: str, name: str, resource: str, fresh: bool) -> None:
        user = User(name, resource, self.number(fresh))
        older = self.known(relay, name, resource)
        told = self.table.learn_user(relay, user)
        if older and older[0][1].session > user.session:
            assert told is None
            return
        self.model = [entry for entry in self.model if entry not in older]
        self.model.append((relay, user))
        mine = [u for _, u in self.known("", name, resource) if u.session < user.session]
        assert ([told.user] if told else []) == mine

    @rule(relay=RELAYS, name=NAMES, resource=RESOURCES, fresh=st.booleans())
    def hear_end(self, relay: str, name: str, resource: str, fresh: bool) -> None:
        number = self.number(fresh)
        gone = [e for e in self.known(relay, name, resource) if e[1].session <= number]
        assert self.table.end_user(relay, User(name, resource, number)) is bool(gone)
        self.model = [entry for entry in self.model if entry not in gone]

    @rule(relay=RELAYS)
    def lose(self, relay: str) -> None:
        assert self.table.forget(relay) == len([entry for entry in self.model if entry[0] == relay])
        self.model = [entry for entry in self.model if entry[0] != relay]

    @rule(relay=RELAYS)
    def learn_again(self, relay: str) -> None:
        users = [user for there, user in self.model if there == relay]
        self.table.learn(relay, users)

    @invariant()
    def routes_agree(self) -> None:
        for name, resource in itertools.product(["Esa", "esa", "ESA", "Fajar"], ["", "phone", "desk"]):
            to = f"{name}/{resource}" if resource else name
            there = [
                (user.session, not relay, relay)
                for relay, user in self.model
                if user.username.lower() == name.lower() and resource in ("", user.resource)
            ]
            found = self.table.find(to)
            assert (found is None) == (not there)
            if found:
                assert (found.number, not found.relay, found.relay) == max(there)
            for relay in ("relay2", "relay3"):
                assert self.table.speaks_for(relay, to) is (relay in [entry[2] for entry in there])

    @invariant()
    def nothing_is_left_behind(self) -> None:
        state: dict[str, Any] = vars(self.table)
        if not self.model:
            assert not state["_exact"] and not state["_accounts"] and not len(self.table)


class TableMachineTests(SynchronousTestCase):
    """Every order of opening, closing, announcing and losing."""

    def test_the_table_agrees_with_a_naive_one(self) -> None:
        run_state_machine_as_test(
            TableMachine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
        )

# SPDX-License-Identifier: MIT
"""The rules of a tracker: leases, identities, one manager."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.directory import Directory, SecondManager, identify, listed
from xjrelay.wire.errors import CloseReason, Code
from xjrelay.wire.stanzas import ComponentHello


def relay(port: int = 5002, component_id: str | None = "r1", **more: object) -> ComponentHello:
    return ComponentHello("10.0.0.5", port, "relay", component_id=component_id, **more)  # type: ignore[arg-type]


def manager(component_id: str | None = "m1", port: int = 5001) -> ComponentHello:
    return ComponentHello("10.0.0.5", port, "manager", component_id=component_id)


class IdentityTests(SynchronousTestCase):
    """What makes two hellos one component."""

    def test_is_its_own_id_wherever_it_is(self) -> None:
        self.assertEqual(identify(relay(1)), identify(relay(2)))

    def test_is_type_and_address_where_it_has_none(self) -> None:
        self.assertEqual(identify(relay(5002, None)), "relay@10.0.0.5:5002")
        self.assertNotEqual(identify(relay(1, None)), identify(relay(2, None)))

    def test_listed_privacy_is_a_boolean(self) -> None:
        cases = ((None, True), (1, True), (0, False), (True, True), (False, False))
        for said, shown in cases:
            self.assertIs(listed(relay(is_private=said)).is_private, shown)
        for host, private in (("8.8.8.8", False), ("relay.example.org", False), ("::1", True)):
            self.assertIs(listed(ComponentHello(host, 1, "relay")).is_private, private)


class DirectoryTests(SynchronousTestCase):
    """Joining, being heard, leaving."""

    def setUp(self) -> None:
        self.directory: Directory[str] = Directory(30.0)

    def test_lists_what_joined_until_it_leaves(self) -> None:
        self.assertIsNone(self.directory.join(relay(), "a", 0.0))
        self.directory.join(manager(), "b", 0.0)
        self.assertEqual([one.type for one in self.directory.live()], ["relay", "manager"])
        self.assertTrue(self.directory.leave(relay(), "a"))
        self.assertEqual([one.type for one in self.directory.live()], ["manager"])

    def test_a_lease_runs_from_what_was_last_heard(self) -> None:
        self.directory.join(relay(), "a", 100.0)
        self.assertEqual(self.directory.remaining(relay(), 120.0), 10.0)
        self.directory.heard(relay(), 120.0)
        self.assertEqual(self.directory.remaining(relay(), 149.0), 1.0)
        self.assertLessEqual(self.directory.remaining(relay(), 150.0), 0.0)

    def test_who_is_not_listed_has_no_lease(self) -> None:
        self.directory.heard(relay(), 1.0)
        self.assertEqual(self.directory.remaining(relay(), 1.0), 0.0)
        self.assertEqual(len(self.directory), 0)

    def test_who_comes_back_takes_its_seat_and_the_older_link_is_named(self) -> None:
        self.directory.join(relay(5002), "older", 0.0)
        self.assertEqual(self.directory.join(relay(6002), "newer", 1.0), "older")
        self.assertEqual([one.port for one in self.directory.live()], [6002])
        self.assertFalse(self.directory.leave(relay(), "older"))
        self.assertEqual(len(self.directory), 1)

    def test_a_second_manager_is_refused_while_the_first_is_live(self) -> None:
        self.directory.join(manager("m1"), "a", 0.0)
        error = self.assertRaises(SecondManager, self.directory.join, manager("m2"), "b", 0.0)
        self.assertEqual((error.code, error.close), (Code.CONFLICT, CloseReason.CONFLICT))
        self.assertEqual(self.directory.join(manager("m1"), "c", 0.0), "a")
        self.directory.leave(manager("m1"), "c")
        self.directory.join(manager("m2"), "b", 0.0)

    @given(st.lists(st.tuples(st.sampled_from(["join", "leave"]), st.integers(0, 3), st.integers(0, 2))))
    def test_is_the_last_link_of_each_component(self, steps: list[tuple[str, int, int]]) -> None:
        """Against a model: a component is live while the link it joined by last has not left."""
        directory: Directory[int] = Directory(30.0)
        model: dict[int, int] = {}
        for action, who, link in steps:
            hello = relay(component_id=f"r{who}")
            if action == "join":
                self.assertEqual(directory.join(hello, link, 0.0), model.pop(who, None))
                model[who] = link
            else:
                gone = model.get(who) == link
                self.assertEqual(directory.leave(hello, link), gone)
                if gone:
                    del model[who]
            self.assertEqual([one.component_id for one in directory.live()], [f"r{who}" for who in model])

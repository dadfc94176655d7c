# SPDX-License-Identifier: MIT
"""What the window does, proved without one."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.gui.fakes import DOOR, FakeWorld, House, line, person
from xjrelay.gui.changes import Part
from xjrelay.gui.chats import PAGE, Note
from xjrelay.gui.presenter import Presenter, Screen
from xjrelay.gui.world import (
    Kind,
    Line,
    LineAdded,
    LineChanged,
    LinkChanged,
    Missed,
    Over,
    PeersDoor,
    PersonChanged,
    PersonGone,
    Problem,
    Progress,
    Said,
    ServersDoor,
    State,
)


def texts(presenter: Presenter) -> list[str]:
    """What stands in the open conversation."""
    assert presenter.chat is not None
    return [item.text for item in presenter.chat]


class DoorTests(SynchronousTestCase):
    """In and out (G1)."""

    def test_G1_what_is_missing_is_said_beside_its_field(self) -> None:
        presenter = House(FakeWorld()).presenter
        self.assertEqual(set(presenter.check(ServersDoor(" ", "", ""))), {"tracker", "user", "password"})
        self.assertEqual(set(presenter.check(PeersDoor("", 70000))), {"name", "port"})
        self.assertEqual(presenter.check(DOOR), {})

    def test_a_refusal_leads_back_to_the_start_with_its_reason(self) -> None:
        world = FakeWorld()
        world.problem = Problem("The password is wrong.", "password")
        presenter = House(world).enter()
        self.assertIs(presenter.screen, Screen.START)
        assert presenter.problem is not None
        self.assertEqual(presenter.problem.field, "password")
        self.assertTrue(world.stopped)

    def test_who_waits_no_longer_is_not_let_in_later(self) -> None:
        world = FakeWorld(person("bob"))
        world.hold = True
        presenter = House(world).enter()
        self.assertIs(presenter.screen, Screen.ENTERING)
        presenter.cancel()
        world.release()
        self.assertIs(presenter.screen, Screen.START)
        self.assertEqual(len(presenter.people), 0)

    def test_inside_is_everybody_with_what_was_not_read(self) -> None:
        world = FakeWorld(person("bob"), person("carol", State.OFFLINE))
        world.lines["carol"], world.unread = [line(1, "carol")], {"carol": 3}
        presenter = House(world).enter()
        self.assertEqual([one.name for one in presenter.people.rows()], ["Carol", "Bob"])
        self.assertEqual((presenter.people.chat("carol").unread, presenter.people.unread()), (3, 3))
        self.assertEqual(presenter.me, "Alice")

    def test_a_session_that_ends_for_good_says_why(self) -> None:
        presenter = House(FakeWorld()).enter()
        presenter.happened(Over(Problem("You logged in somewhere else, so this window was logged out.")))
        self.assertIs(presenter.screen, Screen.START)
        self.assertIsNotNone(presenter.problem)

    def test_leaving_stops_the_world_and_then_is_done(self) -> None:
        world, done = FakeWorld(), []
        House(world).enter().leave(lambda: done.append(world.stopped))
        self.assertEqual(done, [True])


class ConversationTests(SynchronousTestCase):
    """Lines (G3, G7)."""

    def setUp(self) -> None:
        self.world = FakeWorld(person("bob"), person("carol"))
        self.world.lines["bob"] = [line(number) for number in range(1, 251)]
        self.house = House(self.world)
        self.presenter = self.house.enter()

    def test_a_page_comes_at_first_and_older_ones_when_wanted(self) -> None:
        self.presenter.conversations.select("bob")
        self.assertEqual(texts(self.presenter)[0], f"text {250 - PAGE + 1}")
        for _ in range(5):
            self.presenter.conversations.older()
        self.assertEqual(texts(self.presenter), [f"text {number}" for number in range(1, 251)])
        self.assertEqual([call for call in self.world.asked if call[0] == "page"][-1], ("page", "bob", 51))

    def test_what_was_said_in_the_other_world_has_numbers_of_its_own(self) -> None:
        number = {None: 500, Kind.PEERS: 9000}
        lines = []
        for at in range(PAGE + 50):
            kind = Kind.PEERS if at % 3 else None
            number[kind] += 1
            lines.append(replace(line(number[kind], elsewhere=kind), id=f"m{at}", text=f"text {at}"))
        failed = replace(lines[-1], progress=Progress.FAILED, incoming=False)
        self.world.lines["bob"] = [*lines[:-1], failed]
        self.world.unread = {"bob": 1}
        self.house = House(self.world)
        presenter = self.house.enter()
        presenter.conversations.select("bob")
        self.assertIn(("read", "bob", number[None]), self.world.asked, "a mark is of our own lines")
        presenter.conversations.older()
        self.assertEqual(texts(presenter), [f"text {at}" for at in range(PAGE + 50)])
        presenter.conversations.retry(failed)
        self.assertNotIn(("retry", failed.id), self.world.asked)

    def test_positions_stay_when_older_lines_come(self) -> None:
        self.presenter.conversations.select("bob")
        chat = self.presenter.chat
        assert chat is not None
        before = chat.get(chat.end - 1)
        at = chat.end - 1
        self.presenter.conversations.older()
        self.assertIs(chat.get(at), before)

    def test_what_is_said_is_shown_and_goes_on_to_delivered(self) -> None:
        self.presenter.conversations.select("carol")
        self.assertTrue(self.presenter.conversations.send("halo"))
        assert self.presenter.chat is not None
        said = self.presenter.chat.last
        assert said is not None
        self.assertIs(said.progress, Progress.SENDING)
        self.presenter.happened(LineChanged("carol", said.id, Progress.DELIVERED))
        self.assertEqual([one.progress for one in lines(self.presenter)], [Progress.DELIVERED])
        self.assertIs(self.presenter.people.chat("carol").last.progress, Progress.DELIVERED)  # type: ignore[union-attr]

    def test_an_outcome_that_overtakes_its_line_is_not_lost(self) -> None:
        self.presenter.conversations.select("carol")
        self.world.hold = True
        self.presenter.conversations.send("halo")
        number = 1000 + len(self.world.asked)
        self.presenter.happened(LineChanged("carol", f"m{number}", Progress.DELIVERED))
        self.world.release()
        self.assertEqual([one.progress for one in lines(self.presenter)], [Progress.DELIVERED])

    def test_nothing_is_not_said(self) -> None:
        self.assertFalse(self.presenter.conversations.send("halo"), "nobody is chosen")
        self.presenter.conversations.select("bob")
        self.assertFalse(self.presenter.conversations.send(" \n "))

    def test_what_could_not_even_wait_goes_back_to_where_it_was_typed(self) -> None:
        self.presenter.conversations.select("bob")
        self.world.problem = Problem("Too many messages are on their way. Wait a moment.")
        self.presenter.conversations.send("halo")
        assert self.presenter.chat is not None
        self.assertEqual(self.presenter.chat.draft, "halo")
        self.assertIn("Too many", self.presenter.status)

    def test_what_failed_is_tried_again(self) -> None:
        self.presenter.conversations.select("carol")
        self.presenter.conversations.send("halo")
        said = lines(self.presenter)[0]
        self.presenter.conversations.retry(said)
        self.assertNotIn(("retry", said.id), self.world.asked, "it is on its way")
        self.presenter.happened(LineChanged("carol", said.id, Progress.FAILED, "No answer came in time."))
        failed = lines(self.presenter)[0]
        self.assertEqual((failed.progress, failed.why), (Progress.FAILED, "No answer came in time."))
        self.presenter.conversations.retry(failed)
        self.assertIn(("retry", said.id), self.world.asked)
        self.assertIs(lines(self.presenter)[0].progress, Progress.SENDING)

    def test_a_line_that_comes_while_its_page_is_on_its_way_is_there_once(self) -> None:
        self.world.hold = True
        self.presenter.conversations.select("bob")
        newest = line(251)
        self.world.lines["bob"].append(newest)
        self.presenter.happened(LineAdded(newest))
        self.world.release()
        self.assertEqual(texts(self.presenter).count("text 251"), 1)
        self.assertEqual(texts(self.presenter)[-1], "text 251")

    def test_a_long_read_conversation_lets_go_of_its_oldest(self) -> None:
        self.presenter.conversations.select("bob")
        for number in range(251, 251 + 400):
            self.presenter.happened(LineAdded(line(number)))
        self.presenter.conversations.select("carol")
        self.assertEqual(len(self.presenter.people.chat("bob")), PAGE)
        self.presenter.conversations.select("bob")
        self.presenter.conversations.older()
        self.assertEqual(self.world.asked[-1], ("page", "bob", 551))


class UnreadTests(SynchronousTestCase):
    """What was not read, and what is shown outside (G2, G9)."""

    def setUp(self) -> None:
        self.world = FakeWorld(person("bob"), person("carol"))
        self.house = House(self.world)
        self.presenter = self.house.enter()

    def test_G2_a_line_of_somebody_else_counts(self) -> None:
        self.presenter.conversations.select("carol")
        self.presenter.happened(LineAdded(line(1)))
        self.presenter.happened(LineAdded(line(2)))
        self.assertEqual(self.presenter.people.chat("bob").unread, 2)
        self.presenter.conversations.select("bob")
        self.assertEqual(self.presenter.people.chat("bob").unread, 0)
        self.assertIn(("read", "bob", 2), self.world.asked)

    def test_a_line_that_is_seen_does_not(self) -> None:
        self.presenter.conversations.select("bob")
        self.presenter.happened(LineAdded(line(1)))
        self.assertEqual(self.presenter.people.unread(), 0)
        self.assertEqual(self.house.notified, [])

    def test_G9_behind_other_windows_it_counts_and_is_shown_outside(self) -> None:
        self.presenter.conversations.select("bob")
        self.presenter.conversations.set_focus(False)
        self.presenter.happened(LineAdded(line(1, text="halo\nAlice")))
        self.assertEqual(self.presenter.people.unread(), 1)
        self.assertEqual(self.house.notified, [("Bob", "halo Alice")])
        self.presenter.conversations.set_focus(True)
        self.assertEqual(self.presenter.people.unread(), 0)

    def test_one_line_told_twice_is_one(self) -> None:
        self.presenter.conversations.select("bob")
        self.presenter.happened(LineAdded(line(1)))
        self.presenter.happened(LineAdded(line(1)))
        self.assertEqual(len(lines(self.presenter)), 1)


class PeopleTests(SynchronousTestCase):
    """Who is there (G2, G5, G6)."""

    def setUp(self) -> None:
        self.world = FakeWorld(person("bob"), person("carol", State.OFFLINE), person("dewi", State.RESUMING))
        self.presenter = House(self.world).enter()

    def names(self) -> list[str]:
        return [one.name for one in self.presenter.people.rows()]

    def test_G2_who_is_there_comes_first_and_who_wrote_before_all(self) -> None:
        self.assertEqual(self.names(), ["Bob", "Dewi", "Carol"])
        self.presenter.happened(LineAdded(line(1, "carol")))
        self.assertEqual(self.names(), ["Carol", "Bob", "Dewi"])

    def test_search_looks_at_names_and_addresses(self) -> None:
        self.presenter.search("CAR")
        self.assertEqual(self.names(), ["Carol"])
        self.presenter.search("")
        self.assertEqual(len(self.names()), 3)

    def test_G6_coming_and_going_is_told_where_it_is_read(self) -> None:
        self.presenter.conversations.select("bob")
        self.presenter.happened(PersonChanged(person("bob", State.OFFLINE)))
        self.presenter.happened(PersonChanged(person("bob", State.OFFLINE, bio="di pantai")))
        self.presenter.happened(PersonChanged(person("bob", State.RESUMING)))
        self.presenter.happened(PersonChanged(person("bob")))
        notes = [item.text for item in self.presenter.chat or () if isinstance(item, Note)]
        self.assertEqual(
            notes, ["Bob is offline", "Bob lost the connection and may come back", "Bob is online"]
        )
        self.assertEqual(self.presenter.status, "Bob is online")

    def test_G5_somebody_new_is_chosen_when_added(self) -> None:
        done: list[bool] = []
        self.presenter.add(" eko ", "Mas Eko", lambda: done.append(True), self.fail)
        self.assertEqual((done, self.presenter.selected), ([True], "eko"))
        self.assertIn(("add", "eko", "Mas Eko"), self.world.asked)

    def test_who_can_not_be_added_is_said_why(self) -> None:
        problems: list[Problem] = []
        self.world.problem = Problem("There is no user of that name.", "user")
        self.presenter.add("nobody", "", self.fail, problems.append)
        self.presenter.add("  ", "", self.fail, problems.append)
        self.assertEqual([one.field for one in problems], ["user", "user"])

    def test_somebody_removed_is_gone_with_the_conversation(self) -> None:
        self.presenter.conversations.select("bob")
        self.presenter.happened(PersonGone("bob"))
        self.assertIsNone(self.presenter.person)
        self.assertNotIn("Bob", self.names())

    def test_to_all_goes_to_everybody_who_is_there(self) -> None:
        done: list[bool] = []
        self.presenter.conversations.say_to_all("selamat pagi", lambda: done.append(True), self.fail)
        self.assertEqual(done, [True])
        last = self.presenter.people.chat("bob").last
        assert last is not None
        self.assertEqual(last.text, "selamat pagi")
        self.assertIsNone(self.presenter.people.chat("carol").last)

    def test_a_bio_is_remembered_once_it_was_taken(self) -> None:
        self.world.problem = Problem("It didn't work: {why}", why="too long")
        self.presenter.set_bio("x", self.fail, lambda problem: None)
        self.assertEqual(self.presenter.bio, "")
        self.presenter.set_bio("di pantai", lambda: None, self.fail)
        self.assertEqual(self.presenter.bio, "di pantai")


class TellingTests(SynchronousTestCase):
    """What else is told."""

    def setUp(self) -> None:
        self.world = FakeWorld(person("bob"))
        self.presenter = House(self.world).enter()

    def test_G6_a_lost_connection_is_shown_until_it_is_back(self) -> None:
        self.presenter.happened(LinkChanged(False))
        self.assertFalse(self.presenter.link_up)
        self.assertIn("Reconnecting", self.presenter.status)
        self.presenter.happened(LinkChanged(True, "relay2"))
        self.assertEqual(
            (self.presenter.link_up, self.presenter.where, self.presenter.status), (True, "relay2", "")
        )

    def test_a_warning_stays_until_it_was_read(self) -> None:
        for name in ("Bob", "Carol"):
            self.presenter.happened(Said("{name} is offline", {"name": name}, warning=True))
        self.assertEqual(self.presenter.warnings, ["Bob is offline", "Carol is offline"])
        self.presenter.dismiss()
        self.assertEqual(self.presenter.warnings, ["Carol is offline"])

    def test_a_flood_that_could_not_be_told_is_looked_at_again(self) -> None:
        self.presenter.conversations.select("bob")
        self.world.lines["bob"] = [line(1), line(2)]
        self.world.people.append(person("eko"))
        self.presenter.happened(Missed())
        self.assertEqual(texts(self.presenter), ["text 1", "text 2"])
        self.assertIsNotNone(self.presenter.people.get("eko"))

    def test_only_what_changed_is_to_be_drawn_again(self) -> None:
        self.presenter.conversations.select("bob")
        self.presenter.take_changes()
        self.presenter.happened(LineAdded(line(1, "carol")))
        self.assertEqual(self.presenter.take_changes(), Part.PEOPLE)
        self.assertEqual(self.presenter.take_changes(), Part.NOTHING)

    def test_a_name_can_not_break_a_sentence(self) -> None:
        self.presenter.happened(Said("{name} is online", {"name": "a\nb\u202e{x}"}))
        self.assertEqual(self.presenter.status, "a b{x} is online")


def lines(presenter: Presenter) -> list[Line]:
    """The lines of the open conversation, without notes."""
    return [item for item in presenter.chat or () if isinstance(item, Line)]

# SPDX-License-Identifier: MIT
"""What the window does, without a window: the state that is shown, and what each action changes.

Everything here runs in the window's thread. A view calls the actions, and draws again what
:meth:`Presenter.take_changes` names. What is done in conversations is in :mod:`xjrelay.gui.conversations`.
Must not import a toolkit, Twisted, or either world.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Final

from xjrelay.gui.bridge import Net
from xjrelay.gui.changes import Changes, Part
from xjrelay.gui.chats import Chat, People
from xjrelay.gui.conversations import Conversations, Notify
from xjrelay.gui.problems import BAD_PORT, MISSING
from xjrelay.gui.session import Failed, Session
from xjrelay.gui.texts import one_line
from xjrelay.gui.words import Words, mark
from xjrelay.gui.world import (
    Beginning,
    Door,
    Happening,
    Kind,
    LineAdded,
    LineChanged,
    LinkChanged,
    MakeWorld,
    Missed,
    Over,
    PeersDoor,
    Person,
    PersonChanged,
    PersonGone,
    Problem,
    Said,
    ServersDoor,
    State,
    Tell,
    World,
)

MAX_WARNINGS: Final = 20

CAME = mark("{name} is online")
WENT = mark("{name} is offline")
RETURNING = mark("{name} lost the connection and may come back")
RECONNECTING = mark("Connection lost. Reconnecting ...")

_NOTES = {State.ONLINE: CAME, State.OFFLINE: WENT, State.RESUMING: RETURNING}


class Screen(Enum):
    """What fills the window."""

    START = auto()
    ENTERING = auto()
    MAIN = auto()


class Presenter:
    """The window's state and actions.

    Args:
        net: runs what is asked of the world.
        make_world: opens a door.
        tell: what the world is given to tell by; it ends in :meth:`happened`.
        words: the language.
        clock: milliseconds since 1970.
        notify: shows a message outside the window: a title and a text.

    Attributes:
        screen: what fills the window.
        problem: what kept somebody from getting in, or None.
        conversations: everybody's, and what is done in them.
        me: our name; ``where`` we are; our ``fingerprint`` and ``bio``.
        link_up: whether messages go.
        status: the last thing that happened, in words.
        warnings: what asks for attention, oldest first.
    """

    def __init__(
        self,
        net: Net,
        make_world: MakeWorld,
        tell: Tell,
        words: Words,
        clock: Callable[[], int],
        notify: Notify = lambda title, text: None,
    ) -> None:
        self.words = words
        self.clock = clock
        self._net = net
        self._make_world = make_world
        self._tell = tell
        self._session = Session(net, self._failed)
        self._changes = Changes()
        self.conversations = Conversations(self._session, self._changes, self._say, words, clock, notify)
        self._reset()

    def _reset(self) -> None:
        self.screen = Screen.START
        self.problem: Problem | None = None
        self.conversations.reset()
        self.kind = Kind.SERVERS
        self.me = self.where = self.fingerprint = self.bio = self.status = ""
        self.link_up = True
        self.warnings: list[str] = []

    def take_changes(self) -> Part:
        """What has to be drawn again since the last time this was asked."""
        return self._changes.take()

    @property
    def people(self) -> People:
        """Everybody."""
        return self.conversations.people

    @property
    def selected(self) -> str | None:
        """With whom the open conversation is."""
        return self.conversations.selected

    @property
    def chat(self) -> Chat | None:
        """The open conversation."""
        return self.conversations.chat

    @property
    def person(self) -> Person | None:
        """With whom it is."""
        return self.conversations.person

    def explain(self, problem: Problem) -> str:
        """A problem in the person's language."""
        return self.words(problem.text, **problem.fields)

    # -- in and out --------------------------------------------------------------------------

    def check(self, door: Door) -> dict[str, str]:
        """What is wrong with what was typed: a field's name to a sentence."""
        wrong = {}
        if isinstance(door, ServersDoor):
            for field in ("tracker", "user", "password"):
                if not getattr(door, field).strip():
                    wrong[field] = self.words(MISSING)
        else:
            if not door.name.strip():
                wrong["name"] = self.words(MISSING)
            if not 0 <= door.port < 65536:
                wrong["port"] = self.words(BAD_PORT)
        return wrong

    def enter(self, door: Door) -> None:
        """Open a door that was checked."""
        if self.screen is not Screen.START:
            return
        self._reset()
        self.screen = Screen.ENTERING
        self.kind = Kind.PEERS if isinstance(door, PeersDoor) else Kind.SERVERS
        self._changes.add(Part.ALL)
        world = self._session.world = self._make_world(door, self._tell)
        self._net.run(world.start, partial(self._entered, world), partial(self._refused, world))

    def cancel(self) -> None:
        """Wait at the door no longer."""
        self.leave()

    def leave(self, done: Callable[[], None] = lambda: None) -> None:
        """Log out, and back to the start."""
        world, self._session.world = self._session.world, None
        self._reset()
        self._changes.add(Part.ALL)
        if world is None:
            done()
            return
        self._net.run(world.stop, lambda _: done(), lambda problem: done())

    def _entered(self, world: World, beginning: Beginning) -> None:
        if world is not self._session.world:
            return
        self.screen = Screen.MAIN
        self._show(beginning)

    def _refused(self, world: World, problem: Problem) -> None:
        if world is not self._session.world:
            return
        self.leave()
        self.problem = problem

    def _show(self, beginning: Beginning) -> None:
        self.me, self.where = beginning.me, beginning.where
        self.fingerprint, self.bio = beginning.fingerprint, beginning.bio
        self.people.replace(beginning.people)
        for key, line in beginning.last.items():
            self.people.chat(key).last = line
        for key in {*beginning.unread, *(chat.key for chat in self.people.chats())}:
            self.people.chat(key).unread = beginning.unread.get(key, 0)
        self._changes.add(Part.ALL)

    # -- what is told ------------------------------------------------------------------------

    def happened(self, happening: Happening) -> None:
        """Something came from the world."""
        if self.screen is not Screen.MAIN:
            return
        if isinstance(happening, LineAdded):
            self.conversations.line_added(happening.line)
        elif isinstance(happening, LineChanged):
            self.conversations.line_changed(happening)
        elif isinstance(happening, PersonChanged):
            self._person_changed(happening.person)
        elif isinstance(happening, PersonGone):
            self.conversations.person_gone(happening.key)
        else:
            self._told(happening)

    def _told(self, happening: LinkChanged | Said | Missed | Over) -> None:
        if isinstance(happening, LinkChanged):
            self.link_up = happening.up
            self.where = happening.where or self.where
            self.status = "" if happening.up else self.words(RECONNECTING)
            self._changes.add(Part.STATUS | Part.HEAD)
        elif isinstance(happening, Said):
            self._said(happening)
        elif isinstance(happening, Missed):
            self._look_again()
        else:
            self.leave()
            self.problem = happening.problem

    def _said(self, said: Said) -> None:
        fields = {name: one_line(value) for name, value in said.fields.items()}
        text = self.words(said.text, **fields)
        if said.warning:
            self.warnings = [*self.warnings, text][-MAX_WARNINGS:]
        else:
            self.status = text
        if said.key:
            self.conversations.note(said.key, text)
        self._changes.add(Part.STATUS)

    def _look_again(self) -> None:
        """More happened than was told."""
        if self._session.world is not None:
            self._session.ask(self._session.world.overview, self._looked)

    def _looked(self, beginning: Beginning) -> None:
        self._show(beginning)
        self.conversations.look_again()

    def _person_changed(self, person: Person) -> None:
        before = self.people.get(person.key)
        self.people.put(person)
        if before is not None and before.state is not person.state:
            text = self.words(_NOTES[person.state], name=one_line(person.name))
            self.status = text
            self.conversations.note(person.key, text)
            self._changes.add(Part.STATUS)
        self._changes.add(Part.PEOPLE)
        if person.key == self.selected:
            self._changes.add(Part.HEAD | Part.CHAT)

    # -- people ------------------------------------------------------------------------------

    def search(self, text: str) -> None:
        """Show only some."""
        self.people.search(text)
        self._changes.add(Part.PEOPLE)

    def add(self, address: str, name: str, done: Callable[[], None], failed: Failed) -> None:
        """Add a contact, or connect to a peer."""
        world = self._session.world
        if world is None or not address.strip():
            failed(Problem(MISSING, "host" if self.kind is Kind.PEERS else "user"))
            return

        def added(person: Person | None) -> None:
            if person is not None:
                self._person_changed(person)
                self.conversations.select(person.key)
            done()

        self._session.ask(partial(world.add, address.strip(), name.strip()), added, failed)

    def rename(self, key: str, name: str, done: Callable[[], None], failed: Failed) -> None:
        """Call somebody something else."""
        world = self._session.world
        if world is not None:
            self._session.ask(partial(world.rename, key, name.strip()), lambda _: done(), failed)

    def remove(self, key: str, done: Callable[[], None], failed: Failed) -> None:
        """Take somebody off the list."""
        world = self._session.world
        if world is not None:
            self._session.ask(partial(world.remove, key), lambda _: done(), failed)

    def set_bio(self, text: str, done: Callable[[], None], failed: Failed) -> None:
        """Say what others read about us."""
        if self._session.world is None:
            return

        def told(_: object) -> None:
            self.bio = text
            self._changes.add(Part.HEAD)
            done()

        self._session.ask(partial(self._session.world.set_bio, text), told, failed)

    def dismiss(self) -> None:
        """The oldest warning was read."""
        self.warnings = self.warnings[1:]
        self._changes.add(Part.STATUS)

    def _say(self, text: str) -> None:
        self.status = text
        self._changes.add(Part.STATUS)

    def _failed(self, problem: Problem) -> None:
        self._say(self.explain(problem))

# SPDX-License-Identifier: MIT
"""What the window does, without a window: the state that is shown, and what each action changes.

Everything here runs in the window's thread. A view calls the actions, and draws again what
:meth:`Presenter.take_changes` names. Must not import a toolkit, Twisted, or either world.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import Enum, Flag, auto
from functools import partial
from typing import Any, Final

from xjrelay.gui.bridge import Net
from xjrelay.gui.chats import PAGE, Chat, Note, People
from xjrelay.gui.problems import BAD_PORT
from xjrelay.gui.texts import one_line
from xjrelay.gui.words import Words, mark
from xjrelay.gui.world import (
    Beginning,
    Door,
    Happening,
    Kind,
    Line,
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
    Progress,
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
MISSING = mark("This is needed.")
NOBODY_HERE = mark("Nobody is there at the moment.")
SAID_TO_ALL = mark("Said to {count}.")

_NOTES = {State.ONLINE: CAME, State.OFFLINE: WENT, State.RESUMING: RETURNING}


class Screen(Enum):
    """What fills the window."""

    START = auto()
    ENTERING = auto()
    MAIN = auto()


class Part(Flag):
    """What has to be drawn again."""

    NOTHING = 0
    SCREEN = auto()
    PEOPLE = auto()
    CHAT = auto()
    HEAD = auto()
    STATUS = auto()
    ALL = SCREEN | PEOPLE | CHAT | HEAD | STATUS


Failed = Callable[[Problem], None]
Notify = Callable[[str, str], None]


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
        people: everybody.
        selected: with whom the open conversation is.
        me: our name; ``where`` we are; our ``fingerprint`` and ``bio``.
        link_up: whether messages go.
        status: the last thing that happened, in words.
        warnings: what asks for attention, oldest first.
        focused: whether the window is in front.
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
        self._notify = notify
        self._world: World | None = None
        self._changes = Part.ALL
        self.focused = True
        self._reset()

    def _reset(self) -> None:
        self.screen = Screen.START
        self.problem: Problem | None = None
        self.people = People()
        self.selected: str | None = None
        self.kind = Kind.SERVERS
        self.me = self.where = self.fingerprint = self.bio = self.status = ""
        self.link_up = True
        self.warnings: list[str] = []

    def take_changes(self) -> Part:
        """What has to be drawn again since the last time this was asked."""
        changes, self._changes = self._changes, Part.NOTHING
        return changes

    @property
    def chat(self) -> Chat | None:
        """The open conversation."""
        return None if self.selected is None else self.people.chat(self.selected)

    @property
    def person(self) -> Person | None:
        """With whom it is."""
        return self.people.get(self.selected)

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
        self._changes |= Part.ALL
        world = self._world = self._make_world(door, self._tell)
        self._net.run(world.start, partial(self._entered, world), partial(self._refused, world))

    def cancel(self) -> None:
        """Wait at the door no longer."""
        self.leave()

    def leave(self, done: Callable[[], None] = lambda: None) -> None:
        """Log out, and back to the start."""
        world, self._world = self._world, None
        self._reset()
        self._changes |= Part.ALL
        if world is None:
            done()
            return
        self._net.run(world.stop, lambda _: done(), lambda problem: done())

    def _entered(self, world: World, beginning: Beginning) -> None:
        if world is not self._world:
            return
        self.screen = Screen.MAIN
        self._show(beginning)

    def _refused(self, world: World, problem: Problem) -> None:
        if world is not self._world:
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
        self._changes |= Part.ALL

    # -- what is told ------------------------------------------------------------------------

    def happened(self, happening: Happening) -> None:
        """Something came from the world."""
        if self.screen is not Screen.MAIN:
            return
        if isinstance(happening, LineAdded):
            self._line_added(happening.line)
        elif isinstance(happening, LineChanged):
            self._line_changed(happening)
        elif isinstance(happening, PersonChanged):
            self._person_changed(happening.person)
        elif isinstance(happening, PersonGone):
            self._person_gone(happening.key)
        else:
            self._told(happening)

    def _told(self, happening: LinkChanged | Said | Missed | Over) -> None:
        if isinstance(happening, LinkChanged):
            self.link_up = happening.up
            self.where = happening.where or self.where
            self.status = "" if happening.up else self.words(RECONNECTING)
            self._changes |= Part.STATUS | Part.HEAD
        elif isinstance(happening, Said):
            self._say(happening)
        elif isinstance(happening, Missed):
            self._look_again()
        else:
            self.leave()
            self.problem = happening.problem

    def _say(self, said: Said) -> None:
        fields = {name: one_line(value) for name, value in said.fields.items()}
        text = self.words(said.text, **fields)
        if said.warning:
            self.warnings = [*self.warnings, text][-MAX_WARNINGS:]
        else:
            self.status = text
        if said.key:
            self._note(said.key, text)
        self._changes |= Part.STATUS

    def _look_again(self) -> None:
        """More happened than was told."""
        if self._world is not None:
            self._ask(self._world.overview, self._looked)

    def _looked(self, beginning: Beginning) -> None:
        self._show(beginning)
        for chat in self.people.chats():
            chat.clear()
        self._load()

    def _line_added(self, line: Line) -> None:
        chat = self.people.chat(line.key)
        if chat.loaded or chat.loading:
            if not chat.add(line):
                return
        else:
            chat.last = line
        if line.incoming:
            if self._is_read(line.key):
                self._mark_read(chat)
            else:
                chat.unread += 1
                if not self.focused:
                    self._notify_of(line)
        self.people.reorder()
        self._changes |= Part.PEOPLE
        if line.key == self.selected:
            self._changes |= Part.CHAT

    def _line_changed(self, change: LineChanged) -> None:
        chat = self.people.chat(change.key)
        chat.change(change.id, change.progress, change.why)
        self._changes |= Part.PEOPLE
        if change.key == self.selected:
            self._changes |= Part.CHAT

    def _person_changed(self, person: Person) -> None:
        before = self.people.get(person.key)
        self.people.put(person)
        if before is not None and before.state is not person.state:
            text = self.words(_NOTES[person.state], name=one_line(person.name))
            self.status = text
            self._note(person.key, text)
            self._changes |= Part.STATUS
        self._changes |= Part.PEOPLE
        if person.key == self.selected:
            self._changes |= Part.HEAD | Part.CHAT

    def _person_gone(self, key: str) -> None:
        if key == self.selected:
            self.selected = None
            self._changes |= Part.HEAD | Part.CHAT
        self.people.drop(key)
        self._changes |= Part.PEOPLE

    def _note(self, key: str, text: str) -> None:
        """Between the lines of a conversation, where that is open: it isn't kept."""
        chat = self.people.chat(key)
        if chat.loaded:
            chat.add(Note(self.clock(), text))
            if key == self.selected:
                self._changes |= Part.CHAT

    def _notify_of(self, line: Line) -> None:
        person = self.people.get(line.key)
        name = person.name if person is not None else line.key
        self._notify(one_line(name, 60), one_line(line.text))

    # -- conversations -----------------------------------------------------------------------

    def select(self, key: str | None) -> None:
        """Open a conversation."""
        if key == self.selected or (key is not None and self.people.get(key) is None):
            return
        before = self.chat
        if before is not None:
            before.trim(PAGE)
        self.selected = key
        self._changes |= Part.PEOPLE | Part.CHAT | Part.HEAD
        self._load()

    def older(self) -> None:
        """Fetch what was said before, unless all of it is here."""
        chat = self.chat
        if chat is not None and chat.loaded and not chat.loading and not chat.complete:
            self._fetch(chat)

    def set_focus(self, focused: bool) -> None:
        """The window came to the front, or went."""
        self.focused = focused
        chat = self.chat
        if focused and chat is not None and chat.unread:
            self._mark_read(chat)

    def send(self, text: str) -> bool:
        """Say something in the open conversation; False where there is nothing to say."""
        chat, world = self.chat, self._world
        if chat is None or world is None or not text.strip():
            return False
        chat.draft = ""
        self._ask(partial(world.send, chat.key, text), self._sent, partial(self._unsent, chat, text))
        return True

    def retry(self, line: Line) -> None:
        """Say again what failed."""
        world = self._world
        if world is not None and line.may_retry:
            self.people.chat(line.key).change(line.id, Progress.SENDING, "")
            self._changes |= Part.CHAT
            self._ask(partial(world.retry, line), lambda _: None)

    def say_to_all(self, text: str, done: Callable[[], None], failed: Failed) -> None:
        """Say something to everybody who is there."""
        world = self._world
        if world is None or not text.strip():
            failed(Problem(MISSING, "text"))
            return

        def said(lines: list[Line]) -> None:
            if not lines:
                failed(Problem(NOBODY_HERE, "text"))
                return
            for line in lines:
                self._line_added(line)
            self.status = self.words(SAID_TO_ALL, count=len(lines))
            self._changes |= Part.STATUS
            done()

        self._ask(partial(world.say_to_all, text), said, failed)

    def _sent(self, line: Line) -> None:
        chat = self.people.chat(line.key)
        if chat.loaded or chat.loading:
            chat.add(line)
        else:
            chat.last = line
        self.people.reorder()
        self._changes |= Part.CHAT | Part.PEOPLE

    def _unsent(self, chat: Chat, text: str, problem: Problem) -> None:
        """It can't even wait: the text goes back to where it was typed."""
        chat.draft = chat.draft or text
        self._failed(problem)
        self._changes |= Part.HEAD

    def _load(self) -> None:
        chat = self.chat
        if chat is None:
            return
        if not chat.loaded and not chat.loading:
            self._fetch(chat)
        if chat.unread and self.focused:
            self._mark_read(chat)

    def _fetch(self, chat: Chat) -> None:
        world = self._world
        if world is None:
            return
        chat.loading = True
        before, beyond = (chat.oldest, chat.oldest_elsewhere) if chat.loaded else (None, None)
        self._ask(
            partial(world.page, chat.key, before, PAGE, beyond),
            partial(self._fetched, chat),
            partial(self._unfetched, chat),
        )

    def _fetched(self, chat: Chat, lines: list[Line]) -> None:
        chat.loading, chat.loaded = False, True
        chat.complete = len(lines) < PAGE
        chat.prepend(lines)
        if chat.key == self.selected:
            self._changes |= Part.CHAT
            if chat.unread and self.focused:
                self._mark_read(chat)

    def _unfetched(self, chat: Chat, problem: Problem) -> None:
        chat.loading = False
        self._failed(problem)

    def _is_read(self, key: str) -> bool:
        return key == self.selected and self.focused

    def _mark_read(self, chat: Chat) -> None:
        chat.unread = 0
        self._changes |= Part.PEOPLE
        number = chat.newest
        if self._world is not None and number:
            self._ask(partial(self._world.read, chat.key, number), lambda _: None)

    # -- people ------------------------------------------------------------------------------

    def search(self, text: str) -> None:
        """Show only some."""
        self.people.search(text)
        self._changes |= Part.PEOPLE

    def add(self, address: str, name: str, done: Callable[[], None], failed: Failed) -> None:
        """Add a contact, or connect to a peer."""
        world = self._world
        if world is None or not address.strip():
            failed(Problem(MISSING, "host" if self.kind is Kind.PEERS else "user"))
            return

        def added(person: Person | None) -> None:
            if person is not None:
                self._person_changed(person)
                self.select(person.key)
            done()

        self._ask(partial(world.add, address.strip(), name.strip()), added, failed)

    def rename(self, key: str, name: str, done: Callable[[], None], failed: Failed) -> None:
        """Call somebody something else."""
        if self._world is not None:
            self._ask(partial(self._world.rename, key, name.strip()), lambda _: done(), failed)

    def remove(self, key: str, done: Callable[[], None], failed: Failed) -> None:
        """Take somebody off the list."""
        if self._world is not None:
            self._ask(partial(self._world.remove, key), lambda _: done(), failed)

    def set_bio(self, text: str, done: Callable[[], None], failed: Failed) -> None:
        """Say what others read about us."""
        if self._world is None:
            return

        def told(_: object) -> None:
            self.bio = text
            self._changes |= Part.HEAD
            done()

        self._ask(partial(self._world.set_bio, text), told, failed)

    def dismiss(self) -> None:
        """The oldest warning was read."""
        self.warnings = self.warnings[1:]
        self._changes |= Part.STATUS

    # -- asking ------------------------------------------------------------------------------

    def _ask(
        self,
        work: Callable[[], Coroutine[Any, Any, Any]],
        done: Callable[[Any], None],
        failed: Failed | None = None,
    ) -> None:
        """Ask the world; an answer that comes after it was left is nobody's."""
        world = self._world

        def answered(result: Any) -> None:
            if world is self._world:
                done(result)

        def refused(problem: Problem) -> None:
            if world is self._world:
                (failed or self._failed)(problem)

        self._net.run(work, answered, refused)

    def _failed(self, problem: Problem) -> None:
        self.status = self.explain(problem)
        self._changes |= Part.STATUS

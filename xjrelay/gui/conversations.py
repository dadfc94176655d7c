# SPDX-License-Identifier: MIT
"""What is done to conversations: opening one, sending, retrying, fetching what is older, marking it as read.

And what comes of it, and what others say. Everything here runs in the window's thread. Must not import a
toolkit, Twisted, or either world.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from xjrelay.gui.changes import Changes, Part
from xjrelay.gui.chats import PAGE, Chat, Note, People
from xjrelay.gui.problems import MISSING
from xjrelay.gui.session import Failed, Session
from xjrelay.gui.texts import one_line
from xjrelay.gui.words import Words, mark
from xjrelay.gui.world import Line, LineChanged, Person, Problem, Progress

NOBODY_HERE = mark("Nobody is there at the moment.")
SAID_TO_ALL = mark("Said to {count}.")

Notify = Callable[[str, str], None]


class Conversations:
    """Everybody's conversations, one of which may be open.

    Args:
        session: the world.
        changes: hears what has to be drawn again.
        say: shows as the last thing that happened what is in the person's language.
        words: the language.
        clock: milliseconds since 1970.
        notify: shows a message outside the window: a title and a text.

    Attributes:
        people: everybody.
        selected: with whom the open conversation is.
        focused: whether the window is in front.
    """

    def __init__(
        self,
        session: Session,
        changes: Changes,
        say: Callable[[str], None],
        words: Words,
        clock: Callable[[], int],
        notify: Notify,
    ) -> None:
        self._session = session
        self._changes = changes
        self._say = say
        self._words = words
        self._clock = clock
        self._notify = notify
        self.focused = True
        self.people = People()
        self.selected: str | None = None

    def reset(self) -> None:
        """Nobody is there, and nothing was said."""
        self.people = People()
        self.selected = None

    @property
    def chat(self) -> Chat | None:
        """The open conversation."""
        return None if self.selected is None else self.people.chat(self.selected)

    @property
    def person(self) -> Person | None:
        """With whom it is."""
        return self.people.get(self.selected)

    # -- what is asked -----------------------------------------------------------------------

    def select(self, key: str | None) -> None:
        """Open a conversation."""
        if key == self.selected or (key is not None and self.people.get(key) is None):
            return
        before = self.chat
        if before is not None:
            before.trim(PAGE)
        self.selected = key
        self._changes.add(Part.PEOPLE | Part.CHAT | Part.HEAD)
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
        chat, world = self.chat, self._session.world
        if chat is None or world is None or not text.strip():
            return False
        chat.draft = ""
        self._session.ask(partial(world.send, chat.key, text), self._sent, partial(self._unsent, chat, text))
        return True

    def retry(self, line: Line) -> None:
        """Say again what failed."""
        world = self._session.world
        if world is not None and line.may_retry:
            self.people.chat(line.key).change(line.id, Progress.SENDING, "")
            self._changes.add(Part.CHAT)
            self._session.ask(partial(world.retry, line), lambda _: None)

    def say_to_all(self, text: str, done: Callable[[], None], failed: Failed) -> None:
        """Say something to everybody who is there."""
        world = self._session.world
        if world is None or not text.strip():
            failed(Problem(MISSING, "text"))
            return

        def said(lines: list[Line]) -> None:
            if not lines:
                failed(Problem(NOBODY_HERE, "text"))
                return
            for line in lines:
                self.line_added(line)
            self._say(self._words(SAID_TO_ALL, count=len(lines)))
            done()

        self._session.ask(partial(world.say_to_all, text), said, failed)

    def _sent(self, line: Line) -> None:
        chat = self.people.chat(line.key)
        if chat.loaded or chat.loading:
            chat.add(line)
        else:
            chat.last = line
        self.people.reorder()
        self._changes.add(Part.CHAT | Part.PEOPLE)

    def _unsent(self, chat: Chat, text: str, problem: Problem) -> None:
        """It can't even wait: the text goes back to where it was typed."""
        chat.draft = chat.draft or text
        self._session.failed(problem)
        self._changes.add(Part.HEAD)

    # -- what is told ------------------------------------------------------------------------

    def line_added(self, line: Line) -> None:
        """Something was said."""
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
        self._changes.add(Part.PEOPLE)
        if line.key == self.selected:
            self._changes.add(Part.CHAT)

    def line_changed(self, change: LineChanged) -> None:
        """Something has become of a line of ours."""
        chat = self.people.chat(change.key)
        chat.change(change.id, change.progress, change.why)
        self._changes.add(Part.PEOPLE)
        if change.key == self.selected:
            self._changes.add(Part.CHAT)

    def person_gone(self, key: str) -> None:
        """Somebody is on the list no more."""
        if key == self.selected:
            self.selected = None
            self._changes.add(Part.HEAD | Part.CHAT)
        self.people.drop(key)
        self._changes.add(Part.PEOPLE)

    def look_again(self) -> None:
        """More was said than was told: all is fetched again when wanted."""
        for chat in self.people.chats():
            chat.clear()
        self._load()

    def note(self, key: str, text: str) -> None:
        """Between the lines of a conversation, where that is open: it isn't kept."""
        chat = self.people.chat(key)
        if chat.loaded:
            chat.add(Note(self._clock(), text))
            if key == self.selected:
                self._changes.add(Part.CHAT)

    def _notify_of(self, line: Line) -> None:
        person = self.people.get(line.key)
        name = person.name if person is not None else line.key
        self._notify(one_line(name, 60), one_line(line.text))

    # -- pages and marks ---------------------------------------------------------------------

    def _load(self) -> None:
        chat = self.chat
        if chat is None:
            return
        if not chat.loaded and not chat.loading:
            self._fetch(chat)
        if chat.unread and self.focused:
            self._mark_read(chat)

    def _fetch(self, chat: Chat) -> None:
        world = self._session.world
        if world is None:
            return
        chat.loading = True
        before, beyond = (chat.oldest, chat.oldest_elsewhere) if chat.loaded else (None, None)
        self._session.ask(
            partial(world.page, chat.key, before, PAGE, beyond),
            partial(self._fetched, chat),
            partial(self._unfetched, chat),
        )

    def _fetched(self, chat: Chat, lines: list[Line]) -> None:
        chat.loading, chat.loaded = False, True
        chat.complete = len(lines) < PAGE
        chat.prepend(lines)
        if chat.key == self.selected:
            self._changes.add(Part.CHAT)
            if chat.unread and self.focused:
                self._mark_read(chat)

    def _unfetched(self, chat: Chat, problem: Problem) -> None:
        chat.loading = False
        self._session.failed(problem)

    def _is_read(self, key: str) -> bool:
        return key == self.selected and self.focused

    def _mark_read(self, chat: Chat) -> None:
        chat.unread = 0
        self._changes.add(Part.PEOPLE)
        number = chat.newest
        if self._session.world is not None and number:
            self._session.ask(partial(self._session.world.read, chat.key, number), lambda _: None)

# SPDX-License-Identifier: MIT
"""What is known of conversations and people at the window's side. Imports no toolkit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from xjrelay.gui.world import Line, Person, Progress, State

PAGE: Final = 100
"""Lines that are fetched at a time."""
MOST: Final = 2000
"""Items of a conversation kept while it is read at its end; the rest is fetched again when wanted."""
MAX_EARLY: Final = 1000

_FURTHER = {
    Progress.SENDING: 0,
    Progress.FAILED: 1,
    Progress.STORED: 2,
    Progress.SENT: 2,
    Progress.DELIVERED: 3,
    Progress.RECEIVED: 3,
}


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened, between the lines: somebody came or went."""

    at: int
    text: str


Item = Line | Note


class Chat:
    """One conversation, as far as it is here.

    Items have positions that never change while they are here: older ones get smaller numbers.

    Args:
        key: with whom.

    Attributes:
        first: the position of the oldest item here.
        unread: lines not read.
        last: the last line, loaded or not.
        draft: what was being typed.
        loaded: whether a page was fetched.
        loading: whether one is on its way.
        complete: there is nothing older.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.first = 0
        self.unread = 0
        self.last: Line | None = None
        self.draft = ""
        self.loaded = False
        self.loading = False
        self.complete = False
        self._items: list[Item] = []
        self._at: dict[tuple[bool, str], int] = {}
        self._early: dict[str, tuple[Progress, str]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @property
    def end(self) -> int:
        """One after the newest item's position."""
        return self.first + len(self._items)

    @property
    def oldest(self) -> int | None:
        """The number of the oldest line here that was said in this world."""
        return next((one.number for one in self._lines() if one.elsewhere is None), None)

    @property
    def oldest_elsewhere(self) -> int | None:
        """The number of the oldest line here that was said in the other."""
        return next((one.number for one in self._lines() if one.elsewhere is not None), None)

    @property
    def newest(self) -> int:
        """The number of the newest line that was said in this world, or 0."""
        here = next((one.number for one in self._lines(reversed(self._items)) if one.elsewhere is None), 0)
        last = self.last
        return here if last is None or last.elsewhere is not None else max(here, last.number)

    def _lines(self, items: Iterable[Item] | None = None) -> Iterator[Line]:
        return (item for item in (self._items if items is None else items) if isinstance(item, Line))

    def get(self, position: int) -> Item | None:
        """The item at a position, if it is here."""
        index = position - self.first
        return self._items[index] if 0 <= index < len(self._items) else None

    def prepend(self, lines: Iterable[Line]) -> None:
        """Older lines, or the first page; those that are here already are left out."""
        page = list(lines)
        known = [(line.incoming, line.id) in self._at for line in page]
        end = known.index(True) if True in known else len(page)
        older = [self._settled(line) for line in page[:end]]
        self.first -= len(older)
        self._items[:0] = older
        for index, line in enumerate(older):
            self._at[line.incoming, line.id] = self.first + index
        for line in page[end:]:  # came between, while the page was on its way
            self.add(line)

    def add(self, item: Item) -> bool:
        """The newest item; False where it is here already."""
        if isinstance(item, Line):
            if (item.incoming, item.id) in self._at:
                return False
            item = self._settled(item)
            self._at[item.incoming, item.id] = self.end
            self.last = item
        self._items.append(item)
        return True

    def change(self, message_id: str, progress: Progress, why: str) -> bool:
        """A line of ours is in another state; False where that changes nothing here."""
        if self.last is not None and self.last.id == message_id and not self.last.incoming:
            self.last = replace(self.last, progress=progress, why=why)
        position = self._at.get((False, message_id))
        if position is None:
            self._early[message_id] = progress, why
            if len(self._early) > MAX_EARLY:
                del self._early[next(iter(self._early))]
            return False
        line = self._items[position - self.first]
        assert isinstance(line, Line)
        self._items[position - self.first] = replace(line, progress=progress, why=why)
        return True

    def trim(self, most: int = MOST) -> None:
        """Let go of the oldest; they are fetched again when wanted."""
        surplus = len(self._items) - most
        if surplus <= 0:
            return
        for item in self._items[:surplus]:
            if isinstance(item, Line):
                del self._at[item.incoming, item.id]
        del self._items[:surplus]
        self.first += surplus
        self.complete = False

    def clear(self) -> None:
        """Forget what is here; it is fetched again when wanted. Positions start anew."""
        self._items.clear()
        self._at.clear()
        self.first = 0
        self.loaded = self.loading = self.complete = False

    def _settled(self, line: Line) -> Line:
        """A line with what was told of it before it came."""
        progress, why = (
            self._early.pop(line.id, (line.progress, line.why))
            if not line.incoming
            else (
                line.progress,
                line.why,
            )
        )
        if _FURTHER[progress] < _FURTHER[line.progress]:
            return line
        return replace(line, progress=progress, why=why)


_HERE_FIRST = {State.ONLINE: 0, State.RESUMING: 1, State.OFFLINE: 2}


class People:
    """Everybody, in the order of the side bar: the latest conversations, then who is there, by name."""

    def __init__(self) -> None:
        self._people: dict[str, Person] = {}
        self._chats: dict[str, Chat] = {}
        self._search = ""
        self._rows: list[Person] | None = None

    def __len__(self) -> int:
        return len(self._people)

    def get(self, key: str | None) -> Person | None:
        """Somebody."""
        return self._people.get(key) if key is not None else None

    def chat(self, key: str) -> Chat:
        """The conversation with somebody."""
        chat = self._chats.get(key)
        if chat is None:
            chat = self._chats[key] = Chat(key)
        return chat

    def chats(self) -> list[Chat]:
        """Every conversation."""
        return list(self._chats.values())

    def put(self, person: Person) -> None:
        """Somebody, new or over what was known."""
        self._people[person.key] = person
        self.reorder()

    def drop(self, key: str) -> None:
        """Somebody is gone from the list, and the conversation with it."""
        self._people.pop(key, None)
        self._chats.pop(key, None)
        self.reorder()

    def replace(self, people: Iterable[Person]) -> None:
        """Exactly these, and no others."""
        self._people = {person.key: person for person in people}
        self.reorder()

    def search(self, text: str) -> None:
        """Only those whose name or address holds this."""
        self._search = text.strip().casefold()
        self.reorder()

    def reorder(self) -> None:
        """Something that the order depends on has changed."""
        self._rows = None

    def rows(self) -> list[Person]:
        """Those to be shown, in order."""
        if self._rows is None:
            wanted = self._search
            found = (
                one
                for one in self._people.values()
                if wanted in one.name.casefold() or wanted in one.address.casefold()
            )
            self._rows = sorted(found, key=self._order)
        return self._rows

    def unread(self) -> int:
        """Lines not read, of everybody."""
        return sum(chat.unread for chat in self._chats.values())

    def _order(self, person: Person) -> tuple[int, int, str]:
        chat = self._chats.get(person.key)
        at = chat.last.at if chat is not None and chat.last is not None else 0
        return (-at, _HERE_FIRST[person.state], person.name.casefold())

# SPDX-License-Identifier: MIT
"""The questions the window asks: whom to add, what to call somebody, whether to remove (G5)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from xjrelay.gui.forms import Ask, Question, Sheet, Submit
from xjrelay.gui.presenter import Presenter
from xjrelay.gui.texts import one_line
from xjrelay.gui.theme import Look
from xjrelay.gui.words import mark
from xjrelay.gui.world import Kind

CONNECT_TITLE = mark("Connect to a peer")
CONNECT_TEXT = mark("The other one reads its address and port to you from its window.")
HOST, PORT = mark("Address"), mark("Port")
CONNECT = mark("Connect")
ADD_TITLE = mark("Add a contact")
USER, CALLED = mark("User name"), mark("What you call them (may be empty)")
ADD = mark("Add")
RENAME_TITLE = mark("What do you call {name}?")
NAME, SAVE = mark("Name"), mark("Save")
REMOVE_TITLE = mark("Remove {name}?")
REMOVE_TEXT = mark("The messages that are kept here go too.")
REMOVE = mark("Remove")
BIO_TITLE, BIO = mark("What others read about you"), mark("Bio")
ALL_TITLE, TEXT, SEND = mark("Say to everybody who is there"), mark("Text"), mark("Send")
PRINT_TITLE = mark("Your fingerprint")
PRINT_TEXT = mark(
    "Who meets you for the first time is shown these digits. Read them to each other by telephone: are "
    "they the same, nobody is between you.\n\n{digits}"
)
CLOSE = mark("Close")


class Dialogs:
    """Opens one sheet at a time.

    Args:
        window: what a sheet covers.
        look: gives the theme of the moment.
        presenter: the state.
        closed: called when a sheet is gone.

    Attributes:
        sheet: the open one, or None.
    """

    def __init__(
        self, window: Any, look: Callable[[], Look], presenter: Presenter, closed: Callable[[], None]
    ) -> None:
        self.sheet: Sheet | None = None
        self._window = window
        self._look = look
        self._presenter = presenter
        self._after = closed

    def close(self) -> None:
        """Away with the open one."""
        if self.sheet is not None:
            self.sheet.close()

    def add(self) -> None:
        """*+ Connect to Peer*, or *Add contact*."""
        words, presenter = self._look().words, self._presenter

        def connect(typed: dict[str, str], done: Any, failed: Any) -> None:
            host, port = typed["host"].strip(), typed["port"].strip()
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            presenter.add(where if host else "", "", done, failed)

        def add(typed: dict[str, str], done: Any, failed: Any) -> None:
            presenter.add(typed["user"], typed["name"], done, failed)

        if presenter.kind is Kind.PEERS:
            asks = (
                Ask("host", words(HOST), "127.0.0.1"),
                Ask("port", words(PORT)),
            )
            self._open(
                Question(
                    title=words(CONNECT_TITLE), text=words(CONNECT_TEXT), asks=asks, verb=words(CONNECT)
                ),
                connect,
            )
        else:
            asks = (
                Ask("user", words(USER)),
                Ask("name", words(CALLED)),
            )
            self._open(Question(title=words(ADD_TITLE), asks=asks, verb=words(ADD)), add)

    def add_stranger(self) -> None:
        """Add whoever has written to us."""
        person = self._presenter.person
        if person is not None:
            self.add()
            assert self.sheet is not None
            self.sheet.fields["user"].entry.insert(0, person.address)

    def rename(self) -> None:
        """Call the open conversation's person something else."""
        person, words = self._presenter.person, self._look().words
        if person is None:
            return

        def rename(typed: dict[str, str], done: Any, failed: Any) -> None:
            self._presenter.rename(person.key, typed["name"], done, failed)

        title = words(RENAME_TITLE, name=one_line(person.name, 40))
        asks = (Ask("name", words(NAME), person.name),)
        self._open(Question(title=title, asks=asks, verb=words(SAVE)), rename)

    def remove(self) -> None:
        """Take the open conversation's person off the list."""
        person, words = self._presenter.person, self._look().words
        if person is None:
            return

        def remove(typed: dict[str, str], done: Any, failed: Any) -> None:
            self._presenter.remove(person.key, done, failed)

        title = words(REMOVE_TITLE, name=one_line(person.name, 40))
        self._open(Question(title=title, text=words(REMOVE_TEXT), verb=words(REMOVE), danger=True), remove)

    def bio(self) -> None:
        """Our own line about ourselves."""
        words, presenter = self._look().words, self._presenter

        def tell(typed: dict[str, str], done: Any, failed: Any) -> None:
            presenter.set_bio(typed["bio"], done, failed)

        asks = (Ask("bio", words(BIO), presenter.bio),)
        self._open(Question(title=words(BIO_TITLE), asks=asks, verb=words(SAVE)), tell)

    def to_all(self) -> None:
        """Say something to everybody."""
        words, presenter = self._look().words, self._presenter

        def say(typed: dict[str, str], done: Any, failed: Any) -> None:
            presenter.conversations.say_to_all(typed["text"], done, failed)

        asks = (Ask("text", words(TEXT)),)
        self._open(Question(title=words(ALL_TITLE), asks=asks, verb=words(SEND)), say)

    def fingerprint(self) -> None:
        """Ours, to be read to somebody."""
        words = self._look().words
        text = words(PRINT_TEXT, digits=self._presenter.fingerprint)

        def close(typed: dict[str, str], done: Any, failed: Any) -> None:
            done()

        self._open(Question(title=words(PRINT_TITLE), text=text, verb=words(CLOSE)), close)

    def _open(self, question: Question, submit: Submit) -> None:
        self.close()
        made: list[Sheet] = []
        sheet = Sheet(self._window, self._look(), question, submit, partial(self._closed, made))
        made.append(sheet)
        self.sheet = sheet
        sheet.focus()

    def _closed(self, made: list[Sheet]) -> None:
        if self.sheet in made:
            self.sheet = None
            self._after()

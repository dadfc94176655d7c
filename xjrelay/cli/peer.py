# SPDX-License-Identifier: MIT
"""``xj peer``: chat without a server, at a terminal or line by line.

The peer is the one of ``twistd xjpeer``, with the same options and the same data; it runs on the loop
that ``xj`` has. :class:`PeerTalk` knows no terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred

from xjrelay.cli.chat import stdin_lines
from xjrelay.cli.options import Call
from xjrelay.cli.screen import Screen, safe, table
from xjrelay.domain.peers import Status
from xjrelay.gui.settings import account_folders
from xjrelay.servers.peer import tap
from xjrelay.servers.peer.events import Changed, Event, Forgotten, Met, PeerView, Received, Settled, Warned
from xjrelay.servers.peer.local import LocalPeer, NotConnected, TooLong, UnknownPeer
from xjrelay.storage.acquaintances import users
from xjrelay.storage.interfaces import PeerMessage, StoreError
from xjrelay.wire.endpoints import parse

HELP: Final = """\
  text            to whom you talk with at the moment, at first everybody who is there
  NAME: text      to one peer, there or not: it waits until it is
  /to NAME        talk with one peer;  /all  with everybody again
  /connect HOST:PORT
  /peers          whom you know, and who is there
  /history [NAME] what was said
  /rename NAME AS call a peer something else
  /forget NAME    know a peer no more; do so when its key has changed and that is well
  /who            who you are, and the fingerprint to compare
  /quit           leave (Ctrl-D does too)"""

PATIENCE: Final = 5.0
"""Seconds that what is typed waits for the peers named on the command line."""
LAST: Final = 2.0
"""Seconds that the end waits for what is under way."""

OPTIONS: Final = ("name", "listen", "connect", "data-dir", "config", "advertise", "discovery")
"""Those of ``twistd xjpeer`` that are offered here with a value."""

T = TypeVar("T")
ReadLine = Callable[[], Awaitable[str | None]]


class PeerTalk:
    """A person among peers.

    Args:
        peer: the one that runs here.
        screen: where it writes: words for a person, or one JSON object an event.
        accounts: where the window remembers who has proved to be a user as well.

    Attributes:
        to: the id of whom a plain line goes to; None for everybody.
    """

    def __init__(self, peer: LocalPeer, screen: Screen, accounts: Path) -> None:
        self.to: str | None = None
        self._accounts = accounts
        self._peer = peer
        self._screen = screen
        self._sent: dict[tuple[str, str], str] = {}  # texts that have not gone yet
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "/to": self._set_to,
            "/all": self._to_all,
            "/connect": self._connect,
            "/peers": self._peers,
            "/history": self._history,
            "/rename": self._rename,
            "/forget": self._forget,
            "/who": self._who,
            "/help": self._help,
        }
        self.end = peer.subscribe(self.happened)

    @property
    def prompt(self) -> str:
        """What stands before the line being typed."""
        return f"{safe(self._called(self.to))}> " if self.to else "all> "

    @property
    def waits(self) -> bool:
        """Whether something is under way to somebody who is there."""
        return any(self._peer.status(peer_id) is Status.HERE for peer_id, _ in self._sent)

    def begin(self, host: str, port: int) -> None:
        """The first lines."""
        self._screen.show(
            f"You are {self._peer.name}, at {host}:{port}. /help says what can be typed.\n"
            f"Your fingerprint: {self._peer.fingerprint}",
            event="ready",
            name=self._peer.name,
            peer_id=self._peer.own_id,
            fingerprint=self._peer.fingerprint,
            host=host,
            port=port,
        )

    async def typed(self, line: str) -> bool:
        """A line was typed; False when it says to leave."""
        line = line.strip()
        word, _, rest = line.partition(" ")
        if word == "/quit":
            return False
        try:
            if line and not line.startswith("/"):
                await self._say(line)
            elif word in self._commands:
                await self._commands[word](rest.strip())
            elif line:
                self._note(f"There is no {safe(word)}. /help says what there is.")
        except (NotConnected, TooLong, StoreError, ValueError) as error:
            self._screen.show(f"! {safe(error)}", event="error", why=str(error))
        except UnknownPeer as error:
            self._screen.show(f"! nobody is known as {safe(error)}", event="error", why=f"unknown: {error}")
        return True

    def happened(self, event: Event) -> None:
        """The peer tells something."""
        if isinstance(event, Received):
            self._received(event.message)
        elif isinstance(event, Settled):
            for message_id in event.message_ids:
                self._settled(event.peer_id, message_id, event.state)
        elif isinstance(event, Met):
            self._met(event)
        elif isinstance(event, Changed):
            why = f" ({safe(event.why)})" if event.why else ""
            words = f"* {safe(event.peer.shown)} is {event.peer.status.value}{why}"
            self._screen.show(words, event="status", why=event.why, **_as_json(event.peer))
        elif isinstance(event, Forgotten):
            self._screen.show("* forgotten", event="forgotten", peer_id=event.peer_id)
        elif isinstance(event, Warned):
            self._screen.show(f"! {safe(event.text)}", event="warning", text=event.text)

    # -- what is heard -----------------------------------------------------------------------

    def _received(self, message: PeerMessage) -> None:
        to = " to all" if message.broadcast else ""
        self._screen.show(
            f"{safe(self._called(message.peer_id))}{to}: {safe(message.text)}",
            event="message",
            peer_id=message.peer_id,
            name=self._called(message.peer_id),
            text=message.text,
            broadcast=message.broadcast,
            at=message.at,
        )

    def _settled(self, peer_id: str, message_id: str, state: str) -> None:
        text = self._sent.pop((peer_id, message_id), "")
        words = f"you to {safe(self._called(peer_id))}: {safe(text)}  [{state}]"
        self._screen.show(words, event=state, peer_id=peer_id, id=message_id)

    def _met(self, event: Met) -> None:
        peer = event.peer
        how = f"compare its fingerprint: {peer.fingerprint}"
        if peer.plain:
            how = "plain: nothing is encrypted, and nothing proves who it is"
        also = ". ANOTHER peer has that name too" if event.namesake else ""
        words = f"* {safe(peer.shown)} is new; {how}{also}"
        self._screen.show(words, event="met", namesake=event.namesake, **_as_json(peer))

    # -- what is typed -----------------------------------------------------------------------

    async def _say(self, line: str) -> None:
        name, colon, text = line.partition(":")
        if colon and text.strip() and self._named(name):
            await self._send(self._find(name).peer_id, text.strip())
        elif self.to is not None:
            await self._send(self.to, line)
        else:
            sent = await _done(self._peer.broadcast(line))
            if not sent:
                self._screen.show("! nobody is there", event="error", why="nobody is there")
            for message in sent:
                self._remember(message)

    async def _send(self, peer_id: str, text: str) -> None:
        self._remember(await _done(self._peer.send(peer_id, text)))
        if self._peer.status(peer_id) is not Status.HERE:
            self._note(f"you to {safe(self._called(peer_id))}: {safe(text)}  [waits until it is there]")

    def _remember(self, message: PeerMessage) -> None:
        self._sent[message.peer_id, message.message_id] = message.text

    async def _set_to(self, rest: str) -> None:
        self.to = self._find(rest).peer_id
        self._note(f"You talk with {safe(self._called(self.to))}.")

    async def _to_all(self, rest: str) -> None:
        self.to = None
        self._note("You talk with everybody who is there.")

    async def _connect(self, rest: str) -> None:
        place = parse(rest)
        await _done(self._peer.connect(place.host, place.port))

    async def _peers(self, rest: str) -> None:
        rows = [["NAME", "THERE", "FINGERPRINT", "AT", "USER"]]
        found = await asyncio.to_thread(users, self._accounts, self._peer.own_id)
        for one in self._peer.peers():
            at = f"{one.place[0]}:{one.place[1]}" if one.place else ""
            kept = found.get(one.peer_id)
            user = "" if kept is None else f"{kept.name} at {kept.servers}"
            rows.append([safe(one.shown), one.status.value, one.fingerprint or "plain", at, safe(user)])
            if self._screen.as_json:
                self._screen.show("", event="peer", user=user, **_as_json(one))
        self._note(table(rows) if len(rows) > 1 else "You know nobody yet: /connect HOST:PORT")

    async def _history(self, rest: str) -> None:
        peer_id = self._find(rest).peer_id if rest else self.to
        if peer_id is None:
            raise ValueError("whose? /history NAME")
        for message in await _done(self._peer.history(peer_id, most=20)):
            who = self._called(peer_id) if message.incoming else "you"
            self._screen.show(
                f"  {safe(who)}: {safe(message.text)}  [{message.state}]",
                event="history",
                peer_id=peer_id,
                incoming=message.incoming,
                text=message.text,
                state=message.state,
                at=message.at,
            )

    async def _rename(self, rest: str) -> None:
        name, _, label = rest.partition(" ")
        self._peer.rename(self._find(name).peer_id, label.strip())

    async def _forget(self, rest: str) -> None:
        peer_id = self._find(rest).peer_id
        self.to = None if self.to == peer_id else self.to
        await _done(self._peer.forget(peer_id))

    async def _who(self, rest: str) -> None:
        self._note(f"You are {self._peer.name}; your fingerprint: {self._peer.fingerprint}")

    async def _help(self, rest: str) -> None:
        self._note(HELP)

    # -- small things ------------------------------------------------------------------------

    def _note(self, words: str) -> None:
        self._screen.note(words)

    def _called(self, peer_id: str | None) -> str:
        peer = self._peer.peer(peer_id or "")
        return peer.shown if peer is not None else "somebody"

    def _named(self, name: str) -> list[PeerView]:
        """Whom a person may mean: by name here or there, or by the beginning of the id."""
        wanted = name.strip().casefold()
        known = self._peer.peers()
        exact = [one for one in known if wanted in (one.label.casefold(), one.name.casefold())]
        return exact or [one for one in known if wanted and one.peer_id.startswith(name.strip())]

    def _find(self, name: str) -> PeerView:
        found = self._named(name)
        if not found:
            raise UnknownPeer(name)
        if len(found) > 1:
            ids = ", ".join(one.peer_id for one in found)
            raise ValueError(f"several are known as {name}; say the beginning of an id: {ids}")
        return found[0]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What follows ``xj peer``: options of ``twistd xjpeer``, which says what they are."""
    for name in OPTIONS:
        parser.add_argument(f"--{name}", action="append", metavar="VALUE", help="as of twistd xjpeer")
    parser.add_argument("--map-port", action="store_true", help="as of twistd xjpeer")


async def peer(call: Call) -> int:
    """Chat until ``/quit``, the end of the input, or Ctrl-C."""
    reactor: Any = AsyncioSelectorReactor(asyncio.get_running_loop())
    program = tap.open_peer(_arguments(call.args), reactor)
    service = tap.peer_of(program)
    reactor.startRunning(installSignalHandlers=False)
    program.privilegedStartService()
    program.startService()
    try:
        await _done(service.started)
        place = service.listening.places[0]
        await _talk(call, service.peer, place.host, place.port)
    finally:
        await _done(program.stopService())
        reactor.getThreadPool().stop()
    return 0


def _arguments(args: argparse.Namespace) -> list[str]:
    typed = ["--map-port"] if args.map_port else []
    for name in OPTIONS:
        for value in getattr(args, name.replace("-", "_")) or []:
            typed += [f"--{name}", value]
    return typed


async def _talk(call: Call, peer: LocalPeer, host: str, port: int) -> None:
    accounts = account_folders(call.environ)
    if call.screen.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        talk = PeerTalk(peer, call.screen, accounts)
        lines = stdin_lines()
        talk.begin(host, port)
        await _arrived(peer, len(call.args.connect or ()))
        await _type(talk, lambda: anext(lines, None))
        await _until(lambda: not talk.waits, LAST)
        talk.end()
        return
    session: PromptSession[str] = PromptSession(erase_when_done=True)
    with patch_stdout():  # what is printed goes above the line being typed
        talk = PeerTalk(peer, Screen(), accounts)
        talk.begin(host, port)

        async def read() -> str | None:
            try:
                return await session.prompt_async(lambda: talk.prompt)
            except (EOFError, KeyboardInterrupt):
                return None

        await _type(talk, read)
        talk.end()


async def _type(talk: PeerTalk, read: ReadLine) -> None:
    while (line := await read()) is not None:
        if not await talk.typed(line):
            return


async def _arrived(peer: LocalPeer, wanted: int) -> None:
    """A script's first line is for those it has named."""
    await _until(lambda: sum(one.status is Status.HERE for one in peer.peers()) >= wanted, PATIENCE)


async def _until(condition: Callable[[], bool], patience: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while not condition() and loop.time() < end:
        await asyncio.sleep(0.05)


def _done(work: Deferred[T] | Coroutine[Deferred[Any], Any, T]) -> asyncio.Future[T]:
    """What the peer does in Twisted's way, for asyncio to wait for."""
    deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    return deferred.asFuture(asyncio.get_running_loop())


def _as_json(peer: PeerView) -> dict[str, Any]:
    return {
        "peer_id": peer.peer_id,
        "name": peer.name,
        "label": peer.label,
        "status": peer.status.value,
        "plain": peer.plain,
        "fingerprint": peer.fingerprint,
    }

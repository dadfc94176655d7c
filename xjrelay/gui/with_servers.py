# SPDX-License-Identifier: MIT
"""The world with servers: a user of the client library, with its history on disk.

What is said is in the history before it is given to the library, and the library keeps it in a file until
its outcome; so a window that is closed, or killed, goes on where it was. Runs in the reactor's thread.
Must not import a toolkit.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.client.errors import ClientError, Disconnected
from xjrelay.client.model import (
    Direct,
    Event,
    LinkState,
    Message,
    Notice,
    Presence,
    Receipt,
    RoadChange,
    RosterChange,
    user_key,
)
from xjrelay.client.model import Missed as Overflowed
from xjrelay.client.tx import Client, IClientReactor, connect
from xjrelay.gui.elsewhere import PROGRESS, Peers, shown
from xjrelay.gui.problems import NOT_CONNECTED, REPLACED, problem, problem_at_door, why_failed
from xjrelay.gui.users import Users
from xjrelay.gui.words import mark
from xjrelay.gui.world import (
    Beginning,
    Kind,
    Line,
    LineAdded,
    LineChanged,
    LinkChanged,
    Missed,
    Over,
    Person,
    PersonChanged,
    PersonGone,
    Problem,
    Said,
    ServersDoor,
    State,
    Tell,
)
from xjrelay.security.identity import Identity
from xjrelay.storage.history import History, OpenHistory, Proof, StoredLine
from xjrelay.storage.interfaces import StoreError

_log = Logger()

T = TypeVar("T")

RESOURCE: Final = "window"
"""The device: another window of the same user replaces this one, a terminal doesn't."""

PATIENCE: Final = 30 * 86400.0
"""Seconds until a message without an outcome is shown as not sent; until then it is on its way."""

AGAIN: Final = 5.0
"""Seconds between two tries to write the history."""

NO_HISTORY = mark("The messages can't be kept on this computer: {why}")
ADDED_BY = mark("{name} has added you as a contact.")


class ServersWorld:
    """One user, through the servers. A :class:`~xjrelay.gui.world.World`.

    Args:
        reactor: the running one.
        door: who it is.
        tell: hears what happens.
        folder: this account's own; made when it isn't there.
        open_history: makes the history's store.
        new_id: makes message ids.
        authority: who has to have signed the servers' certificates, as the library takes it.
        direct: how direct links are made, where the door says that they are wanted.
        peers: who is known on this computer without servers.
    """

    kind = Kind.SERVERS

    def __init__(
        self,
        reactor: IClientReactor,
        door: ServersDoor,
        tell: Tell,
        folder: Path,
        open_history: OpenHistory,
        new_id: Callable[[], str],
        authority: str | None = None,
        direct: Callable[[], Direct] = Direct,
        peers: Peers | None = None,
    ) -> None:
        self._authority = authority
        self._direct = direct
        self._users = Users(peers or Peers(), door.direct)
        self._own = ""  # the id of the key we show on direct links, if that is kept
        self._reactor = reactor
        self._door = door
        self._tell = tell
        self._folder = folder
        self._open_history = open_history
        self._new_id = new_id
        self._history: History | None = None
        self._client: Client | None = None
        self._bio = ""
        self._stopping = False
        self._tasks: set[Deferred[None]] = set()

    # -- beginning and end -------------------------------------------------------------------

    async def start(self) -> Beginning:
        """Log in, open the history, and go on with what was on its way."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        door = self._door
        scheme = "" if "://" in door.tracker else "xj://"
        direct = self._direct() if door.direct else None
        try:
            self._client = await connect(
                scheme + door.tracker,
                door.user,
                door.password,
                register=door.register,
                resource=RESOURCE,
                outbox=self._folder / "outbox",
                authority=self._authority,
                direct=direct,
                reactor=self._reactor,
            )
        except ClientError as error:
            raise problem_at_door(error, door.tracker, door.register) from error
        if direct is not None and direct.key is not None:
            self._own = Identity(direct.key, "the key for direct links").peer_id
        try:
            self._history = self._open_history(self._folder / "history.sqlite")
        except StoreError as error:
            await self.stop()
            raise Problem(NO_HISTORY, why=str(error)) from error
        await self._ask_bio()
        beginning = await self.overview()
        self._spawn(self._hear())
        for line in await self._history.under_way():
            self._spawn(self._deliver(line))
        return beginning

    async def stop(self) -> None:
        """Log out; what has no outcome stays in the outbox's file."""
        self._stopping = True
        if self._client is not None:
            await self._client.close()
        for task in list(self._tasks):
            task.cancel()
        if self._history is not None:
            await self._history.close()

    async def overview(self) -> Beginning:
        """Everything, from the roster and the history."""
        history, client = self._opened()
        await self._users.remember(history)
        people = {user_key(one.username): self._users.person(client, one) for one in client.roster}
        last = {key: shown(stored, key) for key, stored in (await history.last()).items()}
        for key in last.keys() - people.keys():
            people[key] = self._users.stranger(key)
        unread = await history.unread()
        said = await self._users.elsewhere.last(last)
        latest = {key: one for key, one in said.items() if key in people and key not in unread}
        return Beginning(
            me=client.username,
            where=client.relay,
            people=tuple(people.values()),
            last=last | latest,
            unread=unread,
            bio=self._bio,
        )

    async def _ask_bio(self) -> None:
        _, client = self._opened()
        try:
            self._bio = (await client.presence.ask(client.username)).bio or ""
        except ClientError as error:
            _log.info("our own bio is not known: {why}", why=str(error))

    # -- what the window asks ----------------------------------------------------------------

    async def page(self, key: str, before: int | None, most: int, beyond: int | None = None) -> list[Line]:
        """From the history, and what was said with the peer that the user has proved to be."""
        history, _ = self._opened()
        own = [shown(stored, key) for stored in await history.page(key, before, most)]
        return await self._users.elsewhere.page(key, own, beyond, most)

    async def send(self, key: str, text: str) -> Line:
        """Keep it, then give it to the library."""
        history, _ = self._opened()
        at = int(self._reactor.seconds() * 1000)
        line = StoredLine(key, self._new_id(), text, at)
        stored = await history.add(line, self._users.spelling(key))
        assert stored is not None, "a message id was made twice"
        self._spawn(self._deliver(stored))
        return shown(stored, stored.contact)

    async def retry(self, line: Line) -> Line:
        """The same message with the same id: whoever has had it shows it once."""
        history, _ = self._opened()
        stored = await history.settle(line.id, "sending")
        if stored is None:
            return line
        self._spawn(self._deliver(stored))
        return shown(stored, stored.contact)

    async def read(self, key: str, number: int) -> None:
        """Remember it."""
        history, _ = self._opened()
        await history.mark(key, number)

    async def add(self, address: str, name: str) -> Person | None:
        """Add a contact."""
        _, client = self._opened()
        try:
            contact = await client.roster.add(address, name or None)
        except ClientError as error:
            raise problem(error, "user") from error
        return self._users.person(client, contact)

    async def rename(self, key: str, name: str) -> None:
        """Call a contact something else."""
        _, client = self._opened()
        user = self._users.spelling(key)
        try:
            contact = await client.roster.rename(user, name or user)
        except ClientError as error:
            raise problem(error, "name") from error
        self._tell(PersonChanged(self._users.person(client, contact)))

    async def remove(self, key: str) -> None:
        """Take a contact off the roster, and its lines out of the history."""
        history, client = self._opened()
        try:
            if self._users.spelling(key) in client.roster:
                await client.roster.remove(self._users.spelling(key))
        except ClientError as error:
            raise problem(error) from error
        await history.forget(key)
        self._tell(PersonGone(key))

    async def set_bio(self, text: str) -> None:
        """Tell the manager."""
        _, client = self._opened()
        try:
            await client.presence.set(bio=text)
        except ClientError as error:
            raise problem(error, "bio") from error
        self._bio = text

    async def say_to_all(self, text: str) -> list[Line]:
        """To each contact that is online."""
        _, client = self._opened()
        people = [self._users.person(client, one) for one in client.roster]
        return [await self.send(one.key, text) for one in people if one.state is State.ONLINE]

    # -- what the library tells --------------------------------------------------------------

    async def _hear(self) -> None:
        _, client = self._opened()
        try:
            async for event in client.events():
                await self._happened(event)
        except ClientError as error:
            if not self._stopping:
                ended = problem(error)
                self._tell(Over(ended if ended.text == REPLACED else problem_at_door(error, "", False)))

    async def _happened(self, event: Event) -> None:
        if isinstance(event, Message):
            await self._message(event)
        elif isinstance(event, Receipt):
            await self._settle(event.id, event)
        elif isinstance(event, Presence):
            await self._presence(event)
        elif isinstance(event, RosterChange):
            self._roster_changed(event)
        elif isinstance(event, RoadChange):
            await self._road_changed(event)
        elif isinstance(event, LinkState) and event.link == "relay":
            self._tell(LinkChanged(event.up, event.detail if event.up else ""))
        elif isinstance(event, Overflowed):
            self._tell(Missed())
        elif isinstance(event, Notice):
            _log.info("the {link} says {code}: {text}", link=event.link, code=event.code, text=event.text)

    async def _message(self, message: Message) -> None:
        """On disk before it is shown."""
        history, client = self._opened()
        user = message.from_.partition("/")[0]
        key = user_key(user)
        if key == user_key(client.username) or not message.body:
            return
        message_id = message.id or self._new_id()
        now = int(self._reactor.seconds() * 1000)
        line = StoredLine(key, message_id, message.body, now, incoming=True, state="received")
        stored = await self._surely(lambda: history.add(line, user))
        self._users.met(key, user)
        if stored is not None:
            if user not in client.roster:
                self._tell(PersonChanged(self._users.stranger(key)))
            self._tell(LineAdded(shown(stored, stored.contact)))

    async def _presence(self, presence: Presence) -> None:
        _, client = self._opened()
        contact = client.roster.get(presence.username)
        if contact is not None:
            self._tell(PersonChanged(self._users.person(client, contact)))

    async def _road_changed(self, change: RoadChange) -> None:
        """Somebody's key is proved; whoever knows it as a peer's reads that it is the same one."""
        history, client = self._opened()
        key = user_key(change.user)
        if change.direct:
            now = int(self._reactor.seconds() * 1000)
            proof = Proof(key, change.detail, self._own, self._door.tracker, now)
            await self._surely(lambda: history.prove(proof, change.user))
            if await self._users.recognize(key, change.detail):
                self._tell(Missed())  # what was said so far is another
        contact = client.roster.get(change.user)
        if contact is not None:
            self._tell(PersonChanged(self._users.person(client, contact)))

    def _roster_changed(self, change: RosterChange) -> None:
        _, client = self._opened()
        contact = change.contact
        key = user_key(contact.username)
        if change.removed:
            self._tell(PersonChanged(self._users.stranger(key)) if change.by_other else PersonGone(key))
            return
        self._tell(PersonChanged(self._users.person(client, contact)))
        if change.by_other and contact.subscription == "both":
            self._tell(Said(ADDED_BY, {"name": contact.name or contact.username}, key=key))

    # -- messages of ours --------------------------------------------------------------------

    async def _deliver(self, line: StoredLine) -> None:
        """Until its outcome; where the window is closed before, the next one goes on."""
        _, client = self._opened()
        try:
            to = self._users.spelling(line.contact)
            receipt = await client.send(to, line.text, id=line.message_id, timeout=PATIENCE)
        except Disconnected:
            return
        except ClientError as error:
            await self._fail(line.message_id, problem(error).text)
            return
        await self._settle(line.message_id, receipt)

    async def _settle(self, message_id: str, receipt: Receipt) -> None:
        if receipt.status == "failed":
            await self._fail(message_id, why_failed(receipt))
            return
        history, _ = self._opened()
        stored = await self._surely(lambda: history.settle(message_id, receipt.status))
        if stored is not None:
            self._tell(LineChanged(stored.contact, stored.message_id, PROGRESS[stored.state], stored.why))

    async def _fail(self, message_id: str, why: str) -> None:
        history, _ = self._opened()
        stored = await self._surely(lambda: history.settle(message_id, "failed", why))
        if stored is not None:
            self._tell(LineChanged(stored.contact, stored.message_id, PROGRESS[stored.state], stored.why))

    async def _surely(self, work: Callable[[], Deferred[T]]) -> T:
        """Write something; while the disk takes nothing, nothing more is taken from the library either."""
        told = False
        while True:
            try:
                return await work()
            except StoreError as error:
                if not told:
                    told = True
                    self._tell(Said(NO_HISTORY, {"why": str(error)}, warning=True))
            await deferLater(self._reactor, AGAIN)

    # -- what is open ------------------------------------------------------------------------

    def _opened(self) -> tuple[History, Client]:
        if self._history is None or self._client is None:
            raise Problem(NOT_CONNECTED)
        return self._history, self._client

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = Deferred.fromCoroutine(work)
        self._tasks.add(task)
        task.addErrback(self._broke)
        task.addBoth(lambda _: self._tasks.discard(task))

    def _broke(self, failure: Failure) -> None:
        if self._stopping and failure.check(CancelledError, Problem):
            return
        if not failure.check(CancelledError):
            _log.failure("something of the account {user} broke", failure, user=self._door.user)

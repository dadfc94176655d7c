# SPDX-License-Identifier: MIT
"""The world without servers: the window has a peer of its own inside, which listens and dials.

Whom it knows, what waits and what was said are the peer's, in its file; how far each conversation was
read is the window's. Runs in the reactor's thread. Must not import a toolkit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred, succeed

from xjrelay.domain.peers import Status
from xjrelay.gui.elsewhere import PROGRESS, Elsewhere, Read, nothing
from xjrelay.gui.problems import BAD_PORT, NOT_CONNECTED, TOO_LONG, TOO_MANY
from xjrelay.gui.words import mark
from xjrelay.gui.world import (
    Beginning,
    Kind,
    Line,
    LineAdded,
    LineChanged,
    PeersDoor,
    Person,
    PersonChanged,
    PersonGone,
    Problem,
    Said,
    State,
    Tell,
)
from xjrelay.servers.peer.events import Changed, Event, Forgotten, Met, PeerView, Received, Settled, Warned
from xjrelay.servers.peer.local import LocalPeer, NotConnected, TooLong, UnknownPeer
from xjrelay.servers.peer.service import PeerService
from xjrelay.servers.startup import KNOWN, StartupError
from xjrelay.storage.history import History, Kept, OpenHistory
from xjrelay.storage.interfaces import OutboxFull, PeerMessage, StoreError

UNREAD_LOOKED_AT = 100
"""Messages of a peer that are looked through for unread ones."""

PORT_IN_USE = mark("That port can't be used: {why}")
NOT_STARTED = mark("It didn't work: {why}")
NOT_A_PLACE = mark("An address looks like 192.168.1.7:5000.")
NOT_REACHED = mark("Nobody could be reached at {where}: {why}")
UNKNOWN = mark("That peer is not known any more.")
NO_BIO = mark("Peers have no bio.")
MET = mark("You have met {name} for the first time. Compare fingerprints: {fingerprint}")
MET_PLAIN = mark("You have met {name}, a program without encryption: anybody could pose as it.")
NAMESAKE = mark("This {name} is not the {name} you knew: compare fingerprints ({fingerprint}).")
POSED = mark(
    "Somebody in the place of {name} shows another key and was refused. Either {name} has a new key, or "
    "somebody poses as it. Ask; if all is well, remove the old {name}."
)
LIED = mark("Somebody gave an id that is not its own, and was refused.")

_STATE = {Status.HERE: State.ONLINE, Status.RETURNING: State.RESUMING, Status.GONE: State.OFFLINE}
MakePeer = Callable[[PeersDoor], tuple[MultiService, PeerService]]
"""Makes a program with a peer in it, not started; and the peer's service in there."""
Users = Callable[[str], Deferred[dict[str, Kept]]]
"""Looks up, given our own id, who has proved to an account of this computer to be which peer."""


def _none(own: str) -> Deferred[dict[str, Kept]]:
    return succeed({})


class PeersWorld:
    """A peer, as the window sees it. A :class:`~xjrelay.gui.world.World`.

    Args:
        door: its name and port.
        tell: hears what happens.
        folder: this peer's own; made when it isn't there.
        make_peer: makes the peer, not started.
        open_history: makes the store of what was read.
        users: finds those who are known as users too, by their ids.
        read: reads what was said with them by the servers.
    """

    kind = Kind.PEERS

    def __init__(
        self,
        door: PeersDoor,
        tell: Tell,
        folder: Path,
        make_peer: MakePeer,
        open_history: OpenHistory,
        users: Users = _none,
        read: Read = nothing,
    ) -> None:
        self._users = users
        self._elsewhere = Elsewhere(Kind.SERVERS, read)
        self._door = door
        self._tell = tell
        self._folder = folder
        self._make_peer = make_peer
        self._open_history = open_history
        self._program: MultiService | None = None
        self._service: PeerService | None = None
        self._marks: History | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    # -- beginning and end -------------------------------------------------------------------

    async def start(self) -> Beginning:
        """Listen, and dial whom we know."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._marks = self._open_history(self._folder / "window.sqlite")
            self._program, service = self._make_peer(self._door)
            self._program.startService()
        except (StartupError, *KNOWN) as error:
            await self._close_marks()
            text = PORT_IN_USE if "listen" in str(error) else NOT_STARTED
            raise Problem(text, "port", why=str(error)) from error
        self._service = service
        try:
            await service.started
        except StoreError as error:
            await self.stop()
            raise Problem(NOT_STARTED, "name", why=str(error)) from error
        self._unsubscribe = service.peer.subscribe(self._happened)
        return await self.overview()

    async def stop(self) -> None:
        """Say good-bye to everybody; what waits is on disk."""
        self._unsubscribe()
        if self._service is not None and self._program is not None:
            await maybeDeferred(self._program.stopService)
        await self._close_marks()

    async def _close_marks(self) -> None:
        if self._marks is not None:
            await self._marks.close()

    async def overview(self) -> Beginning:
        """Everything, from the peer."""
        peer, marks = self._opened()
        self._elsewhere.kept = await self._users(peer.own_id)
        read_to = await marks.marks()
        last = {key: _line(said) for key, said in (await peer.last()).items()}
        unread = {}
        for key, line in last.items():
            if line.number > read_to.get(key, 0) and (count := await self._unread(key, read_to.get(key, 0))):
                unread[key] = count
        people = tuple(self._person(one) for one in peer.peers())
        said = await self._elsewhere.last(last)
        latest = {one.key: said[one.key] for one in people if one.key in said and one.key not in unread}
        return Beginning(
            me=peer.name,
            where=self._where(),
            people=people,
            last=last | latest,
            unread=unread,
            fingerprint=peer.fingerprint,
        )

    async def _unread(self, key: str, read_to: int) -> int:
        peer, _ = self._opened()
        said = await peer.history(key, None, UNREAD_LOOKED_AT)
        return sum(one.incoming and one.number > read_to for one in said)

    def _where(self) -> str:
        assert self._service is not None
        return ", ".join(_written(place.host, place.port) for place in self._service.listening.places)

    # -- what the window asks ----------------------------------------------------------------

    async def page(self, key: str, before: int | None, most: int, beyond: int | None = None) -> list[Line]:
        """From the peer's store, and what was said by the servers with whom the peer has proved to be."""
        peer, _ = self._opened()
        own = [_line(said) for said in await peer.history(key, before, most)]
        return await self._elsewhere.page(key, own, beyond, most)

    async def send(self, key: str, text: str) -> Line:
        """Into the peer's outbox."""
        peer, _ = self._opened()
        try:
            return _line(await peer.send(key, text))
        except UnknownPeer as error:
            raise Problem(UNKNOWN) from error
        except (TooLong, OutboxFull) as error:
            raise Problem(TOO_LONG if isinstance(error, TooLong) else TOO_MANY) from error

    async def retry(self, line: Line) -> Line:
        """Nothing fails here: what can't go waits."""
        return line

    async def read(self, key: str, number: int) -> None:
        """Remember it."""
        _, marks = self._opened()
        await marks.mark(key, number)

    async def add(self, address: str, name: str) -> Person | None:
        """Connect to a peer."""
        peer, _ = self._opened()
        host, port = _place(address)
        try:
            peer_id = await peer.connect(host, port)
        except NotConnected as error:
            raise Problem(NOT_REACHED, "host", where=_written(host, port), why=str(error)) from error
        if name:
            peer.rename(peer_id, name)
        found = peer.peer(peer_id)
        return None if found is None else self._person(found)

    async def rename(self, key: str, name: str) -> None:
        """Call a peer something else here."""
        peer, _ = self._opened()
        try:
            peer.rename(key, name)
        except UnknownPeer as error:
            raise Problem(UNKNOWN) from error

    async def remove(self, key: str) -> None:
        """Forget a peer."""
        peer, marks = self._opened()
        await peer.forget(key)
        await marks.forget(key)

    async def set_bio(self, text: str) -> None:
        """There is none."""
        raise Problem(NO_BIO)

    async def say_to_all(self, text: str) -> list[Line]:
        """Broadcast."""
        peer, _ = self._opened()
        try:
            return [_line(said) for said in await peer.broadcast(text)]
        except (TooLong, OutboxFull) as error:
            raise Problem(TOO_LONG if isinstance(error, TooLong) else TOO_MANY) from error

    # -- what the peer tells -----------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        if isinstance(event, Received):
            self._tell(LineAdded(_line(event.message)))
        elif isinstance(event, Settled):
            for message_id in event.message_ids:
                self._tell(LineChanged(event.peer_id, message_id, PROGRESS[event.state]))
        elif isinstance(event, Changed):
            self._tell(PersonChanged(self._person(event.peer), event.why))
        elif isinstance(event, Met):
            self._met(event)
        elif isinstance(event, Forgotten):
            self._tell(PersonGone(event.peer_id))
        elif isinstance(event, Warned):
            self._warned(event)

    def _met(self, event: Met) -> None:
        peer = event.peer
        self._tell(PersonChanged(self._person(peer)))
        text = NAMESAKE if event.namesake and not peer.plain else MET_PLAIN if peer.plain else MET
        fields = {"name": peer.shown, "fingerprint": peer.fingerprint}
        self._tell(Said(text, fields, warning=event.namesake, key=peer.peer_id))

    def _warned(self, event: Warned) -> None:
        peer, _ = self._opened()
        known = peer.peer(event.peer_id) if event.peer_id else None
        if known is None:
            self._tell(Said(LIED, warning=True))
        else:
            self._tell(Said(POSED, {"name": known.shown}, warning=True, key=known.peer_id))

    def _opened(self) -> tuple[LocalPeer, History]:
        if self._service is None or self._marks is None:
            raise Problem(NOT_CONNECTED)
        return self._service.peer, self._marks

    def _person(self, peer: PeerView) -> Person:
        user = self._elsewhere.kept.get(peer.peer_id)
        return Person(
            key=peer.peer_id,
            name=peer.shown,
            address=_written(*peer.place) if peer.place else "",
            state=_STATE[peer.status],
            plain=peer.plain,
            fingerprint=peer.fingerprint,
            user="" if user is None else user.name,
            servers="" if user is None else user.servers,
        )


def _line(said: PeerMessage) -> Line:
    return Line(
        key=said.peer_id,
        id=said.message_id,
        text=said.text,
        at=said.at,
        incoming=said.incoming,
        progress=PROGRESS[said.state],
        number=said.number,
        broadcast=said.broadcast,
    )


def _place(text: str) -> tuple[str, int]:
    """``host:port`` as typed; the brackets of ``[::1]:5000`` fall away."""
    host, colon, port = text.strip().rpartition(":")
    host = host.strip("[]")
    if not colon or not host or any(char.isspace() for char in host):
        raise Problem(NOT_A_PLACE, "host")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise Problem(BAD_PORT, "port")
    return host, int(port)


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

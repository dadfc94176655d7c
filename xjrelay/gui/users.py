# SPDX-License-Identifier: MIT
"""The users at the servers as the window shows them, each with the peer that it has proved to be.

Runs in the reactor's thread. Must not import a toolkit.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xjrelay.client.model import Contact, user_key
from xjrelay.client.tx import Client
from xjrelay.domain.peers import fingerprint
from xjrelay.gui.elsewhere import Elsewhere, Peers
from xjrelay.gui.world import Kind, Person, State, Way
from xjrelay.storage.history import History, Kept


class Users:
    """How they are spelt, and which keys they have.

    Args:
        peers: who is known on this computer without servers.
        direct: whether direct links are wanted.

    Attributes:
        elsewhere: what was said with those who are known there.
    """

    def __init__(self, peers: Peers, direct: bool) -> None:
        self._peers = peers
        self._direct = direct
        self._spellings: dict[str, str] = {}
        self._keys: dict[str, str] = {}  # of those who were at the other end of one, by user
        self.elsewhere = Elsewhere(Kind.PEERS, peers.read)

    async def remember(self, history: History) -> None:
        """What the history knows of them."""
        self._spellings |= await history.spellings()
        self.elsewhere.kept.clear()
        for proof in await history.proofs():
            await self.recognize(proof.contact, proof.peer_id)

    async def recognize(self, key: str, peer_id: str) -> bool:
        """Somebody has that key; true where it leads to others' lines than before."""
        self._keys[key] = peer_id
        kept = await self._peers.find(peer_id)
        before = self.elsewhere.kept.pop(key, None)
        same = _where(kept) == _where(before)
        if kept is not None:  # what was said there since is for when everything is asked for again
            newest = before.newest if same and before is not None else kept.newest
            self.elsewhere.kept[key] = replace(kept, newest=newest)
        return not same

    def met(self, key: str, user: str) -> None:
        """Somebody wrote, with its name spelt so."""
        self._spellings.setdefault(key, user)

    def person(self, client: Client, contact: Contact) -> Person:
        """Somebody on the roster, as it is now."""
        key = user_key(contact.username)
        self._spellings[key] = contact.username
        peer = self.elsewhere.kept.get(key)
        presence = client.presence.get(contact.username)
        state = State.OFFLINE
        if presence is not None and presence.online:
            state = State.RESUMING if presence.resuming else State.ONLINE
        bio = (presence.bio or "") if presence is not None else ""
        way = None
        if self._direct:
            way = Way.DIRECT if client.is_direct(contact.username) else Way.RELAY
        return Person(
            key,
            contact.name or contact.username,
            contact.username,
            state,
            bio,
            fingerprint=fingerprint(self._keys.get(key, "")),
            way=way,
            peer="" if peer is None else peer.name,
        )

    def stranger(self, key: str) -> Person:
        """Somebody who is not on the roster."""
        name = self.spelling(key)
        return Person(key, name, name, contact=False)

    def spelling(self, key: str) -> str:
        """How somebody writes its own name."""
        return self._spellings.get(key, key)


def _where(kept: Kept | None) -> tuple[Path, str] | None:
    """Where lines are; None where there are none."""
    return None if kept is None or not kept.newest else (kept.file, kept.key)

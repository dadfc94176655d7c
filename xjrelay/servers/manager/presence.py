# SPDX-License-Identifier: MIT
"""A user's presence stanzas carried out (protocol, section 6; RFC 6121, 4).

What is said of a user is read from the board at the moment of sending, never carried across a
wait: whatever happens meanwhile, the last thing a contact hears is true. This module must
not decide who hears whom: the roster's rows do.
"""

from __future__ import annotations

from dataclasses import replace

from xjrelay.domain.presence import Availability, Change
from xjrelay.servers.manager.state import Manager
from xjrelay.servers.manager.users import User, presence_stanza
from xjrelay.storage.interfaces import Profile
from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.stanzas import Presence


async def take(manager: Manager, user: User, presence: Presence) -> None:
    """Carry out a presence stanza; success is answered by what it brings about.

    Raises:
        RemoteError: 403, ``from`` is somebody else; 400, a type only a server sends.
        StoreError: not now.
    """
    if presence.from_ is not None and not is_self(user, presence.from_):
        raise RemoteError(Code.FORBIDDEN, "a presence is from oneself")
    if presence.type is not None:
        if presence.type != "unavailable" or presence.to is not None:
            raise RemoteError(Code.BAD_REQUEST, "a presence of this type is not expected here")
        log_out(manager, user)
    elif presence.to is not None:
        await _direct(manager, user, presence.to)
    else:
        await _available(manager, user, presence)


def log_out(manager: Manager, user: User) -> None:
    """The user said it leaves: its login, its presence and its relay session end (M29)."""
    manager.relays.revoke(user.username, user.session, CloseReason.LOGGED_OUT, user.resource)
    gone(manager, user)
    user.link.close(CloseReason.LOGGED_OUT)


def gone(manager: Manager, user: User) -> None:
    """The device is not there any more; its contacts hear of it, its relay session is left be (M31)."""
    if not manager.users.is_live(user):
        return
    profile = manager.users.profile(user)
    change = manager.users.leave(user)
    if change is not Change.NOTHING and not manager.stopping:
        manager.spawn(f"telling that {user.link.name} went", announce(manager, profile))


def reached(manager: Manager, key: str, resource: str) -> None:
    """A device can be reached with a message, or can't, from now on: its contacts hear of it."""
    profile = manager.users.reached(key, resource, manager.sessions.reach(key, resource))
    if profile is not None and not manager.stopping:
        manager.spawn(f"telling whether {profile.username} is there", announce(manager, profile))


async def announce(manager: Manager, profile: Profile) -> None:
    """Tell every contact that hears a user what there is to see of it now (M24, M26, M30)."""
    listeners = await manager.stores.roster.listeners(profile.key)
    with manager.gathering():
        presence = manager.users.presence(profile)
        for key in listeners:
            for device in manager.users.devices(key):
                stanza = presence_stanza(presence, device.username)
                if not presence.online:
                    stanza.type = "unavailable"
                device.send(stanza)


def is_self(user: User, text: object) -> bool:
    """Whether an address from the wire is the user's own, bare or with its resource."""
    if not isinstance(text, str):
        return False
    try:
        given = address.parse(text)
        return given.key == user.key and given.resource in ("", user.resource)
    except address.InvalidAddress:
        return False


async def _available(manager: Manager, user: User, presence: Presence) -> None:
    """An initial or changed presence, a new bio, or both in one."""
    if presence.bio is not None:
        now = manager.now_ms()
        await manager.stores.accounts.set_bio(user.key, presence.bio, now)
        if not manager.users.is_live(user):
            return  # whoever is there in its place has its own presence
        profile = replace(manager.users.profile(user), bio=presence.bio, updated_at=now)
        manager.users.set_profile(profile)
    initial = False
    if presence.bio is None or presence.show is not None or presence.status is not None:
        initial = not manager.users.is_available(user)
        manager.users.appear(user, Availability(presence.show, presence.status))
    await announce(manager, manager.users.profile(user))
    if initial:
        await _contacts(manager, user)


async def _contacts(manager: Manager, user: User) -> None:
    """A device that has just become available hears of everybody its owner hears (M24)."""
    contacts = await manager.stores.roster.contacts(user.key)
    with manager.gathering():
        for contact in contacts:
            if contact.row.subscription.hears:
                user.send(presence_stanza(manager.users.presence(contact.profile), user.username))


async def _direct(manager: Manager, user: User, to: str) -> None:
    """The asker gets the target's presence, an online target the asker's (M27, M28)."""
    try:
        target = address.parse(to)
        account = await manager.stores.accounts.get(target.key)
    except address.InvalidAddress:
        account = None
    if account is None:
        user.send(Presence(type="error", to=user.username, target=to))
        return
    theirs = manager.users.presence(account.profile)
    with manager.gathering():
        user.send(presence_stanza(theirs, user.username, directed=True))
        if not manager.users.is_live(user):
            return
        ours = manager.users.presence(manager.users.profile(user))
        for device in manager.users.devices(account.profile.key):
            device.send(presence_stanza(ours, account.profile.username, directed=True))

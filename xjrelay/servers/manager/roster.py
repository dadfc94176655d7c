# SPDX-License-Identifier: MIT
"""Roster iqs carried out (protocol, section 6; RFC 6121, 2 and 3).

The rules are :mod:`xjrelay.domain.roster`'s; here a request is read, the decision is made in the store's
own transaction, and each side is told in the order the protocol gives.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from xjrelay.domain import roster
from xjrelay.domain.roster import Decision
from xjrelay.servers.manager.iqs import answering, result
from xjrelay.servers.manager.state import Manager
from xjrelay.servers.manager.users import User, presence_stanza, roster_item, told_stanza
from xjrelay.storage.interfaces import Account, RosterFull, UnknownAccount
from xjrelay.wire import address
from xjrelay.wire.errors import Condition, StanzaError
from xjrelay.wire.stanzas import Iq


async def answer(manager: Manager, user: User, iq: Iq) -> None:
    """Carry out an iq and answer it."""
    await answering(user, iq, lambda: _carry_out(manager, user, iq))


async def _carry_out(manager: Manager, user: User, iq: Iq) -> None:
    if iq.namespace != "roster":
        raise StanzaError(Condition.BAD_REQUEST)
    if iq.type == "get" and "items" in iq.query:
        await _get(manager, user, iq)
    elif iq.type == "set" and isinstance(iq.query.get("item"), dict):
        await _set(manager, user, iq, iq.query["item"])
    else:
        raise StanzaError(Condition.BAD_REQUEST)


async def _get(manager: Manager, user: User, iq: Iq) -> None:
    contacts = await manager.stores.roster.contacts(user.key)
    items = [
        roster_item(contact.profile.username, contact.row)
        for contact in contacts
        if contact.row.subscription.hears
    ]
    user.send(result(user, iq, {"items": items}))


async def _set(manager: Manager, user: User, iq: Iq, item: dict[str, Any]) -> None:
    key = _contact_key(item.get("jid"))
    name = item.get("name")
    if name is not None and not isinstance(name, str):
        raise StanzaError(Condition.BAD_REQUEST)
    roster.check_change(user.key, key, name)
    removes = "remove" in (iq.subscription, item.get("subscription"))
    if not removes and (item.get("subscription") != "to" or iq.subscription not in (None, "to")):
        raise StanzaError(Condition.BAD_REQUEST)
    contact = await manager.stores.accounts.get(key)
    if contact is None:
        # A name that was never anybody's is in no roster: removing it is an ordinary bad request.
        raise StanzaError(Condition.BAD_REQUEST if removes else Condition.ITEM_NOT_FOUND)
    decide = roster.remove if removes else partial(roster.add, name=name)
    try:
        most = manager.policy.max_roster
        decision = await manager.stores.roster.change(user.key, key, decide, most)
    except UnknownAccount:
        raise StanzaError(Condition.ITEM_NOT_FOUND) from None
    except RosterFull:
        manager.context.counters.limited["max-roster"] += 1
        raise StanzaError(Condition.RESOURCE_CONSTRAINT) from None
    repeated = {**item, "jid": contact.profile.username}
    if not removes:
        repeated |= roster_item(contact.profile.username, decision.pair.asker)
    with manager.gathering():
        _tell_asker(manager, user, contact, decision)
        _tell_target(manager, user, contact, decision)
        user.send(result(user, iq, {"item": repeated}))


def _tell_asker(manager: Manager, user: User, contact: Account, decision: Decision) -> None:
    """Every device of the asker has the same roster, so each is told; the one that asked gets its
    result after that."""
    adds = decision.asker_told is roster.Told.SUBSCRIBED
    told = told_stanza(decision.asker_told, contact.profile.username, user.username, decision.pair.asker)
    presence = presence_stanza(manager.users.presence(contact.profile), user.username)
    for device in manager.users.devices(user.key):
        device.send(told)
        if adds:
            device.send(presence)


def _tell_target(manager: Manager, user: User, contact: Account, decision: Decision) -> None:
    if decision.target_told is None:
        return
    profile = contact.profile
    told = told_stanza(decision.target_told, user.username, profile.username, decision.pair.target)
    for device in manager.users.devices(profile.key):
        device.send(told)


def _contact_key(jid: object) -> str:
    if not isinstance(jid, str):
        raise StanzaError(Condition.BAD_REQUEST)
    try:
        contact = address.parse(jid)
        key = contact.key
    except address.InvalidAddress:
        raise StanzaError(Condition.BAD_REQUEST) from None
    if contact.resource:
        raise StanzaError(Condition.BAD_REQUEST)  # a contact is an account, not a device
    return key

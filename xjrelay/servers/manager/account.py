# SPDX-License-Identifier: MIT
"""An account changed or removed by its owner (protocol, section 6, namespace ``account``).

Whoever asks proves the password once more, so that an open session alone can't take an account
over. Both end every session there has been: links here at once, sessions on relays by a revocation
that reaches them within a round trip, and on relays out of reach when they are back
(:mod:`standing`). It must not decide what a password may be: the domain does.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from xjrelay.domain.accounts import MAX_PASSWORD, check_password
from xjrelay.domain.roster import Told
from xjrelay.security import scram
from xjrelay.servers.manager.attempts import SlowDown
from xjrelay.servers.manager.ending import end_everywhere
from xjrelay.servers.manager.iqs import answering, result
from xjrelay.servers.manager.login import derive, is_readable
from xjrelay.servers.manager.state import Manager
from xjrelay.servers.manager.users import User, presence_stanza, told_stanza
from xjrelay.storage.interfaces import Account, Contact, UnknownAccount
from xjrelay.wire.errors import CloseReason, Code, Condition, RemoteError, StanzaError
from xjrelay.wire.stanzas import Iq

_log = Logger()


async def answer(manager: Manager, user: User, iq: Iq) -> None:
    """Carry out an iq and answer it."""
    await answering(user, iq, lambda: _carry_out(manager, user, iq))


async def _carry_out(manager: Manager, user: User, iq: Iq) -> None:
    new, removes = iq.query.get("password"), iq.query.get("remove")
    if iq.type != "set" or (new is None) == (removes is not True):
        raise StanzaError(Condition.BAD_REQUEST)
    if is_readable(user.link) and not manager.policy.allow_plaintext:
        raise StanzaError(Condition.POLICY_VIOLATION)
    if new is not None:
        _check_new(new)
    account = await _proved(manager, user, iq.query.get("current"))
    if new is not None:
        await _change(manager, user, iq, new)
    else:
        await _remove(manager, user, iq, account)


def _check_new(password: Any) -> None:
    try:
        if not isinstance(password, str):
            raise StanzaError(Condition.BAD_REQUEST)
        check_password(password)
    except RemoteError:
        raise StanzaError(Condition.BAD_REQUEST) from None


async def _proved(manager: Manager, user: User, password: Any) -> Account:
    """The account, if that is its password."""
    if not isinstance(password, str) or not 0 < len(password) <= MAX_PASSWORD:
        raise StanzaError(Condition.BAD_REQUEST)
    account = await manager.stores.accounts.get(user.key)
    if account is None:
        raise StanzaError(Condition.NOT_AUTHORIZED)
    try:
        manager.attempts.guess(user.key, user.link.host)
    except SlowDown:
        raise StanzaError(Condition.RESOURCE_CONSTRAINT) from None
    if not await manager.in_thread(scram.verify, password, account.credentials):
        raise StanzaError(Condition.NOT_AUTHORIZED)
    manager.attempts.right(user.key, user.link.host)
    return account


async def _change(manager: Manager, user: User, iq: Iq, password: str) -> None:
    try:
        credentials = await derive(manager, password)
    except RemoteError:
        raise StanzaError(Condition.BAD_REQUEST) from None
    try:
        last = await manager.stores.accounts.replace_credentials(user.key, credentials)
    except UnknownAccount:
        raise StanzaError(Condition.NOT_AUTHORIZED) from None
    _log.info("{link} changed the password of {username}", link=user.link.name, username=user.username)
    reason = CloseReason.PASSWORD_CHANGED
    error = RemoteError(Code.UNAUTHORIZED, "Password changed", reason)
    end_everywhere(manager, user.username, user.key, last, error, but=user)
    user.send(result(user, iq, None))


async def _remove(manager: Manager, user: User, iq: Iq, account: Account) -> None:
    contacts = await manager.stores.roster.contacts(user.key)
    try:
        last = await manager.stores.accounts.remove(user.key)
    except UnknownAccount:
        raise StanzaError(Condition.NOT_AUTHORIZED) from None
    _log.info("{link} removed the account {username}", link=user.link.name, username=user.username)
    error = RemoteError(Code.UNAUTHORIZED, "Account removed", CloseReason.ACCOUNT_REMOVED)
    user.send(result(user, iq, None))
    end_everywhere(manager, user.username, user.key, last, error)
    _tell_contacts(manager, account, contacts)


def _tell_contacts(manager: Manager, account: Account, contacts: list[Contact]) -> None:
    """Whoever had the account in its roster has it no more; whoever heard it, hears that it went."""
    gone = manager.users.presence(account.profile)
    with manager.gathering():
        for contact in contacts:
            owner = contact.profile.username
            for device in manager.users.devices(contact.profile.key):
                if contact.row.subscription.heard:
                    stanza = presence_stanza(gone, owner)
                    stanza.type = "unavailable"
                    device.send(stanza)
                    device.send(told_stanza(Told.UNSUBSCRIBED, account.profile.username, owner, None))

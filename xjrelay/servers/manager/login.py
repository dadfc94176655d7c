# SPDX-License-Identifier: MIT
"""Registering and logging in (protocol, sections 6 and 9).

One conversation a link, by plain password or by SCRAM, both ending in the same place: the
login is claimed, and the answer carries the relay to use and the token that opens a session
there. Passwords are held only while a key is derived from them, off the reactor's thread, and
never reach a log. This module must not decide what an account may be called: the domain does.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from xjrelay.domain import accounts
from xjrelay.domain.accounts import Invitation
from xjrelay.net.protocol import Link
from xjrelay.net.tls import is_tls, own_certificate
from xjrelay.security import scram
from xjrelay.security.invitations import InvitationError
from xjrelay.security.scram import ScramError, ScramServer
from xjrelay.servers.manager import presence
from xjrelay.servers.manager.state import Manager
from xjrelay.servers.manager.users import User
from xjrelay.storage.interfaces import (
    Account,
    AccountExists,
    Credentials,
    InvitationSpent,
    Profile,
    StoreError,
)
from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.stanzas import Answer, Auth

REPLACED = "Replaced by another login"


@dataclass(frozen=True, slots=True)
class _Proof:
    """A SCRAM conversation under way, and what was asked with its first step."""

    server: ScramServer
    account: Account | None
    asked: Auth


class Login:
    """The conversation of one link until it is somebody's.

    Args:
        manager: whose accounts.
        link: the user's.
    """

    def __init__(self, manager: Manager, link: Link) -> None:
        self._manager = manager
        self._link = link
        self._proof: _Proof | None = None
        self._key = ""  # whose password the conversation under way is about

    @staticmethod
    def is_quick(auth: Auth) -> bool:
        """Whether a step needs no key derived: those that do wait for one another, and for nobody else."""
        return auth.mechanism is not None

    @property
    def has_begun(self) -> bool:
        """Whether a proof is under way."""
        return self._proof is not None

    async def step(self, auth: Auth) -> User | None:
        """One auth stanza.

        Returns:
            Whom the link now belongs to, answered already; None when there is a step to come, or
            the link was lost meanwhile.

        Raises:
            RemoteError: refused; the link may try again.
            StoreError: not now.
        """
        if auth.mechanism is not None:
            return await self._scram(auth)
        self._proof = None
        self._refuse_plaintext()
        username, password = _text(auth.username, "username"), _text(auth.password, "password")
        if auth.register:
            account = await self._register(username, password, auth.invitation)
            return await self._enter(account, auth, Code.CREATED, "Account created")
        return await self._enter(await self._check(username, password), auth)

    async def _register(self, username: str, password: str, code: str | None) -> Account:
        manager = self._manager
        if manager.policy.registration == "closed":
            raise RemoteError(Code.FORBIDDEN, "Registration is closed")
        invitation = manager.invitation(code) if manager.policy.registration == "invite" else None
        key, spelling = accounts.check_new_name(username)
        accounts.check_password(password)
        manager.attempts.register(self._link.host)
        try:
            return await self._make(key, spelling, password, invitation)
        except (RemoteError, StoreError):
            manager.attempts.not_registered(self._link.host)
            raise

    async def _make(self, key: str, spelling: str, password: str, invitation: Invitation | None) -> Account:
        manager = self._manager
        if await manager.stores.accounts.get(key) is not None:
            raise _taken()  # before the expensive part
        derived = await derive(manager, password)
        account = Account(Profile(key, spelling, manager.policy.default_bio, manager.now_ms()), derived)
        try:
            await manager.stores.accounts.create(account, invitation)
        except AccountExists:
            raise _taken() from None
        except InvitationSpent as error:
            raise InvitationError(str(error)) from None
        return account

    async def _check(self, username: str, password: str) -> Account:
        key = accounts.check_name(username)
        accounts.check_password(password)
        self._manager.attempts.guess(key, self._link.host)
        account = await self._manager.stores.accounts.get(key)
        credentials = self._credentials(key, account)
        right = await self._manager.in_thread(scram.verify, password, credentials)
        if account is None or not right:
            raise self._wrong()
        self._manager.attempts.right(key, self._link.host)
        return account

    async def _scram(self, auth: Auth) -> User | None:
        proof, self._proof = self._proof, None
        if auth.mechanism not in scram.MECHANISMS or auth.register or auth.data is None:
            raise RemoteError(Code.BAD_REQUEST, f"the mechanism is {scram.MECHANISM}, with data, to log in")
        try:
            if proof is None:
                await self._challenge(auth, auth.data)
                return None
            self._manager.attempts.guess(self._key, self._link.host)
            final = proof.server.final(auth.data)
            self._manager.attempts.right(self._key, self._link.host)
        except ScramError as error:
            raise self._wrong() if error.wrong else RemoteError(Code.BAD_REQUEST, str(error)) from None
        assert proof.account is not None, "no proof fits a decoy"
        self._link.send(Auth(mechanism=auth.mechanism, data=final))
        asked = proof.asked
        asked.id = auth.id or asked.id
        return await self._enter(proof.account, asked)

    async def _challenge(self, auth: Auth, data: str) -> None:
        address.resource(auth.resource)  # refused now rather than after the proof
        self._key = key = accounts.check_name(scram.username_of(data))
        self._manager.attempts.may_guess(key, self._link.host)
        account = await self._manager.stores.accounts.get(key)
        certificate = own_certificate(self._link.transport)
        credentials = self._credentials(key, account)
        server = ScramServer(credentials, nonce=self._manager.nonce, certificate=certificate)
        first = server.first(data, auth.mechanism or "")
        self._proof = _Proof(server, account, auth)
        self._link.send(Auth(mechanism=auth.mechanism, data=first))

    def _credentials(self, key: str, account: Account | None) -> scram.Kept:
        if account is not None:
            return account.credentials
        if not self._manager.policy.hide_accounts:
            raise RemoteError(Code.NOT_FOUND, "User not found")
        assert self._manager.decoy is not None
        return self._manager.decoy.credentials(key)

    def _wrong(self) -> RemoteError:
        if self._manager.policy.hide_accounts:
            return RemoteError(Code.UNAUTHORIZED, "Unknown user or wrong password")
        return RemoteError(Code.BAD_REQUEST, "Wrong password")

    async def _enter(
        self, account: Account, auth: Auth, code: Code = Code.OK, msg: str = "Login successful"
    ) -> User | None:
        """The password was right: claim the login, end the one it replaces, answer."""
        if not self._link.is_open:
            return None
        self._refuse_banned(account)
        profile = account.profile
        user = User(profile.key, profile.username, address.resource(auth.resource), self._link)
        older = self._manager.users.enter(user, profile, replace=auth.replace)
        if older is not None:
            self._replaced(older, profile)
        try:
            component, token = await grant(self._manager, user)
            now = await self._manager.stores.accounts.get(user.key)
        except StoreError:
            presence.gone(self._manager, user)
            raise
        if not self._link.is_open:
            presence.gone(self._manager, user)
            return None
        if now is None or now.credentials != account.credentials:
            # The password was changed, or the account removed, after we looked and before we were
            # among the devices that this ends.
            presence.gone(self._manager, user)
            raise self._wrong()
        try:
            self._refuse_banned(now)
        except RemoteError:
            presence.gone(self._manager, user)
            raise
        if code is Code.OK and self._link.original:
            msg = "Login successfull"  # as the original spelt it
        user.told = True
        self._link.send(
            Answer(
                error=False,
                code=code,
                msg=msg,
                id=auth.id,
                component=component,
                token=token,
                username=user.username,
            )
        )
        return user

    def _refuse_banned(self, account: Account) -> None:
        """Only whoever has the password is told that it would be of no use."""
        if account.ban is not None and account.ban.holds(self._manager.now_ms()):
            raise RemoteError(Code.FORBIDDEN, account.ban.refusal())

    def _replaced(self, older: User, profile: Profile) -> None:
        manager = self._manager
        manager.relays.revoke(older.username, older.session, CloseReason.REPLACED, older.resource)
        older.link.refuse(RemoteError(Code.CONFLICT, REPLACED, CloseReason.REPLACED))
        manager.spawn(f"telling that {older.link.name} went", presence.announce(manager, profile))

    def _refuse_plaintext(self) -> None:
        if is_readable(self._link) and not self._manager.policy.allow_plaintext:
            raise RemoteError(Code.TLS_REQUIRED, "a plain password needs TLS; or use SCRAM-SHA-256")


async def derive(manager: Manager, password: str) -> Credentials:
    """The keys of a new password.

    Raises:
        RemoteError: 400, it holds a character that no password may.
    """
    salt = manager.random_bytes(scram.SALT_BYTES)
    try:
        made = await manager.in_thread(scram.derive, password, manager.policy.key_rounds, salt)
    except ScramError as error:
        raise RemoteError(Code.BAD_REQUEST, f"Invalid password: {error}") from None
    return Credentials(made.salt, made.iterations, made.stored_key, made.server_key)


def is_readable(link: Link) -> bool:
    """Whether somebody between the ends could read along."""
    return not _is_private(link)


async def grant(manager: Manager, user: User) -> tuple[list[dict[str, Any]], str | None]:
    """The relay a user is to use, in a list of one or none, and the token for a new session there.

    Raises:
        StoreError: no number for the session could be kept.
    """
    # The highest, since an older request of the same link may be answered by a later transaction.
    user.session = max(user.session, await manager.stores.accounts.next_session(user.key))
    seat = manager.relays.assign(user.key, user.resource)
    if seat is None:
        return [], None
    token = manager.signer.for_user(user.username, seat.name, user.resource, user.session)
    return [manager.relays.component(seat)], token


def _is_private(link: Link) -> bool:
    """Whether nobody between the ends can read along: TLS, loopback, or a UNIX socket."""
    if is_tls(link.transport) or not link.host:
        return True
    try:
        host = ip_address(link.host)
    except ValueError:
        return False
    mapped = getattr(host, "ipv4_mapped", None)
    return (mapped or host).is_loopback


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise RemoteError(Code.BAD_REQUEST, f"a {what} is needed, as a string")
    return value


def _taken() -> RemoteError:
    return RemoteError(Code.CONFLICT, "Username used")

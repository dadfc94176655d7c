# SPDX-License-Identifier: MIT
"""What an operator may do to a manager: its accounts, sessions, relays, keys and invitations.

Who may, and that it is written down, ``servers.acting`` has seen to. Each act ends where a user's own
would: the store first, then links and relays. It must not read a request.
"""

from __future__ import annotations

import heapq
from base64 import b32encode
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec

from xjrelay.domain.accounts import Ban, check_password, check_reason
from xjrelay.security import invitations
from xjrelay.security.tokens import PUBLISHED
from xjrelay.servers.acting import Act, Arguments
from xjrelay.servers.manager.ending import end_device, end_everywhere
from xjrelay.servers.manager.login import derive
from xjrelay.servers.manager.rotation import Rotation
from xjrelay.servers.manager.state import Manager
from xjrelay.storage.interfaces import Account, UnknownAccount
from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason, Code, RemoteError

DAY_MS = 86_400_000
PAGE = 500
"""Accounts in one answer; ``next`` says where the following begin."""
FRESH_KEY = 2 * PUBLISHED + 30
"""Seconds between two changes of the signing key by hand: the four that are kept reach over the time that
tokens live."""
RESET_BYTES = 10

Page = Annotated[int, msgspec.Meta(ge=1, le=PAGE)]
Days = Annotated[float, msgspec.Meta(gt=0, le=36500)]


class Which(Arguments):
    """A page of a list: what comes after ``after``, ``most`` at most."""

    after: str = ""
    most: Page = PAGE


class WhichSessions(Which):
    """All, or one user's."""

    user: str | None = None


class EndSessions(Arguments):
    """Every session of a user, or those of one device."""

    user: str
    resource: str | None = None


class BanUser(Arguments):
    """Without ``days`` until it is lifted."""

    user: str
    reason: str = ""
    days: Days | None = None


class User(Arguments):
    """Whom."""

    user: str


class ResetPassword(Arguments):
    """Without ``password`` one is made."""

    user: str
    password: str | None = None


class DrainRelay(Arguments):
    """Without ``within`` the relay's own ``--drain``; seconds."""

    relay: str
    within: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0


class MoveUsers(Arguments):
    """So many, spread over half of ``within`` seconds; the relay gets nobody for ``spare`` seconds."""

    relay: str
    users: Annotated[int, msgspec.Meta(ge=1, le=10**6)]
    within: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    spare: Annotated[float, msgspec.Meta(ge=0, le=7 * 86400)] = 600.0


class RotateSecret(Arguments):
    """``begin``, ``switch`` or ``finish`` (``security.secret``)."""

    step: Literal["begin", "switch", "finish"]


class Invite(Arguments):
    """For so many accounts, for so many days."""

    count: Annotated[int, msgspec.Meta(ge=1, le=invitations.MAX_COUNT)] = 1
    days: Days = 7.0


class Acts:
    """A manager's.

    Args:
        manager: whose.
        rotation: changes its signing key.
        change_secret: changes the cluster's secret and has it read again.
        in_force: the options, and where each was said.
    """

    def __init__(
        self,
        manager: Manager,
        rotation: Rotation,
        change_secret: Callable[[str], Awaitable[int]],
        in_force: Callable[[], dict[str, Any]],
    ) -> None:
        self._manager = manager
        self._rotation = rotation
        self._change_secret = change_secret
        self._in_force = in_force

    def table(self) -> dict[str, Act]:
        """Every act, by name."""
        return {
            "sessions": Act("read", "who is logged in, and where", WhichSessions, self.sessions, False),
            "end": Act(
                "sessions", "end a user's sessions, everywhere or on one device", EndSessions, self.end
            ),
            "bans": Act("read", "who is banned", Which, self.bans, False),
            "ban": Act("accounts", "log a user out everywhere, and let it in no more", BanUser, self.ban),
            "lift": Act("accounts", "let a banned user in again", User, self.lift),
            "password": Act("accounts", "give a user another password", ResetPassword, self.password),
            "relays": Act("read", "the relays, and how many users each has", Arguments, self.relays, False),
            "drain": Act("relays", "send a relay's users elsewhere, and stop it", DrainRelay, self.drain),
            "move": Act("relays", "send some of a relay's users elsewhere for a while", MoveUsers, self.move),
            "rotate-keys": Act("keys", "sign tokens with a new key", Arguments, self.rotate_keys),
            "rotate-secret": Act(
                "keys", "a step to another cluster secret", RotateSecret, self.rotate_secret
            ),
            "invite": Act("invitations", "make an invitation", Invite, self.invite),
            "config": Act("read", "the options in force", Arguments, self.config, False),
        }

    # -- sessions ----------------------------------------------------------------------------

    async def sessions(self, asked: WhichSessions) -> dict[str, Any]:
        """``{"sessions": [{"user", "resource", "from", "relay", "session", "state"}], "next"}``."""
        users, where = self._manager.users, self._manager.sessions.where
        if asked.user is not None:
            return {"sessions": self._devices(_key(asked.user)), "next": None}
        rising = (key for key in chain(users.keys(), where.keys()) if key > asked.after)
        keys = heapq.nsmallest(asked.most, set(rising))
        return {
            "sessions": [row for key in keys for row in self._devices(key)],
            "next": keys[-1] if len(keys) == asked.most else None,
        }

    def _devices(self, key: str) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for device in self._manager.users.devices(key):
            row: dict[str, Any] = {"user": device.username, "resource": device.resource}
            row["from"] = device.link.host or "unix"
            row.update(relay=None, session=device.session or None, state="logged in")
            found[device.resource] = row
        for stay in self._manager.sessions.where.stays(key):
            fresh = {"user": stay.username, "resource": stay.resource, "from": None}
            row = found.setdefault(stay.resource, fresh)
            state = self._manager.sessions.reach(key, stay.resource).value
            row.update(relay=stay.relay, session=stay.number, state=state)
        return list(found.values())

    async def end(self, asked: EndSessions) -> dict[str, Any]:
        """``{"user", "devices"}``: how many were logged in here."""
        account = await self._account(asked.user)
        username, key = account.profile.username, account.profile.key
        error = RemoteError(Code.UNAUTHORIZED, "Ended by an operator", CloseReason.ENDED)
        if asked.resource is not None:
            return {"user": username, "devices": self._end_device(key, username, asked.resource, error)}
        last = await self._manager.stores.accounts.end_sessions(key)
        return {"user": username, "devices": end_everywhere(self._manager, username, key, last, error)}

    def _end_device(self, key: str, username: str, resource: str, error: RemoteError) -> int:
        manager = self._manager
        devices = [one for one in manager.users.devices(key) if one.resource == resource]
        stays = [one for one in manager.sessions.where.stays(key) if one.resource == resource]
        numbers = [*(one.session for one in devices), *(one.number for one in stays)]
        if not numbers:
            raise RemoteError(Code.NOT_FOUND, "there is no such device")
        assert error.close is not None
        manager.relays.revoke(username, max(numbers), error.close, resource)
        for device in devices:
            end_device(manager, device, error)
        return len(devices)

    # -- accounts ----------------------------------------------------------------------------

    async def ban(self, asked: BanUser) -> dict[str, Any]:
        """``{"user", "until", "devices"}``; its sessions are over when this is answered, or their relay is
        out of reach and ends them when it is back."""
        reason = check_reason(asked.reason)
        account = await self._account(asked.user)
        now = self._manager.now_ms()
        ban = Ban(reason, now, None if asked.days is None else now + int(asked.days * DAY_MS))
        profile = account.profile
        last = await self._manager.stores.accounts.ban(profile.key, ban)
        error = RemoteError(Code.FORBIDDEN, ban.refusal(), CloseReason.BANNED)
        devices = end_everywhere(self._manager, profile.username, profile.key, last, error)
        return {"user": profile.username, "until": ban.until, "devices": devices}

    async def lift(self, asked: User) -> dict[str, Any]:
        """``{"user"}``."""
        account = await self._account(asked.user)
        if not await self._manager.stores.accounts.lift(account.profile.key):
            raise RemoteError(Code.NOT_FOUND, f"{account.profile.username} is not banned")
        return {"user": account.profile.username}

    async def bans(self, asked: Which) -> dict[str, Any]:
        """``{"bans": [{"user", "reason", "since", "until"}], "next"}``."""
        after = _key(asked.after) if asked.after else ""
        found = await self._manager.stores.accounts.bans(self._manager.now_ms(), after, asked.most)
        rows = [
            {"user": name, "reason": ban.reason, "since": ban.since, "until": ban.until}
            for name, ban in found
        ]
        return {"bans": rows, "next": found[-1][0] if len(found) == asked.most else None}

    async def password(self, asked: ResetPassword) -> dict[str, Any]:
        """``{"user", "password", "devices"}``: the password where one was made, else null."""
        account = await self._account(asked.user)
        made = None
        if asked.password is None:
            made = b32encode(self._manager.random_bytes(RESET_BYTES)).decode().lower()
        new = asked.password or made or ""
        check_password(new)
        credentials = await derive(self._manager, new)
        profile = account.profile
        try:
            last = await self._manager.stores.accounts.replace_credentials(profile.key, credentials)
        except UnknownAccount:
            raise _unknown() from None
        error = RemoteError(Code.UNAUTHORIZED, "Password changed", CloseReason.PASSWORD_CHANGED)
        devices = end_everywhere(self._manager, profile.username, profile.key, last, error)
        return {"user": profile.username, "password": made, "devices": devices}

    async def _account(self, user: str) -> Account:
        account = await self._manager.stores.accounts.get(_key(user))
        if account is None:
            raise _unknown()
        return account

    # -- relays ------------------------------------------------------------------------------

    async def relays(self, asked: Arguments) -> dict[str, Any]:
        """``{"relays": [{"username", "ip_local", "port", "connection", "version"...}]}``."""
        seats = self._manager.relays.seats()
        return {
            "relays": [
                {**self._manager.relays.component(seat), "version": seat.hello.version} for seat in seats
            ]
        }

    async def drain(self, asked: DrainRelay) -> dict[str, Any]:
        """``{"relay", "users"}``: how many are to go."""
        return self._send_elsewhere(asked.relay, asked.within, None)

    async def move(self, asked: MoveUsers) -> dict[str, Any]:
        """``{"relay", "users"}``: how many are to go."""
        relays = self._manager.relays
        if not set(relays.takes_users()) - {asked.relay}:
            raise RemoteError(Code.CONFLICT, "there is no other relay they could go to")
        relays.spare(asked.relay, max(asked.spare, asked.within))
        return self._send_elsewhere(asked.relay, asked.within, asked.users)

    def _send_elsewhere(self, relay: str, within: float, users: int | None) -> dict[str, Any]:
        relays = self._manager.relays
        if not relays.drain(relay, within, users):
            raise RemoteError(Code.NOT_FOUND, f"there is no relay {relay} here")
        there = relays.count(relay)
        return {"relay": relay, "users": there if users is None else min(users, there)}

    # -- keys and invitations ----------------------------------------------------------------

    async def rotate_keys(self, asked: Arguments) -> dict[str, Any]:
        """``{"keys"}``: how many are known from now on."""
        age = self._manager.signer.age
        if age < FRESH_KEY:
            raise RemoteError(Code.CONFLICT, f"the key is new; try again in {FRESH_KEY - age:.0f} s")
        return {"keys": self._rotation.rotate()}

    async def rotate_secret(self, asked: RotateSecret) -> dict[str, Any]:
        """``{"step", "accepted"}``: how many secrets are accepted from now on."""
        return {"step": asked.step, "accepted": await self._change_secret(asked.step)}

    async def invite(self, asked: Invite) -> dict[str, Any]:
        """``{"code", "count", "expires"}``; seconds since 1970."""
        manager = self._manager
        expires = int(manager.context.clock.seconds() + asked.days * 86400)
        key = manager.secret.keys(invitations.PURPOSE)[0]
        try:
            code = invitations.invite(key, asked.count, expires, manager.random_bytes)
        except ValueError as error:
            raise RemoteError(Code.BAD_REQUEST, str(error)) from None
        return {"code": code, "count": asked.count, "expires": expires}

    async def config(self, asked: Arguments) -> dict[str, Any]:
        """``{"options": [{"name", "value", "source"}]}``."""
        return self._in_force()


def _key(user: str) -> str:
    return address.key(user)


def _unknown() -> RemoteError:
    return RemoteError(Code.NOT_FOUND, "User not found")

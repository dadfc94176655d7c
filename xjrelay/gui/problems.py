# SPDX-License-Identifier: MIT
"""Errors of the client library as sentences for the person at the window, beside the right field."""

from __future__ import annotations

from xjrelay.client.errors import (
    BadAddress,
    BadMessage,
    ClientError,
    Disconnected,
    Insecure,
    NoManager,
    NoRelay,
    NoTracker,
    OutboxBroken,
    OutboxFull,
    Refused,
    Replaced,
    TimedOut,
    Unreachable,
    Untrusted,
)
from xjrelay.client.model import Receipt
from xjrelay.gui.words import mark
from xjrelay.gui.world import Problem

NO_TRACKER = mark("Nobody answers at {where}. Is that the tracker's address, and is it running?")
NOT_AN_ADDRESS = mark("An address looks like 127.0.0.1:5000 or chat.example.org:5000.")
MISSING = mark("This is needed.")
BAD_PORT = mark("A port is a number from 1 to 65535.")
NO_SUCH_USER = mark("There is no user of that name.")
WRONG_PASSWORD = mark("The password is wrong.")
WRONG_EITHER = mark("The user name or the password is wrong.")
NAME_TAKEN = mark("That name is taken. Choose another, or log in.")
BAD_NAME = mark("A name has 1 to 64 characters, without spaces, / or @.")
BAD_PASSWORD = mark("That password can't be used: {why}")
CLOSED = mark("This server takes no new accounts.")
SLOW_DOWN = mark("Too many tries. Wait a moment.")
NO_SERVER = mark("The servers are not all running: {why}")
NOT_TRUSTED = mark("The server's certificate is not to be trusted: {why}")
IN_USE = mark("This account is open in another window on this computer.")
NOT_CONNECTED = mark("There is no connection at the moment.")
REPLACED = mark("You logged in somewhere else, so this window was logged out.")
TOO_LONG = mark("That text is too long to be sent.")
TOO_MANY = mark("Too many messages are on their way. Wait a moment.")
NO_ANSWER = mark("No answer came in time.")
OTHERWISE = mark("It didn't work: {why}")
NOT_THERE = mark("There is no such user, or it is not online.")
FULL = mark("The mailbox over there is full.")


def problem_at_door(error: ClientError, where: str, register: bool) -> Problem:
    """Why somebody didn't get in.

    Args:
        error: what the library said.
        where: the tracker's address as typed.
        register: whether an account was to be made.
    """
    if isinstance(error, NoTracker):
        return Problem(NO_TRACKER, "tracker", where=where)
    if isinstance(error, NoManager | NoRelay | Unreachable):
        return Problem(NO_SERVER, "tracker", why=str(error))
    if isinstance(error, Untrusted | Insecure):
        return Problem(NOT_TRUSTED, "tracker", why=str(error))
    if isinstance(error, BadAddress):
        return Problem(NOT_AN_ADDRESS, "tracker")
    if isinstance(error, OutboxBroken):
        return Problem(IN_USE if "in use" in str(error) else OTHERWISE, "user", why=str(error))
    if isinstance(error, Refused):
        return _refused_at_door(error, register)
    return problem(error)


def _refused_at_door(error: Refused, register: bool) -> Problem:
    if register and error.code == 400:
        if "assword" in error.msg:
            return Problem(BAD_PASSWORD, "password", why=error.msg)
        return Problem(BAD_NAME, "user")
    known = {
        400: (WRONG_PASSWORD, "password"),
        401: (WRONG_EITHER, "password"),
        403: (CLOSED, "user") if register else (OTHERWISE, "user"),  # banned, and the text says why
        404: (NO_SUCH_USER, "user"),
        409: (NAME_TAKEN if register else REPLACED, "user"),
        429: (SLOW_DOWN, "password"),
    }
    text, field = known.get(error.code, (OTHERWISE, ""))
    return Problem(text, field, why=str(error))


_SENTENCES: tuple[tuple[type[ClientError], str], ...] = (
    (Replaced, REPLACED),
    (Disconnected, NOT_CONNECTED),
    (TimedOut, NO_ANSWER),
    (BadMessage, TOO_LONG),
    (OutboxFull, TOO_MANY),
    (BadAddress, BAD_NAME),
)


def problem(error: ClientError, field: str = "") -> Problem:
    """Why something asked later didn't work."""
    for kind, text in _SENTENCES:
        if isinstance(error, kind):
            return Problem(text, field)
    if isinstance(error, Refused) and error.code == 404:
        return Problem(NO_SUCH_USER, field)
    return Problem(OTHERWISE, field, why=str(error))


def why_failed(receipt: Receipt) -> str:
    """Why a message was not taken, as a marked text."""
    return {404: NOT_THERE, 507: FULL, 413: TOO_LONG}.get(receipt.code or 0, NO_ANSWER)

# SPDX-License-Identifier: MIT
"""``xj register``, ``login``, ``password`` and ``unregister``: one's account."""

from __future__ import annotations

import argparse
from pathlib import Path

from xjrelay.cli.options import ONE_SHOT, Call
from xjrelay.cli.screen import safe
from xjrelay.client.aio import Client


def add_options(register: argparse.ArgumentParser, password: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj register`` and ``xj password``."""
    invited = "the invitation, where one is needed: a link or its code"
    register.add_argument("--invite", metavar="LINK", help=invited)
    new = "its first line is the new one (XJ_NEW_PASSWORD; else it is asked)"
    password.add_argument("--new-password-file", type=Path, metavar="FILE", help=new)


async def register(call: Call) -> int:
    """Make an account, and leave."""
    client = await call.connect(ONE_SHOT, register=True, invited=call.args.invite)
    _tell(call, client, f"Account {safe(client.username)} made. Now: xj chat --user {safe(client.username)}")
    await client.close()
    return 0


async def login(call: Call) -> int:
    """See whether the password is right, and leave."""
    client = await call.connect(ONE_SHOT)
    _tell(call, client, f"Logged in as {safe(client.username)} at the manager {client.manager}.")
    await client.close()
    return 0


async def password(call: Call) -> int:
    """Another password; every other session of the account ends."""
    current, new = call.password(), call.new_password()
    client = await call.connect(ONE_SHOT, password=current)
    try:
        await client.account.change_password(new)
        words = f"The password of {safe(client.username)} is changed, other devices are logged out."
        _tell(call, client, words)
    finally:
        await client.close()
    return 0


async def unregister(call: Call) -> int:
    """Remove the account."""
    client = await call.connect(ONE_SHOT)
    try:
        await client.account.remove()
        _tell(call, client, f"The account {safe(client.username)} is removed.")
    finally:
        await client.close()
    return 0


def _tell(call: Call, client: Client, words: str) -> None:
    call.screen.show(words, username=client.username, manager=str(client.manager))

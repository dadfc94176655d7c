# SPDX-License-Identifier: MIT
"""``xj register`` and ``xj login``."""

from __future__ import annotations

from xjrelay.cli.options import ONE_SHOT, Call
from xjrelay.cli.screen import safe
from xjrelay.client.aio import Client


async def register(call: Call) -> int:
    """Make an account, and leave."""
    client = await call.connect(ONE_SHOT, register=True)
    _tell(call, client, f"Account {safe(client.username)} made. Now: xj chat --user {safe(client.username)}")
    await client.close()
    return 0


async def login(call: Call) -> int:
    """See whether the password is right, and leave."""
    client = await call.connect(ONE_SHOT)
    _tell(call, client, f"Logged in as {safe(client.username)} at the manager {client.manager}.")
    await client.close()
    return 0


def _tell(call: Call, client: Client, words: str) -> None:
    call.screen.show(words, username=client.username, manager=str(client.manager))

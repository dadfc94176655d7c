# SPDX-License-Identifier: MIT
"""``xj chat``: the conversation at a terminal, or line by line where there is none."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout

from xjrelay.cli.conversation import Conversation
from xjrelay.cli.direct import direct_links
from xjrelay.cli.options import Call, UsageError
from xjrelay.client.aio import Client

ReadLine = Callable[[], Awaitable[str | None]]


async def chat(call: Call) -> int:
    """Talk until ``/quit``, the end of the input, or Ctrl-C."""
    if call.screen.as_json:
        raise UsageError("chat is for people; for scripts there are xj send --json and xj listen --json")
    async with direct_links(call) as direct:
        client = await call.connect(resource=call.args.resource, direct=direct)
        try:
            if sys.stdin.isatty() and sys.stdout.isatty():
                await _at_terminal(client)
            else:
                await _line_by_line(call, client)
        finally:
            await client.close()
    return 0


async def _at_terminal(client: Client) -> None:
    session: PromptSession[str] = PromptSession(erase_when_done=True)
    with patch_stdout():  # what is printed goes above the line being typed
        conversation = Conversation(client, print)

        async def read() -> str | None:
            try:
                return await session.prompt_async(lambda: conversation.prompt)
            except (EOFError, KeyboardInterrupt):
                return None

        await _talk(client, conversation, read)


async def _line_by_line(call: Call, client: Client) -> None:
    conversation = Conversation(client, call.screen.note)
    lines = stdin_lines()

    async def read() -> str | None:
        return await anext(lines, None)

    await _talk(client, conversation, read)


async def _talk(client: Client, conversation: Conversation, read: ReadLine) -> None:
    """Lines and events at once, until either ends; an error that ended the client is raised."""
    conversation.begin()
    typing = asyncio.ensure_future(_type(conversation, read))
    hearing = asyncio.ensure_future(_hear(client, conversation))
    try:
        await asyncio.wait([typing, hearing], return_when=asyncio.FIRST_COMPLETED)
        if hearing.done():
            hearing.result()
        if typing.done():
            typing.result()
            await conversation.finish()
    finally:
        for task in (typing, hearing):
            task.cancel()
        await asyncio.gather(typing, hearing, return_exceptions=True)


async def _type(conversation: Conversation, read: ReadLine) -> None:
    while (line := await read()) is not None:
        if not await conversation.typed(line):
            return


async def _hear(client: Client, conversation: Conversation) -> None:
    async for event in client.events():
        conversation.happened(event)


async def stdin_lines() -> AsyncIterator[str]:
    """Lines of standard input, which may be a file, a pipe or a terminal.

    Read by a daemon thread, because only a thread reads all three, and only a daemon one lets the
    program end while it waits. At most a hundred lines are read ahead.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue(100)

    def read() -> None:
        for line in iter(sys.stdin.readline, ""):
            asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
        asyncio.run_coroutine_threadsafe(queue.put(None), loop).result()

    threading.Thread(target=read, daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line

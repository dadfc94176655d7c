# SPDX-License-Identifier: MIT
"""A desktop on a bus of its own, and a window's notifier that shows something on it.

Run under ``dbus-run-session``; prints what the desktop was asked to show.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from xjrelay.gui.notify import Notifier

NAME = "org.freedesktop.Notifications"
METHODS: dict[str, tuple[str, str, list[Any]]] = {
    "Notify": ("susssasa{sv}i", "u", [1]),
    "GetServerInformation": ("", "ssss", ["test", "test", "1", "1.2"]),
    "GetCapabilities": ("", "as", [["body"]]),
    "CloseNotification": ("u", "", []),
}
"""What a desktop answers: what each method takes and gives, and the answer."""


def description() -> str:
    """The same as the bus wants to be told it."""

    def arguments(signature: str, direction: str) -> str:
        types = signature.replace("as", "A").replace("a{sv}", "D")
        names = {"A": "as", "D": "a{sv}"}
        return "".join(f'<arg direction="{direction}" type="{names.get(one, one)}"/>' for one in types)

    methods = "".join(
        f'<method name="{name}">{arguments(takes, "in")}{arguments(gives, "out")}</method>'
        for name, (takes, gives, _) in METHODS.items()
    )
    signals = (
        '<signal name="NotificationClosed"><arg type="u"/><arg type="u"/></signal>'
        '<signal name="ActionInvoked"><arg type="u"/><arg type="s"/></signal>'
    )
    return f'<node><interface name="{NAME}">{methods}{signals}</interface></node>'


async def main() -> None:
    """Show one, and print it."""
    bus = await MessageBus().connect()
    shown: asyncio.Queue[list[Any]] = asyncio.Queue()

    def handle(message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.member == "Introspect":
            return Message.new_method_return(message, "s", [description()])
        if message.member not in METHODS:
            return None
        if message.member == "Notify":
            shown.put_nowait(message.body)
        _, gives, answer = METHODS[message.member]
        return Message.new_method_return(message, gives, answer)

    bus.add_message_handler(handle)
    await bus.request_name(NAME)
    Notifier()("Bob", "Aku dari Bob")
    body = await asyncio.wait_for(shown.get(), 30)
    print(json.dumps([body[0], body[3], body[4]]))


if __name__ == "__main__":
    asyncio.run(main())

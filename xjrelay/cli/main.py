# SPDX-License-Identifier: MIT
"""The ``xj`` command: what was typed, to the function that does it, to an exit status."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from xjrelay.cli import (
    account,
    admin,
    certs,
    chat,
    config,
    direct,
    doctor,
    invite,
    keep,
    live,
    peer,
    people,
    plan,
    prove,
    status,
    talk,
    trace,
    window,
)
from xjrelay.cli.archive import ArchiveError
from xjrelay.cli.options import Call, Command, Plain, UsageError, common, top
from xjrelay.cli.screen import Screen
from xjrelay.client.errors import BadAddress, BadMessage, ClientError
from xjrelay.storage.interfaces import StoreError

DONE, REFUSED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: what was typed after ``xj``; the process's own when absent.

    Returns:
        The exit status: 0 done, 1 refused, 2 wrong usage, 130 interrupted.
    """
    args = parser().parse_args(argv)
    screen = Screen(args.json)
    call = Call(args, screen, os.environ)
    try:
        if args.command == window.gui:
            return window.gui(call)  # the toolkit has a loop of its own
        return asyncio.run(_run(args.command, call))
    except (UsageError, BadAddress, BadMessage) as error:
        screen.error(str(error))
        return WRONG_USAGE
    except (ClientError, ArchiveError, StoreError) as error:
        screen.error(str(error))
        return REFUSED
    except (KeyboardInterrupt, asyncio.CancelledError):
        # Ctrl-C is how these two are meant to end; the others were cut short.
        return DONE if args.command in (talk.listen, chat.chat, peer.peer, live.top) else INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads: say no more
        return REFUSED


async def _run(command: Command, call: Call) -> int:
    """The command; SIGTERM ends it as Ctrl-C does, logged out."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await command(call)


def parser() -> argparse.ArgumentParser:
    """Everything that may be typed."""
    xj = top()
    shared = common(again=True)
    commands = xj.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command | Plain, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, parents=[shared], help=help, description=help)
        made.set_defaults(command=command)
        return made

    registering = add("register", account.register, "make an account")
    add("login", account.login, "see whether user and password are right")
    account.add_options(registering, add("password", account.password, "change your password"))
    add("unregister", account.unregister, "remove your account")
    invite.add_options(add("invite", invite.invite, "a link by which accounts can be made, for operators"))
    send = add("send", talk.send, "send a message and say what became of it")
    send.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="default 30")
    send.add_argument("to", help="a user")
    send.add_argument("body", nargs="+", help="the text")
    listen = add("listen", talk.listen, "print the messages that arrive")
    listen.add_argument("--all", action="store_true", help="presence, contacts and links too")
    listen.add_argument("--count", type=int, default=0, metavar="N", help="end after so many messages")
    chatting = add("chat", chat.chat, "talk with people")
    for one in (listen, chatting):
        one.add_argument(
            "--resource", default="", metavar="NAME", help="this device; the same again replaces it"
        )
        direct.add_options(one)
    peer.add_options(add("peer", peer.peer, "talk with people without a server"))
    _add_people(add("roster", people.roster, "show or change your contacts"), roster=True)
    _add_people(add("presence", people.presence, "how others are, and your bio"), roster=False)
    gui = add("gui", window.gui, "the desktop window")
    window.add_arguments(gui)
    status.add_options(add("status", status.status, "the whole suite: who is there, its load, what is wrong"))
    top_help = "the same, kept live: how much each program carries a second"
    live.add_options(add("top", live.top, top_help))
    trace.add_options(add("trace", trace.trace, "one message's life over all the programs"))
    doctor.add_options(add("doctor", doctor.doctor, "what is wrong with this set-up, and what to do"))
    prove.add_options(add("prove", prove.prove, "whether messages are kept while things break"))
    plan.add_options(add("plan", plan.plan_here, "how many users this machine can take"))
    admin.add_options(add("admin", admin.admin, "act on running servers: sessions, bans, relays, keys"))
    config.add_options(add("config", config.main, "what is wrong with a configuration, and what is in force"))
    certs.add_options(add("certs", certs.certs, "an authority and certificates for servers of your own"))
    keep.add_commands(add)
    return xj


def _add_people(parser: argparse.ArgumentParser, roster: bool) -> None:
    """What follows ``roster`` and ``presence``."""
    parser.set_defaults(what="show")
    verbs = parser.add_subparsers(metavar="WHAT")

    def add(what: str, help: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(what, parents=[common(again=True)], help=help, description=help)
        made.set_defaults(what=what)
        return made

    add("show", "all contacts (what happens when nothing is said)")
    if roster:
        added, renamed = add("add", "add a contact"), add("rename", "call a contact something else")
        for one in (added, renamed, add("remove", "remove a contact")):
            one.add_argument("contact", metavar="USER")
        added.add_argument("name", nargs="?", metavar="NAME", help="what you call it")
        renamed.add_argument("name", metavar="NAME")
    else:
        add("ask", "how a user is").add_argument("contact", metavar="USER")
        add("set", "what others read about you").add_argument("--bio", metavar="TEXT")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError("a number of seconds above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""``xj admin``: what an operator does to a running manager, or to the node it is part of.

Each verb is one act over the admin endpoint (``docs/operating.md``). What a token may do it was made
for: ``cli.admin_host`` has the verbs that need no running program.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from xjrelay.cli.admin_host import (
    add_host_verbs,
    default_token_file,
    manager_folder,
)
from xjrelay.cli.doors import SOCKET, Door
from xjrelay.cli.options import Call, UsageError, common, first_line
from xjrelay.cli.posting import NoAdmin, post, private_door
from xjrelay.cli.screen import safe, table
from xjrelay.client.errors import Refused
from xjrelay.client.target import INVITATION

Verb = Callable[[Call], Awaitable[int]]

EPILOG = """\
The first time, on the manager's host:
  xj admin token --scope read --scope accounts --days 30 --save
  xj admin sessions
  xj admin ban USER --reason "..."
Scopes, one token may have several: read, sessions, accounts, relays, keys, invitations.
Every act is in the audit log beside the manager's data: xj admin audit, xj admin audit verify.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj admin``."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(required=True, metavar="WHAT")

    def add(name: str, verb: Verb, help: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, parents=[common(again=True)], help=help, description=help)
        made.set_defaults(verb=verb)
        add_where(made)
        return made

    add("sessions", sessions, "who is logged in, and where").add_argument("who", nargs="?", metavar="USER")
    ending = add("end", end, "end a user's sessions")
    ending.add_argument("--resource", metavar="NAME", help="those of this device alone")
    banning = add("ban", ban, "log a user out everywhere, and let it in no more")
    banning.add_argument("--reason", default="", metavar="TEXT", help="the user reads it")
    banning.add_argument("--days", type=float, metavar="D", help="without, until it is lifted")
    lifting = add("lift", lift, "let a banned user in again")
    add("bans", bans, "who is banned")
    resetting = add("reset-password", reset_password, "give a user another password")
    resetting.add_argument(
        "--new-password-file",
        type=Path,
        metavar="FILE",
        help="its first line; without, one is made and shown",
    )
    for one in (ending, banning, lifting, resetting):
        one.add_argument("who", metavar="USER")
    add("relays", relays, "the relays, and how many users each has")
    draining = add("drain", drain, "send a relay's users elsewhere, and stop it")
    draining.add_argument("--within", type=float, default=0.0, metavar="S", help="default: its --drain")
    moving = add("move", move, "send some of a relay's users elsewhere for a while")
    moving.add_argument("--users", type=int, required=True, metavar="N", help="how many")
    moving.add_argument(
        "--spare", type=float, default=600.0, metavar="S", help="give it no new ones for so long, default 600"
    )
    moving.add_argument("--within", type=float, default=10.0, metavar="S", help="default 10")
    for one in (draining, moving):
        one.add_argument("relay", metavar="RELAY", help="as xj admin relays names it")
    add("rotate-keys", rotate_keys, "sign tokens with a new key; nobody is logged out")
    add_host_verbs(add, rotate_secret)
    inviting = add("invite", invite, "make an invitation; the link names the tracker as --tracker does")
    inviting.add_argument("--count", type=int, default=1, metavar="N", help="accounts it makes, default 1")
    inviting.add_argument(
        "--days", type=float, default=7.0, metavar="D", help="days it is good for, default 7"
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """Where the manager is, and the token."""
    parser.add_argument(
        "--admin",
        metavar="PLACE",
        help="HOST:PORT on this machine, https://HOST:PORT, or the path of an admin.sock (XJ_ADMIN_URL;"
        " default: the one in the data folder)",
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the manager's data are")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="its first line is the token (XJ_ADMIN_TOKEN; default $XDG_CONFIG_HOME/xjrelay/admin.token)",
    )


async def admin(call: Call) -> int:
    """The verb."""
    verb: Verb = call.args.verb
    return await verb(call)


async def sessions(call: Call) -> int:
    """A row a device."""
    found = await _pages(call, "sessions", "sessions", {"user": call.args.who} if call.args.who else {})
    heads = ("user", "resource", "state", "relay", "session", "from")
    return _listed(call, found, heads)


async def end(call: Call) -> int:
    """All, or one device's."""
    said = {} if call.args.resource is None else {"resource": call.args.resource}
    done = await ask(call, "end", user=call.args.who, **said)
    return _done(call, f"The sessions of {safe(done['user'])} are ended.", done)


async def ban(call: Call) -> int:
    """Until a day, or until it is lifted."""
    said = {} if call.args.days is None else {"days": call.args.days}
    done = await ask(call, "ban", user=call.args.who, reason=call.args.reason, **said)
    until = f" until {_when(done['until'])}" if done["until"] else ""
    return _done(call, f"{safe(done['user'])} is banned{until}, and logged out everywhere.", done)


async def lift(call: Call) -> int:
    """Let in again."""
    done = await ask(call, "lift", user=call.args.who)
    return _done(call, f"{safe(done['user'])} may log in again.", done)


async def bans(call: Call) -> int:
    """A row an account."""
    found = await _pages(call, "bans", "bans", {})
    if not call.screen.as_json:
        for row in found:
            row.update(since=_when(row["since"]), until=_when(row["until"]) if row["until"] else "lifted")
    return _listed(call, found, ("user", "since", "until", "reason"))


async def reset_password(call: Call) -> int:
    """One from a file, or one that is made and shown this once."""
    file = call.args.new_password_file
    said = {} if file is None else {"password": first_line("--new-password-file", file)}
    done = await ask(call, "password", user=call.args.who, **said)
    words = f"The password of {safe(done['user'])} is changed, and every device logged out."
    if done["password"] is not None:
        words += f"\n{done['password']}"
    return _done(call, words, done)


async def relays(call: Call) -> int:
    """A row a relay."""
    found = (await ask(call, "relays"))["relays"]
    for row in found:
        row["place"] = f"{row['ip_local']}:{row['port']}"
    return _listed(call, found, ("username", "place", "connection", "version"))


async def drain(call: Call) -> int:
    """All of a relay's users."""
    done = await ask(call, "drain", relay=call.args.relay, within=call.args.within)
    return _done(
        call, f"{safe(done['relay'])} sends its {done['users']} users elsewhere, and takes no more.", done
    )


async def move(call: Call) -> int:
    """Some of a relay's users."""
    args = call.args
    done = await ask(call, "move", relay=args.relay, users=args.users, within=args.within, spare=args.spare)
    return _done(call, f"{safe(done['relay'])} sends {done['users']} users elsewhere.", done)


async def rotate_keys(call: Call) -> int:
    """Now."""
    done = await ask(call, "rotate-keys")
    return _done(call, f"Tokens are signed with a new key in a minute; {done['keys']} are known.", done)


async def rotate_secret(call: Call) -> int:
    """A step, on the manager's machine."""
    done = await ask(call, "rotate-secret", step=call.args.step)
    return _done(call, f"The cluster secret: {done['accepted']} accepted here now.", done)


async def invite(call: Call) -> int:
    """One link."""
    done = await ask(call, "invite", count=call.args.count, days=call.args.days)
    return _done(
        call,
        f"{call.url()}{INVITATION}{done['code']}",
        {**done, "link": f"{call.url()}{INVITATION}{done['code']}"},
    )


async def ask(call: Call, act: str, **said: Any) -> dict[str, Any]:
    """One act.

    Raises:
        NoAdmin: nothing answers.
        Refused: it was refused; the text says what to do.
        UsageError: where it is, or the token, was not said.
    """
    place = _place(call)
    code, answer = await post(call, place, f"/v1/{act}", _token(call), said)
    if code == 404 and not isinstance(answer, dict):
        raise NoAdmin(f"what answers at {place} does not act: only a manager or a node does")
    if code == 200 and isinstance(answer, dict):
        return answer
    why = str(answer.get("msg")) if isinstance(answer, dict) else "no answer"
    if code == 401:
        why += "; on the manager's host make one: xj admin token --scope SCOPE --days N"
    raise Refused(code, why)


async def _pages(call: Call, act: str, name: str, said: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = await ask(call, act, **said, **({"after": after} if after else {}))
        found += page[name]
        after = page["next"]
    return found


def _place(call: Call) -> Door:
    said = call.args.admin or next(iter(call.environ.get("XJ_ADMIN_URL", "").replace(",", " ").split()), None)
    if said:
        return private_door(said)
    folder = manager_folder(call)
    for here in (folder, folder.parent):
        if (here / SOCKET).exists():
            return Door(socket=str(here / SOCKET))
    raise NoAdmin(
        f"no manager runs on {folder}: there is no {SOCKET}; start it, or say --admin PLACE where one has"
        " --admin, or --data-dir DIR where its data are"
    )


def _token(call: Call) -> str:
    if call.args.token_file is not None:
        return first_line("--token-file", call.args.token_file)
    if "XJ_ADMIN_TOKEN" in call.environ:
        return call.environ["XJ_ADMIN_TOKEN"].strip()
    kept = default_token_file(call.environ)
    if kept is not None and kept.exists():
        return first_line("the token", kept)
    raise UsageError(
        "no token: on the manager's host make one, xj admin token --scope SCOPE --days N --save; else give"
        " --token-file FILE or XJ_ADMIN_TOKEN"
    )


def _done(call: Call, words: str, value: dict[str, Any]) -> int:
    call.screen.show(words, **value)
    return 0


def _listed(call: Call, rows: list[dict[str, Any]], heads: tuple[str, ...]) -> int:
    if call.screen.as_json:
        for row in rows:
            call.screen.show("", **row)
    elif rows:
        cells = [[safe("" if row.get(head) is None else row[head]) for head in heads] for row in rows]
        call.screen.note(table([[head.upper() for head in heads], *cells]))
    else:
        call.screen.note("None.")
    return 0


def _when(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))

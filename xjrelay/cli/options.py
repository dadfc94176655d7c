# SPDX-License-Identifier: MIT
"""What may be typed after ``xj``, and where the user, the password and the trackers come from."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from xjrelay import __version__
from xjrelay.cli.screen import Screen
from xjrelay.client.aio import Client, connect
from xjrelay.client.checks import check_user
from xjrelay.client.errors import BadAddress
from xjrelay.client.model import Direct
from xjrelay.client.session import Settings
from xjrelay.client.target import INVITATION, SCHEME, SECURE_SCHEME, Place, invitation, trackers

DEFAULT_TRACKER = "127.0.0.1:5000"

ONE_SHOT = Settings(available=False, messages=False)
"""For a command that asks something and goes: nobody sees it come or leave."""


class UsageError(Exception):
    """Typed wrongly: exit status 2, and one line that says what."""


Command = Callable[["Call"], Awaitable[int]]
Plain = Callable[["Call"], int]


@dataclass(frozen=True)
class Call:
    """One run of a command.

    Attributes:
        args: what was typed.
        screen: where it writes.
        environ: the process's environment.
    """

    args: argparse.Namespace
    screen: Screen
    environ: Mapping[str, str]

    def trackers(self) -> list[Place]:
        """The trackers, in the order they are asked.

        Raises:
            UsageError: one is no address.
        """
        given = self.args.tracker or self.environ.get("XJ_TRACKER", DEFAULT_TRACKER).split(",")
        try:
            found = [one for text in given for one in trackers(text if "://" in text else SCHEME + text)]
        except BadAddress as error:
            raise UsageError(f"--tracker: {error}") from None
        if len({one.tls for one in found}) > 1:
            raise UsageError("--tracker: all with TLS (xjs://), or none")
        return found

    def url(self) -> str:
        """The same as the library takes them."""
        found = self.trackers()
        scheme = SECURE_SCHEME if found[0].tls else SCHEME
        return scheme + ",".join(str(one) for one in found)

    def authority(self) -> str | None:
        """Whom to believe where TLS is spoken: a file or a fingerprint; None for the system's authorities."""
        said: str | None = self.args.authority or self.environ.get("XJ_AUTHORITY")
        return said

    def user(self) -> str:
        """Who it is.

        Raises:
            UsageError: not given, or no username.
        """
        user: str | None = self.args.user or self.environ.get("XJ_USER")
        if not user:
            raise UsageError("say who you are: --user NAME, or XJ_USER")
        try:
            check_user(user)
        except BadAddress as error:
            raise UsageError(str(error)) from None
        return user

    def password(self, twice: bool = False) -> str:
        """The password: from ``--password-file``, XJ_PASSWORD, or asked.

        Args:
            twice: ask a second time, as for a new account.

        Raises:
            UsageError: it can't be had, or the two differ.
        """
        if self.args.password_file is not None:
            return first_line("--password-file", self.args.password_file)
        if "XJ_PASSWORD" in self.environ:
            return self.environ["XJ_PASSWORD"]
        if not sys.stdin.isatty():
            raise UsageError("no password: give --password-file FILE or XJ_PASSWORD")
        return _ask(f"Password of {self.user()}: ", twice)

    def new_password(self) -> str:
        """The password to come: from ``--new-password-file``, XJ_NEW_PASSWORD, or asked twice.

        Raises:
            UsageError: it can't be had, or the two differ.
        """
        if self.args.new_password_file is not None:
            return first_line("--new-password-file", self.args.new_password_file)
        if "XJ_NEW_PASSWORD" in self.environ:
            return self.environ["XJ_NEW_PASSWORD"]
        if not sys.stdin.isatty():
            raise UsageError("no new password: give --new-password-file FILE or XJ_NEW_PASSWORD")
        return _ask(f"New password of {self.user()}: ", twice=True)

    async def connect(
        self,
        settings: Settings | None = None,
        register: bool = False,
        resource: str | None = None,
        invited: str | None = None,
        password: str | None = None,
        direct: Direct | None = None,
    ) -> Client:
        """Log in as the user.

        Args:
            settings: what to leave out.
            register: make the account.
            resource: the device; random when absent, so that the command replaces no running client.
            invited: to register with: a code, or a link, which also says where the tracker is.
            password: the user's; otherwise as :meth:`password` finds it.
            direct: how direct links to friends are made.
        """
        user, url = self.user(), self.url()
        if invited is not None and "://" in invited:
            code, here = invitation(invited) or "", self.args.tracker is None
            url = f"{invited.partition(INVITATION)[0] if here else url}{INVITATION}{code}"
        elif invited is not None:
            url = f"{url}{INVITATION}{invited}"
        password = self.password(twice=register) if password is None else password
        device = f"xj-{secrets.token_hex(4)}" if resource is None else resource
        return await connect(
            url,
            user,
            password,
            register=register,
            resource=device,
            authority=self.authority(),
            settings=settings,
            direct=direct,
        )


def first_line(option: str, path: Path) -> str:
    """What a file holds, up to its first line's end.

    Raises:
        UsageError: it can't be read.
    """
    try:
        return path.read_text("utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"{option} {path}: {reason}") from None


def _ask(prompt: str, twice: bool) -> str:
    """A password, typed.

    Raises:
        UsageError: the two differ.
    """
    password = getpass.getpass(prompt)
    if twice and getpass.getpass("The same again: ") != password:
        raise UsageError("the two passwords differ")
    return password


def common(again: bool = False) -> argparse.ArgumentParser:
    """The options every command has; they may stand before it and after it.

    Args:
        again: for a parser within the one that has them: what isn't typed there changes nothing.
    """
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS if again else None)
    parser.add_argument(
        "--tracker",
        action="append",
        metavar="HOST:PORT",
        help=f"a tracker, xjs://HOST:PORT for TLS; may be given several times (XJ_TRACKER, default"
        f" {DEFAULT_TRACKER})",
    )
    parser.add_argument(
        "--authority",
        metavar="FILE",
        help="who signed the servers' certificates: a PEM file, or sha256:... (XJ_AUTHORITY)",
    )
    parser.add_argument("--user", metavar="NAME", help="who you are (XJ_USER)")
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="its first line is the password (XJ_PASSWORD; else it is asked)",
    )
    default = argparse.SUPPRESS if again else False
    parser.add_argument(
        "--json", action="store_true", default=default, help="one JSON object a line, for scripts"
    )
    return parser


def top() -> argparse.ArgumentParser:
    """``xj`` itself."""
    parser = argparse.ArgumentParser(
        prog="xj",
        parents=[common()],
        description="Messages, contacts and presence from a terminal.",
        epilog="Exit status: 0 done, 1 refused (the reason on standard error), 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"xj {__version__}")
    return parser

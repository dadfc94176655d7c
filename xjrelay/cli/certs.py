# SPDX-License-Identifier: MIT
"""``xj certs``: an authority of one's own, and a certificate for each component."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from xjrelay.cli.options import Call, UsageError
from xjrelay.cli.screen import safe
from xjrelay.security.certificates import CertificateError
from xjrelay.security.folder import Folder, Issued


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj certs``."""
    where = "default $XDG_CONFIG_HOME/xjrelay/certs, or under ~/.config"
    parser.add_argument("--folder", type=Path, metavar="DIR", help=where)
    parser.add_argument("--renew", action="store_true", help="also what is good for longer than a month")
    parser.add_argument(
        "components",
        nargs="*",
        metavar="NAME[=HOST,...]",
        help="a component, and the names and addresses it is dialled by; those there are when none is given",
    )


async def certs(call: Call) -> int:
    """Make, add or renew; say what each is given."""
    folder = Folder(call.args.folder or default_folder(call.environ))
    wanted = [_component(text) for text in call.args.components] or [(name, []) for name in folder.names()]
    try:
        folder.authority(time.time())
        _tell_authority(call, folder)
        for name, hosts in wanted:
            _tell(call, folder.issue(name, hosts, time.time(), call.args.renew))
    except CertificateError as error:
        call.screen.error(str(error))
        return 1
    return 0


def default_folder(environ: Mapping[str, str]) -> Path:
    """Where it is when nobody says.

    Raises:
        UsageError: the environment doesn't say either.
    """
    if base := environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "xjrelay" / "certs"
    if home := environ.get("HOME"):
        return Path(home) / ".config" / "xjrelay" / "certs"
    raise UsageError("no place for the certificates: set HOME, or say --folder")


def _component(text: str) -> tuple[str, list[str]]:
    name, _, hosts = text.partition("=")
    return name, [host for host in hosts.split(",") if host]


def _tell_authority(call: Call, folder: Folder) -> None:
    pinned = folder.fingerprint()
    words = (
        f"authority: {folder.authority_file}\n"
        f"  servers get  --tls-authority {folder.authority_file}\n"
        f"  clients get  --authority {folder.authority_file}\n"
        f"  or           --authority {pinned}"
    )
    call.screen.show(words, authority=str(folder.authority_file), fingerprint=pinned)


def _tell(call: Call, issued: Issued) -> None:
    hosts = safe(", ".join(issued.hosts))
    words = (
        f"{issued.name}: {issued.change}, for {hosts}, ends in {issued.days:.0f} days\n"
        f"  --tls-certificate {issued.certificate} --tls-key {issued.key}"
    )
    call.screen.show(
        words,
        name=issued.name,
        change=issued.change,
        hosts=issued.hosts,
        days=round(issued.days, 1),
        certificate=str(issued.certificate),
        key=str(issued.key),
    )

# SPDX-License-Identifier: MIT
"""The verbs of ``xj admin`` that are done on the manager's host, whether it runs or not.

Tokens are made and revoked, the audit log is read and proved, and the cluster's secret is changed where
its program may not write it. Whoever can write the manager's data could do all of it by hand, so no
token is asked for; what is changed is in the audit log all the same.
"""

from __future__ import annotations

import argparse
import getpass
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from xjrelay.cli.doors import SYSTEM
from xjrelay.cli.keep import MANAGER, data_dir
from xjrelay.cli.options import Call, UsageError
from xjrelay.cli.screen import safe, table
from xjrelay.client.errors import ClientError
from xjrelay.domain.audit import Head
from xjrelay.security import admission, secret
from xjrelay.security.private import PrivateFileError, replace_private
from xjrelay.storage import audit
from xjrelay.storage.interfaces import StoreError

Verb = Callable[[Call], Awaitable[int]]
Add = Callable[[str, Verb, str], argparse.ArgumentParser]


ASIDE = ".before-restore"
"""In the name of what ``xj restore`` put aside."""


class HostError(ClientError):
    """It can't be done here."""


def add_host_verbs(add: Add, over_http: Verb) -> None:
    """What may be typed after them.

    Args:
        add: makes a parser.
        over_http: changes the secret by the running program.
    """
    making = add("token", token, "make a token (on the manager's host)")
    scopes = "; ".join(f"{name}: {what}" for name, what in admission.SCOPES.items())
    making.add_argument(
        "--scope", action="append", required=True, choices=[*admission.SCOPES, "all"], help=f"{scopes}"
    )
    making.add_argument("--days", type=float, default=30.0, metavar="N", help="it is good for, default 30")
    making.add_argument("--note", default="", metavar="TEXT", help="who has it, or what for")
    making.add_argument("--save", action="store_true", help="keep it where xj admin looks for one")
    add("tokens", tokens, "the tokens there are (on the manager's host)")
    revoking = add("revoke", revoke, "make a token good for nothing, at once (on the manager's host)")
    revoking.add_argument("id", metavar="ID", help="as xj admin tokens shows it")
    auditing = add(
        "audit", show_audit, "what was done (on the manager's host); audit verify: is it all there?"
    )
    auditing.add_argument("what", nargs="?", choices=["show", "verify"], default="show")
    auditing.add_argument("--count", type=int, default=20, metavar="N", help="show the last N, default 20")
    auditing.add_argument("--expect", metavar="NUMBER:HASH", help="a head noted earlier that must be there")

    async def rotating(call: Call) -> int:
        return await (rotate_file(call) if call.args.cluster_secret_file is not None else over_http(call))

    changing = add("rotate-secret", rotating, "change the cluster's secret, step by step")
    changing.add_argument("step", choices=secret.STEPS)
    changing.add_argument(
        "--cluster-secret-file",
        type=Path,
        metavar="FILE",
        help="change this file, on this machine, without asking the manager",
    )


async def token(call: Call) -> int:
    """Make one; it is shown this once."""
    folder, args = manager_folder(call), call.args
    scopes = list(admission.SCOPES) if "all" in args.scope else args.scope
    try:
        text, made = admission.issue(folder / admission.NAME, scopes, args.days, time.time(), args.note)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except (PrivateFileError, OSError) as error:
        raise HostError(str(error)) from error
    said = {"id": made.id, "scopes": made.scopes, "days": args.days, "note": made.note}
    _note(folder, "token", {**said, "scopes": ",".join(made.scopes)})
    if args.save:
        _save(call, text)
    else:
        call.screen.show(text, token=text, **said)
    return 0


def _save(call: Call, text: str) -> None:
    file = default_token_file(call.environ)
    if file is None:
        raise UsageError("no place for the token: set HOME, or leave --save out")
    try:
        replace_private(file, text.encode() + b"\n")
    except PrivateFileError as error:
        raise HostError(str(error)) from error
    call.screen.show(f"{file}: xj admin goes by it from now on.", file=str(file))


async def tokens(call: Call) -> int:
    """A row a token."""
    now = time.time()
    try:
        found = admission.listed(manager_folder(call) / admission.NAME)
    except PrivateFileError as error:
        raise HostError(str(error)) from error
    rows = [["ID", "SCOPES", "ENDS", "NOTE"]]
    for one in found:
        ends = "ended" if one.expires <= now else time.strftime("%Y-%m-%d", time.localtime(one.expires))
        rows.append([one.id, ",".join(one.scopes), ends, safe(one.note)])
        if call.screen.as_json:
            value = {"id": one.id, "scopes": one.scopes, "expires": int(one.expires), "note": one.note}
            call.screen.show("", **value)
    call.screen.note(table(rows))
    return 0


async def revoke(call: Call) -> int:
    """Refused from its next request on."""
    folder, id = manager_folder(call), call.args.id
    try:
        if not admission.revoke(folder / admission.NAME, id):
            raise HostError(f"there is no token {id}")
    except (PrivateFileError, OSError) as error:
        raise HostError(str(error)) from error
    _note(folder, "revoke", {"id": id})
    call.screen.show(f"The token {id} is good for nothing any more.", id=id)
    return 0


async def show_audit(call: Call) -> int:
    """The last entries, or whether all are there and as they were."""
    folder = manager_folder(call)
    if call.args.what == "verify":
        return _verify(call, folder)
    for one in audit.entries(folder, max(1, call.args.count)):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(one.get("at", 0)) / 1000))
        said = " ".join(f"{name}={value}" for name, value in dict(one.get("args") or {}).items())
        outcome = " ".join(str(one[name]) for name in ("outcome", "code", "why") if name in one)
        who = f"{one.get('who') or '-'}@{one.get('from')}"
        words = f"{one.get('n')}  {when}  {who}  {one.get('act')} {said}: {outcome}"
        call.screen.show(safe(words), **one)
    return 0


def _verify(call: Call, folder: Path) -> int:
    try:
        expected = Head.parse(call.args.expect) if call.args.expect else None
    except ValueError as error:
        raise UsageError(f"--expect: {error}") from None
    verdict = audit.check(folder, expected)
    for problem in verdict.problems:
        call.screen.error(f"{folder / audit.NAME}: {problem}")
    words = f"{verdict.entries} entries, each as it was written; note the last: {verdict.head}"
    if verdict.problems:
        words = f"{verdict.entries} entries, and not all is as it was"
    value = {"ok": not verdict.problems, "entries": verdict.entries, "head": str(verdict.head)}
    call.screen.show(words, **value, problems=verdict.problems)
    return 1 if verdict.problems else 0


async def rotate_file(call: Call) -> int:
    """A step in a file; whoever reads it has to be told."""
    path, step = call.args.cluster_secret_file, call.args.step
    try:
        accepted = secret.rotate(path, step)
    except secret.SecretError as error:
        raise HostError(str(error)) from error
    with suppress(UsageError):  # there need be no manager on this machine
        _note(manager_folder(call), "rotate-secret", {"file": str(path), "step": step})
    words = f"{path}: {accepted} accepted now. Have it read: systemctl reload, or restart, where it is used."
    call.screen.show(words, file=str(path), step=step, accepted=accepted)
    return 0


def manager_folder(call: Call) -> Path:
    """The data folder of this machine's manager.

    Raises:
        UsageError: there is none, or several.
    """
    folder = data_dir(call)
    found = _managers(folder)
    if not found and call.args.data_dir is None:
        found = _managers(SYSTEM)
    if len(found) > 1:
        raise UsageError(f"several managers have data in {folder}; say --data-dir {found[0]}")
    if not found:
        raise UsageError(
            f"no manager has its data in {folder}: start one (twistd -n xjnode), say --data-dir DIR, or on"
            " another machine --admin PLACE"
        )
    return found[0]


def _managers(folder: Path) -> list[Path]:
    """Folders of managers in a folder; what a restore put aside is none."""
    try:
        found = sorted(path.parent for path in folder.rglob(MANAGER))
    except OSError as error:
        raise UsageError(f"cannot look into {folder}: {error.strerror}") from None
    return [path for path in found if ASIDE not in str(path.relative_to(folder))]


def default_token_file(environ: Mapping[str, str]) -> Path | None:
    """Where ``xj admin`` looks for a token when none is said."""
    if base := environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "xjrelay" / "admin.token"
    if home := environ.get("HOME"):
        return Path(home) / ".config" / "xjrelay" / "admin.token"
    return None


def _note(folder: Path, act: str, said: Mapping[str, object]) -> None:
    """In the audit log; what was done is done, so it is an error only that it is not there."""
    at = int(time.time() * 1000)
    entry = {"at": at, "who": f"host:{_login()}", "from": "host", "act": act, "args": dict(said)}
    try:
        audit.append(folder, {**entry, "outcome": "done"})
    except StoreError as error:
        raise HostError(f"it is done, but: {error}") from error


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid())

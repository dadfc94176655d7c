# SPDX-License-Identifier: MIT
"""``xj doctor``: what is wrong, and for each the one thing to do."""

from __future__ import annotations

import resource
import stat
from dataclasses import dataclass

from xjrelay.cli.options import Call
from xjrelay.cli.screen import safe
from xjrelay.cli.status import Seen, look, look_at
from xjrelay.client import aio
from xjrelay.client.errors import NoTracker
from xjrelay.client.model import Component
from xjrelay.security.secret import SecretError, default_path, load_secret

ENOUGH_FILES = 1024
"""Each link is an open file: below this a server on this machine soon refuses users."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: what was looked at.
        found: what was seen.
        remedy: what to do, when it is wrong; empty when it isn't.
    """

    what: str
    found: str
    remedy: str = ""


async def doctor(call: Call) -> int:
    """Look at everything; 1 when anything is wrong."""
    findings = [*await _servers(call), _secret(call), _files()]
    for one in findings:
        words = f"ok     {one.what}: {safe(one.found)}"
        if one.remedy:
            words = f"WRONG  {one.what}: {safe(one.found)}\n       {safe(one.remedy)}"
        call.screen.show(words, what=one.what, ok=not one.remedy, found=one.found, remedy=one.remedy)
    return 1 if any(one.remedy for one in findings) else 0


async def _servers(call: Call) -> list[Finding]:
    findings = []
    for place in call.trackers():
        remedy = f"start it (twistd -n xjnode, or xjtracker), or say where it is: --tracker, not {place}"
        findings.append(_reached(await look(call, "tracker", place), remedy))
    try:
        components = await aio.components(call.url(), call.authority())
    except NoTracker:
        return findings  # said already
    for program in ("manager", "relay"):
        findings += await _listed(call, program, [one for one in components if one.type == program])
    return findings


async def _listed(call: Call, program: str, components: list[Component]) -> list[Finding]:
    if not components:
        remedy = f"start one: twistd -n xj{program} --tracker HOST:PORT"
        return [Finding(program, "the tracker knows of none", remedy)]
    remedy = f"look at its log; behind NAT or a firewall, give the {program} --advertise, and open that port"
    return [_reached(await look_at(call, one), remedy) for one in components]


def _reached(seen: Seen, remedy: str) -> Finding:
    what = f"{seen.program} {seen.place}"
    if seen.seconds is None:
        return Finding(what, seen.why, remedy)
    return Finding(what, f"answers in {seen.seconds * 1000:.1f} ms")


def _secret(call: Call) -> Finding:
    what = "cluster secret"
    try:
        path = default_path(call.environ)
        if not path.exists():
            return Finding(what, f"none at {path}; a server started here makes it")
        load_secret(path)
    except (SecretError, OSError) as error:
        return Finding(what, str(error), _secret_remedy(call))
    return Finding(what, f"{path}, readable by nobody else")


def _secret_remedy(call: Call) -> str:
    try:
        path = default_path(call.environ)
        others = stat.S_IMODE(path.stat().st_mode) & 0o077
    except (SecretError, OSError):
        return "set HOME or XDG_CONFIG_HOME, and let this user read the file"
    if others:
        return f"chmod 600 {path}"
    return f"copy it from a machine of the cluster that works to {path}"


def _files() -> Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{soft} may be open at a time" if soft != resource.RLIM_INFINITY else "no limit"
    if soft != resource.RLIM_INFINITY and soft < ENOUGH_FILES:
        return Finding("open files", found, "raise it before starting a server here: ulimit -n 65536")
    return Finding("open files", found)

# SPDX-License-Identifier: MIT
"""``xj doctor``: what is wrong, and for each the one thing to do.

First the programs, as a tracker knows them, each asked for itself; then what can be seen of this
machine, where one of them may run.
"""

from __future__ import annotations

import argparse
import ipaddress
import resource
import shutil
import ssl
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xjrelay import __version__
from xjrelay.cli.asking import About, NoAnswer, about, share_secret
from xjrelay.cli.keep import data_dir
from xjrelay.cli.options import Call, UsageError
from xjrelay.cli.screen import safe
from xjrelay.cli.suite import look
from xjrelay.client import aio
from xjrelay.client.errors import ClientError, Insecure
from xjrelay.client.model import Component
from xjrelay.client.target import Place, way_in
from xjrelay.security.certificates import days_left
from xjrelay.security.secret import ClusterSecret, SecretError, default_path, load_secret
from xjrelay.wire.endpoints import Address, is_loopback

ENOUGH_FILES = 4096
"""Each link is an open file. A server takes as many as the system gives it at all (the hard limit);
with fewer than this it soon refuses users."""
ENOUGH_DAYS = 14
"""A certificate that is renewed on time, by an ACME client or by us, has more left than this."""
ENOUGH_BYTES = 200 * 2**20
ENOUGH_OF_DISK = 0.05
MUCH_AHEAD = 10.0
"""Seconds; above 30 tokens are refused (protocol, section 9)."""


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


@dataclass(frozen=True)
class Asked:
    """A program that answered."""

    name: str
    said: About


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj doctor``."""
    parser.add_argument(
        "--cluster-secret-file",
        type=Path,
        metavar="FILE",
        help="the secret of the programs here; default $XDG_CONFIG_HOME/xjrelay/cluster.secret",
    )
    where = "where they keep their data; default $XDG_DATA_HOME/xjrelay"
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help=where)


async def doctor(call: Call) -> int:
    """Look at everything; 1 when anything is wrong."""
    findings = [*await _programs(call), *await _secret(call), _disk(call), _files()]
    for one in findings:
        words = f"ok     {one.what}: {safe(one.found)}"
        if one.remedy:
            words = f"WRONG  {one.what}: {safe(one.found)}\n       {safe(one.remedy)}"
        call.screen.show(words, what=one.what, ok=not one.remedy, found=one.found, remedy=one.remedy)
    return 1 if any(one.remedy for one in findings) else 0


async def _programs(call: Call) -> list[Finding]:
    """Trackers, then whom they list, then their clocks and versions."""
    findings: list[Finding] = []
    asked: list[Asked] = []
    for place in call.trackers():
        remedy = f"start it (twistd -n xjnode, or xjtracker), or say where it is: --tracker, not {place}"
        findings += await _ask(call, "tracker", place, remedy, asked)
    if not asked:
        return findings
    seen_from = asked[0].said.host
    try:
        components = await aio.components(call.url(), call.authority())
    except ClientError as error:
        return [*findings, Finding("the tracker's list", str(error), "look at the tracker's log")]
    for program in ("manager", "relay"):
        listed = [one for one in components if one.type == program]
        findings += await _listed(call, program, listed, seen_from, asked)
    return [*findings, clocks(asked), versions(asked)]


async def _listed(
    call: Call, program: str, listed: Sequence[Component], seen_from: str, asked: list[Asked]
) -> list[Finding]:
    if not listed:
        plugin = _plugin(program)
        remedy = (
            f"start one: twistd -n {plugin} --tracker HOST:PORT; if it runs, its log says why it is not"
            " registered: another secret, or a tracker it can't reach"
        )
        return [Finding(program, "the tracker knows of none", remedy)]
    findings: list[Finding] = []
    for one in listed:
        nearest = Place(one.host, one.port)
        if is_loopback(one.host) and not is_loopback(seen_from):
            found = f"says that it is at {nearest}, which is every machine's own"
            findings.append(Finding(f"{program} {nearest}", found, _advertise(program, one)))
            continue
        try:
            place = way_in(program, one.host, one.port, one.endpoints, call.trackers()[0].tls)
        except Insecure as error:
            remedy = f"give the {program} a certificate and --listen tls:PORT"
            findings.append(Finding(f"{program} {nearest}", str(error), remedy))
            continue
        remedy = _advertise(program, one) if behind_nat(one.host, seen_from) else ""
        findings += await _ask(call, program, place, remedy, asked)
    return findings


def behind_nat(host: str, seen_from: str) -> bool:
    """Whether an address means nothing to others who reach the tracker where we do.

    Args:
        host: what a component says of itself.
        seen_from: the address by which we reached the tracker.
    """
    try:
        return ipaddress.ip_address(host).is_private and not ipaddress.ip_address(seen_from).is_private
    except ValueError:
        return False


def _advertise(program: str, component: Component) -> str:
    port = component.port
    return (
        f"tell it where others reach it: --advertise HOST:{port} of the {program}, HOST being its public name"
        f" or address, and have the router pass port {port} on"
    )


async def _ask(call: Call, program: str, place: Place, remedy: str, asked: list[Asked]) -> list[Finding]:
    """One program: does it answer, and is its certificate good?"""
    what = f"{program} {place}"
    try:
        said = await about(Address(place.host, place.port, place.tls))
    except NoAnswer as error:
        return [Finding(what, str(error), remedy or _unreached(program, place, error))]
    asked.append(Asked(what, said))
    findings = [Finding(what, f"answers in {said.seconds * 1000:.1f} ms")]
    if said.certificate is not None:
        findings.append(await _certificate(call, program, place, said.certificate))
    return findings


def _unreached(program: str, place: Place, error: NoAnswer) -> str:
    if error.silent:
        return f"open port {place.port} in the firewall of {place.host}, and see that the machine is on"
    if error.shut:
        return f"start the {program} again; if it runs, it listens elsewhere: --listen and --advertise differ"
    return f"see that {place.host} can be reached from here, and look at the {program}'s log"


async def _certificate(call: Call, program: str, place: Place, shown: bytes) -> Finding:
    what = f"certificate of {program} {place}"
    days = days_left(ssl.DER_cert_to_PEM_cert(shown).encode(), time.time())
    renew = f"renew it (an ACME client, or xj certs --renew), then: systemctl reload {_plugin(program)}"
    if days < 0:
        return Finding(what, f"ended {-days:.0f} days ago", renew)
    if days < ENOUGH_DAYS:
        return Finding(what, f"ends in {days:.0f} days", renew)
    seen = await look(call, program, place)
    if seen.seconds is None:
        remedy = (
            f"say whom to believe (--authority FILE), or give the {program} a certificate for {place.host}"
        )
        return Finding(what, seen.why, remedy)
    return Finding(what, f"good for {days:.0f} days")


def _plugin(program: str) -> str:
    """What it is called after ``twistd``, and as a unit."""
    return "xjrelay" if program == "relay" else f"xj{program}"


def clocks(asked: Sequence[Asked]) -> Finding:
    """Whether all clocks agree with this machine's."""
    ahead = {one.name: one.said.ahead for one in asked if one.said.ahead is not None}
    worst = max(ahead, key=lambda name: abs(ahead[name] or 0.0), default=None)
    if worst is None:
        return Finding("clocks", "nobody tells the time: programs of before 0.1")
    off = ahead[worst] or 0.0
    if abs(off) > MUCH_AHEAD:
        way = "ahead of" if off > 0 else "behind"
        found = f"that of {worst} is {abs(off):.0f} s {way} this machine's"
        return Finding("clocks", found, "let both be set by NTP: timedatectl set-ntp true")
    return Finding("clocks", f"agree within {abs(off):.1f} s")


def versions(asked: Sequence[Asked]) -> Finding:
    """Whether all programs are of one version; the newest is right."""
    told = {one.name: one.said.version for one in asked}
    newest = max((version for version in (*told.values(), __version__) if version), key=_ordered)
    older = [f"{name} ({version or 'unknown'})" for name, version in told.items() if version != newest]
    if older:
        found = f"{', '.join(older)}, while others are {newest}"
        return Finding("versions", found, f"install {newest} there and restart it: deploy/install.sh")
    return Finding("versions", f"all are {newest}")


def _ordered(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in version.split(".")]


async def _secret(call: Call) -> list[Finding]:
    what = "cluster secret"
    try:
        path = call.args.cluster_secret_file or default_path(call.environ)
        if not path.exists():
            return [Finding(what, f"none at {path}; a server started here makes it")]
        secret = load_secret(path)
    except (SecretError, OSError) as error:
        return [Finding(what, str(error), _secret_remedy(call))]
    return [Finding(what, f"{path}, readable by nobody else"), *await _shared(call, path, secret)]


async def _shared(call: Call, path: Path, secret: ClusterSecret) -> list[Finding]:
    """Whether the trackers have it too; one that doesn't answer was told of before."""
    findings = []
    for place in call.trackers():
        what = f"cluster secret of tracker {place}"
        try:
            same = await share_secret(Address(place.host, place.port, place.tls), secret)
        except NoAnswer:
            continue
        if same:
            findings.append(Finding(what, "the same as here"))
        else:
            remedy = f"copy the tracker's to {path} on this machine, and restart the programs here"
            findings.append(Finding(what, "another one than here", remedy))
    return findings


def _secret_remedy(call: Call) -> str:
    try:
        path = call.args.cluster_secret_file or default_path(call.environ)
        others = stat.S_IMODE(path.stat().st_mode) & 0o077
    except (SecretError, OSError):
        return "set HOME or XDG_CONFIG_HOME, and let this user read the file"
    if others:
        return f"chmod 600 {path}"
    return f"copy it from a machine of the cluster that works to {path}"


def _disk(call: Call) -> Finding:
    try:
        folder = data_dir(call)
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
    except (UsageError, OSError) as error:
        return Finding("disk", str(error), "say where the programs here keep their data: --data-dir")
    found = f"{usage.free / 2**20:,.0f} MiB free of {usage.total / 2**20:,.0f} at {folder}"
    if usage.free < max(ENOUGH_BYTES, ENOUGH_OF_DISK * usage.total):
        remedy = "make room: old backups (xj backup --keep), copies kept at upgrades (*.sqlite3.v*), logs"
        return Finding("disk", found, remedy)
    return Finding("disk", found)


def _files() -> Finding:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{hard} may be open at a time" if hard != resource.RLIM_INFINITY else "no limit"
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_FILES:
        remedy = (
            "raise the limit before starting a server here: LimitNOFILE=524288 in its unit, or ulimit -Hn"
        )
        return Finding("open files", found, remedy)
    return Finding("open files", found)

# SPDX-License-Identifier: MIT
"""Homes behind routers, and the servers outside: network namespaces, with NAT by nftables.

    unshare --net python -m tests.system.homes FOLDER

Two homes with a router each, whose address alone is seen outside; Esa and Fajar live in one, Gita and
Hadi in the other. Its router also answers UPnP (miniupnpd), and only Gita asks it. Prints one JSON object:
what became of each pair, and of a link that is cut. Nothing leaves the namespaces. Needs root, iproute2,
nftables and miniupnpd.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

STREET = "11.22.33."
"""The beginning of addresses outside. A router maps no port where its own outer address is one of those set
apart for private networks or documents, so it is an ordinary one; no packet leaves the namespaces."""
OUTSIDE = STREET + "1"
PATIENCE = 30.0
HOLD = "import sys; print(flush=True); sys.stdin.read()"
"""What keeps a namespace: it ends when we do."""

NAT = """
table ip home {
    chain post { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
    chain forward {
        type filter hook forward priority filter; policy drop;
        iifname "lan" accept
        ct state established,related accept
        ct status dnat accept
    }
}
"""
"""A home router: who is inside goes out under its address, nobody comes in but by a mapping."""

SILENCE = """
table ip silent {
    chain in { type filter hook input priority filter; ip saddr 192.168.1.10 drop; }
}
"""
"""A machine that hears nothing any more of the first one of the first home."""

UPNP = """
ext_ifname=wan
listening_ip=lan
enable_upnp=yes
enable_natpmp=no
secure_mode=yes
uuid=00000000-0000-4000-8000-000000000001
lease_file={folder}/leases
allow 1024-65535 192.168.0.0/16 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""

UPNP_NFT = """
table inet filter {
    chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
    chain miniupnpd { }
    chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
"""
"""The chains that miniupnpd writes its rules into, as its package's script makes them."""


def run(*command: str, said: str | None = None) -> None:
    """A command that has to work."""
    done = subprocess.run(command, input=said, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


class Place:
    """A network namespace, as long as this process lives."""

    def __init__(self) -> None:
        command = ("unshare", "--net", sys.executable, "-c", HOLD)
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout is not None
        self.holder.stdout.readline()
        self.prefix = ("nsenter", "--target", str(self.holder.pid), "--net")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command: str, said: str | None = None) -> None:
        """A command there."""
        run(*self.prefix, *command, said=said)

    def plug(self, name: str, address: str, bridge: str, there: Place | None = None) -> None:
        """A cable from here to a bridge there, or in the namespace we began in."""
        near = f"{name}{self.holder.pid}"[:15]
        pid = str(self.holder.pid)
        at = there.prefix if there is not None else ()
        run(*at, "ip", "link", "add", near, "type", "veth", "peer", "name", f"p{near}"[:15])
        run(*at, "ip", "link", "set", f"p{near}"[:15], "netns", pid)
        run(*at, "ip", "link", "set", near, "master", bridge, "up")
        self.run("ip", "link", "set", f"p{near}"[:15], "name", name)
        self.run("ip", "address", "add", f"{address}/24", "dev", name)
        self.run("ip", "link", "set", name, "up")


def outside() -> None:
    """The street that both routers are on."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "street", "type", "bridge")
    run("ip", "address", "add", f"{OUTSIDE}/24", "dev", "street")
    run("ip", "link", "set", "street", "up")


class Home:
    """A router and the machines behind it."""

    def __init__(self, number: int) -> None:
        self._number = number
        router = self.router = Place()
        router.run("ip", "link", "add", "lan", "type", "bridge")
        router.run("ip", "address", "add", f"192.168.{number}.1/24", "dev", "lan")
        router.run("ip", "link", "set", "lan", "up")
        router.plug("wan", f"{STREET}{10 + number}", "street")
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        router.run("nft", "-f", "-", said=NAT)

    def machine(self, number: int) -> Place:
        """One more."""
        place = Place()
        place.plug("eth0", f"192.168.{self._number}.{number}", "lan", self.router)
        place.run("ip", "route", "add", "default", "via", f"192.168.{self._number}.1")
        return place

    def answer_upnp(self, folder: Path) -> subprocess.Popen[bytes]:
        """From now on its router maps ports."""
        self.router.run("nft", "-f", "-", said=UPNP_NFT)
        file = folder / "miniupnpd.conf"
        file.write_text(UPNP.format(folder=folder), encoding="ascii")
        command = (*self.router.prefix, "miniupnpd", "-d", "-f", str(file), "-P", str(folder / "upnp.pid"))
        with (folder / "miniupnpd.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)


class Friend:
    """A user's program on a machine."""

    def __init__(self, process: Process, name: str) -> None:
        self.name = name
        self.heard: list[dict[str, Any]] = []
        self.all: list[dict[str, Any]] = []
        self.process = process
        self._news = asyncio.Event()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def at(cls, place: Place, tracker: str, name: str, *options: str) -> Friend:
        """Log in there."""
        program = (sys.executable, "-m", "tests.system.friend", tracker, name, *options)
        friend = cls(
            await asyncio.create_subprocess_exec(*place.prefix, *program, stdin=PIPE, stdout=PIPE), name
        )
        await friend.until(what="here")
        return friend

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.heard.append(json.loads(line))
            self.all.append(self.heard[-1])
            self._news.set()

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """The first event with these fields; waits for it, and it is passed over from then on."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._news.clear()
                for event in self.heard:
                    if wanted.items() <= event.items():
                        self.heard.remove(event)
                        return event
                await self._news.wait()

    async def do(self, line: str, **wanted: Any) -> dict[str, Any]:
        """Say a line to it, and wait for what comes of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        return await self.until(**wanted)

    async def leave(self) -> None:
        """Log out."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()


async def befriend(one: Friend, other: Friend) -> None:
    """Each adds the other."""
    await one.do(f"add {other.name}", what="added")
    await other.do(f"add {one.name}", what="added")


async def talk(one: Friend, other: Friend, word: str, times: int = 3) -> dict[str, Any]:
    """A few words there and back; the last one's outcome."""
    outcome: dict[str, Any] = {}
    for number in range(times):
        text = f"{word} {number}"
        outcome = await one.do(f"send {other.name} {text}", what="sent", body=text)
        await other.until(what="message", body=text)
    return outcome


async def road(one: Friend, other: Friend, direct: bool) -> None:
    """Wait until the way from one to another is so."""
    await one.until(what="road", to=other.name, direct=direct)


async def serve(folder: Path) -> tuple[Process, str]:
    """The servers, outside; and where their tracker is."""
    options = ("--data-dir", str(folder / "node"), "--allow-plaintext", "--key-rounds", "4096")
    node = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=", "xjnode"),
        *("--listen", f"tcp:0:interface={OUTSIDE}", *options),
        stdout=PIPE,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder)},
    )
    assert node.stdout is not None
    said = []
    async for line in node.stdout:
        said.append(line.decode())
        if found := re.search(r"xjrelay ready node (\S+)", said[-1]):
            return node, found[1]
    raise RuntimeError("".join(said))


async def drain(node: Process) -> None:
    """Let the servers write what they like."""
    assert node.stdout is not None
    while await node.stdout.read(65536):
        pass


async def prove(folder: Path, tracker: str) -> dict[str, Any]:
    """Everybody talks with everybody that matters."""
    first, second = Home(1), Home(2)
    upnp = second.answer_upnp(folder)
    there = [first.machine(10), first.machine(11), second.machine(20), second.machine(21)]
    try:
        esa = await Friend.at(there[0], tracker, "esa")
        fajar = await Friend.at(there[1], tracker, "fajar")
        gita = await Friend.at(there[2], tracker, "gita", "--map-port")
        hadi = await Friend.at(there[3], tracker, "hadi")
        mapped = await gita.until(what="mapped")
        found = {"router": mapped["place"], **await between_homes(esa, gita, hadi)}
        found |= await at_home(esa, fajar, there[1])
        for friend in (esa, fajar, gita, hadi):
            await friend.leave()
    finally:
        upnp.terminate()
        upnp.wait()
    return found


async def between_homes(esa: Friend, gita: Friend, hadi: Friend) -> dict[str, Any]:
    """By the relay, unless a router lets somebody in."""
    for other in (hadi, gita):
        await befriend(esa, other)
        await talk(esa, other, "hello", 1)
    await road(esa, gita, True)
    await road(gita, esa, True)
    return {"mapped": await talk(esa, gita, "directly"), "not mapped": await talk(esa, hadi, "by the relay")}


async def at_home(esa: Friend, fajar: Friend, place: Place) -> dict[str, Any]:
    """Directly, and by the relay when no packet passes between the two any more."""
    await befriend(esa, fajar)
    await talk(esa, fajar, "hello", 1)
    await road(esa, fajar, True)
    await road(fajar, esa, True)
    before = await talk(esa, fajar, "directly")
    place.run("nft", "-f", "-", said=SILENCE)
    sent = await esa.do("send fajar into the silence", what="sent")
    await fajar.until(what="message", body="into the silence")
    shown = [event["body"] for event in fajar.all if event["what"] == "message"]
    return {"at home": before, "silenced": sent, "shown": shown}


async def main(folder: Path) -> None:
    """Print what was found."""
    outside()
    node, tracker = await serve(folder)
    draining = asyncio.ensure_future(drain(node))
    try:
        print(json.dumps(await prove(folder, tracker)))
    finally:
        node.terminate()
        await node.wait()
        await draining


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

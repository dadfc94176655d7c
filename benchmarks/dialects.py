# SPDX-License-Identifier: MIT
"""The operations of an account and its roster, as our manager is asked for them and as an XMPP server is."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import xmpp
from benchmarks.house import House, accounts
from benchmarks.programs import Process
from benchmarks.xmpp import PASSWORD, Stream
from xjrelay.security.scram import ScramClient

OWNER = "owner"
CORE = 0


class Server(ABC):
    """One server and how it is spoken to.

    Attributes:
        name: in the table.
        process: the one that does it.
    """

    name: str
    process: Process

    @abstractmethod
    def connect(self) -> Stream:
        """A connection that is nobody's yet."""

    @abstractmethod
    def register(self, stream: Stream, name: str) -> None:
        """Make an account."""

    @abstractmethod
    def login(self, stream: Stream, name: str) -> None:
        """Be somebody, by the password itself."""

    @abstractmethod
    def prove(self, stream: Stream, name: str) -> float:
        """Be somebody by SCRAM-SHA-256; the seconds that the client derived its key."""

    @abstractmethod
    def operations(self, contact: str) -> dict[str, tuple[bytes, tuple[bytes, ...]]]:
        """Add, rename and remove: what is said, and all that must have been heard then."""

    @abstractmethod
    def get(self) -> tuple[bytes, bytes]:
        """A whole roster: what is said, and what ends the answer."""

    @abstractmethod
    def presence(self, status: str) -> tuple[bytes, bytes]:
        """A change of presence: what is said, and what each listener hears."""

    @abstractmethod
    def listen(self, owner: Stream, name: str) -> Stream:
        """Somebody logged in who hears the owner's presence."""

    @abstractmethod
    def end(self) -> None:
        """End it."""


class Ours(Server):
    """Our manager, with a tracker and a relay beside it."""

    name = "xjrelay"

    def __init__(self, folder: Path, rounds: int, names: Sequence[str], contacts: int) -> None:
        self._house = House(folder, manager=("--key-rounds", str(rounds), "--max-roster", "20000"), cpu=CORE)
        pairs = [(OWNER, name) for name in names[1 : contacts + 1]]
        self._house.seed(accounts(names, rounds, pairs))
        self._house.start()
        self.process = self._house.manager

    def connect(self) -> Stream:
        stream = Stream(self.process.port)
        stream.send(_line({"ip_local": "127.0.0.1", "port": 0, "type": "client"}))
        return stream

    def register(self, stream: Stream, name: str) -> None:
        asked = {"type": "auth", "username": name, "password": PASSWORD, "register": True}
        stream.ask(_line(asked), b'"code":201')

    def login(self, stream: Stream, name: str) -> None:
        asked = {"type": "auth", "username": name, "password": PASSWORD, "replace": True}
        stream.ask(_line(asked), b'"code":200')

    def prove(self, stream: Stream, name: str) -> float:
        client = ScramClient(name, PASSWORD)
        asked = {"type": "auth", "mechanism": client.mechanism, "data": client.first(), "replace": True}
        answer = json.loads(stream.ask(_line(asked), b"\n").splitlines()[0])
        began = time.perf_counter()
        final = client.final(answer["data"])
        own = time.perf_counter() - began
        stream.ask(_line({"type": "auth", "mechanism": client.mechanism, "data": final}), b'"code":200')
        return own

    def operations(self, contact: str) -> dict[str, tuple[bytes, tuple[bytes, ...]]]:
        def change(what: str, item: dict[str, str], **more: str) -> tuple[bytes, tuple[bytes, ...]]:
            iq = {
                "stanza": "iq",
                "namespace": "roster",
                "from": OWNER,
                "type": "set",
                "query": {"item": item},
            }
            number = f"{what}-{contact}"
            return _line({**iq, **more, "id": number}), (f'"id":"{number}"'.encode(),)

        return {
            "add": change("a", {"jid": contact, "name": contact.title(), "subscription": "to"}),
            "rename": change("r", {"jid": contact, "name": "Renamed", "subscription": "to"}),
            "remove": change("d", {"jid": contact}, subscription="remove"),
        }

    def get(self) -> tuple[bytes, bytes]:
        iq = {"stanza": "iq", "namespace": "roster", "from": OWNER, "type": "get", "query": {"items": None}}
        return _line({**iq, "id": "get"}), b'"id":"get"}\n'

    def presence(self, status: str) -> tuple[bytes, bytes]:
        return _line({"stanza": "presence", "show": "away", "status": status}), b"\n"

    def listen(self, owner: Stream, name: str) -> Stream:
        stream = self.connect()
        self.login(stream, name)
        return stream

    def end(self) -> None:
        self._house.end()


class Theirs(Server):
    """An XMPP server."""

    def __init__(self, kind: str, folder: Path, rounds: int, names: Sequence[str], contacts: int) -> None:
        self._server = xmpp.SERVERS[kind](folder, CORE, rounds)
        self.name = self._server.name
        self.process = self._server.process
        self._server.register([OWNER] if contacts else names)
        if contacts:
            self._fill(kind, folder, names[1 : contacts + 1])

    def _fill(self, kind: str, folder: Path, names: Sequence[str]) -> None:
        """Give the owner its contacts, who need no accounts."""
        if kind == "prosody":  # which writes the whole roster for each contact it is told of
            roster = folder / "data" / "localhost" / "roster"
            roster.mkdir(parents=True)
            rest = 'subscription = "both"; groups = {};'
            items = "".join(
                f'["{xmpp.jid(name)}"] = {{ name = "{name.title()}"; {rest} }};\n' for name in names
            )
            (roster / f"{OWNER}.dat").write_text(f"return {{ [false] = {{ version = 1; }};\n{items}}};\n")
            return
        stream = self._logged_in(OWNER)
        for first in range(0, len(names), 100):
            said = b"".join(self.operations(name)["add"][0] for name in names[first : first + 100])
            stream.send(said)
            stream.wait(f"id='a-{names[min(first + 99, len(names) - 1)]}'".encode())
        stream.close()

    def _logged_in(self, name: str) -> Stream:
        stream = self.connect()
        self.login(stream, name)
        stream.ask(b"<presence/>", b"<presence")
        return stream

    def connect(self) -> Stream:
        stream = Stream(self.process.port)
        stream.open()
        return stream

    def register(self, stream: Stream, name: str) -> None:
        stream.ask(xmpp.registration(name), b"type='result'")

    def login(self, stream: Stream, name: str) -> None:
        for said, heard in xmpp.login(name, available=False)[1:]:
            stream.ask(said, heard)

    def prove(self, stream: Stream, name: str) -> float:
        client = ScramClient(name, PASSWORD)
        sasl = b"xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
        first = base64.b64encode(client.first().encode())
        said = b"<auth %b mechanism='SCRAM-SHA-256'>%b</auth>" % (sasl, first)
        challenge = stream.ask(said, b"</challenge>").partition(b"</challenge>")[0].rpartition(b">")[2]
        began = time.perf_counter()
        final = client.final(base64.b64decode(challenge).decode())
        own = time.perf_counter() - began
        said = b"<response %b>%b</response>" % (sasl, base64.b64encode(final.encode()))
        stream.ask(said, b"<success")
        for said, heard in xmpp.login(name, available=False)[2:]:
            stream.ask(said, heard)
        return own

    def operations(self, contact: str) -> dict[str, tuple[bytes, tuple[bytes, ...]]]:
        def change(what: str, more: str) -> tuple[bytes, tuple[bytes, ...]]:
            number = f"{what}-{contact}"
            item = f"<item jid='{xmpp.jid(contact)}'{more}/>"
            iq = f"<iq type='set' id='{number}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
            return iq.encode(), (f"id='{number}'".encode(), b"</query></iq>")  # the result and the push

        return {
            "add": change("a", f" name='{contact.title()}'"),
            "rename": change("r", " name='Renamed'"),
            "remove": change("d", " subscription='remove'"),
        }

    def get(self) -> tuple[bytes, bytes]:
        return b"<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>", b"</query></iq>"

    def presence(self, status: str) -> tuple[bytes, bytes]:
        said = f"<presence><show>away</show><status>{status}</status></presence>"
        return said.encode(), b"</presence>"

    def listen(self, owner: Stream, name: str) -> Stream:
        stream = self._logged_in(name)
        asked = f"<presence to='{xmpp.jid(OWNER)}' type='subscribe'/>".encode()
        stream.send(asked)
        owner.wait(b"type='subscribe'")
        owner.send(f"<presence to='{xmpp.jid(name)}' type='subscribed'/>".encode())
        stream.wait(b"</presence>", b"<show>")  # the owner's presence, which is there from the beginning
        return stream

    def end(self) -> None:
        self._server.process.end()


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


@contextmanager
def serving(kind: str, rounds: int, names: Sequence[str], contacts: int) -> Iterator[Server]:
    """One server with accounts, and with a roster of so many for the first of them."""
    with tempfile.TemporaryDirectory() as folder:
        server: Server
        if kind == "ours":
            server = Ours(Path(folder), rounds, names, contacts)
        else:
            server = Theirs(kind, Path(folder), rounds, names, contacts)
        try:
            yield server
        finally:
            server.end()

# SPDX-License-Identifier: MIT
"""Holds the protocol's page to the code: its table, its examples, the numbers it names.

``python -m tests.test_documents`` writes the table into the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tools.site import ELSEWHERE, sections
from xjrelay.client.direct_link import PING, STANZAS
from xjrelay.domain.direct import (
    ANSWER_FIRST,
    CROSS_WITHIN,
    DIAL_EVERY,
    IDLE,
    LINK_WITHIN,
    LOWEST_PORT,
    MAX_SESSIONS,
    OFFERS,
    ROUNDS,
)
from xjrelay.domain.hearsay import FORGET, MAX_OF_HOST, MAX_OF_TELLER
from xjrelay.domain.peers import KEYED, MAX_KNOWN, RETURN_TIME
from xjrelay.net.context import TRUSTED_MAX_FRAME, Limits
from xjrelay.servers.option_table import TABLE
from xjrelay.servers.peer.dialling import RATE
from xjrelay.servers.peer.local import DISCOVER_EVERY
from xjrelay.servers.peer.protocol import PATIENCE, TLS_PATIENCE
from xjrelay.storage.interfaces import MAX_HISTORY
from xjrelay.storage.peers import MAX_WAITING
from xjrelay.wire import codec, direct, peers
from xjrelay.wire.address import MAX_NAME
from xjrelay.wire.codec import MAX_DEPTH
from xjrelay.wire.errors import Code, Condition
from xjrelay.wire.framing import DEFAULT_MAX_FRAME, LF, ORIGINAL
from xjrelay.wire.grammar import HEARD, Phase
from xjrelay.wire.peers import MAX_LISTED
from xjrelay.wire.stanzas import MAX_ID, Iq, Kind, Message, classify, parse

PAGE = Path(__file__).resolve().parent.parent / "docs" / "protocol.md"
ASKED = {option.name: option for option in TABLE}
START, END = "<!-- heard -->\n", "<!-- /heard -->\n"

LISTENERS = {
    "TRACKER": "a tracker",
    "MANAGER": "a manager",
    "RELAY": "a relay",
    "MESH": "a relay, from a relay",
    "AT_TRACKER": "who dialled a tracker",
    "AT_MANAGER": "who dialled a manager",
    "AT_RELAY": "a user who dialled a relay",
    "AT_MESH": "a relay that dialled a relay",
    "": "a user, from a user",
}
"""Who hears, by the beginning of a phase's name."""

EVERYWHERE = {Kind.PING, Kind.PONG}


def table() -> str:
    """``HEARD`` as the page shows it."""
    lines = ["| who hears | phase | what |", "|---|---|---|"]
    for phase in Phase:
        link = LISTENERS[phase.name.rpartition("_")[0]]
        heard = HEARD[phase]
        names = [f"`{kind.value}`" for kind in Kind if kind in heard and kind not in EVERYWHERE]
        if heard >= EVERYWHERE:
            names.insert(0, "`ping`, `pong`")
        lines.append(f"| {link} | `{phase.name}` | {', '.join(names)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


PEERS = re.compile(r"^## 11\..*?(?=^## 12\.)", re.MULTILINE | re.DOTALL)
"""Section 11, whose vocabulary is its own."""


DIRECT = re.compile(r"^## 13\..*", re.MULTILINE | re.DOTALL)
"""Section 13, the last."""


def stanza_examples() -> Iterator[str]:
    """Each frame that the protocol page shows of what servers and users say."""
    return examples(PEERS.sub("", page()))


def examples(text: str) -> Iterator[str]:
    """Each frame of a text's JSON blocks."""
    for block in re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()


class ProtocolPageTests(SynchronousTestCase):
    """``docs/protocol.md``."""

    def test_the_table_is_the_grammar(self) -> None:
        shown = page().split(START)[1].split(END)[0]
        self.assertEqual(shown, table(), "write it again with: python -m tests.test_documents")

    def test_every_example_is_a_stanza(self) -> None:
        seen = set()
        for line in stanza_examples():
            value = codec.decode_value(line.encode())
            if isinstance(value, list):
                seen.add(Kind.COMPONENTS)
                for entry in value:
                    parse(Kind.COMPONENT_HELLO, entry)
            else:
                kind = classify(value)
                parse(kind, value)
                seen.add(kind)
        self.assertEqual(seen, set(Kind), "a kind without an example")

    def test_every_example_of_section_11_is_a_packet(self) -> None:
        section = PEERS.findall(page())[0]
        seen = {type(peers.parse(codec.decode(line.encode()))) for line in examples(section)}
        self.assertEqual(seen, set(peers.KINDS), "a packet without an example")
        for said in (
            f"`{KEYED}` and the first 40 hexadecimal digits",
            f"if there is no handshake in {TLS_PATIENCE:g} s",
            f"counts as coming back for {RETURN_TIME:g} s",
            f"does not answer a PING within {PATIENCE:g} s",
            f"linked with, {MAX_LISTED} at most",
            f"{MAX_OF_TELLER} places a teller and {MAX_OF_HOST} a host in two minutes, each once",
            f"each once, {RATE:g} a second",
            f"every {DISCOVER_EVERY:g} s, so that",
        ):
            self.assertIn(said, " ".join(section.split()))
        self.assertEqual((FORGET, ASKED["ping-interval"].default_for("peer")), (120, 30))

    def test_every_example_of_section_13_says_something_direct(self) -> None:
        seen: set[type | bool] = set()
        for line in examples(DIRECT.findall(page())[0]):
            value = codec.decode(line.encode())
            stanza = parse(classify(value), value)
            if isinstance(stanza, Iq) and stanza.query is not None:
                seen.add(type(direct.read(stanza)))
            if isinstance(stanza, Message):
                seen.add(direct.marked(stanza.body, value) is not None)
        self.assertEqual(seen, {*direct.KINDS, True, False}, "something without an example")

    def test_the_numbers_of_section_13_are_the_code_s(self) -> None:
        section = " ".join(DIRECT.findall(page())[0].split())
        for said in (
            f"may say {ASKED['max-iqs'].default} at once (`--max-iqs`, else 429)",
            f"`candidates`, {direct.MAX_CANDIDATES} at most",
            f"best first, {DIAL_EVERY:g} s apart, each place twice at most",
            f"who was asked begins {ANSWER_FIRST:g} s later",
            f"ports below {LOWEST_PORT},",
            f"If there is none after {LINK_WITHIN:g} s",
            f"hasn't heard for {PING:g} s",
            f"nothing was said for {IDLE / 60:g} minutes",
            f"takes longer than {CROSS_WITHIN:g} s",
        ):
            self.assertIn(said, section)
        self.assertEqual(ROUNDS, 2)

    def test_no_block_of_the_page_escapes_the_check(self) -> None:
        fences = re.findall(r"^```(\w*)$", page(), re.MULTILINE)
        self.assertEqual(set(fences), {"", "json"})
        self.assertEqual(fences.count(""), len(fences) / 2)

    def test_the_sections_are_in_order(self) -> None:
        numbers = re.findall(r"^## (\d+)\. ", page(), re.MULTILINE)
        self.assertEqual(numbers, [str(number) for number in range(1, 14)])

    def test_the_numbers_are_the_code_s(self) -> None:
        limits = Limits()
        for said in (
            f"at most {DEFAULT_MAX_FRAME // 1024} KiB (`--max-frame`)",
            f"up to {TRUSTED_MAX_FRAME // 2**20} MiB",
            f"after {limits.max_bad_frames} such frames",
            f"deeper than {MAX_DEPTH}",
            f"a string up to {MAX_ID} characters",
            f"1 to {MAX_NAME} code points",
            f"Every {limits.ping_interval:g} s (`--ping-interval`)",
            f"after {limits.hello_timeout:g} s (`--hello-timeout`)",
            f"TCP_USER_TIMEOUT of {limits.user_timeout:g} s",
            " ".join(f"{byte:02X}" for byte in ORIGINAL),
        ):
            self.assertIn(said, " ".join(page().split()))
        self.assertEqual((LF, limits.max_frame), (b"\n", DEFAULT_MAX_FRAME))

    def test_every_code_and_condition_is_named(self) -> None:
        for code in set(Code) - {Code.OK}:
            self.assertRegex(page(), rf"\b{int(code)}\b")
        for condition in Condition:
            self.assertIn(f"`{condition.text}`", page())


class IndexTests(SynchronousTestCase):
    """``docs/README.md``, and the links of every page."""

    def test_every_page_is_listed_once(self) -> None:
        folder = PAGE.parent
        pages = {str(path.relative_to(folder)) for path in folder.rglob("*.md")} - {"README.md"}
        index = (folder / "README.md").read_text("utf-8")
        listed = [page for section in sections(index).values() for page in section]
        self.assertEqual(sorted(listed), sorted({*pages, *(f"../{name}" for name in ELSEWHERE)}))

    def test_what_is_linked_is_there(self) -> None:
        root = PAGE.parent.parent
        missing = [
            f"{path.relative_to(root)}: {target}"
            for path in [root / "README.md", *PAGE.parent.rglob("*.md")]
            for target in re.findall(r"\]\(([^)#:]+)", path.read_text("utf-8"))
            if not (path.parent / target).exists()
        ]
        self.assertEqual(missing, [])


class PeersPageTests(SynchronousTestCase):
    """``docs/peers.md``."""

    def test_the_numbers_are_the_code_s(self) -> None:
        text = " ".join((PAGE.parent / "peers.md").read_text(encoding="utf-8").split())
        rate, size = (ASKED[name].default_for("peer") for name in ("max-stanzas", "max-bytes"))
        for said in (
            f"makes your program dial {direct.MAX_CANDIDATES} places at most, each twice",
            f"no port below {LOWEST_PORT}",
            f"a friend may make one in {1 / OFFERS[0]:g} s. {MAX_SESSIONS} links at a time",
            f"no faster than {STANZAS:,.0f} frames a second",
            f"up to {MAX_WAITING:,} texts a peer",
            f"The last {MAX_HISTORY:,} texts",
            f"at most {MAX_KNOWN:,} peers are remembered",
            f"no faster than {rate} packets and {size // 2**20} MiB a second",
            f"{MAX_OF_TELLER} a teller, {MAX_OF_HOST} a host in two minutes, {RATE:g} a second",
        ):
            self.assertIn(said, text)


def _write() -> None:
    before, rest = page().split(START)
    PAGE.write_text(before + START + table() + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    _write()

# SPDX-License-Identifier: MIT
"""Makes the corpus and the dictionary: ``python -m tests.fuzz.seeds``.

Of the frames that stand in ``docs/protocol.md`` and in the vectors, each target gets those that its link
may hear, each a file. What fuzzing has found is added by hand, under a name that says what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tests.test_documents import stanza_examples
from tests.vectors import frame_of, vectors
from xjrelay.wire import codec
from xjrelay.wire.grammar import HEARD, Phase
from xjrelay.wire.stanzas import CLASSES, Kind, classify

FOLDER = Path(__file__).resolve().parent
LARGEST = 600
"""Bytes of a seed: what is larger, the fuzzer grows itself."""

SERVED = {
    "tracker": (Phase.TRACKER_HELLO, Phase.TRACKER_OPEN, Phase.TRACKER_PROOF),
    "manager": (Phase.MANAGER_HELLO, Phase.MANAGER_LOGIN, Phase.MANAGER_PROOF),
    "manager_user": (Phase.MANAGER_USER,),
    "manager_relay": (Phase.MANAGER_RELAY,),
    "relay": (Phase.RELAY_HELLO, Phase.MESH_PROOF, Phase.MESH_WELCOME),
    "relay_user": (Phase.RELAY_USER,),
    "relay_plain_user": (Phase.RELAY_USER,),
    "mesh": (Phase.MESH_OPEN,),
}
"""What the link of a target hears."""

AT = ((Phase.AT_TRACKER_OPEN,), (Phase.AT_MANAGER_LOGIN,), (Phase.AT_MANAGER_USER,), (Phase.AT_RELAY_USER,))
"""What the client's machines hear, in the order of their number."""


def seeds() -> Iterator[tuple[str, bytes]]:
    """Every seed, with its target."""
    shown = [line.encode() for line in stanza_examples()]
    for target, phases in SERVED.items():
        heard = [line for line in shown if _kind(line) in {kind for one in phases for kind in HEARD[one]}]
        for line in heard:
            yield target, b"\0" + line + b"\n"
        yield target, b"\1" + b"\n".join(heard)[: LARGEST - 2] + b"\n"
        yield target, b"\2" + b"\xc2\x80\xc2\x81\xc2\x82".join(heard[:3]) + b"\xc2\x80\xc2\x81\xc2\x82"
    for number, phases in enumerate(AT):
        for line in shown:
            if _kind(line) in {kind for one in phases for kind in HEARD[one]}:
                yield "client", bytes([number]) + line + b"\n"
    for case in [*vectors("codec")["accepted"], *vectors("codec")["refused"]]:
        yield "frames", frame_of(case)
    for case in vectors("framing")["streams"]:
        yield "framing", b"\0" + bytes.fromhex(case["stream"])
    yield from (("lanes", seed) for seed in _lanes([line for line in shown if _kind(line) in _PLAIN]))
    for group in vectors("addresses").values():
        for case in group:
            if isinstance(case, dict) and "input" in case:
                yield "names", case["input"].encode("utf-8", "ignore")
    yield "token", b"eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.eyJzdWIiOiJlc2EifQ.AAAA"
    yield "proof", b"n,,n=cluster,r=abcdefgh\nc=biws,r=abcdefghnnnnnnnnnnnnnnnn,p=AAAA"


_PLAIN = (Kind.MESSAGE, Kind.ACK)


def _lanes(shown: list[bytes]) -> Iterator[bytes]:
    """Reads of ordinary frames, in both framings."""
    plain = [codec.encode(codec.decode(line)) for line in shown]
    ordinary = b'{"stanza":"message","to":"fajar","from":"esa","body":"halo","id":"m1"}'
    for delimiter in (b"\n", b"\xc2\x80\xc2\x81\xc2\x82"):
        for one in [*plain, ordinary]:
            yield one + delimiter
        yield delimiter.join([ordinary, b'{"stanza":"ack","h":1}', ordinary, b""])
        yield delimiter.join([b" " * len(ordinary), ordinary + b"\n" + ordinary, b""])


def words() -> list[str]:
    """What the fuzzer puts together inputs of."""
    keys = {key for one in CLASSES.values() for key in one.__struct_encode_fields__}
    kinds = {kind.value for kind in Kind}
    names = {"Esa", "Fajar", "Gita", "Hadi", "relay1", "relay9", "roster", "account", "set", "get", "client"}
    quoted = sorted(f'\\"{word}\\"' for word in keys | kinds | names)
    return [*quoted, "\\x0a", "\\xc2\\x80\\xc2\\x81\\xc2\\x82"]


def _kind(line: bytes) -> Kind:
    value = codec.decode_value(line)
    return Kind.COMPONENTS if isinstance(value, list) else classify(value)


def write() -> None:
    """Every file."""
    for target, seed in seeds():
        if 0 < len(seed) <= LARGEST:
            folder = FOLDER / "corpus" / target
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"seed-{hashlib.sha256(seed).hexdigest()[:12]}").write_bytes(seed)
    (FOLDER / "dictionary").write_text("".join(f'"{word}"\n' for word in words()), encoding="ascii")


if __name__ == "__main__":
    write()

# SPDX-License-Identifier: MIT
"""The fast lane's reading: the ordinary message, recognised for certain, for a fifth of the cost.

Why it exists: building a dict, classifying it, converting it to its class and looking for repeated
keys costs 3 us a message; a broker written in C spends less than 1 us on everything. Most
messages have just the keys ``stanza``, ``to``, ``from``, ``body`` and perhaps ``id``, written by
a compact encoder. Those are decoded many lines a call into :class:`Plain`, and one sum proves that
the frame means the same to every parser:

    Each of these keys and values takes a known number of bytes, whatever their order. Decoding
    never makes an ASCII text longer. So a frame of exactly that length holds nothing else: no key
    twice, no escape, no white space, no other value; and what is ASCII without an escape is
    valid UTF-8 without a delimiter inside.

Whatever isn't recognised takes the slow lane (:mod:`codec`, :mod:`stanzas`), which alone answers
errors. The same vectors are run through both lanes and must agree.
"""

from __future__ import annotations

from typing import Final

import msgspec

from xjrelay.wire.stanzas import AddressText, Count, Id

FRAMEWORK: Final = len('{"stanza":"message","to":"","from":"","body":""}')
ID_FRAMEWORK: Final = len(',"id":""')
ACK_FRAMEWORK: Final = len('{"stanza":"ack","h":}')


class Plain(
    msgspec.Struct,
    tag_field="stanza",
    tag="message",
    forbid_unknown_fields=True,
    rename={"from_": "from"},
    gc=False,
):
    """A message with these keys and no others."""

    to: AddressText
    from_: AddressText
    body: str
    id: Id | None = None

    def is_whole(self, size: int) -> bool:
        """Whether an ASCII frame of ``size`` bytes holds this message and nothing else."""
        plain = FRAMEWORK + len(self.to) + len(self.from_) + len(self.body)
        return size == (plain if self.id is None else plain + ID_FRAMEWORK + len(self.id))


class PlainAck(msgspec.Struct, tag_field="stanza", tag="ack", forbid_unknown_fields=True, gc=False):
    """An acknowledgement, which comes between the messages of whoever is written to."""

    h: Count

    def is_whole(self, size: int) -> bool:
        """As :meth:`Plain.is_whole`."""
        return size == ACK_FRAMEWORK + len(str(self.h))


# Of one class alone the decoder would take ``stanza`` for granted, and in its place, to the byte,
# another key could stand twice; a choice makes it ask.
_decoder = msgspec.json.Decoder(Plain | PlainAck)
_NOT_PLAIN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read(frames: list[bytes]) -> list[Plain | PlainAck]:
    """What the first frames say, as far as they are plain; perhaps fewer than there are frames.

    Each counts only once its ``is_whole`` has been asked with its frame's length.
    """
    data = frames[0] if len(frames) == 1 else b"\n".join(frames)
    if data.isascii():
        try:
            plain = _decoder.decode_lines(data)
        except _NOT_PLAIN:
            pass
        else:  # a frame of two lines, or of none, would put each beside another's frame
            one_each = len(plain) == len(frames) == data.count(b"\n") + 1
            return plain if one_each else []
    return _as_far_as_plain(frames)


def _as_far_as_plain(frames: list[bytes]) -> list[Plain | PlainAck]:
    plain = []
    for frame in frames:
        if not frame.isascii():
            break
        try:
            plain.append(_decoder.decode(frame))
        except _NOT_PLAIN:
            break
    return plain

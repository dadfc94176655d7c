# SPDX-License-Identifier: MIT
"""A log of acts in which nothing can be changed, removed or moved without being seen.

Each entry bears its number, the hash of the one before and its own, SHA-256 over everything else in
it. Number and hash of the last are kept apart (:class:`Head`), so that entries missing at the end are
missed too. Whoever can write both files can still write another history: against that helps a head
that was noted elsewhere (``expected`` of :func:`verify`). Lines in, verdict out; imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

GENESIS = "0" * 64
"""What stands in place of the hash before the first entry."""
MAX_PROBLEMS = 20
"""Problems that are told singly."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry: its number (0 for none) and its hash."""

    number: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """What :meth:`__str__` wrote.

        Raises:
            ValueError: it didn't write that.
        """
        number, colon, digest = text.strip().partition(":")
        if not (colon and number.isascii() and number.isdigit() and _is_hash(digest)):
            raise ValueError("a head is NUMBER:HASH")
        return cls(int(number), digest)


@dataclass(slots=True)
class Verdict:
    """What was found of a log.

    Attributes:
        entries: how many were read.
        head: the last of them.
        problems: a sentence for each thing that is wrong, with its line; empty for a log that is whole.
    """

    entries: int = 0
    head: Head = field(default_factory=Head)
    problems: list[str] = field(default_factory=list)

    def say(self, problem: str) -> None:
        """One more; beyond :data:`MAX_PROBLEMS` only that there are more."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)
        elif len(self.problems) == MAX_PROBLEMS:
            self.problems.append("and more")


def seal(act: Mapping[str, Any], before: Head) -> tuple[bytes, Head]:
    """An entry as its line, and the head from then on.

    Args:
        act: what happened; JSON values, none of them named ``n``, ``before`` or ``hash``.
        before: the head until now.
    """
    entry = {"n": before.number + 1, **act, "before": before.hash}
    digest = _digest(entry)
    line = json.dumps({**entry, "hash": digest}, ensure_ascii=False, separators=(",", ":"))
    return line.encode() + b"\n", Head(before.number + 1, digest)


def read(line: bytes) -> tuple[dict[str, Any], Head] | None:
    """An entry and its head; None for a line that is none, or one whose content is not what was sealed."""
    try:
        entry = json.loads(line)
        digest = entry.pop("hash")
        number = entry["n"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(number, int) or _digest(entry) != digest:
        return None
    return entry, Head(number, digest)


def verify(lines: Iterable[bytes], kept: Head | None = None, expected: Head | None = None) -> Verdict:
    """Whether a log is whole.

    Args:
        lines: of the file.
        kept: the head that was kept beside it; None when none was.
        expected: a head that was noted at some time, which the log must still hold.
    """
    verdict = Verdict()
    known = {one.number: one for one in (kept, expected) if one is not None and one.number}
    for place, line in enumerate(lines, 1):
        found = read(line)
        if found is None or not line.endswith(b"\n"):
            verdict.say(f"line {place}: changed since it was written, or cut off")
            verdict.head = Head(verdict.head.number + 1, "")
        else:
            _follow(verdict, place, *found)
            if known.get(verdict.head.number, verdict.head) != verdict.head:
                verdict.say(f"line {place}: another entry {verdict.head.number} than the one that was noted")
        verdict.entries += 1
    _end(verdict, kept, expected)
    return verdict


def _follow(verdict: Verdict, place: int, entry: Mapping[str, Any], head: Head) -> None:
    last = verdict.head
    if head.number <= last.number:
        verdict.say(f"line {place}: entry {head.number} is out of order, or there twice")
    elif head.number > last.number + 1:
        verdict.say(f"line {place}: {_missing(last.number + 1, head.number - 1)} before it")
    elif last.hash and entry.get("before") != last.hash:
        verdict.say(f"line {place}: entry {head.number} does not follow from the one before it")
    verdict.head = head


def _end(verdict: Verdict, kept: Head | None, expected: Head | None) -> None:
    last = verdict.head.number
    furthest = max((one.number for one in (kept, expected) if one is not None), default=0)
    if furthest > last:
        verdict.say(f"at the end: {_missing(last + 1, furthest)}")
    if kept is None and last:
        verdict.say("at the end: what is kept of the last entry is not there")
    elif kept is not None and last > kept.number + 1:  # one may be written and not yet be kept
        verdict.say(f"at the end: {last - kept.number} entries more than were kept")


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def _digest(entry: Mapping[str, Any]) -> str:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_hash(text: str) -> bool:
    return len(text) == len(GENESIS) and set(text) <= set("0123456789abcdef")

# SPDX-License-Identifier: MIT
"""What was acknowledged against what each application took: the judge of :mod:`checker`.

An application's *life* ends with its process. Within one life each message is to be shown once and each
pair's in order; over all lives of a user, whatever was acknowledged is to be shown at least once. (What
an earlier life was shown already may come again, anywhere: nobody remembers that it was.) What
a sender with an outbox file had not settled when it died is owed too: its next life sends it again.
Knows no suite and no clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

ACKNOWLEDGED = frozenset({"delivered", "stored", "kept"})
"""Outcomes after which a message must be shown; ``kept`` is a dead sender's, in its file."""

Name = tuple[str, str, int]
"""Sender, recipient, number within the pair."""


@dataclass(slots=True)
class Verdict:
    """What became of everything.

    Attributes:
        outcomes: how many messages had each.
        lost: acknowledged, and never shown.
        doubled: shown again in one life.
        disordered: acknowledged, and first shown behind a later acknowledged one of its pair.
        stuck: without an outcome, though everything has been well for long.
        errors: what the programs logged as errors.
        directly: how many were written while a direct link led to their recipient.
    """

    outcomes: Counter[str]
    lost: list[Name] = field(default_factory=list)
    doubled: list[Name] = field(default_factory=list)
    disordered: list[Name] = field(default_factory=list)
    stuck: list[Name] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    directly: int = 0

    @property
    def kept(self) -> bool:
        """Whether the promise was."""
        return not (self.lost or self.doubled or self.disordered or self.stuck or self.errors)

    def __str__(self) -> str:
        parts = [f"{count} {status}" for status, count in sorted(self.outcomes.items())]
        for name in ("lost", "doubled", "disordered", "stuck", "errors"):
            found = getattr(self, name)
            parts.append(f"{name} {len(found)}" + (f" {found[:3]}" if found else ""))
        if self.directly:
            parts.append(f"{self.directly} by direct links")
        return ", ".join(parts)


class Life:
    """What one application was shown while its process lived."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.shown: list[Name] = []


class Book:
    """One run's messages."""

    def __init__(self) -> None:
        self.outcomes: dict[Name, str | None] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lives: list[Life] = []

    def send(self, sender: str, recipient: str) -> Name:
        """A message is about to be sent."""
        self._counts[sender, recipient] += 1
        name = (sender, recipient, self._counts[sender, recipient])
        self.outcomes[name] = None
        return name

    def settle(self, name: Name, status: str) -> None:
        """Its sender heard this outcome, or died before it."""
        self.outcomes[name] = status

    def unsettled(self, sender: str) -> list[Name]:
        """A sender's messages without an outcome, in order."""
        return [name for name, status in self.outcomes.items() if name[0] == sender and status is None]

    def life(self, user: str) -> Life:
        """A user's application begins."""
        life = Life(user)
        self._lives.append(life)
        return life

    @property
    def owed(self) -> bool:
        """Whether anything is still to have an outcome, or to be shown."""
        shown = self._shown()
        return any(
            status is None or (status in ACKNOWLEDGED and name not in shown)
            for name, status in self.outcomes.items()
        )

    def verdict(self) -> Verdict:
        """The judgement as things stand."""
        shown = self._shown()
        verdict = Verdict(Counter(status or "none" for status in self.outcomes.values()))
        for name, status in self.outcomes.items():
            if status is None:
                verdict.stuck.append(name)
            elif status in ACKNOWLEDGED and name not in shown:
                verdict.lost.append(name)
        before: set[Name] = set()
        for life in self._lives:
            self._judge(life, before, verdict)
            before.update(life.shown)
        return verdict

    def _judge(self, life: Life, before: set[Name], verdict: Verdict) -> None:
        seen: set[Name] = set()
        highest: dict[str, int] = {}
        for name in life.shown:
            sender, _, number = name
            if name in seen:
                verdict.doubled.append(name)
            elif name not in before and self.outcomes.get(name) in ACKNOWLEDGED:
                if number < highest.get(sender, 0):
                    verdict.disordered.append(name)
                highest[sender] = max(number, highest.get(sender, 0))
            seen.add(name)

    def _shown(self) -> set[Name]:
        return {name for life in self._lives for name in life.shown}

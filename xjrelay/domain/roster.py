# SPDX-License-Identifier: MIT
"""What adding, renaming and removing a contact does to both rosters (protocol, section 6; RFC 6121, 3).

Two users' rosters hold one fact between them, seen from two sides: who hears whose presence.
So a decision is taken on two bits (does the asker hear the target, does the target hear the
asker), and both rows are written from them; a pair of rows can't disagree after a decision,
whatever it was before. Rules only: rows in, rows out. Which link is told, and how that looks
on the wire, is the server's. This module must not import a store, a clock or Twisted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from xjrelay.wire.errors import Condition, StanzaError

MAX_ITEM_NAME = 256
"""Characters in the name an owner gives a contact."""


class Subscription(Enum):
    """An item's subscription, from its owner's side: who hears whose presence."""

    TO = "to"
    FROM = "from"
    BOTH = "both"

    @property
    def hears(self) -> bool:
        """Whether the owner receives the contact's presence."""
        return self is not Subscription.FROM

    @property
    def heard(self) -> bool:
        """Whether the contact receives the owner's presence."""
        return self is not Subscription.TO

    @property
    def mirror(self) -> Subscription:
        """The same fact from the contact's side."""
        return {"to": Subscription.FROM, "from": Subscription.TO, "both": Subscription.BOTH}[self.value]


class Told(Enum):
    """The presence type that tells a side of a change (RFC 6121, 3)."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


@dataclass(frozen=True, slots=True)
class Row:
    """One contact in one roster.

    Args:
        subscription: from the owner's side.
        name: what the owner calls the contact; empty means the contact's own spelling.
    """

    subscription: Subscription
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of a relation: the asker's row about the target, and the target's about the asker."""

    asker: Row | None = None
    target: Row | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a pair, and who is told.

    Args:
        pair: the rows from now on; None means no row.
        asker_told: what the asker is told, always.
        target_told: what the target is told if it is online, or None for nothing.
    """

    pair: Pair
    asker_told: Told
    target_told: Told | None


def check_change(asker: str, target: str, name: str | None) -> None:
    """Refuse what no pair of rows could make right.

    Args:
        asker: key of the account that asks.
        target: key of the contact.
        name: what the asker wants to call it.

    Raises:
        StanzaError: bad-request: oneself as a contact, or a name over :data:`MAX_ITEM_NAME`.
    """
    if asker == target or (name is not None and len(name) > MAX_ITEM_NAME):
        raise StanzaError(Condition.BAD_REQUEST)


def add(pair: Pair, name: str | None) -> Decision:
    """The asker wants to hear the target; where it does already, this only renames.

    The asker hears the target from now on. Where the target has the asker with ``to``, that makes
    both sides ``both``, and the target is told, since its own item changed. Where it has not,
    its roster gets the asker with ``from``, and it is told nothing.

    Args:
        pair: the rows as they are.
        name: what the asker calls the target; None keeps the name there is.
    """
    target_hears = _hears(pair.target)
    becomes_both = target_hears and not _hears(pair.asker)
    return Decision(
        pair=Pair(
            asker=_row(hears=True, heard=target_hears, old=pair.asker, name=name),
            target=_row(hears=target_hears, heard=True, old=pair.target),
        ),
        asker_told=Told.SUBSCRIBED,
        target_told=Told.SUBSCRIBED if becomes_both else None,
    )


def remove(pair: Pair) -> Decision:
    """The asker no longer wants to hear the target.

    From ``both`` the asker keeps ``from`` and the target ``to``; from ``to`` both rows go.

    Raises:
        StanzaError: bad-request: there is no row, or it is ``from``, which is not the asker's to end.
    """
    if not _hears(pair.asker):
        raise StanzaError(Condition.BAD_REQUEST)
    target_hears = _hears(pair.target)
    return Decision(
        pair=Pair(
            asker=_row(hears=False, heard=target_hears, old=pair.asker),
            target=_row(hears=target_hears, heard=False, old=pair.target),
        ),
        asker_told=Told.UNSUBSCRIBED,
        target_told=Told.UNSUBSCRIBED,
    )


def gains_a_contact(before: Pair, decision: Decision) -> bool:
    """Whether the asker hears the target from now on and didn't before: one more to be counted."""
    return _hears(decision.pair.asker) and not _hears(before.asker)


def _hears(row: Row | None) -> bool:
    return row is not None and row.subscription.hears


def _row(*, hears: bool, heard: bool, old: Row | None, name: str | None = None) -> Row | None:
    if not hears and not heard:
        return None
    kept = old.name if old is not None else ""
    subscription = (
        Subscription.BOTH if hears and heard else Subscription.TO if hears else Subscription.FROM
    )
    return Row(subscription, kept if name is None else name)

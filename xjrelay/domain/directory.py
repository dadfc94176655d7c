# SPDX-License-Identifier: MIT
"""Who is up, and where: the rules of a tracker (protocol, section 4).

A component is live while its link is open and it was heard within the lease. A cluster has one
live manager. What is kept on disk is not this module's business, and neither are sockets: a link
is any object that the caller tells apart from others. Time comes as an argument, in seconds.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.stanzas import ComponentHello

LinkT = TypeVar("LinkT")


class SecondManager(RemoteError):
    """Another manager is live already: 409 and a closed link."""

    def __init__(self) -> None:
        super().__init__(Code.CONFLICT, "another manager is registered here", CloseReason.CONFLICT)


@dataclass(slots=True)
class _Seat(Generic[LinkT]):
    component: ComponentHello
    link: LinkT
    heard_at: float


class Directory(Generic[LinkT]):
    """The live components.

    Args:
        lease: seconds a component stays listed without being heard.
    """

    def __init__(self, lease: float) -> None:
        self.lease = lease
        self._seats: dict[str, _Seat[LinkT]] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def live(self) -> list[ComponentHello]:
        """The live components, in the order of their joining."""
        return [seat.component for seat in self._seats.values()]

    def join(self, hello: ComponentHello, link: LinkT, now: float) -> LinkT | None:
        """A manager or relay that proved itself is listed from now on.

        Returns:
            The link that the same component was listed by, which is dead or about to be: the
            caller closes it. None when there was none.

        Raises:
            SecondManager: another manager is live.
        """
        identity = identify(hello)
        if hello.type == "manager" and self._other_manager(identity):
            raise SecondManager
        older = self._seats.pop(identity, None)
        self._seats[identity] = _Seat(listed(hello), link, now)
        return older.link if older is not None else None

    def heard(self, hello: ComponentHello, now: float) -> None:
        """The component said something, no matter what."""
        seat = self._seats.get(identify(hello))
        if seat is not None:
            seat.heard_at = now

    def remaining(self, hello: ComponentHello, now: float) -> float:
        """Seconds until the component's lease ends; 0 or less when it has ended, or it isn't listed."""
        seat = self._seats.get(identify(hello))
        return seat.heard_at + self.lease - now if seat is not None else 0.0

    def leave(self, hello: ComponentHello, link: LinkT) -> bool:
        """The component's link is gone.

        Returns:
            Whether that takes it off the list; not when it has come back by another link.
        """
        identity = identify(hello)
        seat = self._seats.get(identity)
        if seat is None or seat.link is not link:
            return False
        del self._seats[identity]
        return True

    def _other_manager(self, identity: str) -> bool:
        return any(seat.component.type == "manager" and key != identity for key, seat in self._seats.items())


def identify(hello: ComponentHello) -> str:
    """What makes two hellos one component: its ``component_id``, never just its address.

    A component without one (a third party's) is its type and address.
    """
    return hello.component_id or f"{hello.type}@{hello.ip_local}:{hello.port}"


def listed(hello: ComponentHello) -> ComponentHello:
    """The hello as it stands in the array: ``is_private`` a boolean, the mesh's keys left out."""
    private = hello.is_private
    return msgspec.structs.replace(
        hello,
        is_private=_is_private(hello.ip_local) if private is None else bool(private),
        relay_username=None,
    )


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False

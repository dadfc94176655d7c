# SPDX-License-Identifier: MIT
"""Ends an account's sessions everywhere: links here, sessions on relays, at once.

The store knows already that they are over for good, so that a relay out of reach ends its own when
it is back (:mod:`standing`). It must not decide why.
"""

from __future__ import annotations

from xjrelay.servers.manager import presence
from xjrelay.servers.manager.state import Manager
from xjrelay.servers.manager.users import User
from xjrelay.wire.errors import RemoteError


def end_everywhere(
    manager: Manager, username: str, key: str, last: int, error: RemoteError, but: User | None = None
) -> int:
    """Every session of an account is over.

    Args:
        manager: whose account.
        username: its registered spelling.
        key: its key.
        last: the highest number a session was given.
        error: what its devices are told; ``close`` says why.
        but: a device whose link stays.

    Returns:
        How many devices were logged in here.
    """
    assert error.close is not None
    manager.relays.revoke(username, last, error.close, None)
    devices = [device for device in manager.users.devices(key) if device is not but]
    for device in devices:
        end_device(manager, device, error)
    return len(devices)


def end_device(manager: Manager, device: User, error: RemoteError) -> None:
    """A device's link here is over; its contacts hear that it went."""
    presence.gone(manager, device)
    device.link.refuse(error)

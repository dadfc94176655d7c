# SPDX-License-Identifier: MIT
"""Who this relay is: the id it keeps, the place it advertises, the name the manager gave it.

The id is random and all that a relay keeps on disk: by it the manager knows it again after a
restart, whatever its address has become. Imports no link.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path

from xjrelay import __version__
from xjrelay.security.private import create_private, read_private
from xjrelay.servers.listening import Place
from xjrelay.servers.startup import StartupError
from xjrelay.wire.errors import Code, RemoteError
from xjrelay.wire.stanzas import ComponentHello

_ID = re.compile(r"[0-9a-f]{32}")


def load_relay_id(folder: Path, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """The id in the data folder's ``relay_id``, which is made when there is none.

    Raises:
        PrivateFileError: it can't be made or read.
        StartupError: what is in it is no id.
    """
    path = folder / "relay_id"
    try:
        content = read_private(path)
    except FileNotFoundError:
        create_private(path, random_bytes(16).hex().encode() + b"\n")
        content = read_private(path)
    text = content.decode("ascii", "replace").strip()
    if not _ID.fullmatch(text):
        raise StartupError(f"{path} is damaged; remove it, and this relay becomes a new one")
    return text


class Identity:
    """What a relay says of itself.

    Args:
        relay_id: 128 random bits in hex, kept over restarts.

    Attributes:
        place: where others reach us; known once we listen.
        name: what the manager called us, ``""`` until it has.
        token: by which we show that name to other relays, ``""`` until we have one.
    """

    def __init__(self, relay_id: str) -> None:
        self.relay_id = relay_id
        self.place = Place("127.0.0.1", 0)
        self.name = ""
        self.token = ""

    def to_tracker(self) -> ComponentHello:
        """The hello to a tracker (section 4)."""
        return self._hello(component_id=self.relay_id)

    def to_manager(self) -> ComponentHello:
        """The hello to the manager (section 5)."""
        return self._hello(relay_id=self.relay_id)

    def to_relay(self) -> ComponentHello:
        """The hello to another relay (section 10)."""
        return self._hello(relay_username=self.require_name())

    def require_name(self) -> str:
        """Our name.

        Raises:
            RemoteError: 503, no manager has given us one yet.
        """
        if not self.name:
            raise RemoteError(Code.NOT_NOW, "this relay has not found its manager yet, try again")
        return self.name

    def _hello(self, **ours: str) -> ComponentHello:
        place = self.place
        offered = list(place.endpoints) or None
        private = place.is_private
        return ComponentHello(
            place.host, place.port, "relay", private, endpoints=offered, version=__version__, **ours
        )

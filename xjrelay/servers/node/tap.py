# SPDX-License-Identifier: MIT
"""``twistd xjnode``: a tracker, a manager and relays in one process, and what to type next."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from xjrelay.servers.admin import add_admin
from xjrelay.servers.listening import Place, Serving, announcing
from xjrelay.servers.manager import tap as manager
from xjrelay.servers.node.service import NodeService
from xjrelay.servers.notify import Notify
from xjrelay.servers.options import options_for
from xjrelay.servers.relay import tap as relay
from xjrelay.servers.security import LinkSecurity, hanging_up
from xjrelay.servers.startup import (
    Program,
    cluster_secret,
    collect_seldom,
    data_folder,
    quick_reactor,
    starting,
)
from xjrelay.servers.tracker import tap as tracker

Options = options_for("node")
ANNOUNCE = announcing("node")
MAKERS = {
    "tracker": tracker.make_service,
    "manager": manager.make_service,
    "relay": relay.make_service,
}
DEFAULT_TRACKER = "127.0.0.1:5000"
"""Where ``xj`` looks when it isn't told."""


def make_service(
    options: Any, reactor: Any, screen: TextIO | None = None, announce: Serving = ANNOUNCE
) -> Program:
    """The node's services.

    Args:
        options: of ``node``.
        reactor: the real one.
        screen: gets what to type next, once everything serves; None for nobody.
        announce: called with the tracker's place when everything serves.

    Raises:
        StartupError: or another of ``startup.KNOWN``: it can't start, and why.
    """
    folder = data_folder("node", options)
    cluster_secret(options)  # made, or refused, before anything listens

    def serving(places: Mapping[str, Place]) -> None:
        announce(places["tracker"])
        if screen is not None:
            print(what_next(places, folder, Path(sys.argv[0])), file=screen, flush=True)

    node = NodeService(options, reactor, folder, MAKERS, serving)
    add_admin(node, reactor, options, LinkSecurity(options).server, folder)
    return node


def makeService(options: Any) -> Program:
    """What twistd calls."""
    quick_reactor()
    from twisted.internet import reactor

    # twistd's log takes the place of standard output, and a person shouldn't have to read it.
    # Under systemd nobody is there to type.
    person = options["log-format"] == "text" and "NOTIFY_SOCKET" not in os.environ
    screen = sys.__stdout__ if person else None
    collect_seldom()
    notify = Notify.of_process(reactor)
    announce = notify.after(ANNOUNCE)
    return starting(
        "node", lambda: notify.about(hanging_up(make_service(options, reactor, screen, announce), reactor))
    )


def what_next(places: Mapping[str, Place], folder: Path, twistd: Path) -> str:
    """Where everything is and what to type, for a person who sees it for the first time.

    Args:
        places: where each program is reached.
        folder: the data.
        twistd: the program that runs; ``xj`` is beside it when it was not found by the PATH.
    """
    relays = ", ".join(_shown(place) for name, place in places.items() if name.startswith("relay"))
    here = places["tracker"]
    xj = str(twistd.with_name("xj")) if twistd.with_name("xj").exists() else "xj"
    tracker = f"xjs://{_shown(here)}" if here.tls else _shown(here)
    where = "" if tracker == DEFAULT_TRACKER else f" --tracker {tracker}"
    return f"""
xjrelay serves.

  tracker  {_shown(here)}
  manager  {_shown(places["manager"])}
  relays   {relays}
  data     {folder}

Make two accounts, then talk in two more terminals:

  {xj} register --user esa{where}
  {xj} register --user fajar{where}

  {xj} chat --user esa{where}
  {xj} chat --user fajar{where}

Ctrl-C here stops it.
"""


def _shown(place: Place) -> str:
    return f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"

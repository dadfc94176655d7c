# SPDX-License-Identifier: MIT
"""``twistd xjpeer``: options to a running peer. ``xj peer`` and the window begin here too.

    options = Options()
    options.parseOptions(["--name", "Alice", "--listen", "tcp:5000"])
    program = make_service(options, reactor)
    peer = peer_of(program).peer          # a LocalPeer
"""

from __future__ import annotations

import getpass
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.internet.threads import deferToThreadPool

from xjrelay.net.context import Context
from xjrelay.security.identity import Identity, load_key
from xjrelay.servers import startup
from xjrelay.servers.admin import add_admin
from xjrelay.servers.listening import Place, Serving, announcing
from xjrelay.servers.notify import Notify
from xjrelay.servers.options import options_for
from xjrelay.servers.peer.lan import Lan
from xjrelay.servers.peer.local import LocalPeer
from xjrelay.servers.peer.router import PortMapping, UpnpRouter
from xjrelay.servers.peer.seen import Seen
from xjrelay.servers.peer.service import PeerListening, PeerService
from xjrelay.servers.peer.whereabouts import Whereabouts
from xjrelay.servers.reloading import limiting
from xjrelay.servers.security import hanging_up
from xjrelay.servers.startup import Program
from xjrelay.servers.tracing import remembering
from xjrelay.storage.interfaces import PeerStores
from xjrelay.storage.migrate import prepare
from xjrelay.storage.peers import open_peer_stores
from xjrelay.wire.peers import shown_name

Options = options_for("peer")
ANNOUNCE = announcing("peer")


def make_service(options: startup.Options, reactor: Any, serving: Serving = ANNOUNCE) -> Program:
    """A peer on its data folder; :func:`peer_of` finds it in there.

    Args:
        options: of ``peer``.
        reactor: the real one.
        serving: called with the place when it serves.

    Raises:
        StartupError: or another of ``startup.KNOWN``: it can't start, and why.
    """
    program = Program("peer", options)
    name = _name(options["name"])
    folder = startup.data_folder(f"peer/{quote(name, safe='')}-{_port(options['listen'])}", options)
    stores = _stores(reactor, folder)
    peer = _peer(options, reactor, folder, name, stores)
    extras = _extras(options, reactor, peer)

    def serves(place: Place) -> None:
        for extra in extras if peer.whereabouts.everywhere else []:
            extra.setServiceParent(program)
            extra.begin(peer.whereabouts.port)
        serving(place)

    listening = PeerListening(reactor, options["listen"], peer.factory)
    connect = [(one.host, one.port) for one in options["connect"]]
    service = PeerService(peer, listening, stores, connect, serves)
    service.setName("service")
    service.setServiceParent(program)
    program.applies.append(limiting(peer.context))
    program.parts.append(Seen(service).part())
    add_admin(program, reactor, options, folder=folder)
    return program


def open_peer(arguments: Sequence[str], reactor: Any, serving: Serving = lambda place: None) -> Program:
    """A peer from its command line, for ``xj``: not started.

    Raises:
        SystemExit: the line that says why not is written already.
    """
    options = Options()
    options.parseOptions(list(arguments))
    return startup.starting("peer", lambda: make_service(options, reactor, serving))


def peer_of(program: Program) -> PeerService:
    """The peer among a program's services."""
    service = program.getServiceNamed("service")
    assert isinstance(service, PeerService)
    return service


def makeService(options: startup.Options) -> Program:
    """What twistd calls."""
    from twisted.internet import reactor

    notify = Notify.of_process(reactor)
    serving = notify.after(ANNOUNCE)
    return startup.starting(
        "peer", lambda: notify.about(hanging_up(make_service(options, reactor, serving), reactor))
    )


def _stores(reactor: Any, folder: Path) -> PeerStores:
    database = startup.database_file(folder, "peer.sqlite3")
    prepare(database, "peer")
    return open_peer_stores(reactor, database)


def _peer(
    options: startup.Options, reactor: Any, folder: Path, name: str, stores: PeerStores
) -> LocalPeer:
    key = folder / "peer.key"
    identity = Identity(load_key(key), str(key))
    trace = remembering(options, reactor, "peer")
    context = Context(reactor, random.SystemRandom(), startup.limits(options), trace=trace)
    advertised = next(((one.host, one.port) for one in options["advertise"]), None)
    return LocalPeer(reactor, context, identity, name, stores, Whereabouts(advertised))


def _extras(options: startup.Options, reactor: Any, peer: LocalPeer) -> list[Lan | PortMapping]:
    def in_thread(work: Any, *args: Any) -> Any:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *args)

    extras: list[Lan | PortMapping] = []
    if options["discovery"] == "on":
        extras.append(Lan(reactor, in_thread, peer.own_id, peer.name, peer.found))
    if options["map-port"]:
        extras.append(PortMapping(reactor, in_thread, UpnpRouter, peer.whereabouts.is_mapped))
    return extras


def _name(said: str | None) -> str:
    name = said if said is not None else _login_name()
    if shown_name(name) != name or name == "?":
        raise startup.StartupError("--name is 1 to 64 printable characters, with single spaces at most")
    return name


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise startup.StartupError("say --name: this login has none") from None


def _port(endpoints: list[str]) -> str:
    """The number by which two peers of one name on one machine are told apart."""
    found = re.search(r":(?:port=)?(\d+)", endpoints[0])
    return found[1] if found else "0"

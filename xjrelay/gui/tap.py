# SPDX-License-Identifier: MIT
"""``xj gui``: puts the window, the thread of the network, and both worlds together.

The reactor runs in a thread of its own, because the toolkit has to have the first one.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    formatEventAsClassicLogText,
    globalLogBeginner,
)

from xjrelay.client.model import Direct
from xjrelay.client.target import own_addresses
from xjrelay.gui import settings as remembered
from xjrelay.gui.bridge import Bridge, NetworkThread
from xjrelay.gui.elsewhere import Peers
from xjrelay.gui.notify import Notifier
from xjrelay.gui.presenter import Presenter
from xjrelay.gui.window import Window
from xjrelay.gui.with_servers import ServersWorld
from xjrelay.gui.without import PeersWorld
from xjrelay.gui.words import Words, languages
from xjrelay.gui.world import Door, PeersDoor, ServersDoor, Tell, World
from xjrelay.security.identity import load_key
from xjrelay.security.private import PrivateFileError, read_private
from xjrelay.servers.peer import tap as peer_tap
from xjrelay.servers.peer.service import PeerService
from xjrelay.storage import acquaintances
from xjrelay.storage.acquaintances import called, said
from xjrelay.storage.history import open_history

_log = Logger()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said on the command line.

    Attributes:
        dark: a theme, None for the last one.
        notify: whether messages are shown outside the window, None for as it was last.
        language: None for the system's.
        tracker: stands in the first field, as ``user`` does; None for what was typed last.
        authority: who has to have signed the servers' certificates; None for the system's authorities.
        direct: have direct links with friends; None for as it was last.
        direct_listen: the address at which friends reach this computer; empty for all.
    """

    dark: bool | None = None
    notify: bool | None = None
    language: str | None = None
    tracker: str | None = None
    user: str | None = None
    authority: str | None = None
    direct: bool | None = None
    direct_listen: str = ""


@dataclass(slots=True)
class Program:
    """A window that is ready to run.

    Attributes:
        window: the window.
        bridge: between its thread and the network's.
        network: that thread; not started.
    """

    window: Window
    bridge: Bridge
    network: NetworkThread

    def run(self) -> None:
        """Until the window is closed."""
        self.network.start()
        try:
            self.window.run()
        finally:
            self.network.stop()


def make_window(wish: Wish, reactor: Any, environ: Mapping[str, str]) -> Program:
    """Everything, not running yet.

    Args:
        wish: what was said.
        reactor: installed, not running.
        environ: where folders and the language are found.

    Raises:
        tkinter.TclError: there is no display.
    """
    file = remembered.config_file(environ)
    settings = remembered.load(file)
    settings.dark = settings.dark if wish.dark is None else wish.dark
    settings.notify = settings.notify if wish.notify is None else wish.notify
    settings.tracker = wish.tracker or settings.tracker
    settings.user = wish.user or settings.user
    bridge = Bridge(reactor)
    notifier = Notifier(settings.notify)
    words = Words([wish.language] if wish.language else languages(environ))
    settings.direct = settings.direct if wish.direct is None else wish.direct
    world = partial(make_world, reactor, environ, wish, settings)
    presenter = Presenter(bridge, world, bridge.tell, words, _milliseconds, notifier)
    bridge.listen(presenter.happened)
    window = Window(presenter, bridge, settings, notifier, partial(_save, file))
    return Program(window, bridge, NetworkThread(reactor))


def make_world(
    reactor: Any,
    environ: Mapping[str, str],
    wish: Wish,
    settings: remembered.Settings,
    door: Door,
    tell: Tell,
) -> World:
    """The world behind a door, not started."""
    folder = remembered.account_folder(environ, door)
    history = partial(open_history, reactor)

    def beside(work: Callable[..., T], *args: Any) -> Deferred[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *args)

    read = partial(beside, said)
    if isinstance(door, ServersDoor):
        peers = remembered.peer_folders(environ)

        own = peers / remembered.peer_folder(settings)

        def direct() -> Direct:
            return Direct(listen=wish.direct_listen, hosts=own_addresses(), key=own_key(own, folder))

        known = Peers(partial(beside, called, peers, own), read)
        new_id = partial(secrets.token_hex, 12)
        return ServersWorld(reactor, door, tell, folder, history, new_id, wish.authority, direct, known)
    users = partial(beside, acquaintances.users, remembered.account_folders(environ))
    return PeersWorld(door, tell, folder, partial(make_peer, reactor), history, users, read)


def own_key(peer: Path, account: Path) -> bytes | None:
    """Who we are to friends: the peer that runs on this computer, where there is one, else a key of the
    account's own.

    Args:
        peer: that peer's folder.
        account: the account's.
    """
    try:
        return read_private(peer / "peer.key")
    except (FileNotFoundError, PrivateFileError):
        account.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return load_key(account / "direct.key")
    except PrivateFileError as error:
        _log.warn("direct links get a new key each time: {why}", why=str(error))
        return None


def make_peer(reactor: Any, door: PeersDoor) -> tuple[MultiService, PeerService]:
    """A peer as ``twistd xjpeer`` makes it, on the same folder."""
    interface = "0.0.0.0" if door.nearby else "127.0.0.1"
    options = peer_tap.Options()
    options.parseOptions(["--name", door.name, "--listen", f"tcp:{door.port}:interface={interface}"])
    program = peer_tap.make_service(options, reactor, lambda place: None)
    return program, peer_tap.peer_of(program)


def run(wish: Wish) -> None:
    """What ``xj gui`` does.

    Raises:
        tkinter.TclError: there is no display.
    """
    from twisted.internet import reactor

    program = make_window(wish, reactor, os.environ)
    log_to(sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: program.window.close())
    program.run()


def log_to(stream: TextIO) -> None:
    """Warnings and worse, where whoever started the window reads them."""
    wanted = LogLevelFilterPredicate(LogLevel.warn)
    observer = FileLogObserver(stream, formatEventAsClassicLogText)
    globalLogBeginner.beginLoggingTo([FilteringLogObserver(observer, [wanted])], redirectStandardIO=False)


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _save(file: Path, settings: remembered.Settings) -> None:
    try:
        remembered.save(file, settings)
    except OSError as error:
        print(f"xj gui: {file} can't be written: {error.strerror}", file=sys.stderr)

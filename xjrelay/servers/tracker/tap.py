# SPDX-License-Identifier: MIT
"""``twistd xjtracker``: options to a tracker on a SQLite file."""

from __future__ import annotations

import random
from typing import Any

from xjrelay.servers import startup
from xjrelay.servers.admin import add_admin
from xjrelay.servers.listening import Serving, announcing
from xjrelay.servers.notify import Notify
from xjrelay.servers.options import options_for
from xjrelay.servers.reloading import limiting, rereading
from xjrelay.servers.security import LinkSecurity, hanging_up
from xjrelay.servers.tracing import prefix
from xjrelay.servers.tracker.seen import Seen
from xjrelay.servers.tracker.service import TrackerConfig, TrackerService
from xjrelay.storage.directory import open_tracker_stores
from xjrelay.storage.migrate import prepare

Options = options_for("tracker")
ANNOUNCE = announcing("tracker")


def make_service(options: startup.Options, reactor: Any, serving: Serving = ANNOUNCE) -> startup.Program:
    """The tracker's services; the one named ``tracker`` is a :class:`TrackerService`.

    Args:
        options: of ``tracker``, or of ``node`` with the same names.
        reactor: the real one.
        serving: called when it serves.

    Raises:
        StartupError: or another of ``startup.KNOWN``: it can't start, and why.
    """
    program = startup.Program("tracker", options)
    folder = startup.data_folder("tracker", options)
    secret = startup.cluster_secret(options)
    database = startup.database_file(folder, "tracker.sqlite3")
    prepare(database, "tracker")
    security = LinkSecurity(options)
    config = TrackerConfig(
        listen=options["listen"],
        allow_plaintext=options["allow-plaintext"],
        tls=security.server,
        vouch=security.vouch,
        lease=options["lease"],
        limits=startup.limits(options),
        prefix=prefix(options),
    )
    stores = open_tracker_stores(reactor, database)
    tracker = TrackerService(reactor, random.Random(), secret, stores, config, serving)
    tracker.setName("tracker")
    tracker.setServiceParent(program)
    program.parts.append(Seen(tracker).part())
    program.reloads += [security.reload, rereading(secret, options)]
    program.applies.append(limiting(tracker.context))
    add_admin(program, reactor, options, security.server, folder)
    return program


def makeService(options: startup.Options) -> startup.Program:
    """What twistd calls."""
    from twisted.internet import reactor

    notify = Notify.of_process(reactor)
    serving = notify.after(ANNOUNCE)
    return startup.starting(
        "tracker", lambda: notify.about(hanging_up(make_service(options, reactor, serving), reactor))
    )

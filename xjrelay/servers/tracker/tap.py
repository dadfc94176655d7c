# SPDX-License-Identifier: MIT
"""``twistd xjtracker``: options to a tracker on a SQLite file."""

from __future__ import annotations

import random
from typing import Any

from xjrelay.net.metrics import Metrics
from xjrelay.servers import startup
from xjrelay.servers.admin import admin_listening
from xjrelay.servers.options import options_for
from xjrelay.servers.tracker.service import TrackerConfig, TrackerService
from xjrelay.storage.directory import open_tracker_stores
from xjrelay.storage.migrate import prepare

Options = options_for("tracker")


def build(options: startup.Options, reactor: Any) -> TrackerService:
    """A tracker on its data folder, not started.

    Raises:
        StartupError, SecretError, SchemaError: it can't be had; one sentence says why.
    """
    folder = startup.data_folder("tracker", options)
    secret = startup.cluster_secret(options)
    database = folder / "tracker.sqlite"
    prepare(database, "tracker")
    config = TrackerConfig(
        listen=options["listen"],
        allow_plaintext=options["allow-plaintext"],
        lease=options["lease"],
        limits=startup.limits(options),
    )
    stores = open_tracker_stores(reactor, database)
    return TrackerService(reactor, random.SystemRandom(), secret, stores, config)


def make_program(options: startup.Options, reactor: Any) -> startup.Program:
    """The tracker and its admin pages."""
    program = startup.Program("tracker", options)
    tracker = build(options, reactor)
    tracker.setServiceParent(program)
    metrics = Metrics(tracker.context.counters, tracker.gauges())
    for admin in admin_listening(reactor, options, lambda: tracker.ready, metrics):
        admin.setServiceParent(program)
    return program


def makeService(options: startup.Options) -> startup.Program:
    """What twistd calls."""
    from twisted.internet import reactor

    return startup.starting("tracker", lambda: make_program(options, reactor))

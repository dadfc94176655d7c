# SPDX-License-Identifier: MIT
"""``twistd xjrelay``: options to a running relay; a bill of materials and nothing else."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from xjrelay.net.context import Context
from xjrelay.security.secret import ClusterSecret
from xjrelay.servers.admin import add_admin
from xjrelay.servers.listening import Listening, Serving, announcing
from xjrelay.servers.notify import Notify
from xjrelay.servers.options import options_for
from xjrelay.servers.relay.identity import load_relay_id
from xjrelay.servers.relay.seen import Seen
from xjrelay.servers.relay.service import Relay, RelayService
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.servers.reloading import limiting, rereading
from xjrelay.servers.security import LinkSecurity, hanging_up
from xjrelay.servers.startup import (
    Program,
    batch,
    cluster_secret,
    collect_seldom,
    data_folder,
    limits,
    quick_reactor,
    starting,
)
from xjrelay.servers.tracing import prefix, remembering

Options = options_for("relay")
ANNOUNCE = announcing("relay")


def build(
    options: Any, reactor: Any, folder: Path, secret: ClusterSecret, security: LinkSecurity, serving: Serving
) -> RelayService:
    """A relay on its data folder, not started.

    Args:
        options: of ``relay``, or a mapping with the same names.
        reactor: the real one.
        folder: keeps the ``relay_id``, and nothing else.
        secret: the cluster's.
        security: the links' TLS.
        serving: called when it serves.

    Raises:
        StartupError: or another of ``startup.KNOWN``: it can't be had, and why.
    """
    context = Context(
        *(reactor, random.SystemRandom(), limits(options)),
        dialling=security.dialling,
        vouch=security.vouch,
        trace=remembering(options, reactor, "relay"),
        prefix=prefix(options),
        batch=batch(reactor),
    )
    settings = _settings(options)
    relay = Relay(
        reactor,
        context,
        settings,
        secret,
        load_relay_id(folder),
        options["tracker"],
        lease=options["lease"],
    )
    plain = options["allow-plaintext"]
    listening = Listening(reactor, options["listen"], relay.factory, plain, security.server)
    return RelayService(relay, listening, options["advertise"], serving)


def make_service(options: Any, reactor: Any, serving: Serving = ANNOUNCE) -> Program:
    """The relay and its admin pages."""
    program = Program("relay", options)
    folder, secret, security = data_folder("relay", options), cluster_secret(options), LinkSecurity(options)
    service = build(options, reactor, folder, secret, security, serving)
    service.setName("relay")
    service.setServiceParent(program)
    program.parts.append(Seen(service).part())
    program.reloads += [security.reload, rereading(secret, options)]
    program.applies += [limiting(service.relay.context), lambda new: _apply(service.relay, new)]
    add_admin(program, reactor, options, security.server, folder)
    return program


def makeService(options: Any) -> Program:
    """What twistd calls."""
    quick_reactor()
    from twisted.internet import reactor

    collect_seldom()
    notify = Notify.of_process(reactor)
    serving = notify.after(ANNOUNCE)
    return starting("relay", lambda: notify.about(hanging_up(_alone(options, reactor, serving), reactor)))


def _settings(options: Any) -> RelaySettings:
    return RelaySettings(
        **{name: options[name.replace("_", "-")] for name in RelaySettings.__dataclass_fields__}
    )


def _apply(relay: Relay, options: Any) -> None:
    relay.switch.settings = _settings(options)


def _alone(options: Any, reactor: Any, serving: Serving) -> Program:
    """A relay that is a process of its own: drained, it stops."""
    program = make_service(options, reactor, serving)
    service = program.getServiceNamed("relay")
    assert isinstance(service, RelayService)
    service.relay.on_drained = reactor.stop
    return program

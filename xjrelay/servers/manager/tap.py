# SPDX-License-Identifier: MIT
"""``twistd xjmanager``: options to a running manager; a bill of materials and nothing else."""

from __future__ import annotations

import random
import secrets
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from xjrelay.net.context import Context
from xjrelay.security import admission
from xjrelay.security.admission import TokenBook
from xjrelay.security.private import create_private, read_private
from xjrelay.security.scram import Decoy
from xjrelay.security.tokens import Signer
from xjrelay.servers.acting import Doorkeeper
from xjrelay.servers.acts_page import ActsPage
from xjrelay.servers.admin import add_admin
from xjrelay.servers.listening import Serving, announcing
from xjrelay.servers.manager.acts import Acts
from xjrelay.servers.manager.seen import Seen
from xjrelay.servers.manager.service import Derivations, ManagerService
from xjrelay.servers.manager.state import Manager, Policy
from xjrelay.servers.notify import Notify
from xjrelay.servers.options import in_force, options_for
from xjrelay.servers.reloading import SecretChange, limiting, rereading, whole
from xjrelay.servers.security import LinkSecurity, hanging_up
from xjrelay.servers.startup import (
    Program,
    batch,
    cluster_secret,
    data_folder,
    database_file,
    limits,
    starting,
)
from xjrelay.servers.tracing import prefix, remembering
from xjrelay.storage.audit import FileAudit
from xjrelay.storage.migrate import prepare
from xjrelay.storage.roster import open_manager_stores

Options = options_for("manager")
ANNOUNCE = announcing("manager")


def make_service(options: Any, reactor: Any, serving: Serving = ANNOUNCE) -> Program:
    """The manager's services; the one named ``manager`` is a :class:`ManagerService`.

    Args:
        options: of ``manager``, or of ``node`` with the same names.
        reactor: the real one.
        serving: called when it serves.

    Raises:
        StartupError: or another of ``startup.KNOWN``: it can't start, and why.
    """
    program = Program("manager", options)
    folder = data_folder("manager", options)
    database = database_file(folder, "manager.sqlite3")
    prepare(database, "manager")
    derivations = Derivations(reactor)
    security = LinkSecurity(options)
    manager = Manager(
        context=Context(
            *(reactor, random.Random(), limits(options)),
            dialling=security.dialling,
            vouch=security.vouch,
            trace=remembering(options, reactor, "manager"),
            prefix=prefix(options),
            batch=batch(reactor),
        ),
        stores=open_manager_stores(reactor, database),
        secret=cluster_secret(options),
        signer=Signer.load(folder / "signing-keys.json", reactor.seconds),
        in_thread=derivations.run,
        policy=_policy(options),
        decoy=Decoy(_kept(folder / "decoy.key", 32), options["key-rounds"]),
    )
    service = ManagerService(
        reactor,
        manager,
        options["listen"],
        options["tracker"],
        _kept(folder / "manager_id", 16).hex(),
        advertise=options["advertise"],
        tls=security.server,
        lease=options["lease"],
        serving=serving,
    )
    service.setName("manager")
    derivations.setServiceParent(program)
    service.setServiceParent(program)
    program.parts.append(Seen(service, derivations).part())
    program.reloads += [security.reload, rereading(manager.secret, options)]
    program.applies += [limiting(manager.context), lambda new: manager.apply(_policy(new))]
    program.pages[b"v1"] = ActsPage(_doorkeeper(program, manager, service, folder, reactor))
    add_admin(program, reactor, options, security.server, folder)
    return program


def _doorkeeper(
    program: Program, manager: Manager, service: ManagerService, folder: Path, reactor: Any
) -> Doorkeeper:
    def in_thread(work: Any, *args: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *args)

    options = program.options
    secret = SecretChange(program, in_thread)
    acts = Acts(manager, service.rotation, secret.step, lambda: {"options": in_force(whole(program).options)})
    return Doorkeeper(
        acts.table(),
        TokenBook(folder / admission.NAME, reactor.seconds),
        FileAudit(folder, in_thread),
        reactor,
        options["admin-requests"],
        options["admin-failures"],
        manager.context.counters.limited,
    )


def makeService(options: Any) -> Program:
    """What twistd calls."""
    from twisted.internet import reactor

    notify = Notify.of_process(reactor)
    serving = notify.after(ANNOUNCE)
    return starting(
        "manager", lambda: notify.about(hanging_up(make_service(options, reactor, serving), reactor))
    )


def _policy(options: Any) -> Policy:
    return Policy(
        **{name: options[name.replace("_", "-")] for name in Policy.__dataclass_fields__}
    )


def _kept(path: Path, size: int) -> bytes:
    """Random bytes made on first use, the same at every start after."""
    try:
        return read_private(path)
    except FileNotFoundError:
        create_private(path, secrets.token_bytes(size))
        return read_private(path)

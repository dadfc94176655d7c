# SPDX-License-Identifier: MIT
"""A whole suite in one process: a tracker, a manager and relays, each as its own ``tap`` makes it.

They speak to each other over sockets as they would on four machines, so a node can be taken apart
later without anybody noticing. The tracker's port comes first; the manager and the relays take the
next ones, or all of them whichever are free when it is 0. The programs are made one after the
other, because each is told where the tracker came to listen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from xjrelay.servers.listening import Place, Serving
from xjrelay.servers.startup import Options, Program, StartupError, starting
from xjrelay.servers.tracker.service import TrackerService
from xjrelay.wire.endpoints import Address

Make = Callable[[Options, Any, Serving], Program]
"""A tap's ``make_service``."""

_TCP = re.compile(r"((?:tls:)?(?:tcp[46]?:)?)(\d+)(.*)", re.DOTALL)


class NodeService(Program):
    """The programs of a node.

    Args:
        options: the node's; of them each program gets those with its names.
        reactor: the real one.
        folder: the node's data folder; each program has one of its own inside.
        makers: for ``tracker``, ``manager`` and ``relay``, what makes it.
        serving: called with the places by program (``relay1``, ``relay2``...) when all serve.

    Attributes:
        names: the programs, in the order of their ports.
        places: where those that serve are reached.
    """

    def __init__(
        self,
        options: Options,
        reactor: Any,
        folder: Path,
        makers: Mapping[str, Make],
        serving: Callable[[Mapping[str, Place]], None],
    ) -> None:
        super().__init__("node", options)
        self.names = ["tracker", "manager", *(f"relay{n}" for n in range(1, options["relays"] + 1))]
        self.places: dict[str, Place] = {}
        self._node_options = options
        self._reactor = reactor
        self._folder = folder
        self._makers = makers
        self._serving = serving
        self._endpoints = endpoints(options["listen"], len(self.names))
        self._made = False
        self._near: dict[str, str] = {}

    @property
    def is_ready(self) -> bool:
        """Whether every program serves."""
        return bool(self.parts) and all(part.ready() for part in self.parts)

    def privilegedStartService(self) -> None:
        """Makes every program and opens its sockets."""
        starting("node", self._make_all)
        super().privilegedStartService()

    def startService(self) -> None:
        """Starts them all, making them where that isn't done yet."""
        if not self._made:
            self.privilegedStartService()
        super().startService()

    def _make_all(self) -> None:
        self._made = True
        tracker = self._make("tracker", 0, {})
        tracker.privilegedStartService()
        service = cast(TrackerService, tracker.getServiceNamed("tracker"))
        place = service.listening.places[0]
        self._near = _near(place, self._node_options["advertise"])
        for index, name in enumerate(self.names[1:], 1):
            self._make(name, index, {"tracker": [_dialled(place)]})

    def _make(self, name: str, index: int, more: Options) -> Program:
        kind = name.rstrip("0123456789")
        options = {
            **self._node_options,
            "data-dir": self._folder / name,
            "listen": [self._endpoints[index]],
            "advertise": self._advertised(index),
            "near": self._near,
            "admin": None,
            "admin-socket": "off",
            "part": name,
            **more,
        }
        program = self._makers[kind](options, self._reactor, lambda place: self._serves(name, place))
        program.setName(name)
        program.program = self.program  # what can't start is the node, to whoever typed that
        program.setServiceParent(self)
        self.parts += [replace(part, program=name) for part in program.parts]
        self.reloads += program.reloads
        self.pages.update(program.pages)
        self.applies += program.applies
        return program

    def _advertised(self, index: int) -> list[Address]:
        wanted = self._node_options["advertise"]
        port = _port(self._endpoints[index])
        if wanted and port == 0:
            raise StartupError("--advertise needs ports that are known: --listen tcp:PORT, not 0")
        return [one._replace(port=port) for one in wanted]

    def _serves(self, name: str, place: Place) -> None:
        self.places[name] = place
        if len(self.places) == len(self.names):
            self._serving({each: self.places[each] for each in self.names})


def endpoints(listen: list[str], count: int) -> list[str]:
    """Endpoint strings for ``count`` programs: the node's own, and the ports after it.

    Raises:
        StartupError: the node is not told one TCP port, or the ports run out at 65535.
    """
    match = _TCP.fullmatch(listen[0])
    if len(listen) != 1 or match is None:
        raise StartupError("a node listens on one TCP endpoint: --listen tcp:PORT, or tls:PORT")
    before, first, rest = match[1], int(match[2]), match[3]
    ports = [first + index if first else 0 for index in range(count)]
    if ports[-1] > 65535:
        raise StartupError(f"a node needs {count} ports from {first} on, and there are none above 65535")
    return [f"{before}{port}{rest}" for port in ports]


def _port(endpoint: str) -> int:
    match = _TCP.fullmatch(endpoint)
    assert match is not None
    return int(match[2])


def _dialled(place: Place) -> Address:
    """How the node's own programs reach a place that may be every interface."""
    own = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
    return Address(own.get(place.host, place.host), place.port, place.tls)


def _near(place: Place, advertised: list[Address]) -> dict[str, str]:
    """The names by which the node's own programs hear of each other, and where that really is: what
    is advertised may lead nowhere from inside, and its certificate need not name loopback."""
    here = _dialled(place).host
    return {here: here, **{one.host: here for one in advertised}}

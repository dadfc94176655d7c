# SPDX-License-Identifier: MIT
"""Asking the trackers, in turn, who is there (protocol, section 4; U1).

A tracker is asked when a manager has to be found and not otherwise: the link is closed with its answer, so
a tracker that is down hurts nobody who has found a manager.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xjrelay.client.channel import Channel
from xjrelay.client.core import ProbeCore, TrackerCore
from xjrelay.client.errors import ClientError, Insecure, NoTracker, Refused
from xjrelay.client.heard import Answered, ComponentsHeard, CoreEvent, Ponged
from xjrelay.client.model import Component, Components, Event, LinkState, Notice
from xjrelay.client.network import Network, Promise
from xjrelay.client.target import Place, way_in


class Trackers:
    """The trackers a user knows.

    Args:
        network: the framework.
        places: where they are, in order of preference.
        emit: hears what they say.
    """

    def __init__(
        self, network: Network, places: Sequence[Place], emit: Callable[[Event], None] = lambda event: None
    ) -> None:
        self._network = network
        self._places = list(places)
        self._emit = emit
        self._known: tuple[Component, ...] = ()

    async def components(self) -> tuple[Component, ...]:
        """Who is there, from the first tracker that answers; the next time it is asked first.

        Raises:
            NoTracker: none does.
        """
        errors = []
        for place in list(self._places):
            try:
                self._known = await self._ask(place)
            except ClientError as error:
                self._emit(LinkState("tracker", False, str(error)))
                errors.append(str(error))
                continue
            self._places.remove(place)
            self._places.insert(0, place)
            self._emit(Components(self._known))
            return self._known
        raise NoTracker("; ".join(errors))

    async def managers(self) -> list[Place]:
        """Where the managers are. With no tracker there, where they were.

        Raises:
            NoTracker: none answers, and none ever has.
            Insecure: we have the list over TLS, and no manager offers any.
        """
        try:
            components = await self.components()
        except NoTracker:
            if not self._known:
                raise
            components = self._known
        found, insecure = [], None
        for one in components:
            if one.type == "manager":
                try:
                    found.append(way_in("manager", one.host, one.port, one.endpoints, self._places[0].tls))
                except Insecure as error:
                    insecure = error
        if insecure is not None and not found:
            raise insecure
        return found

    async def _ask(self, place: Place) -> tuple[Component, ...]:
        answer: Promise[tuple[Component, ...]] = Promise(self._network)

        def heard(event: CoreEvent) -> None:
            if isinstance(event, ComponentsHeard):
                answer.settle(event.components)
            elif isinstance(event, Answered) and event.error:
                answer.settle(Refused(event.code, event.msg))
                self._emit(Notice("tracker", event.code, event.msg))

        channel: Channel[TrackerCore] = Channel(self._network, "tracker", heard)
        await channel.open(place, TrackerCore)
        try:
            return await channel.answer(answer)
        finally:
            channel.close("done")


async def probe(network: Network, place: Place, program: str) -> float:
    """Ping whatever listens at a place.

    Returns:
        Seconds from the ping to its answer.

    Raises:
        ClientError: nobody answers.
    """
    answer: Promise[None] = Promise(network)

    def heard(event: CoreEvent) -> None:
        if isinstance(event, Ponged):
            answer.settle(None)

    channel: Channel[ProbeCore] = Channel(network, program, heard)
    await channel.open(place, lambda local: ProbeCore())
    began = network.seconds()
    try:
        await channel.answer(answer)
        return network.seconds() - began
    finally:
        channel.close("done")

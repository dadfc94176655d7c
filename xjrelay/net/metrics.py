# SPDX-License-Identifier: MIT
"""What a program counts, as Prometheus reads it.

The hot path counts in plain integers (``net.context.Counters``); they are turned into metrics only
when somebody asks. Each program has a registry of its own, so that several live in one process.
Knows no HTTP and no server: those add their own gauges as functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from xjrelay.net.context import Counters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

METRICS: dict[str, tuple[str, str]] = {
    "xjrelay_links_open": ("gauge", "connections open now"),
    "xjrelay_links_opened": ("counter", "connections ever opened"),
    "xjrelay_links_closed": ("counter", "connections closed, by reason"),
    "xjrelay_frames_in": ("counter", "frames heard"),
    "xjrelay_frames_out": ("counter", "frames said"),
    "xjrelay_bytes_in": ("counter", "bytes read"),
    "xjrelay_bytes_out": ("counter", "bytes written"),
    "xjrelay_bad_frames": ("counter", "frames that were not JSON objects in UTF-8"),
    "xjrelay_limited": ("counter", "how often a limit was reached, by its option"),
    "xjrelay_components_live": ("gauge", "managers and relays a tracker lists"),
    "xjrelay_users_online": ("gauge", "accounts logged in at a manager"),
    "xjrelay_relays_live": ("gauge", "relays a manager assigns users to"),
    "xjrelay_sessions": ("gauge", "sessions of users at a relay"),
    "xjrelay_mesh_links": ("gauge", "relays a relay is linked with"),
    "xjrelay_peers_linked": ("gauge", "peers a peer is linked with"),
}
"""Every metric: its type and what it is. Counters get Prometheus's ``_total`` after the name."""

LABELS = ("program",)
"""Every metric says of which program it is: ``tracker``, ``manager``, ``relay1``..."""

Gauges = Mapping[str, Callable[[], float]]


@dataclass(frozen=True, slots=True)
class Part:
    """One program as its operator sees it.

    Args:
        program: its name; a relay's in a node bears a number.
        counters: what its links count.
        ready: whether it serves now.
        gauges: further metrics by name, each with a function that tells its value now. The names
            are those of :data:`METRICS`.
    """

    program: str
    counters: Counters
    ready: Callable[[], bool]
    gauges: Gauges = field(default_factory=dict)


class Metrics(Collector):
    """The metrics of the programs in one process.

    Args:
        parts: the programs; looked at when somebody asks, so the list may still grow.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """All of them in Prometheus's text form."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The values of now; the library's hook."""
        families = {name: _family(name) for name in METRICS}
        for part in self._parts:
            labels = [part.program]
            for name in _COUNTED:
                families[f"xjrelay_{name}"].add_metric(labels, getattr(part.counters, name))
            for reason, count in sorted(part.counters.closed.items(), key=lambda item: item[0].value):
                families["xjrelay_links_closed"].add_metric([*labels, reason.value], count)
            for option, count in sorted(part.counters.limited.items()):
                families["xjrelay_limited"].add_metric([*labels, option], count)
            for name, value in part.gauges.items():
                families[name].add_metric(labels, value())
        return [family for family in families.values() if family.samples]


_COUNTED = ("links_open", "links_opened", "frames_in", "frames_out", "bytes_in", "bytes_out", "bad_frames")

_MORE_LABELS = {"xjrelay_links_closed": ("reason",), "xjrelay_limited": ("option",)}


def _family(name: str) -> GaugeMetricFamily | CounterMetricFamily:
    kind, what = METRICS[name]
    labels = [*LABELS, *_MORE_LABELS.get(name, ())]
    family = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
    return family(name, what, labels=labels)

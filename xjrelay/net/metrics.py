# SPDX-License-Identifier: MIT
"""What a program counts, as Prometheus reads it.

The hot path counts in plain integers (``net.context.Counters``); they are turned into metrics only
when somebody asks. Each program has a registry of its own, so that several live in one process.
Knows no HTTP and no server: those add their own gauges as functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

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
    "xjrelay_components_live": ("gauge", "managers and relays a tracker lists"),
    "xjrelay_users_online": ("gauge", "accounts logged in at a manager"),
    "xjrelay_relays_live": ("gauge", "relays a manager assigns users to"),
    "xjrelay_sessions": ("gauge", "sessions of users at a relay"),
    "xjrelay_mesh_links": ("gauge", "relays a relay is linked with"),
}
"""Every metric: its type and what it is. Counters get Prometheus's ``_total`` after the name."""

Gauges = Mapping[str, Callable[[], float]]


class Metrics(Collector):
    """One program's metrics.

    Args:
        counters: what its links count.
        gauges: further metrics by name, each with a function that tells its value now. The names
            are those of :data:`METRICS`.
    """

    def __init__(self, counters: Counters, gauges: Gauges | None = None) -> None:
        self._counters = counters
        self._gauges = dict(gauges or {})
        if unknown := set(self._gauges) - set(METRICS):
            raise ValueError(f"metrics without a row in the table: {sorted(unknown)}")
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """All of them in Prometheus's text form."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The values of now; the library's hook."""
        counters = self._counters
        yield self._gauge("xjrelay_links_open", counters.links_open)
        for name in ("links_opened", "frames_in", "frames_out", "bytes_in", "bytes_out", "bad_frames"):
            full = f"xjrelay_{name}"
            yield CounterMetricFamily(full, METRICS[full][1], getattr(counters, name))
        closed = CounterMetricFamily(
            "xjrelay_links_closed", METRICS["xjrelay_links_closed"][1], labels=["reason"]
        )
        for reason, count in sorted(counters.closed.items(), key=lambda item: item[0].value):
            closed.add_metric([reason.value], count)
        yield closed
        for name, value in self._gauges.items():
            yield self._gauge(name, value())

    def _gauge(self, name: str, value: float) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, METRICS[name][1], value)

# SPDX-License-Identifier: MIT
"""What a program counts, as Prometheus reads it, and what else its operator is shown.

The hot path counts in plain integers (``net.context.Counters``); they are turned into metrics only
when somebody asks. Each process has a registry of its own; the names are those of ``net.metric_table``.

Knows no HTTP and no server: those add :class:`Sample` and facts of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector

from xjrelay import __version__
from xjrelay.domain.histogram import Histogram
from xjrelay.net.context import Counters
from xjrelay.net.metric_table import METRICS
from xjrelay.net.trace import Trace

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sample(NamedTuple):
    """A value of now.

    Attributes:
        name: one of :data:`METRICS`.
        value: a number; of a histogram the histogram.
        labels: the values of its labels, in their order, without the program's.
    """

    name: str
    value: float | Histogram
    labels: tuple[str, ...] = ()


Samples = Iterable[Sample]


def queue(name: str, length: float, limit: float) -> Samples:
    """How full a queue is."""
    yield Sample("xjrelay_queue_length", length, (name,))
    yield Sample("xjrelay_queue_limit", limit, (name,))


def _no_samples() -> Samples:
    return ()


def _nothing() -> Sequence[str]:
    return ()


def _no_pulse() -> None:
    """Nothing has to be done."""


def _no_facts() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Part:
    """One program as its operator sees it.

    Args:
        program: its name; a relay's in a node bears a number.
        counters: what its links count.
        missing: what keeps it from serving now, each in a few words; nothing when it serves.
        samples: further metrics.
        facts: what ``xj status`` shows of it, for JSON.
        broken: what it needs and doesn't have, each in a few words, though it may go on serving.
        trace: what it remembers of messages.
        pulse: to be called every second while somebody may look.
    """

    program: str
    counters: Counters
    missing: Callable[[], Sequence[str]]
    samples: Callable[[], Samples] = _no_samples
    facts: Callable[[], Mapping[str, Any]] = _no_facts
    broken: Callable[[], Sequence[str]] = _nothing
    trace: Trace | None = None
    pulse: Callable[[], None] = _no_pulse

    def ready(self) -> bool:
        """Whether it serves now."""
        return not self.missing()


class Metrics(Collector):
    """The metrics of the programs in one process.

    Args:
        parts: the programs; looked at when somebody asks, so the list may still grow.
        process: the process's name, and what else is to be said of it.
    """

    def __init__(
        self, parts: Sequence[Part], process: tuple[str, Callable[[], Samples]] | None = None
    ) -> None:
        self._parts = parts
        self._process = process
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of them in Prometheus's text form, with the process's own (CPU, memory, files)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Family]:
        """The values of now; the library's hook."""
        families = {name: _family(name) for name in METRICS}
        for part in self._parts:
            for sample in samples_of(part):
                _add(families[sample.name], part.program, sample)
        if self._process is not None:
            program, samples = self._process
            for sample in samples():
                _add(families[sample.name], program, sample)
        return [family for family in families.values() if family.samples]


_COUNTED = {
    "xjrelay_links_open": "links_open",
    "xjrelay_links_opened": "links_opened",
    "xjrelay_received_frames": "frames_in",
    "xjrelay_sent_frames": "frames_out",
    "xjrelay_received_bytes": "bytes_in",
    "xjrelay_sent_bytes": "bytes_out",
    "xjrelay_bad_frames": "bad_frames",
    "xjrelay_handshake_seconds": "handshakes",
    "xjrelay_request_seconds": "requests",
}


def samples_of(part: Part) -> Iterator[Sample]:
    """Everything that is to be said of a program."""
    counters = part.counters
    yield Sample("xjrelay_info", 1, (__version__,))
    yield Sample("xjrelay_ready", part.ready())
    yield Sample("xjrelay_healthy", not part.broken())
    for name, attribute in _COUNTED.items():
        yield Sample(name, getattr(counters, attribute))
    for reason, count in sorted(counters.closed.items(), key=lambda item: item[0].value):
        yield Sample("xjrelay_links_closed", count, (reason.value,))
    for option, count in sorted(counters.limited.items()):
        yield Sample("xjrelay_limit_reached", count, (option,))
    for code, count in sorted(counters.refused.items()):
        yield Sample("xjrelay_refused", count, (str(code),))
    for (status, why), count in sorted(counters.outcomes.items(), key=str):
        yield Sample("xjrelay_outcomes", count, (status, "" if why is None else str(int(why))))
    yield from part.samples()


_Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily
_KINDS: dict[str, type[GaugeMetricFamily] | type[CounterMetricFamily] | type[HistogramMetricFamily]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _family(name: str) -> _Family:
    metric = METRICS[name]
    return _KINDS[metric.kind](name, metric.what, labels=["program", *metric.labels])


def _add(family: _Family, program: str, sample: Sample) -> None:
    labels, value = [program, *sample.labels], sample.value
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, Histogram)
        family.add_metric(labels, value.buckets(), value.total)
    else:
        assert not isinstance(value, Histogram)
        family.add_metric(labels, float(value))

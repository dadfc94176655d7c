# SPDX-License-Identifier: MIT
"""The operator's HTTP, and what stands in it."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.context import Counters
from xjrelay.net.metrics import METRICS, Metrics
from xjrelay.servers.admin import admin_listening, admin_site
from xjrelay.wire.errors import CloseReason


class AdminTests(SynchronousTestCase):
    """Requests as bytes, answers as bytes."""

    def setUp(self) -> None:
        self.ready = False
        self.counters = Counters()
        self.metrics = Metrics(self.counters, {"xjrelay_sessions": lambda: 7})
        self.site = admin_site(Clock(), lambda: self.ready, self.metrics)

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        protocol = self.site.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def test_is_healthy_while_it_runs(self) -> None:
        self.assertEqual(self.get("/healthz"), (200, "ok\n"))

    def test_is_ready_once_it_serves(self) -> None:
        self.assertEqual(self.get("/readyz")[0], 503)
        self.ready = True
        self.assertEqual(self.get("/readyz"), (200, "ready\n"))

    def test_anything_else_is_not_found_or_not_allowed(self) -> None:
        self.assertEqual(self.get("/")[0], 404)
        self.assertEqual(self.get("/nowhere")[0], 404)
        self.assertEqual(self.get("/healthz", "POST"), (405, "only GET\n"))

    def test_metrics_are_the_counters_of_now(self) -> None:
        self.counters.frames_in = 5
        self.counters.closed[CloseReason.SILENT] = 2
        code, text = self.get("/metrics")
        self.assertEqual(code, 200)
        for line in ("xjrelay_frames_in_total 5.0", "xjrelay_sessions 7.0"):
            self.assertIn(line, text)
        self.assertIn(f'xjrelay_links_closed_total{{reason="{CloseReason.SILENT.value}"}} 2.0', text)

    def test_every_metric_shown_has_its_row_and_its_help(self) -> None:
        shown = {metric.name: metric for metric in self.metrics.collect()}
        for name, metric in shown.items():
            self.assertEqual((metric.type, metric.documentation), METRICS[name])
        of_links = {name for name in METRICS if name.removeprefix("xjrelay_") in Counters.__slots__}
        self.assertEqual(of_links - set(shown), set())

    def test_a_metric_without_a_row_is_a_mistake_of_ours(self) -> None:
        self.assertRaises(ValueError, Metrics, self.counters, {"xjrelay_nosuch": lambda: 1})

    def test_two_programs_in_one_process_do_not_meet(self) -> None:
        other = Metrics(Counters(), {"xjrelay_sessions": lambda: 9})
        self.assertIn(b"xjrelay_sessions 9.0", other.text())
        self.assertIn(b"xjrelay_sessions 7.0", self.metrics.text())

    def test_it_listens_only_where_it_is_asked_to(self) -> None:
        reactor: Any = MemoryReactorClock()
        options = {"admin": None, "allow-plaintext": False}
        self.assertEqual(admin_listening(reactor, options, lambda: True, self.metrics), [])
        [service] = admin_listening(reactor, options | {"admin": "tcp:9000"}, lambda: True, self.metrics)
        service.startService()
        self.assertEqual([server[0] for server in reactor.tcpServers], [9000])

# SPDX-License-Identifier: MIT
"""The operator's HTTP, and what stands in it."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.context import Counters
from xjrelay.net.metrics import METRICS, Metrics, Part
from xjrelay.servers.admin import add_admin, admin_site
from xjrelay.servers.startup import Program
from xjrelay.wire.errors import CloseReason


class AdminTests(SynchronousTestCase):
    """Requests as bytes, answers as bytes."""

    def setUp(self) -> None:
        self.ready = False
        self.counters = Counters()
        gauges = {"xjrelay_sessions": lambda: 7.0}
        self.parts = [Part("relay1", self.counters, lambda: self.ready, gauges)]
        self.site = admin_site(Clock(), self.parts)

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
        self.assertEqual(self.get("/readyz"), (503, "not ready: relay1\n"))
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
        self.assertIn('xjrelay_frames_in_total{program="relay1"} 5.0', text)
        self.assertIn('xjrelay_sessions{program="relay1"} 7.0', text)
        labels = f'program="relay1",reason="{CloseReason.SILENT.value}"'
        self.assertIn(f"xjrelay_links_closed_total{{{labels}}} 2.0", text)

    def test_every_metric_shown_has_its_row_and_its_help(self) -> None:
        self.counters.closed[CloseReason.DONE] = 1
        self.counters.limited["max-links"] = 1
        shown = {metric.name: metric for metric in Metrics(self.parts).collect()}
        for name, metric in shown.items():
            self.assertEqual((metric.type, metric.documentation), METRICS[name])
        of_links = {f"xjrelay_{name}" for name in Counters.__slots__} - {"xjrelay_closed"}
        self.assertEqual(of_links | {"xjrelay_links_closed", "xjrelay_sessions"}, set(shown))

    def test_several_programs_in_one_process_stand_side_by_side(self) -> None:
        self.parts.append(Part("relay2", Counters(), lambda: False, {"xjrelay_sessions": lambda: 9}))
        text = self.get("/metrics")[1]
        self.assertIn('xjrelay_sessions{program="relay2"} 9.0', text)
        self.assertEqual(text.count("# HELP xjrelay_sessions "), 1)
        self.ready = True
        self.assertEqual(self.get("/readyz"), (503, "not ready: relay2\n"))

    def test_it_listens_only_where_it_is_asked_to(self) -> None:
        for admin, ports in ((None, []), ("tcp:9000", [9000])):
            reactor: Any = MemoryReactorClock()
            options = {"admin": admin, "allow-plaintext": False, "log-format": "text"}
            program = Program("relay", options)
            add_admin(program, reactor, options)
            program.startService()
            self.assertEqual([server[0] for server in reactor.tcpServers], ports)

# SPDX-License-Identifier: MIT
"""The operator's HTTP, and what stands in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xjrelay import __version__
from xjrelay.domain.histogram import Histogram
from xjrelay.net.context import Counters
from xjrelay.net.metrics import Part, Sample, Samples, queue
from xjrelay.net.trace import Trace
from xjrelay.servers.admin import MAX_CONNECTIONS, MAX_PATH, SOCKET, Few, Pulse, add_admin, admin_site
from xjrelay.servers.startup import Program
from xjrelay.wire.errors import CloseReason


class AdminTests(SynchronousTestCase):
    """Requests as bytes, answers as bytes."""

    def setUp(self) -> None:
        self.missing: list[str] = ["no tracker lists it"]
        self.broken: list[str] = []
        self.counters = Counters()
        self.histogram = Histogram()
        self.clock = Clock()
        self.trace = Trace(self.clock.seconds, 100)
        self.parts = [
            Part(
                *("relay1", self.counters, lambda: self.missing, self.samples, lambda: {"kind": "relay"}),
                broken=lambda: self.broken,
                trace=self.trace,
            )
        ]
        self.site = admin_site(Clock(), self.parts, "node")

    def samples(self) -> Samples:
        yield Sample("xjrelay_sessions", 7.0)
        yield Sample("xjrelay_delivery_seconds", self.histogram, ("here",))
        yield from queue("links", 3, 10)

    def get(self, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
        protocol = self.site.buildProtocol(None)
        transport = StringTransport(peerAddress=IPv4Address("TCP", host, 40000))
        protocol.makeConnection(transport)
        protocol.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def test_so_many_connections_at_a_time(self) -> None:
        site = Few(self.site)
        open_ = []
        for _ in range(MAX_CONNECTIONS):
            open_.append(site.buildProtocol(None))
            open_[-1].makeConnection(StringTransport())
        self.assertIsNone(site.buildProtocol(None))
        open_[0].connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(site.buildProtocol(None))
        open_[1].dataReceived(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"200", open_[1].transport.value())

    def test_is_healthy_unless_it_says_what_is_broken(self) -> None:
        self.assertEqual(self.get("/healthz"), (200, "ok\n"))
        self.broken.append("the store: the disk is full")
        self.assertEqual(self.get("/healthz"), (503, "relay1: the store: the disk is full\n"))

    def test_is_ready_unless_it_says_why_not(self) -> None:
        self.assertEqual(self.get("/readyz"), (503, "relay1: no tracker lists it\n"))
        self.missing.append("the manager is away")
        self.assertEqual(
            self.get("/readyz"), (503, "relay1: no tracker lists it\nrelay1: the manager is away\n")
        )
        self.missing.clear()
        self.assertEqual(self.get("/readyz"), (200, "ready\n"))

    def test_anything_else_is_not_found_or_not_allowed(self) -> None:
        self.assertEqual(self.get("/")[0], 404)
        self.assertEqual(self.get("/nowhere")[0], 404)
        self.assertEqual(self.get("/healthz", "POST"), (405, "only GET\n"))
        self.assertEqual(self.get("/healthz", "HEAD"), (200, ""))

    def test_metrics_are_the_counters_of_now(self) -> None:
        self.counters.frames_in = 5
        self.counters.closed[CloseReason.SILENT] = 2
        self.counters.limited["max-links"] = 3
        self.counters.refused[503] = 4
        self.counters.outcomes["failed", 507] = 6
        code, text = self.get("/metrics")
        self.assertEqual(code, 200)
        for line in (
            'xjrelay_received_frames_total{program="relay1"} 5.0',
            'xjrelay_sessions{program="relay1"} 7.0',
            f'xjrelay_links_closed_total{{program="relay1",reason="{CloseReason.SILENT.value}"}} 2.0',
            'xjrelay_limit_reached_total{option="max-links",program="relay1"} 3.0',
            'xjrelay_refused_total{code="503",program="relay1"} 4.0',
            'xjrelay_outcomes_total{code="507",program="relay1",status="failed"} 6.0',
            'xjrelay_queue_length{program="relay1",queue="links"} 3.0',
            'xjrelay_queue_limit{program="relay1",queue="links"} 10.0',
            f'xjrelay_info{{program="relay1",version="{__version__}"}} 1.0',
            'xjrelay_ready{program="relay1"} 0.0',
            'xjrelay_healthy{program="relay1"} 1.0',
        ):
            self.assertIn(line + "\n", text)
        self.assertIn("process_resident_memory_bytes ", text)

    def test_a_histogram_has_its_steps_its_sum_and_its_count(self) -> None:
        for seconds in (0.0002, 0.003, 100.0, -1.0):
            self.histogram.observe(seconds)
        text = self.get("/metrics")[1]
        for le, count in (("0.0001", 1), ("0.00025", 2), ("0.005", 3), ("60.0", 3), ("+Inf", 4)):
            labels = f'le="{le}",program="relay1",way="here"'
            self.assertIn(f"xjrelay_delivery_seconds_bucket{{{labels}}} {count}.0\n", text)
        self.assertIn('xjrelay_delivery_seconds_count{program="relay1",way="here"} 4.0\n', text)
        self.assertIn('xjrelay_delivery_seconds_sum{program="relay1",way="here"} 100.0032\n', text)

    def test_several_programs_in_one_process_stand_side_by_side(self) -> None:
        self.parts.append(Part("relay2", Counters(), list, lambda: [Sample("xjrelay_sessions", 9)]))
        text = self.get("/metrics")[1]
        self.assertIn('xjrelay_sessions{program="relay2"} 9.0', text)
        self.assertEqual(text.count("# HELP xjrelay_sessions "), 1)

    def test_the_status_is_what_a_program_says_of_itself(self) -> None:
        self.counters.links_open = 2
        self.counters.outcomes["delivered", None] = 5
        self.counters.outcomes["failed", 503] = 1
        self.counters.outcomes["failed", 507] = 1
        code, text = self.get("/status")
        said = json.loads(text)
        self.assertEqual((code, said["process"], said["version"]), (200, "node", __version__))
        [program] = said["programs"]
        self.assertEqual(program["program"], "relay1")
        self.assertEqual(program["missing"], ["no tracker lists it"])
        self.assertEqual((program["links"], program["kind"]), (2, "relay"))
        self.assertEqual(program["outcomes"], {"delivered": 5, "failed": 2})
        self.assertEqual(program["queues"], {"links": [3.0, 10.0]})

    def test_what_is_remembered_of_a_message_is_told(self) -> None:
        self.clock.advance(1000.0)
        self.trace.note("accepted", "esa", "fajar", ["a", "b"], "fajar/phone")
        self.trace.note("delivered", "esa", "", ["b"], "")
        code, text = self.get("/trace?id=b")
        events = [(one["event"], one["from"], one["where"]) for one in json.loads(text)["events"]]
        self.assertEqual(code, 200)
        self.assertEqual(events, [("accepted", "esa", "fajar/phone"), ("delivered", "esa", "")])
        self.assertEqual(json.loads(self.get("/trace?id=c")[1]), {"events": [], "remembered": 3})
        self.assertEqual(self.get("/trace")[0], 400)

    def test_who_wrote_to_whom_is_told_on_the_machine_itself_alone(self) -> None:
        self.trace.note("accepted", "esa", "fajar", ["a"], "fajar/phone")
        self.assertEqual(self.get("/trace?id=a", host="10.0.0.7"), (403, "only on the machine itself\n"))
        code, text = self.get("/status", host="10.0.0.7")
        self.assertEqual((code, "esa" in text), (200, False))


class PulseTests(SynchronousTestCase):
    """A look at the clock each second."""

    def test_it_says_how_late_its_timers_are(self) -> None:
        clock, beats = Clock(), []
        pulse = Pulse(clock, [Part("relay", Counters(), list, pulse=lambda: beats.append(clock.seconds()))])
        pulse.startService()
        clock.advance(1.0)
        clock.advance(1.3)
        pulse.stopService()
        clock.advance(10.0)
        self.assertEqual(beats, [0.0, 1.0, 2.3])
        self.assertEqual(len(pulse.delays), 2)
        self.assertAlmostEqual(pulse.delays.total, 0.3)


class DoorTests(SynchronousTestCase):
    """Where it is served."""

    def doors(self, admin: str | None, socket: str, folder: Path | None) -> tuple[list[int], list[str]]:
        reactor: Any = MemoryReactorClock()
        options = {"admin": admin, "admin-socket": socket, "allow-plaintext": False, "log-format": "text"}
        program = Program("relay", options)
        add_admin(program, reactor, options, folder=folder)
        program.privilegedStartService()
        program.startService()
        program.stopService()
        return [server[0] for server in reactor.tcpServers], [server[0] for server in reactor.unixServers]

    def test_it_listens_only_where_it_is_asked_to(self) -> None:
        self.assertEqual(self.doors(None, "off", Path("/tmp")), ([], []))
        self.assertEqual(self.doors("tcp:9000", "off", Path("/tmp")), ([9000], []))
        self.assertEqual(self.doors(None, "on", None), ([], []))

    def test_the_socket_is_in_the_data_folder_and_takes_an_older_one_s_place(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        short = Path("/tmp") / f"xj-{id(self):x}"
        short.symlink_to(folder.absolute())
        self.addCleanup(short.unlink)
        (short / SOCKET).touch()
        self.assertEqual(self.doors(None, "on", short), ([], [str(short / SOCKET)]))
        self.assertFalse((short / SOCKET).exists())

    def test_a_folder_whose_name_is_too_long_for_a_socket_is_no_reason_not_to_serve(self) -> None:
        self.assertEqual(self.doors(None, "on", Path("/tmp") / ("x" * MAX_PATH)), ([], []))
        folder = Path(self.mktemp()) / ("x" * MAX_PATH)
        folder.mkdir(parents=True)
        [path] = self.doors(None, "on", folder)[1]
        self.assertTrue(Path(path).parent.samefile(folder))

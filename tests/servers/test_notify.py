# SPDX-License-Identifier: MIT
"""What systemd hears, on a fake clock, through an injected socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.test_startup import options
from xjrelay.servers.listening import Place
from xjrelay.servers.notify import Notify
from xjrelay.servers.startup import Program

PLACE = Place("127.0.0.1", 5000)


class NotifyTests(SynchronousTestCase):
    """One program's life."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []

    def notify(self, watchdog: float | None = 30.0) -> Notify:
        return Notify(self.clock, lambda words: self.said.append(words.decode()), watchdog)

    def test_ready_comes_after_the_line(self) -> None:
        order: list[str] = []
        notify = Notify(self.clock, lambda words: order.append(words.decode()))
        notify.after(lambda place: order.append(f"line {place.port}"))(PLACE)
        self.assertEqual(order, ["line 5000", "READY=1\nSTATUS=serves at 127.0.0.1:5000"])

    def test_the_watchdog_is_fed_twice_in_its_time(self) -> None:
        notify = self.notify(30.0)
        notify.startService()
        self.clock.pump([14.0, 1.0, 14.0, 1.0])
        self.assertEqual(self.said, ["WATCHDOG=1"] * 3)

    def test_the_end_is_told_first_and_watched_too(self) -> None:
        program = Program("tracker", options())
        notify = self.notify()
        notify.about(program)
        program.startService()
        program.stopService()
        self.clock.advance(15.0)
        self.assertEqual(self.said, ["WATCHDOG=1", "STOPPING=1\nSTATUS=stops", "WATCHDOG=1"])
        self.assertIs(list(program)[-1], notify)

    def test_without_a_watchdog_nothing_is_timed(self) -> None:
        self.notify(None).startService()
        self.assertEqual((self.clock.getDelayedCalls(), self.said), ([], []))

    def test_who_does_not_listen_stops_nobody(self) -> None:
        def fail(words: bytes) -> None:
            raise ConnectionRefusedError("nobody reads")

        with capturedLogs() as logs:
            Notify(self.clock, fail, 30.0).startService()
            self.clock.advance(15.0)
        self.assertEqual(len(logs), 2)


class EnvironmentTests(SynchronousTestCase):
    """What the process was told."""

    def test_a_socket_by_path_and_an_abstract_one(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)  # a socket's whole path is short, a test folder's may not be
        abstract = f"xjrelay-{os.getpid()}"
        for said, bound in (("/proc/self/cwd/s", "s"), (f"@{abstract}", f"\0{abstract}")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
                systemd.bind(bound)
                systemd.setblocking(False)
                notify = Notify.of_process(Clock(), {"NOTIFY_SOCKET": said})
                notify.after(lambda place: None)(PLACE)
                self.assertEqual(systemd.recv(200), b"READY=1\nSTATUS=serves at 127.0.0.1:5000")

    def feeds(self, **environ: str) -> bool:
        clock = Clock()
        Notify.of_process(clock, {"NOTIFY_SOCKET": "@xjrelay-nobody", **environ}).startService()
        return bool(clock.getDelayedCalls())

    def test_a_watchdog_that_watches_us(self) -> None:
        self.assertTrue(self.feeds(WATCHDOG_USEC="30000000"))
        self.assertTrue(self.feeds(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid())))
        self.assertFalse(self.feeds())
        self.assertFalse(self.feeds(WATCHDOG_USEC="0"))
        self.assertFalse(self.feeds(WATCHDOG_USEC="soon"))
        self.assertFalse(self.feeds(WATCHDOG_USEC="30000000", WATCHDOG_PID="1"))

    def test_elsewhere_nobody_is_told(self) -> None:
        with capturedLogs() as logs:
            notify = Notify.of_process(Clock(), {"WATCHDOG_USEC": "30000000"})
            notify.startService()
            notify.after(lambda place: None)(PLACE)
            notify.stopService()
        self.assertEqual(logs, [])

# SPDX-License-Identifier: MIT
"""Real processes that can't start: one line on standard error, status 1 or 2, no traceback."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.system.programs import Program, until
from xjrelay.storage.migrate import prepare

PLUGINS = ("xjtracker", "xjmanager", "xjrelay", "xjnode")
WITH_DATABASE = {"xjtracker": "tracker.sqlite3", "xjmanager": "manager.sqlite3"}
TWISTD = str(Path(sys.executable).with_name("twistd"))


class FailureTests(TestCase):
    """Each failure, made on purpose."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).resolve()
        self.data = self.home / "data"
        self.home.mkdir()

    async def run_twistd(self, plugin: str, *options: str, daemon: bool = False) -> tuple[str, str, int]:
        """Output, errors and exit status of a program that ends by itself."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        mode = ["--logfile", str(self.home / "log")] if daemon else ["--nodaemon"]
        command = [*mode, "--pidfile", str(self.home / "pid"), plugin, "--data-dir", str(self.data), *options]
        result = await getProcessOutputAndValue(TWISTD, command, environ, str(self.home), reactor)
        out, err, status = result
        self.assertNotIn(b"Traceback", out + err)
        # The parent of a daemon ends as soon as it knows why; the child then tidies up.
        await until(lambda: not (self.home / "pid").exists(), "the pid file is taken away")
        return out.decode(), err.decode(), status

    async def fails(self, plugin: str, status: int, *options: str) -> str:
        """The one line a program says as it ends."""
        _, err, ended = await self.run_twistd(plugin, *options)
        self.assertEqual((err.count("\n"), ended), (1, status), err)
        self.assertTrue(err.startswith(f"{plugin}: "), err)
        return err

    async def test_wrong_options(self) -> None:
        for plugin in PLUGINS:
            self.assertIn("--nosuch", await self.fails(plugin, 2, "--nosuch"))
        self.assertIn("--lease: 'soon'", await self.fails("xjtracker", 2, "--lease", "soon"))

    async def test_a_wrong_configuration_file(self) -> None:
        file = self.home / "x.toml"
        file.write_text("relays = 3\nrelay = 3\n")
        self.assertIn(f"{file}:2: unknown key 'relay'", await self.fails("xjnode", 2, "--config", str(file)))

    async def test_a_busy_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            for plugin in PLUGINS:
                said = await self.fails(plugin, 1, "--listen", f"tcp:{port}")
                self.assertIn(f"cannot listen on tcp:{port}: Address already in use", said)

    async def test_a_busy_port_as_a_daemon(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            listen = f"tcp:{busy.getsockname()[1]}"
            _, err, status = await self.run_twistd("xjtracker", "--listen", listen, daemon=True)
        self.assertEqual(status, 1)
        self.assertIn(f"cannot listen on {listen}", err)
        self.assertIn(f"cannot listen on {listen}: Address already in use", (self.home / "log").read_text())

    async def test_off_loopback_without_tls(self) -> None:
        said = await self.fails("xjrelay", 1, "--listen", "tcp:0:interface=0.0.0.0")
        self.assertIn("--allow-plaintext", said)

    async def test_a_data_folder_that_can_not_be_written(self) -> None:
        self.data.write_text("in the way")
        for plugin in PLUGINS:
            self.assertIn(str(self.data), await self.fails(plugin, 1, "--listen", "tcp:0"))

    async def test_a_data_folder_in_use(self) -> None:
        running = Program("xjtracker", self.data)
        self.addCleanup(running.stop, "KILL")
        await running.start()
        said = await self.fails("xjtracker", 1, "--listen", "tcp:0")
        self.assertIn("in use by another process", said)
        await running.stop()

    async def test_a_damaged_database(self) -> None:
        for plugin, name in WITH_DATABASE.items():
            self.data.mkdir(exist_ok=True)
            (self.data / name).write_bytes(b"this is no database" * 500)
            self.assertIn(str(self.data / name), await self.fails(plugin, 1, "--listen", "tcp:0"))

    async def test_a_newer_database(self) -> None:
        for plugin, name in WITH_DATABASE.items():
            self.data.mkdir(exist_ok=True)
            prepare(self.data / name, plugin.removeprefix("xj"))
            with closing(sqlite3.connect(self.data / name)) as database:
                database.execute("PRAGMA user_version = 999")
            self.assertIn("newer", await self.fails(plugin, 1, "--listen", "tcp:0"))

    async def test_a_secret_that_others_can_read(self) -> None:
        file = self.home / "secret"
        file.write_text("a-secret-for-all-to-see\n")
        file.chmod(0o644)
        for plugin in PLUGINS:
            said = await self.fails(plugin, 1, "--listen", "tcp:0", "--cluster-secret-file", str(file))
            self.assertIn("can be read by others", said)
            self.assertNotIn("a-secret-for-all-to-see", said)

    async def test_help_and_version_are_no_failures(self) -> None:
        for plugin in PLUGINS:
            out, err, status = await self.run_twistd(plugin, "--help")
            self.assertEqual((err, status), ("", 0))
            self.assertIn("--listen", out)
        self.assertIn("xjrelay 0.", (await self.run_twistd("xjtracker", "--version"))[0])


class NodeTests(TestCase):
    """A node that does start."""

    async def test_serves_and_says_what_to_type_next(self) -> None:
        data = Path(self.mktemp()).resolve() / "data"
        data.parent.mkdir()
        node = Program("xjnode", data, "--relays", "2")
        self.addCleanup(node.stop, "KILL")
        await node.start()
        await until(lambda: "chat --user" in node.log, "what to type next")
        self.assertIn(f"xjrelay ready node {node.address}", node.log)
        self.assertEqual(node.log.count("xjrelay ready"), 1)
        self.assertIn(f"--tracker {node.address}", node.log)
        folders = {folder.name for folder in data.iterdir() if folder.is_dir()}
        self.assertEqual(folders, {"tracker", "manager", "relay1", "relay2"})
        self.assertEqual(await node.stop(), -signal.SIGTERM)

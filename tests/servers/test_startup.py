# SPDX-License-Identifier: MIT
"""Starting: folders, locks, secrets, and how a failure leaves the process."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import Any

from twisted.application.service import Application, IServiceCollection, Service
from twisted.logger import ILogObserver, LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.context import Limits
from xjrelay.security.secret import SecretError
from xjrelay.servers.jsonlog import NEVER, event_name, json_line
from xjrelay.servers.options import options_for
from xjrelay.servers.startup import (
    Program,
    StartupError,
    announce,
    cluster_secret,
    data_folder,
    limits,
    starting,
)


def options(program: str = "tracker", *arguments: str) -> Any:
    made = options_for(program)()
    made.environ = {}
    made.parseOptions(list(arguments))
    return made


class StartingTests(SynchronousTestCase):
    """A failure that has a sentence becomes that sentence."""

    def fail_with(self, error: BaseException) -> tuple[StartupError, str]:
        def make() -> None:
            raise error

        errors = io.StringIO()
        return self.assertRaises(StartupError, starting, "relay", make, errors), errors.getvalue()

    def test_what_starts_is_given_back(self) -> None:
        self.assertEqual(starting("relay", lambda: 7), 7)

    def test_a_known_error_is_one_line_and_status_1(self) -> None:
        for error in (StartupError("the port\nis busy"), SecretError("the port is busy")):
            exit_error, line = self.fail_with(error)
            self.assertEqual((line, exit_error.code), ("xjrelay: the port is busy\n", 1))

    def test_it_is_an_exit_for_python_and_an_exception_for_twistd(self) -> None:
        self.assertIsInstance(StartupError("x"), SystemExit)
        self.assertIsInstance(StartupError("x"), Exception)

    def test_a_mistake_of_ours_keeps_its_traceback(self) -> None:
        def make() -> None:
            raise KeyError("x")

        self.assertRaises(KeyError, starting, "relay", make)


class FolderTests(SynchronousTestCase):
    """The data folder."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp())

    def test_is_made_for_the_owner_alone(self) -> None:
        folder = data_folder("tracker", options("tracker", "--data-dir", str(self.base / "a" / "b")))
        self.assertEqual(folder, self.base / "a" / "b")
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)

    def test_follows_xdg_by_default(self) -> None:
        environ = {"XDG_DATA_HOME": str(self.base / "data"), "HOME": str(self.base)}
        self.assertEqual(data_folder("tracker", options(), environ), self.base / "data/xjrelay/tracker")
        del environ["XDG_DATA_HOME"]
        expected = self.base / ".local/share/xjrelay/tracker"
        self.assertEqual(data_folder("tracker", options(), environ), expected)
        self.assertRaises(StartupError, data_folder, "tracker", options(), {})

    def test_is_refused_while_another_has_it(self) -> None:
        chosen = options("tracker", "--data-dir", str(self.base))
        data_folder("tracker", chosen)
        error = self.assertRaises(StartupError, data_folder, "tracker", chosen)
        self.assertIn("in use by another process", str(error))

    def test_is_refused_where_it_can_not_be(self) -> None:
        self.base.write_text("in the way")
        chosen = options("tracker", "--data-dir", str(self.base / "below"))
        error = self.assertRaises(StartupError, data_folder, "tracker", chosen)
        self.assertIn(str(self.base / "below"), str(error))


class FromOptionsTests(SynchronousTestCase):
    """What options become."""

    def test_limits_without_options_are_the_defaults(self) -> None:
        self.assertEqual(limits(options()), Limits())

    def test_limits_follow_the_options(self) -> None:
        chosen = limits(options("relay", "--max-frame", "100", "--hello-timeout", "0.5"))
        self.assertEqual((chosen.max_frame, chosen.hello_timeout), (100, 0.5))

    def test_the_secret_is_made_where_the_option_says(self) -> None:
        path = Path(self.mktemp()) / "secret"
        cluster_secret(options("tracker", "--cluster-secret-file", str(path)))
        self.assertTrue(path.exists())

    def test_the_secret_is_made_in_the_configuration_folder_by_default(self) -> None:
        home = Path(self.mktemp())
        cluster_secret(options(), {"HOME": str(home)})
        self.assertTrue((home / ".config/xjrelay/cluster.secret").exists())

    def test_the_secret_may_be_a_credential_of_systemd_s(self) -> None:
        path = Path(self.mktemp()).resolve() / "cluster.secret"
        said = options("tracker", "--cluster-secret-file", str(path))
        cluster_secret(said, {})
        path.chmod(0o440)
        cluster_secret(said, {"CREDENTIALS_DIRECTORY": str(path.parent)})
        self.assertRaises(SecretError, cluster_secret, said, {})


class ProgramTests(SynchronousTestCase):
    """The service at the top."""

    def test_a_child_that_can_not_start_ends_the_process(self) -> None:
        class Busy(Service):
            def privilegedStartService(self) -> None:
                raise StartupError("busy")

        program = Program("tracker", options())
        program.addService(Busy())
        self.assertRaises(StartupError, program.privilegedStartService)

    def test_text_logs_are_left_to_twistd(self) -> None:
        application = Application("x")
        Program("tracker", options()).setServiceParent(application)
        self.assertIsNone(application.getComponent(ILogObserver, None))
        self.assertIsNotNone(IServiceCollection(application).getServiceNamed("tracker"))

    def test_json_logs_go_where_twistd_logs(self) -> None:
        file = Path(self.mktemp())
        chosen = options("tracker", "--log-format", "json")
        chosen.parent = {"logfile": str(file.resolve()), "nodaemon": True}
        application = Application("x")
        Program("tracker", chosen).setServiceParent(application)
        observer = application.getComponent(ILogObserver)
        observer({"log_format": "hello {who}", "who": "you", "log_time": 0.0})
        line = json.loads(file.read_text())
        self.assertEqual((line["text"], line["who"], line["level"]), ("hello you", "you", "info"))

    def test_ready_is_one_line(self) -> None:
        with capturedLogs() as events:
            announce("relay", "127.0.0.1", 5002)
        self.assertEqual([formatEvent(event) for event in events], ["xjrelay ready relay 127.0.0.1:5002"])


class JsonLineTests(SynchronousTestCase):
    """An event as JSON."""

    def line(self, **event: Any) -> Any:
        whole = {"log_time": 1.5, "log_level": LogLevel.warn, **event}
        return json.loads(json_line(whole, "relay") or "null")

    def test_has_the_text_and_the_fields(self) -> None:
        said = {"log_format": "{link} closed: {reason}", "log_namespace": "x.y"}
        line = self.line(**said, link="relay#1", reason="done")
        self.assertEqual(
            line,
            {
                "time": "1970-01-01T00:00:01.500+00:00",
                "level": "warn",
                "program": "relay",
                "event": "closed",
                "namespace": "x.y",
                "text": "relay#1 closed: done",
                "link": "relay#1",
                "reason": "done",
            },
        )

    def test_is_one_line_whatever_is_in_it(self) -> None:
        text = json_line({"log_format": "{a}", "a": "one\ntwo"}) or ""
        self.assertEqual(text.count("\n"), 1)

    def test_a_value_that_is_no_json_is_shown_as_text(self) -> None:
        self.assertEqual(self.line(log_format="x", at=Path("/a"))["at"], "/a")

    def test_a_failure_brings_its_traceback(self) -> None:
        try:
            raise KeyError("gone")
        except KeyError:
            line = self.line(log_format="it broke", log_failure=Failure())
        self.assertIn("KeyError", line["traceback"])

    def test_an_event_without_text_is_no_line(self) -> None:
        self.assertIsNone(self.line())

    def test_an_event_has_a_name(self) -> None:
        self.assertEqual(self.line(log_format="{link} closed: {why}", why="x")["event"], "closed")
        self.assertEqual(self.line(log_format="it broke", event="broken")["event"], "broken")
        self.assertEqual(self.line(log_format="{log_text}", log_text="old", message=())["event"], "twisted")
        self.assertEqual(event_name("the reactor's turn failed: {why!r}"), "the-reactors-turn-failed")

    def test_of_several_programs_in_a_process_it_says_which(self) -> None:
        self.assertEqual(self.line(log_format="x", link="relay1:relay#7")["program"], "relay1")
        self.assertEqual(self.line(log_format="x", program="manager")["program"], "manager")

    def test_a_message_s_id_is_a_field_and_twisted_s_own_is_none(self) -> None:
        self.assertEqual(self.line(log_format="x", message="m1")["message"], "m1")
        self.assertNotIn("message", self.line(log_format="x", message=("old",)))

    def test_what_is_nobody_s_to_read_is_left_out(self) -> None:
        for name in NEVER:
            self.assertNotIn(name, self.line(log_format="x", **{name: "rahasia"}))

    def test_a_field_can_not_stand_in_for_the_lines_own_keys(self) -> None:
        line = self.line(log_format="x", level="fatal", text="y", namespace="z")
        self.assertEqual((line["level"], line["text"], line["namespace"]), ("warn", "x", ""))

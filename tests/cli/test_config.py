# SPDX-License-Identifier: MIT
"""``xj config``: each thing that is wrong with a file, with its line; and what is in force, from where."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli import config as cli
from xjrelay.cli.main import DONE, REFUSED, WRONG_USAGE, main
from xjrelay.security.folder import Folder
from xjrelay.servers import config
from xjrelay.servers.option_table import ALL

DAY = 86400.0


class ConfigCase(SynchronousTestCase):
    """A file, and an environment of the test's own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "x.toml"
        self.environ: dict[str, str] = {}

    def write(self, *lines: str) -> None:
        self.file.write_text("\n".join(lines) + "\n")

    def xj(self, *typed: str) -> tuple[int, str, str]:
        out, errors = io.StringIO(), io.StringIO()
        environ = mock.patch.dict("os.environ", self.environ, clear=True)
        with redirect_stdout(out), redirect_stderr(errors), environ:
            status = main(["config", *typed])
        return status, out.getvalue(), errors.getvalue()

    def problems(self, program: str = "relay", *more: str) -> list[str]:
        """What is said, without the file's name where the line begins with it."""
        status, out, errors = self.xj("check", *more, program, str(self.file))
        self.assertEqual(errors, "")
        if status == DONE:
            self.assertIn(": nothing wrong; ", out)
            return []
        self.assertEqual(status, REFUSED)
        return [line.removeprefix(f"{self.file}:") for line in out.splitlines()]


class CheckTests(ConfigCase):
    """Every thing that is wrong, not only the first."""

    def found(self, *lines: str, program: str = "relay") -> str:
        """What is wrong with lines; nobody is dialled."""
        self.write(*lines)
        return "\n".join(self.problems(program, "--offline"))

    def test_a_good_file(self) -> None:
        for program in ALL.split():
            self.write("max-frame = 5000", 'listen = ["tcp:0"]')
            status, out, _ = self.xj("check", "--offline", program, str(self.file))
            self.assertEqual(
                (status, out),
                (DONE, f"{self.file}: nothing wrong; 3 options are said, the others have their defaults.\n"),
            )

    def test_all_of_them_by_line(self) -> None:
        found = self.found(
            'resume = "60s"', "", "resum = 5", "# x", 'max_frame = "64 KiB"', "lease = true"
        ).splitlines()
        self.assertEqual(
            found,
            [
                "1: resume: '60s' is not a number of seconds above 0; say 60",
                "3: unknown key 'resum' (did you mean resume?)",
                "5: max_frame: '64 KiB' is not a number of bytes from 1 to 1099511627776; say 65536",
                "6: lease: True is not a number of seconds above 0",
            ],
        )

    def test_units_that_are_meant(self) -> None:
        for text, seconds in (("500ms", "0.5"), ("2 min", "120"), ("1.5h", "5400"), ("7 days", "604800")):
            self.assertIn(f"say {seconds}", self.found(f'resume = "{text}"'))
        for text, size in (("64k", "65536"), ("1MB", "1048576"), ("0.5 GiB", "536870912")):
            self.assertIn(f"say {size}", self.found(f'max-frame = "{text}"'))
        self.assertIn("say 30", self.found('mailbox-days = "30 days"', program="manager"))
        for text in ("60x", "soon", "1 2 s"):
            self.assertNotIn("say", self.found(f'resume = "{text}"'))

    def test_an_element_of_a_list_on_its_own_line(self) -> None:
        found = self.found(
            "tracker = [", '  "127.0.0.1:5000",', "  # the other", '  "nowhere",', '  "10.0.0.9:5000",', "]"
        )
        self.assertEqual(
            found.splitlines(),
            [
                "4: tracker: 'nowhere' is not HOST:PORT",
                "5: tracker: 10.0.0.9:5000 is off loopback without TLS; say tls:10.0.0.9:5000,"
                " or allow-plaintext",
            ],
        )

    def test_what_is_no_toml_or_not_there(self) -> None:
        self.assertTrue(self.found("resume = 1", "resume resume").startswith("2: not TOML"))
        self.assertTrue(self.found("resume = [1,").startswith("2: not TOML"))
        self.file.unlink()
        self.assertIn(f"cannot read {self.file}", "\n".join(self.problems("relay", "--offline")))

    def test_what_the_environment_says_wrongly(self) -> None:
        self.environ["XJ_LEASE"] = "soon"
        self.assertEqual(self.found("resume = 1"), "XJ_LEASE: 'soon' is not a number of seconds above 0")

    def test_endpoints(self) -> None:
        found = self.found(
            'listen = ["tcp:0:interface=0.0.0.0", "tcp:0:interface=192.0.2.7", "tls:0", "nosuch:5",'
            ' "systemd:domain=INET:index=0"]',
            'admin = "tcp:x"',
        )
        self.assertIn("1: listen: tcp:0:interface=0.0.0.0 is off loopback without TLS", found)
        self.assertIn("1: listen: tcp:0:interface=192.0.2.7: nothing here has the address 192.0.2.7", found)
        self.assertIn("1: listen: tls:0 needs --tls-certificate", found)
        self.assertIn("1: listen: 'nosuch:5' is no good endpoint", found)
        self.assertIn("2: admin: 'tcp:x' is no good endpoint", found)
        self.assertNotIn("systemd", found)
        self.assertEqual(self.found('listen = ["tcp:0:interface=0.0.0.0"]', "allow-plaintext = true"), "")

    def test_an_address_that_is_nobody_s(self) -> None:
        self.assertIn(
            "1: advertise: no-such-host.invalid is nobody's name",
            self.found('advertise = ["no-such-host.invalid:5002"]'),
        )

    def test_a_folder_and_a_secret(self) -> None:
        (self.folder / "file").write_text("short\n")
        found = self.found(
            f'data-dir = "{self.folder}/file/x"', f'cluster-secret-file = "{self.folder}/file"'
        )
        self.assertIn(f"1: data-dir: {self.folder}/file is no folder", found)
        self.assertIn("2: cluster-secret-file: ", found)
        self.assertEqual(
            self.found(f'data-dir = "{self.folder}/new/x"', f'cluster-secret-file = "{self.folder}/s"'), ""
        )


class CertificateTests(ConfigCase):
    """Certificates that would be of no use."""

    def setUp(self) -> None:
        super().setUp()
        self.certs = Folder(self.folder / "certs")
        self.issued = self.certs.issue("relay", ["localhost"], time.time())

    def found(self, *lines: str, now: float | None = None) -> str:
        said = f'tls-certificate = "{self.issued.certificate}"', f'tls-key = "{self.issued.key}"'
        self.write(*said, *lines)
        options, problems = config.read("relay", self.file, {})
        return "\n".join([*problems, *config.examine(options, now or time.time())])

    def test_a_good_one(self) -> None:
        self.assertEqual(self.found('listen = ["tls:0"]', 'advertise = ["localhost:5002"]'), "")

    def test_one_that_ends_or_has_ended(self) -> None:
        self.assertIn(f"{self.file}:1: tls-certificate: ", self.found(now=time.time() + 390 * DAY))
        self.assertIn("ends in 7 days", self.found(now=time.time() + 390 * DAY))
        self.assertIn("ended 3 days ago", self.found(now=time.time() + 400 * DAY))

    def test_one_for_another_name(self) -> None:
        self.assertIn("is for localhost, not for 127.0.0.1", self.found('advertise = ["127.0.0.1:5002"]'))

    def test_a_key_of_another_and_files_that_are_none(self) -> None:
        other = self.certs.issue("manager", ["localhost"], time.time())
        good = self.issued.key.read_bytes()
        self.issued.key.write_bytes(other.key.read_bytes())
        self.assertIn(f"{self.file}:", self.found())
        self.issued.key.write_bytes(good)
        self.issued.certificate.write_text("rubbish")
        self.assertIn(f"{self.file}:1: tls-certificate: ", self.found())
        self.issued.key.unlink()
        self.assertIn(f"{self.file}:", self.found())

    def test_options_that_need_each_other(self) -> None:
        self.write(
            'tls-key = "x.pem"', "tls-require-client-certificate = true", 'tls-authority = "/none.pem"'
        )
        options, problems = config.read("relay", self.file, {})
        found = "\n".join([*problems, *config.examine(options, time.time())])
        self.assertIn(f"{self.file}:1: tls-key: it needs --tls-certificate", found)
        self.assertIn(f"{self.file}:2: tls-require-client-certificate: it needs", found)
        self.assertIn(f"{self.file}:3: tls-authority: cannot read /none.pem", found)


class ReachTests(ConfigCase):
    """Whom the program would dial."""

    def test_a_tracker_that_is_not_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.write("", f'tracker = ["127.0.0.1:{port}"]')
        [found] = self.problems()
        self.assertTrue(found.startswith(f"2: tracker: 127.0.0.1:{port}: "), found)

    def test_a_peer_that_is_there_one_that_is_not_and_one_that_keeps_silent(self) -> None:
        self.assertIsNone(self.answer(silent=False, name="connect"))
        self.assertIn("refused", str(self.answer(silent=None, name="connect")))
        self.patch(cli, "PATIENCE", 0.2)
        self.assertIn("nothing comes back", str(self.answer(silent=True, name="tracker")))

    def answer(self, silent: bool | None, name: str) -> str | None:
        """What is said of a place where somebody is, or (None) nobody."""
        from xjrelay.wire.endpoints import Address

        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = Address("127.0.0.1", listener.getsockname()[1])
            if silent is not None:
                return asyncio.run(cli._answers(name, address, None))
        return asyncio.run(cli._answers(name, address, None))


class ShowTests(ConfigCase):
    """What is in force."""

    def test_each_from_where_it_was_said(self) -> None:
        self.write("max-queue = 5", "resume = 9")
        self.environ["XJ_RESUME"] = "7"
        status, out, _ = self.xj("show", "--json", "--config", str(self.file), "relay", "--lease", "3")
        rows = {row["name"]: row for row in map(json.loads, out.splitlines())}
        self.assertEqual(status, DONE)
        found = {
            name: (rows[name]["value"], rows[name]["source"])
            for name in ("lease", "resume", "max-queue", "drain")
        }
        self.assertEqual(
            found,
            {
                "lease": (3.0, "--lease"),
                "resume": (7.0, "XJ_RESUME"),
                "max-queue": (5, f"{self.file}:1: max-queue"),
                "drain": (2.0, "default"),
            },
        )
        self.assertEqual(rows["tracker"]["value"], ["127.0.0.1:5000"])
        self.assertEqual(rows["resume"]["on_sighup"], "applied")

    def test_for_a_person(self) -> None:
        status, out, _ = self.xj("show", "node", "--allow-plaintext")
        self.assertEqual(status, DONE)
        self.assertRegex(out, r"--allow-plaintext +on +--allow-plaintext\n")
        self.assertRegex(out, r"--relays +2 +default\n")

    def test_what_is_wrong_is_not_shown_as_right(self) -> None:
        self.write("resum = 5")
        status, out, errors = self.xj("show", "--config", str(self.file), "relay")
        self.assertEqual((status, out), (WRONG_USAGE, ""))
        self.assertIn("unknown key 'resum'", errors)
        self.assertEqual(self.xj("show")[0], WRONG_USAGE)
        self.assertIn("not recognized", self.xj("show", "relay", "--nosuch")[2])

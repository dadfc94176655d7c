# SPDX-License-Identifier: MIT
"""``xj admin`` against real programs: each act, who may, and the log of it."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.system.commands import XJ, environment, run
from tests.system.programs import Program, Suite, until
from tests.system.raw import within
from xjrelay.client.errors import ClientError, Refused
from xjrelay.client.tx import Client, connect
from xjrelay.domain.audit import Head
from xjrelay.security.folder import Folder
from xjrelay.storage.audit import check

PASSWORD = "rahasia"


class AdminCase(TestCase):
    """A person with a home, and commands."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.home = Path(mkdtemp(prefix="xj"))  # short: a socket's path has little room
        self.addCleanup(rmtree, self.home)
        self.environ = environment(self.home)
        self.ends: dict[str, Deferred[ClientError | None]] = {}

    async def admin(self, *words: str, status: int = 0, token: str = "") -> tuple[str, str]:
        """Output and errors of one that ends with this status."""
        shown = {"XJ_ADMIN_TOKEN": token} if token else {}
        out, err, ended = await run([XJ, "admin", *words], {**self.environ, **shown})
        self.assertEqual(ended, status, f"xj admin {' '.join(words)}: {out}{err}")
        self.assertNotIn("Traceback", err)
        return out, err

    async def tells(self, *words: str) -> list[Any]:
        """The same with ``--json``: a value a line."""
        out, _ = await self.admin(*words, "--json")
        return [json.loads(line) for line in out.splitlines()]

    async def user(self, url: str, name: str) -> Client:
        client: Client = await within(connect(url, name, PASSWORD, register=True))
        self.addCleanup(lambda: within(client.close()))
        self.ends[name] = Deferred.fromCoroutine(self.read(client))
        return client

    async def read(self, client: Client) -> ClientError | None:
        """Takes what arrives; says why no more will."""
        try:
            async for _ in client.messages():
                pass
        except ClientError as error:
            return error
        return None


class NodeTests(AdminCase):
    """One node with two relays; the socket in its data folder, and a port."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        await super().setUp()
        self.data = self.home / "data"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        certificates = Folder(self.home / "certs")
        issued = certificates.issue("node", ["127.0.0.1"], time.time())
        self.authority = str(certificates.authority_file)
        self.config = self.home / "node.toml"
        self.config.write_text(f'relays = 2\nadmin = "tls:{self.port}"\n')
        tls = ("--tls-certificate", str(issued.certificate), "--tls-key", str(issued.key))
        self.node = Program("xjnode", self.data, "--config", str(self.config), *tls)
        self.addCleanup(self.node.stop, "KILL")
        await self.node.start()
        self.url = f"xj://{self.node.address}"
        self.environ["XDG_DATA_HOME"] = str(self.home / "nothing")
        self.here = ("--data-dir", str(self.data))
        await self.admin("token", "--scope", "all", "--save", *self.here)

    async def test_an_operator_s_day(self) -> None:
        esa, first = [await self.user(self.url, name) for name in ("esa", "fajar")]
        rows = await self.tells("sessions", *self.here)
        self.assertEqual([(row["user"], row["state"]) for row in rows], [("esa", "here"), ("fajar", "here")])
        self.assertEqual({row["relay"] for row in rows}, {"relay1", "relay2"})
        [one, other] = await self.tells("relays", *self.here)
        self.assertEqual([one["connection"], other["connection"]], [1, 1])
        await self.admin("ban", "esa", "--reason", "spam", *self.here)
        error = await within(self.ends["esa"])
        self.assertIsInstance(error, Refused)
        self.assertEqual(str(error), "Banned: spam")
        self.assertEqual([row["user"] for row in await self.tells("sessions", *self.here)], ["fajar"])
        for client in (esa, first):
            await within(client.close())
        await self.node.stop("KILL")
        self.node.port = 0  # a node takes the ports after it too, and they may be somebody's by now
        await self.node.start()
        self.url = f"xj://{self.node.address}"
        with self.assertRaises(Refused) as caught:
            await within(connect(self.url, "esa", PASSWORD))
        self.assertIn("Banned: spam", str(caught.exception))
        self.assertEqual([row["reason"] for row in await self.tells("bans", *self.here)], ["spam"])
        await self.admin("lift", "esa", *self.here)
        await within((await within(connect(self.url, "esa", PASSWORD))).close())
        [told] = await self.tells("reset-password", "esa", *self.here)
        back: Client = await within(connect(self.url, "esa", told["password"]))
        fajar: Client = await within(connect(self.url, "fajar", PASSWORD))
        self.addCleanup(lambda: within(fajar.close()))
        ended = await self.tells("end", "fajar", *self.here)
        self.assertEqual(ended, [{"user": "fajar", "devices": 1}])
        await within(back.close())
        [told] = await self.tells("invite", "--count", "2", *self.here)
        self.assertTrue(told["link"].endswith(told["code"]))
        _, err = await self.admin("rotate-keys", *self.here, status=1)
        self.assertIn("the key is new", err)
        await self.log_is_whole()

    async def log_is_whole(self) -> None:
        """And what is done to it is found."""
        acts = [one["act"] for one in await self.tells("audit", "--count", "100", *self.here)]
        self.assertEqual(acts[0], "token")
        self.assertTrue({"ban", "lift", "password", "end", "invite", "rotate-keys"} <= set(acts), acts)
        out, _ = await self.admin("audit", "verify", *self.here)
        head = Head.parse(out.split()[-1])
        log = self.data / "manager" / "audit.log"
        whole = log.read_bytes()
        lines = whole.splitlines(keepends=True)
        for changed in (
            whole.replace(b"spam", b"ham!"),
            b"".join(lines[:2] + lines[3:]),
            b"".join([lines[1], lines[0], *lines[2:]]),
            b"",
        ):
            log.write_bytes(changed)
            self.assertEqual(len(check(log.parent).problems) > 0, True, changed)
        log.write_bytes(b"".join(lines[:-1]))
        _, err = await self.admin("audit", "verify", *self.here, status=1)
        self.assertIn(f"audit.log: at the end: entry {head.number} is missing", err)
        log.write_bytes(whole)
        await self.admin("invite", *self.here)
        await self.admin("audit", "verify", "--expect", str(head), *self.here)
        self.assertEqual(len(check(log.parent, Head(head.number, "0" * 64)).problems), 1)

    async def test_who_may(self) -> None:
        out, _ = await self.admin("token", "--scope", "read", "--note", "esa's", *self.here)
        reading = out.strip()
        await self.admin("sessions", *self.here, token=reading)
        _, err = await self.admin("ban", "esa", *self.here, status=1, token=reading)
        self.assertEqual(err, "xj: the token is not for accounts\n")
        [_, row] = await self.tells("tokens", *self.here)
        self.assertEqual((row["scopes"], row["note"]), (["read"], "esa's"))
        await self.admin("revoke", row["id"], *self.here)
        _, err = await self.admin("sessions", *self.here, status=1, token=reading)
        self.assertIn("unknown or revoked token; on the manager's host make one", err)
        [refused] = [one for one in await self.tells("audit", *self.here) if one.get("code") == 401]
        self.assertEqual((refused["who"], refused["act"]), (row["id"], "sessions"))

        await self.over_tls()

    async def over_tls(self) -> None:
        there = ("--admin", f"tls:127.0.0.1:{self.port}")
        await self.admin("relays", *there, "--authority", self.authority)
        _, err = await self.admin("relays", *there, status=1)
        self.assertIn("no TLS with https://127.0.0.1", err)
        _, err = await self.admin("sessions", "--admin", self.node.address, status=1)
        self.assertIn("does not act", err)
        _, err = await self.admin("sessions", "--admin", "127.0.0.1:1", status=1)
        self.assertEqual(err, "xj: nothing answers at http://127.0.0.1:1: nothing listens there\n")
        _, err = await self.admin("sessions", "--admin", "192.0.2.1:5000", status=2)
        self.assertIn("a token goes over TLS", err)

    async def test_what_is_in_force_and_what_a_reload_changes(self) -> None:
        found = await self.in_force()
        self.assertEqual(found["relays"], (2, f"{self.config}:1: relays"))
        self.assertEqual(found["registration"], ("open", "default"))
        self.config.write_text(f'relays = 3\nadmin = "tls:{self.port}"\nregistration = "closed"\n')
        assert self.node.transport is not None
        self.node.transport.signalProcess("HUP")
        await until(lambda: "after a restart only: --relays" in self.node.log, "what waits is named")
        self.assertIn("changed from now on: --registration", self.node.log)
        found = await self.in_force()
        self.assertEqual(found["registration"], ("closed", f"{self.config}:3: registration"))
        self.assertEqual(found["relays"][0], 2)
        with self.assertRaises(Refused) as caught:
            await within(connect(self.url, "esa", PASSWORD, register=True))
        self.assertIn("Registration is closed", str(caught.exception))
        self.config.write_text("registration = open\n")
        self.node.transport.signalProcess("HUP")
        await until(lambda: "the options stay as they were" in self.node.log, "a wrong file is told")
        self.assertIn(f"{self.config}:1: not TOML", self.node.log)

    async def in_force(self) -> dict[str, Any]:
        out, err, ended = await run([XJ, "config", "show", "--running", "--json", *self.here], self.environ)
        self.assertEqual((err, ended), ("", 0))
        rows = [json.loads(line) for line in out.splitlines()]
        return {row["name"]: (row["value"], row["source"]) for row in rows}


class FirstMinuteTests(AdminCase):
    """What is said where there is nothing yet."""

    async def test_there_is_no_manager(self) -> None:
        _, err = await self.admin("sessions", status=2)
        self.assertIn("no manager has its data in", err)
        self.assertIn("--admin PLACE", err)

    async def test_it_does_not_run(self) -> None:
        data = self.home / ".local" / "share" / "xjrelay" / "manager"
        data.mkdir(parents=True)
        (data / "manager.sqlite3").touch()
        _, err = await self.admin("sessions", status=1)
        self.assertIn("no manager runs on", err)
        (data / "admin.sock").touch()
        _, err = await self.admin("sessions", status=2)
        self.assertIn("no token: on the manager's host make one", err)
        _, err = await self.admin("sessions", status=1, token="x")
        self.assertIn("nothing answers at /", err)


class SuiteTests(AdminCase):
    """Each program a process of its own."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        await super().setUp()
        self.suite = Suite(self.home / "suite", relay_options=("--drain", "1"))
        self.suite.folder.mkdir()
        self.addCleanup(self.suite.end)
        await self.suite.start()
        self.here = ("--data-dir", str(self.suite.folder))
        await self.admin(
            "token", "--scope", "relays", "--scope", "keys", "--scope", "read", "--save", *self.here
        )

    async def test_users_are_moved_from_a_relay_and_it_is_drained_and_stops(self) -> None:
        users = [await self.user(self.suite.url, name) for name in ("esa", "fajar", "gita")]
        name = str(users[0].relay)
        self.assertEqual(sum(user.relay == name for user in users), 2)
        [told] = await self.tells("move", name, "--users", "1", "--within", "2", *self.here)
        self.assertEqual(told, {"relay": name, "users": 1})
        await until(lambda: sum(user.relay == name for user in users) == 1, "one is on the other")
        [told] = await self.tells("drain", name, *self.here)
        self.assertEqual(told["users"], 1)
        drained = self.suite.relays[int(name[-1]) - 1]
        await until(lambda: not drained.running, "the drained relay stops")
        await until(lambda: name not in {user.relay for user in users}, "everybody is on the other")
        receipt = await within(users[0].send("fajar", "halo"))
        self.assertEqual(receipt.status, "delivered")
        [row] = await self.tells("relays", *self.here)
        self.assertEqual(row["connection"], 3)

    async def test_the_secret_is_changed_while_all_run(self) -> None:
        file = self.suite.folder / "xjrelay" / "cluster.secret"
        before = file.read_text().strip()
        for step in ("begin", "switch", "finish"):
            await self.admin("rotate-secret", step, *self.here)
            for program in self.suite.programs:
                if program is not self.suite.manager:
                    await self.reads_again(program)
        self.assertNotIn(before, file.read_text())
        relay = self.suite.relays[0]
        await relay.stop("KILL")
        await relay.start()  # which proves the new one to the tracker, the manager and the other relay
        users = [await self.user(self.suite.url, name) for name in ("esa", "fajar")]
        receipt = await within(users[0].send("fajar", "halo"))
        self.assertEqual(receipt.status, "delivered")
        self.assertEqual(len({user.relay for user in users}), 2)

    async def reads_again(self, program: Program) -> None:
        said = "the cluster's secret is another one"
        seen = program.log.count(said)
        assert program.transport is not None
        program.transport.signalProcess("HUP")
        await until(lambda: program.log.count(said) > seen, said)

# SPDX-License-Identifier: MIT
"""Every secret that is compared with what somebody sent is compared in constant time.

Two nets: a walk over all of the source for comparisons of something named like a secret, and each place
where one is checked, watched at work.
"""

from __future__ import annotations

import ast
import hmac
from pathlib import Path
from typing import Any

import scramp.core
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.relay_house import house_with
from xjrelay.security import invitations, scram
from xjrelay.security.secret import ClusterSecret

ROOT = Path(__file__).resolve().parent.parent.parent / "xjrelay"
SECRETS = {
    *("password", "secret", "secrets", "token", "proof", "mac", "digest", "signature", "credentials"),
    *("resume_key", "stored_key", "server_key", "salted_password", "client_key", "jti", "current"),
}
"""Names of things that nobody may learn a byte of by measuring a refusal."""

HARMLESS = {
    ("servers/manager/login.py", "now.credentials != account.credentials"): "both are our own store's",
    ("security/tokens.py", "claims.jti in self._spent"): "what a signature has been found under",
    ("security/tokens.py", "_encode(_decode(signature)) == signature"): "one text, spelt twice",
    ("domain/audit.py", "_digest(entry) != digest"): "whoever reads the file could make the hash as well",
    ("security/private.py", "path.parent == credentials"): "a folder",
    ("cli/options.py", "getpass.getpass('The same again: ') != password"): "one person typed both",
}
"""Comparisons that tell a stranger nothing, and why."""


def suspects() -> set[tuple[str, str]]:
    """Every comparison for equality, or look-up by ``in``, with a secret in it: file and text."""
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and _by_value(node):
                found.add((str(path.relative_to(ROOT)), ast.unparse(node)))
    return found


def _by_value(node: ast.Compare) -> bool:
    sides = [node.left, *node.comparators]
    if any(isinstance(side, ast.Constant) for side in sides):
        return False  # whether there is one at all
    by_value = any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops)
    return by_value and any(_named(side) in SECRETS for side in sides)


def _named(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


class SourceTests(SynchronousTestCase):
    """The walk."""

    def test_nothing_secret_is_compared_in_any_other_way(self) -> None:
        self.assertEqual(suspects() - set(HARMLESS), set())

    def test_what_is_called_harmless_is_there(self) -> None:
        self.assertEqual(set(HARMLESS) - suspects(), set())

    def test_the_walk_sees_what_it_should(self) -> None:
        for text, seen in (
            ("session.resume_key == key", True),
            ("token != given", True),
            ("password in known", True),
            ("token == ''", False),
            ("token is None", False),
            ("count == limit", False),
        ):
            node = ast.parse(text, mode="eval").body
            assert isinstance(node, ast.Compare)
            self.assertEqual(_by_value(node), seen, text)


class WatchedTests(SynchronousTestCase):
    """Each place at work: the secret goes through a comparison whose time tells nothing."""

    def setUp(self) -> None:
        self.compared: list[tuple[bytes, bytes]] = []
        real = hmac.compare_digest

        def watched(one: Any, other: Any) -> bool:
            self.compared.append((one, other))
            return real(one, other)

        self.patch(hmac, "compare_digest", watched)
        self.patch(scramp.core, "compare_digest", watched)

    def assertCompared(self, secret: bytes) -> None:
        self.assertIn(secret, [one for pair in self.compared for one in pair])

    def test_a_plain_password(self) -> None:
        kept = scram.derive("rahasia", 4096)
        self.assertFalse(scram.verify("salah", kept))
        self.assertCompared(kept.stored_key)

    def test_both_proofs_of_scram(self) -> None:
        """The client's by the server, and the server's by the client; of users and components alike."""
        ours, theirs = ClusterSecret("a-secret-of-the-cluster"), ClusterSecret("a-secret-of-the-cluster")
        client, server = ours.client(), theirs.server()
        final = server.final(client.final(server.first(client.first())))
        self.assertCompared(theirs._credentials[0].stored_key)
        before = len(self.compared)
        client.finish(final)
        self.assertEqual(len(self.compared), before + 1)

    def test_an_invitation_against_every_key(self) -> None:
        old, new = b"o" * 32, b"n" * 32
        for key in (old, new):
            self.compared.clear()
            invitations.check([old, new], invitations.invite(key, 1, 100), 0)
            self.assertEqual(len(self.compared), 2, "also where the first one fits")

    def test_a_resume_key(self) -> None:
        house = house_with(1)
        [relay] = house.relays.values()
        line = house.user(relay, "Esa", ack=True)
        key = line.take()[0]["resume_key"]
        line.vanish()
        for given, answered in ((key[:-1] + "x", 404), (key, None)):
            back = house.dial("10.0.1.1")
            back.say({"username": "Esa", "message": "hello!", "resume": given, "h": 0})
            self.assertEqual(back.take()[0].get("code"), answered)
        pairs = [(key.encode(), key[:-1].encode() + b"x"), (key.encode(), key.encode())]
        self.assertEqual([pair for pair in self.compared if pair[0] == key.encode()], pairs)

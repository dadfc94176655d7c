# SPDX-License-Identifier: MIT
"""The cluster's secret: made once, kept to its owner, proved without being shown."""

from __future__ import annotations

import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.security.scram import ScramClient, ScramError, ScramServer
from xjrelay.security.secret import ClusterSecret, SecretError, default_path, load_secret

OLD = "the-old-secret-of-this-cluster"
NEW = "the-new-secret-of-this-cluster"


def prove(client: ScramClient, server: ScramServer) -> None:
    """The whole conversation; raises where either side refuses."""
    client.finish(server.final(client.final(server.first(client.first()))))


class FileTests(SynchronousTestCase):
    """Where the secret comes from."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "xjrelay" / "cluster.secret"

    def write(self, content: bytes, mode: int = 0o600) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content)
        self.path.chmod(mode)

    def refusal(self) -> str:
        return str(self.assertRaises(SecretError, load_secret, self.path))

    def test_is_made_on_first_use_for_the_owner_alone(self) -> None:
        load_secret(self.path)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(len(self.path.read_text().strip()), 64)

    def test_two_programs_started_at_once_agree(self) -> None:
        first, second = load_secret(self.path), load_secret(self.path)
        prove(first.client(), second.server())

    def test_the_loser_of_the_race_takes_the_winners(self) -> None:
        """The file appears between the look and the making."""

        def random_bytes(count: int) -> bytes:
            if not self.path.exists():
                self.write(NEW.encode())
            return bytes(count)

        late = load_secret(self.path, random_bytes)
        prove(ClusterSecret(NEW).client(), late.server())

    def test_is_refused_when_others_can_read_it(self) -> None:
        self.write(NEW.encode(), 0o644)
        self.assertIn("can be read by others", self.refusal())
        self.assertNotIn(NEW, self.refusal())

    def test_is_refused_when_empty_short_or_no_text(self) -> None:
        for content in (b"", b"\n \n", b"short", b"sixteen chars no.\x00", "sëcret-with-an-umlaut".encode()):
            self.write(content)
            self.assertIn(str(self.path), self.refusal())

    def test_is_refused_with_more_than_two_lines(self) -> None:
        self.write(b"\n".join([OLD.encode()] * 3))
        self.assertIn("more than 2", self.refusal())

    def test_a_folder_in_its_place_is_refused(self) -> None:
        self.path.mkdir(parents=True)
        self.assertIn(str(self.path), self.refusal())

    def test_the_default_place_follows_xdg(self) -> None:
        both = {"XDG_CONFIG_HOME": "/c", "HOME": "/h"}
        self.assertEqual(default_path(both), Path("/c/xjrelay/cluster.secret"))
        self.assertEqual(default_path({"HOME": "/h"}), Path("/h/.config/xjrelay/cluster.secret"))
        self.assertRaises(SecretError, default_path, {})


class ProofTests(SynchronousTestCase):
    """Who is let in."""

    def test_the_same_secret_opens(self) -> None:
        prove(ClusterSecret(NEW).client(), ClusterSecret(NEW).server())

    def test_another_secret_does_not(self) -> None:
        client, server = ClusterSecret(OLD).client(), ClusterSecret(NEW).server()
        final = client.final(server.first(client.first()))
        self.assertTrue(self.assertRaises(ScramError, server.final, final).wrong)

    def test_another_username_does_not(self) -> None:
        server = ClusterSecret(NEW).server()
        error = self.assertRaises(ScramError, server.first, ScramClient("relay", NEW).first())
        self.assertTrue(error.wrong)

    def test_two_are_accepted_while_it_is_changed(self) -> None:
        changing = ClusterSecret(NEW, OLD)
        prove(ClusterSecret(OLD).client(), changing.server())
        prove(ClusterSecret(NEW).client(), changing.server())
        prove(changing.client(), ClusterSecret(NEW).server())
        third, server = ClusterSecret("neither-the-one-nor-the-other").client(), changing.server()
        self.assertRaises(ScramError, server.final, third.final(server.first(third.first())))

    def test_a_server_without_the_secret_is_found_out(self) -> None:
        """A stranger that plays the tracker can't finish the conversation."""
        client, server = ClusterSecret(NEW).client(), ClusterSecret(NEW).server()
        server.final(client.final(server.first(client.first())))
        forged = "v=" + "A" * 43 + "="
        self.assertRaises(ScramError, client.finish, forged)

    def test_the_secret_is_in_no_repr(self) -> None:
        secret = ClusterSecret(NEW, OLD)
        for text in (repr(secret), str(secret), repr(secret.client()), repr(secret.server())):
            self.assertNotIn(NEW, text)
            self.assertNotIn(OLD, text)

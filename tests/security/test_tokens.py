# SPDX-License-Identifier: MIT
"""Tokens: one that is right, and each way in which one can be wrong."""

from __future__ import annotations

import stat
from base64 import urlsafe_b64encode
from itertools import count
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.security.private import PrivateFileError
from xjrelay.security.tokens import Signer, SigningKeyError, TokenError, Verifier
from xjrelay.wire.errors import CloseReason, Code

KEY = Ed25519PrivateKey.generate()


class TokenTestCase(SynchronousTestCase):
    """One manager that signs, one relay that checks, one clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        names = count()
        self.signer = Signer([KEY], self.clock.seconds, lambda: f"t{next(names)}")
        self.verifier = Verifier(self.clock.seconds)
        self.verifier.set_keys(self.signer.public_keys())

    def token(self) -> str:
        return self.signer.for_user("Esa", "relay1", "phone", 7)

    def refusal(self, token: object, relay: str = "relay1") -> str:
        error: TokenError = self.assertRaises(TokenError, self.verifier.user, token, relay)
        self.assertEqual((error.code, error.close), (Code.UNAUTHORIZED, CloseReason.NOT_AUTHENTICATED))
        return error.msg

    def forged(self, key: Any = KEY, kid: str = "", algorithm: str = "EdDSA", **changes: Any) -> str:
        """A token as the signer makes it, but for what is changed; None leaves a claim out."""
        payload: dict[str, Any] = jwt.decode(self.token(), options={"verify_signature": False}) | changes
        kept = {name: value for name, value in payload.items() if value is not None}
        kid = kid or self.signer.public_keys()[0]["kid"]
        return jwt.encode(kept, key, algorithm, headers={"kid": kid})


class VerifierTests(TokenTestCase):
    """What a relay lets in."""

    def test_a_good_token_says_who_may_do_what(self) -> None:
        claims = self.verifier.user(self.token(), "relay1")
        self.assertEqual((claims.sub, claims.resource, claims.session), ("Esa", "phone", 7))
        self.assertEqual(claims.exp - claims.iat, 300)

    def test_it_is_small(self) -> None:
        self.assertLess(len(self.token()), 500)

    def test_no_token_or_no_string(self) -> None:
        tokens: list[object] = [None, "", 7, [], {"a": 1}]
        for token in tokens:
            self.assertEqual(self.refusal(token), "no token")

    def test_garbage(self) -> None:
        for token in ("x", "a.b.c", "é.é.é", "." * 5000, "\ud800.a.b"):
            self.assertEqual(self.refusal(token), "malformed token")

    def test_one_bit_altered_anywhere(self) -> None:
        token = self.token()
        for index in range(len(token)):
            altered = token[:index] + chr(ord(token[index]) ^ 1) + token[index + 1 :]
            self.refusal(altered)
        for altered in (token + "=", token + "A", token + " ", token.replace(".", ".\n")):
            self.refusal(altered)
        self.verifier.user(token, "relay1")

    def test_used_twice(self) -> None:
        token = self.token()
        self.verifier.user(token, "relay1")
        self.assertEqual(self.refusal(token), "token already used")

    def test_a_refused_token_is_not_spent(self) -> None:
        token = self.token()
        self.refusal(token, "relay2")
        self.verifier.user(token, "relay1")

    def test_expired(self) -> None:
        token, late = self.token(), self.token()
        self.clock.advance(329)
        self.verifier.user(token, "relay1")
        self.clock.advance(1)
        self.assertEqual(self.refusal(late), "token expired")

    def test_from_the_future(self) -> None:
        now = self.clock.seconds()
        self.verifier.user(self.forged(iat=now + 30, jti="a"), "relay1")
        self.assertIn("future", self.refusal(self.forged(iat=now + 31)))

    def test_issued_before_the_relay_started(self) -> None:
        token = self.token()
        self.clock.advance(0.001)
        self.verifier = Verifier(self.clock.seconds)
        self.verifier.set_keys(self.signer.public_keys())
        self.assertIn("before this relay started", self.refusal(token))
        self.verifier.user(self.token(), "relay1")

    def test_of_another_role(self) -> None:
        self.assertEqual(self.refusal(self.signer.for_relay("relay1"), "relay"), "token of another role")
        self.assertRaises(TokenError, self.verifier.relay, self.token())

    def test_for_another_relay(self) -> None:
        self.assertEqual(self.refusal(self.token(), "relay2"), "token for another relay")

    def test_signed_by_another(self) -> None:
        stranger = Ed25519PrivateKey.generate()
        self.assertEqual(self.refusal(self.forged(stranger)), "token with a wrong signature")
        self.assertEqual(self.refusal(self.forged(stranger, "0" * 16)), "token signed by an unknown key")
        other = Signer([stranger], self.clock.seconds).for_user("Esa", "relay1", "", 1)
        self.assertEqual(self.refusal(other), "token signed by an unknown key")

    def test_signed_by_no_one_or_with_the_public_key_as_a_password(self) -> None:
        public = self.signer.public_keys()[0]
        self.assertEqual(self.refusal(self.forged(public["x"] * 2, algorithm="HS256")), "malformed token")
        header = urlsafe_b64encode(msgspec.json.encode({"alg": "none", "kid": public["kid"]}))
        body = self.token().split(".")[1]
        self.assertEqual(self.refusal(f"{header.decode().rstrip('=')}.{body}."), "malformed token")

    def test_without_a_claim_or_with_one_of_another_type(self) -> None:
        wrong: list[dict[str, Any]] = [
            *({claim: None} for claim in ("sub", "role", "aud", "iat", "exp", "jti")),
            *({"sub": 1}, {"exp": "x"}, {"iat": [1]}, {"session": "1"}, {"aud": ["relay1"]}, {"jti": 5}),
        ]
        for changes in wrong:
            self.assertEqual(self.refusal(self.forged(**changes)), "malformed token")

    def test_without_any_key_nobody_comes_in(self) -> None:
        self.verifier.set_keys([])
        self.assertEqual(self.refusal(self.token()), "token signed by an unknown key")

    def test_keys_that_are_none_are_refused_and_change_nothing(self) -> None:
        good = self.signer.public_keys()[0]
        for bad in ({}, good | {"x": "AAAA"}, good | {"crv": "X25519"}, good | {"x": 5}, good | {"x": "é"}):
            error = self.assertRaises(TokenError, self.verifier.set_keys, [good, bad])
            self.assertEqual(error.code, Code.BAD_REQUEST)
        self.verifier.user(self.token(), "relay1")


class SpentTests(TokenTestCase):
    """The memory of what was spent is bounded, in time and in size."""

    def test_is_forgotten_when_the_token_has_expired(self) -> None:
        verifier = Verifier(self.clock.seconds, max_spent=2)
        verifier.set_keys(self.signer.public_keys())
        for _ in range(3):
            verifier.user(self.token(), "relay1")
            verifier.user(self.token(), "relay1")
            self.clock.advance(331)

    def test_above_the_bound_it_says_try_again_and_forgets_nothing(self) -> None:
        verifier = Verifier(self.clock.seconds, max_spent=1)
        verifier.set_keys(self.signer.public_keys())
        first, second = self.token(), self.token()
        verifier.user(first, "relay1")
        self.assertEqual(self.assertRaises(TokenError, verifier.user, second, "relay1").code, Code.NOT_NOW)
        again = self.assertRaises(TokenError, verifier.user, first, "relay1")
        self.assertEqual(again.msg, "token already used")


class RelayTests(TokenTestCase):
    """How a relay shows its name."""

    def test_is_good_any_number_of_times_for_a_day(self) -> None:
        token = self.signer.for_relay("relay1")
        for _ in range(3):
            self.assertEqual(self.verifier.relay(token, "relay1").sub, "relay1")
        self.clock.advance(24 * 3600 + 30)
        self.assertRaises(TokenError, self.verifier.relay, token, "relay1")

    def test_outlives_a_restart_of_who_checks_it(self) -> None:
        token = self.signer.for_relay("relay1")
        self.clock.advance(60)
        verifier = Verifier(self.clock.seconds)
        verifier.set_keys(self.signer.public_keys())
        verifier.relay(token, "relay1")

    def test_is_for_one_name(self) -> None:
        token = self.signer.for_relay("relay1")
        error = self.assertRaises(TokenError, self.verifier.relay, token, "relay2")
        self.assertEqual(error.msg, "token for another name")


class SignerTests(TokenTestCase):
    """Keys: kept, changed, never shown."""

    def load(self, path: Path) -> Signer:
        return Signer.load(path, self.clock.seconds)

    def test_keys_are_made_once_for_the_owner_alone(self) -> None:
        path = Path(self.mktemp()) / "signing.keys"
        made, kept = self.load(path), self.load(path)
        self.assertEqual(made.public_keys(), kept.public_keys())
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_a_file_others_can_read_is_refused(self) -> None:
        path = Path(self.mktemp()) / "signing.keys"
        self.load(path)
        path.chmod(0o644)
        self.assertRaises(PrivateFileError, self.load, path)

    def test_a_damaged_file_is_refused_by_its_name(self) -> None:
        path = Path(self.mktemp())
        for content in (b"", b"{}", b'{"keys": []}', b'{"keys": [{"kid": "a", "d": "AAAA"}]}', b"\xff"):
            path.write_bytes(content)
            path.chmod(0o600)
            self.assertIn(str(path), str(self.assertRaises(SigningKeyError, self.load, path)))

    def test_rotation_logs_nobody_out_and_is_kept(self) -> None:
        path = Path(self.mktemp()) / "signing.keys"
        signer = self.load(path)
        old = signer.for_user("Esa", "relay1", "", 1)
        keys = signer.rotate()
        self.assertEqual(len(keys), 2)
        self.assertEqual(self.load(path).public_keys(), keys)
        self.verifier.set_keys(keys)
        self.verifier.user(old, "relay1")
        self.clock.advance(60)
        self.verifier.user(signer.for_user("Esa", "relay1", "", 2), "relay1")

    def test_a_new_key_signs_when_everybody_has_had_time_to_learn_it(self) -> None:
        self.signer.rotate()
        self.clock.advance(59)
        self.verifier.user(self.token(), "relay1")
        self.clock.advance(1)
        self.assertEqual(self.refusal(self.token()), "token signed by an unknown key")
        self.verifier.set_keys(self.signer.public_keys())
        self.verifier.user(self.token(), "relay1")

    def test_the_age_of_the_newest_key_outlives_a_restart(self) -> None:
        path = Path(self.mktemp()) / "signing.keys"
        self.load(path)
        self.clock.advance(100)
        self.assertEqual(self.load(path).age, 100)
        self.load(path).rotate()
        self.clock.advance(7)
        self.assertEqual(self.load(path).age, 7)

    def test_four_keys_are_kept_at_most(self) -> None:
        for _ in range(5):
            keys = self.signer.rotate()
        self.assertEqual(len(keys), 4)

    def test_a_rotation_that_can_not_be_kept_changes_nothing(self) -> None:
        folder = Path(self.mktemp())
        signer = self.load(folder / "signing.keys")
        before = signer.public_keys()
        (folder / "signing.keys").unlink()
        folder.rmdir()
        folder.write_text("in the way")
        self.assertRaises(PrivateFileError, signer.rotate)
        self.assertEqual(signer.public_keys(), before)

    def test_private_keys_are_in_no_repr_and_no_public_key(self) -> None:
        self.assertEqual(repr(self.signer), "<Signer of 1 keys>")
        self.assertEqual(set(self.signer.public_keys()[0]), {"kid", "kty", "crv", "x"})

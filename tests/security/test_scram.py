# SPDX-License-Identifier: MIT
"""SCRAM-SHA-256 against RFC 7677's own example, against strangers, and against clocks."""

from __future__ import annotations

import contextlib
import hmac
from base64 import b64decode
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.security.scram import (
    Credentials,
    Decoy,
    ScramClient,
    ScramError,
    ScramServer,
    derive,
    username_of,
    verify,
)

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
C_NONCE, S_NONCE = "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FIRST = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
PENCIL = derive("pencil", 4096, SALT)


def server(credentials: Credentials = PENCIL) -> ScramServer:
    return ScramServer(credentials, nonce=lambda: S_NONCE)


def client(password: str = "pencil", username: str = "user") -> ScramClient:
    return ScramClient(username, password, nonce=lambda: C_NONCE)


class ConversationTests(SynchronousTestCase):
    """Both sides, step by step."""

    def test_the_example_of_rfc_7677(self) -> None:
        asked, asking = server(), client()
        self.assertEqual(asking.first(), CLIENT_FIRST)
        self.assertEqual(asked.first(CLIENT_FIRST), SERVER_FIRST)
        self.assertEqual(asking.final(SERVER_FIRST), CLIENT_FINAL)
        self.assertEqual(asked.final(CLIENT_FINAL), SERVER_FINAL)
        asking.finish(SERVER_FINAL)

    def test_a_wrong_password_is_told_from_a_malformed_step(self) -> None:
        asked, asking = server(), client("crayon")
        proof = asking.final(asked.first(asking.first()))
        self.assertTrue(self.assertRaises(ScramError, asked.final, proof).wrong)
        asked = server()
        asked.first(CLIENT_FIRST)
        self.assertFalse(self.assertRaises(ScramError, asked.final, "c=biws").wrong)

    def test_a_proof_of_another_length_is_wrong_and_no_crash(self) -> None:
        asked = server()
        asked.first(CLIENT_FIRST)
        short = CLIENT_FINAL.partition(",p=")[0] + ",p=AAAA"
        self.assertTrue(self.assertRaises(ScramError, asked.final, short).wrong)

    def test_steps_out_of_turn_are_refused(self) -> None:
        self.assertRaises(ScramError, server().final, CLIENT_FINAL)
        asked = server()
        asked.first(CLIENT_FIRST)
        self.assertRaises(ScramError, asked.first, CLIENT_FIRST)
        asked = server()
        asked.first(CLIENT_FIRST)
        asked.final(CLIENT_FINAL)
        self.assertRaises(ScramError, asked.final, CLIENT_FINAL)

    def test_another_conversations_nonce_is_refused(self) -> None:
        asked = ScramServer(PENCIL, nonce=lambda: "another")
        asked.first(CLIENT_FIRST)
        self.assertRaises(ScramError, asked.final, CLIENT_FINAL)

    def test_errors_repeat_nothing_of_the_peers(self) -> None:
        for first in ("p=evil-binding,,n=user,r=x", "n,a=evil,n=user,r=x", "evil", "n,,n=user,r=evil\x7f"):
            error = self.assertRaises(ScramError, server().first, first)
            self.assertNotIn("evil", str(error))
            self.assertIsNone(error.__cause__)

    def test_a_client_refuses_too_many_rounds_before_it_works(self) -> None:
        asking = ScramClient("user", "pencil", nonce=lambda: C_NONCE, max_rounds=4096)
        asking.first()
        error = self.assertRaises(ScramError, asking.final, SERVER_FIRST.replace("i=4096", "i=4097"))
        self.assertIn("rounds", str(error))

    def test_a_client_refuses_a_server_that_does_not_know_the_password(self) -> None:
        asking = client()
        asking.first()
        asking.final(SERVER_FIRST)
        self.assertRaises(ScramError, asking.finish, SERVER_FINAL.replace("v=6r", "v=7r"))

    def test_every_conversation_has_its_own_nonce(self) -> None:
        self.assertNotEqual(ScramClient("u", "p").first(), ScramClient("u", "p").first())
        self.assertNotEqual(ScramServer(PENCIL).first(CLIENT_FIRST), ScramServer(PENCIL).first(CLIENT_FIRST))

    def test_credentials_of_different_salts_are_a_mistake_of_ours(self) -> None:
        self.assertRaises(ValueError, ScramServer)
        self.assertRaises(ValueError, ScramServer, PENCIL, derive("pencil", 4096))

    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=40), st.text(max_size=40))
    def test_no_text_does_worse_than_an_error(self, first: str, final: str) -> None:
        asked = server()
        for step, text in ((asked.first, first), (asked.final, final)):
            with contextlib.suppress(ScramError):
                step(text)


class UsernameTests(SynchronousTestCase):
    """Who it is, before the credentials are fetched."""

    def test_is_read_from_the_first_step(self) -> None:
        self.assertEqual(username_of(CLIENT_FIRST), "user")

    def test_is_unescaped(self) -> None:
        self.assertEqual(username_of(client(username="a,b=c").first()), "a,b=c")

    def test_a_malformed_step_has_none(self) -> None:
        for text in ("", "n", "n,,", "n,,n=,r=x", "n,,n==,r=x", "n,,r=x", "n,,n=user"):
            self.assertRaises(ScramError, username_of, text)

    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=40))
    def test_no_text_does_worse_than_an_error(self, text: str) -> None:
        with contextlib.suppress(ScramError):
            username_of(text)


class PasswordTests(SynchronousTestCase):
    """What is kept, and how a plain password is held against it."""

    def test_a_password_opens_what_was_made_of_it(self) -> None:
        self.assertTrue(verify("pencil", PENCIL))
        self.assertFalse(verify("crayon", PENCIL))

    def test_a_password_saslprep_forbids_is_nobodys(self) -> None:
        self.assertFalse(verify("\x07", PENCIL))
        self.assertRaises(ScramError, derive, "\x07", 4096)

    def test_the_comparison_takes_the_same_time_everywhere(self) -> None:
        with mock.patch.object(hmac, "compare_digest", return_value=True) as compare:
            self.assertTrue(verify("crayon", PENCIL))
        compare.assert_called_once_with(derive("crayon", 4096, SALT).stored_key, PENCIL.stored_key)

    def test_each_password_gets_its_own_salt(self) -> None:
        one, two = derive("pencil", 4096), derive("pencil", 4096)
        self.assertNotEqual(one.salt, two.salt)
        self.assertNotEqual(one.stored_key, two.stored_key)

    def test_the_default_is_15000_rounds(self) -> None:
        self.assertEqual(derive("pencil").iterations, 15_000)

    def test_too_few_rounds_or_too_little_salt_is_a_mistake_of_ours(self) -> None:
        self.assertRaises(ValueError, derive, "pencil", 4095)
        self.assertRaises(ValueError, derive, "pencil", 4096, b"short")

    def test_keys_are_in_no_repr(self) -> None:
        self.assertEqual(repr(PENCIL), "<Credentials iterations=4096>")


class DecoyTests(SynchronousTestCase):
    """What a stranger sees of a name nobody has."""

    def test_looks_as_a_real_account_does(self) -> None:
        fake, real = Decoy(b"k" * 16).credentials("nobody"), derive("pencil")
        self.assertEqual(len(fake.salt), len(real.salt))
        self.assertEqual(fake.iterations, real.iterations)
        self.assertEqual(len(fake.stored_key), len(real.stored_key))

    def test_is_the_same_at_every_call_and_another_for_another_name_or_key(self) -> None:
        one = Decoy(b"k" * 16)
        self.assertEqual(one.credentials("nobody"), Decoy(b"k" * 16).credentials("nobody"))
        self.assertNotEqual(one.credentials("nobody").salt, one.credentials("no-one").salt)
        self.assertNotEqual(one.credentials("nobody").salt, Decoy(b"l" * 16).credentials("nobody").salt)

    def test_fails_as_a_wrong_password_does(self) -> None:
        asked, asking = server(Decoy(b"k" * 16, 4096).credentials("user")), client()
        proof = asking.final(asked.first(asking.first()))
        self.assertTrue(self.assertRaises(ScramError, asked.final, proof).wrong)

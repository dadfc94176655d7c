# SPDX-License-Identifier: MIT
"""The machines by bytes alone."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.core import MAX_STRANGE, LinkCore, Login, ManagerCore, ProbeCore, RelayCore, TrackerCore
from xjrelay.client.heard import (
    AckHeard,
    Answered,
    Assignment,
    Broken,
    ComponentsHeard,
    CoreEvent,
    ErrorHeard,
    LoggedIn,
    MessageHeard,
    MoveHeard,
    Ponged,
    PresenceHeard,
    ProofWanted,
    ReceiptHeard,
    SessionOpened,
    Strange,
)
from xjrelay.client.model import Component, Message
from xjrelay.security.scram import ScramServer, derive
from xjrelay.wire.stanzas import Receipt

LOCAL = ("10.0.0.9", 40000)
WELCOME = {"message": "hello!", "relay_username": "relay1", "session": 4, "resume_key": "k"}


def said(core: LinkCore) -> list[dict[str, Any]]:
    """What the core wants written, as values."""
    data = core.to_send()
    assert data.endswith(b"\n") or not data
    return [json.loads(line) for line in data.split(b"\n") if line]


def hear(core: LinkCore, *values: Any) -> list[CoreEvent]:
    """What these make of it, in one read."""
    return core.receive(b"".join(json.dumps(value).encode() + b"\n" for value in values))


class EveryLinkTests(SynchronousTestCase):
    """What all machines do."""

    def test_a_ping_is_answered_with_its_id(self) -> None:
        core = TrackerCore(LOCAL)
        said(core)
        self.assertEqual(hear(core, {"type": "ping"}, {"type": "ping", "id": "x"}), [])
        self.assertEqual(said(core), [{"type": "pong"}, {"type": "pong", "id": "x"}])

    def test_what_was_given_to_send_is_not_given_again(self) -> None:
        core = TrackerCore(LOCAL)
        self.assertEqual(len(said(core)), 1)
        self.assertEqual(core.to_send(), b"")

    def test_a_strange_frame_is_told_and_not_answered(self) -> None:
        core = TrackerCore(LOCAL)
        said(core)
        events = core.receive(b'not json\n{"stanza": "later"}\n{"stanza": "message", "to": "esa"}\n7\n')
        self.assertEqual([type(event) for event in events], [Strange] * 4)
        self.assertEqual(core.to_send(), b"")

    def test_too_many_strange_frames_in_a_row_break_the_link(self) -> None:
        core = TrackerCore(LOCAL)
        events = core.receive(b"x\n" * (MAX_STRANGE + 5))
        self.assertEqual([type(event) for event in events], [Strange] * (MAX_STRANGE - 1) + [Broken])
        self.assertEqual(hear(core, []), [])

    def test_a_good_frame_forgives_the_strange_ones(self) -> None:
        core = TrackerCore(LOCAL)
        for _ in range(3):
            events = core.receive(b"x\n" * (MAX_STRANGE - 1) + b"[]\n")
            self.assertNotIn(Broken, [type(event) for event in events])

    def test_a_frame_too_long_breaks_the_link(self) -> None:
        core = LinkCore(ProbeCore().phase, max_frame=100)
        events = core.receive(b"x" * 300)
        self.assertEqual([type(event) for event in events], [Broken])

    def test_a_probe_pings_and_hears_the_answer(self) -> None:
        core = ProbeCore()
        self.assertEqual(said(core), [{"type": "ping", "id": "probe"}])
        self.assertEqual(hear(core, {"type": "pong", "id": "probe"}), [Ponged("probe")])


class TrackerTests(SynchronousTestCase):
    """Section 4 from the client's side."""

    def test_says_the_hello_of_a_client(self) -> None:
        hello = {"ip_local": "10.0.0.9", "port": 40000, "type": "client", "is_private": True}
        self.assertEqual(said(TrackerCore(LOCAL)), [hello])

    def test_hears_the_array(self) -> None:
        listed = {"ip_local": "10.0.0.1", "port": 5001, "type": "manager", "is_private": 0, "name": "m"}
        events = hear(TrackerCore(LOCAL), [listed, {"type": "relay"}, 5])
        self.assertEqual(events, [ComponentsHeard((Component("manager", "10.0.0.1", 5001, False, "m"),))])

    def test_hears_a_refusal(self) -> None:
        events = hear(TrackerCore(LOCAL), {"error": True, "code": 429, "msg": "slow down"})
        self.assertEqual(events, [Answered(True, 429, "slow down", None, Assignment())])


class ManagerTests(SynchronousTestCase):
    """Section 6 and 9 from the client's side."""

    def setUp(self) -> None:
        self.server = ScramServer(derive("secret", 4096))

    def _core(self, password: str = "secret", **keys: Any) -> ManagerCore:
        return ManagerCore(LOCAL, Login("esa", password, **keys))

    def _challenged(self, core: ManagerCore) -> ProofWanted:
        _, first = said(core)
        (wanted,) = hear(core, {"type": "auth", "data": self.server.first(first["data"])})
        assert isinstance(wanted, ProofWanted)
        return wanted

    def test_registers_with_the_password_itself(self) -> None:
        _, auth = said(self._core(register=True, resource="phone"))
        self.assertEqual(
            auth,
            {
                "type": "auth",
                "username": "esa",
                "password": "secret",
                "register": True,
                "resource": "phone",
            },
        )

    def test_logs_in_by_scram_without_the_password(self) -> None:
        core = self._core()
        wanted = self._challenged(core)
        core.prove(wanted.derive())
        (step,) = said(core)
        self.assertNotIn("secret", json.dumps(step))
        final = {"type": "auth", "data": self.server.final(step["data"])}
        relay = {"ip_local": "10.0.0.2", "port": 5002, "type": "relay", "username": "relay1"}
        answer = {"error": False, "code": 200, "username": "Esa", "component": [relay], "token": "t"}
        events = hear(core, final, answer)
        self.assertEqual(events, [LoggedIn("Esa", 200, Assignment("10.0.0.2", 5002, "relay1", "t"))])

    def test_replaces_an_older_login(self) -> None:
        _, auth = said(self._core())
        self.assertTrue(auth["replace"])

    def test_a_manager_that_has_not_proved_itself_is_not_believed(self) -> None:
        core = self._core()
        core.prove(self._challenged(core).derive())
        events = hear(core, {"error": False, "code": 200, "component": [], "token": "t"})
        self.assertEqual([type(event) for event in events], [Broken])

    def test_a_manager_with_another_password_is_not_believed(self) -> None:
        core = self._core()
        core.prove(self._challenged(core).derive())
        events = hear(core, {"type": "auth", "data": "v=AAAA"})
        self.assertEqual([type(event) for event in events], [Broken])

    def test_a_refusal_is_an_answer(self) -> None:
        events = hear(self._core(), {"error": True, "code": 404, "msg": "User not found"})
        self.assertEqual(events, [Answered(True, 404, "User not found", None, Assignment())])

    def test_nothing_else_is_heard_before_the_login(self) -> None:
        events = hear(self._core(), {"stanza": "presence", "from": "fajar", "online": 1})
        self.assertEqual([type(event) for event in events], [Strange])

    def test_a_relay_without_a_token_is_none(self) -> None:
        core = self._core(register=True)
        relay = {"ip_local": "10.0.0.2", "port": 5002}
        (event,) = hear(core, {"error": False, "code": 201, "component": [relay]})
        self.assertEqual(event, LoggedIn(None, 201, Assignment()))

    def test_hears_presence_once_logged_in(self) -> None:
        core = self._core(register=True)
        events = hear(
            core, {"error": False, "code": 201}, {"stanza": "presence", "from": "fajar", "online": 1}
        )
        self.assertEqual([type(event) for event in events], [LoggedIn, PresenceHeard])

    def test_nothing_shows_the_password(self) -> None:
        login = Login("esa", "secret")
        self.assertNotIn("secret", repr(login))
        self.assertNotIn("token1", repr(Assignment("h", 1, "relay1", "token1")))


class RelayTests(SynchronousTestCase):
    """Sections 7 and 8 from the client's side."""

    def _open(self) -> RelayCore:
        core = RelayCore()
        core.open("esa", "token", "phone")
        said(core)
        self.assertEqual(hear(core, WELCOME), [SessionOpened("relay1", 4, "k", False, 0)])
        return core

    def test_opens_a_session_with_acknowledgement(self) -> None:
        core = RelayCore()
        core.open("esa", "token", "phone")
        hello = {"username": "esa", "message": "hello!", "token": "token", "resource": "phone", "ack": True}
        self.assertEqual(said(core), [hello])

    def test_resumes_with_the_key_and_the_count(self) -> None:
        core = RelayCore()
        core.resume("esa", "k", 7)
        self.assertEqual(said(core), [{"username": "esa", "message": "hello!", "resume": "k", "h": 7}])
        events = hear(core, {**WELCOME, "resumed": True, "h": 3})
        self.assertEqual(events, [SessionOpened("relay1", 4, "k", True, 3)])

    def test_a_message_keeps_its_unknown_keys(self) -> None:
        value = {"stanza": "message", "from": "fajar", "to": "esa", "body": "halo", "id": "1", "mood": [1]}
        (event,) = hear(self._open(), value)
        message = Message(from_="fajar", to="esa", body="halo", id="1", extra={"mood": [1]})
        self.assertEqual(event, MessageHeard(message))

    def test_the_error_stanza_is_the_relays_alone(self) -> None:
        value = {"stanza": "message", "from": "relay", "to": "esa", "error": True, "code": 404, "id": "1"}
        core = self._open()
        self.assertEqual(hear(core, value), [ErrorHeard("1", 404, "")])
        (event,) = hear(core, {**value, "from": "fajar"})
        self.assertIsInstance(event, MessageHeard)

    def test_receipts_and_acknowledgements(self) -> None:
        receipt = {"stanza": "receipt", "to": "esa", "ids": ["1", "2"], "status": "delivered"}
        events = hear(self._open(), receipt, {"stanza": "ack", "h": 2})
        self.assertEqual(events, [ReceiptHeard(Receipt("esa", ["1", "2"], "delivered")), AckHeard(2)])

    def test_told_to_move(self) -> None:
        events = hear(self._open(), {"type": "move", "component": [], "within": 8000})
        self.assertEqual(events, [MoveHeard(8.0)])

    def test_a_message_that_cant_be_read_is_counted_all_the_same(self) -> None:
        (event,) = hear(self._open(), {"stanza": "message", "from": "fajar", "to": "esa", "type": "later"})
        assert isinstance(event, Strange)
        self.assertTrue(event.counted)

    @given(st.lists(st.integers(1, 40)))
    @settings(max_examples=50, deadline=None)
    def test_any_cut_of_the_stream_means_the_same(self, sizes: list[int]) -> None:
        values = [WELCOME, {"type": "ping"}, {"stanza": "message", "from": "a", "to": "b", "body": "ü"}]
        data = b"".join(
            json.dumps(value).encode() + b"\r\n" for value in [*values, {"stanza": "ack", "h": 0}]
        )
        whole, cut = RelayCore(), RelayCore()
        expected = whole.receive(data)
        events: list[CoreEvent] = []
        for size in sizes:
            events += cut.receive(data[:size])
            data = data[size:]
        events += cut.receive(data)
        self.assertEqual(events, expected)

# SPDX-License-Identifier: MIT
"""Two components prove themselves to each other, or part: the steps, whatever a proof is made of."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import Line, context, lose, opened
from xjrelay.net.context import Context
from xjrelay.net.pipe import Pipe
from xjrelay.net.proof import AdmittingLink, ProvingLink
from xjrelay.wire import codec
from xjrelay.wire.errors import CloseReason, ProofError
from xjrelay.wire.framing import LF
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import Answer, ComponentHello, Stanza

HELLO = ComponentHello("10.0.0.5", 5002, "relay")


class Password:
    """Both halves of a proof: a word said in the open."""

    def __init__(self, word: str) -> None:
        self.word = word

    def finish(self, server_final: str) -> None:
        """The dialler's check."""
        if server_final != f"server {self.word}":
            raise ProofError("not the server's proof")


class Dialling(Password):
    """The dialler's half."""

    mechanism = "WORD"

    def first(self) -> str:
        return "hello"

    def final(self, server_first: str) -> str:
        if server_first != "prove it":
            raise ProofError("not a challenge")
        return f"client {self.word}"


class Listening(Password):
    """The listener's half."""

    def first(self, client_first: str, mechanism: str) -> str:
        if (client_first, mechanism) != ("hello", "WORD"):
            raise ProofError("not a first step")
        return "prove it"

    def final(self, client_final: str) -> str:
        if client_final != f"client {self.word}":
            raise ProofError("a wrong proof")
        return f"server {self.word}"


class Component(ProvingLink):
    """Dials, and notes how it went."""

    phase = Phase.AT_TRACKER_PROOF

    def __init__(self, shared: Context, word: str) -> None:
        super().__init__(shared, lambda: HELLO, lambda certificate: Dialling(word))
        self.through = False
        self.answers: list[int] = []

    def proved(self) -> None:
        self.through = True
        self.established()

    def refused(self, answer: Answer) -> None:
        self.answers.append(answer.code)


class Server(AdmittingLink):
    """Listens, and notes whom it lets in."""

    phase = Phase.TRACKER_HELLO

    def __init__(self, shared: Context, word: str) -> None:
        super().__init__(shared)
        self.word = word
        self.through = False

    def on_component_hello(self, hello: Stanza) -> None:
        assert isinstance(hello, ComponentHello)
        self.phase = Phase.TRACKER_PROOF
        self.demand_proof(lambda certificate: Listening(self.word), hello)

    def admitted(self) -> None:
        self.through = True
        self.phase = Phase.TRACKER_OPEN
        self.established()


def step(data: str, mechanism: str = "WORD") -> bytes:
    return codec.encode({"type": "auth", "mechanism": mechanism, "data": data}) + LF


class BothEndsTests(SynchronousTestCase):
    """Over a pipe."""

    def meet(self, dialler: str, listener: str) -> tuple[Component, Server]:
        clock = Clock()
        shared = context(clock)
        component, server = Component(shared, dialler), Server(shared, listener)
        addresses = IPv4Address("TCP", "10.0.0.9", 1), IPv4Address("TCP", "10.0.0.5", 2)
        Pipe(clock, *addresses).connect(component, server)
        for _ in range(20):
            clock.advance(0)
        return component, server

    def test_one_secret_lets_both_through(self) -> None:
        component, server = self.meet("rahasia", "rahasia")
        self.assertEqual((component.through, server.through), (True, True))
        self.assertEqual((component.is_open, server.is_open), (True, True))

    def test_a_stranger_is_told_401_and_not_let_in(self) -> None:
        component, server = self.meet("salah", "rahasia")
        self.assertEqual((component.through, server.through), (False, False))
        self.assertEqual(component.answers, [401])
        self.assertEqual(server.close_reason, CloseReason.NOT_AUTHENTICATED)


class SteppedTestCase(SynchronousTestCase):
    """One end on a line."""

    def setUp(self) -> None:
        self.shared = context(Clock())


class DiallerTests(SteppedTestCase):
    """What the dialler says, and what it does not believe."""

    def setUp(self) -> None:
        super().setUp()
        self.link = Component(self.shared, "rahasia")
        self.line = opened(self.link)

    def test_the_hello_and_the_first_step_need_no_answer_in_between(self) -> None:
        hello, first = self.line.frames()
        self.assertEqual(hello, {"ip_local": "10.0.0.5", "port": 5002, "type": "relay"})
        self.assertEqual(first, {"type": "auth", "mechanism": "WORD", "data": "hello"})

    def test_a_server_without_the_secret_is_left(self) -> None:
        self.link.dataReceived(step("prove it") + step("server salah"))
        self.assertEqual((self.link.through, self.link.close_reason), (False, CloseReason.NOT_AUTHENTICATED))

    def test_a_server_that_skips_the_challenge_is_left(self) -> None:
        self.link.dataReceived(step("server rahasia"))
        self.assertEqual((self.link.through, self.link.close_reason), (False, CloseReason.NOT_AUTHENTICATED))

    def test_a_good_answer_alone_lets_nobody_through(self) -> None:
        self.link.dataReceived(b'{"error":false,"code":200,"msg":"ok"}\n')
        self.assertEqual((self.link.through, self.link.answers), (False, []))

    def test_a_refusal_without_more_is_in_the_log_only(self) -> None:
        class Plain(Component):
            refused = ProvingLink.refused

        link = Plain(self.shared, "rahasia")
        opened(link)
        link.dataReceived(b'{"error":true,"code":409,"msg":"a second manager"}\n')
        self.assertTrue(link.is_open)

    def test_a_new_connection_is_a_new_conversation(self) -> None:
        lose(self.link)
        self.assertEqual(self.link.close_reason, CloseReason.LOST)
        self.assertEqual(len(opened(Component(self.shared, "rahasia")).frames()), 2)


class ListenerTests(SteppedTestCase):
    """What the listener asks, and whom it turns away."""

    def setUp(self) -> None:
        super().setUp()
        self.link = Server(self.shared, "rahasia")
        self.line: Line = opened(self.link)
        self.link.dataReceived(codec.encode(HELLO) + LF)

    def check_turned_away(self) -> None:
        self.assertEqual(self.line.frames()[-1]["code"], 401)
        self.assertEqual((self.link.through, self.link.close_reason), (False, CloseReason.NOT_AUTHENTICATED))

    def test_the_steps_in_order(self) -> None:
        self.link.dataReceived(step("hello"))
        self.link.dataReceived(step("client rahasia"))
        self.assertEqual([frame["data"] for frame in self.line.frames()], ["prove it", "server rahasia"])
        self.assertTrue(self.link.through)

    def test_a_wrong_proof(self) -> None:
        self.link.dataReceived(step("hello") + step("client salah"))
        self.check_turned_away()

    def test_the_last_step_without_the_first(self) -> None:
        self.link.dataReceived(step("client rahasia"))
        self.check_turned_away()

    def test_another_mechanism(self) -> None:
        self.link.dataReceived(step("hello", "PLAIN"))
        self.check_turned_away()

    def test_a_password_in_the_clear(self) -> None:
        self.link.dataReceived(b'{"type":"auth","username":"cluster","password":"rahasia"}\n')
        self.check_turned_away()

    def test_anything_else(self) -> None:
        for frame in (b'{"message":"get components"}\n', b'{"type":"ping"}\n', codec.encode(HELLO) + LF):
            link = Server(self.shared, "rahasia")
            line = opened(link)
            link.dataReceived(codec.encode(HELLO) + LF + frame)
            self.assertEqual([answer["code"] for answer in line.frames()], [401])
            self.assertEqual(link.close_reason, CloseReason.NOT_AUTHENTICATED)

    def test_what_follows_the_proof_in_one_read_is_heard_as_let_in(self) -> None:
        self.link.dataReceived(step("hello") + step("client rahasia") + b'{"type":"ping"}\n')
        self.assertEqual(self.line.frames()[-1], {"type": "pong"})

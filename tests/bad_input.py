# SPDX-License-Identifier: MIT
"""What a stranger may say, and a suite it is said to: in memory and over real sockets.

The frames and what ``docs/protocol.md`` answers to them are data; :class:`Ordeal` says them to every
kind of listener in every phase, while a user who has nothing to do with it looks on. It knows no
reactor: :class:`Scene` dials.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from typing import Protocol as Seam

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from tests.test_documents import stanza_examples
from xjrelay.security.secret import ClusterSecret
from xjrelay.wire.framing import DEFAULT_MAX_FRAME
from xjrelay.wire.grammar import HEARD, UNAUTHENTICATED, Phase
from xjrelay.wire.stanzas import Kind, classify

PASSWORD = "rahasia"
Frame = dict[str, Any]
Place = tuple[str, int]

DEEP = b'{"stanza":"message","to":"bystander","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
NO_FRAMES: dict[str, bytes] = {
    "not UTF-8": b'{"stanza":"message","to":"bystander","body":"\xff\xfe"}',
    "an overlong NUL": b'{"stanza":"message","to":"bystander","body":"\xc0\x80"}',
    "a raw surrogate": b'{"stanza":"message","to":"bystander","body":"\xed\xa0\x80"}',
    "a lone surrogate": b'{"stanza":"message","to":"bystander","body":"\\ud800"}',
    "no JSON": b"halo, apa kabar?",
    "half an object": b'{"stanza":"message","to":"bystander"',
    "two values": b'{"stanza":"message","to":"bystander"} {}',
    "a number": b"5",
    "a text": b'"halo"',
    "a list": b'[{"stanza":"message","to":"bystander"}]',
    "null": b"null",
    "depth 10,000": DEEP,
    "depth 33": b'{"stanza":"message","to":"bystander","x":' + b"[" * 32 + b"]" * 32 + b"}",
    "a repeated key": b'{"stanza":"message","to":"bystander","to":"somebody"}',
    "a repeated key, spelt otherwise": b'{"stanza":"message","to":"bystander","\\u0074o":"somebody"}',
    "NaN": b'{"stanza":"message","to":"bystander","body":NaN}',
    "infinity": b'{"stanza":"message","to":"bystander","x":-Infinity}',
    "1e999": b'{"stanza":"message","to":"bystander","x":1e999}',
    "5,000 digits": b'{"stanza":"message","to":"bystander","x":' + b"7" * 5000 + b"}",
}
"""Section 1: 400, and the connection stays open; ten in a row close it."""

UNKNOWN: dict[str, bytes] = {
    "nothing": b"{}",
    "an unknown stanza": b'{"stanza":"greeting","to":"bystander"}',
    "an unknown notice": b'{"message":"nothing"}',
    "an unknown type": b'{"type":"nothing"}',
    "a list for a type": b'{"type":["ping"]}',
    "an object for a stanza": b'{"stanza":{"message":1}}',
}
"""Section 1: 400, and the connection stays open."""


def _hello(**changed: Any) -> bytes:
    hello = {"ip_local": "10.0.0.9", "port": 0, "type": "client", **changed}
    return json.dumps({key: value for key, value in hello.items() if value is not ...}).encode()


def _message(**changed: Any) -> bytes:
    message = {"stanza": "message", "to": "bystander", "body": "halo", **changed}
    return json.dumps({key: value for key, value in message.items() if value is not ...}).encode()


def _presence(**changed: Any) -> bytes:
    return json.dumps({"stanza": "presence", **changed}).encode()


_NO_HELLOS = {
    "no address": (_hello(ip_local=...), 400),
    "no port": (_hello(port=...), 400),
    "a list for a port": (_hello(port=[5000]), 400),
    "a port below 0": (_hello(port=-1), 400),
    "a port of 23 digits": (_hello(port=10**22), 400),
    "a number for an address": (_hello(ip_local=5), 400),
    "an address of 60,000 characters": (_hello(ip_local="x" * 60_000), 400),
}
MALFORMED: dict[Phase, dict[str, tuple[bytes, int]]] = {
    Phase.TRACKER_HELLO: _NO_HELLOS,
    Phase.MANAGER_HELLO: _NO_HELLOS,
    Phase.MANAGER_LOGIN: {
        "no username": (b'{"type":"auth","password":"x"}', 400),
        "a list for a username": (b'{"type":"auth","username":["esa"],"password":"x"}', 400),
        "a number for a password": (b'{"type":"auth","username":"esa","password":5}', 400),
        "a username of 60,000 characters": (
            b'{"type":"auth","password":"x","register":true,"username":"%s"}' % (b"x" * 60_000), 400),
        "a yes for register": (b'{"type":"auth","username":"esa","password":"x","register":"yes"}', 400),
        "a mechanism nobody has": (b'{"type":"auth","mechanism":"PLAIN","data":"x"}', 400),
        "SCRAM's nonsense": (b'{"type":"auth","mechanism":"SCRAM-SHA-256","data":"n,,,,"}', 400),
        "nobody": (b'{"type":"auth","username":"nobody","password":"x"}', 404),
    },
    Phase.MANAGER_USER: {
        "a presence from another": (_presence(**{"from": "bystander"}), 403),
        "a logout of another": (_presence(**{"from": "bystander", "type": "unavailable"}), 403),
        "a presence to nothing": (_presence(to=""), 400),
        "a presence to a list": (_presence(to=["bystander"]), 400),
        "a presence to 60,000 characters": (_presence(to="x" * 60_000), 400),
        "a bio of 60,000 characters": (_presence(bio="x" * 60_000), 400),
        "a number for a bio": (_presence(bio=5), 400),
        "a show there is none of": (_presence(show="dancing"), 400),
        "a presence only a server says": (_presence(type="subscribed", to="bystander"), 400),
    },
    Phase.RELAY_HELLO: {
        "a hello without a name": (b'{"message":"hello!","token":"x"}', 400),
        "a number for a name": (b'{"message":"hello!","username":5,"token":"x"}', 400),
        "a list for a token": (b'{"message":"hello!","username":"esa","token":[]}', 400),
        "a count below 0": (b'{"message":"hello!","username":"esa","resume":"x","h":-1}', 400),
        "nothing to resume": (b'{"message":"hello!","username":"esa","resume":"x","h":0}', 404),
    },
    Phase.RELAY_USER: {
        "from another": (_message(**{"from": "bystander"}), 403),
        "from a number": (_message(**{"from": 5}), 400),
        "to missing": (_message(to=...), 400),
        "to nothing": (_message(to=""), 400),
        "to a list": (_message(to=["bystander"]), 400),
        "to an object": (_message(to={"jid": "bystander"}), 400),
        "to what can't be an address": (_message(to="two words"), 400),
        "to 60,000 characters": (_message(to="x" * 60_000), 400),
        "a number for a body": (_message(body=5), 400),
        "a type there is none of": (_message(type="loud"), 400),
        "an id of 65 characters": (_message(id="x" * 65), 400),
    },
    Phase.MESH_WELCOME: {
        "a list for a name": (b'{"username_users":[],"users":[],"relay_username":[],"token":""}', 400),
        "an object for the users": (b'{"username_users":[],"users":{},"relay_username":"x","token":""}', 400),
    },
    Phase.MESH_OPEN: {
        "a message from nobody": (_message(), 400),
        "a user of another relay": (
            b'{"message":"new user","username_user":"bystander","relay_username":"relay1","session":9}', 403),
        "the end of another relay's user": (
            b'{"message":"end user","username_user":"bystander","relay_username":"relay1","session":9}', 403),
        "a list for a user": (b'{"message":"new user","username_user":[],"relay_username":"x"}', 400),
        "a status there is none of": (b'{"stanza":"receipt","to":"esa","ids":["1"],"status":"lost"}', 400),
    },
}  # fmt: skip
"""What a phase hears, with something wrong in it, and the code of the answer; the connection stays."""

IQS: dict[str, tuple[Frame, str]] = {
    "another's roster": ({"from": "bystander", "type": "get", "query": {"items": None}}, "forbidden"),
    "no query": ({"type": "get"}, "bad-request"),
    "a list for a query": ({"type": "set", "query": []}, "bad-request"),
    "a number for a contact": ({"type": "set", "query": {"item": {"jid": 5}}}, "bad-request"),
    "nobody": ({"type": "set", "query": {"item": {"jid": "nobody", "subscription": "to"}}}, "item-not-found"),
    "60,000 characters": ({"type": "set", "query": {"item": {"jid": "x" * 60_000}}}, "bad-request"),
}  # fmt: skip
"""Wrong questions for a roster, and the condition of the answer."""


def strangers(phase: Phase) -> Iterator[tuple[str, bytes]]:
    """An example of every stanza that a phase doesn't hear; one of each kind."""
    seen = set(HEARD[phase])
    for line in stanza_examples():
        value = json.loads(line)
        if isinstance(value, dict) and (kind := classify(value)) not in seen:
            seen.add(kind)
            yield kind.value, line.encode()
    assert seen | {Kind.COMPONENTS} == set(Kind)


class Mouth(Protocol):
    """One connection: says bytes, and waits for one frame at a time.

    Attributes:
        heard: frames that nobody asked for yet, pings left out.
        is_open: whether the connection is there.
        ended: fires at its end.
    """

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.is_open = True
        self.ended: Deferred[None] = Deferred()
        self._rest = b""
        self._waiting: Deferred[Any] | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keep the frames."""
        *frames, self._rest = (self._rest + data).split(b"\n")
        self.heard += [value for frame in frames if (value := json.loads(frame)) != {"type": "ping"}]
        self._hand_over()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end."""
        self.is_open = False
        self._hand_over()
        self.ended.callback(None)

    def say(self, *values: Frame) -> None:
        """Frames, in one write."""
        self.say_bytes(b"".join(json.dumps(value).encode() + b"\n" for value in values))

    def say_bytes(self, data: bytes) -> None:
        """Just these bytes."""
        assert self.transport is not None
        self.transport.write(data)

    def hear(self) -> Deferred[Any]:
        """The next frame; fails with ConnectionError when the connection ends first."""
        waiting: Deferred[Any] = Deferred()
        self._waiting = waiting
        self._hand_over()
        return waiting

    async def ask(self, value: Frame) -> Any:
        """Say one thing and hear one."""
        self.say(value)
        return await self.hear()

    async def close(self) -> None:
        """Close, and wait for it."""
        assert self.transport is not None
        if self.is_open:
            self.transport.loseConnection()
            await self.ended

    def _hand_over(self) -> None:
        if self._waiting is None or (self.is_open and not self.heard):
            return
        waiting, self._waiting = self._waiting, None
        if self.heard:
            waiting.callback(self.heard.pop(0))
        else:
            waiting.errback(ConnectionError("closed, and nothing more was said"))


class Scene(Seam):
    """A suite with a tracker, a manager and relays, and how to reach it.

    Attributes:
        tracker: where the tracker is.
        secret: the cluster's, for a stranger that has it.
        our_host: an address at which nobody listens.
    """

    tracker: Place
    secret: ClusterSecret
    our_host: str

    def dial(self, place: Place) -> Awaitable[Mouth]:
        """A connection that has said nothing."""


class Ordeal:
    """Everything bad, to everybody.

    Args:
        scene: the suite.
        check: called with what was done, what was expected and what came; raises where they differ.
    """

    def __init__(self, scene: Scene, check: Callable[[object, object, str], None]) -> None:
        self.stages: dict[Phase, Callable[[], Awaitable[Mouth]]] = {
            Phase.TRACKER_HELLO: lambda: scene.dial(scene.tracker),
            Phase.TRACKER_PROOF: lambda: self._said(scene.tracker, type="relay", port=1),
            Phase.TRACKER_OPEN: self._at_tracker,
            Phase.MANAGER_HELLO: lambda: scene.dial(self.manager),
            Phase.MANAGER_PROOF: lambda: self._said(self.manager, type="relay", port=1),
            Phase.MANAGER_LOGIN: lambda: self._said(self.manager),
            Phase.MANAGER_USER: self._logged_in,
            Phase.RELAY_HELLO: lambda: scene.dial(self.relay),
            Phase.RELAY_USER: self._in_session,
            Phase.MESH_PROOF: lambda: self._said(self.relay, type="relay", port=1, relay_username="relay9"),
            Phase.MANAGER_RELAY: self._as_relay,
            Phase.MESH_WELCOME: self._in_mesh,
            Phase.MESH_OPEN: self._through_mesh,
        }
        self.manager: Place
        self.relay: Place
        self._scene = scene
        self._check = check
        self._users = 0
        self._others: list[Mouth] = []  # connections that a stage needs besides its own
        self._by: list[Mouth] = []  # the bystander's

    # -- before and after --------------------------------------------------------------------

    async def begin(self) -> None:
        """Find everybody; a bystander comes online."""
        tracker = await self._said(self._scene.tracker)
        components = await tracker.hear()
        await tracker.close()
        [manager] = [one for one in components if one["type"] == "manager"]
        self.manager = (manager["ip_local"], manager["port"])
        at_manager, answer = await self._registered("bystander")
        self.relay = self._place(answer)
        self._by = [at_manager, await self._session("bystander", answer)]

    async def end(self) -> None:
        """The bystander saw nothing of it all, and a message reaches it still."""
        friend, answer = await self._registered("friend")
        session = await self._session("friend", answer)
        session.say({"stanza": "message", "to": "bystander", "body": "still here?"})
        told = await self._by[1].hear()
        self._check((told["from"], told["body"]), ("friend", "still here?"), "a message afterwards")
        self._check([mouth.heard for mouth in self._by], [[], []], "what the bystander saw")
        for mouth in (friend, session, *self._by):
            self._check(mouth.is_open, True, "the connections of those who did nothing")
            await mouth.close()

    # -- the trials --------------------------------------------------------------------------

    async def refusals(self) -> None:
        """Every frame that is refused, in every phase."""
        for phase in self.stages:
            mouth = await self.stages[phase]()
            for what, frame in [*NO_FRAMES.items(), *UNKNOWN.items(), *strangers(phase)]:
                mouth = await self._refused(mouth, phase, what, frame, 400)
            for what, (frame, code) in MALFORMED.get(phase, {}).items():
                mouth = await self._refused(mouth, phase, what, frame, code)
            await self._leave(mouth)

    async def wrong_questions(self) -> None:
        """An iq is answered in an iq."""
        mouth = await self._logged_in()
        for what, (iq, condition) in IQS.items():
            me = {"stanza": "iq", "namespace": "roster", "from": self._me, "id": "q"}
            answer = await mouth.ask({**me, **iq})
            self._check((answer["type"], answer["error"]["stanza_error"]), ("error", condition), what)
        await self._leave(mouth)

    async def too_many(self) -> None:
        """Ten bad frames in a row close a connection, a good one between begins the count anew."""
        for phase in self.stages.keys() - UNAUTHENTICATED:
            mouth = await self.stages[phase]()
            mouth.say_bytes(b"?\n" * 9 + b'{"type":"ping"}\n' + b"?\n" * 12)
            codes = [(await mouth.hear()).get("code", "pong") for _ in range(20)]
            self._check(codes, [400] * 9 + ["pong"] + [400] * 10, f"{phase.name}: bad frames")
            await self._closed(mouth, f"{phase.name}: after ten bad frames")
            await self._leave(mouth)

    async def too_long(self) -> None:
        """A frame too long is 413 and the end, in one piece and byte by byte; so is 1 MB of ``to``."""
        limit = DEFAULT_MAX_FRAME
        for phase, stage in self.stages.items():
            for what, pieces in {
                "in one piece": [b"x" * (limit + 1) + b"\n"],
                "byte by byte": [b"x" * limit, *[b"x"] * 20],
                "1 MB of to": [_message(to="x" * 1_000_000) + b"\n"],
            }.items():
                mouth = await stage()
                for piece in pieces:
                    mouth.say_bytes(piece)
                answer = await mouth.hear()
                self._check((answer["error"], answer["code"]), (True, 413), f"{phase.name}: {what}")
                await self._closed(mouth, f"{phase.name}: {what}")
                await self._leave(mouth)

    async def hellos_that_never_come(self) -> None:
        """A connection that says nothing, or half of something, or never proves itself, is closed."""
        unproved = {phase for phase in self.stages if phase.name.endswith(("_HELLO", "_PROOF", "_WELCOME"))}
        mouths = {}
        for phase in unproved:
            mouths[f"{phase.name}: silence"] = await self.stages[phase]()
            mouths[f"{phase.name}: half a frame"] = half = await self.stages[phase]()
            half.say_bytes(b'{"stanza":"mess')
        for what, mouth in mouths.items():
            await self._closed(mouth, what)
        await self._dismiss()

    async def halves(self) -> None:
        """Half a frame, then silence, from those who are let in."""
        let_in = [
            phase for phase in self.stages if phase.name.endswith(("_OPEN", "_LOGIN", "_USER", "_RELAY"))
        ]
        mouths = {}
        for phase in let_in:
            mouths[phase.name] = mouth = await self.stages[phase]()
            mouth.say_bytes(b'{"stanza":"mess')
        for name, mouth in mouths.items():
            await self._closed(mouth, f"{name}: half a frame, then silence")
        await self._dismiss()

    async def _refused(self, mouth: Mouth, phase: Phase, what: str, frame: bytes, code: int) -> Mouth:
        """One frame and its answer; the connection to go on with, a new one where it was closed."""
        mouth.say_bytes(frame + b"\n")
        what = f"{phase.name}: {what}"
        answer = await mouth.hear()
        expected = 401 if phase in UNAUTHENTICATED else code
        self._check((answer.get("error"), answer.get("code")), (True, expected), what)
        if phase in UNAUTHENTICATED:
            await self._closed(mouth, what)
            await self._dismiss()
            return await self.stages[phase]()
        answer = await mouth.ask({"type": "ping", "id": "there"})
        self._check(answer, {"type": "pong", "id": "there"}, what)
        return mouth

    async def _closed(self, mouth: Mouth, what: str) -> None:
        """It ends, and no more is answered on it."""
        if mouth.is_open:
            await mouth.ended
        answers = [frame for frame in mouth.heard if isinstance(frame, list) or "message" not in frame]
        self._check(answers, [], what)

    # -- how each phase is reached -----------------------------------------------------------

    async def _said(self, place: Place, **hello: Any) -> Mouth:
        mouth = await self._scene.dial(place)
        mouth.say({"ip_local": self._scene.our_host, "port": 0, "type": "client", **hello})
        return mouth

    async def _at_tracker(self) -> Mouth:
        mouth = await self._said(self._scene.tracker)
        await mouth.hear()
        return mouth

    async def _registered(self, name: str) -> tuple[Mouth, Frame]:
        mouth = await self._said(self.manager)
        answer = await mouth.ask({"type": "auth", "username": name, "password": PASSWORD, "register": True})
        self._check(answer.get("code"), 201, f"registering {name}: {answer}")
        mouth.say({"stanza": "presence"})
        return mouth, answer

    @property
    def _me(self) -> str:
        return f"stranger{self._users}"

    async def _stranger(self) -> tuple[Mouth, Frame]:
        self._users += 1
        return await self._registered(self._me)

    async def _logged_in(self) -> Mouth:
        mouth, _ = await self._stranger()
        return mouth

    async def _session(self, name: str, answer: Frame) -> Mouth:
        mouth = await self._scene.dial(self._place(answer))
        welcome = await mouth.ask({"username": name, "message": "hello!", "token": answer["token"]})
        self._check(welcome["message"], "hello!", f"a session for {name}: {welcome}")
        return mouth

    async def _in_session(self) -> Mouth:
        at_manager, answer = await self._stranger()
        self._others.append(at_manager)
        return await self._session(self._me, answer)

    async def _proved(self, place: Place, **hello: Any) -> Mouth:
        mouth = await self._said(place, type="relay", port=1, **hello)
        proof = self._scene.secret.client()
        step = {"type": "auth", "mechanism": "SCRAM-SHA-256"}
        challenge = await mouth.ask({**step, "data": proof.first()})
        final = await mouth.ask({**step, "data": proof.final(challenge["data"])})
        proof.finish(final["data"])
        return mouth

    async def _seat(self) -> tuple[Mouth, Frame]:
        mouth = await self._proved(self.manager, relay_id="stranger")
        return mouth, await mouth.hear()

    async def _as_relay(self) -> Mouth:
        mouth, _ = await self._seat()
        return mouth

    async def _in_mesh(self) -> Mouth:
        mouth, _ = await self._before_welcome()
        return mouth

    async def _before_welcome(self) -> tuple[Mouth, Frame]:
        seat, welcome = await self._seat()
        await seat.close()  # or users would be given this relay
        mouth = await self._proved(self.relay, relay_username=welcome["username"])
        await mouth.hear()
        return mouth, welcome

    async def _through_mesh(self) -> Mouth:
        mouth, seat = await self._before_welcome()
        mine = {"relay_username": seat["username"], "token": seat["token"]}
        mouth.say({**mine, "username_users": [], "users": []})
        return mouth

    @staticmethod
    def _place(answer: Frame) -> Place:
        [relay] = answer["component"]
        return relay["ip_local"], relay["port"]

    async def _leave(self, mouth: Mouth) -> None:
        await mouth.close()
        await self._dismiss()

    async def _dismiss(self) -> None:
        others, self._others = self._others, []
        for other in others:
            await other.close()

# SPDX-License-Identifier: MIT
"""What one manager is: its rules' settings, its stores, and who is there.

Built once by the service (or by a test, on dicts and a ``task.Clock``), and handed to each link
and to each subject's module. It must not read a frame.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from xjrelay.domain.accounts import Invitation
from xjrelay.domain.presence import DEFAULT_BIO
from xjrelay.net.context import Context
from xjrelay.security import invitations
from xjrelay.security.scram import DEFAULT_ROUNDS, Decoy
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Signer
from xjrelay.servers.manager.attempts import Attempts
from xjrelay.servers.manager.post import Post
from xjrelay.servers.manager.relays import Relays
from xjrelay.servers.manager.sessions import Sessions
from xjrelay.servers.manager.standing import Standing
from xjrelay.servers.manager.turns import Turns
from xjrelay.servers.manager.users import Users
from xjrelay.storage.interfaces import ManagerStores

_log = Logger()

InThread = Callable[..., "Deferred[Any]"]
"""Runs a slow pure function elsewhere: ``deferToThreadPool`` with its first arguments bound, or
``execute`` where there are no threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an operator decides; seconds."""

    registration: Literal["open", "invite", "closed"] = "open"
    """Who may make an account: anybody, who was invited, nobody."""
    allow_plaintext: bool = False
    """Whether a plain password may come over a connection that others could read."""
    hide_accounts: bool = False
    """Whether an unknown user and a wrong password look the same."""
    default_bio: str = DEFAULT_BIO
    """A new account's bio."""
    key_rounds: int = DEFAULT_ROUNDS
    """PBKDF2 rounds of a new password."""
    assign_timeout: float = 30.0
    """How long a user counts at a relay without having arrived."""
    login_timeout: float = 60.0
    """From a user's hello to its login."""
    logins_at_once: int = 64
    """Logins that are worked on at a time; the others wait their turn."""
    login_failures: int = 5
    """Wrong passwords in a row that cost an account nothing."""
    login_backoff: float = 300.0
    """The longest that an account's next login waits after more."""
    address_failures: int = 60
    """Wrong passwords an hour from one address."""
    address_registrations: int = 20
    """New accounts an hour from one address."""
    signing_key_days: int = 30
    """Days after which tokens are signed with a new key."""
    max_roster: int = 5000
    """Contacts a user may add."""
    mailbox_max: int = 1000
    """Messages a mailbox holds."""
    mailbox_days: int = 30
    """For how long."""
    balance_interval: float = 30.0
    """Between looks whether relays have an even share of the users."""
    lease: float = 30.0
    """After which a relay that stays away is given up."""


@dataclass(eq=False)
class Manager:
    """One manager, without its sockets.

    Args:
        context: what its links share.
        stores: what it remembers.
        secret: what relays must prove to hold.
        signer: makes tokens.
        in_thread: where keys are derived.
        policy: what the operator decided.
        random_bytes: for salts and nonces.
        decoy: credentials for names nobody has, where accounts are hidden.
    """

    context: Context
    stores: ManagerStores
    secret: ClusterSecret
    signer: Signer
    in_thread: InThread
    policy: Policy = field(default_factory=Policy)
    random_bytes: Callable[[int], bytes] = secrets.token_bytes
    decoy: Decoy | None = None
    users: Users = field(init=False, default_factory=Users)
    attempts: Attempts = field(init=False)
    standing: Standing = field(init=False)
    relays: Relays = field(init=False)
    sessions: Sessions = field(init=False)
    post: Post = field(init=False)
    turns: Turns = field(init=False)
    """Of logins by SCRAM."""
    slow_turns: Turns = field(init=False)
    """Of those that cost us a derivation: by the password itself, and new accounts."""
    stopping: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._tasks: set[Deferred[None]] = set()
        self.relays = Relays(
            self.stores.relays, self.signer, self.context.clock, self.policy.assign_timeout
        )
        clock, policy, stores = self.context.clock, self.policy, self.stores
        self.sessions = Sessions(self.relays, stores.relays, clock, policy.lease, self.spawn)
        most, days = policy.mailbox_max, policy.mailbox_days
        self.post = Post(self.context, stores.mailbox, self.relays, self.sessions, most, days, self.spawn)
        self.attempts = Attempts(
            self.context,
            self.policy.login_failures,
            self.policy.login_backoff,
            self.policy.address_failures,
            self.policy.address_registrations,
        )
        self.turns = Turns(lambda: self.policy.logins_at_once, clock)
        self.slow_turns = Turns(lambda: self.policy.logins_at_once, clock)
        self.standing = Standing(self.stores.accounts, self.context.clock, self.spawn)
        if self.decoy is None:
            self.decoy = Decoy(self.random_bytes(32), self.policy.key_rounds)

    def apply(self, policy: Policy) -> None:
        """The operator decided anew, while the manager runs."""
        self.policy = policy
        self.post.keep(policy.mailbox_max, policy.mailbox_days)

    def invitation(self, code: object) -> Invitation:
        """What an invitation says.

        Raises:
            InvitationError: 403, it isn't good.
        """
        return invitations.check(self.secret.keys(invitations.PURPOSE), code, self.context.clock.seconds())

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.context.clock.seconds() * 1000)

    def nonce(self) -> str:
        """A nonce for one SCRAM conversation: 128 random bits, printable."""
        return self.random_bytes(16).hex()

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """What is sent inside goes out as one write a link.

        A roster of thousands answers with a presence each; written singly they would fill the
        link's queue and look like a slow reader.
        """
        began = self.context.batch.begin()
        try:
            yield
        finally:
            if began:
                self.context.batch.end()

    def spawn(self, what: str, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Run work that no link waits for; :meth:`settled` does, and a failure is logged.

        Args:
            what: for the log: what is done, and for whom.
            work: what to run.
        """
        task = Deferred.fromCoroutine(work)
        self._tasks.add(task)

        def log(failure: Any) -> None:
            _log.failure("{what} failed", failure, what=what)

        task.addErrback(log)
        task.addBoth(lambda _: self._tasks.discard(task))

    def settled(self) -> Deferred[None]:
        """Fires when what was spawned is done: before the stores close."""
        return DeferredList(list(self._tasks)).addCallback(lambda _: None)

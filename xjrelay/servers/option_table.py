# SPDX-License-Identifier: MIT
"""Every option of every server, as data. A new option is one more row of :data:`TABLE`.

``options`` makes the command lines of it, and ``docs/options.md`` shows it. A default that is
another room's constant is taken from there, so that no number stands twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xjrelay.domain.delivery import MAX_QUEUE, MAX_QUEUE_BYTES
from xjrelay.domain.presence import DEFAULT_BIO
from xjrelay.net.context import Limits
from xjrelay.net.mesh import MAX_LINKS, PATIENCE
from xjrelay.net.tracker import DEFAULT_LEASE
from xjrelay.security.scram import DEFAULT_ROUNDS, MIN_ROUNDS
from xjrelay.servers.kinds import ADDRESS, BYTES, ENDPOINT, FLAG, PATH, SECONDS, TEXT, Kind, choice, count
from xjrelay.wire.endpoints import Address

SERVERS = "tracker manager relay node"
ALL = SERVERS + " peer"
DEFAULT_ENDPOINTS = {
    "tracker": ["tcp:5000"],
    "manager": ["tcp:5001"],
    "relay": ["tcp:5002"],
    "node": ["tcp:5000"],
    "peer": ["tcp:5000"],
}
"""Where each program listens; without ``interface=`` that is 127.0.0.1 only."""

APPLIED = "applied"
"""Its new value counts from then on, for links and sessions to come where one is fixed as they open."""
AGAIN = "file read again"
"""The file it names is read again; another file needs a restart."""
RESTART = "restart"
"""A new value counts after a restart, and the log says so."""


@dataclass(frozen=True, slots=True)
class Option:
    """One row.

    Args:
        name: as on the command line, without the dashes.
        programs: which have it.
        kind: what its text must be.
        default: the value when nobody says anything; for a repeatable one a list; a function is
            asked with the program's name.
        doc: one line, for ``--help`` and the page.
        shown: the default as the page shows it, where the value itself would not do.
        repeatable: whether it may be given more than once. In the environment the values then stand
            with white space or commas between them, in the file in a list.
        reloads: what SIGHUP does about it: :data:`APPLIED`, :data:`AGAIN` or :data:`RESTART`.
    """

    name: str
    programs: str
    kind: Kind
    default: Any
    doc: str
    shown: str = ""
    repeatable: bool = False
    reloads: str = RESTART

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return "XJ_" + self.name.upper().replace("-", "_")

    def belongs_to(self, program: str) -> bool:
        """Whether the program has it."""
        return program in self.programs.split()

    def default_for(self, program: str) -> Any:
        """The value when nobody says anything."""
        value = self.default(program) if callable(self.default) else self.default
        return list(value) if self.repeatable else value

    def shown_default(self) -> str:
        """The default as the page shows it."""
        if self.shown:
            return self.shown
        if self.default is False:
            return "off"
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return str(self.default) if self.default is not None else "none"


_LIMITS = Limits()


def _peer_or(peer: Any, other: Any) -> Callable[[str], Any]:
    """A default that is another one for peers, who speak with strangers."""
    return lambda program: peer if program == "peer" else other


TABLE: tuple[Option, ...] = (
    Option("listen", ALL, ENDPOINT, DEFAULT_ENDPOINTS.__getitem__, "where to listen; 127.0.0.1 unless it says interface=", "tcp:5000, 5001 (manager), 5002 (relay)", True),
    Option("data-dir", ALL, PATH, None, "folder for all that is kept; one a process", "$XDG_DATA_HOME/xjrelay/PROGRAM, of a peer peer/NAME-PORT"),
    Option("config", ALL, PATH, None, "TOML file with the same names"),
    Option("cluster-secret-file", SERVERS, PATH, None, "the secret the cluster's programs share; made on first use", "$XDG_CONFIG_HOME/xjrelay/cluster.secret", reloads=AGAIN),
    Option("log-format", ALL, choice("text", "json"), "text", "how a log line looks"),
    Option("admin", ALL, ENDPOINT, None, "where to serve /healthz, /readyz, /metrics, /status and /trace over HTTP; of a manager or node what xj admin does, too"),
    Option("admin-socket", ALL, choice("on", "off"), "on", "serve the same at the UNIX socket admin.sock in the data folder, for its owner: xj status, xj top, xj trace and xj admin look there"),
    Option("trace", "manager relay node peer", count(0, 10**7), 10_000, "events of messages remembered for xj trace"),
    Option("log-messages", "manager relay node peer", FLAG, False, "a line of the log for each of these events; it costs more than carrying the message"),
    Option("allow-plaintext", ALL, FLAG, False, "listen off loopback without TLS, and take plain passwords there"),
    Option("allow-tls12", SERVERS, FLAG, False, "take TLS 1.2 as well, with elliptic-curve key exchange and AES-GCM only"),
    Option("tls-certificate", SERVERS, PATH, None, "PEM file, the chain after the certificate: shown by listeners on tls:, and to servers that ask; read again on SIGHUP", reloads=AGAIN),
    Option("tls-key", SERVERS, PATH, None, "PEM file with its key", "the certificate's file", reloads=AGAIN),
    Option("tls-authority", SERVERS, TEXT, None, "PEM file of the authority whose components are believed, or its fingerprint, sha256:...", "the system's authorities", reloads=AGAIN),
    Option("tls-require-client-certificate", SERVERS, FLAG, False, "components have to show a certificate of --tls-authority for the host they say they are at"),
    Option("tracker", "manager relay", ADDRESS, [Address("127.0.0.1", 5000)], "a tracker to register with", "127.0.0.1:5000", True),
    Option("advertise", "manager relay node peer", ADDRESS, [], "where others reach this program, with TLS or without; of a node the host counts, its ports follow each other", "where it listens", True),
    Option("lease", SERVERS, SECONDS, DEFAULT_LEASE, "how long a tracker lists a component it does not hear; heartbeats come every third of it"),
    Option("relays", "node", count(1, 64), 2, "relays in the process"),
    Option("registration", "manager node", choice("open", "invite", "closed"), "open", "who may make an account: anybody, who was invited (see xj invite), nobody", reloads=APPLIED),
    Option("default-bio", "manager node", TEXT, DEFAULT_BIO, "the bio of a new account", reloads=APPLIED),
    Option("key-rounds", "manager node", count(MIN_ROUNDS, 10_000_000), DEFAULT_ROUNDS, "PBKDF2 rounds of a new password; 15,000 cost about 5 ms of a core a login"),
    Option("hide-accounts", "manager node", FLAG, False, "an unknown user and a wrong password look the same", reloads=APPLIED),
    Option("login-timeout", "manager node", SECONDS, 60.0, "time a user has from its hello to its login", reloads=APPLIED),
    Option("logins-at-once", "manager node", count(1, 10**5), 64, "logins worked on at a time; the others wait their turn, and none is refused", reloads=APPLIED),
    Option("login-failures", "manager node", count(0, 10**6), 5, "wrong passwords in a row that cost an account nothing; after more its next login waits, twice as long each time"),
    Option("login-backoff", "manager node", SECONDS, 300.0, "the longest such wait"),
    Option("address-failures", "manager node", count(1, 10**6), 60, "wrong passwords an hour from one address"),
    Option("address-registrations", "manager node", count(1, 10**6), 20, "new accounts an hour from one address"),
    Option("admin-requests", "manager node", count(1, 10**6), 600, "acts a minute by one operator's token"),
    Option("admin-failures", "manager node", count(1, 10**6), 60, "refused requests an hour from one address, before an operator's requests from there are answered 429"),
    Option("signing-key-days", "manager node", count(1, 3650), 30, "days after which tokens are signed with a new key; nobody is logged out"),
    Option("max-roster", "manager node", count(1, 10**6), 5000, "contacts a user may add", reloads=APPLIED),
    Option("assign-timeout", "manager node", SECONDS, 30.0, "how long a user who was given a relay counts there without having arrived"),
    Option("mailbox-max", "manager node", count(1, 10**6), 1000, "messages kept for a user who is on no relay", reloads=APPLIED),
    Option("mailbox-days", "manager node", count(1, 36500), 30, "how long they are kept", reloads=APPLIED),
    Option("balance-interval", "manager node", SECONDS, 30.0, "how often relays with more than an even share of the users are asked to send some elsewhere", reloads=APPLIED),
    Option("resume", "relay node", SECONDS, 60.0, "how long a lost session can be resumed", reloads=APPLIED),
    Option("drain", "relay node", SECONDS, 2.0, "how long users are sent elsewhere before a relay stops", reloads=APPLIED),
    Option("max-queue", "relay node", count(1, 10**6), MAX_QUEUE, "stanzas kept for a session that has not acknowledged them", reloads=APPLIED),
    Option("max-iqs", "relay node", count(1, 10**6), 60, "iqs that a user may say to others at once, and be said; a twelfth of it a second", reloads=APPLIED),
    Option("max-queue-bytes", "relay node", BYTES, MAX_QUEUE_BYTES, "bytes kept for a session that has not acknowledged them", reloads=APPLIED),
    Option("allow-legacy-clients", "relay node", FLAG, False, "admit hellos without a token, from users logged in from the same address", reloads=APPLIED),
    Option("who-timeout", "relay node", SECONDS, 5.0, "how long a manager has to say whether such a user is logged in", reloads=APPLIED),
    Option("ask-interval", "relay node", SECONDS, 5.0, "how often the trackers are asked again while there is no manager", reloads=APPLIED),
    Option("report-after", "relay node", SECONDS, 1.0, "how long after its message a sender hears, at the latest, how many of its messages were had", reloads=APPLIED),
    Option("max-in-flight", "relay node", count(1, 10**7), 100_000, "messages that may be on their way over one link with a relay or the manager; above it they fail with 503", reloads=APPLIED),
    Option("hand-over", "relay node", SECONDS, 2.0, "how long a stopping relay waits for the manager to store what its sessions were owed", reloads=APPLIED),
    Option("mesh-patience", "relay node", SECONDS, PATIENCE, "how long two links of one pair of relays have to answer a ping, before one is chosen"),
    Option("mesh-links", "relay node", count(2, 100), MAX_LINKS, "links of one pair of relays that may be open at once, waiting for a choice"),
    Option("name", "peer", TEXT, None, "what this peer calls itself", "the login name"),
    Option("connect", "peer", ADDRESS, [], "a peer to connect to, from the beginning and whenever it is lost", "nobody", True),
    Option("discovery", "peer", choice("on", "off"), "on", "announce and find peers on the local network (mDNS); a peer on loopback does neither"),
    Option("map-port", "peer", FLAG, False, "ask the home router (UPnP) to let others in"),
    Option("max-frame", ALL, BYTES, _LIMITS.max_frame, "longest frame accepted", reloads=APPLIED),
    Option("max-links", ALL, count(1, 10**7), _LIMITS.max_links, "connections a listener holds at a time", reloads=APPLIED),
    Option("max-links-address", ALL, count(1, 10**7), _LIMITS.max_links_address, "connections one address has at a listener at a time; an IPv6 /64 is one address"),
    Option("max-handshakes", ALL, count(1, 10**7), _LIMITS.max_handshakes, "connections at a listener whose hello or login isn't through; above it the oldest of them makes way", reloads=APPLIED),
    Option("limit-loopback", ALL, FLAG, False, "limits by address hold for this machine too"),
    Option("max-stanzas", ALL, count(1, 10**7), _peer_or(200, _LIMITS.max_stanzas), "stanzas a second a user, or a peer, may send; above it nothing more is read for a while", f"{_LIMITS.max_stanzas}, 200 (peer)", reloads=APPLIED),
    Option("max-bytes", ALL, BYTES, _peer_or(2**20, _LIMITS.max_bytes), "bytes a second, likewise", f"{_LIMITS.max_bytes}, {2**20} (peer)", reloads=APPLIED),
    Option("rate-burst", ALL, SECONDS, _LIMITS.rate_burst, "seconds' worth of stanzas and bytes that may come at once", reloads=APPLIED),
    Option("idle-timeout", ALL, SECONDS, _LIMITS.idle_timeout, "who is heard nothing of for this long, not even a pong, is closed", reloads=APPLIED),
    Option("max-bad-frames", ALL, count(1, 10**6), _LIMITS.max_bad_frames, "bad frames in a row that close a link", reloads=APPLIED),
    Option("max-outgoing", ALL, BYTES, _LIMITS.max_outgoing, "bytes held for a reader that does not read, before it is cut", reloads=APPLIED),
    Option("hello-timeout", ALL, SECONDS, _LIMITS.hello_timeout, "time from a connection to the end of its handshake", reloads=APPLIED),
    Option("ping-interval", ALL, SECONDS, _peer_or(30.0, _LIMITS.ping_interval), "a link unheard for this long is pinged, for twice as long closed; a peer pings each time, and is gone after three", f"{_LIMITS.ping_interval:g}, 30 (peer)", reloads=APPLIED),
    Option("user-timeout", ALL, SECONDS, _LIMITS.user_timeout, "how long sent bytes may stay unacknowledged by the other machine (TCP_USER_TIMEOUT)", reloads=APPLIED),
    Option("close-timeout", ALL, SECONDS, _LIMITS.close_timeout, "how long a closing link may take before it is cut", reloads=APPLIED),
)
"""Every option there is, in the order of ``--help`` and of the page."""

# SPDX-License-Identifier: MIT
"""The XMPP servers one can install from a distribution, on loopback, each with folders of its own.

Prosody and ejabberd are started from a configuration made here, without TLS and without what a comparison
has no use for (federation, archives), and make their accounts by in-band registration (XEP-0077), so that
nothing outside the folder is touched. The packages' own services are not needed and not used.

    with TemporaryDirectory() as folder:
        server = prosody(Path(folder), cpu=0)         # or ejabberd(...); server.process is the process
        server.register(["esa", "fajar"])
        steps = login("esa")                          # what to send, and what to wait for, in turn
        server.process.end()
"""

from __future__ import annotations

import base64
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plan import body
from benchmarks.programs import Process, free_port

DOMAIN = "localhost"
PASSWORD = "rahasia"
RESOURCE = "bench"

CHEAP = 4096
"""Rounds of a password's key that are cheap; ejabberd's own; Prosody's are 10,000."""

Steps = list[tuple[bytes, bytes]]

_PROSODY = """
run_as_root = true
daemonize = false
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ {{ levels = {{ min = "warn" }}, to = "file", filename = "{folder}/prosody.log" }} }}
plugin_paths = {{}}
modules_enabled = {{ "roster", "saslauth", "disco", "register_ibr" }}
modules_disabled = {{ "s2s", "tls", "offline", "posix" }}
network_backend = "epoll"
network_settings = {{ nodelay = true }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
allow_registration = true
authentication = "internal_hashed"
password_hash = "SHA-256"
default_iteration_count = {rounds}
storage = "internal"
VirtualHost "localhost"
"""

_EJABBERD = """
hosts: ["localhost"]
loglevel: warning
log_rotate_count: 0
auth_method: internal
auth_password_format: {form}
auth_scram_hash: sha256
disable_sasl_mechanisms: []
listen:
  -
    port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 16777216
    shaper: none
    access: all
    starttls: false
    send_timeout: 60000
registration_timeout: infinity
modules:
  mod_disco: {{}}
  mod_roster:
    use_cache: true
    cache_size: infinity
  mod_register:
    access: all
    access_from: all
    ip_access: all
    welcome_message: {{subject: "", body: ""}}
    password_strength: 0
"""


@dataclass(frozen=True)
class XmppServer:
    """One that runs.

    Args:
        name: with its version, for a table.
        process: the process.
    """

    name: str
    process: Process

    def register(self, names: Sequence[str], password: str = PASSWORD) -> None:
        """Make accounts."""
        for name in names:
            stream = Stream(self.process.port)
            stream.open()
            answer = stream.ask(registration(name, password), b"</iq>", b"/>")
            if b"error" in answer:
                raise RuntimeError(f"{self.name} did not register {name}: {answer!r}")
            stream.close()


class Stream:
    """A connection that sends what it is told and waits for what it is told; both ways kept and counted.

    Args:
        port: where.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent: list[bytes] = []
        self.heard: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Without waiting for anything."""
        self.sent.append(data)
        self._socket.sendall(data)

    def wait(self, *needles: bytes) -> bytes:
        """Until one of these is among what comes from now on; what came."""
        longest = max(map(len, needles))
        came: list[bytes] = []
        tail = b""
        while not any(needle in tail for needle in needles):
            data = self._socket.recv(1 << 20)
            if not data:
                raise ConnectionError(f"closed before {needles!r}: {b''.join(came)[-500:]!r}")
            came.append(data)
            tail = tail[-longest:] + data
        whole = b"".join(came)
        self.heard.append(whole)
        return whole

    def ask(self, data: bytes, *needles: bytes) -> bytes:
        """Send, and wait for one of these."""
        self.send(data)
        return self.wait(*needles)

    def ask_all(self, data: bytes, needles: Sequence[bytes]) -> None:
        """Send, and wait for all of these."""
        self.send(data)
        came = b""
        while missing := [needle for needle in needles if needle not in came]:
            came += self.wait(*missing)

    def read(self) -> bytes:
        """What there is, or the next that comes; not kept."""
        return self._socket.recv(1 << 16)

    def fileno(self) -> int:
        """The socket's."""
        return self._socket.fileno()

    def open(self) -> None:
        """Begin a stream, nobody yet."""
        self.ask(HEADER, b"</stream:features>")

    def login(self, name: str, password: str = PASSWORD) -> None:
        """Be somebody, bound and available."""
        for data, needle in login(name, password):
            self.ask(data, needle)

    def close(self) -> None:
        """Without a word."""
        self._socket.close()


HEADER = (
    b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)


def jid(name: str) -> str:
    """A user's bare address."""
    return f"{name}@{DOMAIN}"


def registration(name: str, password: str = PASSWORD) -> bytes:
    """What makes an account on a stream that is nobody's (XEP-0077)."""
    return (
        f"<iq type='set' id='reg' to='{DOMAIN}'><query xmlns='jabber:iq:register'>"
        f"<username>{name}</username><password>{password}</password></query></iq>"
    ).encode()


def login(name: str, password: str = PASSWORD, available: bool = True) -> Steps:
    """What to send and to wait for until somebody is logged in by SASL PLAIN, bound, and available."""
    proof = base64.b64encode(f"\0{name}\0{password}".encode())
    resource = f"<resource>{RESOURCE}</resource>"
    bind = f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{resource}</bind></iq>"
    steps = [
        (HEADER, b"</stream:features>"),
        (b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%b</auth>" % proof, b"<success"),
        (HEADER, b"</stream:features>"),
        (bind.encode(), b"</jid>"),
    ]
    return [*steps, (b"<presence/>", b"<presence")] if available else steps


def message(receiver: str, size: int) -> bytes:
    """A message with a body of so many bytes to somebody's session."""
    to = f"{jid(receiver)}/{RESOURCE}".encode()
    return b"<message to='%b' type='chat'><body>%b</body></message>" % (to, body(size))


def prosody(folder: Path, cpu: int | None = None, rounds: int = CHEAP) -> XmppServer:
    """Start Prosody.

    Args:
        folder: for all it keeps.
        cpu: the core it is bound to.
        rounds: of a password's key.
    """
    port = free_port()
    (folder / "data").mkdir()
    config = folder / "prosody.cfg.lua"
    config.write_text(_PROSODY.format(folder=folder, port=port, rounds=rounds))
    process = Process(["prosody", "--config", str(config), "-F"], port, folder, cpu)
    return XmppServer(f"prosody {version('prosody')}", process)


def ejabberd(folder: Path, cpu: int | None = None, rounds: int = CHEAP) -> XmppServer:
    """Start ejabberd; with ``rounds`` 0 it keeps passwords as they are, else its own 4,096 rounds.

    The Erlang node has no name, so that it neither needs nor starts a port mapper.
    """
    port = free_port()
    config = folder / "ejabberd.yml"
    form = "scram" if rounds else "plain"
    config.write_text(_EJABBERD.format(port=port, form=form))
    spool = folder / "spool"
    command = [
        "erl",
        "-noinput",
        "+K",
        "true",
        "+P",
        "250000",
        "-mnesia",
        "dir",
        f'"{spool}"',
        "-s",
        "ejabberd",
    ]
    environment = {
        "EJABBERD_CONFIG_PATH": str(config),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        "ERL_CRASH_DUMP": str(folder / "crash.dump"),
        "ERL_CRASH_DUMP_BYTES": "0",
        "ERL_LIBS": str(_ebin().parent.parent),
        "ERL_MAX_PORTS": "65536",
        "HOME": str(folder),
    }
    return XmppServer(f"ejabberd {version('ejabberd')}", Process(command, port, folder, cpu, environment))


SERVERS: dict[str, Callable[..., XmppServer]] = {"prosody": prosody, "ejabberd": ejabberd}
"""Each of them, by name."""


def installed(name: str) -> bool:
    """Whether it can be run here."""
    return shutil.which("prosody") is not None if name == "prosody" else bool(_found())


def version(name: str) -> str:
    """Of the installed one."""
    if name == "ejabberd":
        return _ebin().parent.name.rpartition("-")[2] if _found() else ""
    path = Path("/usr/lib/prosody/prosody.version")
    return path.read_text().strip() if path.exists() else ""


def _found() -> list[Path]:
    # Debian has the folder under two names, of which the one without its own revision sorts first.
    return sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin")) if shutil.which("erl") else []


def _ebin() -> Path:
    return _found()[0]

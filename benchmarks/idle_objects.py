# SPDX-License-Identifier: MIT
"""What an idle session is made of, line by line: ``python -m benchmarks.idle_objects``.

A relay alone in this process, on Twisted's own transports over real sockets, and users who say hello.
``tracemalloc`` counts what is still there for each of them. The whole process's resident memory, which
is what an operator pays, is ``python -m benchmarks.run --idle 10000``.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import socket
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor

from xjrelay.net.context import Context
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Signer, Verifier
from xjrelay.servers.relay.identity import Identity
from xjrelay.servers.relay.peers import Peers
from xjrelay.servers.relay.protocol import Door, RelayFactory
from xjrelay.servers.relay.switch import RelaySettings, Switch
from xjrelay.servers.relay.upstream import Upstream


def relay(clock: Any) -> tuple[RelayFactory, Signer]:
    """A relay that has its name, and whoever signs tokens for it."""
    signer = Signer([Ed25519PrivateKey.generate()], clock.seconds, made=0)
    context, identity, verifier = (
        Context(clock, random.Random(1)),
        Identity("0" * 32),
        Verifier(clock.seconds),
    )
    verifier.set_keys(signer.public_keys())
    identity.name = "relay1"
    secret, switch = ClusterSecret("the-secret-of-this-cluster"), Switch(context, RelaySettings())
    shared = (clock, context, identity, switch, verifier, secret)
    upstream = Upstream(*shared, lambda relays: None)
    return RelayFactory(context, Door(identity, verifier, secret, switch, Peers(*shared), upstream)), signer


def users(turning: Any, factory: RelayFactory, hellos: list[bytes]) -> Iterator[socket.socket]:
    """Each connects, says hello, and is let in; the user's end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for hello in hellos:
            near = socket.create_connection(listening.getsockname())
            far = listening.accept()[0]
            far.setblocking(False)
            turning.adoptStreamConnection(far.fileno(), socket.AF_INET, factory)
            far.close()
            near.sendall(hello)
            for reader in turning.getReaders():
                if getattr(getattr(reader, "protocol", None), "role", reader) is None:
                    reader.doRead()
            yield near


def hellos(signer: Signer, first: int, count: int) -> list[bytes]:
    """What so many users say."""
    made = []
    for number in range(first, first + count):
        name = f"user{number}"
        hello = {"username": name, "message": "hello!", "token": signer.for_user(name, "relay1", "", number)}
        made.append(json.dumps(hello).encode() + b"\n")
    return made


def main() -> None:
    """Count, and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=30, help="of the source, the largest first")
    options = parser.parse_args()
    factory, signer = relay(reactor)
    kept = list(users(reactor, factory, hellos(signer, 0, 50)))  # what is made once is made
    said = hellos(signer, 50, options.sessions)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    kept += users(reactor, factory, said)
    gc.collect()
    here = tracemalloc.Filter(False, __file__)
    found = tracemalloc.take_snapshot().filter_traces([here]).compare_to(before, "lineno")
    print(f"{sum(one.size_diff for one in found) / options.sessions:8.1f} bytes a session")
    for one in found[: options.lines]:
        frame = one.traceback[0]
        where = "/".join(Path(frame.filename).parts[-2:])
        size, count = one.size_diff / options.sessions, one.count_diff / options.sessions
        print(f"{size:8.1f} in {count:4.1f}  {where}:{frame.lineno}")


if __name__ == "__main__":
    main()

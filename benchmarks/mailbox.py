# SPDX-License-Identifier: MIT
"""How many messages a second the mailbox stores and syncs, beside the disk's own time for a sync.

    python -m benchmarks.mailbox [--messages 100000] [--folder DIR]

The store is the manager's own on a real file, through adbapi's thread, as in production: messages
of 100 bytes from 50 senders to 500 users, 10,000 of them under way. Half are being stored while the other
half come in, as under load at the manager, and each counts when its outcome is there, which is after the
sync. Then half of them are handed out and taken.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from xjrelay.storage.interfaces import Account, Credentials, Kept, Letter, ManagerStores, Profile
from xjrelay.storage.migrate import prepare
from xjrelay.storage.roster import open_manager_stores

RECIPIENTS, SENDERS, BATCH = 500, 50, 5_000
MOST = 100_000
SYNCS = 200
BODY = b"x" * 100


def sync_times(folder: Path) -> list[float]:
    """Seconds of one fsync after a write of 4 KiB, shortest first."""
    times = []
    with (folder / "sync").open("wb") as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)


def letters(first: int, count: int) -> list[Letter]:
    """Messages numbered from ``first``."""
    return [
        Letter(
            f"user{number % RECIPIENTS}",
            "",
            f"sender{number % SENDERS}",
            f"{number:024x}",
            b'{"stanza":"message","from":"sender","to":"user","id":"%024x","body":"%b"}' % (number, BODY),
        )
        for number in range(first, first + count)
    ]


async def store_all(stores: ManagerStores, messages: int) -> float:
    """Store them, a batch at a time; the seconds it took."""
    batches = [letters(first, BATCH) for first in range(0, messages, BATCH)]
    began = time.perf_counter()
    for batch in batches:
        assert set(await stores.mailbox.store(batch, 0, MOST)) == {Kept.STORED}
    return time.perf_counter() - began


async def take_half(stores: ManagerStores, messages: int) -> float:
    """Hand out and remove half of each mailbox; the seconds it took."""
    began = time.perf_counter()
    each = messages // RECIPIENTS // 2

    async def one(number: int) -> None:
        user, after = f"user{number}", 0
        for done in range(0, each, 100):
            rows = await stores.mailbox.mail(user, "", after, min(100, each - done))
            after = rows[-1].row
            await stores.mailbox.taken([(user, row.row) for row in rows])

    await gatherResults([Deferred.fromCoroutine(one(number)) for number in range(RECIPIENTS)])
    return time.perf_counter() - began


async def measure(reactor: Any, folder: Path, messages: int) -> None:
    """Print the figures."""
    times = sync_times(folder)
    path = folder / "manager.sqlite3"
    prepare(path, "manager")
    stores = open_manager_stores(reactor, path)
    keys = Credentials(b"s", 4096, b"k", b"k")
    users = [f"user{number}" for number in range(RECIPIENTS)]
    await gatherResults([stores.accounts.create(Account(Profile(user, user, "", 0), keys)) for user in users])
    before = resource.getrusage(resource.RUSAGE_SELF)
    stored = await store_all(stores, messages)
    after = resource.getrusage(resource.RUSAGE_SELF)
    taken = await take_half(stores, messages)
    await stores.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"fsync of 4 KiB: median {times[SYNCS // 2] * 1e3:.2f} ms, slowest {times[-1] * 1e3:.1f} ms")
    print(f"stored and synced: {messages / stored:,.0f} a second, {cpu / messages * 1e6:.1f} us of CPU each")
    print(f"handed out and taken: {messages / 2 / taken:,.0f} a second")


def main(reactor: Any, *arguments: str) -> Deferred[None]:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mailbox", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; a temporary one by default")
    options = parser.parse_args(arguments)

    async def run() -> None:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            await measure(reactor, Path(folder), options.messages)

    return Deferred.fromCoroutine(run())


if __name__ == "__main__":
    react(main, sys.argv[1:])

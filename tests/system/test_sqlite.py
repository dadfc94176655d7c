# SPDX-License-Identifier: MIT
"""The stores on real SQLite files, through adbapi's threads, keep to the contract."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TypeVar

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from tests.storage import contract
from xjrelay.storage.directory import open_tracker_stores
from xjrelay.storage.interfaces import ManagerStores, StoreBusy, StoreFailed, TrackerStores
from xjrelay.storage.migrate import prepare
from xjrelay.storage.pool import Cursor, Database
from xjrelay.storage.roster import open_manager_stores

StoresT = TypeVar("StoresT", ManagerStores, TrackerStores)


def fresh(case: TestCase, program: str) -> Path:
    """A prepared file of its own for a test."""
    folder = Path(case.mktemp())
    folder.mkdir(parents=True)
    path = folder / f"{program}.sqlite3"
    prepare(path, program)
    return path


def closing(case: TestCase, stores: StoresT) -> StoresT:
    """The stores, closed when the test ends."""
    case.addCleanup(stores.close)
    return stores


class Directory(contract.DirectoryContract):
    def setUp(self) -> None:
        self.stores = closing(self, open_tracker_stores(reactor, fresh(self, "tracker")))


class Accounts(contract.AccountContract):
    def setUp(self) -> None:
        self.stores = closing(self, open_manager_stores(reactor, fresh(self, "manager")))


class Relays(contract.RelayContract):
    def setUp(self) -> None:
        self.stores = closing(self, open_manager_stores(reactor, fresh(self, "manager")))


class Mailbox(contract.MailboxContract):
    def setUp(self) -> None:
        self.stores = closing(self, open_manager_stores(reactor, fresh(self, "manager")))


class Roster(contract.RosterContract):
    def setUp(self) -> None:
        self.stores = closing(self, open_manager_stores(reactor, fresh(self, "manager")))


class File(TestCase):
    """What is true of the file beyond what a store says."""

    def setUp(self) -> None:
        self.path = fresh(self, "manager")

    async def test_it_outlives_its_stores(self) -> None:
        stores = open_manager_stores(reactor, self.path)
        await stores.accounts.create(contract.account("esa"))
        self.assertEqual(await stores.accounts.next_session("esa"), 1)
        await stores.close()
        prepare(self.path, "manager")
        stores = closing(self, open_manager_stores(reactor, self.path))
        self.assertEqual(await stores.accounts.get("esa"), contract.account("esa"))
        self.assertEqual(await stores.accounts.next_session("esa"), 2)

    async def test_closing_waits_for_what_is_queued_and_leaves_one_file(self) -> None:
        stores = open_manager_stores(reactor, self.path)
        pending = [stores.accounts.create(contract.account(f"user{number}")) for number in range(1200)]
        reading = stores.accounts.get("nobody")
        await stores.close()
        await gatherResults(pending)
        self.assertIsNone(await reading)
        for refused in (stores.accounts.get("esa"), stores.accounts.remove("user1")):
            with self.assertRaises(StoreBusy):
                await refused
        self.assertEqual([found.name for found in self.path.parent.iterdir()], [self.path.name])
        with sqlite3.connect(self.path) as connection:
            self.assertEqual(connection.execute("SELECT count(*) FROM accounts").fetchone(), (1200,))
        connection.close()

    async def test_what_was_told_is_durable(self) -> None:
        database = Database(reactor, self.path)
        self.addCleanup(database.close)

        def pragmas(cursor: Cursor) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        self.assertEqual(await database.write(pragmas), ["wal", 2, 1, 5000])

    async def test_a_reader_can_not_write(self) -> None:
        database = Database(reactor, self.path)
        self.addCleanup(database.close)
        with self.assertRaises(StoreFailed):
            await database.read(lambda cursor: cursor.execute("DELETE FROM accounts"))

    async def test_more_readers_than_allowed_are_told_to_wait(self) -> None:
        database = Database(reactor, self.path, max_queue=2)
        self.addCleanup(database.close)
        pending = [database.read(lambda cursor: 1) for _ in range(2)]
        with self.assertRaises(StoreBusy):
            await database.read(lambda cursor: 1)
        self.assertEqual(await gatherResults(pending), [1, 1])

    async def test_reads_do_not_wait_for_the_writer(self) -> None:
        database = Database(reactor, self.path)
        self.addCleanup(database.close)
        holder = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(holder.close)
        holder.execute("BEGIN IMMEDIATE")
        count = await database.read(lambda c: c.execute("SELECT count(*) FROM accounts").fetchone())
        self.assertEqual(count, (0,))
        holder.execute("ROLLBACK")

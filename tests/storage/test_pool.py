# SPDX-License-Identifier: MIT
"""The group-commit queue: what shares a transaction, who fails alone, what is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.storage.interfaces import StoreBusy, StoreFailed
from xjrelay.storage.pool import Cursor, GroupCommit, Operation, Outcome, look, transact


def inserting(value: str) -> Operation:
    """An operation that keeps a value and returns it."""

    def insert(cursor: Cursor) -> str:
        cursor.execute("INSERT INTO kept VALUES (?)", (value,))
        return value

    return insert


class Queue(SynchronousTestCase):
    """Without a thread: the test says when a transaction ends."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.batches: list[tuple[list[Operation], Deferred[list[Outcome]]]] = []
        self.queue = GroupCommit(self.clock, self.transact, max_queue=4, max_batch=3)

    def transact(self, operations: Sequence[Operation]) -> Deferred[list[Outcome]]:
        running: Deferred[list[Outcome]] = Deferred()
        self.batches.append((list(operations), running))
        return running

    def end(self, *outcomes: Outcome) -> None:
        """The oldest running transaction ends."""
        self.batches.pop(0)[1].callback(list(outcomes))

    def test_what_one_turn_brings_shares_a_transaction(self) -> None:
        told = [self.queue.run(inserting(value)) for value in "ab"]
        self.assertEqual(self.batches, [])
        self.clock.advance(0)
        self.assertEqual([len(operations) for operations, _ in self.batches], [2])
        self.assertNoResult(told[0])
        self.end("a", "b")
        self.assertEqual([self.successResultOf(one) for one in told], ["a", "b"])

    def test_what_arrives_meanwhile_shares_the_next(self) -> None:
        first = self.queue.run(inserting("a"))
        self.clock.advance(0)
        later = [self.queue.run(inserting(value)) for value in "bcd"]
        self.clock.advance(1)
        self.assertEqual(len(self.batches), 1)
        self.end("a")
        self.assertEqual(self.successResultOf(first), "a")
        self.assertEqual([len(operations) for operations, _ in self.batches], [3])
        self.end("b", "c", "d")
        self.assertEqual([self.successResultOf(one) for one in later], ["b", "c", "d"])

    def test_one_transaction_carries_so_many(self) -> None:
        told = [self.queue.run(inserting(value)) for value in "abcd"]
        self.clock.advance(0)
        self.end("a", "b", "c")
        self.assertNoResult(told[3])
        self.end("d")
        self.assertEqual(self.successResultOf(told[3]), "d")

    def test_a_full_queue_refuses(self) -> None:
        told = [self.queue.run(inserting(value)) for value in "abcd"]
        self.failureResultOf(self.queue.run(inserting("e")), StoreBusy)
        self.clock.advance(0)
        self.end("a", "b", "c")
        self.end("d")
        self.assertEqual(self.successResultOf(told[3]), "d")
        again = self.queue.run(inserting("e"))
        self.clock.advance(0)
        self.end("e")
        self.assertEqual(self.successResultOf(again), "e")

    def test_a_failed_commit_fails_all_and_the_next_goes_on(self) -> None:
        told = [self.queue.run(inserting(value)) for value in "abcd"]
        self.clock.advance(0)
        self.batches.pop(0)[1].errback(Failure(StoreFailed("disk full")))
        for one in told[:3]:
            self.failureResultOf(one, StoreFailed)
        self.end("d")
        self.assertEqual(self.successResultOf(told[3]), "d")

    def test_an_answer_may_ask_for_more(self) -> None:
        first = self.queue.run(inserting("a"))
        first.addCallback(lambda value: self.queue.run(inserting("b")))
        self.clock.advance(0)
        self.end("a")
        self.clock.advance(0)
        self.end("b")
        self.assertEqual(self.successResultOf(first), "b")

    def test_what_runs_and_what_waits_is_pending(self) -> None:
        told = [self.queue.run(inserting(value)) for value in "abcd"]
        self.assertEqual(self.queue.pending, 4)
        self.clock.advance(0)
        self.assertEqual(self.queue.pending, 4)
        self.end("a", "b", "c")
        self.assertEqual(self.queue.pending, 1)
        self.end("d")
        self.assertEqual(self.queue.pending, 0)
        self.assertEqual([self.successResultOf(one) for one in told], ["a", "b", "c", "d"])

    def test_closing_waits_and_then_refuses(self) -> None:
        told = self.queue.run(inserting("a"))
        closed = [self.queue.close(), self.queue.close()]
        self.failureResultOf(self.queue.run(inserting("b")), StoreBusy)
        self.clock.advance(0)
        self.assertNoResult(closed[0])
        self.end("a")
        self.assertEqual(self.successResultOf(told), "a")
        for one in [*closed, self.queue.close()]:
            self.assertIsNone(self.successResultOf(one))


class Transaction(SynchronousTestCase):
    """On a real connection, in memory."""

    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.connection.close)
        self.connection.execute("CREATE TABLE kept (value TEXT PRIMARY KEY)")

    def kept(self) -> list[str]:
        return [value for (value,) in self.connection.execute("SELECT value FROM kept ORDER BY value")]

    def test_a_bad_operation_fails_alone(self) -> None:
        def half(cursor: Cursor) -> None:
            cursor.execute("INSERT INTO kept VALUES ('half')")
            raise KeyError("changed my mind")

        outcomes = transact(
            self.connection.cursor(), [inserting("a"), inserting("a"), half, inserting("b")]
        )
        self.assertEqual(outcomes[0::3], ["a", "b"])
        self.assertIsInstance(outcomes[1].value, StoreFailed)
        self.assertIsInstance(outcomes[2].value, KeyError)
        self.assertEqual(self.kept(), ["a", "b"])

    def test_a_bad_query_fails_alone(self) -> None:
        def ask(sql: str) -> Operation:
            return lambda cursor: cursor.execute(sql).fetchall()

        def raising(cursor: Cursor) -> None:
            raise KeyError("nobody")

        queries = [ask("SELECT 1"), ask("nonsense"), raising, ask("SELECT 2")]
        outcomes = look(self.connection.cursor(), queries)
        self.assertEqual(outcomes[0::3], [[(1,)], [(2,)]])
        self.assertIsInstance(outcomes[1].value, StoreFailed)
        self.assertIsInstance(outcomes[2].value, KeyError)

    def test_when_the_whole_transaction_is_lost_all_fail(self) -> None:
        self.connection.execute("PRAGMA max_page_count = 3")

        def fill(cursor: Cursor) -> None:
            cursor.execute("INSERT OR ROLLBACK INTO kept VALUES (?)", ("x" * 100_000,))

        with self.assertRaises(sqlite3.Error):
            transact(self.connection.cursor(), [inserting("a"), fill])
        self.assertEqual(self.kept(), [])

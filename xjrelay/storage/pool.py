# SPDX-License-Identifier: MIT
"""The only place that opens SQLite, and the only one that builds an adbapi pool.

Writes go through one connection, many in one transaction (group commit): a sync of the disk costs
milliseconds however much it carries, so what arrives while a transaction runs shares the next
one, each under a savepoint of its own, and its Deferred fires after the commit. Reads have
connections apart; in WAL mode they see the last commit and wait for no writer. They too go many at a
time, because the way to a thread and back costs more than a small query. The dialect's peculiarities
stay here. This module must not import a server or a reactor.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.storage.interfaces import StoreBusy, StoreFailed, StoreLoad

MAX_QUEUE = 10_000
"""Operations that may wait at a time; the next is refused with :class:`StoreBusy`."""

MAX_BATCH = 500
"""Operations in one transaction: the bound of how long one holds the file."""

MAX_READ_BATCH = 50
"""Queries in one way to a reader's thread: the bound of how long one waits for others."""

WRITER_CACHE_KB = 32 * 1024
"""Pages the writer keeps: a batch for many mailboxes touches a page of each, and reads none of them again."""

BUSY_TIMEOUT_MS = 5_000
"""How long a statement waits for another process that holds the file."""

_log = Logger()

T = TypeVar("T")
Cursor = sqlite3.Cursor
Operation = Callable[[Cursor], Any]
Outcome = Any  # what the operation returned, or the Failure it ended in


class GroupCommit:
    """The queue before one connection: the writer's, or a reader's.

    Args:
        timer: the reactor, or a clock in tests.
        transact: runs the operations as one transaction; its Deferred fires with one outcome an
            operation after the commit, or fails when nothing was committed.
        max_queue: operations that may wait.
        max_batch: operations in one transaction.

    Attributes:
        load: how it is doing.
    """

    def __init__(
        self,
        timer: IReactorTime,
        transact: Callable[[Sequence[Operation]], Deferred[list[Outcome]]],
        max_queue: int = MAX_QUEUE,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._timer = timer
        self._transact = transact
        self._max_queue = max_queue
        self._max_batch = max_batch
        self._waiting: deque[tuple[Operation, Deferred[Any]]] = deque()
        self._running = False
        self._under_way = 0
        self._closing = False
        self._idle_waiters: list[Deferred[None]] = []
        self.load = StoreLoad(most=max_queue)

    def __len__(self) -> int:
        """How many operations wait."""
        return len(self._waiting)

    @property
    def pending(self) -> int:
        """How many wait or run."""
        return len(self._waiting) + self._under_way

    def run(self, operation: Callable[[Cursor], T]) -> Deferred[T]:
        """Run an operation in the next transaction.

        Returns:
            Fires with what it returned, after the commit; fails with what it raised (alone),
            :class:`StoreFailed` when the commit failed, or :class:`StoreBusy` at once.
        """
        if self._closing:
            return fail(StoreBusy("the store is closing"))
        if len(self._waiting) >= self._max_queue:
            return fail(StoreBusy(f"{self._max_queue} operations are waiting for the disk already"))
        done: Deferred[T] = Deferred()
        self._waiting.append((operation, done))
        if not self._running:
            self._running = True
            # After this turn of the reactor, so that what one read brought shares a transaction.
            self._timer.callLater(0, self._begin)
        return done

    def close(self) -> Deferred[None]:
        """Take nothing more; fires when all that was queued has its outcome."""
        self._closing = True
        if not self._running:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._idle_waiters.append(waiter)
        return waiter

    def _begin(self) -> None:
        self._follow(*self._start())

    def _start(self) -> tuple[Deferred[list[Outcome]], list[Deferred[Any]]]:
        count = self._under_way = min(len(self._waiting), self._max_batch)
        batch = [self._waiting.popleft() for _ in range(count)]
        began = self._timer.seconds()
        running = self._transact([operation for operation, _ in batch])
        running.addBoth(self._ended, began)
        running.addErrback(lambda failure: [failure] * count)
        return running, [done for _, done in batch]

    def _ended(self, result: list[Outcome] | Failure, began: float) -> list[Outcome] | Failure:
        """A transaction is on disk, or failed as a whole."""
        load = self.load
        load.commits.observe(self._timer.seconds() - began)
        load.failing = result.getErrorMessage() if isinstance(result, Failure) else ""
        load.failures += bool(load.failing)
        return result

    def _follow(self, running: Deferred[list[Outcome]], waiters: list[Deferred[Any]]) -> None:
        running.addCallback(self._finished, waiters)
        running.addErrback(lambda failure: _log.failure("a batch of writes broke its queue", failure))

    def _finished(self, outcomes: list[Outcome], waiters: list[Deferred[Any]]) -> None:
        # The next transaction starts before anyone is told, so that the disk and the answers overlap.
        following = self._start() if self._waiting else None
        for done, outcome in zip(waiters, outcomes, strict=True):
            done.callback(outcome)  # a Failure is an errback
        if following is not None:
            self._follow(*following)
        elif self._waiting:
            self._begin()
        else:
            self._idle()

    def _idle(self) -> None:
        self._running = False
        self._under_way = 0
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            waiter.callback(None)


class Database:
    """One SQLite file, prepared by :mod:`xjrelay.storage.migrate`, behind a writer and some readers.

    Args:
        reactor: the real one: threads are its own.
        path: the file.
        readers: connections for reading.
        max_queue: writes, and reads, that may wait.
    """

    def __init__(self, reactor: Any, path: Path, readers: int = 2, max_queue: int = MAX_QUEUE) -> None:
        self._writer = _pool(reactor, path, 1, _open_writer)
        self._readers = _pool(reactor, path, readers, _open_reader)
        self._commits = GroupCommit(reactor, self._transact, max_queue)
        self._lanes = [GroupCommit(reactor, self._look, max_queue, MAX_READ_BATCH) for _ in range(readers)]
        self._max_queue = max_queue
        self._reading = 0
        self._closing = False
        self._read_waiters: list[Deferred[None]] = []

    def write(self, operation: Callable[[Cursor], T]) -> Deferred[T]:
        """Run an operation in the writer's next transaction; see :meth:`GroupCommit.run`."""
        return self._commits.run(operation)

    def read(self, query: Callable[[Cursor], T]) -> Deferred[T]:
        """Run a query on a reader; it sees every write whose Deferred has fired.

        Returns:
            Fires with what it returned; fails with :class:`StoreBusy` or :class:`StoreFailed`.
        """
        if self._closing:
            return fail(StoreBusy("the store is closing"))
        if self._reading >= self._max_queue:
            return fail(StoreBusy(f"{self._max_queue} queries are waiting already"))
        self._reading += 1
        lane = min(self._lanes, key=lambda lane: lane.pending)
        return lane.run(query).addBoth(self._has_read)

    def load(self) -> StoreLoad:
        """How it is doing now."""
        load = self._commits.load
        load.writes, load.reads = len(self._commits), self._reading
        return load

    async def close(self) -> None:
        """Take nothing more, wait for what is queued, then close the file."""
        self._closing = True
        await self._commits.close()
        if self._reading:
            waiter: Deferred[None] = Deferred()
            self._read_waiters.append(waiter)
            await waiter
        for pool in (self._readers, self._writer):  # the last to close folds the WAL into the file
            pool.close()

    def _has_read(self, result: T) -> T:
        self._reading -= 1
        if not self._reading:
            waiters, self._read_waiters = self._read_waiters, []
            for waiter in waiters:
                waiter.callback(None)
        return result

    def _transact(self, operations: Sequence[Operation]) -> Deferred[list[Outcome]]:
        running = cast("Deferred[list[Outcome]]", self._writer.runInteraction(transact, operations))
        return running.addErrback(_storage_failure)

    def _look(self, queries: Sequence[Operation]) -> Deferred[list[Outcome]]:
        looking = cast("Deferred[list[Outcome]]", self._readers.runInteraction(look, queries))
        return looking.addErrback(_storage_failure)


def look(cursor: Cursor, queries: Sequence[Operation]) -> list[Outcome]:
    """Run queries one after the other, each on what is committed by then.

    Returns:
        What each returned, or the Failure it ended in.
    """
    return [_outcome(cursor, query) for query in queries]


def _outcome(cursor: Cursor, query: Operation) -> Outcome:
    try:
        return query(cursor)
    except Exception:
        return _storage_failure(Failure())


def transact(cursor: Cursor, operations: Sequence[Operation]) -> list[Outcome]:
    """Run operations as one transaction, each under its own savepoint, and commit.

    Args:
        cursor: of a connection in autocommit mode.
        operations: what to run, in order.

    Returns:
        What each returned, or the Failure it ended in.

    Raises:
        sqlite3.Error: nothing was committed.
    """
    # IMMEDIATE: a transaction that reads first and then wants to write can't be refused half-way.
    cursor.execute("BEGIN IMMEDIATE")
    outcomes = [_under_savepoint(cursor, operation) for operation in operations]
    cursor.execute("COMMIT")
    return outcomes


def _under_savepoint(cursor: Cursor, operation: Operation) -> Outcome:
    cursor.execute("SAVEPOINT operation")
    try:
        outcome = operation(cursor)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and not cursor.connection.in_transaction:
            raise  # a full or failing disk rolled the whole transaction back: nobody's write counts
        outcome = _storage_failure(Failure())
        cursor.execute("ROLLBACK TO operation")
    cursor.execute("RELEASE operation")
    return outcome


def _storage_failure(failure: Failure) -> Failure:
    """The same failure, SQLite's own errors under our name for them."""
    if failure.check(sqlite3.Error):
        return Failure(StoreFailed(f"the database failed: {failure.getErrorMessage()}"))
    return failure


def _pool(
    reactor: Any, path: Path, size: int, opened: Callable[[sqlite3.Connection], None]
) -> adbapi.ConnectionPool:
    return adbapi.ConnectionPool(
        "sqlite3",
        str(path),
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,  # we say BEGIN ourselves
        check_same_thread=False,  # the pool closes connections from the reactor's thread
        cp_min=1,
        cp_max=size,
        cp_openfun=opened,
        cp_reactor=reactor,
        cp_name=f"store {path.name}",
    )


def _open_writer(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # NORMAL may lose the last commits at a power cut
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KB}")


def _open_reader(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA query_only = ON")

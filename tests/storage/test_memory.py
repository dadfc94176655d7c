# SPDX-License-Identifier: MIT
"""The stores on dicts keep to the contract, and answer at once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.storage import contract
from xjrelay.storage.memory import memory_manager_stores, memory_tracker_stores


class Directory(contract.DirectoryContract):
    def setUp(self) -> None:
        self.stores = memory_tracker_stores()


class Accounts(contract.AccountContract):
    def setUp(self) -> None:
        self.stores = memory_manager_stores()


class Relays(contract.RelayContract):
    def setUp(self) -> None:
        self.stores = memory_manager_stores()


class Mailbox(contract.MailboxContract):
    def setUp(self) -> None:
        self.stores = memory_manager_stores()


class Roster(contract.RosterContract):
    def setUp(self) -> None:
        self.stores = memory_manager_stores()


class AtOnce(SynchronousTestCase):
    """What the sandbox relies on: no Deferred is pending when it is returned."""

    def test_every_answer_has_fired(self) -> None:
        stores = memory_manager_stores()
        self.assertIsNone(self.successResultOf(stores.accounts.create(contract.account("esa"))))
        self.assertEqual(self.successResultOf(stores.accounts.next_session("esa")), 1)
        self.assertIsNone(self.successResultOf(stores.close()))
        self.assertIsNone(self.successResultOf(memory_tracker_stores().close()))

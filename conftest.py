# SPDX-License-Identifier: MIT
"""Lets pytest and trial run the same tests.

pytest-twisted starts the reactor for good at the first ordinary pytest test, and every trial
``TestCase`` after that fails with an unclean reactor. So the TestCases go first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from twisted.trial.unittest import SynchronousTestCase


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts trial's TestCases before everything else; the sort keeps the order otherwise."""
    items.sort(key=lambda item: not _is_trial(getattr(item, "cls", None)))


@pytest.fixture(scope="session", autouse=True)
def _a_folder_for_mktemp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs everything in a temporary folder, as trial does: ``mktemp`` makes its files here."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("run"))
    yield
    os.chdir(before)


def _is_trial(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, SynchronousTestCase)

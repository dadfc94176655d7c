# SPDX-License-Identifier: MIT
"""Lets pytest and trial run the same tests.

pytest-twisted starts the reactor for good at the first ordinary pytest test, and every trial
``TestCase`` after that fails with an unclean reactor. So the TestCases go first.
"""

from __future__ import annotations

import pytest
from twisted.trial.unittest import SynchronousTestCase


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts trial's TestCases before everything else; the sort keeps the order otherwise."""
    items.sort(key=lambda item: not _is_trial(getattr(item, "cls", None)))


def _is_trial(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, SynchronousTestCase)

# SPDX-License-Identifier: MIT
"""The errors that a run of the checker logs, and how it ends without disturbing the next."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from xjrelay.sandbox.application import Application
from xjrelay.sandbox.suite import Sandbox


@contextmanager
def errors() -> Iterator[list[str]]:
    """What is logged as an error meanwhile, one text each.

    Meanwhile no memory in cycles is freed either: a coroutine that is freed runs its last lines, and when
    that happens is nobody's to replay.
    """
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        level = event.get("log_level")
        if level is not None and level >= LogLevel.error:
            failure = event.get("log_failure")
            what = failure.getTraceback() if failure is not None else ""
            found.append(f"{event.get('log_format')} {what}")

    observer: Any = observe  # a function is an observer, says Twisted; mypy doesn't know
    globalLogPublisher.addObserver(observer)
    gc.disable()
    try:
        yield found
    finally:
        gc.enable()
        globalLogPublisher.removeObserver(observer)


def bury(sandbox: Sandbox, applications: Iterable[Application]) -> None:
    """The run is over."""
    for application in applications:
        application.bury()
    sandbox.advance(1)

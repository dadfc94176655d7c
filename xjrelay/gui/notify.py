# SPDX-License-Identifier: MIT
"""A message shown outside the window, by desktop-notifier where it and a desktop are there.

Each is shown from a thread of its own, one at a time: the desktop may take its time. Must not import a
toolkit.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any, Final

from twisted.logger import Logger

_log = Logger()

MAX_WAITING: Final = 20
"""Notifications that wait for the desktop; more than that nobody reads."""


class Notifier:
    """Shows notifications.

    Args:
        enabled: whether it shows any; may be changed at any time.
        desktop: what shows one; desktop-notifier when absent.
    """

    def __init__(self, enabled: bool = True, desktop: Any = None) -> None:
        self.enabled = enabled
        self._desktop = desktop
        self._queue: queue.Queue[tuple[str, str]] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None

    def __call__(self, title: str, text: str) -> None:
        """Show one, soon."""
        if not self.enabled:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._show_all, name="notify", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait((title, text))
        except queue.Full:
            _log.info("the desktop is slow: a notification was left out")

    def join(self) -> None:
        """Wait until each was shown, or given up."""
        self._queue.join()

    def _show_all(self) -> None:
        desktop = self._desktop
        while True:
            title, text = self._queue.get()
            try:
                desktop = desktop or _desktop()
                desktop.send(title=title, message=text)
            except Exception as error:  # whatever the desktop's own library dislikes
                _log.info("a notification was not shown: {why}", why=repr(error))
            self._queue.task_done()


class _ToOurLog(logging.Handler):
    """What the library complains of: a line, where it would print a traceback for each message."""

    def emit(self, record: logging.LogRecord) -> None:
        """One complaint."""
        why = repr(record.exc_info[1]) if record.exc_info else ""
        _log.info("the desktop: {text} {why}", text=record.getMessage(), why=why)


def _desktop() -> Any:
    from desktop_notifier.sync import DesktopNotifierSync  # noqa: PLC0415  # an extra, and slow to import

    theirs = logging.getLogger("desktop_notifier")
    theirs.handlers, theirs.propagate = [_ToOurLog()], False
    return DesktopNotifierSync(app_name="xjrelay")

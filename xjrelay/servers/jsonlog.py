# SPDX-License-Identifier: MIT
"""The log as JSON, an object a line: time, level, namespace, text, and the event's own fields.

Twisted's own JSON form repeats every format string flattened and can't be read by a person;
this one is what a log collector expects. Knows no program.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
from twisted.logger import FileLogObserver, ILogObserver, LogEvent, eventAsText, formatEvent
from twisted.python.logfile import LogFile

DAEMON_LOG = "twistd.log"


def json_line(event: LogEvent) -> str | None:
    """An event as one line, or None when it says nothing."""
    text = formatEvent(event)
    failure = event.get("log_failure")
    if not text and failure is None:
        return None
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(timespec="milliseconds"),
        "level": getattr(event.get("log_level"), "name", "info"),
        "namespace": event.get("log_namespace", ""),
        "text": text,
    }
    line |= {key: _plain(value) for key, value in event.items() if _is_field(key) and key not in line}
    if failure is not None:
        line["traceback"] = eventAsText(event, includeTimestamp=False, includeSystem=False)
    return msgspec.json.encode(line).decode("utf-8") + "\n"


def json_observer(twistd: Mapping[str, Any]) -> ILogObserver:
    """An observer that writes where twistd would.

    Args:
        twistd: its own options: ``logfile`` and ``nodaemon``.
    """
    return FileLogObserver(_log_file(twistd), json_line)


def _log_file(twistd: Mapping[str, Any]) -> TextIO:
    name = twistd.get("logfile")
    if name == "-" or (not name and twistd.get("nodaemon", True)):
        return sys.stdout
    file: TextIO = LogFile.fromFullPath(name or DAEMON_LOG)
    return file


def _is_field(key: str) -> bool:
    return not key.startswith("log_") and key not in ("format", "message", "isError", "system", "time", "why")


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)

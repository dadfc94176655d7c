# SPDX-License-Identifier: MIT
"""The log as JSON, an object a line, and flat: what ``docs/tracing.md`` promises of it.

``time``, ``level``, ``program``, ``event``, ``text``, ``namespace``, then the event's own fields: ``link`` is
a connection's, ``message`` a message's id. Twisted's own JSON form repeats every format string flattened and
can't be read by a person; this one is what a log collector expects. Knows no program.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final, TextIO

import msgspec
from twisted.logger import FileLogObserver, ILogObserver, LogEvent, eventAsText, formatEvent
from twisted.python.logfile import LogFile

DAEMON_LOG = "twistd.log"

NEVER: Final = frozenset(
    {
        *("password", "secret", "token", "key", "resume", "resume_key", "proof", "data", "credentials"),
        *("body", "frame", "authorization", "invitation", "cookie"),
    }
)
"""Fields that are nobody's to read. Nothing here logs one; whoever does one day is not obeyed."""

_LEGACY = frozenset({"format", "isError", "system", "time"})
"""What events of Twisted's older logging have besides; their ``message`` is a tuple."""

_FIELD = re.compile(r"\{[^{}]*\}")
_WORD = re.compile(r"[a-z0-9]+")


def json_line(event: LogEvent, program: str = "") -> str | None:
    """An event as one line, or None when it says nothing.

    Args:
        event: Twisted's.
        program: the process's; of several programs in one the event itself says which, or its link does.
    """
    text = formatEvent(event)
    failure = event.get("log_failure")
    if not text and failure is None:
        return None
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(timespec="milliseconds"),
        "level": getattr(event.get("log_level"), "name", "info"),
        "program": _program(event, program),
        "event": _named(event),
        "namespace": event.get("log_namespace", ""),
        "text": text,
    }
    line |= {key: _plain(value) for key, value in event.items() if _is_field(key) and key not in line}
    if isinstance(event.get("message"), tuple):
        del line["message"]
    if failure is not None:
        line["traceback"] = eventAsText(event, includeTimestamp=False, includeSystem=False)
    return msgspec.json.encode(line).decode("utf-8") + "\n"


def json_observer(twistd: Mapping[str, Any], program: str = "") -> ILogObserver:
    """An observer that writes where twistd would.

    Args:
        twistd: its own options: ``logfile`` and ``nodaemon``.
        program: what the process is called.
    """
    return FileLogObserver(_log_file(twistd), partial(json_line, program=program))


def event_name(log_format: str) -> str:
    """What an event is called: its text without the fields, as ``{link} closed: {reason}`` is ``closed``."""
    return "-".join(_WORD.findall(_FIELD.sub(" ", log_format).lower().replace("'", "")))


_event_name = lru_cache(maxsize=1000)(event_name)


def _named(event: LogEvent) -> str:
    said = event.get("event")
    if isinstance(said, str):
        return said
    log_format = event.get("log_format")
    if not isinstance(log_format, str) or log_format == "{log_text}":
        return "twisted"
    return _event_name(log_format)


def _program(event: LogEvent, process: str) -> str:
    said, link = event.get("program"), event.get("link")
    if isinstance(said, str):
        return said
    return link.partition(":")[0] if isinstance(link, str) and ":" in link else process


def _log_file(twistd: Mapping[str, Any]) -> TextIO:
    name = twistd.get("logfile")
    if name == "-" or (not name and twistd.get("nodaemon", True)):
        return sys.stdout
    file: TextIO = LogFile.fromFullPath(name or DAEMON_LOG)
    return file


def _is_field(key: str) -> bool:
    return not key.startswith("log_") and key not in _LEGACY and key not in NEVER


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)

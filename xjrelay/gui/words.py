# SPDX-License-Identifier: MIT
"""The window's words in the user's language, by gettext.

Every text of the window is an English sentence in the code, given to a :class:`Words` at the moment
it is shown; ``locale/`` has the catalogs. A test holds the catalogs against the code.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

DOMAIN = "xjrelay"
FOLDER = Path(__file__).parent / "locale"


def mark(text: str) -> str:
    """A text that is shown later: it is only to be found by whoever translates."""
    return text


class Words:
    """Says things in one language.

    Args:
        languages: in the order of preference, as gettext takes them; English where none is there.
    """

    def __init__(self, languages: Sequence[str] = ()) -> None:
        self._catalog = gettext.translation(DOMAIN, str(FOLDER), list(languages) or ["en"], fallback=True)

    def __call__(self, text: str, **fields: object) -> str:
        """A text, with its fields put in."""
        said = self._catalog.gettext(text) if text else ""
        return said.format(**fields) if fields else said


def languages(environ: Mapping[str, str]) -> list[str]:
    """The user's languages, from ``LANGUAGE``, ``LC_ALL``, ``LC_MESSAGES`` and ``LANG``."""
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return [one for one in value.split(":") if one and one not in ("C", "POSIX")]
    return []


def system_languages() -> list[str]:
    """The same of this process."""
    return languages(os.environ)

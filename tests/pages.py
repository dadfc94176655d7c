# SPDX-License-Identifier: MIT
"""The pages as tests read them: their code blocks, and the commands in those."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = ("xj", "twistd", "make", "python", "trial", "pip", "sudo", "systemctl", "journalctl")
"""What begins a line of a block without a prompt that is a command all the same."""


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        page: where it stands, below the project's folder.
        language: what follows its fence.
        text: what it holds.
        mark: the comment just before it: why no test runs it; empty where there is none.
    """

    page: str
    language: str
    text: str
    mark: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command of a console, with what it prints on the page."""
        joined = self.text.replace("\\\n", "")
        for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            yield line.strip(), shown

    def lines(self) -> Iterator[str]:
        """Each line that is a command, in a console or without a prompt."""
        if self.language == "console":
            yield from (line for line, _ in self.commands())
            return
        for line in self.text.replace("\\\n", "").splitlines():
            if line.removeprefix(".venv/bin/").split(" ")[0] in PROGRAMS:
                yield re.sub(r"  +# .*", "", line).strip()


def pages() -> list[Path]:
    """Every page that is read by people."""
    return [ROOT / "README.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]


def blocks(path: Path) -> list[Block]:
    """The code blocks of a page."""
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    page = str(path.relative_to(ROOT))
    return [Block(page, language, text, mark) for mark, language, text in found]

# SPDX-License-Identifier: MIT
"""The window's texts: found in the code, read from catalogs, compiled as gettext wants them.

``python -m tests.gui.catalogs`` compiles every ``.po`` to the ``.mo`` beside it, and says what is
missing or no longer used.
"""

from __future__ import annotations

import ast
import struct
from pathlib import Path

GUI = Path(__file__).resolve().parents[2] / "xjrelay" / "gui"
LOCALE = GUI / "locale"


def texts() -> set[str]:
    """Every text in the code that somebody may be shown: what is given to ``mark`` or to words."""
    found = set()
    for path in GUI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and _says(node.func):
                given = node.args[0]
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    found.add(given.value)
    return found


def _says(called: ast.expr) -> bool:
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    return name in ("mark", "words")


def read(path: Path) -> dict[str, str]:
    """A catalog's texts and their translations; the head is under the empty text."""
    found: dict[str, str] = {}
    parts: dict[str, str] = {}
    key = ""
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if not line.strip() or line.startswith("#"):
            if "msgid" in parts:
                found[parts["msgid"]] = parts["msgstr"]
            parts = {}
            continue
        word, _, text = ("", "", line) if line.startswith('"') else line.partition(" ")
        if word:
            key, parts[word] = word, ""
        parts[key] += ast.literal_eval(text)
    return found


def compiled(catalog: dict[str, str]) -> bytes:
    """The same as a ``.mo``: a table of texts, sorted, and one of translations."""
    entries = sorted((key.encode(), value.encode()) for key, value in catalog.items() if value)
    count = len(entries)
    table, at, data = [], 28 + 16 * count, b""
    for column in (0, 1):
        for entry in entries:
            table.append((len(entry[column]), at + len(data)))
            data += entry[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0)
    return head + b"".join(struct.pack("<2I", *row) for row in table) + data


def main() -> None:
    """Compile all, and complain."""
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        catalog = read(path)
        path.with_suffix(".mo").write_bytes(compiled(catalog))
        for text in sorted(texts() - set(catalog)):
            print(f"{path.parts[-3]}: missing {text!r}")
        for text in sorted(set(catalog) - texts() - {""}):
            print(f"{path.parts[-3]}: unused {text!r}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""Puts together what the site is made of, out of ``docs/``, the code and the pages at the project's top.

``python -m tools.site FOLDER``. The pages in ``docs/`` are written for two readers: on a code host they are
read as they are, from ``docs/README.md`` on; on the site that page is the first, and its sections are the
side bar.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INDEX = "README.md"

ELSEWHERE = {"NEWS.md": "news.md", "SECURITY.md": "reporting.md"}
"""Pages at the project's top, with the site's name for each."""

ROOMS = {
    "client": "the library, for Twisted and asyncio",
    "sandbox": "the whole suite on a fake clock",
    "wire": "what is said",
    "domain": "what it means",
    "storage": "what is remembered",
    "security": "who may",
    "net": "how Twisted carries it",
    "servers": "which program runs it",
    "cli": "the `xj` command",
    "prove": "the judge of `xj prove`",
    "gui": "the window",
}
"""In the order of who reads them first."""


def sections(index: str) -> dict[str, list[str]]:
    """The pages of each section of the index, in order.

    Args:
        index: its text: ``## SECTION`` and ``- [TITLE](PAGE): what it is``.
    """
    found: dict[str, list[str]] = {}
    for block in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title = block.partition("\n")[0]
        found[title] = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): ", block, re.MULTILINE)
    return found


def modules(room: str) -> list[str]:
    """The full names of a room's modules."""
    folder = ROOT / "xjrelay"
    paths = sorted((folder / room).rglob("*.py"))
    return [
        ".".join(("xjrelay", *path.relative_to(folder).with_suffix("").parts))
        for path in paths
        if path.name != "__init__.py"
    ]


def api(room: str) -> str:
    """The page of a room: its modules by their docstrings."""
    lines = [f"# xjrelay.{room}", "", f"{ROOMS[room]}.".capitalize(), ""]
    for name in modules(room):
        lines += [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", "```", ""]
    return "\n".join(lines)


def index(text: str) -> str:
    """The first page, with the side bar that its sections are."""
    listed = {
        title: [ELSEWHERE.get(Path(page).name, page) for page in pages]
        for title, pages in sections(text).items()
    }
    listed["API"] = [f"api/{room}" for room in ROOMS]
    trees = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"])
        for title, pages in listed.items()
    ]
    return "\n\n".join([text.rstrip("\n"), *trees]) + "\n"


def linked(text: str, depth: int) -> str:
    """A page with its links to what has another place on the site, and none to what is not there.

    Args:
        text: the page.
        depth: how many folders below ``docs/`` it is.
    """
    up = "../" * depth

    def outside(match: re.Match[str]) -> str:
        text, name, place = match.groups()
        return f"[{text}]({up}{ELSEWHERE[name]}{place})" if name in ELSEWHERE else text

    text = re.sub(rf"\[([^\]]*)\]\({re.escape(up)}\.\./(?!\.\.)([^)#]+)([^)]*)\)", outside, text)
    return re.sub(rf"\]\({re.escape(up)}README\.md", f"]({up}index.md", text)


def assemble(into: Path) -> None:
    """Make the folder that Sphinx is given.

    Args:
        into: made anew.
    """
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(ROOT / "docs", into, ignore=shutil.ignore_patterns("__pycache__"))
    for name, here in ELSEWHERE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        (into / here).write_text(text.replace("](docs/", "]("), encoding="utf-8")
    for path in into.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        path.write_text(linked(text, len(path.relative_to(into).parts) - 1), encoding="utf-8")
    (into / INDEX).rename(into / "index.md")
    (into / "index.md").write_text(index((into / "index.md").read_text(encoding="utf-8")), encoding="utf-8")
    (into / "api").mkdir()
    for room in ROOMS:
        (into / "api" / f"{room}.md").write_text(api(room), encoding="utf-8")


def main() -> None:
    """Put it together where it was said."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    assemble(parser.parse_args().folder)


if __name__ == "__main__":
    main()

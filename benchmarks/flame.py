# SPDX-License-Identifier: MIT
"""A flame graph of folded stacks: ``python -m benchmarks.flame FOLDED.txt PICTURE.svg "what it shows"``.

Folded stacks are what samplers write (``py-spy record -f raw``): frames joined by semicolons, a space,
and how often. The picture is plain SVG, small enough to be kept beside the text that speaks of it; each
bar is as wide as the share of samples that were in that function or in what it called.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

WIDTH, ROW, LEAST = 1000.0, 15, 0.004
"""Pixels of the whole and of a bar's height; the smallest share that is drawn."""


@dataclass
class Bar:
    """A function, called from where it stands."""

    count: int = 0
    inside: dict[str, Bar] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """How many bars stand on one another."""
        return 1 + max((bar.depth for bar in self.inside.values()), default=0)


def read(folded: str) -> Bar:
    """The stacks as a tree; the same function of a file on several lines is one."""
    root = Bar()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        bar = root
        bar.count += int(count)
        for name in stack.split(";"):
            bar = bar.inside.setdefault(_short(name), Bar())
            bar.count += int(count)
    return root


def _short(name: str) -> str:
    found = re.match(r"(\S+) \((.*?)(?::\d+)?\)$", name)
    if not found:
        return name
    return f"{found[1]} {'/'.join(found[2].split('/')[-2:])}"


def draw(root: Bar, title: str) -> str:
    """The picture."""
    height = (root.depth + 1) * ROW + 8
    shapes: list[str] = []
    _draw(shapes, root, 0.0, height - ROW, root.count, "all")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height}" font-family="monospace" '
        f'font-size="10"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="4" y="12">{escape(title)}</text>{"".join(shapes)}</svg>\n'
    )


def _draw(shapes: list[str], bar: Bar, x: float, y: int, total: int, name: str) -> None:
    wide = WIDTH * bar.count / total
    share = f"{bar.count / total:.1%}"
    letters = int(wide / 6.1)
    shown = name if len(name) <= letters else name[: letters - 1] + "…" if letters > 4 else ""
    text = f'<text x="{x + 2:.1f}" y="{y + 11}">{escape(shown)}</text>' if shown else ""
    shapes.append(
        f'<g><title>{escape(name)} {share}</title><rect x="{x:.1f}" y="{y}" width="{wide:.1f}" '
        f'height="{ROW - 1}" fill="hsl({18 + sum(name.encode()) % 36},85%,68%)"/>{text}</g>'
    )
    for inner, above in sorted(bar.inside.items()):
        if above.count >= LEAST * total:
            _draw(shapes, above, x, y - ROW, total, inner)
            x += WIDTH * above.count / total


def main(folded: str, picture: str, title: str) -> None:
    """Read, draw, write."""
    Path(picture).write_text(draw(read(Path(folded).read_text()), title))


if __name__ == "__main__":
    main(*sys.argv[1:4])

# SPDX-License-Identifier: MIT
"""Draws the pictures of ``docs/architecture.md`` out of the tables that the code itself goes by.

``python -m tools.pictures`` writes them into ``docs/images``; a test holds them to what this would draw.
Plain SVG, readable in the dark and in the light, and the same bytes each time.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

from tests.test_architecture import MAY_IMPORT
from xjrelay.client import outbox
from xjrelay.wire.grammar import HEARD, Phase
from xjrelay.wire.stanzas import Kind

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
LINE, PAD, LETTER = 17, 9, 7.1
"""Pixels: of a line of text, around it, and of a letter at 12 pixels' size."""

QUESTIONS = {
    "wire": "what is said",
    "domain": "what it means",
    "storage": "what is remembered",
    "security": "who may",
    "net": "how Twisted carries it",
    "servers": "which program runs it",
    "client": "who uses it",
    "gui": "the window",
    "cli": "the xj command",
    "prove": "the judge",
    "sandbox": "all of it on a fake clock",
}

GROUPS = (
    ("who dials a tracker", ("TRACKER_HELLO", "TRACKER_PROOF", "TRACKER_OPEN")),
    ("a relay dials a manager", ("MANAGER_HELLO", "MANAGER_PROOF", "MANAGER_RELAY")),
    ("a user dials a manager", ("MANAGER_HELLO", "MANAGER_LOGIN", "MANAGER_USER")),
    ("a user dials a relay", ("RELAY_HELLO", "RELAY_USER")),
    ("a relay dials a relay", ("RELAY_HELLO", "MESH_PROOF", "MESH_WELCOME", "MESH_OPEN")),
    ("two users, directly", ("DIRECT",)),
)
"""The life of each link as the side that was dialled hears it; the phases in order."""

TURNS = (
    ("WAITING", "SENT", "written"),
    ("SENT", "SETTLED", "delivered, stored, failed"),
    ("SENT", "FAILED", "failed 503"),
    ("FAILED", "WAITING", "after a pause, in order"),
    ("PARKED", "WAITING", "on the new road"),
)
"""What leads from one state of a message under way to another."""

STYLE = """<style>
text { font: 12px ui-monospace, "DejaVu Sans Mono", monospace; fill: #1f2933 }
.title { font-weight: bold }
.quiet { fill: #52606d }
.paper { fill: #fbfbf9 }
.box { fill: #e8f0f7; stroke: #486581; stroke-width: 1.2 }
.line { fill: none; stroke: #829ab1; stroke-width: 1.2 }
.head { fill: #829ab1 }
</style>
<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path class="head" d="M0 0 8 4 0 8z"/></marker>"""


class Box:
    """Some lines of text in a frame, the first in bold."""

    def __init__(self, x: float, y: float, lines: list[str], width: float = 0) -> None:
        self.x, self.y, self.lines = x, y, lines
        self.width = width or max(map(len, lines)) * LETTER + 2 * PAD
        self.height = len(lines) * LINE + 2 * PAD - 5

    @property
    def middle(self) -> float:
        """Across."""
        return self.x + self.width / 2

    def svg(self) -> str:
        """As drawn."""
        parts = [
            f'<rect class="box" x="{self.x:.0f}" y="{self.y:.0f}" width="{self.width:.0f}" '
            f'height="{self.height:.0f}" rx="5"/>'
        ]
        for number, line in enumerate(self.lines):
            kind = "quiet" if number else "title"
            parts.append(said(self.x + PAD, self.y + PAD + 8 + number * LINE, line, kind))
        return "\n".join(parts)


def said(x: float, y: float, text: str, kind: str = "quiet") -> str:
    """A line of text."""
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line with a head at its end."""
    return f'<path class="line" marker-end="url(#head)" d="M{x1:.0f} {y1:.0f} L{x2:.0f} {y2:.0f}"/>'


def picture(title: str, parts: list[str], width: float, height: float) -> str:
    """A whole file."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            STYLE,
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}" rx="8"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


# -- rooms -----------------------------------------------------------------------------------------


def needs() -> dict[str, set[str]]:
    """The rooms that each room may import, whole or in part."""
    return {
        room: {name.partition(".")[0] for name in allowed} - {room} for room, allowed in MAY_IMPORT.items()
    }


def level(room: str) -> int:
    """How many rooms stand below one another under it."""
    return max((level(below) + 1 for below in needs()[room]), default=0)


def beneath(room: str) -> set[str]:
    """Whatever it may import, at any number of steps."""
    return set().union(*({below, *beneath(below)} for below in needs()[room]))


def resting(room: str) -> list[str]:
    """What it stands on directly: what none of its other rooms has below it already."""
    asked = needs()[room]
    return sorted(below for below in asked if not any(below in beneath(other) for other in asked))


def rooms() -> str:
    """Who may import whom: a room stands on those below it."""
    levels = sorted({level(room) for room in MAY_IMPORT}, reverse=True)
    boxes: dict[str, Box] = {}
    for row, height in enumerate(levels):
        x = 24.0
        for room in (room for room in MAY_IMPORT if level(room) == height):
            boxes[room] = Box(x, 24 + row * 92, [room, QUESTIONS[room]])
            x += boxes[room].width + 40
    width = max(box.x + box.width for box in boxes.values()) + 24
    for height in levels:
        row_of = [box for room, box in boxes.items() if level(room) == height]
        shift = (width - 24 - max(box.x + box.width for box in row_of)) / 2
        for box in row_of:
            box.x += shift
    parts = [
        arrow(boxes[room].middle, boxes[room].y + boxes[room].height, boxes[below].middle, boxes[below].y)
        for room in boxes
        for below in resting(room)
    ]
    parts += [box.svg() for box in boxes.values()]
    bottom = max(box.y + box.height for box in boxes.values())
    return picture("The rooms, and what each stands on", parts, width, bottom + 24)


# -- phases ----------------------------------------------------------------------------------------


def heard(name: str) -> list[str]:
    """What is heard in a phase, but for signs of life."""
    kinds = HEARD[Phase[name]] - {Kind.PING, Kind.PONG}
    return [kind.value for kind in Kind if kind in kinds]


def phases() -> str:
    """Each link from its first frame on, and what may be heard at each step."""
    parts: list[str] = []
    y, widest = 20.0, 0.0
    for title, names in GROUPS:
        parts.append(said(24, y + 12, title, "title"))
        x, lowest, y = 24.0, 0.0, y + 24
        before: Box | None = None
        for name in names:
            box = Box(x, y, [name, *heard(name)])
            if before is not None:
                parts.append(arrow(before.x + before.width, y + 18, box.x, y + 18))
            parts.append(box.svg())
            before, x, lowest = box, x + box.width + 36, max(lowest, box.height)
        y, widest = y + lowest + 24, max(widest, x)
    return picture("The phases of every link, and what is heard in each", parts, widest, y)


# -- a message -------------------------------------------------------------------------------------


def meanings() -> dict[str, str]:
    """Each state of a message under way, with what its docstring says of it."""
    tree = ast.parse(Path(outbox.__file__).read_text(encoding="utf-8"))
    [state] = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "State")
    found: dict[str, str] = {}
    name = ""
    for node in state.body[1:]:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif isinstance(node, ast.Expr):
            found[name] = " ".join(ast.literal_eval(node.value).split())
    return found


def message() -> str:
    """What becomes of a message in the sender's library."""
    places = {
        "WAITING": (60, 40),
        "SENT": (400, 40),
        "SETTLED": (880, 40),
        "FAILED": (400, 190),
        "PARKED": (60, 190),
    }
    boxes = {name: Box(x, y, [name, *_folded(meanings()[name])]) for name, (x, y) in places.items()}
    parts = []
    for one, other, why in TURNS:
        left, right = boxes[one], boxes[other]
        if left.y == right.y:
            parts.append(arrow(left.x + left.width, left.y + 22, right.x, right.y + 22))
            parts.append(said(left.x + left.width + 8, left.y + 14, why))
        elif left.x == right.x:
            down = right.y > left.y
            ends = (left.y + left.height, right.y) if down else (left.y, right.y + right.height)
            parts.append(arrow(left.x + 40, ends[0], right.x + 40, ends[1]))
            parts.append(said(left.x + 48, sum(ends) / 2 + 4, why))
        else:
            parts.append(arrow(left.x, left.y + 10, right.x + right.width, right.y + right.height - 6))
            parts.append(said((left.x + right.x + right.width) / 2, (left.y + right.y) / 2 + 18, why))
    parts += [box.svg() for box in boxes.values()]
    width = max(box.x + box.width for box in boxes.values()) + 24
    return picture("A message in its sender's outbox", parts, width, 280)


def _folded(text: str, width: int = 34) -> list[str]:
    """A text in short lines."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


PICTURES = {"rooms.svg": rooms, "phases.svg": phases, "message.svg": message}


def main() -> None:
    """Write them all."""
    for name, drawn in PICTURES.items():
        (IMAGES / name).write_text(drawn(), encoding="utf-8")


if __name__ == "__main__":
    main()

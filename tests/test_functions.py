# SPDX-License-Identifier: MIT
"""Holds ``docs/functions.md`` to the code: every function is there, somewhere, and tested."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "functions.md"
NUMBERS = {"T": 7, "M": 32, "R": 26, "U": 15, "P": 6, "G": 9}
"""How many functions each program has."""

_ROW = re.compile(r"\| *([TMRUPG]\d+) *\|([^|]+)\|([^|]+)\|([^|]+)\|")


@dataclass(frozen=True)
class Row:
    """A function as the page has it; ``tests`` are dotted names that trial takes."""

    number: str
    places: tuple[str, ...]
    tests: tuple[str, ...]


def rows() -> list[Row]:
    """The table of the page."""
    return [
        Row(match[1], tuple(_names(match[3])), tuple(_names(match[4])))
        for match in _ROW.finditer(PAGE.read_text(encoding="utf-8"))
    ]


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def cases_of(module: str) -> set[str]:
    """``Class.test_name`` of each test of a module, found without importing it."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if not path.exists():
        return set()
    return {
        f"{case.name}.{node.name}"
        for case in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(case, ast.ClassDef)
        for node in case.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


class FunctionsPageTests(SynchronousTestCase):
    """The table, row by row."""

    def test_every_function_is_there_once_and_in_order(self) -> None:
        expected = [f"{letter}{n}" for letter, count in NUMBERS.items() for n in range(1, count + 1)]
        self.assertEqual([row.number for row in rows()], expected)

    def test_every_test_named_exists(self) -> None:
        missing = []
        for row in rows():
            for name in row.tests:
                module, _, test = name.rpartition(".")
                module, _, case = module.rpartition(".")
                if f"{case}.{test}" not in cases_of(module):
                    missing.append(f"{row.number}: {name}")
        self.assertEqual(missing, [])

    def test_every_function_has_a_test_that_bears_its_number(self) -> None:
        without = [row.number for row in rows() if not any(_bears(name, row.number) for name in row.tests)]
        self.assertEqual(without, [])

    def test_every_place_named_exists(self) -> None:
        missing = [place for row in rows() for place in row.places if not (ROOT / "xjrelay" / place).exists()]
        self.assertEqual(missing, [])
        self.assertEqual([row.number for row in rows() if not row.places], [])


def _bears(name: str, number: str) -> bool:
    """Whether a test's name has the number, with or without a leading zero: T1, M01."""
    letter, digits = number[0], number[1:]
    return re.search(rf"_{letter}0?{digits}_", name) is not None

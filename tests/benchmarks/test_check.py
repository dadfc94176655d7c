# SPDX-License-Identifier: MIT
"""What ``make bench-check`` says of figures; nothing is timed here."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.check import FORMS, STORED, dearer, least, ratios

COSTS = {"small": 9.0, "large": 1.2}
CALIBRATION = 3.0


class DearerTests(SynchronousTestCase):
    """A run held against the stored one."""

    def test_as_it_was(self) -> None:
        stored = ratios(COSTS, CALIBRATION)
        self.assertEqual([], dearer(stored, ratios(COSTS, CALIBRATION)))

    def test_another_machine(self) -> None:
        """One twice as slow takes twice as long for the calibration, too."""
        slow = {name: 2 * cost for name, cost in COSTS.items()}
        self.assertEqual([], dearer(ratios(COSTS, CALIBRATION), ratios(slow, 2 * CALIBRATION)))

    def test_a_little_dearer(self) -> None:
        measured = ratios(COSTS | {"small": COSTS["small"] * 1.14}, CALIBRATION)
        self.assertEqual([], dearer(ratios(COSTS, CALIBRATION), measured))

    def test_slowed_on_purpose(self) -> None:
        """The same run, one of its forms made a fifth dearer."""
        measured = ratios(COSTS | {"large": COSTS["large"] * 1.2}, CALIBRATION)
        (complaint,) = dearer(ratios(COSTS, CALIBRATION), measured)
        self.assertIn("large: 0.480 turns of the calibration loop, 1.20 times the stored 0.400", complaint)

    def test_a_form_that_is_no_longer_measured(self) -> None:
        with self.assertRaises(KeyError):
            dearer(ratios(COSTS, CALIBRATION), ratios({"small": 1.0}, CALIBRATION))

    def test_the_least_of_the_rounds(self) -> None:
        rounds = [{"small": 9.0, "large": 1.5}, {"small": 12.0, "large": 1.2}]
        self.assertEqual(COSTS, least(rounds))

    def test_what_is_stored_is_what_is_measured(self) -> None:
        self.assertEqual(set(FORMS), set(json.loads(STORED.read_text())))
